package dev.faultline.ingest;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.InvariantViolation;
import dev.faultline.UsageException;
import dev.faultline.migration.Plan;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Finds and reads migration plans: shipped ones by their name, any other by its file.
 *
 * <p><i>Shape</i>: YAML as {@code migrations/plan.schema.json} describes it.
 */
public final class Plans {
  /** The plans that are shipped, in the order in which they are shown. */
  public static final List<String> SHIPPED =
      List.of("qemu", "firecracker", "cloud-hypervisor", "crosvm", "openvmm", "selftests");

  private static final String FOLDER = "/migrations/";
  private static final String SUFFIX = ".yaml";
  private static final int MAX_SIZE = 1 << 20;

  private Plans() {}

  /** All plans that are shipped. */
  public static List<Plan> shipped() {
    List<Plan> plans = new ArrayList<>();
    SHIPPED.forEach(name -> plans.add(shipped(name)));
    return List.copyOf(plans);
  }

  /**
   * A plan by its name, or by a path that ends in .yaml or .yml.
   *
   * @throws UsageException if there is none
   * @throws FormatException if it cannot be read
   */
  public static Plan open(String asked) {
    if (SHIPPED.contains(asked)) {
      return shipped(asked);
    }
    if (!asked.endsWith(SUFFIX) && !asked.endsWith(".yml")) {
      throw new UsageException(
          ErrorCode.PLAN_UNKNOWN,
          "--plan: expected "
              + String.join(", ", SHIPPED)
              + ", or a file that ends in .yaml, found '"
              + asked
              + "'");
    }
    Path file = Path.of(asked);
    if (!Files.isRegularFile(file)) {
      throw new UsageException(
          ErrorCode.PLAN_UNKNOWN, file + ": expected a migration plan, found no such file");
    }
    try (InputStream in = Files.newInputStream(file)) {
      return read(Inputs.fileName(file), in.readNBytes(MAX_SIZE + 1));
    } catch (IOException e) {
      throw Inputs.unopened(file, e);
    }
  }

  private static Plan shipped(String name) {
    try (InputStream in = Plans.class.getResourceAsStream(FOLDER + name + SUFFIX)) {
      if (in == null) {
        throw new InvariantViolation("plan " + name + " is not in the program");
      }
      return read(name + SUFFIX, in.readAllBytes());
    } catch (IOException e) {
      throw new InvariantViolation("plan " + name + ": " + e.getMessage());
    }
  }

  /**
   * Reads a plan.
   *
   * @param label what messages call it
   */
  static Plan read(String label, byte[] text) {
    if (text.length > MAX_SIZE) {
      throw FormatException.corrupt(
          ErrorCode.PLAN_CORRUPT,
          label + ": expected a migration plan of at most 1 MiB, found a longer file");
    }
    JsonNode root;
    try {
      root = new YAMLMapper().readTree(text);
    } catch (JsonProcessingException e) {
      var at = e.getLocation();
      String where = at == null ? "" : ":" + at.getLineNr() + ":" + at.getColumnNr();
      throw FormatException.corrupt(
          ErrorCode.PLAN_CORRUPT,
          label + where + ": expected YAML, found that it cannot be parsed: " + firstLine(e));
    } catch (IOException e) {
      throw new InvariantViolation("reading from memory: " + e.getMessage());
    }
    return new PlanReader(label).plan(root);
  }

  private static String firstLine(JsonProcessingException e) {
    String message = e.getOriginalMessage();
    int end = message.indexOf('\n');
    return end < 0 ? message : message.substring(0, end);
  }
}
