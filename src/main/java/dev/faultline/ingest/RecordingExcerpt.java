package dev.faultline.ingest;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.trace.Observation;
import dev.faultline.trace.RecordingText;
import dev.faultline.trace.TraceText;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.NavigableSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Writes some lines of a recording, as they are, into a recording of its own, with what the trace
 * shows of these calls and with the facts.
 *
 * <p><i>Shape</i>: {@code NAME.jsonl}, and beside it {@code NAME.ftrace.txt} and {@code
 * NAME.meta.json} where there are such.
 */
public final class RecordingExcerpt {
  private static final String LINES = ".jsonl";
  private static final String TRACE = ".ftrace.txt";
  private static final String FACTS = ".meta.json";
  private static final Pattern MARKER = Pattern.compile("kvmrec seq=(\\d+) (enter|exit)");
  private static final Pattern TIME = Pattern.compile("\\s(\\d+)\\.(\\d{6}):\\s");
  private static final long US = 1000;
  private static final long SECOND_US = 1_000_000;

  private RecordingExcerpt() {}

  /**
   * Writes these observations of the source.
   *
   * @param withTrace whether to write their part of the trace
   * @return the recording that was written
   */
  public static RecordingSource write(
      RecordingSource source, List<Observation> kept, Path file, boolean withTrace) {
    String name = Inputs.fileName(file);
    String base = name.endsWith(LINES) ? name.substring(0, name.length() - LINES.length()) : name;
    Path trace = traceBeside(file);
    Path facts = beside(file, FACTS);
    try {
      if (!source.isOneFile()) {
        return fromObservations(source, kept, file, withTrace);
      }
      lines(source, kept, file);
      Path written = source.trace() == null || !withTrace ? null : trace;
      if (written != null) {
        trace(source, kept, written);
      }
      Path known = source.facts();
      Path told = known == null ? null : facts;
      if (known != null) {
        try (InputStream in = CompressedFile.open(known)) {
          Files.copy(in, facts, StandardCopyOption.REPLACE_EXISTING);
        }
      }
      return new RecordingSource(base, file, written, told);
    } catch (IOException e) {
      throw new StoreException(
          ErrorCode.FILE_UNWRITABLE,
          file + ": expected a file that can be written, found " + e.getMessage(),
          e);
    }
  }

  /** The name of what lies beside a recording: that of its file, without what tells its format. */
  private static Path beside(Path file, String ending) {
    String name = Inputs.fileName(file);
    int at = name.indexOf(LINES);
    return file.resolveSibling((at < 0 ? name : name.substring(0, at)) + ending);
  }

  /** Where the trace of a recording is written. */
  public static Path traceBeside(Path file) {
    return beside(file, TRACE);
  }

  /** Writes the facts of a recording beside it. */
  public static Path writeFacts(RecordingSource source, Path file) throws IOException {
    Path facts = beside(file, FACTS);
    try (OutputStream out = Files.newOutputStream(facts)) {
      source.readFacts().write(out);
    }
    return facts;
  }

  /** Of a timeline there are no lines to be copied: they are written anew. */
  private static RecordingSource fromObservations(
      RecordingSource source, List<Observation> kept, Path file, boolean withTrace)
      throws IOException {
    Path trace = withTrace ? traceBeside(file) : null;
    try (BufferedWriter out = Files.newBufferedWriter(file, StandardCharsets.UTF_8);
        RecordingText text = new RecordingText(out)) {
      for (Observation each : kept) {
        text.write(each);
      }
    }
    if (trace != null) {
      try (BufferedWriter out = Files.newBufferedWriter(trace, StandardCharsets.UTF_8)) {
        TraceText text = new TraceText(out);
        for (Observation each : kept) {
          if (each instanceof Observation.Call call) {
            text.write(call);
          }
        }
      }
    }
    String name = Inputs.fileName(file);
    String base = name.endsWith(LINES) ? name.substring(0, name.length() - LINES.length()) : name;
    return new RecordingSource(base, file, trace, writeFacts(source, file));
  }

  private static BufferedReader reader(Path file) {
    return new BufferedReader(
        new InputStreamReader(CompressedFile.open(file), StandardCharsets.UTF_8));
  }

  /** The number after the last colon of {@code file:line}. */
  private static int line(Observation observation) {
    String where = observation.where();
    return Integer.parseInt(where.substring(where.lastIndexOf(':') + 1));
  }

  private static void lines(RecordingSource source, List<Observation> kept, Path file)
      throws IOException {
    NavigableSet<Integer> numbers = new TreeSet<>();
    kept.forEach(observation -> numbers.add(line(observation)));
    try (BufferedReader in = reader(source.recording());
        BufferedWriter out = Files.newBufferedWriter(file, StandardCharsets.UTF_8)) {
      int number = 0;
      String text;
      while (!numbers.isEmpty() && (text = in.readLine()) != null) {
        number++;
        if (numbers.remove(number)) {
          out.write(text);
          out.write('\n');
        }
      }
    }
  }

  private static void trace(RecordingSource source, List<Observation> kept, Path file)
      throws IOException {
    TreeSet<Long> seqs = new TreeSet<>();
    TreeMap<Long, Long> times = new TreeMap<>();
    for (Observation each : kept) {
      if (each instanceof Observation.Call call) {
        seqs.add(call.seq());
        times.put(call.enterNs() / US - 1, call.exitNs() / US + 1);
      }
    }
    List<String> all = new ArrayList<>();
    boolean marked = false;
    Path from = source.trace();
    if (from == null) {
      return;
    }
    try (BufferedReader in = reader(from)) {
      String text;
      while ((text = in.readLine()) != null) {
        marked |= text.contains("kvmrec seq=");
        all.add(text);
      }
    }
    try (BufferedWriter out = Files.newBufferedWriter(file, StandardCharsets.UTF_8)) {
      boolean open = false;
      for (String text : all) {
        Matcher marker = MARKER.matcher(text);
        boolean mark = marker.find();
        if (mark) {
          open = seqs.contains(Long.parseLong(marker.group(1)));
        }
        boolean wanted = marked ? open : during(text, times);
        if (text.startsWith("#") || wanted) {
          out.write(text);
          out.write('\n');
        }
        open &= !(mark && marker.group(2).equals("exit"));
      }
    }
  }

  /** Whether the event happened during one of the calls. */
  private static boolean during(String text, NavigableMap<Long, Long> times) {
    Long us = microseconds(text);
    var call = us == null ? null : times.floorEntry(us);
    return us != null && call != null && us <= call.getValue();
  }

  private static @Nullable Long microseconds(String text) {
    Matcher time = TIME.matcher(text);
    return time.find()
        ? Long.parseLong(time.group(1)) * SECOND_US + Long.parseLong(time.group(2))
        : null;
  }
}
