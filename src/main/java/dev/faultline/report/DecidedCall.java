package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Words;
import dev.faultline.vcpu.Outcome;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What came of a call that nobody made, ready to be told.
 *
 * @param moment its first moment
 * @param outcome what KVM's rules say
 * @param ret what is taken as returned, supposed where the rules cannot tell
 */
public record DecidedCall(
    String timeline,
    String lane,
    Ioctl ioctl,
    int moment,
    long seq,
    Outcome outcome,
    int ret,
    int errno) {

  /** A line, and one more where KVM makes a TRIPLE_FAULT. */
  public void text(PrintWriter out) {
    String returned =
        switch (outcome) {
          case Outcome.Returns _, Outcome.Succeeds _, Outcome.Refused _ ->
              " = " + returned() + because();
          case Outcome.Exits _ -> " = 0 " + Words.outcome(outcome) + because();
          case Outcome.Runs _ -> "  the guest runs; how it comes back, nobody can tell";
          case Outcome.Undecided u ->
              " = " + returned() + "  supposed, since it hangs on " + u.missing();
        };
    out.println("? " + place(moment) + " " + ioctl.uapiName() + returned);
    if (outcome instanceof Outcome.Runs runs && runs.fault() != null) {
      out.println(
          "* "
              + place(moment + 1)
              + "   "
              + Words.outcome(outcome)
              + ", synthesized  "
              + (because().isEmpty() ? Words.because(outcome) : because().strip()));
    }
  }

  private String place(int at) {
    return String.format(Locale.ROOT, "%6d %6d  %-10s", at, seq, lane);
  }

  private String returned() {
    Errno known = Errno.of(errno);
    return ret >= 0 ? Integer.toString(ret) : "-1 " + (known == null ? errno : known.name());
  }

  private String because() {
    Check check = check();
    return check == null ? "" : "  " + CheckWords.sentence(check);
  }

  private @Nullable Check check() {
    return switch (outcome) {
      case Outcome.Returns r -> r.stopped();
      case Outcome.Refused r -> r.check();
      case Outcome.Exits e -> e.check();
      case Outcome.Runs r -> r.fault() == null ? null : r.fault().failed();
      case Outcome.Succeeds _, Outcome.Undecided _ -> null;
    };
  }

  /** The same for programs; {@code ret} and {@code errno} are null where nobody can tell them. */
  public void json(PrintWriter out) throws IOException {
    Check check = check();
    try (JsonGenerator json = Json.document(out, 1)) {
      json.writeStartObject();
      json.writeStringField("timeline", timeline);
      json.writeStringField("lane", lane);
      json.writeStringField("ioctl", ioctl.uapiName());
      json.writeNumberField("moment", moment);
      json.writeNumberField("seq", seq);
      json.writeStringField("outcome", Words.outcome(outcome));
      json.writeStringField("because", Words.because(outcome));
      if (outcome instanceof Outcome.Runs) {
        json.writeNullField("ret");
        json.writeNullField("errno");
      } else {
        json.writeNumberField("ret", ret);
        json.writeNumberField("errno", errno);
      }
      Json.text(json, "check", check == null ? null : check.id());
      json.writeBooleanField(
          "tripleFault", outcome instanceof Outcome.Runs runs && runs.fault() != null);
      json.writeBooleanField("supposed", outcome instanceof Outcome.Undecided);
      json.writeEndObject();
    }
    out.println();
  }
}
