/**
 * Records a live VMM: stops each of its KVM ioctls by ptrace, copies what goes in and comes out,
 * and writes it as it goes.
 */
@NullMarked
package dev.faultline.record;

import org.jspecify.annotations.NullMarked;
