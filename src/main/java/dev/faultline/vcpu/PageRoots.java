package dev.faultline.vcpu;

import dev.faultline.vmx.PrimaryControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import java.util.List;

/**
 * Whether the page tables that KVM must shadow for L2 have a root in guest memory: the EPT that L1
 * built, or, without nested EPT on a host without EPT, L2's own CR3.
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
    List<Vm.Slot> slots = v.vm().slots();
    if (!v.inGuestMode().isYes() || slots == null || !nestedEpt(v).isYes()) {
      return Answer.NO;
    }
    Tracked vmcs12 = v.nested().vmcs12();
    int pointer = Vmcs12.indexOf(VmcsField.EPT_POINTER);
    if (!vmcs12.knows(pointer)) {
      return Answer.NO;
    }
    long root = vmcs12.value(pointer) & PAGE & CR3_ADDRESS;
    for (Vm.Slot slot : slots) {
      if (slot.holds(root)) {
        return Answer.NO;
      }
    }
    return Answer.YES;
  }
}
