package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VmCommand;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** What a source that shows calls without payloads leaves unknown. */
final class UnseenPayloadScenario {
  private final Reexecution reexecution =
      new Reexecution("unseen", KernelModel.defaults(), TimelineListener.NONE);
  private long seq;

  private Observation.Call call(
      FdKind kind, Ioctl ioctl, int ret, int errno, Observation.Payload payload, int exit) {
    seq++;
    return new Observation.Call(
        seq,
        seq,
        seq,
        new Observation.Caller(1, 1),
        new Observation.Target(
            kind == FdKind.VCPU ? 5 : kind == FdKind.VM ? 4 : 3,
            kind.name().toLowerCase(Locale.ROOT),
            kind == FdKind.VCPU ? "vm1/vcpu0" : kind == FdKind.VM ? "vm1" : "kvm"),
        new Observation.Request(ioctl.number(), ioctl.uapiName(), 0),
        new Observation.Result(ret, errno),
        payload,
        exit < 0
            ? Observation.Traced.ABSENT
            : new Observation.Traced(
                List.of(new TraceEvent.UserspaceExit(seq, "KVM_EXIT_IO", exit)),
                TraceCoverage.PARTIAL),
        "unseen.strace:" + seq);
  }

  private Recorded accept(FdKind kind, Ioctl ioctl, int ret, Observation.Payload payload) {
    Recorded fact =
        RecordedCalls.convert(call(kind, ioctl, ret, 0, payload, -1), reexecution.nextMoment());
    reexecution.accept(fact);
    return fact;
  }

  private Vcpu vcpu() {
    Vcpu v = reexecution.vcpus().get("vm1/vcpu0");
    assertThat(v).isNotNull();
    return v;
  }

  private void createVcpu() {
    accept(FdKind.SYSTEM, Ioctl.CREATE_VM, 4, Observation.Payload.NONE);
    accept(FdKind.VM, Ioctl.CREATE_VCPU, 5, Observation.Payload.NONE);
    accept(
        FdKind.VCPU,
        Ioctl.SET_REGS,
        0,
        new Observation.Payload(
            KvmRegs.zero().raw(), Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Observation.Extras.NONE));
  }

  @Test
  void a_write_whose_payload_was_not_recorded_leaves_its_group_unknown_and_diverges_from_nothing() {
    createVcpu();
    assertThat(vcpu().registers().regs().knows(0)).isTrue();
    Recorded fact = accept(FdKind.VCPU, Ioctl.SET_REGS, 0, Observation.Payload.UNSEEN);
    assertThat(((Recorded.VcpuCall) fact).command()).isInstanceOf(VcpuCommand.Unseen.class);
    assertThat(vcpu().registers().regs().knows(0)).isFalse();
    assertThat(reexecution.result().divergences()).isEmpty();
  }

  @Test
  void a_run_of_which_only_the_exit_is_told_makes_everything_stale_and_keeps_the_exit() {
    createVcpu();
    Observation.Call run =
        call(
            FdKind.VCPU, Ioctl.RUN, 0, 0, Observation.Payload.UNSEEN, KvmExit.KVM_EXIT_IO.number());
    Recorded fact = RecordedCalls.convert(run, reexecution.nextMoment());
    reexecution.accept(fact);
    VcpuCommand command = ((Recorded.VcpuCall) fact).command();
    assertThat(command).isInstanceOf(VcpuCommand.Unseen.class);
    assertThat(((VcpuCommand.Unseen) command).exit()).isEqualTo(KvmExit.KVM_EXIT_IO);
    assertThat(vcpu().registers().regs().knows(0)).isFalse();
    assertThat(reexecution.result().runs().total()).isEqualTo(1);
    assertThat(reexecution.result().divergences()).isEmpty();
  }

  @Test
  void a_read_whose_payload_was_not_recorded_changes_nothing_that_is_known() {
    createVcpu();
    accept(FdKind.VCPU, Ioctl.GET_REGS, 0, Observation.Payload.UNSEEN);
    assertThat(vcpu().registers().regs().knows(0)).isTrue();
    assertThat(reexecution.result().divergences()).isEmpty();
  }

  @Test
  void a_capability_that_nobody_knows_leaves_open_whether_the_triple_fault_event_is_enabled() {
    createVcpu();
    assertThat(vcpu().vm().settings().tripleFaultEvent()).isEqualTo(Answer.NO);
    Recorded fact = accept(FdKind.VM, Ioctl.ENABLE_CAP, 0, Observation.Payload.UNSEEN);
    assertThat(((Recorded.VmCall) fact).command()).isInstanceOf(VmCommand.Unseen.class);
    accept(FdKind.VCPU, Ioctl.GET_REGS, 0, Observation.Payload.UNSEEN);
    assertThat(vcpu().vm().settings().tripleFaultEvent()).isEqualTo(Answer.CANNOT_TELL);
  }
}
