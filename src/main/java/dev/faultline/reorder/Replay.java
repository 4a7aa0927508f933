package dev.faultline.reorder;

import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vcpu;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One order, carried out call by call.
 *
 * @param order positions in the window; a call may be missing, or be made twice
 * @param answers what the calls answer, in this order
 * @param reached the vCPU after the last of them
 * @param tail what the calls after them answer
 * @param run how the KVM_RUN begins, or null when there is none
 * @param entered the vCPU at that KVM_RUN
 */
public record Replay(
    List<Integer> order,
    List<Outcome> answers,
    Vcpu reached,
    List<Outcome> tail,
    @Nullable Outcome run,
    Vcpu entered) {
  public Replay {
    order = List.copyOf(order);
    answers = List.copyOf(answers);
    tail = List.copyOf(tail);
  }

  /**
   * The calls of a window in this order, then what follows it.
   *
   * @param order positions in the window
   */
  public static Replay of(Window window, List<Integer> order) {
    return of(window, order, excuses(window));
  }

  static Replay of(Window window, List<Integer> order, @Nullable String[] excused) {
    Vcpu v = window.start();
    List<Outcome> answers = new ArrayList<>();
    for (int call : order) {
      Step step = Step.of(v, window.calls().get(call), excused[call]);
      answers.add(step.outcome());
      v = step.after();
    }
    return ended(window, order, answers, v, excused);
  }

  /** What follows when the calls have answered so, and led to this vCPU. */
  static Replay ended(
      Window window,
      List<Integer> order,
      List<Outcome> answers,
      Vcpu reached,
      @Nullable String[] excused) {
    Vcpu v = reached;
    List<Outcome> tail = new ArrayList<>();
    for (int i = 0; i < window.tail().size(); i++) {
      Step step = Step.of(v, window.tail().get(i), excused[window.size() + i]);
      tail.add(step.outcome());
      v = step.after();
    }
    WindowCall run = window.run();
    Outcome ending = run == null ? null : Step.of(v, run, excused[excused.length - 1]).outcome();
    return new Replay(order, answers, reached, tail, ending, v);
  }

  /** What the model misses about each call in the recorded order: calls, tail, KVM_RUN. */
  static @Nullable String[] excuses(Window window) {
    List<WindowCall> all = all(window);
    @Nullable String[] excused = new String[all.size()];
    Vcpu v = window.start();
    for (int i = 0; i < excused.length; i++) {
      WindowCall call = all.get(i);
      boolean run = window.run() != null && i == excused.length - 1;
      if (!run) {
        excused[i] = Step.missing(v, call);
        v = Step.of(v, call, excused[i]).after();
      }
    }
    return excused;
  }

  /** The calls, those of the tail, and the KVM_RUN. */
  static List<WindowCall> all(Window window) {
    List<WindowCall> all = new ArrayList<>(window.calls());
    all.addAll(window.tail());
    WindowCall run = window.run();
    if (run != null) {
      all.add(run);
    }
    return all;
  }

  /** What a call of the window answers; the last time, if it is made twice. */
  public Outcome answerOf(int call) {
    return answers.get(order.lastIndexOf(call));
  }

  /** How the KVM_RUN begins, without a word on the calls before it. */
  Ending ending(List<Deviation> refused) {
    return new Ending(refused, run, l2(entered), entered.inSmm());
  }

  static Answer l2(Vcpu v) {
    return v.inGuestMode();
  }
}
