/** The command line: one class a verb, the main class, and the only place that prints and exits. */
@NullMarked
package dev.faultline.cli;

import org.jspecify.annotations.NullMarked;
