package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The file of facts beside a recording. */
final class RecordingFactsTest {
  private static final String META =
      """
      {"name":"scn_a","cmd":"scn a","rc":0,"guest_start":7.92,"insmod_params":"ept=0",
       "kernel":"6.1.0-56-amd64 #1 SMP","params":{"kvm_intel.nested":"Y","kvm_intel.ept":"N","kvm.n":3,"kvm.b":true},
       "distribution":{"a":{"b":[1]}}}
      """;

  @Test
  void facts_are_taken_by_name_and_the_rest_is_passed_over() {
    RecordingFacts facts = read(META);
    assertThat(facts.name()).isEqualTo("scn_a");
    assertThat(facts.command()).isEqualTo("scn a");
    assertThat(facts.kernel()).isEqualTo("6.1.0-56-amd64 #1 SMP");
    assertThat(facts.insmodParams()).isEqualTo("ept=0");
    assertThat(List.copyOf(facts.params().keySet()))
        .containsExactly("kvm.b", "kvm.n", "kvm_intel.ept", "kvm_intel.nested");
    assertThat(facts.params()).containsEntry("kvm_intel.ept", "N").containsEntry("kvm.n", "3");
  }

  @Test
  void what_the_file_does_not_tell_is_empty() {
    assertThat(read("{}"))
        .isEqualTo(RecordingFacts.unknown("boot"))
        .isEqualTo(new RecordingFacts("boot", "", "", "", new TreeMap<>()));
  }

  @Test
  void the_parameters_cannot_be_changed() {
    assertThatExceptionOfType(UnsupportedOperationException.class)
        .isThrownBy(() -> read(META).params().put("kvm_intel.ept", "Y"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "'' | expected a JSON object of facts, found the end of the file",
        "[] | expected a JSON object of facts, found [",
        "{'name':5 | expected a JSON object of facts, found damage",
        "{'name':{}} | expected name to be a string, found {",
        "{'name':null} | expected name to be a string",
        "{'params':3} | expected params to be an object, found '3'",
        "{'params':{'a':[]}} | expected a to be a string, found [",
        "{} {} | expected the end of the file after its JSON object",
        "nonsense | expected a JSON object of facts, found damage"
      })
  void a_damaged_file_is_told_in_one_sentence(String text, String fragment) {
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(() -> read(text.equals("''") ? "" : text.replace('\'', '"')))
        .withMessageStartingWith("FL-213 boot.meta.json:1: ")
        .withMessageContaining(fragment)
        .satisfies(e -> {
          assertThat(e.code()).isEqualTo(ErrorCode.RECORDING_FACTS);
          assertThat(e.kind()).isEqualTo(FormatException.Kind.CORRUPT);
          assertThat(e.exitCode()).isEqualTo(65);
          assertThat(e.getMessage()).doesNotContain("\n");
        });
  }

  @Test
  void a_stream_that_breaks_off_is_told() {
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(
            () -> RecordingFacts.read("boot", "boot.meta.json", Lines.cut("{\"name\":\"scn")))
        .withMessageContaining("boot.meta.json: expected a JSON object of facts")
        .withMessageContaining("the end of a cut file");
  }

  @Test
  void a_text_without_end_is_refused() {
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(() -> read("{\"name\":\"" + "x".repeat(2_000_000) + "\"}"))
        .withMessageContaining("maximum allowed");
  }

  private static RecordingFacts read(String text) {
    return RecordingFacts.read("boot", "boot.meta.json", Lines.stream(text));
  }
}
