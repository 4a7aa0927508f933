package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmSegment;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbBits;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.List;

/**
 * Where a segment register lies in struct kvm_sregs and in the VMCB, and how KVM turns the one into
 * the other.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/svm/svm.c, svm_set_segment(), svm_get_segment()}, v6.1.
 */
record SvmSegment(
    SegmentRegister register, int sregs, int selector, int attrib, int limit, int base) {
  private static final long BYTE_LIMIT = 0xfffff;
  private static final int ACCESSED = 1;
  private static final int BUSY = 2;
  private static final int DPL = 3;

  /** Those that the VMCB of the running level holds. */
  static final List<SvmSegment> OF_LEVEL =
      List.of(
          of(SegmentRegister.ES),
          of(SegmentRegister.CS),
          of(SegmentRegister.SS),
          of(SegmentRegister.DS));

  /** Those that are in the VMCB of L1 whichever level runs. */
  static final List<SvmSegment> SHARED =
      List.of(
          of(SegmentRegister.FS),
          of(SegmentRegister.GS),
          of(SegmentRegister.LDTR),
          of(SegmentRegister.TR));

  private static SvmSegment of(SegmentRegister register) {
    int first = Vmcb.selectorOf(register).ordinal();
    VmcbField[] fields = VmcbField.values();
    return new SvmSegment(
        register,
        KvmSregs.LAYOUT.indexOf(SregsFields.uapiName(register) + ".base"),
        Vmcb.indexOf(fields[first]),
        Vmcb.indexOf(fields[first + 1]),
        Vmcb.indexOf(fields[first + 2]),
        Vmcb.indexOf(fields[first + 3]));
  }

  /** The field of struct kvm_sregs that has this distance from the segment's base. */
  private int field(String name) {
    return KvmSregs.LAYOUT.indexOf(SregsFields.uapiName(register) + "." + name);
  }

  /** The attributes that KVM stores for a segment from userspace. */
  static int attributes(Segment given) {
    boolean present = (given.present() & 1) != 0 && given.unusable() == 0;
    return (given.type() & VmcbBits.ATTRIB_TYPE)
        | (given.s() & 1) << VmcbBits.ATTRIB_S_SHIFT
        | (given.dpl() & DPL) << VmcbBits.ATTRIB_DPL_SHIFT
        | (present ? 1 << VmcbBits.ATTRIB_P_SHIFT : 0)
        | (given.avl() & 1) << VmcbBits.ATTRIB_AVL_SHIFT
        | (given.l() & 1) << VmcbBits.ATTRIB_L_SHIFT
        | (given.db() & 1) << VmcbBits.ATTRIB_DB_SHIFT
        | (given.g() & 1) << VmcbBits.ATTRIB_G_SHIFT;
  }

  /** The segment at its place in struct kvm_sregs. */
  Segment given(KvmSregs s) {
    return KvmSegment.read(s.raw(), SregsFields.offset(register));
  }

  /** Loads the register from the VMCB, if {@code certain}; else it is not known any more. */
  void load(Tracked vmcb, Tracked.Edit sregsEdit, boolean certain) {
    int cpl = Vmcb.indexOf(VmcbField.CPL);
    boolean known =
        certain
            && vmcb.knows(selector)
            && vmcb.knows(attrib)
            && vmcb.knows(limit)
            && vmcb.knows(base)
            && (register != SegmentRegister.SS || vmcb.knows(cpl));
    if (!known) {
      FieldSet fields = SregsFields.segment(register);
      for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
        sregsEdit.forget(f);
      }
      return;
    }
    int bits = (int) vmcb.value(attrib);
    boolean present = bit(bits, VmcbBits.ATTRIB_P_SHIFT) != 0;
    boolean stack = register == SegmentRegister.SS;
    long bytes = vmcb.value(limit);
    sregsEdit.set(sregs, vmcb.value(base));
    sregsEdit.set(field("limit"), bytes);
    sregsEdit.set(field("selector"), vmcb.value(selector));
    sregsEdit.set(field("type"), type(bits & VmcbBits.ATTRIB_TYPE, present));
    sregsEdit.set(field("present"), present ? 1 : 0);
    sregsEdit.set(field("dpl"), stack ? vmcb.value(cpl) : bits >>> VmcbBits.ATTRIB_DPL_SHIFT & DPL);
    sregsEdit.set(field("db"), stack && !present ? 0 : bit(bits, VmcbBits.ATTRIB_DB_SHIFT));
    sregsEdit.set(field("s"), bit(bits, VmcbBits.ATTRIB_S_SHIFT));
    sregsEdit.set(field("l"), bit(bits, VmcbBits.ATTRIB_L_SHIFT));
    sregsEdit.set(field("g"), bytes > BYTE_LIMIT ? 1 : 0);
    sregsEdit.set(field("avl"), bit(bits, VmcbBits.ATTRIB_AVL_SHIFT));
    sregsEdit.set(field("unusable"), present ? 0 : 1);
    sregsEdit.set(field("unusable") + 1, 0);
  }

  private static int bit(int bits, int shift) {
    return bits >>> shift & 1;
  }

  /** Types that hardware would have set are reported as set. */
  private int type(int type, boolean present) {
    return switch (register) {
      case TR -> type | BUSY;
      case DS, ES, FS, GS -> present ? type | ACCESSED : type;
      case CS, SS, LDTR -> type;
    };
  }

  /** The register as the VMCB of L1 shows it; its attributes are there already. */
  void store(Tracked from, Tracked.Edit vmcbEdit) {
    vmcbEdit.copy(selector, from, field("selector"));
    vmcbEdit.copy(limit, from, field("limit"));
    vmcbEdit.copy(base, from, sregs);
  }
}
