package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.store.Rows.Checkpoint;
import dev.faultline.store.Rows.ClosedVmRow;
import dev.faultline.store.Rows.Snapshot;
import dev.faultline.store.Rows.Summary;
import dev.faultline.store.Rows.SummaryLane;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Derived rows in H2 or PostgreSQL. */
abstract class JdbcDerivedRows implements DerivedRows {
  private static final String CHECKPOINT =
      "SELECT timeline, first_moment, stamp, state, calls FROM checkpoint ";

  private static final Pattern INDEX = Pattern.compile("\\{\"globalIndex\":([0-9]{1,18})}");

  private static final int ATTEMPTS = 16;

  private final Database database;

  JdbcDerivedRows(Database database) {
    this.database = database;
  }

  /** False if another writer was first. */
  final boolean tried(Database.Work<Boolean> work) {
    return database.work(c -> {
      Savepoint before = c.setSavepoint();
      try {
        boolean done = work.with(c);
        if (!done) {
          c.rollback(before);
        }
        return done;
      } catch (SQLException e) {
        if (StoreErrors.isConflict(e)) {
          c.rollback(before);
          return false;
        }
        throw e;
      }
    });
  }

  /** Puts rows in the place of others, again if another process put the same ones meanwhile. */
  private void put(Database.Work<Boolean> work) {
    int attempt = 0;
    while (!tried(work)) {
      attempt++;
      if (attempt == ATTEMPTS) {
        throw new StoreException(
            ErrorCode.STORE_CONFLICT,
            "store "
                + database.location().text()
                + ": expected to keep derived data, found others at the same "
                + ATTEMPTS
                + " times; start again");
      }
    }
  }

  @Override
  public void putCheckpoints(List<Checkpoint> checkpoints) {
    put(c -> {
      List<@Nullable Object[]> keys = new ArrayList<>();
      List<@Nullable Object[]> rows = new ArrayList<>();
      for (Checkpoint p : checkpoints) {
        keys.add(new Object[] {p.timeline(), p.firstMoment()});
        rows.add(
            new @Nullable Object[] {
              p.timeline(), p.firstMoment(), p.stamp(), p.state(), p.calls()
            });
      }
      Sql.batch(c, "DELETE FROM checkpoint WHERE timeline = ? AND first_moment = ?", keys);
      Sql.batch(
          c,
          "INSERT INTO checkpoint (timeline, first_moment, stamp, state, calls)"
              + " VALUES (?, ?, ?, ?, ?)",
          rows);
      return true;
    });
  }

  @Override
  public @Nullable Checkpoint checkpointAt(long timeline, int moment, String stamp) {
    return database.<@Nullable Checkpoint>work(c ->
        Sql.first(
            c,
            JdbcDerivedRows::checkpointOf,
            CHECKPOINT
                + "WHERE timeline = ? AND first_moment <= ? AND stamp = ? AND state IS NOT NULL"
                + " ORDER BY timeline DESC, first_moment DESC LIMIT 1",
            timeline,
            moment,
            stamp));
  }

  @Override
  public @Nullable Checkpoint checkpointOf(long timeline, int firstMoment) {
    return database.<@Nullable Checkpoint>work(c ->
        Sql.first(
            c,
            JdbcDerivedRows::checkpointOf,
            CHECKPOINT + "WHERE timeline = ? AND first_moment = ?",
            timeline,
            firstMoment));
  }

  @Override
  public void dropCheckpoints(long timeline) {
    database.work(c -> {
      Sql.update(c, "DELETE FROM closed_vm WHERE timeline = ?", timeline);
      return Sql.update(c, "DELETE FROM checkpoint WHERE timeline = ?", timeline);
    });
  }

  @Override
  public void putClosedVms(List<ClosedVmRow> closed) {
    put(c -> {
      List<@Nullable Object[]> keys = new ArrayList<>();
      List<@Nullable Object[]> rows = new ArrayList<>();
      for (ClosedVmRow each : closed) {
        keys.add(new Object[] {each.timeline(), each.vm(), each.moment()});
        rows.add(
            new Object[] {each.timeline(), each.vm(), each.moment(), each.stamp(), each.state()});
      }
      Sql.batch(c, "DELETE FROM closed_vm WHERE timeline = ? AND vm = ? AND moment = ?", keys);
      Sql.batch(
          c,
          "INSERT INTO closed_vm (timeline, vm, moment, stamp, state) VALUES (?, ?, ?, ?, ?)",
          rows);
      return true;
    });
  }

  @Override
  public @Nullable ClosedVmRow closedVm(long timeline, String vm, int moment, String stamp) {
    return database.<@Nullable ClosedVmRow>work(c ->
        Sql.first(
            c,
            row ->
                new ClosedVmRow(
                    row.getLong(1),
                    row.getString(2),
                    row.getInt(3),
                    row.getString(4),
                    Sql.bytes(row, 5)),
            "SELECT timeline, vm, moment, stamp, state FROM closed_vm"
                + " WHERE timeline = ? AND vm = ? AND moment <= ? AND stamp = ?"
                + " ORDER BY timeline DESC, vm DESC, moment DESC LIMIT 1",
            timeline,
            vm,
            moment,
            stamp));
  }

  @Override
  public List<String> closedVmNames(long timeline, int moment, String stamp) {
    return database.work(c ->
        Sql.list(
            c,
            row -> row.getString(1),
            "SELECT DISTINCT vm FROM closed_vm WHERE timeline = ? AND moment <= ? AND stamp = ?",
            timeline,
            moment,
            stamp));
  }

  /** As the processor's token says, without starting what wrote it. */
  @Override
  public long projected() {
    return database.work(c -> {
      String token =
          Sql.first(
              c,
              row -> {
                byte[] json = row.getBytes(1);
                return json == null ? "" : new String(json, StandardCharsets.UTF_8);
              },
              "SELECT token FROM token_entry WHERE processor_name = ? AND segment = 0",
              Machinery.SUMMARIES);
      Matcher index = INDEX.matcher(token == null ? "" : token);
      return index.matches() ? Long.parseLong(index.group(1)) : -1L;
    });
  }

  @Override
  public List<Summary> summaries() {
    return database.work(c ->
        Sql.list(
            c,
            row ->
                new Summary(
                    row.getLong(1),
                    row.getLong(2),
                    row.getLong(3),
                    row.getLong(4),
                    row.getLong(5),
                    row.getLong(6)),
            "SELECT timeline, events, first_ns, last_ns, synthesized, divergences FROM summary"
                + " ORDER BY timeline"));
  }

  @Override
  public List<SummaryLane> summaryLanes() {
    return database.work(c ->
        Sql.list(
            c,
            row -> new SummaryLane(row.getLong(1), row.getString(2)),
            "SELECT timeline, lane FROM summary_lane ORDER BY timeline, lane"));
  }

  @Override
  public void putSummary(Summary s, List<String> newLanes) {
    database.work(c -> {
      if (!isThere(c, s.timeline())) {
        return false;
      }
      Sql.update(c, "DELETE FROM summary WHERE timeline = ?", s.timeline());
      Sql.update(
          c,
          "INSERT INTO summary (timeline, events, first_ns, last_ns, synthesized, divergences)"
              + " VALUES (?, ?, ?, ?, ?, ?)",
          s.timeline(),
          s.events(),
          s.firstNs(),
          s.lastNs(),
          s.synthesized(),
          s.divergences());
      List<@Nullable Object[]> rows = new ArrayList<>();
      newLanes.forEach(lane -> rows.add(new Object[] {s.timeline(), lane}));
      Sql.batch(c, "DELETE FROM summary_lane WHERE timeline = ? AND lane = ?", rows);
      Sql.batch(c, "INSERT INTO summary_lane (timeline, lane) VALUES (?, ?)", rows);
      return true;
    });
  }

  @Override
  public void dropSummaries() {
    database.work(c -> {
      Sql.update(c, "DELETE FROM summary");
      return Sql.update(c, "DELETE FROM summary_lane");
    });
  }

  @Override
  public @Nullable Snapshot snapshot(String aggregate) {
    return database.<@Nullable Snapshot>work(c ->
        Sql.first(
            c,
            row ->
                new Snapshot(row.getString(1), row.getLong(2), row.getString(3), Sql.bytes(row, 4)),
            "SELECT aggregate, sequence_number, stamp, payload FROM snapshot"
                + " WHERE aggregate = ?",
            aggregate));
  }

  @Override
  public void putSnapshot(Snapshot s) {
    put(c -> {
      Sql.update(c, "DELETE FROM snapshot WHERE aggregate = ?", s.aggregate());
      Sql.update(
          c,
          "INSERT INTO snapshot (aggregate, sequence_number, stamp, payload)"
              + " VALUES (?, ?, ?, ?)",
          s.aggregate(),
          s.sequence(),
          s.stamp(),
          s.payload());
      return true;
    });
  }

  private static boolean isThere(Connection c, long timeline) throws SQLException {
    return Sql.first(c, row -> row.getLong(1), "SELECT id FROM timeline WHERE id = ?", timeline)
        != null;
  }

  private static Checkpoint checkpointOf(ResultSet row) throws SQLException {
    byte[] state = row.getBytes(4);
    return new Checkpoint(
        row.getLong(1),
        row.getInt(2),
        row.getString(3),
        state == null ? null : Bytes.wrap(state),
        Sql.bytes(row, 5));
  }
}
