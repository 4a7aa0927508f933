/**
 * Live migration at a moment of a timeline: what a VMM's plan reads from a vCPU, what a fresh vCPU
 * becomes of it, and what is lost on the way.
 */
@NullMarked
package dev.faultline.migration;

import org.jspecify.annotations.NullMarked;
