package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Segment;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * Makes one page of several short ones. Their parts stay as they are, so the running hashes do too.
 */
final class Compaction {
  private Compaction() {}

  /** One page in place of neighbours, given in order. */
  static PackedPage merged(List<Page> pages, Function<Page, List<Segment>> segments) {
    TreeMap<Long, List<Segment>> byStream = new TreeMap<>();
    int events = 0;
    long minSeq = -1;
    long maxSeq = -1;
    for (Page page : pages) {
      events += page.events();
      if (page.minSeq() >= 0) {
        minSeq = minSeq < 0 ? page.minSeq() : Math.min(minSeq, page.minSeq());
        maxSeq = Math.max(maxSeq, page.maxSeq());
      }
      for (Segment segment : segments.apply(page)) {
        byStream.computeIfAbsent(segment.stream(), _ -> new ArrayList<>()).add(segment);
      }
    }
    Page first = pages.getFirst();
    Page merged =
        new Page(
            first.firstEvent(),
            events,
            first.timeline(),
            first.firstMoment(),
            pages.getLast().nextMoment(),
            minSeq,
            maxSeq);
    List<Segment> joined = new ArrayList<>();
    byStream.values().forEach(run -> joined.add(joined(run, merged.firstEvent())));
    return new PackedPage(merged, List.copyOf(joined));
  }

  private static Segment joined(List<Segment> run, long page) {
    ByteSink payload = new ByteSink();
    int events = 0;
    for (Segment segment : run) {
      events += segment.events();
      payload.raw(segment.payload(), 0, segment.payload().size());
    }
    Bytes whole = payload.toBytes();
    return new Segment(
        run.getFirst().stream(), run.getFirst().first(), events, page, whole, run.getLast().hash());
  }
}
