package dev.faultline.vcpu;

import dev.faultline.kvm.KvmRun;

/**
 * What userspace hands to KVM_RUN.
 *
 * @param arg the ioctl's argument, which must be zero
 * @param run the shared page before the call
 */
public record RunInput(long arg, KvmRun run) {}
