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
import dev.faultline.svm.Vmcb;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.ShownFields;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vmx.Vmcs12;
import org.jspecify.annotations.Nullable;

/** What a recorded KVM_GET_* showed, as an event. */
final class ReadFacts {
  private static final int MSR_DATA = 8;

  private ReadFacts() {}

  static @Nullable TimelineEvent of(Recorded.VcpuCall call, Ioctl ioctl, int m) {
    Bytes raw = payload(call);
    if (call.replyShown() != null) {
      return new TimelineEvent.FieldsShown(m, ioctl, new ShownFields(raw, call.replyShown()));
    }
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

  /** What KVM wrote; the rest of a list of MSRs is as the caller gave it. */
  static Bytes payload(Recorded.VcpuCall call) {
    Bytes raw = call.reply();
    if (raw.isEmpty() || !(call.command() instanceof VcpuCommand.GetMsrs get)) {
      return raw;
    }
    Bytes.Builder shown = get.msrs().raw().toBuilder();
    int entries = Math.min(call.ret(), get.msrs().held());
    for (int i = 0; i < entries; i++) {
      int at = KvmMsrs.HEADER_SIZE + i * KvmMsrs.ENTRY_SIZE + MSR_DATA;
      shown.putBytes(at, raw, at, Long.BYTES);
    }
    return shown.build();
  }

  /** Fields of the recorded payload that the predicted reply does not reach. */
  static long fieldsBeyond(Reply reply, Recorded.VcpuCall call, Ioctl ioctl) {
    if (ioctl != Ioctl.GET_NESTED_STATE || !(reply instanceof Reply.Parts parts)) {
      return 0;
    }
    int present = (call.reply().size() - KvmNestedState.HEADER_SIZE) / Vmcs12.SIZE;
    int missing = Math.max(0, present - (parts.parts().size() - 1));
    boolean vmx = new KvmNestedState(call.reply()).isVmx();
    return (long) missing * (vmx ? Vmcs12.LAYOUT : Vmcb.LAYOUT).values().count();
  }
}
