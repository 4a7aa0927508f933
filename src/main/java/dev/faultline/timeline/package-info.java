/**
 * The events of a recording in one total order: replayed, sought, and decided again to see where a
 * kernel did what its rules say.
 */
@NullMarked
package dev.faultline.timeline;

import org.jspecify.annotations.NullMarked;
