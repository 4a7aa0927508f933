package dev.faultline.ingest;

import dev.faultline.Bytes;
import dev.faultline.FaultlineException;
import dev.faultline.StoreException;
import dev.faultline.store.CheckpointSpacing;
import dev.faultline.store.EventType;
import dev.faultline.store.LaneEvent;
import dev.faultline.store.PageRule;
import dev.faultline.store.StoredEvent;
import dev.faultline.store.TimelineStore;
import dev.faultline.store.TimelineWriter;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.Reexecution;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Merged;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.vcpu.Recorded;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Imports a recording: reads it, decides every call, and appends facts and judgements page by page.
 *
 * <p>An import that was cut off is begun again from the start of the input, and goes on where the
 * store ends: up to there it compares. Its result depends on nothing but the input and the rules of
 * this version.
 *
 * <p><i>Errors</i>: where an input cannot be read further, what was read is kept, with what is
 * wrong at its end.
 */
public final class RecordingImport {
  private final String source;
  private final boolean hasTrace;
  private final Supplier<ObservationReader> opening;
  private final TimelineWriter writer;
  private final ImportListener listener;
  private final LineEvents line = new LineEvents();
  private final PageRule rule = new PageRule();
  private final CheckpointSpacing spacing = new CheckpointSpacing();
  private final TreeMap<String, Long> sequences = new TreeMap<>();
  private final Reexecution reexecution;
  private final Descriptors descriptors;
  private final RecordingFacts facts;

  private List<LaneEvent> page = new ArrayList<>();
  private final String name;
  private int pageFirst;
  private @Nullable Bytes pageState;
  private long events;
  private int lines;

  /** What is wrong with an input, and where. */
  public record Problem(String where, String what) {}

  /**
   * What became of an import.
   *
   * @param events in the timeline now
   * @param alreadyThere events that an earlier import had stored
   * @param merged how several inputs became one; null for one alone
   */
  public record Imported(
      String timeline,
      long events,
      long alreadyThere,
      List<Problem> problems,
      @Nullable Merged merged) {
    /** Of one input. */
    public Imported(String timeline, long events, long alreadyThere, List<Problem> problems) {
      this(timeline, events, alreadyThere, problems, null);
    }
  }

  RecordingImport(
      RecordingSource source, TimelineWriter writer, String name, ImportListener listener) {
    this(
        source.name(),
        source.readFacts(),
        source.trace() != null,
        source::open,
        writer,
        name,
        listener);
  }

  /**
   * Of what a reader gives.
   *
   * @param source what its input is called
   * @param hasTrace whether a trace lies beside it
   */
  RecordingImport(
      String source,
      RecordingFacts facts,
      boolean hasTrace,
      Supplier<ObservationReader> opening,
      TimelineWriter writer,
      String name,
      ImportListener listener) {
    this.source = source;
    this.hasTrace = hasTrace;
    this.opening = opening;
    this.name = name;
    this.listener = listener;
    this.writer = writer;
    this.facts = facts;
    this.reexecution = new Reexecution(name, KernelFacts.model(facts), line);
    this.descriptors = new Descriptors(reexecution);
    reexecution.shelf().know(writer.closedVms());
  }

  /**
   * Imports a recording under a name.
   *
   * @param listener is told how far it is
   */
  public static Imported run(
      TimelineStore store, RecordingSource source, String name, ImportListener listener) {
    return new RecordingImport(source, store.writer(name), name, listener).run();
  }

  Imported run() {
    List<Problem> problems = new ArrayList<>();
    Merged merged = null;
    try (ObservationReader reader = opening.get()) {
      // Nothing is stored of an input of which nothing can be read.
      boolean more = reader.hasNext();
      add(LaneEvent.HOST, EventMaker.opened(source, facts, hasTrace, reader.format()));
      try {
        while (more) {
          line(reader.next());
          more = reader.hasNext();
        }
        reexecution.end();
        for (StoredEvent event : line.rest(last())) {
          add(LaneEvent.HOST, event);
        }
        merged = reader.merged();
        if (merged != null) {
          add(LaneEvent.HOST, EventMaker.merged(last(), merged));
        }
        add(LaneEvent.HOST, EventMaker.ended(last(), reader.mergeReport(), reader.leftOut()));
      } catch (StoreException e) {
        throw e;
      } catch (FaultlineException e) {
        problems.add(new Problem(source, String.valueOf(e.getMessage())));
        add(
            LaneEvent.HOST,
            StoredEvent.of(EventType.RECORDING_DAMAGED, last()).texts(e.sentence()));
      }
    }
    endPage();
    writer.flush();
    listener.onDisk(reexecution.nextMoment());
    return new Imported(name, events, writer.alreadyThere(), List.copyOf(problems), merged);
  }

  private int last() {
    return Math.max(0, reexecution.nextMoment() - 1);
  }

  private void line(Observation observation) {
    lines++;
    int first = reexecution.nextMoment();
    Recorded fact = RecordedCalls.convert(observation, first);
    if (rule.isFull()) {
      endPage();
      beginPage(first);
    }
    reexecution.accept(fact);
    String lane = LineEvents.lane(observation);
    for (StoredEvent event : line.take(observation, first, reexecution.nextMoment())) {
      add(lane, event);
    }
    ClosedVm gone = descriptors.follow(observation, fact);
    if (gone != null && writer.putAway(gone, reexecution.nextMoment())) {
      descriptors.putAway(gone);
    }
  }

  private void add(String lane, StoredEvent event) {
    long sequence = sequences.getOrDefault(lane, 0L);
    sequences.put(lane, sequence + 1);
    rule.begins(event);
    page.add(new LaneEvent(name, lane, sequence, event));
    events++;
  }

  private void beginPage(int first) {
    pageFirst = first;
    pageState =
        spacing.isDue(page.size()) ? spacing.kept(TimelineWriter.keep(descriptors.state())) : null;
    page = new ArrayList<>();
    rule.restart();
  }

  private void endPage() {
    listener.read(lines);
    lines = 0;
    int next = Math.max(reexecution.nextMoment(), pageFirst + 1);
    boolean onDisk =
        writer.add(
            List.copyOf(page),
            pageState,
            reexecution.index(),
            pageFirst,
            Math.min(next, reexecution.nextMoment()));
    if (onDisk) {
      listener.onDisk(next);
      reexecution.index().forget(reexecution.nextMoment(), writer.moments());
      reexecution.forgetFindings();
    }
  }
}
