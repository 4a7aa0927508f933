package dev.faultline.vcpu;

import dev.faultline.kvm.KvmRegs;

/** Positions of the fields of struct kvm_regs that more than the general registers depend on. */
final class RegsFields {
  static final int RAX = KvmRegs.LAYOUT.indexOf("rax");
  static final int RDX = KvmRegs.LAYOUT.indexOf("rdx");
  static final int RSP = KvmRegs.LAYOUT.indexOf("rsp");
  static final int RIP = KvmRegs.LAYOUT.indexOf("rip");
  static final int RFLAGS = KvmRegs.LAYOUT.indexOf("rflags");

  private RegsFields() {}
}
