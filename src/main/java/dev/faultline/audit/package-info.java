/**
 * The rules that a save, a restore and a run of a KVM vCPU must keep, and the findings where a
 * recording breaks one.
 */
@NullMarked
package dev.faultline.audit;

import org.jspecify.annotations.NullMarked;
