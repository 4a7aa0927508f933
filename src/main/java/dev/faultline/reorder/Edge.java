package dev.faultline.reorder;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A call that comes before another one in every order that works.
 *
 * @param before its position in the window
 * @param after the position of the other
 * @param direct whether no third call stands between them in the same way
 * @param reason what happens when just these two change places, or null when they are not
 *     neighbours in any order that works
 */
public record Edge(int before, int after, boolean direct, @Nullable Reason reason) {

  /**
   * What the exchange of two neighbours changes.
   *
   * @param refused calls that are refused then, but not otherwise
   * @param fields fields that differ then
   * @param ending what follows then
   */
  public record Reason(List<Deviation> refused, List<String> fields, Ending ending) {
    public Reason {
      refused = List.copyOf(refused);
      fields = List.copyOf(fields);
    }
  }
}
