package dev.faultline;

import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.vmx.VmcsField;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Every constant, every number and every layout in one text: a change to any of them shows as a
 * line of a diff.
 */
final class VocabularyGolden {
  private static final String GOLDEN = "golden/vocabulary.txt";

  @Test
  void constants_numbers_and_layouts_are_as_in_the_golden() throws Exception {
    List<String> lines = new ArrayList<>();
    constants(lines);
    ioctls(lines);
    fields(lines);
    codes(lines);
    layouts(lines);
    write(lines);
  }

  private static void constants(List<String> lines) throws IllegalAccessException {
    lines.add("# constants");
    Vocabulary.constants()
        .forEach((name, value) -> lines.add(name + " 0x" + Long.toHexString(value)));
    lines.add("");
    lines.add("# numbers of enum constants");
    Vocabulary.numbers()
        .forEach((name, value) -> lines.add(name + " 0x" + Integer.toHexString(value)));
    lines.add("");
  }

  private static void ioctls(List<String> lines) {
    lines.add("# ioctls: name, number, direction, size, descriptors");
    for (Ioctl ioctl : Ioctl.values()) {
      String kinds =
          Stream.of(FdKind.values())
              .filter(ioctl::takenBy)
              .map(FdKind::word)
              .collect(Collectors.joining(","));
      lines.add(
          String.format(
              Locale.ROOT,
              "%s 0x%08x %s %d %s",
              ioctl.uapiName(),
              ioctl.number(),
              ioctl.direction(),
              ioctl.size(),
              kinds));
    }
    lines.add("");
  }

  private static void fields(List<String> lines) {
    lines.add("# VMCS fields: name, encoding, offset, size, area, width, shadowed");
    for (VmcsField field : VmcsField.values()) {
      lines.add(
          String.format(
              Locale.ROOT,
              "%s 0x%04x %d %d %s %s%s",
              field.vmcs12Name(),
              field.encoding(),
              field.offset(),
              field.size(),
              field.area(),
              field.width(),
              field.isShadowed() ? " shadowed" : ""));
    }
    lines.add("");
  }

  private static void codes(List<String> lines) {
    lines.add("# error codes");
    for (ErrorCode code : ErrorCode.values()) {
      lines.add(code.id() + " " + code + ": " + code.sentence());
    }
    lines.add("");
  }

  /** A field that an earlier layout of the same struct has told is not told again. */
  private static void layouts(List<String> lines) throws IllegalAccessException {
    List<StructLayout> layouts = new ArrayList<>(Vocabulary.layouts());
    layouts.addAll(Vocabulary.layoutsOfInstances());
    Set<String> told = new HashSet<>();
    for (StructLayout layout : layouts) {
      List<String> fields =
          layout.fields().stream()
              .map(VocabularyGolden::line)
              .filter(line -> told.add(layout.name() + " " + line))
              .toList();
      if (!fields.isEmpty()) {
        lines.add(
            "# layout of %s, %d bytes: name, offset, width"
                .formatted(layout.name(), layout.size()));
        lines.addAll(fields);
        lines.add("");
      }
    }
  }

  private static String line(StructField field) {
    String line = field.name() + " " + field.offset() + " " + field.width();
    return field.isValue() ? line : line + " " + field.kind();
  }

  private static void write(List<String> lines) throws IOException {
    GoldenFile.check(GOLDEN, String.join("\n", lines) + "\n");
  }
}
