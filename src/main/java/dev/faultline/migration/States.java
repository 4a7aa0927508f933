package dev.faultline.migration;

import dev.faultline.vcpu.Nested;
import dev.faultline.vcpu.Vcpu;

/** Whether two vCPUs are in the same state, with the same knowledge of it. */
final class States {
  private States() {}

  static boolean same(Vcpu a, Vcpu b) {
    if (Identity.same(a, b)) {
      return true;
    }
    Vcpu.Registers r = a.registers();
    Vcpu.Registers s = b.registers();
    return a.progress().equals(b.progress())
        && a.nested().mode().equals(b.nested().mode())
        && r.regs().sameState(s.regs())
        && r.sregs().sameState(s.sregs())
        && a.events().sameState(b.events())
        && r.emulation().equals(s.emulation())
        && r.debugregs().sameState(s.debugregs())
        && r.xcrs().sameState(s.xcrs())
        && r.xsave().sameState(s.xsave())
        && sameNested(a.nested(), b.nested())
        && samePlatform(a.platform(), b.platform())
        && a.vm().dead() == b.vm().dead();
  }

  private static boolean sameNested(Nested a, Nested b) {
    return a.header().sameState(b.header())
        && a.vmcs12().sameState(b.vmcs12())
        && a.shadowVmcs12().sameState(b.shadowVmcs12())
        && a.svm().equals(b.svm());
  }

  private static boolean samePlatform(Vcpu.Platform a, Vcpu.Platform b) {
    return a.lapic().sameState(b.lapic())
        && a.mpState().sameState(b.mpState())
        && a.msrs().sameState(b.msrs())
        && a.tscKhz() == b.tscKhz()
        && a.cpuidSet() == b.cpuidSet()
        && (a.cpuid() == null ? b.cpuid() == null : a.cpuid().equals(b.cpuid()));
  }
}
