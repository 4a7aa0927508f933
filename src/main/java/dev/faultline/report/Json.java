package dev.faultline.report;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.PrettyPrinter;
import com.fasterxml.jackson.core.StreamWriteFeature;
import java.io.IOException;
import java.io.Writer;
import org.jspecify.annotations.Nullable;

/**
 * How JSON results are written: names in the order in which they are documented, numbers that may
 * exceed 2^53 as hexadecimal text.
 */
public final class Json {
  private static final JsonFactory FACTORY =
      JsonFactory.builder().disable(StreamWriteFeature.AUTO_CLOSE_TARGET).build();

  private Json() {}

  /**
   * Writes one document, to be read by people too: what lies in objects down to {@code depth}, and
   * in arrays down to one more, stands on lines of its own, what is deeper on one line.
   */
  public static JsonGenerator document(Writer out, int depth) throws IOException {
    JsonGenerator json = FACTORY.createGenerator(out);
    json.setPrettyPrinter(new Lines(depth));
    return json;
  }

  /** Writes one object a line. */
  public static JsonGenerator lines(Writer out) throws IOException {
    JsonGenerator json = FACTORY.createGenerator(out);
    json.setPrettyPrinter(new Lines(0));
    return json;
  }

  /** A value of 64 bits. */
  static void hex(JsonGenerator json, String name, long value) throws IOException {
    json.writeStringField(name, "0x" + Long.toHexString(value));
  }

  /** A text, or null. */
  static void text(JsonGenerator json, String name, @Nullable String value) throws IOException {
    if (value == null) {
      json.writeNullField(name);
    } else {
      json.writeStringField(name, value);
    }
  }

  /** A moment or sequence number; null for one that is not there, which is negative. */
  static void position(JsonGenerator json, String name, long value) throws IOException {
    if (value < 0) {
      json.writeNullField(name);
    } else {
      json.writeNumberField(name, value);
    }
  }

  /** Breaks lines down to a depth, in arrays down to one more. */
  private static final class Lines implements PrettyPrinter {
    private final int broken;
    private int depth;

    Lines(int broken) {
      this.broken = broken;
    }

    @Override
    public void writeRootValueSeparator(JsonGenerator json) throws IOException {
      json.writeRaw('\n');
    }

    @Override
    public void writeStartObject(JsonGenerator json) throws IOException {
      json.writeRaw('{');
      depth++;
    }

    @Override
    public void beforeObjectEntries(JsonGenerator json) throws IOException {
      separate(json, broken, "");
    }

    @Override
    public void writeObjectFieldValueSeparator(JsonGenerator json) throws IOException {
      json.writeRaw(": ");
    }

    @Override
    public void writeObjectEntrySeparator(JsonGenerator json) throws IOException {
      json.writeRaw(',');
      separate(json, broken, " ");
    }

    @Override
    public void writeEndObject(JsonGenerator json, int entries) throws IOException {
      end(json, entries, broken);
      json.writeRaw('}');
    }

    @Override
    public void writeStartArray(JsonGenerator json) throws IOException {
      json.writeRaw('[');
      depth++;
    }

    @Override
    public void beforeArrayValues(JsonGenerator json) throws IOException {
      separate(json, broken + 1, "");
    }

    @Override
    public void writeArrayValueSeparator(JsonGenerator json) throws IOException {
      json.writeRaw(',');
      separate(json, broken + 1, " ");
    }

    @Override
    public void writeEndArray(JsonGenerator json, int values) throws IOException {
      end(json, values, broken + 1);
      json.writeRaw(']');
    }

    private void separate(JsonGenerator json, int most, String otherwise) throws IOException {
      if (depth <= most && broken > 0) {
        newLine(json);
      } else {
        json.writeRaw(otherwise);
      }
    }

    private void end(JsonGenerator json, int count, int most) throws IOException {
      depth--;
      if (count > 0 && depth < most && broken > 0) {
        newLine(json);
      }
    }

    private void newLine(JsonGenerator json) throws IOException {
      json.writeRaw('\n');
      for (int i = 0; i < depth; i++) {
        json.writeRaw("  ");
      }
    }
  }
}
