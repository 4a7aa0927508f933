package dev.faultline.audit;

/** How bad a finding is. */
public enum Severity {
  /** The guest, or the restore, is broken. */
  ERROR("error"),
  /** It is a risk, or broken for some guests or on some kernels. */
  WARNING("warning"),
  /** Good to know; nothing needs to change. */
  INFORMATION("information");

  private final String word;

  Severity(String word) {
    this.word = word;
  }

  /** The word used in results. */
  public String word() {
    return word;
  }

  /** Whether this is no worse than the other. */
  public boolean atMost(Severity other) {
    return compareTo(other) >= 0;
  }
}
