package dev.faultline.timeline;

import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vmx.GuestStateCheck;
import org.jspecify.annotations.Nullable;

/**
 * An exit that KVM made by its own rules, without any hardware exit.
 *
 * @param moment where in the timeline
 * @param seq the recording's sequence number of the KVM_RUN
 * @param vcpu the vCPU
 * @param cause why
 * @param failed the first guest-state check that fails, if that is the cause and known
 * @param field the field that the check blames, e.g. {@code tr.unusable}
 * @param writer the moment that wrote the field last, or a negative number
 * @param writerSeq the sequence number of that call, or a negative number
 * @param writerIoctl the ioctl that wrote the field last, or an empty text
 * @param confirmed whether a tracepoint shows the exit; cannot tell without a trace
 */
public record Synthesized(
    int moment,
    long seq,
    String vcpu,
    FaultCause cause,
    @Nullable GuestStateCheck failed,
    @Nullable String field,
    int writer,
    long writerSeq,
    String writerIoctl,
    Answer confirmed) {

  /** The exit reason that L1 sees. */
  public String kind() {
    return "TRIPLE_FAULT";
  }
}
