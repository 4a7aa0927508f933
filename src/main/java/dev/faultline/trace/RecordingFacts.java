package dev.faultline.trace;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What is known of a recording besides its lines: the machine it was made on, from the {@code
 * meta.json} beside it.
 *
 * @param name the recording's own name
 * @param command the command that was recorded, empty if it is not told
 * @param kernel the kernel's version text, as {@code uname -r} and {@code -v} print it; empty if it
 *     is not told
 * @param insmodParams parameters given when the kvm modules were loaded, {@code
 *     unrestricted_guest=0}; empty for defaults
 * @param params all parameters of the kvm modules as read from /sys/module, {@code kvm_intel.ept}
 *     to {@code Y}
 */
public record RecordingFacts(
    String name,
    String command,
    String kernel,
    String insmodParams,
    SortedMap<String, String> params) {

  private static final int MAX_PARAMS = 4096;
  private static final int MAX_TEXT_CHARS = 1 << 16;
  private static final int MAX_NAME_CHARS = 256;
  private static final int MAX_NESTING = 32;
  private static final long MAX_SIZE = 1 << 20;

  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxDocumentLength(MAX_SIZE)
                  .maxNestingDepth(MAX_NESTING)
                  .maxNameLength(MAX_NAME_CHARS)
                  .maxStringLength(MAX_TEXT_CHARS)
                  .build())
          .build();

  /** Takes the parameters as they are now. */
  public RecordingFacts {
    params = Collections.unmodifiableSortedMap(new TreeMap<>(params));
  }

  /** Of a recording of which nothing is known but its name. */
  public static RecordingFacts unknown(String name) {
    return new RecordingFacts(name, "", "", "", new TreeMap<>());
  }

  /**
   * Reads a {@code meta.json}; what it has besides is passed over.
   *
   * @param name the name to take if the file tells none
   * @param source the name by which errors tell the input
   * @throws FormatException if it is no such file
   */
  public static RecordingFacts read(String name, String source, InputStream in) {
    try (JsonParser json = JSON.createParser(in)) {
      return read(name, source, json);
    } catch (JsonProcessingException e) {
      throw new FormatException(
          FormatException.Kind.CORRUPT,
          ErrorCode.RECORDING_FACTS,
          source
              + ":"
              + line(e.getLocation())
              + ": expected a JSON object of facts, found damage ("
              + Shown.sentence(e.getOriginalMessage())
              + "); mend the file, or move it away to read the recording without it",
          e);
    } catch (IOException e) {
      throw new FormatException(
          FormatException.Kind.CORRUPT,
          ErrorCode.RECORDING_FACTS,
          source
              + ": expected a JSON object of facts, found "
              + Shown.reason(e)
              + "; copy the file again, or move it away to read the recording without it",
          e);
    }
  }

  /** An exceeded limit comes without a location; such a file is mostly one line. */
  private static int line(@Nullable JsonLocation location) {
    return location == null ? 1 : location.getLineNr();
  }

  private static RecordingFacts read(String name, String source, JsonParser json)
      throws IOException {
    String ownName = name;
    String command = "";
    String kernel = "";
    String insmodParams = "";
    SortedMap<String, String> params = new TreeMap<>();
    if (json.nextToken() != JsonToken.START_OBJECT) {
      throw wrong(source, json, "a JSON object of facts");
    }
    String key;
    while ((key = json.nextFieldName()) != null) {
      json.nextToken();
      switch (key) {
        case "name" -> ownName = text(source, json, key);
        case "cmd" -> command = text(source, json, key);
        case "kernel" -> kernel = text(source, json, key);
        case "insmod_params" -> insmodParams = text(source, json, key);
        case "params" -> params(source, json, params);
        default -> json.skipChildren();
      }
    }
    if (json.nextToken() != null) {
      throw wrong(source, json, "the end of the file after its JSON object");
    }
    return new RecordingFacts(ownName, command, kernel, insmodParams, params);
  }

  private static void params(String source, JsonParser json, SortedMap<String, String> params)
      throws IOException {
    if (json.currentToken() != JsonToken.START_OBJECT) {
      throw wrong(source, json, "params to be an object");
    }
    String param;
    while ((param = json.nextFieldName()) != null) {
      json.nextToken();
      if (params.size() >= MAX_PARAMS) {
        throw wrong(source, json, "at most " + MAX_PARAMS + " params");
      }
      params.put(param, text(source, json, param));
    }
  }

  /** Writes the facts as {@link #read} reads them. */
  public void write(OutputStream out) throws IOException {
    try (JsonGenerator json = JSON.createGenerator(out)) {
      json.writeStartObject();
      json.writeStringField("name", name);
      json.writeStringField("cmd", command);
      if (!kernel.isEmpty()) {
        json.writeStringField("kernel", kernel);
      }
      json.writeStringField("insmod_params", insmodParams);
      json.writeObjectFieldStart("params");
      for (Map.Entry<String, String> param : params.entrySet()) {
        json.writeStringField(param.getKey(), param.getValue());
      }
      json.writeEndObject();
      json.writeEndObject();
    }
  }

  /** A value as text; a number or a truth value is taken as it is written. */
  private static String text(String source, JsonParser json, String key) throws IOException {
    JsonToken token = json.currentToken();
    if (token == null || !token.isScalarValue() || token == JsonToken.VALUE_NULL) {
      throw wrong(source, json, key + " to be a string");
    }
    return json.getText();
  }

  private static FormatException wrong(String source, JsonParser json, String expected)
      throws IOException {
    JsonToken token = json.currentToken();
    String found =
        token == null
            ? "the end of the file"
            : token.isScalarValue() ? Shown.text(json.getText(), MAX_NAME_CHARS) : token.asString();
    return FormatException.corrupt(
        ErrorCode.RECORDING_FACTS,
        source
            + ":"
            + json.currentTokenLocation().getLineNr()
            + ": expected "
            + expected
            + ", found "
            + found
            + "; mend the file, or move it away to read the recording without it");
  }
}
