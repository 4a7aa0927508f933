/**
 * KVM's uapi on x86: ioctls, errnos, capabilities, exit reasons, and the structs that go in and
 * out.
 */
@NullMarked
package dev.faultline.kvm;

import org.jspecify.annotations.NullMarked;
