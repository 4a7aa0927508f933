package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.tukaani.xz.XZInputStream;

/** Finds the check behind every text that any recorded kernel printed. */
class VmEntryTextsConformance {
  private static final String EVENT = "kvm_nested_vmenter_failed: ";

  @Test
  void every_recorded_text_is_that_of_a_check() throws IOException {
    assumeTrue(FuzzRecordings.areAtHand(), "no recordings");
    TreeMap<String, Integer> seen = new TreeMap<>();
    for (Path trace : traces()) {
      try (BufferedReader lines = open(trace)) {
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
          int at = line.indexOf(EVENT);
          if (at >= 0) {
            seen.merge(line.substring(at + EVENT.length()), 1, Integer::sum);
          }
        }
      }
    }

    assertThat(seen).hasSize(54);
    TreeSet<VmEntryCheck> checks = new TreeSet<>();
    for (String text : seen.keySet()) {
      assertThat(VmEntryTexts.printing(text)).as(text).isNotEmpty();
      checks.addAll(VmEntryTexts.printing(text));
    }
    assertThat(checks).hasSizeGreaterThan(50);
  }

  private static List<Path> traces() throws IOException {
    List<Path> traces = new ArrayList<>();
    try (Stream<Path> files = Files.walk(FuzzRecordings.folder())) {
      files
          .filter(file -> file.getFileName().toString().contains(".ftrace.txt"))
          .sorted()
          .forEach(traces::add);
    }
    return traces;
  }

  private static BufferedReader open(Path trace) throws IOException {
    InputStream bytes = Files.newInputStream(trace);
    String name = trace.getFileName().toString();
    if (name.endsWith(".gz")) {
      bytes = new GZIPInputStream(bytes);
    } else if (name.endsWith(".xz")) {
      bytes = new XZInputStream(bytes);
    }
    return new BufferedReader(new InputStreamReader(bytes, StandardCharsets.ISO_8859_1));
  }
}
