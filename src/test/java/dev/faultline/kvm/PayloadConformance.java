package dev.faultline.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.faultline.Bytes;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.tukaani.xz.XZInputStream;

/**
 * Every payload of every recording at hand becomes its struct, and the struct taken apart into its
 * fields and put together again is the payload.
 *
 * <p>Recordings: the shipped ones under {@code timelines}, and those in the folder that the
 * property {@code faultline.recordings}, else the variable {@code FAULTLINE_RECORDINGS} names, else
 * {@code ../shared/recordings}.
 */
final class PayloadConformance {
  private static final JsonFactory JSON = new JsonFactory();
  private static final Path BASE = Path.of(System.getProperty("basedir", "."));
  private static final List<String> PAYLOADS = List.of("in", "out", "run_in", "run_out");

  private final Map<String, StructLayout> layouts = new TreeMap<>();

  @TestFactory
  Stream<DynamicTest> payloads_survive_the_codec() throws IOException {
    return recordings().stream()
        .map(path -> DynamicTest.dynamicTest(path.toString(), () -> check(path)));
  }

  private static List<Path> recordings() throws IOException {
    List<Path> found = new ArrayList<>();
    for (Path folder : List.of(BASE.resolve("timelines"), others())) {
      if (Files.isDirectory(folder)) {
        try (Stream<Path> files = Files.walk(folder)) {
          files.filter(PayloadConformance::isRecording).sorted().forEach(found::add);
        }
      }
    }
    return found;
  }

  private static Path others() {
    String property = System.getProperty("faultline.recordings");
    String variable = System.getenv("FAULTLINE_RECORDINGS");
    if (property != null) {
      return Path.of(property);
    }
    return variable != null ? Path.of(variable) : BASE.resolve("../shared/recordings");
  }

  private static boolean isRecording(Path path) {
    // Cases of public bugs are written by hand, and one is of another architecture.
    if (path.toString().contains("/cases/")) {
      return false;
    }
    return path.getFileName().toString().matches("(?!.*\\.outcome\\.).*\\.jsonl(\\.gz|\\.xz)?");
  }

  private void check(Path recording) throws IOException {
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(open(recording), StandardCharsets.UTF_8))) {
      String line = lines.readLine();
      for (int number = 1; line != null; number++) {
        Map<String, String> keys = keys(line);
        line = lines.readLine();
        if (keys == null) {
          assertThat(line)
              .as("%s:%d is cut off, but not the last line", recording, number)
              .isNull();
        } else if ("ioctl".equals(keys.get("ev"))) {
          checkCall(recording + ":" + number, keys);
        }
      }
    }
  }

  private void checkCall(String where, Map<String, String> keys) {
    String name = keys.getOrDefault("name", "");
    Ioctl ioctl = Ioctl.of((int) (long) Long.decode(keys.getOrDefault("req", "0")));
    if (ioctl == null) {
      assertThat(Ioctl.ofName(name)).as("%s: %s", where, name).isNull();
      return;
    }
    assertThat(ioctl.uapiName()).as(where).isEqualTo(name);
    FdKind kind = FdKind.ofWord(keys.getOrDefault("fd_kind", ""));
    if (kind != null && !"25".equals(keys.get("errno"))) {
      assertThat(ioctl.takenBy(kind)).as("%s: %s on a %s descriptor", where, name, kind).isTrue();
    }
    for (String key : PAYLOADS) {
      String base64 = keys.get(key);
      if (base64 != null) {
        checkPayload(where + " " + name + " " + key, ioctl, key, Bytes.fromBase64(base64));
      }
    }
  }

  private void checkPayload(String where, Ioctl ioctl, String key, Bytes payload) {
    KvmStruct struct =
        key.startsWith("run_") ? new KvmRun(payload) : KvmStruct.decode(ioctl, payload);
    assertThat(struct).as("%s: the struct of the payload", where).isNotNull();
    assertThat(struct.raw()).as(where).isEqualTo(payload);
    Bytes.Builder rebuilt = Bytes.builder(payload.size());
    for (StructField field : layout(struct).fields()) {
      rebuilt.put(field.offset(), field.width(), field.get(payload));
    }
    if (!rebuilt.build().equals(payload)) {
      throw new AssertionError(where + ": fields do not make up the payload");
    }
  }

  /**
   * The layout of the struct; those made for each payload anew are kept, as many payloads share
   * one.
   */
  private StructLayout layout(KvmStruct struct) {
    return switch (struct) {
      case KvmRun run ->
          layouts.computeIfAbsent(
              "run " + run.exitReason() + " " + run.internalSuberror(), _ -> run.layout());
      case KvmMsrs msrs ->
          layouts.computeIfAbsent(
              "msrs " + msrs.held() + " " + msrs.raw().size(), _ -> msrs.layout());
      case KvmCpuid2 cpuid ->
          layouts.computeIfAbsent(
              "cpuid " + cpuid.held() + " " + cpuid.raw().size(), _ -> cpuid.layout());
      default -> struct.layout();
    };
  }

  private static InputStream open(Path path) throws IOException {
    InputStream file = new BufferedInputStream(Files.newInputStream(path));
    String name = path.getFileName().toString();
    if (name.endsWith(".gz")) {
      return new GZIPInputStream(file, 1 << 16);
    }
    return name.endsWith(".xz") ? new XZInputStream(file) : file;
  }

  /** The scalars of a line by key, texts of all; null if the line is cut off. */
  private static @Nullable Map<String, String> keys(String line) throws IOException {
    Map<String, String> keys = new TreeMap<>();
    try (JsonParser json = JSON.createParser(line)) {
      json.nextToken();
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        String key = json.currentName();
        JsonToken value = json.nextToken();
        if (value.isScalarValue()) {
          keys.put(key, json.getText());
        } else {
          json.skipChildren();
        }
      }
      return keys;
    } catch (JsonParseException _) {
      return null;
    }
  }
}
