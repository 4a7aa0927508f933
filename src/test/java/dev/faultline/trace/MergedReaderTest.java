package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.FormatException;
import dev.faultline.UsageException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Several inputs of one machine as one. */
final class MergedReaderTest {
  private static String call(long seq, long enterNs, long exitNs, long tid, String obj) {
    return "{\"seq\":%d,\"ev\":\"ioctl\",\"t_enter\":%d,\"t_exit\":%d,\"pid\":1,\"tid\":%d,\"fd\":5,"
            .formatted(seq, enterNs, exitNs, tid)
        + "\"fd_kind\":\"vm\",\"obj\":\"%s\",\"req\":\"0x0000ae60\",".formatted(obj)
        + "\"name\":\"KVM_CREATE_IRQCHIP\",\"arg\":\"0x0\",\"ret\":0}\n";
  }

  private static InputStream bytes(String text) {
    return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
  }

  private static ObservationReader recording(String name, String lines) {
    return new RecordingReader(name, bytes(lines));
  }

  private static MergedReader merged(ObservationReader... readers) {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < readers.length; i++) {
      names.add("in" + i);
    }
    return new MergedReader(names, List.of(readers));
  }

  private static List<Observation> all(ObservationReader reader) {
    List<Observation> all = new ArrayList<>();
    reader.forEachRemaining(all::add);
    return all;
  }

  private static final long MS = 1_000_000;

  @Test
  void calls_come_in_the_order_in_which_they_returned_numbered_anew() {
    MergedReader reader =
        merged(
            recording(
                "a",
                call(7, 10 * MS, 50 * MS, 1, "vm1") + call(8, 60 * MS, 61 * MS, 1, "vm2/vcpu0")),
            recording(
                "b",
                call(3, 20 * MS, 21 * MS, 2, "vm1/vcpu1") + call(4, 62 * MS, 62 * MS, 2, "vm1")));
    List<Observation> all = all(reader);
    assertThat(all.stream().map(o -> o.seq() + " " + ((Observation.Call) o).obj()))
        .containsExactly("0 vm1/vcpu1", "1 vm2", "2 vm3/vcpu0", "3 vm1");
    assertThat(all.stream().map(Observation::where)).containsExactly("b:1", "a:1", "a:2", "b:2");
    Merged merged = reader.merged();
    assertThat(merged.near()).isEqualTo(1);
    assertThat(merged.uncertaintyNs()).isBetween(2 * MS, 3 * MS);
    assertThat(merged.sentence())
        .isEqualTo(
            "2 inputs merged by CLOCK_MONOTONIC: the order between them is certain to 2.0 ms, 1"
                + " neighbour is nearer");
  }

  @Test
  void within_an_input_the_order_stays_even_where_its_times_go_back() {
    MergedReader reader =
        merged(
            recording("a", call(0, 90, 100, 1, "vm1") + call(1, 10, 20, 1, "vm1/vcpu0")),
            recording("b", call(0, 50, 60, 2, "vm1")));
    assertThat(all(reader).stream().map(Observation::where)).containsExactly("b:1", "a:1", "a:2");
  }

  @Test
  void a_thread_in_two_inputs_is_told() {
    MergedReader reader =
        merged(
            recording("a", call(0, 10, 20, 114, "vm1")),
            recording("b", call(0, 30, 40, 114, "vm1")));
    assertThatThrownBy(() -> all(reader))
        .isInstanceOf(FormatException.class)
        .hasMessageContaining("FL-421 b:1")
        .hasMessageContaining("thread 114")
        .hasMessageContaining("in0");
  }

  @Test
  void clocks_that_differ_or_are_missing_are_told() {
    String strace = "12 1700000000.000001 ioctl(3, KVM_CREATE_VM, 0) = 4\n";
    assertThatThrownBy(() ->
            merged(recording("a", call(0, 10, 20, 1, "vm1")), new StraceReader("b", bytes(strace))))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("CLOCK_MONOTONIC in in0")
        .hasMessageContaining("time of day with its date in in1");
    assertThatThrownBy(() ->
            merged(
                new StraceReader("a", bytes("ioctl(3, KVM_CREATE_VM, 0) = 4\n")),
                new StraceReader("b", bytes(strace))))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("in0, which tells none");
  }

  @Test
  void files_of_threads_become_what_one_file_would_be() throws IOException {
    String one = "1700000000.000001 ioctl(3, KVM_CREATE_VM, 0) = 4\n1700000003.5 exit(0) = ?\n";
    String other = "1700000001.000000 ioctl(4, KVM_CREATE_VCPU, 0) = 5\n+++ exited with 0 +++\n";
    try (ThreadFiles files =
        new ThreadFiles("x", List.of(12L, 9L), List.of(bytes(one), bytes(other)))) {
      assertThat(new String(files.readAllBytes(), StandardCharsets.UTF_8))
          .isEqualTo(
              """
              12 1700000000.000001 ioctl(3, KVM_CREATE_VM, 0) = 4
              9 1700000001.000000 ioctl(4, KVM_CREATE_VCPU, 0) = 5
              9 +++ exited with 0 +++
              12 1700000003.5 exit(0) = ?
              """);
    }
    assertThatThrownBy(
            () -> new ThreadFiles("x", List.of(1L), List.of(bytes("ioctl(3, KVM_RUN, 0) = 0\n"))))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("x.1: expected a time")
        .hasMessageContaining("strace -ff -ttt");
  }

  @Test
  void a_call_that_takes_long_comes_where_it_returns() throws IOException {
    String one = "1700000000.000001 ioctl(5, KVM_RUN, 0) = 0 <2.000000>\n";
    String other = "1700000001.000000 ioctl(4, KVM_CREATE_VCPU, 1) = 6 <0.000100>\n";
    try (ThreadFiles files =
        new ThreadFiles("x", List.of(1L, 2L), List.of(bytes(one), bytes(other)))) {
      assertThat(new String(files.readAllBytes(), StandardCharsets.UTF_8).lines())
          .extracting(line -> line.charAt(0))
          .containsExactly('2', '1');
    }
  }

  @Test
  void past_midnight_the_time_of_day_goes_on() throws IOException {
    String one = "23:59:59.900000 a\n00:00:00.300000 c\n";
    String other = "23:59:59.950000 b\n00:00:00.400000 d\n";
    try (ThreadFiles files =
        new ThreadFiles("x", List.of(1L, 2L), List.of(bytes(one), bytes(other)))) {
      assertThat(new String(files.readAllBytes(), StandardCharsets.UTF_8).lines())
          .extracting(line -> line.charAt(line.length() - 1))
          .containsExactly('a', 'b', 'c', 'd');
    }
  }
}
