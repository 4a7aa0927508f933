package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SpecVersion;
import dev.faultline.FormatException;
import dev.faultline.UsageException;
import dev.faultline.kvm.Ioctl;
import dev.faultline.migration.Plan;
import dev.faultline.migration.RestoreStep;
import dev.faultline.migration.SaveStep;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Migration plans: those that are shipped, and how others are refused. */
final class PlansTest {
  private static final Path FOLDER = Path.of("migrations");

  private static final String SMALLEST =
      """
      plan: mine
      about: A plan.
      from: {project: Mine, version: "1"}
      save:
        - {call: KVM_GET_REGS, source: here}
      restore:
        - {call: KVM_SET_REGS, source: here}
      """;

  static List<String> shipped() {
    return Plans.SHIPPED;
  }

  @Test
  void every_file_of_the_folder_is_a_shipped_plan() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER)) {
      assertThat(files.map(f -> f.getFileName().toString()).filter(f -> f.endsWith(".yaml")))
          .containsExactlyInAnyOrderElementsOf(
              Plans.SHIPPED.stream().map(name -> name + ".yaml").toList());
    }
  }

  @ParameterizedTest
  @MethodSource("shipped")
  void a_shipped_plan_is_as_its_schema_says(String name) throws IOException {
    JsonNode plan = new YAMLMapper().readTree(FOLDER.resolve(name + ".yaml").toFile());
    assertThat(schema().validate(plan)).isEmpty();
    assertThat(Plans.open(name).name()).isEqualTo(name);
  }

  @ParameterizedTest
  @MethodSource("shipped")
  void every_step_of_a_shipped_plan_says_where_it_was_read(String name) {
    Plan plan = Plans.open(name);
    assertThat(plan.saves()).extracting(SaveStep::source).allMatch(s -> s.length() > 10);
    assertThat(plan.restores()).extracting(RestoreStep::source).allMatch(s -> s.length() > 10);
    assertThat(plan.restores().getFirst().ioctl()).isIn(Ioctl.SET_CPUID2, Ioctl.SET_TSC_KHZ);
  }

  @Test
  void the_smallest_plan_is_read_and_is_as_the_schema_says() throws IOException {
    Plan plan = Plans.read("mine.yaml", SMALLEST.getBytes(StandardCharsets.UTF_8));
    assertThat(plan.saves()).extracting(SaveStep::ioctl).containsExactly(Ioctl.GET_REGS);
    assertThat(plan.restores()).extracting(RestoreStep::ioctl).containsExactly(Ioctl.SET_REGS);
    assertThat(schema().validate(new YAMLMapper().readTree(SMALLEST))).isEmpty();
  }

  /** What the schema refuses, the reader refuses as well, and says where. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          KVM_SET_REGS | KVM_SET_RAGS | restore[0].call: expected one of KVM_
          KVM_SET_REGS | KVM_GET_REGS | restore[0].call: expected one of KVM_
          plan: mine | plan: Mine! | plan: expected a name of small letters
          about: A plan. | abuot: A plan. | expected the keys plan, about, from, save, restore, found 'abuot'
          KVM_SET_REGS, | KVM_SET_REGS, refused: maybe, | restore[0].refused: expected one of abort, log, ignore
          KVM_SET_REGS, | KVM_SET_REGS, one-by-one: 7, | restore[0].one-by-one: expected true or false
          KVM_SET_REGS, | KVM_SET_REGS, when: later, | restore[0].when: expected one of saved, nested-on
          KVM_SET_REGS, | KVM_SET_MSRS, msrs: {named: [7up]}, | restore[0].msrs.named: expected an MSR
          """)
  void what_the_schema_refuses_is_refused_with_its_place(String right, String wrong, String message)
      throws IOException {
    String text = SMALLEST.replace(right, wrong);
    assertThatThrownBy(() -> Plans.read("mine.yaml", text.getBytes(StandardCharsets.UTF_8)))
        .isInstanceOf(FormatException.class)
        .hasMessageContaining("mine.yaml")
        .hasMessageContaining(message);
    assertThat(schema().validate(new YAMLMapper().readTree(text))).isNotEmpty();
  }

  @Test
  void text_that_is_no_yaml_is_refused_with_its_line() {
    assertThatThrownBy(
            () -> Plans.read("mine.yaml", "plan: [\nabout".getBytes(StandardCharsets.UTF_8)))
        .isInstanceOf(FormatException.class)
        .hasMessageContaining("mine.yaml:2:");
  }

  @Test
  void an_unknown_field_of_a_struct_is_refused() {
    String text = SMALLEST.replace("KVM_SET_REGS,", "KVM_SET_SREGS, keeps: [cr7], clears: [cr2],");
    assertThatThrownBy(() -> Plans.read("mine.yaml", text.getBytes(StandardCharsets.UTF_8)))
        .hasMessageContaining(
            "restore[0].keeps: expected a field of struct kvm_sregs, found 'cr7'");
  }

  @Test
  void a_plan_is_opened_by_its_file(@TempDir Path folder) throws IOException {
    Path file = Files.writeString(folder.resolve("mine.yaml"), SMALLEST);
    assertThat(Plans.open(file.toString()).project()).isEqualTo("Mine");
    assertThatThrownBy(() -> Plans.open("xen"))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("expected qemu, firecracker")
        .hasMessageContaining("found 'xen'");
    assertThatThrownBy(() -> Plans.open(folder.resolve("other.yaml").toString()))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("found no such file");
  }

  private static JsonSchema schema() throws IOException {
    return JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V202012)
        .getSchema(Files.readString(FOLDER.resolve("plan.schema.json")));
  }
}
