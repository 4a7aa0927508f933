/**
 * What every part of Faultline shares: immutable bytes, layouts of structs, sets of their fields,
 * and errors.
 */
@NullMarked
package dev.faultline;

import org.jspecify.annotations.NullMarked;
