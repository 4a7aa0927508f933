package dev.faultline.cli;

import dev.faultline.ingest.RecordingSource;
import java.io.Console;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Optional;
import me.tongfei.progressbar.DelegatingProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/**
 * A bar on the terminal while long work is done; nothing where the work is short, or where output
 * does not go to a terminal.
 */
final class Progress implements AutoCloseable {
  private static final int FEW = 3;
  private static final long LARGE_SIZE = 1 << 20;
  private static final int INTERVAL_MS = 200;
  private static final int WIDTH = 78;
  private static final int UNKNOWN = -1;

  private final boolean several;
  private @Nullable ProgressBar bar;

  private Progress(boolean several, @Nullable ProgressBar bar) {
    this.several = several;
    this.bar = bar;
  }

  /** Of work on these recordings, one after the other. */
  static Progress over(List<RecordingSource> sources) {
    boolean several = sources.size() > 1;
    boolean isLong = sources.size() > FEW || sources.stream().anyMatch(Progress::isLarge);
    if (!isLong || !isTerminal()) {
      return new Progress(several, null);
    }
    ProgressBar bar =
        new ProgressBarBuilder()
            .setInitialMax(several ? sources.size() : UNKNOWN)
            .setUnit(several ? " recordings" : " calls", 1)
            .setStyle(ProgressBarStyle.ASCII)
            .setUpdateIntervalMillis(INTERVAL_MS)
            .hideEta()
            .setConsumer(new DelegatingProgressBarConsumer(Progress::print, WIDTH))
            .build();
    return new Progress(several, bar);
  }

  /** Of an import, with its rate and the time that is left. */
  static Progress ofImport(List<RecordingSource> sources) {
    if (!isTerminal()) {
      return new Progress(false, null);
    }
    long lines = 0;
    for (RecordingSource source : sources) {
      lines += source.countLines();
    }
    ProgressBar bar =
        new ProgressBarBuilder()
            .setInitialMax(lines)
            .setRenderer(new ImportBar())
            .setUpdateIntervalMillis(INTERVAL_MS)
            .setConsumer(new DelegatingProgressBarConsumer(Progress::print, WIDTH))
            .build();
    return new Progress(false, bar);
  }

  /** More lines are done. */
  void linesDone(int lines) {
    if (bar != null) {
      bar.stepBy(lines);
    }
  }

  /** Tells what is done once all lines are read. */
  void tell(String what) {
    if (bar != null) {
      bar.setExtraMessage(what);
    }
  }

  private static boolean isTerminal() {
    return Optional.ofNullable(System.console()).filter(Console::isTerminal).isPresent();
  }

  private static boolean isLarge(RecordingSource source) {
    try {
      return Files.size(source.recording()) > LARGE_SIZE;
    } catch (IOException _) {
      // Whoever opens the recording will say so.
      return false;
    }
  }

  private static void print(String text) {
    System.err.print("\r" + text);
    System.err.flush();
  }

  boolean isShown() {
    return bar != null;
  }

  /** A recording is done. */
  void recordingDone() {
    if (bar != null && several) {
      bar.step();
    }
  }

  /** A line of a recording is done. */
  void lineDone() {
    if (bar != null && !several) {
      bar.step();
    }
  }

  /** Takes the bar away; nothing if it is gone already. */
  @Override
  public void close() {
    if (bar != null) {
      bar.close();
      bar = null;
      print(" ".repeat(WIDTH) + "\r");
    }
  }
}
