package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Verbs over timelines of a store. */
final class StoreVerbsTest {
  @TempDir Path folder;

  private CommandLines.Ended run(Object... args) {
    List<Object> line = new ArrayList<>(List.of(args));
    line.add("--store");
    line.add(folder.resolve("store"));
    return CommandLines.run(line.toArray());
  }

  private CommandLines.Ended imported(String timeline) {
    return run("import", CommandLines.timeline(timeline));
  }

  private void same(String timeline, Object... words) {
    List<Object> ofStore = new ArrayList<>(List.of(words));
    ofStore.add(1, timeline);
    List<Object> ofFile = new ArrayList<>(List.of(words));
    ofFile.add(1, CommandLines.timeline(timeline));
    CommandLines.Ended expected = CommandLines.run(ofFile.toArray());
    CommandLines.Ended found = run(ofStore.toArray());
    assertThat(found.out()).as("%s", ofStore).isEqualTo(expected.out());
    assertThat(found.status()).isEqualTo(expected.status());
  }

  @Test
  void a_stored_timeline_is_shown_and_verified_as_its_file_is() {
    assertThat(imported("vmx_invalid_nested_guest_state").out())
        .isEqualTo("vmx_invalid_nested_guest_state: 396 events\n");
    same("vmx_invalid_nested_guest_state", "verify", "--format", "json");
    same("vmx_invalid_nested_guest_state", "verify", "--kernel", "5.10");
    same("vmx_invalid_nested_guest_state", "show");
    same("vmx_invalid_nested_guest_state", "policies");
    same("vmx_invalid_nested_guest_state", "state", "--at", "seq:30", "--diff", "seq:31");
    same("vmx_invalid_nested_guest_state", "state", "--at", "345");
  }

  @Test
  void a_stored_timeline_is_counted_reordered_minimized_and_exported_as_its_file_is()
      throws IOException {
    imported("vmx_invalid_nested_guest_state");
    imported("fuzz-restore-order");
    same("vmx_invalid_nested_guest_state", "stat");
    same("vmx_invalid_nested_guest_state", "stat", "--by-vcpu", "--format", "json");
    same("fuzz-restore-order", "reorder", "--from", "seq:1334", "--to", "seq:1343");
    for (String format : List.of("csv", "perfetto", "jsonl")) {
      Path ofStore = folder.resolve("store." + format);
      Path ofFile = folder.resolve("file." + format);
      String timeline = "vmx_invalid_nested_guest_state";
      run("export", timeline, "--to", format, "-o", ofStore);
      CommandLines.run("export", CommandLines.timeline(timeline), "--to", format, "-o", ofFile);
      assertThat(ofStore).hasSameBinaryContentAs(ofFile);
    }
    CommandLines.Ended exported = CommandLines.run("verify", folder.resolve("store.jsonl"));
    assertThat(exported.out())
        .contains("confirmed by the tracepoint", "Linux 6.1", "no divergence");
    Path least = folder.resolve("least.jsonl");
    CommandLines.Ended minimized = run("minimize", "vmx_invalid_nested_guest_state", "-o", least);
    assertThat(minimized.out()).contains("came down to 6 and their trace");
    assertThat(CommandLines.run("verify", least).out())
        .contains("TR_UNUSABLE", "confirmed by the tracepoint");
  }

  @Test
  void states_of_a_long_timeline_are_those_of_its_file() {
    imported("scn_d");
    for (String moment : List.of("0", "2047", "5000", "9999", "seq:1500", "seq:2000", "12733")) {
      same("scn_d", "state", "--at", moment, "--format", "json");
    }
    // vCPUs of VMs that were closed long before, by name and by number.
    same("scn_d", "state", "--at", "12733", "--vcpu", "vm3/vcpu0");
    same("scn_d", "state", "--at", "12000", "--vcpu", "0", "--format", "json");
    assertThat(run("reproject").status()).isZero();
    same("scn_d", "state", "--at", "12733", "--vcpu", "vm3/vcpu0");
    CommandLines.Ended unknown = run("state", "scn_d", "--at", "99999999");
    assertThat(unknown.status()).isEqualTo(2);
    assertThat(unknown.err()).contains("FL-402");
  }

  @Test
  void timelines_are_listed_forked_checked_and_taken_away() {
    imported("smm_test");
    assertThat(run("import", CommandLines.timeline("smm_test"), "--format", "json").out())
        .contains("\"events\": 1509,", "\"alreadyThere\": 1509,");
    assertThat(run("fork", "smm_test", "--at", "seq:40", "--as", "half").status()).isZero();
    CommandLines.Ended listed = run("ls");
    assertThat(listed.out().lines()).hasSize(3);
    assertThat(listed.out()).contains("smm_test").contains("1509").contains("half");
    CommandLines.Ended checked = run("check");
    assertThat(checked.status()).isZero();
    assertThat(checked.out()).contains("smm_test: sound, 1509 events, head ");
    assertThat(run("rm", "smm_test").err()).contains("FL-408").contains("half");
    assertThat(run("reproject").out()).isEqualTo("2 timelines projected anew\n");
    assertThat(run("ls").out()).isEqualTo(listed.out());
    assertThat(run("rm", "half", "smm_test").status()).isZero();
    assertThat(run("ls").out()).isEmpty();
  }

  @Test
  void a_fork_goes_on_as_what_it_was_taken_from() {
    imported("smm_test");
    run("fork", "smm_test", "--at", "seq:40", "--as", "half");
    CommandLines.Ended ofFork = run("state", "half", "--at", "seq:40", "--format", "json");
    CommandLines.Ended ofWhole = run("state", "smm_test", "--at", "seq:40", "--format", "json");
    assertThat(ofFork.out()).isEqualTo(ofWhole.out().replace("smm_test", "half"));
    CommandLines.Ended inside = run("fork", "smm_test", "--at", "1508", "--as", "x");
    assertThat(inside.status()).isEqualTo(2);
  }

  @Test
  void a_fork_goes_on_by_calls_that_nobody_made() {
    imported("vmx_invalid_nested_guest_state");
    run("fork", "vmx_invalid_nested_guest_state", "--at", "seq:30", "--as", "if");
    String lane = "vm1/vcpu0";
    CommandLines.Ended set =
        run("call", "if", lane, "KVM_SET_SREGS", "tr.present=0", "tr.unusable=1");
    assertThat(set.out()).isEqualTo("?    344     31  vm1/vcpu0  KVM_SET_SREGS = 0\n");
    run("fork", "if", "--at", "seq:31", "--as", "then");
    assertThat(run("call", "then", lane, "KVM_RUN").out())
        .isEqualTo(
            "?    345     32  vm1/vcpu0  KVM_RUN  the guest runs; how it comes back, nobody can"
                + " tell\n*    346     32  vm1/vcpu0    L2 exits to L1 with TRIPLE_FAULT,"
                + " synthesized  TR_UNUSABLE: TR is usable [tr_valid()]\n");
    CommandLines.Ended ran = run("call", "if", lane, "KVM_RUN", "--format", "json");
    assertThat(ran.out())
        .contains("\"check\": \"TR_UNUSABLE\"", "\"tripleFault\": true", "\"ret\": null");
    CommandLines.Ended shown = run("show", "if", "--from", "seq:31");
    assertThat(shown.out().lines().map(line -> line.substring(0, 8)))
        .containsExactly("?    344", "?    345", "*    346", "     347");
    assertThat(shown.out()).contains("tr.unusable 0 → 1", "comes back; how, nobody can tell");
    CommandLines.Ended verified = run("verify", "if");
    assertThat(verified.out())
        .contains("* TRIPLE_FAULT synthesized by KVM at moment 346", "no divergence")
        .contains("there is no trace of this call to confirm it");
    assertThat(run("verify", "if", "--kernel", "5.10").out()).doesNotContain("TRIPLE_FAULT");
    assertThat(run("audit", "if").out()).contains("R80 error on vm1/vcpu0");
    assertThat(run("check", "if").status()).isZero();
    Path exported = folder.resolve("if.jsonl");
    run("export", "if", "--to", "jsonl", "-o", exported);
    assertThat(CommandLines.run("verify", exported).out()).isEqualTo(verified.out());
  }

  @Test
  void a_call_that_cannot_be_decided_says_what_is_missing() {
    imported("vmx_invalid_nested_guest_state");
    run("fork", "vmx_invalid_nested_guest_state", "--at", "seq:32", "--as", "if");
    String lane = "vm1/vcpu0";
    CommandLines.Ended unknown = run("call", "if", lane, "KVM_SET_SREGS", "cr0=0");
    assertThat(unknown.status()).isEqualTo(2);
    assertThat(unknown.err()).contains("FL-420", "cs.base", "--like seq:N");
    CommandLines.Ended like = run("call", "if", lane, "KVM_SET_SREGS", "--like", "seq:31");
    assertThat(like.out()).startsWith("?    353     33  vm1/vcpu0  KVM_SET_SREGS = 0");
    for (String[] wrong :
        new String[][] {
          {"if", lane, "KVM_SET_SREGS", "--like", "seq:999"},
          {"if", lane, "KVM_SET_SREGS", "no.field=1", "--like", "seq:31"},
          {"if", lane, "KVM_CREATE_VCPU"},
          {"if", "vm1/vcpu7", "KVM_NMI"},
          {"if", lane, "KVM_NMI", "--answer", "0"},
          {"vmx_invalid_nested_guest_state", lane, "KVM_NMI"}
        }) {
      List<Object> words = new ArrayList<>(List.of("call"));
      words.addAll(List.of(wrong));
      CommandLines.Ended ended = run(words.toArray());
      assertThat(ended.status()).as("%s", words).isEqualTo(2);
      assertThat(ended.err()).as("%s", words).contains("expected").contains("found");
    }
  }

  @Test
  void several_inputs_become_one_timeline_or_are_refused() {
    CommandLines.Ended done =
        run(
            "import",
            CommandLines.timeline("qemu_strace_source"),
            CommandLines.timeline("qemu_strace_destination"),
            "--as",
            "migration",
            "--format",
            "json");
    assertThat(done.status()).isZero();
    assertThat(done.out())
        .contains("\"timeline\": \"migration\"", "\"uncertaintyNs\": 2001000", "\"sources\": [");
    assertThat(run("ls").out().lines().toList().getLast()).matches("migration +11403 +2 +4 .*");
    CommandLines.Ended verified = run("verify", "migration");
    assertThat(verified.status()).isZero();
    assertThat(verified.out()).contains("2 inputs merged by the time of day with its date");
    CommandLines.Ended refused =
        run(
            "import",
            CommandLines.timeline("smm_test"),
            CommandLines.timeline("svm_state_test"),
            "--as",
            "both");
    assertThat(refused.status()).isEqualTo(2);
    assertThat(refused.err()).contains("FL-421").contains("import them apart");
    assertThat(run("ls").out()).doesNotContain("both");
  }

  @Test
  void another_input_under_the_same_name_is_refused() {
    imported("smm_test");
    CommandLines.Ended other =
        run("import", CommandLines.timeline("set_sregs_test"), "--as", "smm_test");
    assertThat(other.status()).isEqualTo(74);
    assertThat(other.err()).contains("FL-307").contains("--as").contains("faultline rm smm_test");
  }

  @Test
  void of_a_damaged_recording_what_was_read_is_kept() {
    List<String> lines = new ArrayList<>(CommandLines.lines("set_sregs_test"));
    lines.set(30, "{ damaged");
    Path damaged = CommandLines.recording(folder, "damaged.jsonl", lines);
    CommandLines.Ended ended = run("import", damaged, "--format", "json");
    assertThat(ended.status()).isEqualTo(65);
    assertThat(ended.out()).contains("\"problems\"").contains("damaged.jsonl:31");
    assertThat(run("show", "damaged").out()).contains("KVM_SET_SREGS");
    assertThat(run("verify", "damaged").status()).isEqualTo(65);
  }

  @Test
  void a_store_in_use_is_told_in_a_sentence() {
    imported("set_sregs_test");
    String url = "jdbc:h2:file:" + folder.resolve("store").resolve("events");
    // What another process does: it holds the lock on the file.
    Process other = holder(url);
    try {
      CommandLines.Ended ended = run("ls");
      assertThat(ended.status()).isEqualTo(74);
      assertThat(ended.err()).contains("FL-302").contains("in use by another process");
      assertThat(ended.err().lines()).hasSize(1);
    } finally {
      other.destroyForcibly();
    }
  }

  private static Process holder(String url) {
    try {
      Process process =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-XX:+UseSerialGC",
                  "-XX:TieredStopAtLevel=1",
                  "-cp",
                  System.getProperty("java.class.path"),
                  StoreHolder.class.getName(),
                  url)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      assertThat(process.inputReader().readLine()).isEqualTo("open");
      return process;
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void a_store_of_a_newer_version_is_told_in_a_sentence() throws SQLException {
    imported("set_sregs_test");
    String url = "jdbc:h2:file:" + folder.resolve("store").resolve("events");
    try (Connection connection = DriverManager.getConnection(url);
        Statement statement = connection.createStatement()) {
      statement.execute(
          "UPDATE \"flyway_schema_history\" SET \"version\" = '99' WHERE \"version\" = '1'");
    }
    CommandLines.Ended ended = run("ls");
    assertThat(ended.status()).isEqualTo(74);
    assertThat(ended.err()).contains("FL-305").contains("found 99");
  }

  @Test
  void a_wrong_place_is_told_in_a_sentence() throws IOException {
    for (String place :
        List.of(
            "jdbc:oracle:x",
            "jdbc:postgresql://127.0.0.1:1/none?connectTimeout=2",
            Files.createFile(folder.resolve("file")).toString())) {
      CommandLines.Ended ended =
          CommandLines.run("import", CommandLines.timeline("set_sregs_test"), "--store", place);
      assertThat(ended.status()).as(place).isEqualTo(74);
      assertThat(ended.err()).as(place).startsWith("faultline: FL-30").contains("expected");
      assertThat(ended.err().lines()).as(place).hasSize(1);
    }
  }

  @Test
  void a_name_that_is_nowhere_is_told_with_the_store() {
    imported("set_sregs_test");
    CommandLines.Ended ended = run("verify", "nowhere");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("FL-401").contains("timeline of the store");
  }
}
