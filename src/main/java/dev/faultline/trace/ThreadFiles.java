package dev.faultline.trace;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.PriorityQueue;
import org.jspecify.annotations.Nullable;

/**
 * The files that {@code strace -ff} writes, one a thread, as the one that {@code strace -f} would
 * have written: the lines of all in the order of their times, each with its thread before it. With
 * the time that a call took ({@code -T}) that is the order in which calls returned.
 *
 * <p><i>Errors</i>: a {@link UsageException} where a file tells no times.
 */
public final class ThreadFiles extends InputStream {
  private static final int MAX_LINE = 1 << 20;
  private static final int MAX_DIGITS = 10;
  private static final long DAY_US = 86_400_000_000L;
  private static final int TIME_PARTS = 3;
  private static final int MINUTES = 60;
  private static final double US = 1e6;

  /** Of so many lines it is known where they came from; a reader is far less ahead. */
  private static final int KEPT = 1 << 17;

  private final List<File> files = new ArrayList<>();
  private final PriorityQueue<File> next =
      new PriorityQueue<>((a, b) -> {
        int byTime = Long.compare(a.endUs, b.endUs);
        return byTime != 0 ? byTime : Long.compare(a.tid, b.tid);
      });
  private final int[] fileOf = new int[KEPT];
  private final int[] lineOf = new int[KEPT];
  private byte[] line = new byte[0];
  private int at;
  private int given;

  /** One file, at its next line. */
  private static final class File {
    private final long tid;
    private final BufferedReader in;
    private String line = "";
    private final int number;
    private int lines;
    private long us = -1;
    private long endUs = -1;

    File(int number, long tid, InputStream in) {
      this.number = number;
      this.tid = tid;
      this.in = new BufferedReader(new InputStreamReader(in, StandardCharsets.ISO_8859_1));
    }

    /** Goes to the next line; a line without a time has that of the one before. */
    boolean advance() throws IOException {
      String text = in.readLine();
      if (text == null) {
        return false;
      }
      lines++;
      line = text.length() > MAX_LINE ? text.substring(0, MAX_LINE) : text;
      long told = time(line);
      // Past midnight the time of day begins again.
      us = told < 0 ? us : us - told > DAY_US / 2 && us < 2 * DAY_US ? told + DAY_US : told;
      endUs = Math.max(endUs, us + took(line));
      return true;
    }
  }

  /**
   * These files as one stream, which closes them.
   *
   * @param name what messages call them together
   * @param tids the thread of each file
   */
  public ThreadFiles(String name, List<Long> tids, List<InputStream> streams) throws IOException {
    for (int i = 0; i < streams.size(); i++) {
      File file = new File(i, tids.get(i), streams.get(i));
      files.add(file);
      if (file.advance()) {
        if (file.us < 0) {
          throw new UsageException(
              ErrorCode.INPUTS_UNMERGEABLE,
              name
                  + "."
                  + file.tid
                  + ": expected a time at the beginning of each line, to put the lines of several"
                  + " threads in order, found none; trace with strace -ff -ttt");
        }
        next.add(file);
      }
    }
  }

  /** The thread in the name of a file, or null if the name is not one of {@code strace -ff}. */
  public static @Nullable Long thread(String fileName) {
    int dot = fileName.lastIndexOf('.');
    String digits = fileName.substring(dot + 1);
    return dot > 0 && digits.matches("[0-9]{1,9}") ? Long.valueOf(digits) : null;
  }

  /** Microseconds at the beginning of a line: {@code 1700000000.123456} or {@code 12:34:56.789}. */
  private static long time(String line) {
    int blank = line.indexOf(' ');
    String word = blank < 0 ? "" : line.substring(0, blank);
    if (word.isEmpty() || !word.chars().allMatch(ThreadFiles::isOfTime)) {
      return -1;
    }
    String[] parts = word.split(":", -1);
    try {
      if (parts.length == TIME_PARTS) {
        long minutes = Long.parseLong(parts[0]) * MINUTES + Long.parseLong(parts[1]);
        return Math.round((minutes * MINUTES + Double.parseDouble(parts[2])) * US);
      }
      return parts.length == 1 ? Math.round(Double.parseDouble(word) * US) : -1;
    } catch (NumberFormatException _) {
      return -1;
    }
  }

  /**
   * Microseconds that a call took, as {@code strace -T} prints behind it; 0 where it is not told.
   */
  private static long took(String line) {
    int from = line.lastIndexOf(" <");
    if (from < 0 || !line.endsWith(">")) {
      return 0;
    }
    String word = line.substring(from + 2, line.length() - 1);
    boolean number = !word.isEmpty() && word.chars().allMatch(c -> c != ':' && isOfTime(c));
    try {
      return number ? Math.round(Double.parseDouble(word) * US) : 0;
    } catch (NumberFormatException _) {
      return 0;
    }
  }

  private static boolean isOfTime(int c) {
    return (c >= '0' && c <= '9') || c == '.' || c == ':';
  }

  /** Where a line came from that was given not long ago, {@code .TID:LINE}; the first is 1. */
  private String place(int lineNumber) {
    int index = (lineNumber - 1) % KEPT;
    return "." + files.get(fileOf[index]).tid + ":" + lineOf[index];
  }

  /**
   * Reads these files as the text of strace.
   *
   * @param source the name by which errors tell all of them, without their threads
   */
  public ObservationReader reader(String source) {
    return new PlacedReader(source, new StraceReader(source, this));
  }

  /** Tells of each line in which of the files it is. */
  private final class PlacedReader implements ObservationReader {
    private final String source;
    private final StraceReader reader;

    PlacedReader(String source, StraceReader reader) {
      this.source = source;
      this.reader = reader;
    }

    private String placed(String where) {
      int from = source.length() + 1;
      int to = from;
      while (to < where.length() && Character.isDigit(where.charAt(to))) {
        to++;
      }
      boolean known = where.startsWith(source + ":") && to > from && to - from < MAX_DIGITS;
      int number = known ? Integer.parseInt(where.substring(from, to)) : 0;
      return number <= 0 || number > given || number <= given - KEPT
          ? where
          : source + place(number) + where.substring(to);
    }

    @Override
    public boolean hasNext() {
      return reader.hasNext();
    }

    @Override
    public Observation next() {
      Observation line = reader.next();
      return Renumbered.at(line, placed(line.where()));
    }

    @Override
    public @Nullable MergeReport mergeReport() {
      return reader.mergeReport();
    }

    @Override
    public InputFormat format() {
      return reader.format();
    }

    @Override
    public LeftOut leftOut() {
      LeftOut out = reader.leftOut();
      return new LeftOut(
          out.damaged(), out.unreturned(), out.places().stream().map(this::placed).toList());
    }

    @Override
    public void close() {
      reader.close();
    }
  }

  private boolean fill() throws IOException {
    if (at < line.length) {
      return true;
    }
    File file = next.poll();
    if (file == null) {
      return false;
    }
    line = (file.tid + " " + file.line + "\n").getBytes(StandardCharsets.ISO_8859_1);
    at = 0;
    fileOf[given % KEPT] = file.number;
    lineOf[given % KEPT] = file.lines;
    given++;
    if (file.advance()) {
      next.add(file);
    }
    return true;
  }

  @Override
  public int read() throws IOException {
    return fill() ? line[at++] & 0xff : -1;
  }

  @Override
  public int read(byte[] to, int from, int length) throws IOException {
    Objects.checkFromIndexSize(from, length, to.length);
    if (length == 0 || !fill()) {
      return length == 0 ? 0 : -1;
    }
    int size = Math.min(length, line.length - at);
    System.arraycopy(line, at, to, from, size);
    at += size;
    return size;
  }

  @Override
  public void close() throws IOException {
    for (File file : files) {
      file.in.close();
    }
  }
}
