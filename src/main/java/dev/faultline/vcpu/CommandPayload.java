package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmFpu;
import dev.faultline.kvm.KvmInterrupt;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMceSetup;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;

/**
 * Makes commands of an ioctl's number, argument and payload.
 *
 * <p><em>Errors:</em> a payload that is not what its ioctl demands is a {@link FormatException}.
 */
public final class CommandPayload {
  private static final int NESTED_SIZE_OFFSET = 4;

  private CommandPayload() {}

  /**
   * An ioctl on a vCPU.
   *
   * @param in what the argument points to before the call; of KVM_RUN the shared page
   */
  public static VcpuCommand vcpu(int moment, Ioctl ioctl, long arg, Bytes in) {
    return ioctl == Ioctl.RUN
        ? new VcpuCommand.Run(moment, new RunInput(arg, new KvmRun(in)))
        : vcpu(moment, ioctl, arg, in, in);
  }

  /**
   * An ioctl on a vCPU other than KVM_RUN.
   *
   * @param pointedTo what the argument points to, where that was seen after the call only
   */
  public static VcpuCommand vcpu(int m, Ioctl ioctl, long arg, Bytes in, Bytes pointedTo) {
    return switch (ioctl) {
      case SET_REGS -> new VcpuCommand.SetRegs(m, new KvmRegs(in));
      case GET_REGS -> new VcpuCommand.GetRegs(m);
      case SET_SREGS -> new VcpuCommand.SetSregs(m, new KvmSregs(in));
      case GET_SREGS -> new VcpuCommand.GetSregs(m);
      case SET_SREGS2 -> new VcpuCommand.SetSregs2(m, new KvmSregs2(in));
      case GET_SREGS2 -> new VcpuCommand.GetSregs2(m);
      case SET_VCPU_EVENTS -> new VcpuCommand.SetVcpuEvents(m, new KvmVcpuEvents(in));
      case GET_VCPU_EVENTS -> new VcpuCommand.GetVcpuEvents(m);
      case SET_NESTED_STATE -> new VcpuCommand.SetNestedState(m, new KvmNestedState(in));
      case GET_NESTED_STATE -> new VcpuCommand.GetNestedState(m, nestedSize(pointedTo));
      case SET_MP_STATE -> new VcpuCommand.SetMpState(m, new KvmMpState(in));
      case GET_MP_STATE -> new VcpuCommand.GetMpState(m);
      case SET_DEBUGREGS -> new VcpuCommand.SetDebugregs(m, new KvmDebugregs(in));
      case GET_DEBUGREGS -> new VcpuCommand.GetDebugregs(m);
      case SET_XCRS -> new VcpuCommand.SetXcrs(m, new KvmXcrs(in));
      case GET_XCRS -> new VcpuCommand.GetXcrs(m);
      case SET_XSAVE -> new VcpuCommand.SetXsave(m, new KvmXsave(in));
      case GET_XSAVE -> new VcpuCommand.GetXsave(m, false);
      case GET_XSAVE2 -> new VcpuCommand.GetXsave(m, true);
      case SET_FPU -> new VcpuCommand.SetFpu(m, new KvmFpu(in));
      case GET_FPU -> new VcpuCommand.GetFpu(m);
      case SET_LAPIC -> new VcpuCommand.SetLapic(m, new KvmLapicState(in));
      case GET_LAPIC -> new VcpuCommand.GetLapic(m);
      case SET_MSRS -> new VcpuCommand.SetMsrs(m, new KvmMsrs(in));
      case GET_MSRS -> new VcpuCommand.GetMsrs(m, new KvmMsrs(in));
      case SET_CPUID2 -> new VcpuCommand.SetCpuid2(m, new KvmCpuid2(in));
      case GET_CPUID2 -> new VcpuCommand.GetCpuid2(m, capacity(in));
      case SET_TSC_KHZ -> new VcpuCommand.SetTscKhz(m, arg);
      case GET_TSC_KHZ -> new VcpuCommand.GetTscKhz(m);
      case KVMCLOCK_CTRL -> new VcpuCommand.KvmclockCtrl(m);
      case SMI -> new VcpuCommand.Smi(m);
      case NMI -> new VcpuCommand.Nmi(m);
      case INTERRUPT -> new VcpuCommand.Interrupt(m, new KvmInterrupt(in).irq());
      case ENABLE_CAP -> new VcpuCommand.EnableCap(m, new KvmEnableCap(in));
      case X86_SETUP_MCE -> new VcpuCommand.SetupMce(m, new KvmMceSetup(in).mcgCap());
      default -> new VcpuCommand.Other(m, ioctl, arg, pointedTo);
    };
  }

  /** An ioctl on a VM. */
  public static VmCommand vm(int moment, Ioctl ioctl, long arg, Bytes in) {
    return switch (ioctl) {
      case CREATE_VCPU -> new VmCommand.CreateVcpu(moment, (int) arg);
      case CREATE_IRQCHIP -> new VmCommand.CreateIrqchip(moment);
      case SET_BOOT_CPU_ID -> new VmCommand.SetBootCpuId(moment, (int) arg);
      case ENABLE_CAP -> new VmCommand.EnableCap(moment, new KvmEnableCap(in));
      case SET_USER_MEMORY_REGION ->
          new VmCommand.SetMemoryRegion(moment, new KvmUserspaceMemoryRegion(in));
      default -> new VmCommand.Other(moment, ioctl, arg, in);
    };
  }

  /** How large the caller says its buffer is: the kernel reads it before it writes. */
  private static long nestedSize(Bytes in) {
    return in.size() < NESTED_SIZE_OFFSET + Integer.BYTES ? 0 : in.u32(NESTED_SIZE_OFFSET);
  }

  private static int capacity(Bytes in) {
    return in.size() < Integer.BYTES ? 0 : in.i32(0);
  }
}
