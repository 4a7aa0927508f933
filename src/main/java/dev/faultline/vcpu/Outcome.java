package dev.faultline.vcpu;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import org.jspecify.annotations.Nullable;

/** What KVM answers to a call, as far as its rules and the known state tell. */
public sealed interface Outcome {

  /**
   * The call returns this value.
   *
   * @param stopped what ended it early, where the value counts entries that were processed
   */
  record Returns(long value, @Nullable Check stopped) implements Outcome {
    public Returns(long value) {
      this(value, null);
    }
  }

  /** The call succeeds with a value that is a new descriptor, or otherwise KVM's to choose. */
  record Succeeds() implements Outcome {}

  /** The call fails with this error because this check fails. */
  record Refused(Errno errno, Check check) implements Outcome {}

  /**
   * KVM_RUN returns 0 with this exit reason before any guest code runs.
   *
   * @param suberror for KVM_EXIT_INTERNAL_ERROR, otherwise -1
   * @param check why
   */
  record Exits(KvmExit exit, int suberror, Check check) implements Outcome {}

  /**
   * KVM_RUN runs the guest; how it returns depends on the guest.
   *
   * @param fault the exit that KVM makes before any guest code runs, if the state demands one
   */
  record Runs(TimelineEvent.@Nullable TripleFaultSynthesized fault) implements Outcome {}

  /** Too little is known; the sentence says what is missing. */
  record Undecided(String missing) implements Outcome {}

  /** The usual success. */
  Outcome ZERO = new Returns(0);
}
