package dev.faultline.ingest;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingSource.Origin;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.ThreadFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Makes one input of several that tell of one machine.
 *
 * <ul>
 *   <li>The files of {@code strace -ff}, one a thread ({@code NAME.TID}), are what strace would
 *       have written into one.
 *   <li>A kernel's trace beside recordings or text of strace tells what happened inside their
 *       calls.
 *   <li>What is left tells of different programs, and is merged by clock.
 * </ul>
 *
 * <p><i>Order</i>: inputs are taken in order of their paths, whatever order they are named in, so
 * that the same files always become the same timeline.
 */
public final class Merging {
  private Merging() {}

  /**
   * One input of these.
   *
   * @param name what to call it
   * @throws UsageException if they cannot be merged
   */
  public static RecordingSource of(String name, List<RecordingSource> sources) {
    List<RecordingSource> sorted = new ArrayList<>(sources);
    sorted.sort(Comparator.comparing(source -> source.recording().toString()));
    for (RecordingSource each : sorted) {
      if (!each.isOneFile()) {
        throw unmergeable("files", each.name() + ", a timeline of the store");
      }
    }
    List<RecordingSource> traces = new ArrayList<>();
    List<RecordingSource> calls = new ArrayList<>();
    TreeMap<String, List<RecordingSource>> threads = new TreeMap<>();
    for (RecordingSource each : sorted) {
      InputFormat format = each.format();
      String file = Inputs.fileName(each.recording());
      if (format == InputFormat.KERNEL_TRACE) {
        traces.add(each);
      } else if (format == InputFormat.STRACE && ThreadFiles.thread(file) != null) {
        String stem = each.recording().toString();
        threads
            .computeIfAbsent(stem.substring(0, stem.lastIndexOf('.')), _ -> new ArrayList<>())
            .add(each);
      } else {
        calls.add(each);
      }
    }
    threads.forEach((stem, files) -> calls.add(threads(Path.of(stem), files)));
    if (calls.isEmpty()) {
      calls.addAll(traces);
    } else if (!traces.isEmpty()) {
      beside(calls, traces);
    }
    demandOneMachine(calls);
    return calls.size() == 1
        ? calls.getFirst().named(name)
        : new RecordingSource(
            name,
            calls.getFirst().recording(),
            calls.getFirst().trace(),
            null,
            new Origin.Several(List.copyOf(calls)));
  }

  private static RecordingSource threads(Path stem, List<RecordingSource> files) {
    return new RecordingSource(
        Inputs.fileName(stem),
        stem,
        null,
        null,
        new Origin.Threads(files.stream().map(RecordingSource::recording).toList()));
  }

  /** The kernel's trace tells of all that has none of its own. */
  private static void beside(List<RecordingSource> calls, List<RecordingSource> traces) {
    if (traces.size() > 1) {
      throw unmergeable(
          "at most one kernel trace beside what the calls are in",
          traces.get(0).recording() + " and " + traces.get(1).recording());
    }
    Path trace = traces.getFirst().recording();
    calls.replaceAll(each ->
        each.trace() != null
            ? each
            : new RecordingSource(
                each.name(), each.recording(), trace, each.facts(), each.origin()));
  }

  private static void demandOneMachine(List<RecordingSource> calls) {
    @Nullable RecordingFacts known = null;
    String of = "";
    for (RecordingSource each : calls) {
      RecordingFacts facts = each.readFacts();
      if (facts.kernel().isEmpty() && facts.params().isEmpty()) {
        continue;
      }
      if (known != null && !sameMachine(known, facts)) {
        throw unmergeable(
            "one kernel and one set of its parameters",
            told(known) + " in " + of + " and " + told(facts) + " in " + each.recording());
      }
      known = facts;
      of = each.recording().toString();
    }
  }

  private static boolean sameMachine(RecordingFacts a, RecordingFacts b) {
    return a.kernel().equals(b.kernel()) && a.params().equals(b.params());
  }

  private static String told(RecordingFacts facts) {
    if (!facts.kernel().isEmpty()) {
      return facts.kernel();
    }
    for (Map.Entry<String, String> param : facts.params().entrySet()) {
      return facts.params().size() + " parameters such as " + param.getKey();
    }
    return "nothing";
  }

  private static UsageException unmergeable(String expected, String found) {
    return new UsageException(
        ErrorCode.INPUTS_UNMERGEABLE,
        "expected inputs of one machine: " + expected + ", found " + found + "; import them apart");
  }
}
