package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.trace.FtraceReader;
import dev.faultline.trace.KernelTraceReader;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.PairedReader;
import dev.faultline.trace.StraceReader;
import dev.faultline.trace.TraceCoverage;
import dev.faultline.trace.TraceEvent;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Had the recorded program been traced by strace and tracefs, each call would have the same events
 * as by the recorder's markers: the recordings are printed as both would print them.
 */
final class ForeignTracesConformance {
  private static final Pattern MARKER =
      Pattern.compile(
          "^.* \\[(\\d+)] (\\S+ +[0-9.]+): tracing_mark_write: kvmrec seq=(\\d+) (enter|exit) .*$");

  static Stream<RecordingSource> marked() {
    return Recordings.all().stream()
        .filter(source -> source.trace() != null && !source.name().contains("fuzz"));
  }

  @ParameterizedTest
  @MethodSource("marked")
  void strace_and_ftrace_together_give_the_order_of_the_markers(RecordingSource source)
      throws IOException {
    List<Call> byMarkers;
    boolean overwritten;
    try (ObservationReader reader = source.open()) {
      byMarkers = calls(reader);
      overwritten = Objects.requireNonNull(reader.mergeReport()).trace().overwritten();
    }
    boolean marks = byMarkers.stream().anyMatch(c -> c.coverage() != TraceCoverage.ABSENT);
    boolean ours = byMarkers.stream().allMatch(c -> c.payload().seen());
    if (!marks || !ours) {
      return;
    }
    List<Call> read =
        calls(
            new PairedReader(
                new StraceReader("strace", stream(strace(byMarkers))),
                new KernelTraceReader(
                    "ftrace", new FtraceReader("ftrace", stream(ftrace(source, byMarkers))))));

    assertThat(read).hasSameSizeAs(byMarkers);
    for (int i = 0; i < read.size(); i++) {
      Call want = byMarkers.get(i);
      Call got = read.get(i);
      assertThat(got.name()).isEqualTo(want.name());
      assertThat(got.obj()).as("%s seq %d", source.name(), want.seq()).isEqualTo(want.obj());
      // Where the trace begins in the middle, the clocks' distance may be found late, or never.
      boolean late = overwritten && got.trace().isEmpty();
      if (want.coverage() == TraceCoverage.COMPLETE && !late) {
        assertThat(difference(got.trace(), kept(want.trace())))
            .as("%s seq %d", source.name(), want.seq())
            .isEmpty();
      }
    }
  }

  private static String difference(List<TraceEvent> got, List<TraceEvent> want) {
    for (int i = 0; i < Math.min(got.size(), want.size()); i++) {
      if (!got.get(i).equals(want.get(i))) {
        return "event " + i + " is " + got.get(i) + ", and by the markers " + want.get(i);
      }
    }
    return got.size() == want.size()
        ? ""
        : got.size() + " events, and by the markers " + want.size();
  }

  /** What a KVM_RUN that emulates for long traces is cut. */
  private static List<TraceEvent> kept(List<TraceEvent> events) {
    int most = KernelTraceReader.MAX_EVENTS_PER_CALL;
    if (events.size() <= most) {
      return events;
    }
    List<TraceEvent> kept = new ArrayList<>(events.subList(0, most));
    kept.add(events.getLast());
    return kept;
  }

  private static List<Call> calls(ObservationReader reader) {
    List<Call> calls = new ArrayList<>();
    while (reader.hasNext()) {
      if (reader.next() instanceof Call call && Ioctl.isKvm(call.req())) {
        calls.add(call);
      }
    }
    return calls;
  }

  private static InputStream stream(String text) {
    return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
  }

  private static String strace(List<Call> calls) {
    StringBuilder text = new StringBuilder();
    for (Call call : calls) {
      String label =
          switch (call.fdKind()) {
            case "system" -> "/dev/kvm";
            case "vm" -> "anon_inode:kvm-vm";
            case "vcpu" -> "anon_inode:kvm-vcpu:" + call.obj().replaceAll(".*vcpu", "");
            default -> "anon_inode:kvm-" + call.fdKind();
          };
      text.append(call.tid())
          .append(String.format(Locale.ROOT, " %.6f ", 1.7e9 + call.enterNs() / 1e9))
          .append("ioctl(")
          .append(call.fd())
          .append(call.fdKind().equals("stats") ? "" : "<" + label + ">")
          .append(", ")
          .append(call.name())
          .append(", ")
          .append(call.in().isEmpty() && call.out().isEmpty() ? "" + call.arg() : "0x7ffc0000")
          .append(") = ")
          .append(call.ret());
      if (call.ret() < 0) {
        Errno errno = Errno.of(call.errno());
        text.append(" ").append(errno == null ? "E" + call.errno() : errno.name()).append(" (..)");
      } else if (!call.runOut().isEmpty()) {
        KvmExit exit = new KvmRun(call.runOut()).exit();
        text.append(" (").append(exit == null ? "KVM_EXIT_???" : exit.name()).append(")");
      }
      text.append("\n");
    }
    return text.toString();
  }

  /** The trace with each marker replaced by what tracefs prints of the system call. */
  private static String ftrace(RecordingSource source, List<Call> calls) throws IOException {
    Map<Long, Call> bySeq = new TreeMap<>();
    calls.forEach(call -> bySeq.put(call.seq(), call));
    StringBuilder text = new StringBuilder();
    try (InputStream in = CompressedFile.open(Objects.requireNonNull(source.trace()))) {
      for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList()) {
        Matcher marker = line.contains("kvmrec seq=") ? MARKER.matcher(line) : null;
        if (marker == null || !marker.matches()) {
          text.append(line).append("\n");
          continue;
        }
        long seq = Long.parseLong(marker.group(3));
        Call call = bySeq.get(seq);
        if (call == null) {
          continue;
        }
        text.append("  vmm-").append(call.tid());
        text.append(" [").append(marker.group(1)).append("] ").append(marker.group(2)).append(": ");
        text.append(
            marker.group(4).equals("enter")
                ? String.format(
                    Locale.ROOT,
                    "sys_ioctl(fd: %x, cmd: 0x%x, arg: 0x%x)",
                    call.fd(),
                    call.req(),
                    call.arg())
                : String.format(
                    Locale.ROOT,
                    "sys_ioctl -> 0x%x",
                    call.ret() < 0 ? (long) -call.errno() : (long) call.ret()));
        text.append("\n");
      }
    }
    return text.toString();
  }
}
