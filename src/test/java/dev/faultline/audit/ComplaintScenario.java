package dev.faultline.audit;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.StraceReader;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A refused MSR in text of strace, where only the VMM's own words tell which one it was. */
final class ComplaintScenario {
  private static final String CREATED =
      """
      ioctl(3, KVM_CREATE_VM, 0) = 8
      ioctl(8, KVM_CREATE_VCPU, 0) = 9
      ioctl(9, KVM_SET_CPUID2, {nent=17, entries=[...]}) = 0
      """;

  private static AuditResult audited(String text) {
    Audit audit = new Audit("vmm", KernelFacts.model(RecordingFacts.unknown("vmm")));
    try (ObservationReader reader =
        new StraceReader(
            "vmm.strace",
            new ByteArrayInputStream((CREATED + text).getBytes(StandardCharsets.UTF_8)))) {
      while (reader.hasNext()) {
        audit.accept(RecordedCalls.convert(reader.next(), audit.nextMoment()));
      }
    }
    return audit.result();
  }

  @Test
  void the_program_names_the_msr_that_strace_does_not_show() {
    AuditResult result =
        audited(
            """
            ioctl(9, KVM_SET_MSRS, 0x7f1a2c002010) = 2
            qemu-system-x86_64: error: failed to set MSR 0x48f to 0x7fefff00036dff
            """);

    assertThat(result.findings()).extracting(f -> f.rule().id()).containsExactly("R44", "R90");
    assertThat(result.findings())
        .allSatisfy(f -> assertThat(f.message()).contains("MSR 0x48f"))
        .allSatisfy(f -> assertThat(f.severity()).isEqualTo(Severity.ERROR));
    assertThat(result.findings().getFirst().message())
        .contains("with 0x7fefff00036dff", "2 entries");
  }

  @Test
  void an_msr_that_promises_nothing_of_the_host_is_no_matter_of_its_features() {
    AuditResult result =
        audited(
            """
            ioctl(9, KVM_GET_MSRS, 0x7f1a2c002010) = 3
            crash: failed to get MSR 0x4b564df1
            """);

    assertThat(result.findings()).extracting(f -> f.rule().id()).containsExactly("R44");
  }

  @ParameterizedTest
  @CsvSource({
    "'ioctl(9, KVM_SET_MSRS, 0x7f) = 2', 'qemu: failed to set LAPIC'",
    "'ioctl(9, KVM_GET_MSRS, 0x7f) = 2', 'qemu: failed to set MSR 0x10a to 0x1'",
    "'ioctl(9, KVM_SET_REGS, 0x7f) = 0', 'qemu: failed to set MSR 0x10a to 0x1'",
    "'ioctl(9, KVM_SET_MSRS, 0x7f) = 2', 'qemu: failed to set MSR 0x1234567890 to 0x1'"
  })
  void other_words_name_nothing(String call, String words) {
    assertThat(audited(call + "\n" + words + "\n").findings()).isEmpty();
  }

  @Test
  void no_entry_at_all_is_a_warning_where_nobody_says_more() {
    AuditResult result = audited("ioctl(9, KVM_SET_MSRS, 0x7f) = 0\nioctl(9, KVM_RUN, 0) = 0\n");

    assertThat(result.findings())
        .singleElement()
        .satisfies(f -> assertThat(f.rule().id()).isEqualTo("R44"))
        .satisfies(f -> assertThat(f.severity()).isEqualTo(Severity.WARNING));
    assertThat(result.isDirty()).isTrue();
  }
}
