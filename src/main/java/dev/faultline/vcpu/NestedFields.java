package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;

/** Positions of the fields of nested state in their layouts. */
final class NestedFields {
  static final long INVALID_GPA = ~0L;

  static final int FLAGS = KvmNestedState.HEADER_LAYOUT.indexOf("flags");
  static final int SIZE = KvmNestedState.HEADER_LAYOUT.indexOf("size");
  static final int VMXON_PA = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.vmxon_pa");
  static final int VMCS12_PA = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.vmcs12_pa");
  static final int SMM_FLAGS = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.smm.flags");
  static final int VMX_FLAGS = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.flags");
  static final int DEADLINE = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.preemption_timer_deadline");

  /**
   * The fields that KVM copies from vmcs02 to vmcs12 only on demand.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/vmx/nested.c, sync_vmcs02_to_vmcs12_rare()}, v6.1.
   */
  static final FieldSet LAZY = lazy();

  /** Access rights of L2's segment registers. */
  static final FieldSet ACCESS_RIGHTS = accessRights();

  private NestedFields() {}

  static int offset(int headerField) {
    return KvmNestedState.HEADER_LAYOUT.field(headerField).offset();
  }

  private static FieldSet accessRights() {
    FieldSet set = FieldSet.none(Vmcs12.LAYOUT.count());
    for (VmcsField field : VmcsField.values()) {
      if (field.name().endsWith("_AR_BYTES")) {
        set = set.with(Vmcs12.indexOf(field));
      }
    }
    return set;
  }

  private static FieldSet lazy() {
    FieldSet set = FieldSet.none(Vmcs12.LAYOUT.count());
    for (VmcsField field : VmcsField.values()) {
      String name = field.name();
      boolean segment =
          name.matches(
              "GUEST_(ES|CS|SS|DS|FS|GS|LDTR|TR|GDTR|IDTR)_(SELECTOR|LIMIT|BASE|AR_BYTES)");
      boolean eager = field == VmcsField.GUEST_CS_AR_BYTES || field == VmcsField.GUEST_SS_AR_BYTES;
      if ((segment && !eager) || field == VmcsField.GUEST_PENDING_DBG_EXCEPTIONS) {
        set = set.with(Vmcs12.indexOf(field));
      }
    }
    return set;
  }
}
