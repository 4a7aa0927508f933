package dev.faultline.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

/** Runs command lines as the program does, and makes damaged recordings for them. */
final class CommandLines {
  private static final Path TIMELINES = Path.of(System.getProperty("basedir", "."), "timelines");

  private CommandLines() {}

  /** What a command line came to. */
  record Ended(int status, String out, String err) {}

  /** Runs the command line with all verbs there are. */
  static Ended run(Object... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    String[] words = new String[args.length];
    for (int i = 0; i < args.length; i++) {
      words[i] = args[i].toString();
    }
    int status = Main.run(Verbs.ALL, words, new PrintWriter(out), new PrintWriter(err));
    return new Ended(status, out.toString(), err.toString());
  }

  /** The folder of a shipped timeline. */
  static Path timeline(String name) {
    return TIMELINES.resolve(name);
  }

  /** The folder of all shipped timelines. */
  static Path timelines() {
    return TIMELINES;
  }

  /** The lines of a shipped timeline's recording, which must be one compressed by gzip. */
  static List<String> lines(String name) {
    try (GZIPInputStream in =
        new GZIPInputStream(Files.newInputStream(timeline(name).resolve("recording.jsonl.gz")))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A recording of these lines in a folder, without a trace or facts beside it. */
  static Path recording(Path folder, String file, List<String> lines) {
    try {
      return Files.write(folder.resolve(file), lines);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A recording of these lines, compressed by gzip and cut off after part of its bytes. */
  static Path cut(Path folder, String file, List<String> lines, double part) {
    Path path = folder.resolve(file);
    try (GZIPOutputStream out = new GZIPOutputStream(Files.newOutputStream(path))) {
      out.write(String.join("\n", lines).getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    try {
      byte[] whole = Files.readAllBytes(path);
      return Files.write(path, Arrays.copyOf(whole, (int) (whole.length * part)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
