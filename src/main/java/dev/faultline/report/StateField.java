package dev.faultline.report;

/**
 * One field of a vCPU's state.
 *
 * @param struct the struct that holds it, {@code kvm_sregs}
 * @param name its name in there, {@code tr.unusable}
 * @param value the last value, unsigned; nothing if it was never seen
 * @param known how much is known of it
 * @param writer the moment that wrote it last, or a negative number
 */
record StateField(String struct, String name, long value, Knowledge known, int writer) {
  boolean isKnown() {
    return known == Knowledge.KNOWN;
  }

  boolean isSeen() {
    return known != Knowledge.NEVER;
  }
}
