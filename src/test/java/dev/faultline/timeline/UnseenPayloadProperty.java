package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.timeline.Timelines.Timeline;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Extras;
import dev.faultline.trace.Observation.Holding;
import dev.faultline.trace.Observation.Payload;
import dev.faultline.vcpu.PageShown;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A trace of system calls holds less than a recording. What is taken out of a recording costs
 * comparisons, and never makes the model contradict the kernel.
 */
final class UnseenPayloadProperty {
  private static final int SEEDS = 6;

  @ParameterizedTest
  @ValueSource(
      strings = {"vmx_invalid_nested_guest_state", "state_test", "smm_test", "sync_regs_test"})
  void without_any_payload_nothing_is_contradicted_and_little_compared(String name) {
    Timeline whole = Timelines.shipped(name);

    Verification result = verify(whole, whole.observations().stream().map(this::bare).toList());

    assertThat(result.divergences()).isEmpty();
    assertThat(result.fields().compared()).isZero();
    assertThat(result.calls().total())
        .isEqualTo(verify(whole, whole.observations()).calls().total());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "vmx_invalid_nested_guest_state",
        "state_test",
        "smm_test",
        "sync_regs_test",
        "set_sregs_test",
        "vmx_set_nested_state_test",
        "triple_fault_event_test",
        "svm_state_test"
      })
  void with_some_payloads_taken_out_nothing_is_contradicted(String name) {
    Timeline whole = Timelines.shipped(name);
    for (int seed = 0; seed < SEEDS; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      List<Observation> holed = new ArrayList<>();
      for (Observation o : whole.observations()) {
        holed.add(random.nextInt(4) == 0 ? less(o, random) : o);
      }

      assertThat(verify(whole, holed).divergences()).as("%s, seed %d", name, seed).isEmpty();
    }
  }

  private static Verification verify(Timeline timeline, List<Observation> observations) {
    Reexecution reexecution = timeline.start();
    observations.forEach(o -> Timelines.tell(reexecution, o));
    return reexecution.result();
  }

  private Observation bare(Observation o) {
    return o instanceof Call call ? withPayload(call, Payload.UNSEEN) : o;
  }

  /** The call with no payload, or of KVM_RUN the exit reason only, or some fields of SREGS. */
  private static Observation less(Observation o, SplittableRandom random) {
    if (!(o instanceof Call call)) {
      return o;
    }
    if (call.name().equals(Ioctl.RUN.uapiName()) && random.nextBoolean() && call.ret() == 0) {
      Bytes page = KvmRun.zero().withExitReason(new KvmRun(call.runOut()).exitReason()).raw();
      return withPayload(
          call,
          new Payload(
              Bytes.EMPTY,
              Bytes.EMPTY,
              Bytes.EMPTY,
              page,
              Extras.NONE,
              new Holding(false, null, PageShown.EXIT_REASON)));
    }
    boolean sregs = call.name().endsWith("ET_SREGS");
    if (sregs && random.nextBoolean() && call.ret() == 0) {
      FieldSet fields = FieldSet.none(KvmSregs.LAYOUT.count());
      for (int f = 0; f < fields.size(); f++) {
        fields = random.nextBoolean() ? fields.with(f) : fields;
      }
      return withPayload(
          call,
          new Payload(
              call.in(), call.out(), Bytes.EMPTY, Bytes.EMPTY, Extras.NONE, Holding.of(fields)));
    }
    return withPayload(call, Payload.UNSEEN);
  }

  private static Call withPayload(Call call, Payload payload) {
    return new Call(
        call.seq(),
        call.enterNs(),
        call.exitNs(),
        call.caller(),
        call.target(),
        call.request(),
        call.result(),
        payload,
        call.traced(),
        call.where());
  }
}
