package dev.faultline.vmx;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.faultline.Bytes;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * Reads the randomized recordings and what became of each of their cases, where they are at hand.
 */
final class FuzzRecordings {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String ENTER_FAILED = "vmenter_failed:";

  private FuzzRecordings() {}

  /** The folder with the recordings: a property, else a variable, else beside the repository. */
  static Path folder() {
    String property = System.getProperty("faultline.recordings");
    String variable = System.getenv("FAULTLINE_RECORDINGS");
    if (property != null) {
      return Path.of(property);
    }
    return Path.of(variable != null ? variable : "../shared/recordings");
  }

  static boolean areAtHand() {
    return Files.isDirectory(folder().resolve("fuzz"));
  }

  /** One recorded ioctl. */
  record Call(String name, long result, JsonNode line) {
    Bytes in() {
      return payload("in");
    }

    Bytes out() {
      return payload("out");
    }

    private Bytes payload(String key) {
      return line.has(key) ? Bytes.fromBase64(line.get(key).asText()) : Bytes.EMPTY;
    }
  }

  /** What a recording says about one case: the calls that belong to it, and the verdict on it. */
  record Case(String chunk, JsonNode outcome, List<Call> calls) {
    String decidedBy() {
      return outcome.path("decided_by").asText();
    }

    /** The texts of kvm_nested_vmenter_failed during the ioctl under test. */
    List<String> checkFailed() {
      List<String> texts = new ArrayList<>();
      outcome.path("check_failed").forEach(text -> texts.add(text.asText()));
      return texts;
    }

    /** The texts of kvm_nested_vmenter_failed during the first KVM_RUN. */
    List<String> checkFailedInRun() {
      List<String> texts = new ArrayList<>();
      for (JsonNode event : outcome.path("trace").path("run")) {
        if (event.asText().startsWith(ENTER_FAILED)) {
          texts.add(event.asText().substring(ENTER_FAILED.length()));
        }
      }
      return texts;
    }

    /** The last call of that name that KVM accepted. */
    Call lastAccepted(String name) {
      return last(call -> call.name().equals(name) && call.result() >= 0);
    }

    /** The last call of that name. */
    Call last(String name) {
      return last(call -> call.name().equals(name));
    }

    private Call last(Predicate<Call> wanted) {
      return calls.stream().filter(wanted).reduce((_, later) -> later).orElseThrow();
    }

    @Override
    public String toString() {
      return chunk + " case " + outcome.path("case").asInt() + " " + outcome.path("mut").asText();
    }
  }

  /**
   * Goes through the cases of all chunks of some modes.
   *
   * @param modes as in {@code Z1}; {@code Z1} does not stand for {@code Z1e}
   * @param each gets each case, and the calls before the first case of its chunk
   */
  static void forEachCase(List<String> modes, BiConsumer<Case, List<Call>> each) {
    for (Path recording : chunks(modes)) {
      String chunk = recording.getFileName().toString().replace(".jsonl.gz", "");
      List<JsonNode> outcomes = lines(recording.resolveSibling(chunk + ".outcome.jsonl.gz"));
      List<Call> before = new ArrayList<>();
      List<Call> calls = before;
      int next = 0;
      for (JsonNode line : lines(recording)) {
        String event = line.path("ev").asText();
        if (event.equals("ioctl")) {
          calls.add(new Call(line.path("name").asText(), line.path("ret").asLong(), line));
        } else if (event.equals("mark") && line.path("text").asText().contains("\"begin\"")) {
          calls = new ArrayList<>();
        } else if (event.equals("mark") && line.path("text").asText().contains("\"mut\"")) {
          each.accept(new Case(chunk, outcomes.get(next), calls), before);
          next++;
        }
      }
    }
  }

  private static List<Path> chunks(List<String> modes) {
    try (Stream<Path> files = Files.list(folder().resolve("fuzz"))) {
      return files
          .filter(file -> file.getFileName().toString().matches("[^.]+\\.jsonl\\.gz"))
          .filter(file -> modes.contains(file.getFileName().toString().split("-", 2)[0]))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<JsonNode> lines(Path file) {
    List<JsonNode> nodes = new ArrayList<>();
    try (BufferedReader reader =
        new BufferedReader(
            new InputStreamReader(
                new GZIPInputStream(Files.newInputStream(file)), StandardCharsets.UTF_8))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        nodes.add(JSON.readTree(line));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return nodes;
  }
}
