package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.trace.Observation;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Verdict;
import dev.faultline.x86.SmramMap;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * The shipped scenario with the captures that a recorder would have made: where the host changed
 * SMRAM and RSM is the next instruction, what RSM loads is known.
 */
final class CapturedSmramScenario {
  private static final String BY_HOST = ",by host at SMM I/O exit";
  private static final Timelines.Timeline SCN_D = Timelines.shipped("scn_d");
  private static final List<Recorded> CAPTURED = captured();

  /** The scenario's facts, with a capture before each KVM_RUN in SMM. */
  private static List<Recorded> captured() {
    List<Recorded> facts = new ArrayList<>();
    Reexecution run = SCN_D.start();
    String variant = "";
    for (Observation o : SCN_D.observations()) {
      variant = RsmScenarioConformance.variant(o, variant);
      Recorded fact = RecordedCalls.convert(o, run.nextMoment());
      if (fact instanceof Recorded.VcpuCall call
          && call.run() != null
          && variant.endsWith(BY_HOST)) {
        Vcpu v = run.vcpus().get(call.vcpu());
        if (v != null && v.inSmm().isYes() && v.nested().mode().smmGuestMode().isYes()) {
          Bytes saved = SavedMaps.ofL2(v.nested().vmcs12());
          facts.add(
              new Recorded.SmramCapture(
                  call.seq(),
                  call.ns(),
                  call.where(),
                  call.vm(),
                  call.vcpu(),
                  RsmScenarioConformance.smbase(call.run()),
                  RsmScenarioConformance.changed(saved, variant)));
        }
      }
      facts.add(fact);
      run.accept(fact);
    }
    return List.copyOf(facts);
  }

  record Feed(List<RsmVerdict> verdicts, Verification result) {}

  private static Feed verified(KernelModel kernel) {
    List<RsmVerdict> verdicts = new ArrayList<>();
    Reexecution run =
        new Reexecution(
            SCN_D.name(),
            kernel,
            new TimelineListener() {
              @Override
              public void rsm(int moment, Recorded.VcpuCall call, RsmVerdict verdict) {
                verdicts.add(verdict);
              }
            });
    CAPTURED.forEach(run::accept);
    return new Feed(verdicts, run.result());
  }

  @Test
  void each_captured_rsm_is_judged_and_ends_as_said() {
    Feed feed = verified(SCN_D.kernel());
    assertThat(feed.verdicts()).hasSize(16);
    assertThat(feed.verdicts().stream().filter(v -> v.failed() != null)).hasSize(13);
    assertThat(feed.result().divergences()).isEmpty();
  }

  @Test
  void a_kernel_that_ends_another_way_is_found_out() {
    Feed feed = verified(SCN_D.kernel().withVersion(KernelVersion.V7_3));
    assertThat(feed.result().divergences().stream().map(Divergence::predicted))
        .contains("KVM_EXIT_SHUTDOWN");
  }

  @Test
  void intels_rsm_is_told_where_smram_is_known() {
    PolicyComparison comparison =
        new PolicyComparison(SCN_D.name(), SCN_D.kernel(), SCN_D.kernel(), Policy.all());
    CAPTURED.forEach(comparison::accept);
    List<PolicyMoment> moments =
        comparison.result(_ -> true).moments().stream()
            .filter(m -> m.point() == PolicyMoment.Point.RSM && m.variant().endsWith(BY_HOST))
            .toList();
    assertThat(moments).hasSize(8);
    assertThat(moments)
        .allSatisfy(m -> assertThat(intel(m)).isNotInstanceOf(Verdict.CannotTell.class));
    assertThat(moments.stream().filter(m -> m.variant().startsWith("ss sel RPL3")))
        .allSatisfy(m -> assertThat(intel(m)).isInstanceOf(Verdict.FixedUp.class));
    assertThat(moments.stream().filter(m -> m.variant().startsWith("tr attr=0")))
        .allSatisfy(m -> assertThat(intel(m)).isInstanceOf(Verdict.Emulate.class));
  }

  @Test
  void a_line_of_a_recording_becomes_a_capture_of_its_vcpu() {
    Bytes map = Bytes.zero(SmramMap.SIZE);
    Recorded capture =
        RecordedCalls.convert(
            new Observation.SmramCaptured(9, 5, 7, "vm2/vcpu1", 0x30000, map, "boot.jsonl:1"), 3);
    assertThat(capture)
        .isEqualTo(
            new Recorded.SmramCapture(9, 5, "boot.jsonl:1", "vm2", "vm2/vcpu1", 0x30000, map));
  }

  private static Verdict intel(PolicyMoment moment) {
    List<Policy> policies = Policy.all();
    for (int i = 0; i < policies.size(); i++) {
      if (policies.get(i) instanceof Policy.IntelRsm) {
        return moment.verdicts().get(i).verdict();
      }
    }
    throw new AssertionError("intel-rsm is one of the policies");
  }
}
