package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.Check;
import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmFpu;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.svm.Vmcb;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.vmx.Vmcs12;
import org.jspecify.annotations.Nullable;

/**
 * Something that happened to a vCPU. Consequences of one ioctl share its moment.
 *
 * <p>{@link TripleFaultSynthesized} is a judgement of the model; all others are facts, or what a
 * call does by KVM's rules.
 */
public sealed interface TimelineEvent {
  /** The position in the timeline. */
  int moment();

  /** KVM_CREATE_VCPU: everything at its reset value. */
  record VcpuCreated(int moment, int id, Answer bootCpu, Answer lapicInKernel)
      implements TimelineEvent {}

  /** KVM_SET_GUEST_DEBUG queued an exception without an error code. */
  record ExceptionQueued(int moment, int vector) implements TimelineEvent {}

  /** KVM_SET_REGS was accepted. */
  record RegsSet(int moment, KvmRegs regs) implements TimelineEvent {}

  /** KVM_SET_SREGS was accepted. */
  record SregsSet(int moment, KvmSregs sregs) implements TimelineEvent {}

  /** KVM_SET_SREGS2 was accepted. */
  record Sregs2Set(int moment, KvmSregs2 sregs) implements TimelineEvent {}

  /** KVM_SET_VCPU_EVENTS was carried out; incomplete when it was refused at its last step. */
  record VcpuEventsSet(int moment, KvmVcpuEvents events, boolean complete)
      implements TimelineEvent {}

  /** KVM forced the vCPU out of nested operation and forgot its VMXON. */
  record NestedLeft(int moment) implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE switched VMX operation on. */
  record VmxonSet(int moment, long vmxonPa) implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE made a VMCS the current one. */
  record CurrentVmcsSet(int moment, long vmcs12Pa) implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE put VMX operation aside for SMM. */
  record SmmNestingSet(int moment, boolean guestMode) implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE filled the cached vmcs12. */
  record Vmcs12Loaded(int moment, Vmcs12 vmcs12) implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE filled the cached shadow vmcs12. */
  record ShadowVmcs12Loaded(int moment, Vmcs12 vmcs12) implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE set or cleared the global interrupt flag of nested SVM. */
  record GifSet(int moment, boolean set) implements TimelineEvent {}

  /**
   * KVM_SET_NESTED_STATE made the current registers those of L2, on SVM; incomplete when it was
   * refused after that.
   */
  record L2Restored(
      int moment, long vmcb12Pa, boolean gif, boolean runPending, Vmcb vmcb, boolean complete)
      implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE entered L2. */
  record NestedEntryRestored(
      int moment, boolean runPending, boolean mtfPending, boolean deadlineValid, long deadline)
      implements TimelineEvent {}

  /** KVM_SET_NESTED_STATE gave up after it began to enter L2. */
  record NestedEntryAbandoned(int moment) implements TimelineEvent {}

  /** KVM_SET_MP_STATE was accepted. */
  record MpStateSet(int moment, KvmMpState state) implements TimelineEvent {}

  /** KVM_SET_DEBUGREGS was accepted. */
  record DebugregsSet(int moment, KvmDebugregs debugregs) implements TimelineEvent {}

  /** KVM_SET_XCRS was accepted. */
  record XcrsSet(int moment, KvmXcrs xcrs) implements TimelineEvent {}

  /** KVM_SET_XSAVE was accepted. */
  record XsaveSet(int moment, KvmXsave xsave) implements TimelineEvent {}

  /** KVM_SET_FPU was accepted. */
  record FpuSet(int moment, KvmFpu fpu) implements TimelineEvent {}

  /** KVM_SET_LAPIC was accepted. */
  record LapicSet(int moment, KvmLapicState lapic) implements TimelineEvent {}

  /** KVM_SET_MSRS processed so many entries; uncertain when the model cannot tell how many. */
  record MsrsSet(int moment, KvmMsrs msrs, int processed, boolean certain)
      implements TimelineEvent {}

  /** KVM_SET_CPUID2 was accepted. */
  record CpuidSet(int moment, KvmCpuid2 cpuid) implements TimelineEvent {}

  /** KVM_SET_TSC_KHZ was accepted. */
  record TscKhzSet(int moment, long khz) implements TimelineEvent {}

  /** KVM_ENABLE_CAP on the vCPU was accepted. */
  record VcpuCapEnabled(int moment, int cap) implements TimelineEvent {}

  /** KVM_X86_SETUP_MCE was accepted. */
  record MceSetUp(int moment, long mcgCap) implements TimelineEvent {}

  /** KVM_SMI. */
  record SmiRequested(int moment) implements TimelineEvent {}

  /** KVM_NMI. */
  record NmiQueued(int moment) implements TimelineEvent {}

  /** KVM_INTERRUPT queued a vector. */
  record InterruptQueued(int moment, int vector) implements TimelineEvent {}

  /** KVM_GET_REGS showed this. */
  record RegsRead(int moment, KvmRegs regs) implements TimelineEvent {}

  /** KVM_GET_SREGS showed this. */
  record SregsRead(int moment, KvmSregs sregs) implements TimelineEvent {}

  /** KVM_GET_SREGS2 showed this. */
  record Sregs2Read(int moment, KvmSregs2 sregs) implements TimelineEvent {}

  /** KVM_GET_VCPU_EVENTS showed this. */
  record VcpuEventsRead(int moment, KvmVcpuEvents events) implements TimelineEvent {}

  /** KVM_GET_NESTED_STATE showed this. */
  record NestedStateRead(int moment, KvmNestedState state) implements TimelineEvent {}

  /** KVM_GET_MP_STATE showed this. */
  record MpStateRead(int moment, KvmMpState state) implements TimelineEvent {}

  /** KVM_GET_DEBUGREGS showed this. */
  record DebugregsRead(int moment, KvmDebugregs debugregs) implements TimelineEvent {}

  /** KVM_GET_XCRS showed this. */
  record XcrsRead(int moment, KvmXcrs xcrs) implements TimelineEvent {}

  /** KVM_GET_XSAVE showed this. */
  record XsaveRead(int moment, KvmXsave xsave) implements TimelineEvent {}

  /** KVM_GET_LAPIC showed this. */
  record LapicRead(int moment, KvmLapicState lapic) implements TimelineEvent {}

  /** KVM_GET_MSRS showed the first entries. */
  record MsrsRead(int moment, KvmMsrs msrs, int count) implements TimelineEvent {}

  /** KVM_GET_CPUID2 showed this. */
  record CpuidRead(int moment, KvmCpuid2 cpuid) implements TimelineEvent {}

  /** KVM_GET_TSC_KHZ returned this. */
  record TscKhzRead(int moment, long khz) implements TimelineEvent {}

  /** KVM refused the call, for this reason. */
  record CallRefused(int moment, Ioctl ioctl, Errno errno, Check check) implements TimelineEvent {}

  /**
   * The recorded result contradicts the model, or the model cannot tell what the call did: whatever
   * it may have written is unknown from here.
   */
  record CallDoubted(int moment, Ioctl ioctl) implements TimelineEvent {}

  /** A recorded read contradicts what was known of these fields. */
  record ReadDoubted(int moment, Reply doubted, FieldSet fields) implements TimelineEvent {}

  /** Some fields of the struct that this call wrote or read, and nothing of the others. */
  record FieldsShown(int moment, Ioctl ioctl, ShownFields shown) implements TimelineEvent {}

  /** A call that changes nothing of what is modelled. */
  record CallNoted(int moment, Ioctl ioctl) implements TimelineEvent {}

  /** KVM_RUN began. */
  record RunEntered(int moment, RunInput input) implements TimelineEvent {}

  /** KVM_RUN returned to userspace. */
  record RunReturned(int moment, RunResult result) implements TimelineEvent {}

  /**
   * KVM makes an exit of L2 to L1 with reason TRIPLE_FAULT, qualification 0; the model adds this, a
   * tracepoint may confirm it.
   */
  record TripleFaultSynthesized(int moment, FaultCause cause, @Nullable GuestStateCheck failed)
      implements TimelineEvent {}

  /** Hardware entered the guest. */
  record VmEntered(int moment, long rip) implements TimelineEvent {}

  /** Hardware left the guest, L1 or L2. */
  record VmExited(int moment, String reason, String flags, long rip) implements TimelineEvent {}

  /** The exit that hardware just made was one of L2. */
  record L2Exited(int moment, String reason, String flags, long rip) implements TimelineEvent {}

  /** The guest read a VMX capability MSR, and a tracepoint shows what it got. */
  record CapabilityRead(int moment, int msr, long value) implements TimelineEvent {}

  /** KVM emulated an instruction of the guest. */
  record InstructionEmulated(int moment, String text) implements TimelineEvent {}

  /** VMLAUNCH, VMRESUME, RSM or a restore made L2 the running guest. */
  record NestedVmEntered(int moment, long rip, long vmcs, long nestedRip, Answer nestedEpt)
      implements TimelineEvent {}

  /** A VMRUN, or RSM, entered L2 with these intercepts; those of debug registers are not shown. */
  record InterceptsShown(
      int moment, long controlRegisters, long exceptions, long word3, long word4, long word5)
      implements TimelineEvent {}

  /** A nested VM-Enter failed this consistency check. */
  record NestedVmEntryFailed(int moment, String condition) implements TimelineEvent {}

  /** L1 received an exit of L2. */
  record NestedVmExited(int moment, String reason, String flags, long qualification)
      implements TimelineEvent {}

  /** The recorder read the save map in SMRAM that RSM will load. */
  record SmramCaptured(int moment, long smbase, Bytes map) implements TimelineEvent {}

  /** An SMI put the vCPU into SMM. */
  record SmmEntered(int moment, long smbase) implements TimelineEvent {}

  /** RSM took the vCPU out of SMM. */
  record SmmLeft(int moment, long smbase) implements TimelineEvent {}
}
