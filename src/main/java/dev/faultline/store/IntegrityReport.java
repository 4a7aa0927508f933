package dev.faultline.store;

import java.util.List;

/**
 * What a check of a timeline showed.
 *
 * @param head the running hash over all streams, in hexadecimal digits
 * @param damage everything that contradicts it, at most a hundred places
 */
public record IntegrityReport(String timeline, long events, String head, List<Damage> damage) {
  /**
   * A place where the store is not as it was written.
   *
   * @param stream the lane, or an empty text
   * @param moment the first moment that may be touched
   */
  public record Damage(String stream, int moment, String what) {}

  /** Takes the list as it is now. */
  public IntegrityReport {
    damage = List.copyOf(damage);
  }

  public boolean ok() {
    return damage.isEmpty();
  }
}
