package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmRun;
import dev.faultline.timeline.Verification.Tally;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RunInput;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.VcpuCommand;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** A KVM_RUN with EIO that nothing explains: what later calls of other vCPUs say about it. */
final class LaterCallsTest {
  private static final String FIRST = "vm1/vcpu0";
  private static final String SECOND = "vm1/vcpu1";
  private static final int EIO = Errno.EIO.number();

  private final List<Divergence> heard = new ArrayList<>();
  private final Reexecution replay =
      new Reexecution(
          "test",
          KernelModel.defaults(),
          new TimelineListener() {
            @Override
            public void divergence(Divergence divergence) {
              heard.add(divergence);
            }
          });
  private int seq;

  private void run(String vcpu, int ret, int errno) {
    KvmRun page = KvmRun.zero();
    VcpuCommand.Run command = new VcpuCommand.Run(replay.nextMoment(), new RunInput(0, page));
    RunResult result =
        new RunResult(ret, errno, page, Answer.CANNOT_TELL, Answer.CANNOT_TELL, false);
    accept(vcpu, command, ret, errno, new Recorded.Run(result, List.of(), false, null));
  }

  private void setTscKhz(String vcpu, int ret, int errno) {
    accept(vcpu, new VcpuCommand.SetTscKhz(replay.nextMoment(), 1), ret, errno, null);
  }

  private void accept(
      String vcpu, VcpuCommand command, int ret, int errno, Recorded.@Nullable Run run) {
    seq++;
    replay.accept(
        new Recorded.VcpuCall(
            seq,
            seq,
            "x:" + seq,
            "vm1",
            vcpu,
            9,
            command,
            ret,
            errno,
            Bytes.EMPTY,
            null,
            List.of(),
            run,
            false));
  }

  private static Tally tally(long total, long compared, long agree) {
    return new Tally(total, compared, agree);
  }

  /** A VM that lives, a KVM_RUN (seq 2) that says that it died, and a call that denies it. */
  private void deadOrNot() {
    setTscKhz(FIRST, 0, 0);
    run(FIRST, -1, EIO);
    setTscKhz(SECOND, 0, 0);
  }

  @Test
  void a_run_that_another_vcpu_contradicts_is_counted_for_its_own_vcpu() {
    deadOrNot();
    setTscKhz(SECOND, 0, 0);

    Verification first = replay.result(FIRST::equals);
    assertThat(first.runs()).isEqualTo(tally(1, 1, 0));
    assertThat(first.calls()).isEqualTo(tally(1, 1, 1));
    assertThat(first.divergences()).extracting(Divergence::seq).containsExactly(2L);
    assertThat(replay.divergencesFound(FIRST::equals)).isEqualTo(1);
    Verification second = replay.result(SECOND::equals);
    assertThat(second.runs()).isEqualTo(Tally.ZERO);
    assertThat(second.calls()).isEqualTo(tally(2, 2, 2));
    assertThat(second.divergences()).isEmpty();
    assertThat(replay.divergencesFound(SECOND::equals)).isZero();
  }

  @Test
  void asking_for_the_result_decides_nothing() {
    deadOrNot();
    // Should nothing follow, the KVM_RUN is the one that is told wrongly.
    Verification soFar = replay.result();
    assertThat(soFar.divergences()).extracting(Divergence::seq).containsExactly(2L);
    assertThat(soFar.runs()).isEqualTo(tally(1, 1, 0));
    assertThat(replay.result()).isEqualTo(soFar);
    assertThat(heard).isEmpty();

    setTscKhz(SECOND, -1, EIO);
    // Two of three say that the VM is dead.
    assertThat(replay.result().divergences()).extracting(Divergence::seq).containsExactly(3L);
    assertThat(replay.result().runs()).isEqualTo(tally(1, 0, 0));
    assertThat(heard).extracting(Divergence::seq).containsExactly(3L);
  }

  @Test
  void the_end_tells_once_what_waited_for_more() {
    deadOrNot();
    Verification before = replay.result();

    replay.end();
    replay.end();

    assertThat(heard).extracting(Divergence::seq).containsExactly(2L);
    assertThat(replay.result()).isEqualTo(before);
  }

  @Test
  void a_fork_keeps_the_suspicion() {
    deadOrNot();
    Reexecution fork = replay.fork(TimelineListener.NONE);

    replay.end();

    assertThat(fork.result()).isEqualTo(replay.result());
    assertThat(fork.divergencesFound(FIRST::equals)).isZero();
  }
}
