package dev.faultline.vcpu;

import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.vmx.GuestStateCheck;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU as userspace could read it at one moment, with what is not known of it.
 *
 * @param name as in the recording, e.g. {@code vm1/vcpu0}
 * @param id the vCPU's identifier (APIC ID at reset)
 * @param vm the VM that it belongs to
 * @param registers general, special, debug and extended registers
 * @param events KVM's queued exceptions, interrupts, NMIs, SMIs: the struct kvm_vcpu_events holds
 *     KVM's internal values, not yet as KVM_GET_VCPU_EVENTS reports them
 * @param nested nested VMX state
 * @param platform local APIC, MSRs, CPUID, multiprocessing state
 * @param progress what the run loop remembers between two KVM_RUN
 */
public record Vcpu(
    String name,
    int id,
    Vm vm,
    Registers registers,
    Tracked events,
    Nested nested,
    Platform platform,
    Progress progress) {

  /**
   * Registers of the currently loaded VMCS: L2's while a nested guest is active.
   *
   * @param regs struct kvm_regs
   * @param sregs struct kvm_sregs; its interrupt_bitmap stays zero here, KVM derives it
   * @param debugregs struct kvm_debugregs
   * @param xcrs struct kvm_xcrs
   * @param xsave struct kvm_xsave, the first 4096 bytes
   * @param emulation KVM's cached flag that says that hardware cannot run this state
   */
  public record Registers(
      Tracked regs,
      Tracked sregs,
      Tracked debugregs,
      Tracked xcrs,
      Tracked xsave,
      Emulation emulation) {

    public Registers withRegs(Tracked changed) {
      return new Registers(changed, sregs, debugregs, xcrs, xsave, emulation);
    }

    public Registers withSregs(Tracked changed) {
      return new Registers(regs, changed, debugregs, xcrs, xsave, emulation);
    }

    public Registers withDebugregs(Tracked changed) {
      return new Registers(regs, sregs, changed, xcrs, xsave, emulation);
    }

    public Registers withXcrs(Tracked changed) {
      return new Registers(regs, sregs, debugregs, changed, xsave, emulation);
    }

    public Registers withXsave(Tracked changed) {
      return new Registers(regs, sregs, debugregs, xcrs, changed, emulation);
    }

    public Registers withEmulation(Emulation changed) {
      return new Registers(regs, sregs, debugregs, xcrs, xsave, changed);
    }
  }

  /**
   * KVM's cached {@code emulation_required}: the guest state is invalid for hardware.
   *
   * @param required the flag
   * @param failed the first check that fails, when the flag is set and the check is known
   */
  public record Emulation(Answer required, @Nullable GuestStateCheck failed) {
    public static final Emulation NO = new Emulation(Answer.NO, null);
    public static final Emulation CANNOT_TELL = new Emulation(Answer.CANNOT_TELL, null);

    static Emulation because(GuestStateCheck check) {
      return new Emulation(Answer.YES, check);
    }
  }

  /**
   * Per-vCPU devices and tables.
   *
   * @param lapic struct kvm_lapic_state
   * @param mpState struct kvm_mp_state
   * @param cpuid the table set by KVM_SET_CPUID2, or null when none is known
   * @param cpuidSet whether a table was set
   * @param msrs model-specific registers
   * @param tscKhz the guest's TSC frequency, or 0 when it is not known
   * @param smram the save map that RSM would load
   */
  public record Platform(
      Tracked lapic,
      Tracked mpState,
      @Nullable KvmCpuid2 cpuid,
      Answer cpuidSet,
      MsrState msrs,
      long tscKhz,
      Smram smram) {

    public Platform withLapic(Tracked changed) {
      return new Platform(changed, mpState, cpuid, cpuidSet, msrs, tscKhz, smram);
    }

    public Platform withMpState(Tracked changed) {
      return new Platform(lapic, changed, cpuid, cpuidSet, msrs, tscKhz, smram);
    }

    public Platform withCpuid(@Nullable KvmCpuid2 changed, Answer set) {
      return new Platform(lapic, mpState, changed, set, msrs, tscKhz, smram);
    }

    public Platform withMsrs(MsrState changed) {
      return new Platform(lapic, mpState, cpuid, cpuidSet, changed, tscKhz, smram);
    }

    public Platform withTscKhz(long changed) {
      return new Platform(lapic, mpState, cpuid, cpuidSet, msrs, changed, smram);
    }

    public Platform withSmram(Smram changed) {
      return new Platform(lapic, mpState, cpuid, cpuidSet, msrs, tscKhz, changed);
    }
  }

  /**
   * What outlives a KVM_RUN inside KVM.
   *
   * @param entered whether the vCPU was ever run
   * @param completion the userspace I/O that the next KVM_RUN completes first
   * @param smiRequested KVM_SMI was called and not yet turned into a pending SMI
   * @param exceptionFromUserspace the pending exception was stuffed by KVM_SET_VCPU_EVENTS
   * @param initOrSipiPossible another vCPU or userspace may have sent an INIT or SIPI
   * @param enlightenedVmcs KVM_CAP_HYPERV_ENLIGHTENED_VMCS is enabled
   * @param nestedPagesAwaited a restored L2's pages, PDPTEs among them, are read at the next
   *     KVM_RUN
   */
  public record Progress(
      Answer entered,
      Completion completion,
      Answer smiRequested,
      Answer exceptionFromUserspace,
      Answer initOrSipiPossible,
      Answer enlightenedVmcs,
      Answer nestedPagesAwaited) {

    public Progress withEntered(Answer changed) {
      return new Progress(
          changed,
          completion,
          smiRequested,
          exceptionFromUserspace,
          initOrSipiPossible,
          enlightenedVmcs,
          nestedPagesAwaited);
    }

    public Progress withCompletion(Completion changed) {
      return new Progress(
          entered,
          changed,
          smiRequested,
          exceptionFromUserspace,
          initOrSipiPossible,
          enlightenedVmcs,
          nestedPagesAwaited);
    }

    public Progress withSmiRequested(Answer changed) {
      return new Progress(
          entered,
          completion,
          changed,
          exceptionFromUserspace,
          initOrSipiPossible,
          enlightenedVmcs,
          nestedPagesAwaited);
    }

    public Progress withExceptionFromUserspace(Answer changed) {
      return new Progress(
          entered,
          completion,
          smiRequested,
          changed,
          initOrSipiPossible,
          enlightenedVmcs,
          nestedPagesAwaited);
    }

    public Progress withInitOrSipiPossible(Answer changed) {
      return new Progress(
          entered,
          completion,
          smiRequested,
          exceptionFromUserspace,
          changed,
          enlightenedVmcs,
          nestedPagesAwaited);
    }

    public Progress withEnlightenedVmcs(Answer changed) {
      return new Progress(
          entered,
          completion,
          smiRequested,
          exceptionFromUserspace,
          initOrSipiPossible,
          changed,
          nestedPagesAwaited);
    }

    public Progress withNestedPagesAwaited(Answer changed) {
      return new Progress(
          entered,
          completion,
          smiRequested,
          exceptionFromUserspace,
          initOrSipiPossible,
          enlightenedVmcs,
          changed);
    }
  }

  /** The userspace I/O that KVM_RUN must complete before anything else. */
  public enum Completion {
    /** Nothing is outstanding. */
    NONE,
    /** A port access of one unit: completes without another exit and writes RAX and RIP at most. */
    PORT_IO,
    /** A port access of several units, or one that may exit again. */
    STRING_IO,
    /** An MMIO access: the emulator goes on with the instruction. */
    MMIO,
    /** An MSR access handed to userspace. */
    MSR,
    /** Some other exit that completes in its own way. */
    OTHER,
    /** The recording does not tell. */
    UNKNOWN
  }

  public KernelModel kernel() {
    return vm.kernel();
  }

  /** The same vCPU in the VM as it is now. */
  @SuppressWarnings("ReferenceEquality") // Nearly always the very same VM; comparing it would cost.
  public Vcpu withVm(Vm changed) {
    return vm == changed
        ? this
        : new Vcpu(name, id, changed, registers, events, nested, platform, progress);
  }

  public Vcpu withRegisters(Registers changed) {
    return new Vcpu(name, id, vm, changed, events, nested, platform, progress);
  }

  public Vcpu withEvents(Tracked changed) {
    return new Vcpu(name, id, vm, registers, changed, nested, platform, progress);
  }

  public Vcpu withNested(Nested changed) {
    return new Vcpu(name, id, vm, registers, events, changed, platform, progress);
  }

  public Vcpu withPlatform(Platform changed) {
    return new Vcpu(name, id, vm, registers, events, nested, changed, progress);
  }

  public Vcpu withProgress(Progress changed) {
    return new Vcpu(name, id, vm, registers, events, nested, platform, changed);
  }

  /** Whether the vCPU is in system management mode. */
  public Answer inSmm() {
    return events.knows(EventsFields.SMM)
        ? Answer.of(events.value(EventsFields.SMM) != 0)
        : Answer.CANNOT_TELL;
  }

  /** Whether L2's registers are the loaded ones. */
  public Answer inGuestMode() {
    return nested.mode().guestMode();
  }
}
