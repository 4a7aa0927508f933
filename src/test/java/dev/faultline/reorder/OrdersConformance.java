package dev.faultline.reorder;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.faultline.ingest.RecordedWindows;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * From one recorded restore of a saved state, what every other recorded order of the same calls
 * answered: on real kernels, permutations, omissions and repetitions.
 */
final class OrdersConformance {
  private static final double LEAST = 0.999;

  /** What was predicted and how much of it came true. */
  private static final class Score {
    private int restores;
    private int predicted;
    private int answers;
    private int answersRight;
    private int runs;
    private int runsRight;
    private int laterEnded;
    private int alike;
    private int alikeRight;
    private final List<String> wrong = new ArrayList<>();

    @Override
    public String toString() {
      return predicted
          + " of "
          + restores
          + " restores predicted from another; answers "
          + answersRight
          + " of "
          + answers
          + ", KVM_RUN "
          + runsRight
          + " of "
          + runs
          + " (cannot tell "
          + laterEnded
          + " more, which KVM ended after the guest had run), as another order that comes to the"
          + " same state "
          + alikeRight
          + " of "
          + alike
          + "; "
          + wrong.stream().limit(12).toList();
    }
  }

  /** A restore that others are predicted from. */
  private record Reference(Window window, List<Object> keys) {}

  /** What followed a state. */
  private record Followed(Replay replay, Window reference, String ending) {}

  /** A command without its place in the recording. */
  static Object key(VcpuCommand command) {
    List<Object> values = new ArrayList<>(List.of(command.getClass()));
    try {
      for (RecordComponent part : command.getClass().getRecordComponents()) {
        if (!part.getName().equals("moment")) {
          part.getAccessor().setAccessible(true);
          values.add(part.getAccessor().invoke(command));
        }
      }
    } catch (ReflectiveOperationException e) {
      throw new LinkageError(e.getMessage(), e);
    }
    return values;
  }

  private static List<Object> keys(Window window) {
    return window.calls().stream().map(c -> key(c.command())).toList();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"vmx.*scn_e", "vmx.*scn_f", "svm/scn_[ef]", "fuzz/Z5-0[0-9]", "fuzz/Z5n-0[0-9]"})
  void one_recorded_restore_predicts_all_other_orders(String recordings, TestReporter out) {
    List<RecordingSource> found = RecordedWindows.recordings(recordings);
    assumeTrue(!found.isEmpty(), "not at hand");
    Score score = new Score();
    for (RecordingSource source : found) {
      List<Reference> references = new ArrayList<>();
      List<Followed> followed = new ArrayList<>();
      RecordedWindows.each(
          source,
          ioctl -> ioctl.uapiName().startsWith("KVM_SET_"),
          (window, run) -> predict(score, references, followed, window, run));
    }
    out.publishEntry(recordings, score.toString());
    assertThat(score.predicted).as(score.toString()).isGreaterThan(20);
    assertThat(score.laterEnded).as(score.toString()).isLessThanOrEqualTo(score.runs / 20);
    assertThat((double) score.answersRight / score.answers)
        .as(score.toString())
        .isGreaterThanOrEqualTo(LEAST);
    assertThat((double) score.runsRight / score.runs)
        .as(score.toString())
        .isGreaterThanOrEqualTo(LEAST);
    assertThat((double) score.alikeRight / score.alike)
        .as(score.toString())
        .isGreaterThanOrEqualTo(LEAST);
  }

  /** Also where the first calls of a restore lie before the window. */
  @ParameterizedTest
  @ValueSource(strings = {"qemu/qemu_.*", "vmx/state_test", "svm/state_test"})
  void recorded_calls_answer_as_recorded_wherever_a_window_begins(String recordings) {
    List<String> wrong = new ArrayList<>();
    for (RecordingSource source : RecordedWindows.recordings(recordings)) {
      RecordedWindows.each(
          source,
          ioctl -> ioctl.uapiName().startsWith("KVM_SET_"),
          (window, _) -> {
            Vcpu start = window.start();
            for (int from = 0; from < window.size(); from++) {
              List<WindowCall> calls = window.calls().subList(from, window.size());
              Window cut = new Window(start, calls, List.of(), window.tail(), window.run());
              for (int call : Reorder.disagreements(cut)) {
                wrong.add("from " + calls.getFirst().name() + ": " + calls.get(call).name());
              }
              start = Step.of(start, calls.getFirst(), null).after();
            }
          });
    }
    assertThat(wrong).isEmpty();
  }

  private static void predict(
      Score score,
      List<Reference> references,
      List<Followed> followed,
      Window window,
      Recorded.VcpuCall run) {
    score.restores++;
    List<Object> keys = keys(window);
    Reference reference =
        references.stream().filter(r -> r.keys().containsAll(keys)).findFirst().orElse(null);
    if (reference == null) {
      references.add(new Reference(window, keys));
      return;
    }
    score.predicted++;
    List<Integer> order = keys.stream().map(reference.keys()::indexOf).toList();
    Window asked =
        new Window(
            reference.window().start(),
            reference.window().calls(),
            List.of(),
            List.of(),
            new WindowCall(run.seq(), run.command(), run.ret(), run.errno()));
    Replay replay = Replay.of(asked, order);
    for (int i = 0; i < order.size(); i++) {
      WindowCall call = window.calls().get(i);
      score.answers++;
      if (Reorder.agrees(replay.answers().get(i), call)) {
        score.answersRight++;
      } else {
        score.wrong.add(call.name() + " " + call.ret() + " not " + replay.answers().get(i));
      }
    }
    if (replay.run() instanceof Outcome.Runs r && r.fault() == null && endsLater(run)) {
      score.laterEnded++;
    } else {
      score.runs++;
      if (ends(replay.run(), run)) {
        score.runsRight++;
      } else {
        score.wrong.add("KVM_RUN (seq " + run.seq() + ") " + ending(run) + " not " + replay.run());
      }
    }
    compareAlike(score, followed, reference, replay, run);
  }

  /** Orders that come to one state come to one ending. */
  @SuppressWarnings("ReferenceEquality") // The very same restore.
  private static void compareAlike(
      Score score,
      List<Followed> followed,
      Reference reference,
      Replay replay,
      Recorded.VcpuCall run) {
    String ending = ending(run);
    if (isInterrupted(run)) {
      return;
    }
    for (Followed other : followed) {
      if (other.reference() == reference.window() && same(other.replay(), replay)) {
        score.alike++;
        score.alikeRight += other.ending().equals(ending) ? 1 : 0;
        if (!other.ending().equals(ending)) {
          score.wrong.add("seq " + run.seq() + " " + ending + " alike " + other.ending());
        }
        return;
      }
    }
    followed.add(new Followed(replay, reference.window(), ending));
  }

  private static boolean same(Replay a, Replay b) {
    for (Cell cell : Cell.ALL) {
      if (!FieldDifferences.of(cell, cell.of(a.reached()), cell.of(b.reached())).isEmpty()) {
        return false;
      }
    }
    return true;
  }

  private static Recorded.Run inside(Recorded.VcpuCall run) {
    return Objects.requireNonNull(run.run());
  }

  private static String ending(Recorded.VcpuCall run) {
    KvmExit exit = inside(run).result().run().exit();
    return run.ret()
        + " "
        + Errno.of(run.errno())
        + " "
        + (run.ret() < 0 ? "" : exit)
        + (inside(run).firstExitInjected() ? " TRIPLE_FAULT" : "");
  }

  /** A timer of the program, which hits at another place each time. */
  private static boolean isInterrupted(Recorded.VcpuCall run) {
    return run.ret() < 0 && run.errno() == Errno.EINTR.number();
  }

  /** What the guest then did, such as RSM, is not for an order of ioctls to tell. */
  private static boolean endsLater(Recorded.VcpuCall run) {
    return run.ret() < 0 && !isInterrupted(run) && inside(run).result().ranGuest().isYes();
  }

  private static boolean ends(@Nullable Outcome predicted, Recorded.VcpuCall run) {
    boolean injected = inside(run).firstExitInjected();
    return switch (predicted) {
      case null -> false;
      case Outcome.Runs r ->
          r.fault() != null ? injected : !injected && (run.ret() >= 0 || isInterrupted(run));
      case Outcome.Exits e -> run.ret() == 0 && inside(run).result().run().exit() == e.exit();
      case Outcome.Refused r -> run.ret() < 0 && run.errno() == r.errno().number();
      case Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ -> false;
    };
  }
}
