package dev.faultline.audit;

import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One call on a vCPU with what the model says of it.
 *
 * @param before the vCPU before the call; null if it was not seen before
 * @param after the vCPU after it
 * @param predicted what the model says that the call answers
 * @param events what happened inside a KVM_RUN, and what the model added
 */
record Step(
    Scene scene,
    VcpuTrack vcpu,
    Call call,
    Recorded.VcpuCall fact,
    @Nullable Vcpu before,
    Vcpu after,
    @Nullable Outcome predicted,
    List<TimelineEvent> events) {

  VmTrack vm() {
    return vcpu.vm();
  }
}
