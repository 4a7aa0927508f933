package dev.faultline.vcpu;

import dev.faultline.vmx.PrimaryControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr0;
import java.util.List;

/**
 * Whether the page tables that KVM must shadow for L2 have a root in guest memory: the EPT that L1
 * built, or, without nested EPT on a host without EPT, L2's own CR3.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/mmu/mmu.c, mmu_check_root()}, v6.1; gone since
 * 0e3223d8d00a (6.6).
 */
final class PageRoots {
  private static final long PAGE = ~0xfffL;
  private static final long CR3_ADDRESS = 0x000f_ffff_ffff_f000L;

  private PageRoots() {}

  /** Whether L1 gives L2 an EPT. */
  static Answer nestedEpt(Vcpu v) {
    Tracked vmcs12 = v.nested().vmcs12();
    return vmcs12
        .hasAny(
            Vmcs12.indexOf(VmcsField.CPU_BASED_VM_EXEC_CONTROL),
            PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
        .and(
            vmcs12.hasAny(
                Vmcs12.indexOf(VmcsField.SECONDARY_VM_EXEC_CONTROL), SecondaryControls.ENABLE_EPT));
  }

  /** Whether the root is certainly in no memory slot; NO where nothing says so. */
  static Answer missing(Vcpu v) {
    if (!v.inGuestMode().isYes()) {
      return Answer.NO;
    }
    return nestedEpt(v).isYes() ? nestedEptMissing(v) : shadowedMissing(v);
  }

  private static Answer nestedEptMissing(Vcpu v) {
    Tracked vmcs12 = v.nested().vmcs12();
    int pointer = Vmcs12.indexOf(VmcsField.EPT_POINTER);
    return vmcs12.knows(pointer) ? outside(v, vmcs12.value(pointer)) : Answer.NO;
  }

  /**
   * The same for a level whose page tables KVM shadows for want of EPT: PDPTEs, which lie in guest
   * memory, are taken to be sound.
   */
  static Answer shadowedMissing(Vcpu v) {
    Tracked sregs = v.registers().sregs();
    boolean shadowed =
        v.kernel().isVmx()
            && v.kernel().ept().isNo()
            && sregs.knows(SregsFields.CR0)
            && sregs.knows(SregsFields.CR3)
            && (sregs.value(SregsFields.CR0) & Cr0.PG) != 0;
    return shadowed ? outside(v, sregs.value(SregsFields.CR3)) : Answer.NO;
  }

  /**
   * Since 6.6 a root that is not visible is no triple fault: KVM puts a page of zeros there, and
   * the guest's own accesses fault.
   */
  private static Answer outside(Vcpu v, long root) {
    List<Vm.Slot> slots = v.vm().slots();
    if (slots == null || v.kernel().version().compareTo(KernelVersion.V6_8) >= 0) {
      return Answer.NO;
    }
    long page = root & PAGE & CR3_ADDRESS;
    for (Vm.Slot slot : slots) {
      if (slot.holds(page)) {
        return Answer.NO;
      }
    }
    return Answer.YES;
  }
}
