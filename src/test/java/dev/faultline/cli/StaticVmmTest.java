package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.faultline.cli.CommandLines.Ended;
import dev.faultline.record.Program;
import dev.faultline.record.StraceCalls;
import dev.faultline.store.PostgresServer;
import dev.faultline.trace.Observation;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Records a VMM that is linked statically and runs guests on {@code /dev/kvm}, in threads, in a
 * child of its child, and among signals.
 */
final class StaticVmmTest {
  private static final String TOLD = "exits 120 signals 12 child 6 same 1\n";

  @TempDir private static Path folder;
  private static Path vmm;

  @BeforeAll
  static void compile() {
    vmm = Program.vmm(folder);
  }

  private static Process start(List<String> command, String told) {
    return Program.start(command, folder.resolve(told));
  }

  private static String text(String file) {
    return Program.text(folder.resolve(file));
  }

  @Test
  void its_recording_equals_one_by_strace_and_is_as_the_model_predicts() throws IOException {
    Program.need("strace", "-o", "/dev/null", "true");
    Path trace = folder.resolve("strace.txt");
    Path recording = folder.resolve("whole.jsonl.gz");
    List<String> traced = new ArrayList<>(List.of("strace", "-f", "-e", "trace=ioctl", "-o"));
    traced.addAll(List.of(trace.toString(), vmm.toString()));

    assertThat(Program.ended(start(traced, "traced"))).isEqualTo(7);
    assertThat(Program.ended(start(Program.recorder("-o", recording, "--", vmm), "recorded")))
        .isEqualTo(7);

    assertThat(text("recorded")).isEqualTo(TOLD).isEqualTo(text("traced"));
    List<List<String>> calls = StraceCalls.of(Program.read(recording));
    assertThat(calls).isEqualTo(StraceCalls.of(Files.readString(trace)));
    assertThat(calls).hasSize(5);
    Ended verified = CommandLines.run("verify", recording);
    assertThat(verified.out()).contains("no divergence");
    assertThat(verified.status()).isZero();
    // It gives all its vCPUs the identifiers of the first.
    Ended audited = CommandLines.run("audit", recording);
    assertThat(audited.status()).isEqualTo(1);
    assertThat(audited.out()).contains("! R08 warning, silent on vm1/vcpu1", "on vm1/vcpu2");
  }

  @Test
  void a_payload_that_cannot_be_read_ends_the_recording_and_not_the_vmm() {
    Path recording = folder.resolve("unreadable.jsonl.gz");
    List<String> command = Program.recorder("-o", recording, "--", vmm, "unreadable");

    assertThat(Program.ended(start(command, "unreadable"))).isEqualTo(5);

    assertThat(text("unreadable"))
        .contains("the payload that KVM has read for KVM_SET_REGS", "the program runs on")
        .contains("set 0 exits 40\n");
    assertThat(CommandLines.run("show", recording).out().lines().toList())
        .anyMatch(line -> line.contains("KVM_SET_SREGS = 0"))
        .noneMatch(line -> line.contains("KVM_RUN"));
  }

  @Test
  void a_call_that_never_returned_is_recorded_as_that() throws IOException {
    Path recording = folder.resolve("hang.jsonl.gz");
    Process recorder = start(Program.recorder("-o", recording, "--", vmm, "hang"), "hang");
    try {
      // KVM_RUN has begun once the immediate one before it is in the file.
      await()
          .atMost(Duration.ofMinutes(1))
          .until(() ->
              Files.exists(recording)
                  && CommandLines.run("show", recording).out().contains("KVM_RUN = -1 EINTR"));
      recorder.children().forEach(ProcessHandle::destroyForcibly);

      assertThat(Program.ended(recorder)).isEqualTo(128 + 9);
    } finally {
      recorder.destroyForcibly();
    }
    assertThat(Program.read(recording))
        .filteredOn(Observation.UnknownLine.class::isInstance)
        .extracting(line -> ((Observation.UnknownLine) line).kind())
        .containsExactly("unreturned", "end");
    assertThat(CommandLines.run("show", recording).out()).contains("\"name\":\"KVM_RUN\"");
    assertThat(CommandLines.run("verify", recording).status()).isZero();
  }

  @Test
  void a_vm_is_gone_when_its_vmm_has_closed_it() {
    Path recording = folder.resolve("life.jsonl.gz");

    assertThat(Program.ended(start(List.of(vmm.toString(), "life"), "life"))).isEqualTo(5);
    List<String> command = Program.recorder("-o", recording, "--", vmm, "life");
    assertThat(Program.ended(start(command, "recorded life"))).isEqualTo(5);

    if (text("life").startsWith("alive 0")) {
      Program.skip("debugfs, which counts VMs, is not there or not ours");
    }
    assertThat(text("recorded life")).isEqualTo(text("life")).isEqualTo("alive 1 then 0\n");
  }

  @Test
  void a_full_disk_ends_the_recording_and_not_the_vmm() throws IOException {
    Path disk = Files.createDirectory(folder.resolve("disk"));
    Path goOn = folder.resolve("goOn");
    String mounted = "mount -t tmpfs -o size=1m none \"$0\"";
    Program.need("unshare", "-m", "sh", "-c", mounted, disk.toString());
    Path file = disk.resolve("full.jsonl.gz");
    Path copy = folder.resolve("full.jsonl.gz");
    String script = mounted + " && { \"$@\"; s=$?; cp " + file + " " + copy + "; exit $s; }";
    List<String> command = new ArrayList<>(List.of("unshare", "-m", "sh", "-c", script));
    command.add(disk.toString());
    command.addAll(Program.recorder("-o", file, "--", vmm, "until", goOn));

    Process recorder = start(command, "full");
    await().atMost(Duration.ofMinutes(2)).until(() -> text("full").contains("the program runs on"));
    Files.createFile(goOn);

    assertThat(Program.ended(recorder)).isEqualTo(5);
    assertThat(text("full")).contains("FL-311 " + file, "No space left").contains("exits 40\n");
    assertThat(Program.read(copy)).hasSizeGreaterThan(20);
  }

  @Test
  void what_is_imported_while_it_is_recorded_is_what_an_import_of_the_file_gives() {
    Path store = folder.resolve("store");
    Path recording = folder.resolve("both.jsonl.gz");
    List<String> command =
        Program.recorder("-o", recording, "--import", "both", "--store", store, "--", vmm);

    assertThat(Program.ended(start(command, "both"))).isEqualTo(7);

    assertThat(text("both")).isEqualTo(TOLD);
    Ended again = CommandLines.run("import", recording, "--as", "both", "--store", store);
    assertThat(again.out()).matches("both: (\\d+) events, \\1 of them were there already\n");
    assertThat(CommandLines.run("verify", "both", "--store", store).out())
        .contains("no divergence");
    Ended once = CommandLines.run("import", recording, "--as", "both", "--store", store);
    assertThat(once.status()).isZero();
    assertThat(Program.ended(start(command, "twice"))).isEqualTo(2);
    assertThat(text("twice")).contains("--import: expected the name of a new timeline");
  }

  @Test
  void a_recorder_that_is_killed_leaves_a_timeline_and_the_vmm() throws IOException {
    Path store = folder.resolve("killed");
    Path recording = folder.resolve("killed.jsonl.gz");
    Path goOn = folder.resolve("killedGoOn");
    Process recorder =
        start(
            Program.recorder(
                "-o", recording, "--import", "killed", "--store", store, "--", vmm, "until", goOn),
            "killed.told");
    ProcessHandle left;
    try {
      // Some thousand calls, of which a page is stored at a time.
      await()
          .atMost(Duration.ofMinutes(2))
          .until(() -> Files.exists(recording) && Files.size(recording) > 8 << 20);
      left = recorder.children().findFirst().orElseThrow();
    } finally {
      recorder.destroyForcibly();
    }
    assertThat(Program.ended(recorder)).isEqualTo(128 + 9);

    assertThat(left.isAlive()).isTrue();
    Files.createFile(goOn);
    await().until(() -> text("killed.told").contains("exits 40\n"));
    assertThat(CommandLines.run("check", "killed", "--store", store).out()).contains("sound");
    assertThat(CommandLines.run("verify", "killed", "--store", store).out())
        .contains("no divergence");
    assertThat(CommandLines.run("import", recording, "--as", "killed", "--store", store).out())
        .matches("killed: \\d+ events, \\d+ of them were there already\n");
  }

  @Test
  void a_timeline_that_is_being_recorded_is_followed() throws IOException {
    String store = PostgresServer.freshDatabase();
    Path goOn = folder.resolve("followGoOn");
    Process recorder =
        start(
            Program.recorder("--import", "live", "--store", store, "--", vmm, "until", goOn),
            "followed");
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    try {
      await()
          .atMost(Duration.ofMinutes(2))
          .until(() -> CommandLines.run("ls", "--store", store).out().contains("live"));
      CompletableFuture<Integer> status =
          CompletableFuture.supplyAsync(() ->
              Main.run(
                  Verbs.ALL,
                  new String[] {"show", "--follow", "live", "--store", store},
                  new PrintWriter(out),
                  new PrintWriter(err)));
      await()
          .atMost(Duration.ofMinutes(1))
          .until(() -> status.isDone() || out.toString().contains("KVM_SET_LAPIC"));
      assertThat(err).hasToString("");
      assertThat(status).isNotDone();
      Files.createFile(goOn);

      assertThat(Program.ended(recorder)).isEqualTo(5);
      assertThat(status.join()).isZero();
      assertThat(out.toString()).contains("KVM_EXIT_HLT");
    } finally {
      recorder.descendants().forEach(ProcessHandle::destroyForcibly);
      recorder.destroyForcibly();
    }
  }

  @Test
  void without_a_place_to_record_to_nothing_is_started() {
    Ended ended = CommandLines.run("record", "--", vmm);

    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("expected -o FILE, --import NAME or both, found neither");
    Ended traced = CommandLines.run("record", "--ftrace", "--import", "x", "--", vmm);
    assertThat(traced.status()).isEqualTo(2);
    assertThat(traced.err()).contains("--ftrace: expected -o FILE");
  }
}
