package dev.faultline;

/**
 * One condition that KVM tests before it goes on: a row of an ordered list of which the first row
 * that fails decides.
 *
 * <p>Implemented by enums, whose order is the order of the tests.
 */
public interface Check {

  /** The stable name that reports print, and that suppressions and stored findings refer to. */
  String id();

  /** What has to hold, in one sentence. */
  String rule();

  /** The function of the kernel that tests it. */
  String kernelFunction();

  /**
   * When it fails, as an expression over the fields. Where the kernel traces failing checks this
   * is, letter for letter, the text of its trace event.
   */
  String condition();
}
