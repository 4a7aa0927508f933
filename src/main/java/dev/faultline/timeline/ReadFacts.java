package dev.faultline.timeline;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
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
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vmx.Vmcs12;
import org.jspecify.annotations.Nullable;

/** What a recorded KVM_GET_* showed, as an event. */
final class ReadFacts {
  private ReadFacts() {}

  static @Nullable TimelineEvent of(Recorded.VcpuCall call, Ioctl ioctl, int m) {
    Bytes raw = call.reply();
    return switch (ioctl) {
      case GET_REGS -> new TimelineEvent.RegsRead(m, new KvmRegs(raw));
      case GET_SREGS -> new TimelineEvent.SregsRead(m, new KvmSregs(raw));
      case GET_SREGS2 -> new TimelineEvent.Sregs2Read(m, new KvmSregs2(raw));
      case GET_VCPU_EVENTS -> new TimelineEvent.VcpuEventsRead(m, new KvmVcpuEvents(raw));
      case GET_NESTED_STATE -> new TimelineEvent.NestedStateRead(m, new KvmNestedState(raw));
      case GET_MP_STATE -> new TimelineEvent.MpStateRead(m, new KvmMpState(raw));
      case GET_DEBUGREGS -> new TimelineEvent.DebugregsRead(m, new KvmDebugregs(raw));
      case GET_XCRS -> new TimelineEvent.XcrsRead(m, new KvmXcrs(raw));
      case GET_XSAVE, GET_XSAVE2 -> new TimelineEvent.XsaveRead(m, new KvmXsave(raw));
      case GET_LAPIC -> new TimelineEvent.LapicRead(m, new KvmLapicState(raw));
      case GET_MSRS -> new TimelineEvent.MsrsRead(m, new KvmMsrs(raw), call.ret());
      case GET_CPUID2 -> new TimelineEvent.CpuidRead(m, new KvmCpuid2(raw));
      default -> null;
    };
  }

  /** Fields of the recorded payload that the predicted reply does not reach. */
  static long fieldsBeyond(Reply reply, Recorded.VcpuCall call, Ioctl ioctl) {
    if (ioctl != Ioctl.GET_NESTED_STATE || !(reply instanceof Reply.Parts parts)) {
      return 0;
    }
    int present = (call.reply().size() - KvmNestedState.HEADER_SIZE) / Vmcs12.SIZE;
    int missing = Math.max(0, present - (parts.parts().size() - 1));
    return (long) missing * Vmcs12.LAYOUT.values().count();
  }
}
