package dev.faultline.trace;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.InvariantViolation;
import dev.faultline.TraceSyntaxException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The values of one line of a recording, a JSON object, by key; read anew for each line.
 *
 * <p>The keys may stand in any order, and what a later recorder may add is passed over. A value of
 * the wrong kind is noted while reading and told by {@link #demand} only, once the line's {@code
 * ev} is known: a line of an unknown kind may use the same keys for other things.
 */
final class LineValues {
  private static final int MAX_NESTING = 32;
  private static final int MAX_NAME_CHARS = 256;
  private static final int MAX_NUMBER_CHARS = 32;
  private static final int MAX_WORD_CHARS = 256;
  private static final int MAX_TEXT_CHARS = 2 * RecordingReader.MAX_PAYLOAD_SIZE;
  private static final int MAX_TEXTS = 4096;
  private static final int MAX_BASE64_CHARS = (RecordingReader.MAX_PAYLOAD_SIZE + 2) / 3 * 4;
  private static final int SHOWN = 60;
  private static final String DAMAGED = "the line is damaged: cut it out, or record again";
  private static final String RECORDER_BUG = "no recorder writes that: record again";

  /**
   * Without detection of UTF-16, for which a damaged line could pass, and without names interned in
   * the whole JVM.
   */
  private static final JsonFactory JSON =
      ((JsonFactoryBuilder) JsonFactory.builder())
          .disable(JsonFactory.Feature.CHARSET_DETECTION)
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.FAIL_ON_SYMBOL_HASH_OVERFLOW)
          .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(MAX_NESTING)
                  .maxNameLength(MAX_NAME_CHARS)
                  .maxNumberLength(MAX_NUMBER_CHARS)
                  .maxStringLength(MAX_TEXT_CHARS)
                  .build())
          .build();

  private static final Key[] KEYS = Key.values();

  private final String source;
  private final WordCache words = new WordCache();
  private final long[] numbers = new long[KEYS.length];
  private final String[] texts = new String[KEYS.length];
  private final Bytes[] payloads = new Bytes[KEYS.length];
  private List<Bytes> filterBitmaps = List.of();
  private List<String> argv = List.of();

  /** A bit for each key that the line has. */
  private long seen;

  private @Nullable TraceSyntaxException fault;

  private byte[] line = new byte[0];
  private int from;
  private int to;
  private long number;
  private boolean terminated;

  LineValues(String source) {
    this.source = source;
    Arrays.fill(texts, "");
    Arrays.fill(payloads, Bytes.EMPTY);
  }

  /**
   * Reads the line that {@code lines} is at.
   *
   * @throws TraceSyntaxException if it is no JSON object
   */
  void read(LineSource lines) {
    line = lines.array();
    from = lines.from();
    to = lines.to();
    number = lines.number();
    terminated = lines.terminated();
    seen = 0;
    fault = null;
    try (JsonParser json = JSON.createParser(line, from, to - from)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw notAnObject();
      }
      String name;
      while ((name = json.nextFieldName()) != null) {
        value(json, name);
      }
      if (json.nextToken() != null) {
        throw error(
            ErrorCode.TRACE_SYNTAX,
            "expected the end of the line after its JSON object, found more; " + DAMAGED);
      }
    } catch (JsonProcessingException e) {
      throw syntax(e);
    } catch (IOException e) {
      throw new InvariantViolation("reading JSON from memory cannot fail by I/O", e);
    }
  }

  private void value(JsonParser json, String name) throws IOException {
    Key key = Key.of(name);
    JsonToken token = json.nextToken();
    if (key == null) {
      json.skipChildren();
      return;
    }
    if ((seen & key.bit()) != 0) {
      fault(error(ErrorCode.TRACE_SYNTAX, "found the key " + name + " twice; " + DAMAGED));
    }
    seen |= key.bit();
    numbers[key.slot()] = 0;
    texts[key.slot()] = "";
    switch (key.type()) {
      case NUMBER -> number(json, key, token);
      case HEX -> hex(json, key, token);
      case WORD -> word(json, key, token);
      case TEXT -> text(json, key, token);
      case TEXTS -> argv = texts(json, key, token);
      case PAYLOAD -> payloads[key.slot()] = payload(json, key, token);
      case PAYLOADS -> filterBitmaps = payloads(json, key, token);
    }
  }

  private void number(JsonParser json, Key key, JsonToken token) throws IOException {
    if (token != JsonToken.VALUE_NUMBER_INT) {
      wrongType(json, key);
      return;
    }
    if (json.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
      fault(
          error(
              ErrorCode.TRACE_VALUE,
              key.key() + " must fit into 64 bits, found a longer number; " + RECORDER_BUG));
      return;
    }
    numbers[key.slot()] = json.getLongValue();
  }

  private void hex(JsonParser json, Key key, JsonToken token) throws IOException {
    if (token != JsonToken.VALUE_STRING) {
      wrongType(json, key);
      return;
    }
    char[] chars = json.getTextCharacters();
    int at = json.getTextOffset();
    int length = json.getTextLength();
    boolean good = length > 2 && length <= 18 && chars[at] == '0' && chars[at + 1] == 'x';
    long value = 0;
    for (int i = at + 2; good && i < at + length; i++) {
      int digit = Character.digit(chars[i], 16);
      good = digit >= 0;
      value = (value << 4) | digit;
    }
    if (!good) {
      wrongText(key, json.getText());
    }
    numbers[key.slot()] = value;
  }

  private void word(JsonParser json, Key key, JsonToken token) throws IOException {
    if (token != JsonToken.VALUE_STRING) {
      wrongType(json, key);
      return;
    }
    int length = json.getTextLength();
    if (length > MAX_WORD_CHARS) {
      fault(
          error(
              ErrorCode.TRACE_VALUE,
              key.key()
                  + " must be at most "
                  + MAX_WORD_CHARS
                  + " characters, found "
                  + length
                  + "; "
                  + RECORDER_BUG));
      return;
    }
    texts[key.slot()] = words.of(json.getTextCharacters(), json.getTextOffset(), length);
  }

  private void text(JsonParser json, Key key, JsonToken token) throws IOException {
    if (token != JsonToken.VALUE_STRING) {
      wrongType(json, key);
      return;
    }
    texts[key.slot()] = json.getText();
  }

  private List<String> texts(JsonParser json, Key key, JsonToken token) throws IOException {
    List<String> found = new ArrayList<>();
    if (token != JsonToken.START_ARRAY) {
      wrongType(json, key);
      return found;
    }
    while (json.nextToken() != JsonToken.END_ARRAY) {
      if (json.currentToken() != JsonToken.VALUE_STRING) {
        wrongType(json, key);
      } else if (found.size() < MAX_TEXTS) {
        found.add(json.getText());
      }
    }
    return found;
  }

  private List<Bytes> payloads(JsonParser json, Key key, JsonToken token) throws IOException {
    List<Bytes> found = new ArrayList<>();
    if (token != JsonToken.START_ARRAY) {
      wrongType(json, key);
      return found;
    }
    while (json.nextToken() != JsonToken.END_ARRAY) {
      Bytes one = payload(json, key, json.currentToken());
      if (found.size() < MAX_TEXTS) {
        found.add(one);
      }
    }
    return found;
  }

  /**
   * Decodes straight from the line: the parser has only looked at the opening quote of the string,
   * and will pass over the rest of it by itself.
   */
  private Bytes payload(JsonParser json, Key key, @Nullable JsonToken token) throws IOException {
    if (token != JsonToken.VALUE_STRING) {
      wrongType(json, key);
      return Bytes.EMPTY;
    }
    int open = from + (int) json.currentTokenLocation().getByteOffset();
    if (open < from || open >= to || line[open] != '"') {
      throw new InvariantViolation("the parser's position is not that of the string");
    }
    int close = LineSource.indexOf((byte) '"', line, open + 1, to);
    int length = (close < 0 ? to : close) - open - 1;
    if (length > MAX_BASE64_CHARS) {
      fault(
          error(
              ErrorCode.TRACE_PAYLOAD_TOO_LONG,
              key.key()
                  + " must be at most "
                  + RecordingReader.MAX_PAYLOAD_SIZE
                  + " bytes, found more; no struct of KVM is that large: record again"));
      return Bytes.EMPTY;
    }
    if (length == 0) {
      return Bytes.EMPTY;
    }
    try {
      ByteBuffer decoded = Base64.getDecoder().decode(ByteBuffer.wrap(line, open + 1, length));
      byte[] bytes = decoded.array();
      return Bytes.wrap(
          bytes.length == decoded.limit() ? bytes : Arrays.copyOf(bytes, decoded.limit()));
    } catch (IllegalArgumentException e) {
      return escapedPayload(json, key, e);
    }
  }

  /** A JSON writer may write the slash of base64 as {@code \/}. */
  private Bytes escapedPayload(JsonParser json, Key key, IllegalArgumentException e)
      throws IOException {
    String text = json.getText();
    try {
      return Bytes.fromBase64(text);
    } catch (IllegalArgumentException _) {
      fault(
          new TraceSyntaxException(
              ErrorCode.TRACE_PAYLOAD_ENCODING,
              where()
                  + ": "
                  + key.key()
                  + " must be "
                  + key.type().words()
                  + ", found "
                  + Shown.text(text, SHOWN)
                  + "; "
                  + DAMAGED,
              e));
      return Bytes.EMPTY;
    }
  }

  private void wrongType(JsonParser json, Key key) throws IOException {
    JsonToken token = json.currentToken();
    String found =
        token == null
            ? "nothing"
            : switch (token) {
              case START_OBJECT -> "an object";
              case START_ARRAY -> "an array";
              case VALUE_STRING -> "the string " + Shown.text(json.getText(), SHOWN);
              case VALUE_NULL -> "null";
              case VALUE_TRUE, VALUE_FALSE -> "a truth value";
              case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "the number " + json.getText();
              case END_OBJECT, END_ARRAY, FIELD_NAME, VALUE_EMBEDDED_OBJECT, NOT_AVAILABLE ->
                  "something else";
            };
    json.skipChildren();
    fault(
        error(
            ErrorCode.TRACE_VALUE,
            key.key() + " must be " + key.type().words() + ", found " + found + "; " + DAMAGED));
  }

  private void wrongText(Key key, String found) {
    fault(
        error(
            ErrorCode.TRACE_VALUE,
            key.key()
                + " must be "
                + key.type().words()
                + ", found "
                + Shown.text(found, SHOWN)
                + "; "
                + DAMAGED));
  }

  /**
   * Requires that no value was of the wrong kind, and that the keys are there.
   *
   * @throws TraceSyntaxException if not
   */
  void demand(Key[] keys) {
    if (fault != null) {
      throw fault;
    }
    for (Key key : keys) {
      if (!has(key)) {
        throw missing(key);
      }
    }
  }

  /** An error about a key that the line lacks. */
  TraceSyntaxException missing(Key key) {
    return error(
        ErrorCode.TRACE_KEY_MISSING,
        "expected the key "
            + key.key()
            + " of a line of ev "
            + text(Key.EV)
            + ", found none; "
            + RECORDER_BUG);
  }

  /** The payload, empty if there is none; its size must be the one that the line tells. */
  Bytes payload(Key key, Key size) {
    if (!has(key) && !has(size)) {
      return Bytes.EMPTY;
    }
    Bytes found = has(key) ? payloads[key.slot()] : Bytes.EMPTY;
    if (has(size) && number(size) != found.size()) {
      throw error(
          ErrorCode.TRACE_PAYLOAD_ENCODING,
          key.key()
              + " must be "
              + number(size)
              + " bytes, as "
              + size.key()
              + " says, found "
              + found.size()
              + "; "
              + DAMAGED);
    }
    return found;
  }

  /** The bytes of a key that the line has, where no size is told beside them. */
  Bytes bytes(Key key) {
    return payloads[key.slot()];
  }

  /** True if the line has the key. */
  boolean has(Key key) {
    return (seen & key.bit()) != 0;
  }

  /** True if no value was of the wrong kind. */
  boolean isSound() {
    return fault == null;
  }

  /** The value of a key that the line has. */
  long number(Key key) {
    return numbers[key.slot()];
  }

  /** The value of a key that the line has, which must fit into 32 bits. */
  int int32(Key key) {
    long value = number(key);
    if (value != (int) value) {
      throw outOfRange(key, "must fit into 32 bits");
    }
    return (int) value;
  }

  /** The value of a key that the line has. */
  String text(Key key) {
    return texts[key.slot()];
  }

  /** The bitmaps of an MSR filter, none if the line has none. */
  List<Bytes> filterBitmaps() {
    return has(Key.MSR_FILTER_BITMAPS) ? filterBitmaps : List.of();
  }

  /** The value of {@code argv}, which the line has. */
  List<String> argv() {
    return argv;
  }

  /** The line as it stands. */
  String raw() {
    return new String(line, from, to - from, StandardCharsets.UTF_8);
  }

  /** The line's place, {@code file:line}. */
  String where() {
    return source + ":" + number;
  }

  /** An error about a number that the line has. */
  TraceSyntaxException outOfRange(Key key, String rule) {
    return error(
        ErrorCode.TRACE_VALUE,
        key.key() + " " + rule + ", found " + number(key) + "; " + RECORDER_BUG);
  }

  /** An error in this line. */
  TraceSyntaxException error(ErrorCode code, String sentence) {
    return new TraceSyntaxException(code, where() + ": " + sentence);
  }

  private void fault(TraceSyntaxException found) {
    if (fault == null) {
      fault = found;
    }
  }

  private TraceSyntaxException notAnObject() {
    return error(
        ErrorCode.TRACE_SYNTAX,
        "expected a JSON object, found " + Shown.text(line, from, to, SHOWN) + "; " + advice());
  }

  private TraceSyntaxException syntax(JsonProcessingException e) {
    if (!terminated) {
      return new TraceSyntaxException(
          ErrorCode.TRACE_CUT_OFF,
          where()
              + ": expected the rest of the line after "
              + (to - from)
              + " bytes, found the end of the file; the file is cut off: copy it again, or cut out"
              + " its last line",
          e);
    }
    boolean limit = e instanceof StreamConstraintsException;
    JsonLocation location = e.getLocation();
    String detail =
        limit || location == null
            ? Shown.sentence(e.getOriginalMessage())
            : "wrong at column " + location.getColumnNr();
    return new TraceSyntaxException(
        limit ? ErrorCode.TRACE_VALUE : ErrorCode.TRACE_SYNTAX,
        where()
            + ": expected a JSON object, found "
            + Shown.text(line, from, to, SHOWN)
            + " ("
            + detail
            + "); "
            + advice(),
        e);
  }

  private String advice() {
    if (line[from] == '#') {
      return "this is the text of a trace: name the recording that it lies beside";
    }
    return number == 1 ? "is this file a recording?" : DAMAGED;
  }
}
