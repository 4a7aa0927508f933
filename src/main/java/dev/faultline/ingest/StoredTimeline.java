package dev.faultline.ingest;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.store.EventType;
import dev.faultline.store.StoredEvent;
import dev.faultline.store.TimelineEvents;
import dev.faultline.store.TimelineStore;
import dev.faultline.trace.Chunks;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.LeftOut;
import dev.faultline.trace.MergeReport;
import dev.faultline.trace.Merged;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordingFacts;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * A timeline of a store, read as the recording that it was made of.
 *
 * @param store open, and closed by whoever opened it
 * @param name the timeline's name
 */
public record StoredTimeline(TimelineStore store, String name) {
  /** Its observations, from the first one on. */
  public ObservationReader open() {
    return new Reader(store, name, 0, () -> false);
  }

  /** Its observations from the line on that begins at this moment. */
  public ObservationReader openAt(int moment) {
    return new Reader(store, name, moment, () -> false);
  }

  /** The same as {@link #open}, but waits for more as long as the import is not at its end. */
  ObservationReader follow(Chunks.Patience patience) {
    return new Reader(store, name, 0, patience);
  }

  RecordingFacts readFacts() {
    TimelineEvents events = store.events(name, 0);
    return events.hasNext() && events.peek().type() == EventType.RECORDING_OPENED
        ? EventReader.facts(events.next())
        : RecordingFacts.unknown(name);
  }

  /** Reads stored events as observations. */
  private static final class Reader implements ObservationReader {
    private final TimelineStore store;
    private final String name;
    private final int from;
    private final Chunks.Patience patience;
    private TimelineEvents events;
    private boolean ended;
    private @Nullable Observation ahead;
    private @Nullable MergeReport report;
    private InputFormat format = InputFormat.RECORDING;
    private LeftOut leftOut = LeftOut.NOTHING;
    private @Nullable Merged merged;

    Reader(TimelineStore store, String name, int from, Chunks.Patience patience) {
      this.store = store;
      this.name = name;
      this.from = from;
      this.patience = patience;
      this.events = store.events(name, from);
    }

    @Override
    public boolean hasNext() {
      while (ahead == null && isMore()) {
        StoredEvent event = events.next();
        if (event.type() == EventType.RECORDING_OPENED) {
          report = EventReader.reportOf(event);
          format = Formats.of(event.number(1));
        } else if (event.type() == EventType.RECORDING_ENDED) {
          ended = true;
          report = EventReader.report(event);
          leftOut = EventReader.leftOut(event);
        } else if (event.type() == EventType.INPUTS_MERGED) {
          merged = EventReader.merged(event);
        } else if (event.type() == EventType.RECORDING_DAMAGED) {
          throw FormatException.corrupt(ErrorCode.RECORDING_CORRUPT, event.text(0));
        } else if (event.moment() >= from) {
          ahead = EventReader.observation(event, events);
        }
      }
      return ahead != null;
    }

    /** True if there is another event, perhaps after a while. */
    private boolean isMore() {
      while (!events.hasNext()) {
        if (ended || !patience.more()) {
          return false;
        }
        events = store.events(name, events.endsAt());
      }
      return true;
    }

    @Override
    public Observation next() {
      Observation next = hasNext() ? ahead : null;
      if (next == null) {
        throw new NoSuchElementException("the timeline " + name + " is at its end");
      }
      ahead = null;
      return next;
    }

    @Override
    public @Nullable MergeReport mergeReport() {
      return report;
    }

    @Override
    public InputFormat format() {
      return format;
    }

    @Override
    public LeftOut leftOut() {
      return leftOut;
    }

    @Override
    public @Nullable Merged merged() {
      return merged;
    }

    @Override
    public void close() {}
  }
}
