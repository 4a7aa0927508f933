package dev.faultline.timeline;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import java.util.List;

/** What became of a guest that a KVM_RUN was about to enter, as recorded. */
public enum RunEnding {
  /** Hardware ran it. */
  RAN("ran"),
  /** Hardware refused the VM-Enter: L1 sees exit reason 0x80000021. */
  HARDWARE_REFUSED("0x80000021"),
  /** L1 sees TRIPLE_FAULT, and hardware never ran L2. */
  TRIPLE_FAULT("TRIPLE_FAULT"),
  /** L1 sees another exit that KVM made before hardware ran L2. */
  OTHER_EXIT("other exit"),
  /** KVM emulated its instructions. */
  EMULATED("emulated"),
  /** An SMI came first. */
  SMI("SMI first"),
  /** KVM_RUN failed with EIO; every later call on the VM does, too. */
  DEAD_VM("EIO"),
  /** KVM_EXIT_SHUTDOWN. */
  SHUTDOWN("SHUTDOWN"),
  /** KVM_EXIT_INTERNAL_ERROR. */
  INTERNAL_ERROR("INTERNAL_ERROR"),
  /** KVM_EXIT_FAIL_ENTRY. */
  FAIL_ENTRY("FAIL_ENTRY"),
  /** KVM_RUN, or the ioctl before it, failed with EINVAL. */
  EINVAL("EINVAL"),
  /** KVM_RUN failed with EINTR before the guest ran. */
  INTERRUPTED("EINTR"),
  /** The recording does not tell. */
  UNTOLD("?");

  private static final String FAILED_ENTRY = "FAILED_VMENTRY";
  private static final String RSM = " 0faa";
  private static final String TRIPLE_FAULT_REASON = "TRIPLE_FAULT";

  private final String word;

  RunEnding(String word) {
    this.word = word;
  }

  /** The word used in results. */
  public String word() {
    return word;
  }

  /** As a part of a sentence about L2, before a number. */
  public String story() {
    return switch (this) {
      case RAN -> "L2 ran";
      case HARDWARE_REFUSED -> "hardware refused the VM-Enter";
      case TRIPLE_FAULT -> "TRIPLE_FAULT for L1";
      case OTHER_EXIT -> "another exit for L1";
      case EMULATED -> "L2 was emulated";
      case SMI -> "an SMI came first";
      case DEAD_VM -> "EIO and a dead VM";
      case SHUTDOWN -> "KVM_EXIT_SHUTDOWN";
      case INTERNAL_ERROR -> "KVM_EXIT_INTERNAL_ERROR";
      case FAIL_ENTRY -> "KVM_EXIT_FAIL_ENTRY";
      case EINVAL -> "EINVAL";
      case INTERRUPTED -> "EINTR before the VM-Enter";
      case UNTOLD -> "cannot be told";
    };
  }

  /** Whether hardware ran the guest, or tried to. */
  public boolean reachedHardware() {
    return this == RAN || this == HARDWARE_REFUSED;
  }

  /**
   * What the events from {@code from} on say.
   *
   * @param entryProves whether a kvm_entry event means that hardware entered the guest; before
   *     cd0e615c49e5 KVM traced one and then emulated
   */
  static RunEnding of(List<TimelineEvent> events, int from, RunResult result, boolean entryProves) {
    RunEnding told = byEvents(events, from, entryProves);
    RunEnding end = byResult(result);
    return switch (told) {
      case EMULATED -> end == INTERNAL_ERROR || end == SHUTDOWN ? end : EMULATED;
      case TRIPLE_FAULT -> end == DEAD_VM || end == SHUTDOWN ? end : TRIPLE_FAULT;
      case UNTOLD -> end;
      default -> told;
    };
  }

  private static RunEnding byEvents(List<TimelineEvent> events, int from, boolean entryProves) {
    for (int i = from; i < events.size(); i++) {
      RunEnding told =
          switch (events.get(i)) {
            case TimelineEvent.InstructionEmulated e -> emulated(e, entryProves);
            case TimelineEvent.NestedVmExited e ->
                e.reason().equals(TRIPLE_FAULT_REASON) ? TRIPLE_FAULT : OTHER_EXIT;
            case TimelineEvent.L2Exited e -> hardware(e.flags());
            case TimelineEvent.VmExited e -> hardware(e.flags());
            case TimelineEvent.VmEntered _ -> entryProves ? exitAfter(events, i) : UNTOLD;
            case TimelineEvent.SmmEntered _ -> SMI;
            default -> UNTOLD;
          };
      if (told != UNTOLD) {
        return told;
      }
    }
    return UNTOLD;
  }

  /**
   * A kernel with cd0e615c49e5 does not emulate L2; RSM outside SMM belongs to an RSM that failed.
   */
  private static RunEnding emulated(TimelineEvent.InstructionEmulated e, boolean entryProves) {
    return entryProves || e.text().endsWith(RSM) ? UNTOLD : EMULATED;
  }

  private static RunEnding exitAfter(List<TimelineEvent> events, int entry) {
    for (int i = entry + 1; i < events.size(); i++) {
      if (events.get(i) instanceof TimelineEvent.VmExited e) {
        return hardware(e.flags());
      }
    }
    return RAN;
  }

  private static RunEnding hardware(String flags) {
    return flags.contains(FAILED_ENTRY) ? HARDWARE_REFUSED : RAN;
  }

  private static RunEnding byResult(RunResult result) {
    if (result.ret() < 0) {
      if (result.errno() == Errno.EIO.number()) {
        return DEAD_VM;
      }
      if (result.errno() == Errno.EINVAL.number()) {
        return EINVAL;
      }
      return result.errno() == Errno.EINTR.number() ? INTERRUPTED : UNTOLD;
    }
    KvmExit exit = result.exit();
    if (exit == null) {
      return UNTOLD;
    }
    return switch (exit) {
      case KVM_EXIT_SHUTDOWN -> SHUTDOWN;
      case KVM_EXIT_INTERNAL_ERROR -> INTERNAL_ERROR;
      case KVM_EXIT_FAIL_ENTRY -> FAIL_ENTRY;
      default -> UNTOLD;
    };
  }
}
