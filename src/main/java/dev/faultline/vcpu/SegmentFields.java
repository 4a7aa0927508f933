package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmSegment;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.vmx.AccessRights;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.SegmentRegister;
import java.util.List;

/**
 * Where a segment register lives in struct kvm_sregs and in vmcs12, L2's and L1's.
 *
 * @param fields its fields in kvm_sregs, padding included
 * @param offset where they begin
 * @param hostSelector in vmcs12, or {@link #NONE}
 * @param hostBase in vmcs12, or {@link #NONE}
 */
record SegmentFields(
    SegmentRegister register,
    FieldSet fields,
    int offset,
    int base,
    int limit,
    int selector,
    int vmcsSelector,
    int vmcsBase,
    int vmcsLimit,
    int vmcsAr,
    int hostSelector,
    int hostBase) {
  /** Host state has no such field. */
  static final int NONE = -1;

  private static final long LOW_32 = 0xffff_ffffL;
  private static final long LOW_16 = 0xffff;

  /** Where the parts of a segment are in its second and its third word. */
  private static final int SELECTOR_SHIFT = 8 * (KvmSegment.SELECTOR - KvmSegment.LIMIT);

  private static final int TYPE_SHIFT = 8 * (KvmSegment.TYPE - KvmSegment.LIMIT);
  private static final int PRESENT_SHIFT = 8 * (KvmSegment.PRESENT - KvmSegment.LIMIT);
  private static final int DB_SHIFT = 8 * (KvmSegment.DB - KvmSegment.DPL);
  private static final int S_SHIFT = 8 * (KvmSegment.S - KvmSegment.DPL);
  private static final int L_SHIFT = 8 * (KvmSegment.L - KvmSegment.DPL);
  private static final int G_SHIFT = 8 * (KvmSegment.G - KvmSegment.DPL);
  private static final int AVL_SHIFT = 8 * (KvmSegment.AVL - KvmSegment.DPL);
  private static final int UNUSABLE_SHIFT = 8 * (KvmSegment.UNUSABLE - KvmSegment.DPL);

  /** The segment registers in order. */
  static final List<SegmentFields> ALL =
      List.of(SegmentRegister.values()).stream().map(SegmentFields::of).toList();

  private static SegmentFields of(SegmentRegister register) {
    String name = SregsFields.uapiName(register) + ".";
    String vmcs = "GUEST_" + register.name() + "_";
    return new SegmentFields(
        register,
        SregsFields.segment(register),
        SregsFields.offset(register),
        KvmSregs.LAYOUT.indexOf(name + "base"),
        KvmSregs.LAYOUT.indexOf(name + "limit"),
        KvmSregs.LAYOUT.indexOf(name + "selector"),
        Vmcs12.indexOf(VmcsField.valueOf(vmcs + "SELECTOR")),
        Vmcs12.indexOf(VmcsField.valueOf(vmcs + "BASE")),
        Vmcs12.indexOf(VmcsField.valueOf(vmcs + "LIMIT")),
        Vmcs12.indexOf(VmcsField.valueOf(vmcs + "AR_BYTES")),
        register == SegmentRegister.LDTR
            ? NONE
            : Vmcs12.indexOf(VmcsField.valueOf("HOST_" + register.name() + "_SELECTOR")),
        switch (register) {
          case FS -> Vmcs12.indexOf(VmcsField.HOST_FS_BASE);
          case GS -> Vmcs12.indexOf(VmcsField.HOST_GS_BASE);
          case TR -> Vmcs12.indexOf(VmcsField.HOST_TR_BASE);
          default -> NONE;
        });
  }

  /** Writes the segment as the three words of a {@code kvm_segment}; its padding is zero. */
  void write(Tracked.Edit sregs, long baseValue, long limitValue, long selectorValue, int ar) {
    long rights = ar;
    long unusable = (ar & AccessRights.UNUSABLE) != 0 ? 1 : 0;
    long second =
        (limitValue & LOW_32)
            | (selectorValue & LOW_16) << SELECTOR_SHIFT
            | (rights & 15) << TYPE_SHIFT
            | (1 - unusable) << PRESENT_SHIFT;
    long third =
        (rights >> 5 & 3)
            | (rights >> 14 & 1) << DB_SHIFT
            | (rights >> 4 & 1) << S_SHIFT
            | (rights >> 13 & 1) << L_SHIFT
            | (rights >> 15 & 1) << G_SHIFT
            | (rights >> 12 & 1) << AVL_SHIFT
            | unusable << UNUSABLE_SHIFT;
    sregs.set(fields, offset, baseValue, second, third);
  }

  void forget(Tracked.Edit sregs) {
    for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
      sregs.forget(f);
    }
  }

  boolean knownIn(Tracked vmcs12) {
    return vmcs12.knows(vmcsSelector)
        && vmcs12.knows(vmcsBase)
        && vmcs12.knows(vmcsLimit)
        && vmcs12.knows(vmcsAr);
  }
}
