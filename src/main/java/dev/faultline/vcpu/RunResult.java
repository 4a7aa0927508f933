package dev.faultline.vcpu;

import dev.faultline.kvm.KvmRun;

/**
 * How a KVM_RUN ended, as recorded.
 *
 * @param ret the return value
 * @param errno the error number when {@code ret} is -1, else 0
 * @param run the shared page after the call
 * @param ranGuest whether guest code, or KVM's emulation of it, may have run
 * @param ranL1 whether L1 may have run
 * @param traced whether tracepoints tell what happened inside
 */
public record RunResult(
    int ret, int errno, KvmRun run, Answer ranGuest, Answer ranL1, boolean traced) {}
