package dev.faultline.migration;

/**
 * A field in which the migrated vCPU is not, or may not be, as the one that stayed.
 *
 * @param field its name, {@code sregs.cr0}, {@code nested.guest_mode}, {@code msr.IA32_XSS}
 * @param certain true if both values are known and differ; false if nobody can tell
 * @param stayed the value of the vCPU that stayed, if it is known
 * @param arrived the value of the one that was migrated, if it is known
 */
public record Difference(String field, boolean certain, Value stayed, Value arrived) {

  /** A value, or that it is not known. */
  public record Value(boolean known, long bits) {
    static final Value UNKNOWN = new Value(false, 0);

    static Value of(boolean known, long bits) {
      return known ? new Value(true, bits) : UNKNOWN;
    }
  }

  static Difference lost(String field, long stayed, long arrived) {
    return new Difference(field, true, new Value(true, stayed), new Value(true, arrived));
  }

  static Difference open(String field, Value stayed, Value arrived) {
    return new Difference(field, false, stayed, arrived);
  }
}
