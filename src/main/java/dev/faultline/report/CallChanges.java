package dev.faultline.report;

import dev.faultline.Bytes;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.SvmNested;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** What the payload of a KVM_SET_* or KVM_GET_* tells that is not already known of the vCPU. */
final class CallChanges {
  /** Fields that a reader looks for first. */
  private static final List<String> FIRST =
      List.of("cr0", "cr4", "efer", "rip", "rsp", "rflags", "flags");

  private final List<FieldChange> changes = new ArrayList<>();

  private CallChanges() {}

  /**
   * The fields in which the payload differs from what is known.
   *
   * @param before the vCPU before the call, null if it was not yet seen
   * @param ret what the call returned; of a list of MSRs only so many count
   */
  static List<FieldChange> of(@Nullable Vcpu before, CallPayload payload, int ret) {
    Ioctl ioctl = payload.ioctl();
    CallChanges found = new CallChanges();
    if (ioctl != null && before != null) {
      switch (ioctl) {
        case SET_MSRS -> found.msrs(before.platform().msrs(), payload.in(), ret);
        case GET_MSRS -> found.msrs(before.platform().msrs(), payload.out(), ret);
        case SET_NESTED_STATE -> found.nested(before, payload.in());
        case GET_NESTED_STATE -> found.nested(before, payload.out());
        default -> found.struct(before, ioctl, payload);
      }
    }
    found.changes.sort(Comparator.comparingInt(CallChanges::rank));
    return List.copyOf(found.changes);
  }

  private static int rank(FieldChange change) {
    int rank = FIRST.indexOf(change.field());
    return rank < 0 ? FIRST.size() : rank;
  }

  private void struct(Vcpu v, Ioctl ioctl, CallPayload payload) {
    Tracked group = group(v, ioctl);
    if (group == null) {
      return;
    }
    if (ioctl == Ioctl.SET_VCPU_EVENTS) {
      if (payload.in().size() == KvmVcpuEvents.SIZE) {
        int flags = new KvmVcpuEvents(payload.in()).flags();
        compare(group, payload.in(), 0, field -> counts(field, flags));
      }
    } else if (payload.in().isEmpty()) {
      compare(group, payload.out(), 0, _ -> true);
    } else {
      compare(group, payload.in(), 0, _ -> true);
    }
  }

  private static @Nullable Tracked group(Vcpu v, Ioctl ioctl) {
    return switch (ioctl) {
      case SET_REGS, GET_REGS -> v.registers().regs();
      case SET_SREGS, GET_SREGS, SET_SREGS2, GET_SREGS2 -> v.registers().sregs();
      case SET_VCPU_EVENTS, GET_VCPU_EVENTS -> v.events();
      case SET_DEBUGREGS, GET_DEBUGREGS -> v.registers().debugregs();
      case SET_XCRS, GET_XCRS -> v.registers().xcrs();
      case SET_XSAVE, GET_XSAVE, GET_XSAVE2 -> v.registers().xsave();
      case SET_LAPIC, GET_LAPIC -> v.platform().lapic();
      case SET_MP_STATE, GET_MP_STATE -> v.platform().mpState();
      default -> null;
    };
  }

  /** Whether KVM_SET_VCPU_EVENTS with these flags looks at the field. */
  private static boolean counts(String field, int flags) {
    int needed =
        switch (field) {
          case "nmi.pending" -> VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING;
          case "sipi_vector" -> VcpuEventFlags.KVM_VCPUEVENT_VALID_SIPI_VECTOR;
          case "interrupt.shadow" -> VcpuEventFlags.KVM_VCPUEVENT_VALID_SHADOW;
          case "triple_fault.pending" -> VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
          case "exception.pending", "exception_has_payload", "exception_payload" ->
              VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD;
          default -> field.startsWith("smi.") ? VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM : 0;
        };
    return !field.equals("flags") && (flags & needed) == needed;
  }

  private void nested(Vcpu v, Bytes payload) {
    if (v.kernel().isSvm()) {
      SvmNested svm = v.nested().svm();
      compare(svm.header(), payload, 0, field -> !field.equals("size"));
      compare(SvmNested.shownVmcb(v), payload, KvmNestedState.HEADER_SIZE, _ -> true);
      return;
    }
    compare(v.nested().header(), payload, 0, field -> !field.equals("size"));
    compare(v.nested().vmcs12(), payload, KvmNestedState.HEADER_SIZE, _ -> true);
  }

  private void compare(Tracked group, Bytes payload, int offset, Predicate<String> counts) {
    StructLayout layout = group.layout();
    for (int f = 0; f < layout.count(); f++) {
      StructField field = layout.field(f);
      if (!field.isValue() || offset + field.end() > payload.size() || !counts.test(field.name())) {
        continue;
      }
      add(
          layout.name(),
          field.name(),
          group.value(f),
          Knowledge.of(group.knows(f), group.seen().has(f)),
          payload.uint(offset + field.offset(), field.width()));
    }
  }

  private void msrs(MsrState msrs, Bytes payload, int processed) {
    if (!(CallWords.decode(Ioctl.SET_MSRS, payload) instanceof KvmMsrs list)) {
      return;
    }
    for (int i = 0; i < Math.min(list.held(), processed); i++) {
      int at = msrs.position(list.index(i));
      add(
          "kvm_msrs",
          Msr.name(list.index(i)),
          at < 0 ? 0 : msrs.valueAt(at),
          Knowledge.of(at >= 0 && msrs.knowsAt(at), at >= 0),
          list.data(i));
    }
  }

  private void add(String struct, String field, long before, Knowledge known, long after) {
    boolean same = known == Knowledge.NEVER ? after == 0 : before == after;
    if (!same) {
      changes.add(new FieldChange(struct, field, before, known, after));
    }
  }
}
