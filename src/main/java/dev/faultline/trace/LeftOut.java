package dev.faultline.trace;

import java.util.List;

/**
 * What of a trace could not be read. Each damaged line costs itself and nothing else.
 *
 * @param damaged lines that are no line of such a trace
 * @param unreturned calls whose end the trace does not hold
 * @param places the first places of both, each a sentence that begins with {@code file:line}
 */
public record LeftOut(long damaged, long unreturned, List<String> places) {
  /** Everything was read. */
  public static final LeftOut NOTHING = new LeftOut(0, 0, List.of());

  /** Takes the list as it is now. */
  public LeftOut {
    places = List.copyOf(places);
  }

  /** Whether everything was read. */
  public boolean isNothing() {
    return damaged == 0 && unreturned == 0;
  }
}
