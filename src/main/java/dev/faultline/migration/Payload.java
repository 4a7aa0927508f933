package dev.faultline.migration;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.InvariantViolation;
import dev.faultline.StructLayout;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import org.jspecify.annotations.Nullable;

/** How what a KVM_GET_* showed becomes the payload of the KVM_SET_* that puts it back. */
final class Payload {
  private static final FieldSet SREGS =
      KvmSregs.LAYOUT.of("cr0", "cr4", "efer", "apic_base", "cs.l");
  private static final FieldSet SREGS2 =
      KvmSregs2.LAYOUT.of("cr0", "cr4", "efer", "apic_base", "cs.l", "flags");
  private static final FieldSet EVENTS =
      KvmVcpuEvents.LAYOUT.of(
          "exception.injected", "exception.pending", "flags", "smi.smm", "smi.pending");
  private static final FieldSet DEBUGREGS = KvmDebugregs.LAYOUT.of("dr6", "dr7");
  private static final FieldSet XSAVE = KvmXsave.LAYOUT.of("xstate_bv");

  private Payload() {}

  /** The call that reads what this one writes. */
  static Ioctl readFor(Ioctl write, SavedState saved) {
    return switch (write) {
      case SET_REGS -> Ioctl.GET_REGS;
      case SET_SREGS -> Ioctl.GET_SREGS;
      case SET_SREGS2 -> Ioctl.GET_SREGS2;
      case SET_VCPU_EVENTS -> Ioctl.GET_VCPU_EVENTS;
      case SET_NESTED_STATE -> Ioctl.GET_NESTED_STATE;
      case SET_MP_STATE -> Ioctl.GET_MP_STATE;
      case SET_DEBUGREGS -> Ioctl.GET_DEBUGREGS;
      case SET_XCRS -> Ioctl.GET_XCRS;
      case SET_XSAVE -> saved.reply(Ioctl.GET_XSAVE2) != null ? Ioctl.GET_XSAVE2 : Ioctl.GET_XSAVE;
      case SET_LAPIC -> Ioctl.GET_LAPIC;
      case SET_MSRS -> Ioctl.GET_MSRS;
      case SET_CPUID2 -> Ioctl.GET_CPUID2;
      case SET_TSC_KHZ -> Ioctl.GET_TSC_KHZ;
      case SET_FPU -> Ioctl.GET_FPU;
      case SET_CLOCK -> Ioctl.GET_CLOCK;
      case SET_IRQCHIP -> Ioctl.GET_IRQCHIP;
      case SET_PIT2 -> Ioctl.GET_PIT2;
      case SET_DEVICE_ATTR -> Ioctl.GET_DEVICE_ATTR;
      default -> write;
    };
  }

  /** The call with what was read, or null when it is not one that a vCPU's state follows from. */
  static @Nullable VcpuCommand command(Ioctl write, Reply reply, int moment) {
    return switch (reply) {
      case Reply.Struct s -> struct(write, s.bytes(), moment);
      case Reply.Parts p ->
          new VcpuCommand.SetNestedState(moment, new KvmNestedState(Replies.bytes(p)));
      case Reply.Msrs m -> new VcpuCommand.SetMsrs(moment, m.asked());
      case Reply.Cpuid c -> new VcpuCommand.SetCpuid2(moment, table(c));
    };
  }

  private static KvmCpuid2 table(Reply.Cpuid c) {
    return c.table();
  }

  private static @Nullable VcpuCommand struct(Ioctl write, Bytes bytes, int m) {
    return switch (write) {
      case SET_REGS -> new VcpuCommand.SetRegs(m, new KvmRegs(bytes));
      case SET_SREGS -> new VcpuCommand.SetSregs(m, new KvmSregs(bytes));
      case SET_SREGS2 -> new VcpuCommand.SetSregs2(m, new KvmSregs2(bytes));
      case SET_VCPU_EVENTS -> new VcpuCommand.SetVcpuEvents(m, new KvmVcpuEvents(bytes));
      case SET_MP_STATE -> new VcpuCommand.SetMpState(m, new KvmMpState(bytes));
      case SET_DEBUGREGS -> new VcpuCommand.SetDebugregs(m, new KvmDebugregs(bytes));
      case SET_XCRS -> new VcpuCommand.SetXcrs(m, new KvmXcrs(bytes));
      case SET_XSAVE -> new VcpuCommand.SetXsave(m, new KvmXsave(bytes));
      case SET_LAPIC -> new VcpuCommand.SetLapic(m, new KvmLapicState(bytes));
      case SET_NESTED_STATE -> new VcpuCommand.SetNestedState(m, new KvmNestedState(bytes));
      default -> null;
    };
  }

  /** What the destination would show before the call. */
  static Reply.Struct there(Vcpu v, Ioctl write) {
    VcpuCommand read =
        switch (write) {
          case SET_REGS -> new VcpuCommand.GetRegs(0);
          case SET_SREGS -> new VcpuCommand.GetSregs(0);
          case SET_SREGS2 -> new VcpuCommand.GetSregs2(0);
          case SET_DEBUGREGS -> new VcpuCommand.GetDebugregs(0);
          case SET_LAPIC -> new VcpuCommand.GetLapic(0);
          default -> new VcpuCommand.GetVcpuEvents(0);
        };
    if (VcpuModel.decide(v, read).reply() instanceof Reply.Struct s) {
      return s;
    }
    throw new InvariantViolation("nothing to keep for " + write.uapiName());
  }

  /** The fields of a payload on which it hangs whether KVM accepts it. */
  static FieldSet decisive(Ioctl write, StructLayout layout) {
    return switch (write) {
      case SET_SREGS -> SREGS;
      case SET_SREGS2 -> SREGS2;
      case SET_VCPU_EVENTS -> EVENTS;
      case SET_DEBUGREGS -> DEBUGREGS;
      case SET_XSAVE -> XSAVE;
      case SET_XCRS, SET_MP_STATE -> layout.values();
      default -> layout.none();
    };
  }
}
