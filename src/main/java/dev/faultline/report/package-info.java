/** Writes what the core found as text for people and as JSON for programs. */
@NullMarked
package dev.faultline.report;

import org.jspecify.annotations.NullMarked;
