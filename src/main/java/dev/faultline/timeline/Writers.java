package dev.faultline.timeline;

import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Nested;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import org.jspecify.annotations.Nullable;

/** Who wrote a field of a reply last. */
final class Writers {
  private Writers() {}

  static String describe(Vcpu v, Reply reply, int field, MomentIndex index) {
    if (reply instanceof Reply.Msrs msrs && field >= msrs.read()) {
      return "KVM gives back what the caller gave";
    }
    int writer = writer(v, reply, field);
    return "last written by " + index.describe(writer);
  }

  private static int writer(Vcpu v, Reply reply, int field) {
    return switch (reply) {
      case Reply.Struct s -> writer(v, s, field);
      case Reply.Parts p -> partWriter(v, p, field);
      case Reply.Msrs m -> {
        MsrState msrs = v.platform().msrs();
        int at = field < m.read() ? msrs.position(m.index(field)) : -1;
        yield at < 0 ? Tracked.NOBODY : msrs.writerAt(at);
      }
      case Reply.Cpuid _ -> Tracked.NOBODY;
    };
  }

  private static int partWriter(Vcpu v, Reply.Parts parts, int field) {
    Nested nested = v.nested();
    int rest = field;
    for (Reply.Struct part : parts.parts()) {
      if (rest < part.count()) {
        if (v.kernel().isSvm()) {
          return (part.offset() == 0 ? nested.svm().header() : nested.svm().vmcb()).writer(rest);
        }
        if (part.offset() == 0) {
          return nested.header().writer(rest);
        }
        return part.prefix().isEmpty()
            ? nested.vmcs12().writer(rest)
            : nested.shadowVmcs12().writer(rest);
      }
      rest -= part.count();
    }
    return Tracked.NOBODY;
  }

  private static int writer(Vcpu v, Reply.Struct s, int field) {
    Tracked state = group(v, s.layout().name());
    return state == null || field >= state.layout().count() ? Tracked.NOBODY : state.writer(field);
  }

  /** The group of the vCPU's state that a struct shows. */
  static @Nullable Tracked group(Vcpu v, String struct) {
    return switch (struct) {
      case "kvm_regs" -> v.registers().regs();
      case "kvm_sregs", "kvm_sregs2" -> v.registers().sregs();
      case "kvm_vcpu_events" -> v.events();
      case "kvm_debugregs" -> v.registers().debugregs();
      case "kvm_xcrs" -> v.registers().xcrs();
      case "kvm_xsave" -> v.registers().xsave();
      case "kvm_lapic_state" -> v.platform().lapic();
      case "kvm_mp_state" -> v.platform().mpState();
      default -> null;
    };
  }
}
