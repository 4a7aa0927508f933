package dev.faultline.report;

import dev.faultline.Check;
import dev.faultline.reorder.Deviation;
import dev.faultline.reorder.Edge;
import dev.faultline.reorder.Reordering;
import dev.faultline.reorder.WindowCall;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import net.sourceforge.plantuml.FileFormat;
import net.sourceforge.plantuml.FileFormatOption;
import net.sourceforge.plantuml.SourceStringReader;

/** Which call must come before which, drawn: the calls with an arrow for each direct edge. */
public final class OrdersPicture {
  private OrdersPicture() {}

  /** For Graphviz. */
  public static String dot(Reordering result) {
    StringBuilder text =
        new StringBuilder("digraph orders {\n  rankdir=TB;\n  node [shape=box];\n");
    for (WindowCall call : result.window().calls()) {
      text.append("  seq").append(call.seq()).append(" [label=\"").append(label(call, "\\n"));
      text.append("\"];\n");
    }
    for (Edge edge : direct(result)) {
      text.append("  seq").append(result.window().calls().get(edge.before()).seq());
      text.append(" -> seq").append(result.window().calls().get(edge.after()).seq());
      text.append(" [label=\"").append(why(edge)).append("\"];\n");
    }
    return text.append("}\n").toString();
  }

  /** As a picture, laid out by PlantUML's own port of Graphviz. */
  public static String svg(Reordering result) throws IOException {
    StringBuilder text = new StringBuilder("@startuml\n!pragma layout smetana\n");
    for (WindowCall call : result.window().calls()) {
      text.append("rectangle \"").append(label(call, "\\n")).append("\" as seq");
      text.append(call.seq()).append('\n');
    }
    for (Edge edge : direct(result)) {
      text.append("seq").append(result.window().calls().get(edge.before()).seq());
      text.append(" --> seq").append(result.window().calls().get(edge.after()).seq());
      text.append(" : ").append(why(edge)).append('\n');
    }
    text.append("@enduml\n");
    ByteArrayOutputStream svg = new ByteArrayOutputStream();
    new SourceStringReader(text.toString()).outputImage(svg, new FileFormatOption(FileFormat.SVG));
    return svg.toString(StandardCharsets.UTF_8) + "\n";
  }

  private static List<Edge> direct(Reordering result) {
    return result.edges().stream().filter(Edge::direct).toList();
  }

  private static String label(WindowCall call, String newLine) {
    return call.ioctl().uapiName() + newLine + "seq " + call.seq();
  }

  /** The checks, or a few fields. */
  private static String why(Edge edge) {
    Edge.Reason reason = edge.reason();
    if (reason == null) {
      return "";
    }
    List<String> words = new ArrayList<>();
    for (Deviation d : reason.refused()) {
      Check check = OrderWords.check(d.answer());
      words.add(check == null ? "fewer entries" : check.id());
    }
    Check fault = OrderWords.check(reason.ending().run());
    if (words.isEmpty() && fault != null) {
      words.add(fault.id());
    }
    if (words.isEmpty()) {
      words.addAll(reason.fields().stream().limit(2).toList());
    }
    return String.join(", ", words);
  }
}
