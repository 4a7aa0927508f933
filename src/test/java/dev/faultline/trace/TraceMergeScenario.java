package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.trace.Lines.Reading;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.TraceEvent.NestedVmEnterFailed;
import dev.faultline.trace.TraceEvent.SmmTransition;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Which events of a trace belong to which call, and what may be concluded from those that are not
 * there.
 */
final class TraceMergeScenario {
  private static final String LOAD = "kvm_fpu: load";
  private static final String IO = "kvm_userspace_exit: reason KVM_EXIT_IO (2)";
  private static final String ENTRY = "kvm_entry: vcpu 0, rip 0x401a50";
  private static final String SMM = "kvm_smm_transition: vcpu 0: entering SMM, smbase 0x30000";
  private static final String OVERWRITTEN = "# entries-in-buffer/entries-written: 5/9   #P:1\n";
  private static final String IN_PROCESS =
      "{\"seq\":0,\"ev\":\"start\",\"t_enter\":0,\"pid\":7,\"argv\":[],\"recorder\":\"in-process"
          + " (rec.h)\"}\n";

  // By markers.

  @Test
  void what_the_thread_traced_between_the_markers_is_the_calls() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20) + Lines.call(2, "KVM_RUN", 30, 40),
            Lines.enter(1, 10, "KVM_RUN")
                + Lines.event(7, 12, ENTRY)
                + Lines.event(7, 18, IO)
                + Lines.exit(1, 21, "KVM_RUN")
                + Lines.enter(2, 30, "KVM_RUN")
                + Lines.event(7, 31, IO)
                + Lines.exit(2, 41, "KVM_RUN"));
    assertThat(times(reading)).containsExactly(List.of(12L, 18L), List.of(31L));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.COMPLETE, TraceCoverage.COMPLETE);
    assertThat(reading.merge().enters()).isEqualTo(2);
    assertThat(reading.merge().exits()).isEqualTo(2);
    assertThat(reading.merge().attached()).isEqualTo(3);
    assertThat(reading.merge().outside()).isZero();
  }

  @Test
  void markers_hold_even_if_the_clocks_differ() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 5_000_010, 5_000_020),
            Lines.enter(1, 10, "KVM_RUN") + Lines.event(7, 12, IO) + Lines.exit(1, 21, "KVM_RUN"));
    assertThat(times(reading)).containsExactly(List.of(12L));
  }

  @Test
  void events_between_two_calls_belong_to_none() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20) + Lines.call(2, "KVM_RUN", 30, 40),
            Lines.event(7, 5, LOAD)
                + Lines.enter(1, 10, "KVM_RUN")
                + Lines.event(7, 12, IO)
                + Lines.exit(1, 21, "KVM_RUN")
                + Lines.event(7, 25, LOAD)
                + Lines.enter(2, 30, "KVM_RUN")
                + Lines.event(7, 31, IO)
                + Lines.exit(2, 41, "KVM_RUN")
                + Lines.event(7, 45, LOAD));
    assertThat(times(reading)).containsExactly(List.of(12L), List.of(31L));
    assertThat(reading.merge().outside()).isEqualTo(3);
  }

  @Test
  void events_of_threads_that_make_no_call_belong_to_none() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20),
            Lines.enter(1, 10, "KVM_RUN")
                + Lines.event(7, 12, IO)
                + Lines.event(99, 13, LOAD)
                + Lines.exit(1, 21, "KVM_RUN"));
    assertThat(times(reading)).containsExactly(List.of(12L));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.COMPLETE);
    assertThat(reading.merge().outside()).isEqualTo(1);
  }

  @Test
  void two_vcpus_that_run_at_once_keep_their_events_apart() {
    Reading reading =
        Lines.read(
            Lines.call(2, "KVM_RUN", 8, 11_000, 30_000)
                + Lines.call(1, "KVM_RUN", 7, 10_000, 40_000),
            Lines.enter(1, 10, "KVM_RUN")
                + Lines.enter(2, 11, "KVM_RUN")
                + Lines.event(7, 12, ENTRY)
                + Lines.event(8, 13, ENTRY)
                + Lines.event(8, 14, IO)
                + Lines.exit(2, 30, "KVM_RUN")
                + Lines.event(7, 35, IO)
                + Lines.exit(1, 40, "KVM_RUN"));
    assertThat(times(reading)).containsExactly(List.of(13L, 14L), List.of(12L, 35L));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.COMPLETE, TraceCoverage.COMPLETE);
  }

  @Test
  void calls_before_an_overwritten_beginning_have_no_trace_and_the_one_across_it_a_part() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20)
                + Lines.call(2, "KVM_RUN", 30, 40)
                + Lines.call(3, "KVM_RUN", 50, 60),
            OVERWRITTEN
                + Lines.event(7, 35, ENTRY)
                + Lines.event(7, 36, IO)
                + Lines.exit(2, 41, "KVM_RUN")
                + Lines.enter(3, 50, "KVM_RUN")
                + Lines.event(7, 51, IO)
                + Lines.exit(3, 61, "KVM_RUN"));
    assertThat(times(reading)).containsExactly(List.of(), List.of(35L, 36L), List.of(51L));
    assertThat(coverages(reading))
        .containsExactly(TraceCoverage.ABSENT, TraceCoverage.PARTIAL, TraceCoverage.COMPLETE);
  }

  @Test
  void an_overwritten_trace_may_begin_with_any_number_of_events_of_one_call() {
    StringBuilder trace = new StringBuilder(OVERWRITTEN);
    for (int i = 0; i < 10_000; i++) {
      trace.append(Lines.event(7, 100 + i, ENTRY));
    }
    trace.append(Lines.exit(1, 20_000, "KVM_RUN"));
    Reading reading = Lines.read(Lines.call(1, "KVM_RUN", 10, 20_000), trace.toString());
    assertThat(reading.calls().getFirst().trace()).hasSize(10_000);
    assertThat(coverages(reading)).containsExactly(TraceCoverage.PARTIAL);
  }

  @Test
  void many_calls_before_an_overwritten_beginning_do_not_read_the_trace_ahead() {
    StringBuilder recording = new StringBuilder();
    StringBuilder trace = new StringBuilder(OVERWRITTEN);
    for (int seq = 1; seq <= 3000; seq++) {
      recording.append(Lines.call(seq, "KVM_RUN", seq * 10L, seq * 10L + 5));
      if (seq > 1000) {
        trace
            .append(Lines.enter(seq, seq * 10L, "KVM_RUN"))
            .append(Lines.event(7, seq * 10L + 1, IO))
            .append(Lines.exit(seq, seq * 10L + 6, "KVM_RUN"));
      }
    }
    List<TraceCoverage> coverages = coverages(Lines.read(recording.toString(), trace.toString()));
    assertThat(coverages.subList(0, 1000)).containsOnly(TraceCoverage.ABSENT);
    assertThat(coverages.subList(1000, 3000)).containsOnly(TraceCoverage.COMPLETE);
  }

  @Test
  void a_trace_that_ends_early_leaves_the_last_calls_a_part_or_nothing() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20) + Lines.call(2, "KVM_RUN", 30, 40),
            Lines.enter(1, 10, "KVM_RUN") + Lines.event(7, 12, ENTRY));
    assertThat(times(reading)).containsExactly(List.of(12L), List.of());
    assertThat(coverages(reading)).containsExactly(TraceCoverage.PARTIAL, TraceCoverage.ABSENT);
  }

  @Test
  void events_lost_during_a_call_make_its_trace_a_part_and_no_others() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20)
                + Lines.call(2, "KVM_RUN", 30, 40)
                + Lines.call(3, "KVM_RUN", 50, 60),
            Lines.enter(1, 10, "KVM_RUN")
                + Lines.event(7, 12, IO)
                + Lines.exit(1, 21, "KVM_RUN")
                + Lines.enter(2, 30, "KVM_RUN")
                + "CPU:0 [LOST 3 EVENTS]\n"
                + Lines.event(7, 35, IO)
                + Lines.exit(2, 41, "KVM_RUN")
                + Lines.enter(3, 50, "KVM_RUN")
                + Lines.event(7, 51, IO)
                + Lines.exit(3, 61, "KVM_RUN"));
    assertThat(coverages(reading))
        .containsExactly(TraceCoverage.COMPLETE, TraceCoverage.PARTIAL, TraceCoverage.COMPLETE);
  }

  @Test
  void a_damaged_line_may_have_been_an_event_of_its_call() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20),
            Lines.enter(1, 10, "KVM_RUN")
                + "garbage\n"
                + Lines.event(7, 12, IO)
                + Lines.exit(1, 21, "KVM_RUN"));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.PARTIAL);
    assertThat(reading.merge().trace().damaged()).isEqualTo(1);
  }

  @Test
  void a_call_whose_beginning_was_lost_takes_nothing_from_before_the_loss() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20) + Lines.call(2, "KVM_RUN", 30, 40),
            Lines.enter(1, 10, "KVM_RUN")
                + Lines.event(7, 12, ENTRY)
                + "CPU:0 [LOST 3 EVENTS]\n"
                + Lines.event(7, 35, IO)
                + Lines.exit(2, 41, "KVM_RUN"));
    assertThat(times(reading)).containsExactly(List.of(12L), List.of(35L));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.PARTIAL, TraceCoverage.PARTIAL);
  }

  @Test
  void of_several_cpus_a_call_is_whole_only_after_all_their_buffers_began() {
    String calls = Lines.call(1, "KVM_RUN", 10, 20) + Lines.call(2, "KVM_RUN", 30, 40);
    String trace =
        "# entries-in-buffer/entries-written: 5/9   #P:2\n"
            + Lines.enter(1, 10, "KVM_RUN")
            + Lines.event(7, 12, IO)
            + Lines.exit(1, 21, "KVM_RUN")
            + "##### CPU 1 buffer started ####\n"
            + Lines.enter(2, 30, "KVM_RUN")
            + Lines.event(7, 31, IO)
            + Lines.exit(2, 41, "KVM_RUN");
    assertThat(coverages(Lines.read(calls, trace)))
        .containsExactly(TraceCoverage.PARTIAL, TraceCoverage.COMPLETE);
  }

  @Test
  void a_trace_of_another_run_gives_nothing() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20),
            Lines.enter(1, 10, "KVM_SET_REGS")
                + Lines.event(7, 12, LOAD)
                + Lines.exit(1, 21, "KVM_SET_REGS"));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.ABSENT);
    assertThat(reading.merge().mismatched()).isEqualTo(1);
  }

  @Test
  void a_run_that_returned_without_any_event_was_traced_elsewhere() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20),
            Lines.enter(1, 10, "KVM_RUN")
                + Lines.event(4007, 12, IO)
                + Lines.exit(1, 21, "KVM_RUN"));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.PARTIAL);
  }

  @Test
  void lines_missing_in_the_recording_do_not_stop_the_merge() {
    StringBuilder trace = new StringBuilder();
    for (int seq = 1; seq <= 500; seq++) {
      trace
          .append(Lines.enter(seq, seq * 10L, "KVM_RUN"))
          .append(Lines.event(7, seq * 10L + 1, IO))
          .append(Lines.exit(seq, seq * 10L + 6, "KVM_RUN"));
    }
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 15)
                + Lines.call(400, "KVM_RUN", 4000, 4005)
                + Lines.call(500, "KVM_RUN", 5000, 5005),
            trace.toString());
    assertThat(times(reading)).containsExactly(List.of(11L), List.of(4001L), List.of(5001L));
  }

  @Test
  void more_events_than_fit_are_thrown_away_from_the_oldest_on() {
    int count = 600_000;
    StringBuilder trace = new StringBuilder(Lines.enter(1, 10, "KVM_RUN"));
    for (int i = 0; i < count; i++) {
      trace.append(Lines.event(7, 11 + i, ENTRY));
    }
    trace.append(Lines.exit(1, 1_000_000, "KVM_RUN"));
    Reading reading = Lines.read(Lines.call(1, "KVM_RUN", 10, 1_000_000), trace.toString());
    List<TraceEvent> kept = reading.calls().getFirst().trace();
    assertThat(coverages(reading)).containsExactly(TraceCoverage.PARTIAL);
    assertThat(kept.getLast().ns()).isEqualTo((11L + count - 1) * 1000);
    assertThat(kept.size() + reading.merge().overwritten()).isEqualTo(count);
    assertThat(kept.size()).isBetween(200_000, 420_000);
  }

  // By clock.

  @Test
  void without_markers_an_event_belongs_to_the_call_during_which_it_happened() {
    Reading reading =
        Lines.read(
            IN_PROCESS + Lines.call(1, "KVM_RUN", 10, 20) + Lines.call(2, "KVM_RUN", 30, 40),
            Lines.event(104, 9, "tracing_mark_write: fz Z1 0 s")
                + Lines.event(104, 15, ENTRY)
                + Lines.event(104, 25, ENTRY)
                + Lines.event(104, 35, ENTRY));
    assertThat(times(reading)).containsExactly(List.of(15L), List.of(35L));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.FILTERED, TraceCoverage.FILTERED);
    assertThat(reading.merge().outside()).isEqualTo(1);
  }

  @Test
  void a_printed_time_may_be_half_a_microsecond_off_to_either_side() {
    Reading reading =
        Lines.read(
            IN_PROCESS + Lines.call(1, "KVM_RUN", 7, 10_400, 19_600),
            Lines.event(104, 10, ENTRY) + Lines.event(104, 20, ENTRY));
    assertThat(times(reading)).containsExactly(List.of(10L, 20L));
    Reading outside =
        Lines.read(
            IN_PROCESS + Lines.call(1, "KVM_RUN", 7, 10_600, 19_400),
            Lines.event(104, 10, ENTRY) + Lines.event(104, 20, ENTRY));
    assertThat(times(outside)).containsExactly(List.of());
  }

  @Test
  void of_two_calls_an_event_belongs_to_the_one_that_can_bring_it_about() {
    String trace = Lines.event(104, 20, SMM);
    Reading first =
        Lines.read(
            IN_PROCESS
                + Lines.call(1, "KVM_SET_VCPU_EVENTS", 7, 18_000, 19_800)
                + Lines.call(2, "KVM_SET_NESTED_STATE", 7, 20_000, 21_000),
            trace);
    assertThat(first.calls().getFirst().trace())
        .hasSize(1)
        .first()
        .isInstanceOf(SmmTransition.class);
    Reading second =
        Lines.read(
            IN_PROCESS
                + Lines.call(1, "KVM_SET_REGS", 7, 18_000, 20_000)
                + Lines.call(2, "KVM_SET_VCPU_EVENTS", 7, 20_200, 21_000),
            trace);
    assertThat(times(second)).containsExactly(List.of(), List.of(20L));
  }

  @Test
  void of_two_calls_that_both_can_it_belongs_to_the_nearer() {
    Reading reading =
        Lines.read(
            IN_PROCESS
                + Lines.call(1, "KVM_SET_NESTED_STATE", 7, 18_000, 19_600)
                + Lines.call(2, "KVM_RUN", 7, 19_900, 30_000),
            Lines.event(104, 20, "kvm_nested_vmenter_failed: !vmx_guest_state_valid(vcpu)"));
    assertThat(times(reading)).containsExactly(List.of(), List.of(20L));
    assertThat(reading.calls().getLast().trace().getFirst())
        .isInstanceOf(NestedVmEnterFailed.class);
  }

  @Test
  void a_trace_without_markers_of_an_unknown_recorder_tells_only_what_happened() {
    Reading reading = Lines.read(Lines.call(1, "KVM_RUN", 10, 20), Lines.event(7, 15, ENTRY));
    assertThat(times(reading)).containsExactly(List.of(15L));
    assertThat(coverages(reading)).containsExactly(TraceCoverage.PARTIAL);
  }

  @Test
  void without_markers_threads_are_told_apart_by_their_numbers() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 7, 10_000, 20_000)
                + Lines.call(2, "KVM_RUN", 8, 12_000, 25_000),
            Lines.event(7, 15, ENTRY) + Lines.event(8, 16, ENTRY) + Lines.event(8, 24, IO));
    assertThat(times(reading)).containsExactly(List.of(15L), List.of(16L, 24L));
  }

  @Test
  void without_markers_a_lost_beginning_leaves_calls_without_trace() {
    Reading reading =
        Lines.read(
            IN_PROCESS
                + Lines.call(1, "KVM_RUN", 10, 20)
                + Lines.call(2, "KVM_RUN", 30, 40)
                + Lines.call(3, "KVM_RUN", 50, 60),
            OVERWRITTEN + Lines.event(104, 35, IO) + Lines.event(104, 55, IO));
    assertThat(coverages(reading))
        .containsExactly(TraceCoverage.ABSENT, TraceCoverage.PARTIAL, TraceCoverage.FILTERED);
  }

  @Test
  void without_markers_calls_around_a_loss_have_a_part() {
    Reading reading =
        Lines.read(
            IN_PROCESS
                + Lines.call(1, "KVM_RUN", 10, 20)
                + Lines.call(2, "KVM_RUN", 30, 40)
                + Lines.call(3, "KVM_RUN", 50, 60),
            Lines.event(104, 15, IO)
                + "CPU:0 [LOST 3 EVENTS]\n"
                + Lines.event(104, 35, IO)
                + Lines.event(104, 55, IO));
    assertThat(coverages(reading))
        .containsExactly(TraceCoverage.PARTIAL, TraceCoverage.PARTIAL, TraceCoverage.FILTERED);
  }

  // Coverage.

  @Test
  void only_whole_coverage_tells_that_something_did_not_happen() {
    assertThat(TraceCoverage.COMPLETE.tellsAbsence("kvm_entry")).isTrue();
    assertThat(TraceCoverage.COMPLETE.tellsAbsence("kvm_fpu")).isFalse();
    assertThat(TraceCoverage.FILTERED.tellsAbsence("kvm_nested_vmexit_inject")).isTrue();
    assertThat(TraceCoverage.FILTERED.tellsAbsence("kvm_entry")).isFalse();
    assertThat(TraceCoverage.FILTERED.tellsAbsence("kvm_exit")).isFalse();
    assertThat(TraceCoverage.PARTIAL.tellsAbsence("kvm_entry")).isFalse();
    assertThat(TraceCoverage.ABSENT.tellsAbsence("kvm_entry")).isFalse();
  }

  /** The times of each call's events, in microseconds. */
  private static List<List<Long>> times(Reading reading) {
    assertThat(reading.error()).isNull();
    return reading.calls().stream()
        .map(call -> call.trace().stream().map(event -> event.ns() / 1000).toList())
        .toList();
  }

  private static List<TraceCoverage> coverages(Reading reading) {
    return reading.calls().stream().map(Call::coverage).toList();
  }
}
