package dev.faultline.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;

/** How JSON is laid out. */
final class JsonTest {

  private static void write(JsonGenerator json) throws IOException {
    json.writeStartObject();
    json.writeNumberField("a", 1);
    json.writeObjectFieldStart("b");
    json.writeNumberField("c", 2);
    Json.text(json, "d", null);
    json.writeEndObject();
    json.writeArrayFieldStart("e");
    json.writeStartObject();
    Json.hex(json, "f", -1);
    Json.position(json, "g", -1);
    json.writeEndObject();
    json.writeEndArray();
    json.writeArrayFieldStart("h");
    json.writeEndArray();
    json.writeEndObject();
    json.flush();
  }

  @Test
  void a_document_has_a_line_for_each_name_and_each_element() throws IOException {
    StringWriter out = new StringWriter();
    write(Json.document(out, 1));
    assertThat(out.toString())
        .isEqualTo(
            """
            {
              "a": 1,
              "b": {"c": 2, "d": null},
              "e": [
                {"f": "0xffffffffffffffff", "g": null}
              ],
              "h": []
            }\
            """);
  }

  @Test
  void json_lines_have_one_object_each() throws IOException {
    StringWriter out = new StringWriter();
    JsonGenerator json = Json.lines(out);
    write(json);
    write(json);
    assertThat(out.toString().lines())
        .hasSize(2)
        .allSatisfy(line ->
            assertThat(line)
                .isEqualTo(
                    "{\"a\": 1, \"b\": {\"c\": 2, \"d\": null}, \"e\": [{\"f\":"
                        + " \"0xffffffffffffffff\", \"g\": null}], \"h\": []}"));
  }
}
