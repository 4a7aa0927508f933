package dev.faultline.timeline;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Recordings in memory, to be re-executed many times. */
public final class Timelines {
  private Timelines() {}

  /**
   * A recording, read.
   *
   * @param name what it is called
   * @param kernel on what it was recorded
   * @param observations its lines, in order
   */
  public record Timeline(String name, KernelModel kernel, List<Observation> observations) {
    /** A re-execution that was fed nothing yet. */
    public Reexecution start() {
      return new Reexecution(name, kernel, TimelineListener.NONE);
    }

    /** Feeds the observations from {@code from} on. */
    public void feed(Reexecution to, int from) {
      for (Observation o : observations.subList(from, observations.size())) {
        tell(to, o);
      }
    }

    @Override
    public String toString() {
      return name;
    }
  }

  /** Feeds one observation. */
  public static void tell(Reexecution to, Observation observation) {
    to.accept(RecordedCalls.convert(observation, to.nextMoment()));
  }

  /** A recording that is shipped. */
  public static Timeline shipped(String name) {
    return read(Inputs.open(Path.of("timelines", name)).getFirst());
  }

  /** A recording of the larger collection, if that is at hand; else none. */
  public static List<Timeline> collected(String path) {
    Path folder = folder();
    int slash = path.indexOf('/');
    Path file = folder.resolve(path.substring(0, slash)).resolve(path.substring(slash + 1));
    Path recording = file.resolveSibling(file.getFileName() + ".jsonl.gz");
    return Files.exists(recording) ? List.of(read(Inputs.open(recording).getFirst())) : List.of();
  }

  /** All recordings of the larger collection, as {@link #collected} takes them. */
  public static List<String> allCollected() {
    Path folder = folder();
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    String end = ".jsonl.gz";
    try (Stream<Path> files = Files.walk(folder, 2)) {
      return files
          .map(p -> folder.relativize(p).toString())
          .filter(name -> name.endsWith(end) && name.contains("/"))
          .map(name -> name.substring(0, name.length() - end.length()))
          // What a recorded program itself wrote down has another ending before that one.
          .filter(name -> !name.endsWith(".outcome"))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The recordings of a folder of the larger collection with such names; none if not at hand. */
  public static List<Timeline> collectedAll(String in, String names) {
    Path folder = folder().resolve(in);
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    return Inputs.open(folder).stream()
        .filter(
            source -> source.name().substring(source.name().lastIndexOf('/') + 1).matches(names))
        .map(Timelines::read)
        .toList();
  }

  private static Path folder() {
    String property = System.getProperty("faultline.recordings");
    String variable = System.getenv("FAULTLINE_RECORDINGS");
    return Path.of(
        property != null ? property : variable != null ? variable : "../shared/recordings");
  }

  private static Timeline read(RecordingSource source) {
    List<Observation> observations = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      reader.forEachRemaining(observations::add);
    }
    return new Timeline(
        source.name(), KernelFacts.model(source.readFacts()), List.copyOf(observations));
  }
}
