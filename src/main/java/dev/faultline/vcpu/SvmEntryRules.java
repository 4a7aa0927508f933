package dev.faultline.vcpu;

import dev.faultline.svm.Intercept;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbBits;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Rflags;

/**
 * Whether KVM accepts a VMCB from userspace: L1's control area, the current CR0, and the registers
 * that L1 had.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/svm/nested.c, __nested_vmcb_check_controls(),
 * __nested_vmcb_check_save(), svm_set_nested_state()}, v6.1.
 */
final class SvmEntryRules {
  private static final long PAGE = 0xfff;
  private static final long MSR_BITMAP_SIZE = 2 * 4096;
  private static final long IO_BITMAP_SIZE = 3 * 4096;
  private static final String CPUID = "the guest's CPUID";

  private final Vcpu v;
  private final Vmcb vmcb;
  private final SvmWalk walk;

  private SvmEntryRules(Vcpu v, Vmcb vmcb, SvmWalk walk) {
    this.v = v;
    this.vmcb = vmcb;
    this.walk = walk;
  }

  /** True when a check certainly fails; the walk then names it. */
  static boolean refuse(Vcpu v, Vmcb vmcb, SvmWalk walk) {
    SvmEntryRules rules = new SvmEntryRules(v, vmcb, walk);
    return rules.controls() || rules.l2Cr0() || rules.l1Mode() || rules.l1Save();
  }

  private boolean controls() {
    boolean nestedPaging = (vmcb.get(VmcbField.NESTED_CTL) & VmcbBits.NP_ENABLE) != 0;
    return walk.refuse(!vmcb.intercepts(Intercept.VMRUN), SvmNestedCheck.SVM_VMRUN_INTERCEPT)
        || walk.refuse(vmcb.get(VmcbField.ASID) == 0, SvmNestedCheck.SVM_ASID)
        || walk.refuse(
            Answer.of(nestedPaging).and(v.kernel().ept().not()),
            SvmNestedCheck.SVM_NESTED_PAGING,
            "whether KVM uses nested paging")
        || walk.refuse(
            Answer.of(nestedPaging).and(GuestCpuid.illegalGpa(v, vmcb.get(VmcbField.NESTED_CR3))),
            SvmNestedCheck.SVM_NESTED_CR3,
            CPUID)
        || walk.refuse(
            illegalBitmap(vmcb.get(VmcbField.MSRPM_BASE_PA), MSR_BITMAP_SIZE),
            SvmNestedCheck.SVM_MSR_BITMAP,
            CPUID)
        || walk.refuse(
            illegalBitmap(vmcb.get(VmcbField.IOPM_BASE_PA), IO_BITMAP_SIZE),
            SvmNestedCheck.SVM_IO_BITMAP,
            CPUID);
  }

  /** The low bits of a bitmap's address do not count. */
  private Answer illegalBitmap(long address, long size) {
    long base = address & ~PAGE;
    return GuestCpuid.illegalGpa(v, base).or(GuestCpuid.illegalGpa(v, base + size - 1));
  }

  private boolean l2Cr0() {
    Tracked sregs = v.registers().sregs();
    Answer nw = sregs.hasAny(SregsFields.CR0, Cr0.NW);
    Answer cd = sregs.hasAny(SregsFields.CR0, Cr0.CD);
    return walk.refuse(nw.and(cd.not()), SvmNestedCheck.SVM_L2_CR0, "the current CR0");
  }

  private boolean l1Mode() {
    long cr0 = vmcb.get(VmcbField.CR0);
    return walk.refuse((cr0 & Cr0.PG) == 0, SvmNestedCheck.SVM_L1_CR0_PG)
        || walk.refuse((cr0 & Cr0.PE) == 0, SvmNestedCheck.SVM_L1_CR0_PE)
        || walk.refuse(
            (vmcb.get(VmcbField.RFLAGS) & Rflags.VM) != 0, SvmNestedCheck.SVM_L1_RFLAGS_VM);
  }

  private boolean l1Save() {
    long cr0 = vmcb.get(VmcbField.CR0);
    long efer = vmcb.get(VmcbField.EFER);
    return walk.refuse((efer & Efer.SVME) == 0, SvmNestedCheck.SVM_L1_EFER_SVME)
        || walk.refuse((cr0 & Cr0.NW) != 0 && (cr0 & Cr0.CD) == 0, SvmNestedCheck.SVM_L1_CR0_NW)
        || walk.refuse(cr0 >>> Integer.SIZE != 0, SvmNestedCheck.SVM_L1_CR0_HIGH)
        || walk.refuse(vmcb.get(VmcbField.DR6) >>> Integer.SIZE != 0, SvmNestedCheck.SVM_L1_DR6)
        || walk.refuse(vmcb.get(VmcbField.DR7) >>> Integer.SIZE != 0, SvmNestedCheck.SVM_L1_DR7)
        || ((efer & Efer.LME) != 0 && longMode())
        || walk.refuse(
            ControlRegisters.cr4HostReserved(v, vmcb.get(VmcbField.CR4)),
            SvmNestedCheck.SVM_L1_CR4,
            "the host's KVM_GET_SUPPORTED_CPUID")
        || walk.refuse(
            ControlRegisters.cr4GuestReserved(v, vmcb.get(VmcbField.CR4)),
            SvmNestedCheck.SVM_L1_CR4,
            CPUID)
        || walk.refuse(
            ControlRegisters.eferValid(v, efer).not(), SvmNestedCheck.SVM_L1_EFER, CPUID);
  }

  private boolean longMode() {
    long attrib = vmcb.get(VmcbField.CS_ATTRIB);
    boolean longCode = (attrib >>> VmcbBits.ATTRIB_L_SHIFT & 1) != 0;
    boolean wide = (attrib >>> VmcbBits.ATTRIB_DB_SHIFT & 1) != 0;
    return walk.refuse(
            (vmcb.get(VmcbField.CR4) & Cr4.PAE) == 0, SvmNestedCheck.SVM_L1_LONG_MODE_PAE)
        || walk.refuse(
            GuestCpuid.illegalGpa(v, vmcb.get(VmcbField.CR3)),
            SvmNestedCheck.SVM_L1_LONG_MODE_CR3,
            CPUID)
        || walk.refuse(longCode && wide, SvmNestedCheck.SVM_L1_CS_L_AND_DB);
  }
}
