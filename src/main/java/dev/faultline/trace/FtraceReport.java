package dev.faultline.trace;

import java.util.List;

/**
 * What a reader of trace text met with: how much it read, and what it could not.
 *
 * @param lines lines of text, headers too
 * @param events events read, markers too
 * @param damaged lines that are no line of a trace; each costs itself and nothing else
 * @param unread events of a known name whose text is of no known shape; they are passed on as
 *     {@link TraceEvent.Other}
 * @param lost events that the kernel says it lost, and of which it says how many
 * @param gaps places where the kernel says that it lost events
 * @param overwritten true if the oldest events were overwritten before the trace was read
 * @param places the first places of damaged and unread lines, each a sentence that begins with
 *     {@code file:line}
 */
public record FtraceReport(
    long lines,
    long events,
    long damaged,
    long unread,
    long lost,
    long gaps,
    boolean overwritten,
    List<String> places) {

  /** Takes the list as it is now. */
  public FtraceReport {
    places = List.copyOf(places);
  }
}
