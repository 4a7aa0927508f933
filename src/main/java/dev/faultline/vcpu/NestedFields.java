package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.vmx.Vmcs12;

/** Positions of the fields of nested state in their layouts. */
final class NestedFields {
  static final long INVALID_GPA = ~0L;

  static final int FLAGS = KvmNestedState.HEADER_LAYOUT.indexOf("flags");
  static final int SIZE = KvmNestedState.HEADER_LAYOUT.indexOf("size");
  static final int VMXON_PA = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.vmxon_pa");
  static final int VMCS12_PA = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.vmcs12_pa");
  static final int SMM_FLAGS = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.smm.flags");
  static final int VMX_FLAGS = KvmNestedState.HEADER_LAYOUT.indexOf("vmx.flags");
  static final int DEADLINE =
      KvmNestedState.HEADER_LAYOUT.indexOf("vmx.preemption_timer_deadline");

  /** The part of a vmcs12 that KVM_SET_NESTED_STATE reads. */
  static final FieldSet VMCS12_PACKED = packed();

  private NestedFields() {}

  static int offset(int headerField) {
    return KvmNestedState.HEADER_LAYOUT.field(headerField).offset();
  }

  private static FieldSet packed() {
    FieldSet set = FieldSet.none(Vmcs12.LAYOUT.count());
    for (int f = 0; f < Vmcs12.LAYOUT.count(); f++) {
      if (Vmcs12.LAYOUT.field(f).offset() < Vmcs12.SIZE_PACKED) {
        set = set.with(f);
      }
    }
    return set;
  }
}
