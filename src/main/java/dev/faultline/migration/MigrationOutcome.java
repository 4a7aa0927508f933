package dev.faultline.migration;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What becomes of a vCPU that is migrated by a plan at a moment.
 *
 * @param kind the worst of what happens
 * @param lost fields that certainly differ when the guest goes on
 * @param open fields that may differ: the recording does not tell
 * @param healed fields that differed, and that the recorded calls wrote before the guest went on
 * @param refused the call that KVM refuses, whether the VMM gives up for it or not
 * @param fault how the next KVM_RUN ends, where that of the vCPU that stayed does not
 * @param later recorded calls that end otherwise on the migrated vCPU, in words
 * @param assumed calls that are taken as accepted, since KVM takes back what it gave
 * @param undecided calls of which nobody can tell whether KVM accepts them, with what is missing
 * @param second what is different again when the migrated vCPU is migrated once more
 */
public record MigrationOutcome(
    Kind kind,
    List<Difference> lost,
    List<Difference> open,
    List<String> healed,
    @Nullable Refusal refused,
    @Nullable Fault fault,
    List<String> later,
    List<String> assumed,
    List<String> undecided,
    Generation second) {

  /** The kinds, the worst first. */
  public enum Kind {
    /** KVM refuses a call, and the VMM gives up. */
    REFUSED,
    /** The guest does not survive the next KVM_RUN. */
    FAULT,
    /** The guest goes on with another state. */
    LOST,
    /** The recording does not tell. */
    CANNOT_TELL,
    /** The guest cannot tell that it was migrated. */
    FAITHFUL;

    /** The word used in results. */
    public String word() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /**
   * A call that KVM refuses.
   *
   * @param saving whether it reads the source
   * @param step its position in that half of the plan, from one
   * @param processed how many MSRs it wrote before, or -1 for other calls
   * @param msr the MSR that it stops at, or empty
   * @param fatal whether the VMM gives up
   */
  public record Refusal(
      boolean saving,
      int step,
      Ioctl ioctl,
      @Nullable Errno errno,
      @Nullable Check check,
      int processed,
      String msr,
      boolean fatal) {}

  /** How the next KVM_RUN ends: in words, with the check that makes it. */
  public record Fault(String ending, @Nullable Check check) {}

  /**
   * The second generation.
   *
   * @param kind what happens, seen from the vCPU that was migrated once
   * @param lost fields that differ
   */
  public record Generation(Kind kind, List<String> lost) {
    static final Generation NONE = new Generation(Kind.CANNOT_TELL, List.of());
  }
}
