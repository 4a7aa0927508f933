package dev.faultline.audit;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;

/** Features of a guest that decide what its state consists of. */
enum CpuidBits {
  VMX(0x1, 0, 'c', 5),
  MTRR(0x1, 0, 'd', 12),
  X2APIC(0x1, 0, 'c', 21),
  TSC_DEADLINE(0x1, 0, 'c', 24),
  XSAVE(0x1, 0, 'c', 26),
  AMX_TILE(0x7, 0, 'd', 24),
  XSAVES(0xd, 1, 'a', 3),
  XFD(0xd, 1, 'a', 4),
  SVM(0x8000_0001, 0, 'c', 2),
  KVM_CLOCK_OLD(0x4000_0001, 0, 'a', 0),
  KVM_CLOCK(0x4000_0001, 0, 'a', 3),
  KVM_ASYNC_PF(0x4000_0001, 0, 'a', 4),
  KVM_STEAL_TIME(0x4000_0001, 0, 'a', 5),
  KVM_PV_EOI(0x4000_0001, 0, 'a', 6),
  KVM_ASYNC_PF_INT(0x4000_0001, 0, 'a', 14),
  HV_SYNIC(0x4000_0003, 0, 'a', 2),
  HV_STIMER(0x4000_0003, 0, 'a', 3);

  private static final int HV_SIGNATURE = 0x4000_0000;
  private static final int HV_VENDOR_EBX = 0x7263_694d;
  private static final int KVM_VENDOR_EBX = 0x4b4d_564b;
  private static final int KVM_BASE_WITH_HYPERV = 0x4000_0100;

  private final int leaf;
  private final int subleaf;
  private final char register;
  private final int bit;

  CpuidBits(int leaf, int subleaf, char register, int bit) {
    this.leaf = leaf;
    this.subleaf = subleaf;
    this.register = register;
    this.bit = bit;
  }

  /** Whether the table has the feature. */
  boolean in(KvmCpuid2 table) {
    if (name().startsWith("KVM_")) {
      return bitOf(table, kvmBase(table) + 1);
    }
    if (name().startsWith("HV_")) {
      CpuidEntry signature = table.find(HV_SIGNATURE, 0);
      return signature != null && signature.ebx() == HV_VENDOR_EBX && bitOf(table, leaf);
    }
    return bitOf(table, leaf);
  }

  private static int kvmBase(KvmCpuid2 table) {
    CpuidEntry second = table.find(KVM_BASE_WITH_HYPERV, 0);
    return second != null && second.ebx() == KVM_VENDOR_EBX ? KVM_BASE_WITH_HYPERV : HV_SIGNATURE;
  }

  private boolean bitOf(KvmCpuid2 table, int function) {
    CpuidEntry entry = table.find(function, subleaf);
    if (entry == null) {
      return false;
    }
    int value =
        switch (register) {
          case 'a' -> entry.eax();
          case 'b' -> entry.ebx();
          case 'c' -> entry.ecx();
          default -> entry.edx();
        };
    return (value >>> bit & 1) != 0;
  }
}
