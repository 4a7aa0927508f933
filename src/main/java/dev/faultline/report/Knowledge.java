package dev.faultline.report;

/** How much is known of a field, or of a group of fields. */
public enum Knowledge {
  /** The value is the one that KVM has. */
  KNOWN,
  /** The value was seen once, but the guest ran or a call failed since. */
  STALE,
  /** No value was ever seen. */
  NEVER;

  /** The word used in results. */
  public String word() {
    return switch (this) {
      case KNOWN -> "known";
      case STALE -> "stale";
      case NEVER -> "never";
    };
  }

  static Knowledge of(boolean known, boolean seen) {
    if (known) {
      return KNOWN;
    }
    return seen ? STALE : NEVER;
  }
}
