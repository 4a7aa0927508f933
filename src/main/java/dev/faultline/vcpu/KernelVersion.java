package dev.faultline.vcpu;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The kernels whose behaviour the model knows, with what differs between them.
 *
 * <p>Source: recordings of the same programs on 5.10.223, 6.1.192, 6.12.107, 7.2.13 and 7.3.4; the
 * others from sources, and so predicted only ({@link #recorded()} is false).
 */
public enum KernelVersion {
  V5_10("5.10", true, InvalidL2.EMULATE, false, false, false, false, false),
  V5_17("5.17", false, InvalidL2.TRIPLE_FAULT, false, false, false, false, false),
  V6_1("6.1", true, InvalidL2.TRIPLE_FAULT, true, false, false, true, false),
  V6_8("6.8", false, InvalidL2.TRIPLE_FAULT, true, false, false, true, true),
  V6_12("6.12", true, InvalidL2.TRIPLE_FAULT, true, false, false, true, true),
  V6_15("6.15", false, InvalidL2.TRIPLE_FAULT, true, false, true, true, true),
  V6_18("6.18", false, InvalidL2.TRIPLE_FAULT, true, false, true, true, true),
  V7_2("7.2", true, InvalidL2.TRIPLE_FAULT, true, true, true, true, true),
  V7_3("7.3", true, InvalidL2.TRIPLE_FAULT, true, true, true, true, true);

  /** What a kernel does with an L2 that is invalid at VM-Enter. */
  public enum InvalidL2 {
    EMULATE,
    TRIPLE_FAULT
  }

  /** What becomes of an L2 that RSM loaded with a state that hardware cannot run. */
  public enum RsmToInvalidL2 {
    /** KVM emulates it. */
    EMULATE,
    /** KVM_RUN fails with EIO and the VM is dead: KVM_BUG_ON(nested_run_pending). */
    DEAD_VM,
    /** KVM_EXIT_SHUTDOWN, out of guest mode (since 281a4e5f1086). */
    SHUTDOWN
  }

  private final String label;
  private final boolean recorded;
  private final InvalidL2 invalidL2;
  private final boolean sregsChecksCr0;
  private final boolean sregsChecksEfer;
  private final boolean rejectsPendingEntry;
  private final boolean tripleFaultEvent;
  private final boolean featureMsrsFrozenByRun;

  KernelVersion(
      String label,
      boolean recorded,
      InvalidL2 invalidL2,
      boolean sregsChecksCr0,
      boolean sregsChecksEfer,
      boolean rejectsPendingEntry,
      boolean tripleFaultEvent,
      boolean featureMsrsFrozenByRun) {
    this.label = label;
    this.recorded = recorded;
    this.invalidL2 = invalidL2;
    this.sregsChecksCr0 = sregsChecksCr0;
    this.sregsChecksEfer = sregsChecksEfer;
    this.rejectsPendingEntry = rejectsPendingEntry;
    this.tripleFaultEvent = tripleFaultEvent;
    this.featureMsrsFrozenByRun = featureMsrsFrozenByRun;
  }

  /** The version as a user writes it, e.g. {@code 6.1}. */
  public String label() {
    return label;
  }

  /** Whether recordings confirm this kernel's behaviour; otherwise it is predicted from sources. */
  public boolean recorded() {
    return recorded;
  }

  public InvalidL2 invalidL2() {
    return invalidL2;
  }

  /**
   * What RSM into an invalid L2 ends in.
   *
   * <p>cd0e615c49e5 meant a TRIPLE_FAULT exit; but since 759cbd59674a (5.17) RSM leaves a nested
   * VM-Enter pending, and with that the exit handler declares the VM dead.
   */
  public RsmToInvalidL2 rsmToInvalidL2() {
    if (invalidL2 == InvalidL2.EMULATE) {
      return RsmToInvalidL2.EMULATE;
    }
    return compareTo(V7_3) < 0 ? RsmToInvalidL2.DEAD_VM : RsmToInvalidL2.SHUTDOWN;
  }

  /** How RSM is carried out. */
  public RsmProfile rsm() {
    if (this == V5_10) {
      return RsmProfile.V5_10;
    }
    if (compareTo(V6_1) < 0) {
      return RsmProfile.V5_17;
    }
    if (compareTo(V6_8) < 0) {
      return RsmProfile.V6_1;
    }
    return compareTo(V6_12) < 0 ? RsmProfile.V6_2 : RsmProfile.V6_12;
  }

  /** KVM_SET_SREGS judges CR0 (kvm_is_valid_cr0(), since 26a0652cb453). */
  public boolean sregsChecksCr0() {
    return sregsChecksCr0;
  }

  /** KVM_SET_SREGS judges EFER, and CR4 even before KVM_SET_CPUID2. */
  public boolean sregsChecksEfer() {
    return sregsChecksEfer;
  }

  /** KVM_RUN refuses an invalid state under a pending nested VM-Enter (since 64c947a1cf35). */
  public boolean rejectsPendingEntry() {
    return rejectsPendingEntry;
  }

  /** KVM_CAP_X86_TRIPLE_FAULT_EVENT exists (since ed2351174e38). */
  public boolean tripleFaultEvent() {
    return tripleFaultEvent;
  }

  /**
   * KVM_SET_VCPU_EVENTS no longer refuses SMM while the vCPU waits for a SIPI: that is left to
   * KVM_RUN (6.17; seen on a real 6.18).
   */
  public boolean runJudgesInit() {
    return compareTo(V6_18) >= 0;
  }

  /** KVM_GET_VCPU_EVENTS counts pending NMIs (since ab2ee212a57b, 6.4). */
  public boolean countsPendingNmis() {
    return compareTo(V6_8) >= 0;
  }

  /** Feature MSRs cannot change after the first KVM_RUN (since 0094f62c7eaa). */
  public boolean featureMsrsFrozenByRun() {
    return featureMsrsFrozenByRun;
  }

  /**
   * The profile for a version text such as {@code 6.1}, {@code 6.1.0-56-amd64} or {@code 7.3.4}.
   */
  public static @Nullable KernelVersion of(String text) {
    int best = -1;
    KernelVersion found = null;
    for (KernelVersion version : List.of(values())) {
      String label = version.label;
      boolean matches =
          text.equals(label)
              || (text.startsWith(label) && !Character.isDigit(text.charAt(label.length())));
      if (matches && label.length() > best) {
        best = label.length();
        found = version;
      }
    }
    return found;
  }
}
