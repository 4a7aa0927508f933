package dev.faultline.report;

/**
 * A field of which a call tells something new.
 *
 * @param struct the struct that holds it, {@code kvm_sregs}
 * @param field its name, {@code tr.unusable}
 * @param before the value before, as far as {@code known} says
 * @param known how much was known of it before
 * @param after the value that the call carries
 */
record FieldChange(String struct, String field, long before, Knowledge known, long after) {
  /** {@code tr.unusable 0 → 1}; a value that may have been out of date has a question mark. */
  String words() {
    return switch (known) {
      case KNOWN -> field + " " + FieldWords.change(struct, field, before, after);
      case STALE -> field + " " + FieldWords.number(before) + "? → " + value();
      case NEVER -> field + " " + value();
    };
  }

  private String value() {
    return FieldWords.value(struct, field, after);
  }
}
