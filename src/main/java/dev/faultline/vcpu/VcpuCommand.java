package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmExit;
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
import org.jspecify.annotations.Nullable;

/** An ioctl on a vCPU, with its payload as the caller gave it. */
public sealed interface VcpuCommand {
  /** The position in the timeline at which the call is made. */
  int moment();

  /** KVM_SET_REGS. */
  record SetRegs(int moment, KvmRegs regs) implements VcpuCommand {}

  /** KVM_GET_REGS. */
  record GetRegs(int moment) implements VcpuCommand {}

  /** KVM_SET_SREGS. */
  record SetSregs(int moment, KvmSregs sregs) implements VcpuCommand {}

  /** KVM_GET_SREGS. */
  record GetSregs(int moment) implements VcpuCommand {}

  /** KVM_SET_SREGS2. */
  record SetSregs2(int moment, KvmSregs2 sregs) implements VcpuCommand {}

  /** KVM_GET_SREGS2. */
  record GetSregs2(int moment) implements VcpuCommand {}

  /** KVM_SET_VCPU_EVENTS. */
  record SetVcpuEvents(int moment, KvmVcpuEvents events) implements VcpuCommand {}

  /** KVM_GET_VCPU_EVENTS. */
  record GetVcpuEvents(int moment) implements VcpuCommand {}

  /** KVM_SET_NESTED_STATE. */
  record SetNestedState(int moment, KvmNestedState state) implements VcpuCommand {}

  /** KVM_GET_NESTED_STATE with the size that the caller's buffer claims. */
  record GetNestedState(int moment, long bufferSize) implements VcpuCommand {}

  /** KVM_SET_MP_STATE. */
  record SetMpState(int moment, KvmMpState state) implements VcpuCommand {}

  /** KVM_GET_MP_STATE. */
  record GetMpState(int moment) implements VcpuCommand {}

  /** KVM_SET_DEBUGREGS. */
  record SetDebugregs(int moment, KvmDebugregs debugregs) implements VcpuCommand {}

  /** KVM_GET_DEBUGREGS. */
  record GetDebugregs(int moment) implements VcpuCommand {}

  /** KVM_SET_XCRS. */
  record SetXcrs(int moment, KvmXcrs xcrs) implements VcpuCommand {}

  /** KVM_GET_XCRS. */
  record GetXcrs(int moment) implements VcpuCommand {}

  /** KVM_SET_XSAVE. */
  record SetXsave(int moment, KvmXsave xsave) implements VcpuCommand {}

  /** KVM_GET_XSAVE, or KVM_GET_XSAVE2 when resizable. */
  record GetXsave(int moment, boolean resizable) implements VcpuCommand {}

  /** KVM_SET_FPU. */
  record SetFpu(int moment, KvmFpu fpu) implements VcpuCommand {}

  /** KVM_GET_FPU. */
  record GetFpu(int moment) implements VcpuCommand {}

  /** KVM_SET_LAPIC. */
  record SetLapic(int moment, KvmLapicState lapic) implements VcpuCommand {}

  /** KVM_GET_LAPIC. */
  record GetLapic(int moment) implements VcpuCommand {}

  /** KVM_SET_MSRS. */
  record SetMsrs(int moment, KvmMsrs msrs) implements VcpuCommand {}

  /** KVM_GET_MSRS: the indexes that the caller asks for. */
  record GetMsrs(int moment, KvmMsrs msrs) implements VcpuCommand {}

  /** KVM_SET_CPUID2. */
  record SetCpuid2(int moment, KvmCpuid2 cpuid) implements VcpuCommand {}

  /** KVM_GET_CPUID2 with room for so many entries. */
  record GetCpuid2(int moment, int capacity) implements VcpuCommand {}

  /** KVM_SET_TSC_KHZ. */
  record SetTscKhz(int moment, long khz) implements VcpuCommand {}

  /** KVM_GET_TSC_KHZ. */
  record GetTscKhz(int moment) implements VcpuCommand {}

  /** KVM_KVMCLOCK_CTRL. */
  record KvmclockCtrl(int moment) implements VcpuCommand {}

  /** KVM_SMI. */
  record Smi(int moment) implements VcpuCommand {}

  /** KVM_NMI. */
  record Nmi(int moment) implements VcpuCommand {}

  /** KVM_INTERRUPT. */
  record Interrupt(int moment, long irq) implements VcpuCommand {}

  /** KVM_ENABLE_CAP on the vCPU. */
  record EnableCap(int moment, KvmEnableCap cap) implements VcpuCommand {}

  /** KVM_RUN. */
  record Run(int moment, RunInput input) implements VcpuCommand {}

  /** KVM_X86_SETUP_MCE. */
  record SetupMce(int moment, long mcgCap) implements VcpuCommand {}

  /** An ioctl whose argument does not point to readable memory. */
  record BadPointer(int moment, Ioctl ioctl) implements VcpuCommand {}

  /**
   * An ioctl whose payload the source does not show: nobody knows what it wrote.
   *
   * @param exit for KVM_RUN, why it came back, where the source tells that much; else null
   * @param shown the fields that the source does show of what userspace wrote; null if none
   */
  record Unseen(int moment, Ioctl ioctl, @Nullable KvmExit exit, @Nullable ShownFields shown)
      implements VcpuCommand {}

  /**
   * Any other ioctl of a vCPU.
   *
   * @param arg the argument, where it is no pointer
   * @param payload what the argument points to
   */
  record Other(int moment, Ioctl ioctl, long arg, Bytes payload) implements VcpuCommand {}
}
