package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.InvariantViolation;
import dev.faultline.StoreException;
import dev.faultline.store.PackedEventStorageEngine.Standing;
import dev.faultline.store.Rows.Checkpoint;
import dev.faultline.store.Rows.Timeline;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.MomentIndex;
import java.util.ArrayList;
import java.util.List;
import org.axonframework.modelling.command.ConcurrencyException;
import org.jspecify.annotations.Nullable;

/**
 * Appends the pages of an import, many in one transaction. What the store holds already is compared
 * and not written again, so an import that was cut off goes on where it was.
 *
 * <p>When {@link #flush} is over, everything given before is on disk.
 */
public final class TimelineWriter {
  /** So many events are appended in a transaction, or a few more. */
  static final int EVENTS_AT_ONCE = 1 << 16;

  private static final int ATTEMPTS = 64;

  private final TimelineStore store;
  private final String name;
  private final int eventsAtOnce;
  private final List<Pending> pending = new ArrayList<>();
  private int pendingEvents;
  private long appended;
  private long alreadyThere;

  private final List<Closing> closings = new ArrayList<>();

  /** A page to be appended, and the VMs that were put away in it. */
  private record Pending(
      List<StoredEventMessage> events, @Nullable Bytes state, Bytes calls, List<Closing> closed) {}

  /** A VM that was put away. */
  record Closing(ClosedVm vm, int moment, Bytes state) {
    String name() {
      return vm.vm().name();
    }

    Rows.ClosedVmRow of(Timeline timeline) {
      return new Rows.ClosedVmRow(timeline.id(), name(), moment, ModelStamp.current(), state);
    }
  }

  TimelineWriter(TimelineStore store, String name, int eventsAtOnce) {
    this.store = store;
    this.name = name;
    this.eventsAtOnce = eventsAtOnce;
  }

  /** How many events were appended. */
  public long appended() {
    return appended;
  }

  /** How many events were there already. */
  public long alreadyThere() {
    return alreadyThere;
  }

  /** Looks up which call a moment is, once its page was flushed. */
  public MomentIndex.Earlier moments() {
    Timeline timeline = store.rows().timeline(name);
    if (timeline == null) {
      throw new InvariantViolation("the moments of " + name + " are asked for before it is there");
    }
    return new StoredMoments(store.rows(), timeline);
  }

  /** The VMs put away by {@link #putAway}, as they are to be found from then on. */
  public ClosedVms closedVms() {
    return this::find;
  }

  private @Nullable ClosedVm find(String vm, int moment) {
    Closing last = null;
    for (Closing each : closings) {
      last = each.name().equals(vm) ? each : last;
    }
    for (int i = pending.size() - 1; i >= 0 && last == null; i--) {
      for (Closing each : pending.get(i).closed()) {
        last = each.name().equals(vm) ? each : last;
      }
    }
    if (last != null) {
      return last.vm();
    }
    Timeline timeline = store.rows().timeline(name);
    return timeline == null ? null : new StoredVms(store.rows(), timeline).find(vm, moment);
  }

  /**
   * Keeps a VM of the present page of which no descriptor is open.
   *
   * @param moment the first one without it
   * @return false if it cannot be kept
   */
  public boolean putAway(ClosedVm vm, int moment) {
    Bytes state = keepAny(vm);
    if (state != null) {
      closings.add(new Closing(vm, moment, state));
    }
    return state != null;
  }

  /** The state as it is kept before a page; null where it cannot be kept. */
  public static @Nullable Bytes keep(ReplayState state) {
    return keepAny(state);
  }

  static @Nullable Bytes keepAny(Object state) {
    try {
      return CheckpointCodec.write(state);
    } catch (CheckpointCodec.NotKept _) {
      return null;
    }
  }

  /**
   * Adds a page that {@link PageRule} ended.
   *
   * @param state what {@link #keep} made of the state before it
   * @param index knows the calls of its moments
   * @return true if everything up to here is on disk
   */
  public boolean add(
      List<LaneEvent> events, @Nullable Bytes state, MomentIndex index, int first, int next) {
    List<StoredEventMessage> messages = new ArrayList<>(events.size());
    for (LaneEvent each : events) {
      messages.add(new StoredEventMessage(each.stream(), each.sequence(), each.event(), null));
    }
    pending.add(
        new Pending(messages, state, StoredCalls.write(index, first, next), List.copyOf(closings)));
    closings.clear();
    pendingEvents += messages.size();
    if (pendingEvents < eventsAtOnce) {
      return false;
    }
    flush();
    return true;
  }

  /** Appends what is pending. */
  public void flush() {
    for (int attempt = 0; !pending.isEmpty(); attempt++) {
      skipPresent();
      if (pending.isEmpty()) {
        return;
      }
      List<StoredEventMessage> all = new ArrayList<>(pendingEvents);
      pending.forEach(page -> all.addAll(page.events()));
      try {
        store.machinery().publish(all);
      } catch (ConcurrencyException e) {
        // Another process imports the same: what it was first with is compared.
        if (attempt == ATTEMPTS) {
          throw new StoreException(ErrorCode.STORE_CONFLICT, String.valueOf(e.getMessage()), e);
        }
        continue;
      }
      appended += all.size();
      keepDerived(pending);
      pending.clear();
      pendingEvents = 0;
    }
  }

  private void skipPresent() {
    List<Pending> present = new ArrayList<>();
    for (Pending page : pending) {
      Standing standing = store.engine().standing(name, page.events());
      if (standing == Standing.DIFFERENT) {
        throw new StoreException(
            ErrorCode.IMPORT_DIFFERS,
            name
                + "@"
                + page.events().getFirst().getPayload().moment()
                + ": expected what an import of the same input stored, found another; name another"
                + " timeline by --as, or take this one away (faultline rm "
                + name
                + ")");
      }
      if (standing == Standing.ABSENT) {
        break;
      }
      present.add(page);
    }
    for (Pending page : present) {
      alreadyThere += page.events().size();
      pendingEvents -= page.events().size();
    }
    pending.subList(0, present.size()).clear();
    keepDerived(present);
  }

  private void keepDerived(List<Pending> pages) {
    Timeline timeline = store.rows().timeline(name);
    if (timeline == null || pages.isEmpty()) {
      return;
    }
    List<Checkpoint> checkpoints = new ArrayList<>();
    List<Rows.ClosedVmRow> closed = new ArrayList<>();
    for (Pending page : pages) {
      page.closed().forEach(each -> closed.add(each.of(timeline)));
      checkpoints.add(
          new Checkpoint(
              timeline.id(),
              page.events().getFirst().getPayload().moment(),
              ModelStamp.current(),
              page.state(),
              page.calls()));
    }
    store.rows().putClosedVms(closed);
    store.rows().putCheckpoints(checkpoints);
  }
}
