package dev.faultline.migration;

import dev.faultline.kvm.Ioctl;
import java.util.List;

/**
 * A call by which a VMM writes a part of the destination's state.
 *
 * @param ioctl the call
 * @param msrs which of the saved MSRs, if it writes MSRs
 * @param how what of it is written, and in how many calls
 * @param when under which condition the call is made
 * @param onRefusal what the VMM does when KVM refuses the call
 * @param source where the step was read: file and function
 * @param because why it stands where it stands, or empty
 */
public record RestoreStep(
    Ioctl ioctl,
    MsrSet msrs,
    How how,
    Condition when,
    OnRefusal onRefusal,
    String source,
    String because) {

  /**
   * What is written, and in how many calls.
   *
   * @param oneByOne whether each MSR is a call of its own
   * @param onlyChanged whether an MSR that has the value already is left out
   * @param clears fields that are written as zero, whatever was saved
   * @param keeps fields that are written as the destination has them
   */
  public record How(
      boolean oneByOne, boolean onlyChanged, List<String> clears, List<String> keeps) {
    /** Everything that was saved, in one call. */
    public static final How WHOLE = new How(false, false, List.of(), List.of());

    public How {
      clears = List.copyOf(clears);
      keeps = List.copyOf(keeps);
    }
  }

  /** When a call is made; all of them need that something was saved for it. */
  public enum Condition {
    /** Whenever something was saved for it. */
    SAVED,
    /** The saved nested state says that VMX operation, or L2 on SVM, is on. */
    NESTED_ON,
    /** The saved nested state is more than its header. */
    NESTED_DATA
  }

  /** What a VMM does when KVM refuses a call, or does only the first MSRs of a list. */
  public enum OnRefusal {
    /** The migration fails. */
    ABORT,
    /** It says so and goes on; of a list of MSRs it leaves out the one that was refused. */
    LOG,
    /** It goes on as if nothing had happened; the rest of a list of MSRs is not written. */
    IGNORE
  }
}
