package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.timeline.Timelines.Timeline;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Replay from a checkpoint and the rest is replay from the start, wherever the checkpoint stands:
 * the same verification, and every vCPU the same to the last writer of the last field.
 */
final class CheckpointLawConformance {
  /** So many checkpoints a recording; all there can be in a short one. */
  private static final int CHECKPOINTS = 12;

  static List<Timeline> shipped() throws IOException {
    try (Stream<Path> folders = Files.list(Path.of("timelines"))) {
      return folders.map(p -> p.getFileName().toString()).sorted().map(Timelines::shipped).toList();
    }
  }

  /** Everything that is known of the vCPUs, in words. */
  private static String all(Reexecution replay) {
    StringBuilder text = new StringBuilder();
    for (Vcpu v : replay.vcpus().values()) {
      text.append(v.name()).append(' ').append(v.id()).append('\n');
      text.append(v.vm().dead()).append(v.vm().irqchip()).append(v.vm().settings());
      text.append(v.vm().vcpuIds()).append(v.vm().slots()).append('\n');
      text.append(v.registers().emulation()).append(v.progress()).append('\n');
      text.append(v.nested().mode()).append(v.nested().svm().gif()).append('\n');
      text.append(v.platform().cpuidSet()).append(v.platform().tscKhz()).append('\n');
      for (Tracked tracked :
          List.of(
              v.registers().regs(),
              v.registers().sregs(),
              v.registers().debugregs(),
              v.registers().xcrs(),
              v.registers().xsave(),
              v.events(),
              v.nested().header(),
              v.nested().vmcs12(),
              v.nested().shadowVmcs12(),
              v.nested().svm().header(),
              v.nested().svm().vmcb(),
              v.platform().lapic(),
              v.platform().mpState())) {
        fields(text, tracked);
      }
      msrs(text, v.platform().msrs());
    }
    return text.toString();
  }

  private static void fields(StringBuilder text, Tracked tracked) {
    for (int f = 0; f < tracked.layout().count(); f++) {
      text.append(tracked.knows(f) ? '=' : '?').append(Long.toHexString(tracked.value(f)));
      text.append('@').append(tracked.writer(f)).append(' ');
    }
    text.append('\n');
  }

  private static void msrs(StringBuilder text, MsrState msrs) {
    for (int i = 0; i < msrs.size(); i++) {
      text.append(Integer.toHexString(msrs.indexAt(i))).append(msrs.knowsAt(i) ? '=' : '?');
      text.append(Long.toHexString(msrs.valueAt(i))).append('@').append(msrs.writerAt(i));
      text.append(' ');
    }
    text.append('\n');
  }

  @ParameterizedTest
  @MethodSource("shipped")
  void a_checkpoint_and_the_rest_is_replay_from_the_start(Timeline timeline) {
    Reexecution whole = timeline.start();
    timeline.feed(whole, 0);
    Verification expected = whole.result();
    String state = all(whole);
    int size = timeline.observations().size();
    int stride = Math.max(1, size / CHECKPOINTS);

    Reexecution upToHere = timeline.start();
    for (int k = 0; k < size; k++) {
      if (k % stride == 0) {
        Reexecution rest = upToHere.fork(TimelineListener.NONE);
        timeline.feed(rest, k);
        assertThat(rest.result()).as("from checkpoint %d", k).isEqualTo(expected);
        assertThat(all(rest)).as("vCPUs from checkpoint %d", k).isEqualTo(state);
        assertThat(rest.nextMoment()).isEqualTo(whole.nextMoment());
      }
      Timelines.tell(upToHere, timeline.observations().get(k));
    }
    assertThat(all(upToHere)).isEqualTo(state);
  }
}
