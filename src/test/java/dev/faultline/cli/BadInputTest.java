package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A recording that is damaged in one place ends every verb that reads it with exit status 65 and
 * one sentence that names file and line.
 */
final class BadInputTest {
  private static final String WHOLE = "vmx_invalid_nested_guest_state";

  /** The line of a KVM_SET_SREGS, counted from 1. */
  private static final int LINE = 32;

  private static final int MILLION = 1_000_000;

  @TempDir Path folder;

  /** One way to damage a line. */
  record Damage(String name, UnaryOperator<String> on, String told) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static final List<Damage> DAMAGES =
      List.of(
          new Damage("a cut line", l -> l.substring(0, l.length() / 2), ""),
          new Damage("garbage", _ -> "}{ this is no JSON", ""),
          new Damage("bytes that are no text", _ -> "\u0000\u0001\ufffd", ""),
          new Damage("wrong base64", l -> l.replace("\"in\":\"AAAA", "\"in\":\"A!AA"), "base64"),
          new Damage("a payload of another length than it says", BadInputTest::shorter, "312"),
          new Damage(
              "a payload that is shorter than its struct",
              l -> shorter(l).replace("\"in_len\":312", "\"in_len\":309"),
              "kvm_sregs"),
          new Damage("a million characters", _ -> "a".repeat(MILLION), ""),
          new Damage("a payload of a million characters", BadInputTest::longer, "kvm_sregs"),
          new Damage(
              "a name of a million characters",
              l -> l.replace("KVM_SET_SREGS", "KVM_" + "A".repeat(MILLION)),
              ""),
          new Damage(
              "an object of a million characters",
              l -> l.replace("vm1/vcpu0", "vm1/" + "a".repeat(MILLION)),
              ""),
          new Damage("a line without an end", _ -> "[".repeat(9 * MILLION), ""),
          new Damage("a number that is none", l -> l.replace("\"seq\":31", "\"seq\":\"x\""), "seq"),
          new Damage(
              "a format of the future", l -> "{\"ev\":\"format\",\"version\":99}\n" + l, "99"),
          new Damage("an array", l -> "[" + l + "]", ""),
          new Damage("nested too deep", _ -> "{\"a\":".repeat(100_000), ""));

  private static String shorter(String line) {
    // Four characters of base64 are three bytes.
    return line.replace("\"in\":\"AAAA", "\"in\":\"");
  }

  private static String longer(String line) {
    String payload = "A".repeat(MILLION);
    return line.replaceFirst(
        "\"in_len\":312,\"in\":\"[^\"]*", "\"in_len\":750000,\"in\":\"" + payload);
  }

  private static List<List<String>> verbs() {
    return List.of(
        List.of("verify"),
        List.of("verify", "--format", "json"),
        List.of("show"),
        List.of("state", "--at", "seq:32"),
        List.of("policies"));
  }

  static Stream<Arguments> all() {
    return verbs().stream().flatMap(v -> DAMAGES.stream().map(d -> Arguments.of(v, d)));
  }

  @ParameterizedTest(name = "{0}: {1}")
  @MethodSource("all")
  void damage_is_told_in_a_sentence_with_file_and_line(List<String> verb, Damage damage) {
    List<String> lines = new ArrayList<>(CommandLines.lines(WHOLE));
    String damaged = damage.on().apply(lines.get(LINE - 1));
    assertThat(damaged).isNotEqualTo(lines.get(LINE - 1));
    lines.set(LINE - 1, damaged);
    List<Object> line = new ArrayList<>(verb);
    line.add(CommandLines.recording(folder, "torn.jsonl", lines));

    CommandLines.Ended ended = CommandLines.run(line.toArray());

    assertThat(ended.err()).startsWith("faultline: FL-").contains("torn.jsonl:" + LINE);
    assertThat(ended.err().lines().count()).isEqualTo(1);
    assertThat(ended.err()).doesNotContain("Exception").contains(damage.told());
    assertThat(ended.err().length()).isLessThan(400);
    assertThat(ended.status()).isEqualTo(65);
  }
}
