import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;

/**
 * Makes a long recording of a short one: the same calls again and again, each time on new VMs, with
 * sequence numbers and times that go on.
 *
 * <p>{@code java src/bench/java/RepeatRecording.java SOURCE TIMES TARGET}, where SOURCE is {@code
 * NAME.jsonl.gz} with {@code NAME.ftrace.txt.gz} and {@code NAME.meta.json} beside it, and TARGET a
 * path without suffix.
 */
final class RepeatRecording {
  private static final Pattern SEQ = Pattern.compile("^\\{\"seq\":(\\d+)");
  private static final Pattern TIME = Pattern.compile("\"(t_enter|t_exit)\":(\\d+)");
  private static final Pattern VM = Pattern.compile("\"obj\":\"vm(\\d+)");
  private static final Pattern TRACED = Pattern.compile("kvmrec seq=(\\d+)");
  private static final Pattern STAMP = Pattern.compile(" (\\d+)\\.(\\d{6}): ");
  private static final long MICROS = 1_000_000;
  private static final long PAUSE_US = 1_000;

  private final String base;
  private final int times;
  private final Path target;
  private long lastSeq;
  private long lastVm;
  private long firstUs = Long.MAX_VALUE;
  private long lastUs;

  private RepeatRecording(String base, int times, Path target) {
    this.base = base;
    this.times = times;
    this.target = target;
  }

  public static void main(String[] args) throws IOException {
    String base = args[0].substring(0, args[0].length() - ".jsonl.gz".length());
    new RepeatRecording(base, Integer.parseInt(args[1]), Path.of(args[2])).write();
  }

  private void write() throws IOException {
    measure();
    try (BufferedWriter out = writer(".jsonl")) {
      for (int i = 0; i < times; i++) {
        repeat(".jsonl.gz", out, i, false);
      }
    }
    try (BufferedWriter out = writer(".ftrace.txt")) {
      for (int i = 0; i < times; i++) {
        repeat(".ftrace.txt.gz", out, i, true);
      }
    }
    Files.copy(Path.of(base + ".meta.json"), Path.of(target + ".meta.json"));
  }

  private BufferedWriter writer(String suffix) throws IOException {
    return new BufferedWriter(
        new OutputStreamWriter(
            Files.newOutputStream(Path.of(target + suffix)), StandardCharsets.UTF_8),
        1 << 20);
  }

  private BufferedReader reader(String suffix) throws IOException {
    InputStream in = new GZIPInputStream(Files.newInputStream(Path.of(base + suffix)), 1 << 16);
    return new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8), 1 << 20);
  }

  private void measure() throws IOException {
    try (BufferedReader in = reader(".jsonl.gz")) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        lastSeq = Math.max(lastSeq, first(SEQ, line, lastSeq));
        lastVm = Math.max(lastVm, first(VM, line, lastVm));
        Matcher time = TIME.matcher(line);
        while (time.find()) {
          long us = Long.parseLong(time.group(2)) / 1000;
          firstUs = Math.min(firstUs, us);
          lastUs = Math.max(lastUs, us);
        }
      }
    }
    try (BufferedReader in = reader(".ftrace.txt.gz")) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        Matcher stamp = STAMP.matcher(line);
        if (stamp.find()) {
          lastUs = Math.max(lastUs, micros(stamp));
        }
      }
    }
  }

  private static long first(Pattern pattern, String line, long otherwise) {
    Matcher found = pattern.matcher(line);
    return found.find() ? Long.parseLong(found.group(1)) : otherwise;
  }

  private static long micros(Matcher stamp) {
    return Long.parseLong(stamp.group(1)) * MICROS + Long.parseLong(stamp.group(2));
  }

  private void repeat(String suffix, BufferedWriter out, int round, boolean trace)
      throws IOException {
    long seqs = round * (lastSeq + 1);
    long vms = round * lastVm;
    long us = round * (lastUs - firstUs + PAUSE_US);
    try (BufferedReader in = reader(suffix)) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        if (round > 0 && trace && line.startsWith("#")) {
          continue;
        }
        String moved = trace ? traced(line, seqs, us) : called(line, seqs, vms, us);
        out.write(moved);
        out.newLine();
      }
    }
  }

  private static String called(String line, long seqs, long vms, long us) {
    String moved = SEQ.matcher(line).replaceFirst(m -> "{\"seq\":" + (number(m.group(1)) + seqs));
    moved =
        TIME.matcher(moved)
            .replaceAll(m -> "\"" + m.group(1) + "\":" + (number(m.group(2)) + us * 1000));
    return VM.matcher(moved).replaceFirst(m -> "\"obj\":\"vm" + (number(m.group(1)) + vms));
  }

  private static String traced(String line, long seqs, long us) {
    String moved =
        TRACED.matcher(line).replaceFirst(m -> "kvmrec seq=" + (number(m.group(1)) + seqs));
    Matcher stamp = STAMP.matcher(moved);
    if (!stamp.find()) {
      return moved;
    }
    long at = micros(stamp) + us;
    return moved.substring(0, stamp.start())
        + String.format(" %d.%06d: ", at / MICROS, at % MICROS)
        + moved.substring(stamp.end());
  }

  private static long number(String digits) {
    return Long.parseLong(digits);
  }
}
