package dev.faultline.report;

import dev.faultline.timeline.Criterion;
import dev.faultline.timeline.Culprit;
import dev.faultline.timeline.PolicyMoment;
import dev.faultline.timeline.PolicyMoment.Judged;
import dev.faultline.timeline.PolicyMoment.Point;
import dev.faultline.timeline.PolicyReview;
import dev.faultline.timeline.PolicyReview.Score;
import dev.faultline.timeline.RunEnding;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Verdict;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;

/** What {@code policies} found, as text: the moments side by side, the scores, what happened. */
public final class PoliciesText implements PoliciesReport {
  /** How many moments are told of one recording. */
  public static final int MOST = 40;

  private static final int NARROW = 14;
  private static final int LABEL = 24;
  private static final String SHORT_DEFAULT = "synthesize";

  private final PrintWriter out;
  private final Ink ink;
  private boolean begun;

  public PoliciesText(PrintWriter out, Ink ink) {
    this.out = out;
    this.ink = ink;
  }

  @Override
  public void add(Compared compared) {
    PolicyReview r = compared.review();
    if (begun) {
      out.println();
    }
    begun = true;
    out.println(
        ink.strong(r.recording())
            + ": "
            + KernelWords.describe(r.kernel(), compared.kernelAsked()));
    List<PolicyMoment> disputed = r.moments().stream().filter(PolicyMoment::isDisputed).toList();
    if (disputed.isEmpty()) {
      out.println("  all policies do the same: L2 was never invalid, as far as it can be told");
    } else {
      moments(r, disputed);
    }
    out.println();
    scores(r);
    out.println();
    for (String sentence : story(r)) {
      out.println(sentence);
    }
  }

  @Override
  public void end() {
    out.flush();
  }

  private void moments(PolicyReview r, List<PolicyMoment> disputed) {
    out.println(
        "  "
            + VerificationText.count(disputed.size(), "moment", "moments")
            + " at which the policies differ");
    out.println();
    StringBuilder head =
        new StringBuilder(
            String.format(Locale.ROOT, "  %6s %-16s %-14s", "seq", "call", "KVM did"));
    for (Policy policy : r.policies()) {
      head.append(cell(shortLabel(policy)));
    }
    out.println(ink.faint(head.toString().stripTrailing()));
    for (PolicyMoment m : disputed.subList(0, Math.min(MOST, disputed.size()))) {
      moment(m);
    }
    if (disputed.size() > MOST) {
      out.println("  … and " + (disputed.size() - MOST) + " more (--format json shows all)");
    }
  }

  private void moment(PolicyMoment m) {
    StringBuilder line =
        new StringBuilder(
            String.format(Locale.ROOT, "  %6d %-16s %-14s", m.seq(), call(m), recorded(m)));
    for (Judged judged : m.verdicts()) {
      line.append(paint(judged, cell(words(judged))));
    }
    out.println(line.toString().stripTrailing());
    out.println(ink.faint("         " + why(m)));
  }

  private static String cell(String text) {
    return String.format(Locale.ROOT, " %-" + NARROW + "s", text);
  }

  private String paint(Judged judged, String text) {
    if (!judged.against().isEmpty()) {
      return ink.bad(text);
    }
    return judged.verdict() instanceof Verdict.Accept ? ink.faint(text) : text;
  }

  private static String shortLabel(Policy policy) {
    return policy instanceof Policy.SynthesizeTripleFault ? SHORT_DEFAULT : policy.label();
  }

  private static String call(PolicyMoment m) {
    return m.point() == Point.RSM ? "RSM" : m.call().replace("KVM_", "");
  }

  private static String recorded(PolicyMoment m) {
    return m.point() == Point.IOCTL ? "accepted" : m.recorded().word();
  }

  private static String words(Judged judged) {
    String word =
        switch (judged.verdict()) {
          case Verdict.Accept _ -> "-";
          case Verdict.RefuseIoctl r -> r.errno().name();
          case Verdict.RefuseRun r ->
              switch (r.ending()) {
                case EINVAL -> "EINVAL";
                case INTERNAL_ERROR -> "INT_ERROR";
                case DEAD_VM -> "EIO";
                case SHUTDOWN -> "SHUTDOWN";
              };
          case Verdict.TripleFault _ -> "TRIPLE_FAULT";
          case Verdict.Emulate _ -> "emulate";
          case Verdict.FixedUp _ -> "heal";
          case Verdict.CannotTell _ -> "?";
        };
    StringBuilder text = new StringBuilder(word);
    for (Criterion criterion : judged.against()) {
      text.append(' ').append(criterion);
    }
    return text.toString();
  }

  private static String why(PolicyMoment m) {
    String failed = m.failed() == null ? "which check fails is not known" : m.failed().id();
    String by =
        switch (m.culprit()) {
          case USER, GUEST -> "made so by " + m.culprit().words();
          case UNKNOWN -> "by whom is not known";
        };
    String writer = m.writerSeq() < 0 ? "" : " (seq " + m.writerSeq() + ")";
    String variant = m.variant().isEmpty() ? "" : " [" + m.variant() + "]";
    return m.vcpu() + ": " + failed + ", " + by + writer + variant;
  }

  private void scores(PolicyReview r) {
    out.println(
        ink.faint(
            String.format(
                Locale.ROOT,
                "  %-" + LABEL + "s %16s %8s %6s %12s",
                "policy",
                "false positives",
                "missed",
                "lost",
                "cannot tell")));
    for (int i = 0; i < r.policies().size(); i++) {
      Score s = r.score(i);
      String line =
          String.format(
              Locale.ROOT,
              "  %-" + LABEL + "s %16s %8d %6d %12d",
              s.policy().label(),
              falsePositives(r, i, s),
              s.missed(),
              s.lost(),
              s.open());
      out.println(s.isClean() ? line : ink.bad(line));
    }
  }

  private static String falsePositives(PolicyReview r, int policy, Score s) {
    if (s.falsePositives() == 0) {
      return "0";
    }
    StringBuilder text = new StringBuilder();
    for (Criterion criterion : List.of(Criterion.R1, Criterion.R2)) {
      long count = r.against(policy, criterion);
      if (count > 0) {
        text.append(text.isEmpty() ? "" : " + ").append(count).append(' ').append(criterion);
      }
    }
    return text.toString();
  }

  /** What the recording shows, in sentences. */
  private static List<String> story(PolicyReview r) {
    List<String> story = new ArrayList<>();
    stuffed(r, story);
    loaded(r, story);
    verdict(r, story);
    return story;
  }

  private static void stuffed(PolicyReview r, List<String> story) {
    long all = r.moments().stream().filter(m -> m.point() == Point.RUN).count();
    if (all > 0) {
      story.add(
          VerificationText.count(all, "KVM_RUN", "KVM_RUNs")
              + " began with an invalid L2; the recorded kernel: "
              + endings(r, Point.RUN)
              + ".");
    }
  }

  private static void loaded(PolicyReview r, List<String> story) {
    long all = r.moments().stream().filter(m -> m.point() == Point.RSM).count();
    if (all > 0) {
      long user = r.recorded(Point.RSM, Culprit.USER);
      story.add(
          "RSM returned to L2 with a state that hardware cannot run "
              + VerificationText.count(all, "time", "times")
              + (user > 0
                  ? " (" + user + " of them what userspace had stuffed before the SMI)"
                  : "")
              + "; the recorded kernel: "
              + endings(r, Point.RSM)
              + ". The commit means a TRIPLE_FAULT for L1; L1 got "
              + (r.ended(Point.RSM, RunEnding.TRIPLE_FAULT) == 0 ? "none." : "some."));
    }
    if (r.failedRsms() > 0) {
      story.add(
          VerificationText.count(r.failedRsms(), "RSM", "RSMs")
              + " to L2 failed for what else SMRAM held; no policy has a say in these.");
    }
    if (r.restores() > 0) {
      story.add(
          VerificationText.count(r.restores(), "vCPU was", "vCPUs were")
              + " restored from the saved state of another one with L2 active.");
    }
    for (int i = 0; i < r.policies().size(); i++) {
      long changed = r.changed().get(i);
      if (changed > 0) {
        story.add(
            "What "
                + r.policies().get(i).label()
                + " remembers came out of "
                + changed
                + " of them changed.");
      }
    }
  }

  private static String endings(PolicyReview r, Point point) {
    List<String> parts = new ArrayList<>();
    for (RunEnding ending : RunEnding.values()) {
      long count =
          r.moments().stream().filter(m -> m.point() == point && m.recorded() == ending).count();
      if (count > 0) {
        parts.add(ending.story() + " (" + count + ")");
      }
    }
    return String.join(", ", parts);
  }

  private static void verdict(PolicyReview r, List<String> story) {
    List<String> clean = new ArrayList<>();
    for (int i = 0; i < r.policies().size(); i++) {
      if (r.score(i).isClean() && r.score(i).open() == 0) {
        clean.add(r.policies().get(i).label());
      }
    }
    if (r.moments().isEmpty()) {
      return;
    }
    story.add(
        clean.isEmpty()
            ? "No policy is right at every moment here."
            : "Right at every moment here: " + String.join(", ", clean) + ".");
    missing(r, story);
    long errors = r.against(0, Criterion.R2);
    if (errors > 0) {
      story.add(
          r.policies().getFirst().label()
              + ", as this kernel has it, fails at "
              + errors
              + ": there a guest can make KVM_RUN fail.");
    }
  }

  /** What would have to be known to tell more. */
  private static void missing(PolicyReview r, List<String> story) {
    SequencedMap<String, Integer> missing = new LinkedHashMap<>();
    for (PolicyMoment m : r.moments()) {
      for (Judged judged : m.verdicts()) {
        if (judged.verdict() instanceof Verdict.CannotTell c) {
          missing.merge(c.missing(), 1, Integer::sum);
        }
      }
    }
    missing.forEach(
        (what, count) -> story.add("Not known, for " + count + " verdicts: " + what + "."));
  }
}
