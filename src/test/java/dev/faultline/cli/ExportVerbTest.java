package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import dev.faultline.Bytes;
import dev.faultline.ingest.Inputs;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Traced;
import dev.faultline.trace.ObservationReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What other tools get. */
final class ExportVerbTest {
  private static final int SLICE_BEGIN = 1;
  private static final int SLICE_END = 2;
  private static final int INSTANT = 3;

  @TempDir Path folder;

  /** A message's fields by number; numbers as long, the rest as bytes. */
  private record Message(TreeMap<Integer, List<Object>> byNumber) {
    List<Object> all(int number) {
      return byNumber.getOrDefault(number, List.of());
    }

    Object one(int number) {
      return all(number).getFirst();
    }
  }

  private static Message fields(byte[] message) throws IOException {
    CodedInputStream in = CodedInputStream.newInstance(message);
    Message fields = new Message(new TreeMap<>());
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      Object value =
          switch (WireFormat.getTagWireType(tag)) {
            case WireFormat.WIRETYPE_VARINT -> in.readRawVarint64();
            case WireFormat.WIRETYPE_FIXED64 -> in.readFixed64();
            case WireFormat.WIRETYPE_LENGTH_DELIMITED -> in.readByteArray();
            default -> throw new AssertionError("a wire type that Perfetto's schema has not");
          };
      fields
          .byNumber()
          .computeIfAbsent(WireFormat.getTagFieldNumber(tag), _ -> new ArrayList<>())
          .add(value);
    }
    return fields;
  }

  private record Event(int type, long track, long ns, String name, List<Object> flows) {}

  private List<Event> perfetto(String timeline) throws IOException {
    Path file = folder.resolve("out.perfetto-trace");
    CommandLines.Ended ended =
        CommandLines.run(
            "export", "--to", "perfetto", "-o", file, CommandLines.timelines().resolve(timeline));
    assertThat(ended.status()).as(ended.err()).isZero();
    List<Event> events = new ArrayList<>();
    TreeMap<Long, Long> last = new TreeMap<>();
    TreeMap<Long, Integer> open = new TreeMap<>();
    for (Object packet : fields(Files.readAllBytes(file)).all(1)) {
      Message p = fields((byte[]) packet);
      if (p.all(11).isEmpty()) {
        assertThat(p.all(60)).hasSize(1);
        continue;
      }
      Message e = fields((byte[]) p.one(11));
      long track = (long) e.one(11);
      long ns = (long) p.one(8);
      int type = (int) (long) e.one(9);
      String name =
          e.all(23).isEmpty() ? "" : new String((byte[]) e.one(23), StandardCharsets.UTF_8);
      assertThat(ns).as("time on a track").isGreaterThanOrEqualTo(last.getOrDefault(track, 0L));
      last.put(track, ns);
      int depth =
          open.merge(track, type == SLICE_BEGIN ? 1 : type == SLICE_END ? -1 : 0, Integer::sum);
      assertThat(depth).as("slices of a track nest").isNotNegative();
      events.add(new Event(type, track, ns, name, e.all(47)));
    }
    assertThat(open.values()).as("every slice ends").containsOnly(0);
    return events;
  }

  @Test
  void perfetto_shows_calls_levels_and_the_fault_with_an_arrow_from_its_cause() throws IOException {
    List<Event> events = perfetto("vmx_invalid_nested_guest_state");

    Event fault =
        events.stream()
            .filter(e -> e.type() == INSTANT && e.name().startsWith("TRIPLE_FAULT"))
            .findFirst()
            .orElseThrow();
    assertThat(fault.name()).isEqualTo("TRIPLE_FAULT synthesized TR_UNUSABLE");
    assertThat(events)
        .filteredOn(e -> e.name().equals("KVM_SET_SREGS") && !e.flows().isEmpty())
        .hasSize(1)
        .allMatch(e -> e.flows().equals(fault.flows()));
    assertThat(events)
        .filteredOn(e -> e.type() == SLICE_BEGIN)
        .extracting(Event::name)
        .contains("KVM_RUN", "L0", "L1", "L2");
  }

  @Test
  void perfetto_joins_smi_and_rsm() throws IOException {
    List<Event> events = perfetto("scn_d");

    List<Object> smis = new ArrayList<>();
    List<Object> rsms = new ArrayList<>();
    for (Event e : events) {
      if (e.name().equals("SMI")) {
        smis.addAll(e.flows());
      } else if (e.name().equals("RSM")) {
        // A vCPU that was restored inside SMM took its SMI elsewhere.
        rsms.addAll(e.flows());
      }
    }
    assertThat(smis).isNotEmpty().doesNotHaveDuplicates();
    assertThat(rsms).isNotEmpty().isSubsetOf(smis);
    assertThat(events).anyMatch(e -> e.type() == SLICE_BEGIN && e.name().equals("SMM"));
  }

  @Test
  void an_input_without_times_is_shown_in_order() throws IOException {
    Path trace = folder.resolve("a.strace");
    Files.writeString(trace, "ioctl(3, KVM_CREATE_VM, 0) = 8\nioctl(8, KVM_CREATE_VCPU, 0) = 9\n");
    CommandLines.Ended ended =
        CommandLines.run("export", "--to", "perfetto", "-o", folder.resolve("a.out"), trace);

    assertThat(ended.err()).contains("the input tells no times");
  }

  @ParameterizedTest
  @ValueSource(strings = {"state_test", "svm_state_test", "qemu_refused_msr", "fuzz-restore-order"})
  void an_exported_recording_reads_as_the_same_observations(String timeline) throws IOException {
    Path input = CommandLines.timelines().resolve(timeline);
    Path file = folder.resolve("copy.jsonl.gz");
    CommandLines.run("export", "--to", "jsonl", "-o", file, input);

    List<Observation> copy = read(file);
    assertThat(copy).isNotEmpty().isEqualTo(read(input));
  }

  @Test
  void a_capture_of_smram_is_exported(@TempDir Path other) throws IOException {
    Path input = other.resolve("a.jsonl");
    Files.writeString(
        input,
        "{\"seq\":4,\"ev\":\"smram\",\"t_enter\":9,\"tid\":7,\"obj\":\"vm1/vcpu0\",\"smbase\":\"0x30000\","
            + "\"map_len\":512,\"map\":\""
            + Bytes.zero(512).toBase64()
            + "\"}\n");
    Path file = folder.resolve("copy.jsonl");
    CommandLines.run("export", "--to", "jsonl", "-o", file, input);

    assertThat(read(file)).hasSize(1).isEqualTo(read(input));
  }

  @Test
  void an_exported_trace_still_knows_that_payloads_are_unknown() throws IOException {
    Path file = folder.resolve("copy.jsonl");
    CommandLines.run(
        "export",
        "--to",
        "jsonl",
        "-o",
        file,
        CommandLines.timelines().resolve("qemu_strace_destination"));

    assertThat(CommandLines.run("verify", file).status()).isZero();
    assertThat(read(file))
        .filteredOn(Call.class::isInstance)
        .filteredOn(o -> ((Call) o).name().equals("KVM_SET_MSRS"))
        .isNotEmpty()
        .allMatch(o -> !((Call) o).payload().seen());
  }

  /** Without what traces beside it tell, and where each stands. */
  private static List<Observation> read(Path input) {
    List<Observation> all = new ArrayList<>();
    try (ObservationReader reader = Inputs.open(input).getFirst().open()) {
      while (reader.hasNext()) {
        Observation next = reader.next();
        all.add(
            switch (next) {
              case Call c ->
                  new Call(
                      c.seq(),
                      c.enterNs(),
                      c.exitNs(),
                      c.caller(),
                      c.target(),
                      c.request(),
                      c.result(),
                      c.payload(),
                      Traced.ABSENT,
                      "");
              case Observation.Mapped m ->
                  new Observation.Mapped(
                      m.seq(),
                      m.enterNs(),
                      m.tid(),
                      m.fd(),
                      m.obj(),
                      m.length(),
                      m.offset(),
                      m.address(),
                      "");
              case Observation.Closed c ->
                  new Observation.Closed(
                      c.seq(), c.enterNs(), c.tid(), c.fd(), c.fdKind(), c.obj(), c.ret(), "");
              case Observation.Mark m ->
                  new Observation.Mark(m.seq(), m.enterNs(), m.tid(), m.text(), "");
              case Observation.Started s ->
                  new Observation.Started(
                      s.seq(), s.enterNs(), s.pid(), s.argv(), s.recorder(), "");
              case Observation.Exited e ->
                  new Observation.Exited(
                      e.seq(), e.enterNs(), e.tid(), e.tgid(), e.code(), e.signal(), "");
              case Observation.SmramCaptured s ->
                  new Observation.SmramCaptured(
                      s.seq(), s.enterNs(), s.tid(), s.obj(), s.smbase(), s.map(), "");
              case Observation.TimedOut t -> new Observation.TimedOut(t.seq(), t.enterNs(), "");
              case Observation.UnknownLine u ->
                  new Observation.UnknownLine(u.seq(), u.enterNs(), u.kind(), u.text(), "");
            });
      }
    }
    return all;
  }

  @Test
  void csv_has_a_header_and_a_line_a_call() throws IOException {
    Path file = folder.resolve("a.csv");
    CommandLines.run(
        "export",
        "--to",
        "csv",
        "-o",
        file,
        "--vcpu",
        "0",
        CommandLines.timelines().resolve("vmx_invalid_nested_guest_state"));

    List<String> lines = Files.readAllLines(file);
    assertThat(lines.getFirst())
        .isEqualTo("seq,lane,ioctl,ret,errno,result,enter_ns,exit_ns,tid,where");
    assertThat(lines.get(1)).contains("vm1/vcpu0");
    assertThat(lines).filteredOn(l -> l.contains(",KVM_RUN,0,0,KVM_EXIT_IO,")).isNotEmpty();
  }

  @Test
  void what_cannot_be_exported_is_told() {
    CommandLines.Ended format =
        CommandLines.run(
            "export",
            "--to",
            "pdf",
            "-o",
            folder.resolve("x"),
            CommandLines.timelines().resolve("smm_test"));
    assertThat(format.status()).isEqualTo(2);
    assertThat(format.err()).contains("expected perfetto, jsonl or csv, found 'pdf'");

    CommandLines.Ended several =
        CommandLines.run(
            "export", "--to", "csv", "-o", folder.resolve("x"), CommandLines.timelines());
    assertThat(several.err()).contains("expected one recording, found a folder of");

    CommandLines.Ended unwritable =
        CommandLines.run(
            "export",
            "--to",
            "csv",
            "-o",
            folder.resolve("no/such/folder/x"),
            CommandLines.timelines().resolve("smm_test"));
    assertThat(unwritable.status()).isEqualTo(74);
  }
}
