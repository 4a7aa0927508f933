package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.Check;
import dev.faultline.reorder.Deviation;
import dev.faultline.reorder.Edge;
import dev.faultline.reorder.OutcomeClass;
import dev.faultline.reorder.Reordering;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowCall;
import dev.faultline.vcpu.Outcome;
import java.io.IOException;
import java.io.Writer;
import java.util.List;

/**
 * What {@code reorder} found, as JSON: one object. Counts are decimal texts, as they exceed what
 * JSON numbers hold.
 */
public final class OrdersJson {
  private static final int DEPTH = 1;
  private static final int MOST_FIELDS = 64;

  private OrdersJson() {}

  /** Writes the whole result. */
  public static void write(Writer out, String recording, Reordering result) throws IOException {
    JsonGenerator json = Json.document(out, DEPTH);
    Window window = result.window();
    json.writeStartObject();
    json.writeStringField("recording", recording);
    json.writeStringField("vcpu", window.start().name());
    json.writeArrayFieldStart("ioctls");
    for (WindowCall call : window.calls()) {
      json.writeString(call.ioctl().uapiName());
    }
    json.writeEndArray();
    seqs(json, "seqs", window, java.util.stream.IntStream.range(0, window.size()).boxed().toList());
    seqs(json, "pinned", window, window.pinned());
    WindowCall run = window.run();
    Json.position(json, "runSeq", run == null ? -1 : run.seq());
    json.writeStringField("orders", result.orders().toString());
    json.writeStringField("covered", result.covered().toString());
    json.writeNumberField("fixed", result.fixed());
    json.writeStringField("working", result.working().toString());
    json.writeArrayFieldStart("classes");
    for (int i = 0; i < result.classes().size(); i++) {
      outcome(json, result, i);
    }
    json.writeEndArray();
    json.writeArrayFieldStart("edges");
    for (Edge edge : result.edges()) {
      edge(json, window, edge);
    }
    json.writeEndArray();
    json.writeArrayFieldStart("components");
    for (List<Integer> component : result.components()) {
      json.writeStartArray();
      for (int call : component) {
        json.writeNumber(window.calls().get(call).seq());
      }
      json.writeEndArray();
    }
    json.writeEndArray();
    noReturn(json, result);
    seqs(json, "disagreements", window, result.disagreements());
    json.writeEndObject();
    json.flush();
    out.write('\n');
  }

  private static void noReturn(JsonGenerator json, Reordering result) throws IOException {
    Integer made = result.noReturn();
    if (made == null) {
      json.writeNullField("noReturn");
      return;
    }
    json.writeObjectFieldStart("noReturn");
    json.writeNumberField("calls", made);
    Json.position(json, "seq", made == 0 ? -1 : result.window().calls().get(made - 1).seq());
    json.writeEndObject();
  }

  private static void outcome(JsonGenerator json, Reordering result, int index) throws IOException {
    OutcomeClass each = result.classes().get(index);
    Window window = result.window();
    json.writeStartObject();
    json.writeStringField("outcome", OrderWords.outcome(window, each));
    json.writeStringField("orders", each.orders().toString());
    seqs(json, "witness", window, each.witness());
    json.writeBooleanField("works", each.works());
    json.writeBooleanField("recorded", index == result.recorded());
    json.writeNumberField("inversions", each.inversions());
    json.writeBooleanField("fewest", each.fewest());
    deviations(json, "refused", each.refused());
    texts(json, "differing", each.differing());
    json.writeNumberField("differingCount", each.differing().size());
    deviations(json, "refusedAfter", each.ending().refused());
    String run = OrderWords.ending(each.ending());
    Json.text(json, "run", run.isEmpty() ? null : run);
    json.writeBooleanField("fault", each.ending().isFault());
    Check check = OrderWords.check(each.ending().run());
    Json.text(json, "check", check == null ? null : check.id());
    json.writeArrayFieldStart("always");
    for (OutcomeClass.Pair pair : each.always()) {
      json.writeStartArray();
      json.writeNumber(window.calls().get(pair.before()).seq());
      json.writeNumber(window.calls().get(pair.after()).seq());
      json.writeEndArray();
    }
    json.writeEndArray();
    Json.text(json, "why", each.works() ? null : OrderWords.explanation(result, each));
    json.writeEndObject();
  }

  private static void deviations(JsonGenerator json, String name, List<Deviation> deviations)
      throws IOException {
    json.writeArrayFieldStart(name);
    for (Deviation d : deviations) {
      json.writeStartObject();
      json.writeNumberField("seq", d.call().seq());
      json.writeStringField("ioctl", d.call().ioctl().uapiName());
      Json.text(json, "errno", d.answer() instanceof Outcome.Refused r ? r.errno().name() : null);
      Check check = OrderWords.check(d.answer());
      Json.text(json, "check", check == null ? null : check.id());
      if (d.answer() instanceof Outcome.Returns r) {
        json.writeNumberField("ret", r.value());
      } else {
        json.writeNullField("ret");
      }
      json.writeEndObject();
    }
    json.writeEndArray();
  }

  private static void edge(JsonGenerator json, Window window, Edge edge) throws IOException {
    WindowCall before = window.calls().get(edge.before());
    WindowCall after = window.calls().get(edge.after());
    json.writeStartObject();
    json.writeStringField("before", before.ioctl().uapiName());
    json.writeStringField("after", after.ioctl().uapiName());
    json.writeStringField("because", OrderWords.because(window, edge));
    json.writeNumberField("beforeSeq", before.seq());
    json.writeNumberField("afterSeq", after.seq());
    json.writeBooleanField("direct", edge.direct());
    Edge.Reason reason = edge.reason();
    deviations(json, "refused", reason == null ? List.of() : reason.refused());
    texts(json, "fields", reason == null ? List.of() : reason.fields());
    json.writeEndObject();
  }

  private static void seqs(JsonGenerator json, String name, Window window, List<Integer> calls)
      throws IOException {
    json.writeArrayFieldStart(name);
    for (int call : calls) {
      json.writeNumber(window.calls().get(call).seq());
    }
    json.writeEndArray();
  }

  private static void texts(JsonGenerator json, String name, List<String> texts)
      throws IOException {
    json.writeArrayFieldStart(name);
    for (String text : texts.subList(0, Math.min(texts.size(), MOST_FIELDS))) {
      json.writeString(text);
    }
    json.writeEndArray();
  }
}
