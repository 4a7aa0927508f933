package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.InvariantViolation;
import dev.faultline.trace.FtraceReader.Step;
import dev.faultline.trace.TraceEvent.Other;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The lines of tracefs' trace file, around the texts of the events. */
final class FtraceReaderTest {
  private static final String HEADER =
      """
      # tracer: nop
      #
      # entries-in-buffer/entries-written: 23209/23209   #P:1
      #
      #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
      #              | |         |   |||||     |         |
      """;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "             scn-114     [000] .....     7.926069: kvm_fpu: load|114|0|7926069000",
        "     CPU 0/KVM-12345   [003] d..1.  1234.567890: kvm_fpu: load|12345|3|1234567890000",
        "          <idle>-0       [001] dNh4.     7.000001: kvm_fpu: load|0|1|7000001000",
        "           <...>-4242    [127] ....     44.316577: kvm_fpu: load|4242|127|44316577000",
        "  odd-name [x]-1-77      [000] .....     7.926069: kvm_fpu: load|77|0|7926069000",
        "             scn-114     (    113) [000] .....     7.926069: kvm_fpu:"
            + " load|114|0|7926069000",
        "     CPU 0/KVM-12345 [003]  1234.567890: kvm_fpu:              load|12345|3|1234567890000",
        "             scn-114     [000] .....     7.926069123: kvm_fpu: load|114|0|7926069123",
        "             scn-114     [000] .....  3946084.000009: kvm_fpu: load|114|0|3946084000009000"
      })
  void a_line_tells_thread_cpu_and_time(String line, long tid, int cpu, long ns) {
    try (FtraceReader reader = reader(line + "\n")) {
      assertThat(reader.advance()).isEqualTo(Step.EVENT);
      assertThat(reader.tid()).isEqualTo(tid);
      assertThat(reader.cpu()).isEqualTo(cpu);
      assertThat(reader.event().ns()).isEqualTo(ns);
      assertThat(reader.event())
          .isInstanceOfSatisfying(
              Other.class,
              other -> {
                assertThat(other.name()).isEqualTo("kvm_fpu");
                assertThat(other.text().strip()).isEqualTo("load");
              });
      assertThat(reader.advance()).isEqualTo(Step.END);
    }
  }

  @Test
  void microseconds_leave_half_a_microsecond_open_and_nanoseconds_nothing() {
    try (FtraceReader reader =
        reader(
            Lines.event(1, 5, "kvm_fpu: load")
                + "   scn-1 [000] ..... 7.000000005: kvm_fpu: load\n")) {
      reader.advance();
      assertThat(reader.precisionNs()).isEqualTo(500);
      reader.advance();
      assertThat(reader.precisionNs()).isZero();
    }
  }

  @Test
  void the_header_is_no_event_and_tells_whether_the_oldest_were_overwritten() {
    try (FtraceReader whole = reader(HEADER);
        FtraceReader overwritten =
            reader(HEADER.replace("23209/23209   #P:1", "378011/435945   #P:4"))) {
      assertThat(whole.advance()).isEqualTo(Step.END);
      assertThat(whole.overwritten()).isFalse();
      assertThat(whole.allBuffersStarted()).isTrue();
      assertThat(whole.report().lines()).isEqualTo(6);
      assertThat(overwritten.advance()).isEqualTo(Step.END);
      assertThat(overwritten.overwritten()).isTrue();
      assertThat(overwritten.allBuffersStarted()).isFalse();
      assertThat(overwritten.report().overwritten()).isTrue();
    }
  }

  @Test
  void the_buffers_of_several_cpus_begin_one_after_the_other() {
    String text =
        HEADER.replace("23209/23209   #P:1", "10/20   #P:2")
            + Lines.event(1, 5, "kvm_fpu: load")
            + "##### CPU 1 buffer started ####\n"
            + Lines.event(1, 6, "kvm_fpu: load");
    try (FtraceReader reader = reader(text)) {
      assertThat(steps(reader, 2)).containsExactly(Step.EVENT, Step.GAP);
      assertThat(reader.allBuffersStarted()).isTrue();
      assertThat(steps(reader, 2)).containsExactly(Step.EVENT, Step.END);
    }
  }

  @Test
  void lost_events_are_a_gap_and_are_counted() {
    String text =
        Lines.event(1, 5, "kvm_fpu: load")
            + "CPU:0 [LOST 123 EVENTS]\nCPU:1 [LOST EVENTS]\n"
            + Lines.event(1, 6, "kvm_fpu: unload");
    try (FtraceReader reader = reader(text)) {
      assertThat(steps(reader, 5))
          .containsExactly(Step.EVENT, Step.GAP, Step.GAP, Step.EVENT, Step.END);
      assertThat(reader.report().lost()).isEqualTo(123);
      assertThat(reader.report().gaps()).isEqualTo(2);
      assertThat(reader.report().damaged()).isZero();
    }
  }

  @Test
  void what_trace_cmd_says_besides_is_understood() {
    String text =
        "cpus=2\n"
            + Lines.event(1, 5, "kvm_fpu: load")
            + "CPU:0 [3604339 EVENTS DROPPED]\n"
            + Lines.event(1, 6, "kvm_fpu: unload");
    try (FtraceReader reader = reader(text)) {
      assertThat(steps(reader, 4)).containsExactly(Step.EVENT, Step.GAP, Step.EVENT, Step.END);
      assertThat(reader.report().lost()).isEqualTo(3_604_339);
      assertThat(reader.report().damaged()).isZero();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "garbage",
        "cpus=2",
        "CPU:0 [12 EVENTS DROPPE",
        "CPU:x [LOST 1 EVENTS]",
        "             scn-114     [000] .....     7.926069: ",
        "             scn-114     [000] .....     7.926069: kvm_fpu",
        "             scn-114     [000] .....     7.926069 kvm_fpu: load",
        "             scn-114     [000] .....     79260690: kvm_fpu: load",
        "             scn-114     [000] .....     7.: kvm_fpu: load",
        "             scn-114     [000] .....     7.1234567890: kvm_fpu: load",
        "             scn-114     [000] .....     77777777777.123456: kvm_fpu: load",
        "             scn-114     [0000000] .....     7.926069: kvm_fpu: load",
        "             scn-114     [00 .....     7.926069: kvm_fpu: load",
        "             scn         [000] .....     7.926069: kvm_fpu: load",
        "             114         [000]",
        " [000] 7.926069: kvm_fpu: load",
        " -  [000]"
      })
  void a_damaged_line_costs_that_line_and_is_told(String line) {
    String text =
        Lines.event(1, 5, "kvm_fpu: load") + line + "\n" + Lines.event(1, 6, "kvm_fpu: load");
    try (FtraceReader reader = reader(text)) {
      assertThat(steps(reader, 4)).containsExactly(Step.EVENT, Step.GAP, Step.EVENT, Step.END);
      FtraceReport report = reader.report();
      assertThat(report.events()).isEqualTo(2);
      assertThat(report.damaged()).isEqualTo(1);
      assertThat(report.gaps()).isZero();
      assertThat(report.places()).hasSize(1);
      assertThat(report.places().getFirst())
          .startsWith("boot.ftrace.txt:2 is no line of a trace: '");
    }
  }

  @Test
  void only_the_first_places_of_damage_are_kept() {
    try (FtraceReader reader = reader("garbage\n".repeat(1000))) {
      assertThat(steps(reader, 1000)).containsOnly(Step.GAP);
      assertThat(reader.report().damaged()).isEqualTo(1000);
      assertThat(reader.report().places()).hasSize(5);
    }
  }

  @Test
  void a_line_of_a_million_bytes_is_read_past() {
    String text = "x".repeat(1_000_000) + "\n" + Lines.event(1, 6, "kvm_fpu: load");
    try (FtraceReader reader = reader(text)) {
      assertThat(steps(reader, 3)).containsExactly(Step.GAP, Step.EVENT, Step.END);
      assertThat(reader.report().places().getFirst()).contains("is longer than 65536 bytes");
    }
  }

  @Test
  void a_last_line_without_newline_may_be_cut_and_is_not_taken() {
    String text = Lines.event(1, 6, "kvm_entry: vcpu 0, rip 0x401a50");
    try (FtraceReader reader = reader(text.substring(0, text.length() - 3))) {
      assertThat(steps(reader, 2)).containsExactly(Step.GAP, Step.END);
      assertThat(reader.report().places().getFirst()).contains("ends without a newline");
    }
  }

  @Test
  void a_stream_that_breaks_off_is_told_with_its_place() {
    FtraceReader reader =
        new FtraceReader(
            "boot.ftrace.txt.gz", Lines.cut(Lines.event(1, 6, "kvm_fpu: load") + "     scn-1"));
    assertThat(reader.advance()).isEqualTo(Step.EVENT);
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(reader::advance)
        .withMessageContaining("boot.ftrace.txt.gz:2: expected more of the trace")
        .withMessageContaining("move it away to read the recording without its trace")
        .satisfies(e -> assertThat(e.code()).isEqualTo(ErrorCode.INPUT_COMPRESSION));
    reader.close();
  }

  @Test
  void before_the_first_event_there_is_none() {
    try (FtraceReader reader = reader("")) {
      assertThatExceptionOfType(InvariantViolation.class).isThrownBy(reader::event);
    }
  }

  private static List<Step> steps(FtraceReader reader, int count) {
    List<Step> steps = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      steps.add(reader.advance());
    }
    return steps;
  }

  private static FtraceReader reader(String text) {
    return new FtraceReader("boot.ftrace.txt", Lines.stream(text));
  }
}
