package dev.faultline.vmx;

/** What one check says: that it passes, that it fails, or which input it would need to tell. */
sealed interface Verdict permits EntryInput, Verdict.Known {

  /** A verdict that nothing can change. */
  enum Known implements Verdict {
    PASSES,
    FAILS
  }

  /** The verdict of a condition that could be evaluated. */
  static Verdict failsIf(boolean condition) {
    return condition ? Known.FAILS : Known.PASSES;
  }
}
