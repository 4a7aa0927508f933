package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmXsave;

/** Which fields of an XSAVE area belong to which state component, in the standard format. */
final class XsaveComponents {
  private static final StructLayout LAYOUT = KvmXsave.LAYOUT;
  private static final int HEADER = 512;
  private static final int HEADER_END = 576;
  private static final int YMM_END = 832;
  private static final int XMM = 160;
  private static final int SW_RESERVED = 464;
  private static final int MXCSR = 24;
  private static final int MXCSR_END = 32;
  private static final int X87_FEATURE = 1;
  private static final int SSE_FEATURE = 2;
  private static final int YMM_FEATURE = 4;
  private static final FieldSet X87 = between(0, MXCSR).union(between(MXCSR_END, XMM));
  private static final FieldSet SSE = between(XMM, SW_RESERVED);
  private static final FieldSet YMM = between(HEADER_END, YMM_END);
  private static final FieldSet XSTATE_HEADER = between(HEADER, HEADER_END);

  private XsaveComponents() {}

  private static FieldSet between(int from, int to) {
    FieldSet set = FieldSet.none(LAYOUT.count());
    for (int f = 0; f < LAYOUT.count(); f++) {
      int at = LAYOUT.field(f).offset();
      if (at >= from && at < to) {
        set = set.with(f);
      }
    }
    return set;
  }

  /** Fields that KVM gives back as they were set: those of the components that XSTATE_BV names. */
  static FieldSet certain(long xstateBv) {
    FieldSet set = XSTATE_HEADER;
    if ((xstateBv & X87_FEATURE) != 0) {
      set = set.union(X87);
    }
    if ((xstateBv & SSE_FEATURE) != 0) {
      set = set.union(SSE);
    }
    if ((xstateBv & YMM_FEATURE) != 0) {
      set = set.union(YMM);
    }
    return set;
  }
}
