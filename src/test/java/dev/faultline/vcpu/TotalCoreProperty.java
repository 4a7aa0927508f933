package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.faultline.Bytes;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Whatever is called on whatever vCPU, the core answers: it neither throws nor hangs, and what it
 * decides can be carried out.
 *
 * <p>{@code -Dfaultline.core.lives=N} follows N vCPUs.
 */
final class TotalCoreProperty {
  private static final long SEED = 20261127;
  private static final int LIVES = Integer.getInteger("faultline.core.lives", 400);
  private static final int STEPS = 60;

  private static void live(long seed) {
    AnyCommand any = new AnyCommand(new SplittableRandom(seed));
    Vcpu v = any.state();
    String last = "the first state";
    try {
      for (int m = 1; m <= STEPS; m++) {
        VcpuCommand command = any.command(m);
        last = "step " + m + ", " + command.getClass().getSimpleName();
        Decision decision = VcpuModel.decide(v, command);
        assertThat(decision.outcome()).as(last).isNotNull();
        Reply reply = decision.reply();
        if (reply != null) {
          readable(reply);
        }
        VcpuModel.learn(v.vm().host(), v, command, any.ret(), Bytes.EMPTY);
        VcpuModel.stopped(v, command, any.ret());
        for (TimelineEvent event : decision.events()) {
          v = VcpuModel.evolve(v, event);
        }
        TimelineEvent event = any.event(m, reply);
        last = "step " + m + ", " + event.getClass().getSimpleName();
        v = VcpuModel.evolve(v, event);
        VmCommand vm = any.vmCommand(m);
        last = "step " + m + ", VM " + vm.getClass().getSimpleName();
        VmRules.Result result = VmRules.decide(v.vm(), vm);
        v = v.withVm(m % 3 == 0 ? VmRules.doubted(v.vm(), vm) : result.after().withDead(Answer.NO));
      }
    } catch (RuntimeException | Error e) {
      fail("seed " + seed + ", " + last, e);
    }
  }

  private static void readable(Reply reply) {
    for (int f = 0; f < reply.count(); f++) {
      if (reply.known(f)) {
        reply.predicted(f);
        assertThat(reply.name(f)).isNotEmpty();
      }
    }
  }

  @Test
  @Timeout(value = 300, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void no_command_and_no_event_is_too_much() {
    for (int i = 0; i < LIVES; i++) {
      live(SEED + i);
    }
  }
}
