package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.GoldenFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import net.sourceforge.plantuml.FileFormat;
import net.sourceforge.plantuml.FileFormatOption;
import net.sourceforge.plantuml.SourceStringReader;
import net.sourceforge.plantuml.code.TranscoderUtil;
import org.junit.jupiter.api.Test;

/** The state diagram in the README is the transition table, drawn. */
class NestedDiagramTest {
  private static final Path DRAWING =
      Path.of(System.getProperty("basedir", "."), "src", "site", "nested-states.svg");

  /**
   * Compares the text that was drawn, which stands in the drawing, and not the drawing: that is
   * laid out with the fonts of the machine it was made on.
   */
  @Test
  void diagramIsDrawnFromTheTransitionTable() throws IOException {
    String text = text();
    if (GoldenFile.isUpdate()) {
      Files.createDirectories(DRAWING.getParent());
      Files.writeString(DRAWING, draw(text), StandardCharsets.UTF_8);
    }
    String drawn = "<!--SRC=[" + TranscoderUtil.getDefaultTranscoder().encode(text) + "]-->";
    assertThat(Files.readString(DRAWING, StandardCharsets.UTF_8).contains(drawn))
        .as("%s is up to date; if not, run with -D%s=true", DRAWING, GoldenFile.UPDATE)
        .isTrue();
  }

  @Test
  void everyPhaseCanBeReached() {
    for (NestedPhase phase : NestedPhase.values()) {
      assertThat(NestedTransition.values())
          .as(phase.label())
          .anyMatch(row -> row.to() == phase && row.from() != phase);
    }
  }

  @Test
  void everyChangeHasOneRow() {
    for (NestedTransition row : NestedTransition.values()) {
      assertThat(NestedTransition.of(row.from(), row.to(), row.isByIoctl())).isSameAs(row);
    }
  }

  private static String text() {
    StringBuilder text = new StringBuilder();
    text.append("!pragma layout smetana\n");
    text.append("hide empty description\n");
    text.append("skinparam ArrowFontSize 11\n");
    for (NestedPhase phase : NestedPhase.values()) {
      text.append("state \"").append(phase.label()).append("\" as ").append(phase).append('\n');
    }
    Map<String, String> arrows = new LinkedHashMap<>();
    for (NestedTransition row : NestedTransition.values()) {
      arrows.merge(
          row.from() + " --> " + row.to(), row.trigger(), (one, next) -> one + "\\n" + next);
    }
    arrows.forEach((arrow, label) -> text.append(arrow + " : " + label + "\n"));
    return text.toString();
  }

  private static String draw(String text) throws IOException {
    ByteArrayOutputStream svg = new ByteArrayOutputStream();
    new SourceStringReader("@startuml\n" + text + "@enduml\n")
        .outputImage(svg, new FileFormatOption(FileFormat.SVG));
    return svg.toString(StandardCharsets.UTF_8) + "\n";
  }
}
