package dev.faultline.migration;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import java.util.ArrayList;
import java.util.List;

/** KVM_SET_NESTED_STATE of a state that a vCPU was in. */
final class NestedRestore {
  /** No page: there is no VMXON region, or no current VMCS. */
  static final long NO_ADDRESS = ~0L;

  private NestedRestore() {}

  /** Whether L2 is active. */
  static boolean guestMode(KvmNestedState s) {
    return (s.flags() & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) != 0;
  }

  /** What KVM_SET_NESTED_STATE does when it accepts a state that a vCPU was in. */
  static List<TimelineEvent> accepted(KvmNestedState s, int moment) {
    List<TimelineEvent> events = new ArrayList<>();
    if (s.vmxonPa() == NO_ADDRESS) {
      return events;
    }
    events.add(new TimelineEvent.VmxonSet(moment, s.vmxonPa()));
    Vmcs12 vmcs12 = s.vmcs12();
    if (s.vmcs12Pa() == NO_ADDRESS || vmcs12 == null) {
      return events;
    }
    events.add(new TimelineEvent.CurrentVmcsSet(moment, s.vmcs12Pa()));
    if ((s.smmFlags() & NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON) != 0) {
      boolean l2 = (s.smmFlags() & NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE) != 0;
      events.add(new TimelineEvent.SmmNestingSet(moment, l2));
    }
    events.add(new TimelineEvent.Vmcs12Loaded(moment, vmcs12));
    Vmcs12 shadow = s.shadowVmcs12();
    if (shadow != null) {
      events.add(new TimelineEvent.ShadowVmcs12Loaded(moment, shadow));
    }
    if (guestMode(s)) {
      events.add(
          new TimelineEvent.NestedEntryRestored(
              moment,
              (s.flags() & NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING) != 0,
              (s.flags() & NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING) != 0,
              (s.vmxFlags() & NestedStateFlags.KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE) != 0,
              s.preemptionTimerDeadline()));
    }
    return events;
  }

  /** Whether a register of L2 is among the fields of vmcs12 that are not known. */
  static boolean hidesRegisters(Reply.Parts p) {
    return hides(p, REGISTERS);
  }

  /** Whether it is not known whether vmcs12 enters L2 in long mode. */
  static boolean hidesControls(Reply.Parts p) {
    return hides(p, CONTROLS);
  }

  private static boolean hides(Reply.Parts p, FieldSet fields) {
    for (Reply.Struct part : p.parts()) {
      if (part.layout().equals(Vmcs12.LAYOUT) && part.prefix().isEmpty()) {
        return fields.minus(part.knownFields()).next(0) >= 0;
      }
    }
    return false;
  }

  private static final FieldSet CONTROLS =
      Vmcs12.LAYOUT.none().with(Vmcs12.indexOf(VmcsField.VM_ENTRY_CONTROLS));

  private static final FieldSet REGISTERS = registers();

  private static FieldSet registers() {
    FieldSet set = Vmcs12.LAYOUT.none();
    for (VmcsField field : VmcsField.values()) {
      String name = field.name();
      boolean segment = name.matches("GUEST_(ES|CS|SS|DS|FS|GS|LDTR|TR|GDTR|IDTR)_.*");
      if (segment || name.matches("GUEST_(CR[034]|RSP|RIP|RFLAGS)")) {
        set = set.with(Vmcs12.indexOf(field));
      }
    }
    return set;
  }
}
