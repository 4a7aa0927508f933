package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.SegmentRegister;

/**
 * What nested SVM has beside the switches of {@link Nested.Mode}.
 *
 * <p>KVM runs L1 on one VMCB and L2 on another. The registers of the vCPU are those of the level
 * that runs; {@code vmcb} holds what KVM_GET_NESTED_STATE shows while L2 is active: L1's control
 * area for L2, and KVM's VMCB of L1. FS, GS, TR, LDTR and the MSRs of VMLOAD are in the VMCB of L1
 * whichever level runs, so of them only the attributes, which struct kvm_segment does not show
 * whole, are kept here.
 *
 * @param gif the global interrupt flag
 * @param l1Gif the flag that the VMCB of L1 holds while L2 is active
 * @param l1Shadow the interrupt shadow that the VMCB of L1 holds while L2 is active
 * @param header the address of the vmcb12, in the header of the SVM format
 * @param vmcb control area and VMCB of L1, without what the vCPU holds elsewhere; most of it is
 *     known only while L2 is active
 */
public record SvmNested(Answer gif, Answer l1Gif, Answer l1Shadow, Tracked header, Tracked vmcb) {

  /** A vCPU that the recording does not show from its creation, or one of another vendor. */
  public static final SvmNested UNKNOWN =
      new SvmNested(
          Answer.CANNOT_TELL,
          Answer.CANNOT_TELL,
          Answer.CANNOT_TELL,
          Tracked.neverSeen(KvmNestedState.SVM_HEADER_LAYOUT),
          Tracked.neverSeen(Vmcb.LAYOUT));

  private static final long DR7_RESET = 0x400;
  private static final int DATA_AT_RESET = 0x92;
  private static final int LDT_AT_RESET = 0x82;
  private static final int TSS_AT_RESET = 0x83;
  private static final int SIZE = KvmNestedState.SVM_HEADER_LAYOUT.indexOf("size");
  private static final int FORMAT = KvmNestedState.SVM_HEADER_LAYOUT.indexOf("format");

  /** The address of the vmcb12. */
  static final int VMCB_PA = KvmNestedState.SVM_HEADER_LAYOUT.indexOf("svm.vmcb_pa");

  /** A vCPU that was just created: the flag is set, the VMCBs are as KVM first fills them. */
  public static SvmNested fresh(int moment) {
    Vmcb vmcb = Vmcb.zero().with(VmcbField.DR7, DR7_RESET);
    for (SegmentRegister register : SegmentRegister.values()) {
      int attrib =
          switch (register) {
            case LDTR -> LDT_AT_RESET;
            case TR -> TSS_AT_RESET;
            default -> DATA_AT_RESET;
          };
      vmcb = new Vmcb(vmcb.raw().with(attribOffset(register), Short.BYTES, attrib));
    }
    return new SvmNested(
        Answer.YES,
        Answer.YES,
        Answer.NO,
        Tracked.known(KvmNestedState.SVM_HEADER_LAYOUT, emptyHeader(), moment),
        Tracked.neverSeen(Vmcb.LAYOUT).learn(vmcb.raw(), SvmRegisters.KEPT));
  }

  /** The VMCB as KVM_GET_NESTED_STATE shows it while L2 is active, as far as it is known. */
  public static Tracked shownVmcb(Vcpu v) {
    Tracked kept = v.nested().svm().vmcb();
    return v.inGuestMode().isYes() ? SvmRegisters.shownVmcb(v, Tracked.NOBODY) : kept;
  }

  /** The header that KVM reports outside L2, but for the flag. */
  static Bytes emptyHeader() {
    var layout = KvmNestedState.SVM_HEADER_LAYOUT;
    return Bytes.builder(layout.size())
        .put(layout.field(FORMAT).offset(), 2, NestedStateFlags.KVM_STATE_NESTED_FORMAT_SVM)
        .put(layout.field(SIZE).offset(), 4, layout.size())
        .build();
  }

  private static int attribOffset(SegmentRegister register) {
    return Vmcb.selectorOf(register).offset() + Short.BYTES;
  }

  /** Nothing is known of it any more. */
  SvmNested forgotten(int moment) {
    return new SvmNested(
        Answer.CANNOT_TELL,
        Answer.CANNOT_TELL,
        Answer.CANNOT_TELL,
        header.forgetAll(moment),
        vmcb.forgetAll(moment));
  }

  SvmNested withGif(Answer changed, Answer l1Changed) {
    return new SvmNested(changed, l1Changed, l1Shadow, header, vmcb);
  }

  SvmNested withL1Shadow(Answer changed) {
    return new SvmNested(gif, l1Gif, changed, header, vmcb);
  }

  SvmNested withHeader(Tracked changed) {
    return new SvmNested(gif, l1Gif, l1Shadow, changed, vmcb);
  }

  SvmNested withVmcb(Tracked changed) {
    return new SvmNested(gif, l1Gif, l1Shadow, header, changed);
  }
}
