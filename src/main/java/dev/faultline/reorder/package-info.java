/**
 * What would have happened in every other order of the calls in a window: exact counts of orders by
 * outcome, the order nearest to the recorded one for each, and which call must come before which.
 */
@NullMarked
package dev.faultline.reorder;

import org.jspecify.annotations.NullMarked;
