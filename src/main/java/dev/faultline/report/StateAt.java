package dev.faultline.report;

import dev.faultline.timeline.MomentIndex;
import dev.faultline.vcpu.Vcpu;
import java.util.List;

/**
 * The vCPUs of a recording after one moment of its timeline.
 *
 * @param recording the recording's name
 * @param moment the moment
 * @param index what each moment up to this one is
 * @param vcpus the vCPUs that are asked for
 * @param closed names of those among them whose descriptor was closed before
 */
public record StateAt(
    String recording, int moment, MomentIndex index, List<Vcpu> vcpus, List<String> closed) {

  /** The recording's sequence number of the call at the moment. */
  long seq() {
    return index.seq(moment);
  }

  /** The moment in words, {@code moment 333, KVM_SET_SREGS (seq 31)}. */
  String describe() {
    return "moment " + moment + ", " + index.describe(moment);
  }
}
