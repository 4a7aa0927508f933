/**
 * Facts of the x86 architecture that KVM's structs are made of: registers, segments, MSRs, CPUID,
 * SMRAM.
 */
@NullMarked
package dev.faultline.x86;

import org.jspecify.annotations.NullMarked;
