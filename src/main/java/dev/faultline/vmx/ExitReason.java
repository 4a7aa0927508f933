package dev.faultline.vmx;

import org.jspecify.annotations.Nullable;

/**
 * Why a VM exit took place, by the basic exit reason; the names are those that KVM's tracepoints
 * print.
 *
 * <p><i>Shape</i> of vm_exit_reason: basic reason 15:0, {@link #ENCLAVE_MODE} bit 27, {@link
 * #FAILED_VMENTRY} bit 31.
 *
 * <p><i>Source</i>: Intel SDM vol. 3D, "VMX Basic Exit Reasons"; {@code
 * arch/x86/include/uapi/asm/vmx.h, v6.1}.
 */
public enum ExitReason {
  EXCEPTION_NMI(0),
  EXTERNAL_INTERRUPT(1),
  TRIPLE_FAULT(2),
  INIT_SIGNAL(3),
  SIPI_SIGNAL(4),
  INTERRUPT_WINDOW(7),
  NMI_WINDOW(8),
  TASK_SWITCH(9),
  CPUID(10),
  HLT(12),
  INVD(13),
  INVLPG(14),
  RDPMC(15),
  RDTSC(16),
  VMCALL(18),
  VMCLEAR(19),
  VMLAUNCH(20),
  VMPTRLD(21),
  VMPTRST(22),
  VMREAD(23),
  VMRESUME(24),
  VMWRITE(25),
  VMOFF(26),
  VMON(27),
  CR_ACCESS(28),
  DR_ACCESS(29),
  IO_INSTRUCTION(30),
  MSR_READ(31),
  MSR_WRITE(32),
  INVALID_STATE(33),
  MSR_LOAD_FAIL(34),
  MWAIT_INSTRUCTION(36),
  MONITOR_TRAP_FLAG(37),
  MONITOR_INSTRUCTION(39),
  PAUSE_INSTRUCTION(40),
  MCE_DURING_VMENTRY(41),
  TPR_BELOW_THRESHOLD(43),
  APIC_ACCESS(44),
  EOI_INDUCED(45),
  GDTR_IDTR(46),
  LDTR_TR(47),
  EPT_VIOLATION(48),
  EPT_MISCONFIG(49),
  INVEPT(50),
  RDTSCP(51),
  PREEMPTION_TIMER(52),
  INVVPID(53),
  WBINVD(54),
  XSETBV(55),
  APIC_WRITE(56),
  RDRAND(57),
  INVPCID(58),
  VMFUNC(59),
  ENCLS(60),
  RDSEED(61),
  PML_FULL(62),
  XSAVES(63),
  XRSTORS(64),
  UMWAIT(67),
  TPAUSE(68),
  BUS_LOCK(74),
  NOTIFY(75),
  SEAMCALL(76),
  TDCALL(77),
  MSR_READ_IMM(84),
  MSR_WRITE_IMM(85);

  /** Set if VM entry failed after its guest state or an MSR of its list was found wrong. */
  public static final int FAILED_VMENTRY = 1 << 31;

  /** Set if the exit came from enclave mode. */
  public static final int ENCLAVE_MODE = 1 << 27;

  private static final int BASIC_MASK = 0xffff;

  private final int number;

  ExitReason(int number) {
    this.number = number;
  }

  /** The basic exit reason. */
  public int number() {
    return number;
  }

  /**
   * The reason in a vm_exit_reason field, whatever its high bits say; null if KVM has no name for
   * it.
   */
  public static @Nullable ExitReason of(int vmExitReason) {
    int basic = vmExitReason & BASIC_MASK;
    for (ExitReason reason : values()) {
      if (reason.number == basic) {
        return reason;
      }
    }
    return null;
  }

  /** The reason that tracepoints print by that name; null if there is none. */
  public static @Nullable ExitReason ofTraceName(String name) {
    for (ExitReason reason : values()) {
      if (reason.name().equals(name)) {
        return reason;
      }
    }
    return null;
  }

  /** A vm_exit_reason field in words, {@code INVALID_STATE FAILED_VMENTRY}. */
  public static String describe(int vmExitReason) {
    ExitReason reason = of(vmExitReason);
    String text = reason == null ? "EXIT_" + (vmExitReason & BASIC_MASK) : reason.name();
    if ((vmExitReason & ENCLAVE_MODE) != 0) {
      text += " ENCLAVE_MODE";
    }
    return (vmExitReason & FAILED_VMENTRY) != 0 ? text + " FAILED_VMENTRY" : text;
  }
}
