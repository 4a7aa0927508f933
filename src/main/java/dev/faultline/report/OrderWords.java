package dev.faultline.report;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.reorder.Deviation;
import dev.faultline.reorder.Edge;
import dev.faultline.reorder.Ending;
import dev.faultline.reorder.OutcomeClass;
import dev.faultline.reorder.Reordering;
import dev.faultline.reorder.Replay;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowCall;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Validity;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Outcomes of orders in words. */
final class OrderWords {
  private static final int MOST_FIELDS = 4;
  private static final int MOST_PAIRS = 3;

  private OrderWords() {}

  /** The call by the name that tells it apart from the others in the window. */
  static String name(Window window, WindowCall call) {
    long alike = window.calls().stream().filter(c -> c.ioctl() == call.ioctl()).count();
    return alike > 1 ? call.name() : call.ioctl().uapiName();
  }

  /** An outcome in a few words: {@code KVM_SET_SREGS refused with EINVAL; L2 runs}. */
  static String outcome(Window window, OutcomeClass each) {
    List<String> words = new ArrayList<>();
    for (Deviation d : each.refused()) {
      words.add(deviation(window, d));
    }
    if (each.works()) {
      words.add("every call accepted, the same state");
    } else {
      words.add(state(each.differing()));
    }
    for (Deviation d : each.ending().refused()) {
      words.add("then " + deviation(window, d));
    }
    String run = ending(each.ending());
    if (!run.isEmpty()) {
      words.add(run);
    }
    return String.join("; ", words);
  }

  private static String state(List<String> differing) {
    return differing.isEmpty() ? "the same state" : "another state: " + fields(differing);
  }

  /** {@code 12 fields (sregs.cr0, sregs.cr3, sregs.cr4, …)}. */
  static String fields(List<String> names) {
    String some = names.stream().limit(MOST_FIELDS).collect(Collectors.joining(", "));
    return VerificationText.count(names.size(), "field", "fields")
        + " ("
        + some
        + (names.size() > MOST_FIELDS ? ", …)" : ")");
  }

  /** {@code KVM_SET_SREGS refused with EINVAL}. */
  static String deviation(Window window, Deviation d) {
    String name = name(window, d.call());
    return switch (d.answer()) {
      case Outcome.Refused r ->
          name + " refused with " + r.errno().name() + " (" + r.check().id() + ")";
      case Outcome.Undecided _ -> "cannot tell what " + name + " answers";
      case Outcome.Returns r when d.call().command() instanceof VcpuCommand.SetMsrs set ->
          name + stop(set, r) + (r.stopped() == null ? "" : " (" + r.stopped().id() + ")");
      case Outcome.Returns r -> name + " returns " + r.value();
      case Outcome.Succeeds _, Outcome.Exits _, Outcome.Runs _ -> name + " succeeds";
    };
  }

  /** {@code stops at IA32_VMX_BASIC, after 92 of 106 entries}. */
  private static String stop(VcpuCommand.SetMsrs set, Outcome.Returns r) {
    String entries = r.value() + " of " + set.msrs().count() + " entries";
    return r.value() < set.msrs().held()
        ? " stops at " + Msr.name(set.msrs().index((int) r.value())) + ", after " + entries
        : " writes " + entries;
  }

  /** How the KVM_RUN begins, or nothing when there is none. */
  static String ending(Ending ending) {
    return switch (ending.run()) {
      case null -> "";
      case Outcome.Runs r when r.fault() != null -> "TRIPLE_FAULT for L1 at the next VM-Enter";
      case Outcome.Runs _ -> runs(ending);
      case Outcome.Exits e -> e.exit().name();
      case Outcome.Refused r when r.errno() == Errno.EINTR -> "KVM_RUN returns with EINTR";
      case Outcome.Refused r -> "KVM_RUN fails with " + r.errno().name();
      case Outcome.Undecided u -> "cannot tell how KVM_RUN begins: " + u.missing();
      case Outcome.Returns _, Outcome.Succeeds _ -> "KVM_RUN returns";
    };
  }

  private static String runs(Ending ending) {
    if (ending.smm().isYes()) {
      return "the SMM handler runs";
    }
    return switch (ending.l2()) {
      case YES -> "L2 runs";
      case NO -> "L1 runs";
      case CANNOT_TELL -> "the guest runs";
    };
  }

  /** The check that refuses or ends something, or null. */
  static @Nullable Check check(@Nullable Outcome outcome) {
    return switch (outcome) {
      case Outcome.Refused r -> r.check();
      case Outcome.Exits e -> e.check();
      case Outcome.Returns r -> r.stopped();
      case Outcome.Runs r when r.fault() != null -> r.fault().failed();
      case null -> null;
      case Outcome.Runs _, Outcome.Succeeds _, Outcome.Undecided _ -> null;
    };
  }

  /** Why one call must come before another. */
  static String because(Window window, Edge edge) {
    Edge.Reason reason = edge.reason();
    if (!edge.direct()) {
      return "it follows from the others";
    }
    if (reason == null) {
      return "no order works otherwise";
    }
    List<String> words = new ArrayList<>();
    for (Deviation d : reason.refused()) {
      Check check = check(d.answer());
      words.add(
          deviation(window, d)
              + (check == null
                  ? ""
                  : ": " + CheckWords.rule(check) + " [" + CheckWords.function(check) + "]"));
    }
    if (words.isEmpty() && reason.ending().isFault()) {
      Check check = check(reason.ending().run());
      words.add(ending(reason.ending()) + (check == null ? "" : ", " + CheckWords.sentence(check)));
    }
    if (words.isEmpty() || reason.refused().isEmpty()) {
      words.add(reason.fields().isEmpty() ? ending(reason.ending()) : differ(reason.fields()));
    }
    return "otherwise " + String.join("; ", words);
  }

  private static String differ(List<String> names) {
    return fields(names) + (names.size() == 1 ? " differs" : " differ");
  }

  /** One paragraph on orders that do not work. */
  static String explanation(Reordering result, OutcomeClass each) {
    Window window = result.window();
    List<String> sentences = new ArrayList<>();
    String opening = opening(result, each);
    Replay replay = Replay.of(window, each.witness());
    if (each.refused().isEmpty()) {
      sentences.add(opening + " every call is accepted.");
    } else {
      List<String> refusals = new ArrayList<>();
      for (Deviation d : each.refused()) {
        refusals.add(refusal(window, d));
      }
      sentences.add(opening + " " + String.join("; ", refusals) + ".");
    }
    if (!each.differing().isEmpty()) {
      sentences.add("The vCPU comes to another state, in which " + differ(each.differing()) + ".");
    }
    sentences.addAll(after(window, each, replay));
    return String.join(" ", sentences);
  }

  private static String opening(Reordering result, OutcomeClass each) {
    if (each.orders().equals(result.covered())) {
      return "In every order";
    }
    if (each.always().isEmpty()) {
      return "In some orders, such as " + witness(result.window(), each.witness()) + ",";
    }
    List<String> pairs = new ArrayList<>();
    for (OutcomeClass.Pair pair : each.always()) {
      if (pairs.size() < MOST_PAIRS) {
        pairs.add(
            name(result.window(), result.window().calls().get(pair.before()))
                + " comes before "
                + name(result.window(), result.window().calls().get(pair.after())));
      }
    }
    return "If " + String.join(" and ", pairs) + ", then";
  }

  private static String refusal(Window window, Deviation d) {
    Check check = check(d.answer());
    if (check != null) {
      String ends =
          d.answer() instanceof Outcome.Returns r
                  && d.call().command() instanceof VcpuCommand.SetMsrs set
              ? stop(set, r)
              : " is refused with "
                  + (d.answer() instanceof Outcome.Refused r ? r.errno().name() : "an error");
      return name(window, d.call())
          + ends
          + " because "
          + check.id()
          + " fails: "
          + CheckWords.rule(check)
          + " ["
          + CheckWords.function(check)
          + "]";
    }
    return deviation(window, d);
  }

  private static List<String> after(Window window, OutcomeClass each, Replay replay) {
    List<String> sentences = new ArrayList<>();
    for (Deviation d : each.ending().refused()) {
      sentences.add("Afterwards " + refusal(window, d) + ".");
    }
    Outcome run = each.ending().run();
    if (run == null) {
      return sentences;
    }
    String begins = "At the KVM_RUN after it: " + ending(each.ending());
    Check check = check(run);
    if (run instanceof Outcome.Runs r && r.fault() != null) {
      begins += ", because " + fault(window, r.fault(), replay.entered());
    } else if (check != null) {
      begins += ", because " + CheckWords.sentence(check);
    }
    sentences.add(begins + ".");
    return sentences;
  }

  private static String fault(
      Window window, TimelineEvent.TripleFaultSynthesized fault, Vcpu entered) {
    if (fault.failed() == null) {
      return fault.cause() == FaultCause.NO_PAGE_ROOT
          ? "the root of L2's page tables lies in no memory slot"
          : "a triple fault was requested";
    }
    String text = "L2's state fails " + CheckWords.sentence(fault.failed());
    String field = Validity.blamedField(fault.failed());
    if (field == null) {
      return text;
    }
    Tracked sregs = entered.registers().sregs();
    int writer = sregs.writer(sregs.layout().indexOf(field));
    for (WindowCall call : window.calls()) {
      if (call.command().moment() == writer) {
        return text + "; " + field + " was last written by " + call.name();
      }
    }
    return text;
  }

  /** An order as sequence numbers. */
  static String witness(Window window, List<Integer> order) {
    return order.stream()
        .map(call -> Long.toString(window.calls().get(call).seq()))
        .collect(Collectors.joining(" "));
  }
}
