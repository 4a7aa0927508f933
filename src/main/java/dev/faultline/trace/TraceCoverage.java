package dev.faultline.trace;

/**
 * How much of what the kernel traced during a call is known: what may be concluded from an event
 * that is not there.
 *
 * <p>An event that is there is a fact under any coverage. Only {@link #tellsAbsence} says when a
 * missing one is a fact as well.
 */
public enum TraceCoverage {
  /** Every event of the call is there, but for those that {@link #tellsAbsence} names. */
  COMPLETE,
  /**
   * The recorder had only some kinds of events switched on; of those, every event of the call is
   * there.
   */
  FILTERED,
  /**
   * Events of the call were lost or may have been: what is there happened, what is not there may
   * have happened too.
   */
  PARTIAL,
  /** Nothing is known: no trace beside the recording, or it begins after the call. */
  ABSENT;

  /**
   * True if an event of this name would be among the call's events, had it happened.
   *
   * <p>{@link #COMPLETE} is the recorder under ptrace, which has all of {@code events/kvm} switched
   * on but for three noisy ones. {@link #FILTERED} is the in-process recorder with its short list;
   * its {@code kvm_exit} leaves out the EPT violations of L1, so a missing {@code kvm_exit} tells
   * nothing.
   *
   * @param event the tracepoint's name, {@code kvm_entry}
   */
  public boolean tellsAbsence(String event) {
    return switch (this) {
      case COMPLETE ->
          switch (event) {
            case "kvm_fpu", "kvm_track_tsc", "kvm_update_master_clock" -> false;
            default -> true;
          };
      case FILTERED ->
          switch (event) {
            case "kvm_nested_vmexit",
                "kvm_nested_vmexit_inject",
                "kvm_nested_vmenter_failed",
                "kvm_smm_transition",
                "kvm_inj_exception",
                "kvm_inj_virq",
                "kvm_emulate_insn" ->
                true;
            default -> false;
          };
      case PARTIAL, ABSENT -> false;
    };
  }
}
