package dev.faultline.vmx;

/** The answer of an ordered list of checks of which some inputs may be unknown. */
public sealed interface CheckResult {

  /** Every check passes. */
  record Passed() implements CheckResult {}

  /**
   * A check fails, so the whole list does.
   *
   * @param check the first check that is known to fail
   * @param certainlyFirst whether all checks before it are known to pass; if not, one of them may
   *     be the one that KVM reported, with another outcome
   */
  record Failed(VmEntryCheck check, boolean certainlyFirst) implements CheckResult {}

  /**
   * No check is known to fail and at least one could not be evaluated.
   *
   * @param check the first check that could not be evaluated
   * @param missing what it lacks
   */
  record CannotTell(VmEntryCheck check, EntryInput missing) implements CheckResult {}

  /** What the two lists say together, when {@code next} is evaluated only if this one passes. */
  default CheckResult then(CheckResult next) {
    return switch (this) {
      case Passed _ -> next;
      case Failed _ -> this;
      case CannotTell _ ->
          switch (next) {
            case Failed failed -> VmEntryChecks.failed(failed.check(), false);
            case Passed _, CannotTell _ -> this;
          };
    };
  }

  /** Whether some check is known to fail. */
  default boolean isFailed() {
    return this instanceof Failed;
  }

  /** Whether all checks are known to pass. */
  default boolean isPassed() {
    return this instanceof Passed;
  }
}
