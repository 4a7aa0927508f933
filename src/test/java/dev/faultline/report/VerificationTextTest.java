package dev.faultline.report;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.report.VerificationReport.Verified;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.Synthesized;
import dev.faultline.timeline.Verification;
import dev.faultline.timeline.Verification.Tally;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vmx.GuestStateCheck;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The text about a verification, of made-up results. */
final class VerificationTextTest {

  private static Divergence field(int moment, String field, String recorded, String predicted) {
    return new Divergence(
        moment,
        moment,
        "vm1/vcpu0",
        "KVM_GET_SREGS",
        Divergence.What.FIELD,
        field,
        recorded,
        predicted,
        "last written by KVM_SET_SREGS (seq 3)",
        "a.jsonl:" + moment);
  }

  private static Synthesized synthesized(Answer confirmed) {
    return new Synthesized(
        40,
        32,
        "vm1/vcpu0",
        FaultCause.INVALID_GUEST_STATE,
        GuestStateCheck.TR_UNUSABLE,
        "tr.unusable",
        39,
        31,
        "KVM_SET_SREGS",
        confirmed);
  }

  private static Verified verified(
      Tally tally, List<Synthesized> synthesized, List<Divergence> divergences) {
    Verification verification =
        new Verification(
            "a", KernelModel.defaults(), tally, tally, tally, synthesized, divergences, 0);
    return new Verified(verification, divergences.size(), "", false);
  }

  private static String text(Verified verified, Ink ink) {
    StringWriter written = new StringWriter();
    PrintWriter out = new PrintWriter(written);
    VerificationText text = new VerificationText(out, ink, false);
    text.add(verified);
    text.end();
    return written.toString();
  }

  @Test
  void fields_of_one_payload_stand_below_one_heading_with_what_they_mean() {
    String text =
        text(
            verified(
                Tally.ZERO,
                List.of(),
                List.of(
                    field(7, "cr4", "0x2020", "0x20"),
                    field(7, "cs.type", "0xb", "0x9"),
                    field(8, "cr3", "0x1000", "0x0"))),
            Ink.PLAIN);
    assertThat(text.lines().filter(line -> line.startsWith("! "))).hasSize(2);
    assertThat(text)
        .contains("! KVM_GET_SREGS (seq 7, moment 7) on vm1/vcpu0, a.jsonl:7")
        .contains("  cr4      0x2020 VMXE|PAE           0x20 PAE            last written by")
        .contains("  cs.type  0xb code, read, accessed  0x9 code, accessed");
  }

  @Test
  void a_long_list_ends_with_how_many_more_there_are() {
    List<Divergence> many = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      many.add(field(i, "cr3", "0x1000", "0x0"));
    }
    String text = text(verified(Tally.ZERO, List.of(), many), Ink.PLAIN);
    assertThat(text.lines().filter(line -> line.startsWith("! "))).hasSize(50);
    assertThat(text).contains("60 divergences").contains("… and 10 more (--format json shows all)");
  }

  @Test
  void exactly_as_many_as_are_told_need_no_rest() {
    List<Divergence> many = new ArrayList<>();
    for (int i = 0; i < 50; i++) {
      many.add(field(i, "cr3", "0x1000", "0x0"));
    }
    assertThat(text(verified(Tally.ZERO, List.of(), many), Ink.PLAIN)).doesNotContain("more");
  }

  @Test
  void nearly_all_is_never_called_100_percent() {
    String text =
        text(verified(new Tally(1_000_000, 999_999, 999_998), List.of(), List.of()), Ink.PLAIN);
    assertThat(text).contains("99.9%").doesNotContain("100%");
  }

  @Test
  void a_synthesized_fault_says_whether_the_trace_has_it() {
    for (Answer answer : Answer.values()) {
      String text = text(verified(Tally.ZERO, List.of(synthesized(answer)), List.of()), Ink.PLAIN);
      assertThat(text)
          .contains("L2's state fails TR_UNUSABLE")
          .contains("tr.unusable was last written by KVM_SET_SREGS (seq 31, moment 39)")
          .contains(
              switch (answer) {
                case YES -> "confirmed by the tracepoint kvm_nested_vmexit_inject";
                case NO -> "not in the trace";
                case CANNOT_TELL -> "there is no trace of this call";
              });
    }
  }

  @Test
  void colour_is_the_plain_text_with_codes() {
    Verified verified =
        verified(
            new Tally(3, 2, 1),
            List.of(synthesized(Answer.YES)),
            List.of(field(7, "cr4", "0x2020", "0x20")));
    String coloured = text(verified, Ink.ANSI);
    assertThat(coloured).contains("\033[");
    assertThat(coloured.replaceAll("\033\\[[0-9;]*m", "")).isEqualTo(text(verified, Ink.PLAIN));
  }
}
