package dev.faultline.vcpu;

import dev.faultline.kvm.KvmSregs;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Rflags;
import java.util.ArrayList;
import java.util.List;

/**
 * What RSM of an Intel processor forces when it returns to VMX non-root operation without
 * "unrestricted guest".
 *
 * <p><em>Source:</em> Intel SDM vol. 3C, "Default Treatment of RSM".
 *
 * @param vcpu the vCPU with the forced values
 * @param changes what was forced, e.g. {@code cs.selector 0x13 -> 0x10}
 */
record RsmFixUp(Vcpu vcpu, List<String> changes) {
  private static final int CS_SELECTOR = KvmSregs.LAYOUT.indexOf("cs.selector");
  private static final int SS_SELECTOR = KvmSregs.LAYOUT.indexOf("ss.selector");
  private static final int SS_DPL = KvmSregs.LAYOUT.indexOf("ss.dpl");
  private static final long RPL = 3;

  /** The vCPU as RSM leaves it; what is not known stays so. */
  static RsmFixUp of(Vcpu loaded) {
    Tracked sregs = loaded.registers().sregs();
    if (!sregs.knowsAll(SregsFields.JUDGED)) {
      Vcpu unsure =
          loaded.withRegisters(loaded.registers().withEmulation(Vcpu.Emulation.CANNOT_TELL));
      return new RsmFixUp(unsure, List.of());
    }
    List<String> changes = new ArrayList<>();
    Tracked fixed = force(sregs, SregsFields.CR0, 0, Cr0.PE | Cr0.NE | Cr0.PG, changes);
    fixed = force(fixed, SregsFields.CR4, 0, Cr4.VMXE, changes);
    Tracked regs = loaded.registers().regs();
    boolean virtual8086 =
        regs.knows(RegsFields.RFLAGS) && (regs.value(RegsFields.RFLAGS) & Rflags.VM) != 0;
    if (!virtual8086) {
      long dpl = sregs.value(SS_DPL);
      fixed = force(fixed, CS_SELECTOR, RPL, dpl, changes);
      fixed = force(fixed, SS_SELECTOR, RPL, dpl, changes);
    }
    Vcpu next = loaded.withRegisters(loaded.registers().withSregs(fixed));
    return new RsmFixUp(Validity.recompute(next), List.copyOf(changes));
  }

  private static Tracked force(
      Tracked sregs, int field, long cleared, long set, List<String> changes) {
    long before = sregs.value(field);
    long after = (before & ~cleared) | set;
    if (before == after || !sregs.knows(field)) {
      return sregs;
    }
    changes.add(
        sregs.layout().field(field).name()
            + " 0x"
            + Long.toHexString(before)
            + " -> 0x"
            + Long.toHexString(after));
    return sregs.edit(sregs.writer(field)).set(field, after).done();
  }
}
