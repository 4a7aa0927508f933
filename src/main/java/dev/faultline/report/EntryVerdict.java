package dev.faultline.report;

import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vmx.GuestState;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.vmx.GuestStateChecks;
import dev.faultline.x86.SegmentRegister;
import java.util.List;

/**
 * Whether KVM would let hardware enter the state that a vCPU is in.
 *
 * @param valid yes, no, or cannot tell
 * @param failed the checks that fail, in KVM's order; where values are missing, only the first
 */
record EntryVerdict(Answer valid, List<GuestStateCheck> failed) {
  static EntryVerdict of(Vcpu v) {
    Vcpu.Emulation emulation = v.registers().emulation();
    GuestStateCheck first = emulation.failed();
    List<GuestStateCheck> failed = first == null ? List.of() : List.of(first);
    if (emulation.required().isYes() && isWhole(v)) {
      List<GuestStateCheck> all = GuestStateChecks.failures(guestState(v));
      // What KVM remembers may be older than the registers; then only its own answer counts.
      if (first == null || all.contains(first)) {
        failed = all;
      }
    }
    return new EntryVerdict(emulation.required().not(), failed);
  }

  private static boolean isWhole(Vcpu v) {
    Tracked sregs = v.registers().sregs();
    Tracked regs = v.registers().regs();
    if (!sregs.knows(sregs.layout().indexOf("cr0"))
        || !regs.knows(regs.layout().indexOf("rflags"))) {
      return false;
    }
    for (SegmentRegister register : SegmentRegister.values()) {
      if (!knows(sregs, register)) {
        return false;
      }
    }
    return true;
  }

  /** Whether every field of a segment is known. */
  static boolean knows(Tracked sregs, SegmentRegister register) {
    StructLayout layout = sregs.layout();
    String prefix = register.uapiName() + ".";
    for (int f = 0; f < layout.count(); f++) {
      StructField field = layout.field(f);
      if (field.name().startsWith(prefix) && !sregs.knows(f)) {
        return false;
      }
    }
    return true;
  }

  private static GuestState guestState(Vcpu v) {
    KvmSregs s = new KvmSregs(v.registers().sregs().bytes());
    long rflags = new KvmRegs(v.registers().regs().bytes()).rflags();
    return new GuestState(
        s.cr0(), rflags, s.cs(), s.ds(), s.es(), s.fs(), s.gs(), s.ss(), s.tr(), s.ldt());
  }
}
