package dev.faultline.vcpu;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import org.jspecify.annotations.Nullable;

/** Questions to the CPUID table of a guest. A vCPU without a table has no feature at all. */
final class GuestCpuid {
  private static final int DEFAULT_MAXPHYADDR = 36;
  private static final int EXTENDED = 0x8000_0000;
  private static final int ADDRESS_SIZES = 0x8000_0008;
  private static final int LONG_MODE_LEAF = 0x8000_0001;

  private GuestCpuid() {}

  /** Whether a feature bit is set: leaf 0 subleaf, register by letter. */
  static Answer has(Vcpu v, int leaf, int subleaf, char register, int bit) {
    Answer set = v.platform().cpuidSet();
    if (set.isNo()) {
      return Answer.NO;
    }
    KvmCpuid2 table = v.platform().cpuid();
    if (table == null) {
      return Answer.CANNOT_TELL;
    }
    return Answer.of((register(table, leaf, subleaf, register) >>> bit & 1) != 0);
  }

  static Answer vmx(Vcpu v) {
    return has(v, 1, 0, 'c', 5);
  }

  static Answer svm(Vcpu v) {
    return has(v, LONG_MODE_LEAF, 0, 'c', 2);
  }

  static Answer x2apic(Vcpu v) {
    return has(v, 1, 0, 'c', 21);
  }

  static Answer longMode(Vcpu v) {
    return has(v, LONG_MODE_LEAF, 0, 'd', 29);
  }

  /** The guest's physical address width in bits, or -1 when it is not known. */
  static int maxPhyAddr(Vcpu v) {
    if (v.platform().cpuidSet().isNo()) {
      return DEFAULT_MAXPHYADDR;
    }
    KvmCpuid2 table = v.platform().cpuid();
    if (table == null) {
      return -1;
    }
    if (Integer.compareUnsigned(table.register(EXTENDED, 0, 0), ADDRESS_SIZES) < 0) {
      return DEFAULT_MAXPHYADDR;
    }
    CpuidEntry sizes = table.find(ADDRESS_SIZES, 0);
    return sizes == null ? DEFAULT_MAXPHYADDR : sizes.eax() & 0xff;
  }

  /** Whether a guest-physical address has bits above the guest's width. */
  static Answer illegalGpa(Vcpu v, long address) {
    int width = maxPhyAddr(v);
    if (width < 0) {
      return address == 0 ? Answer.NO : Answer.CANNOT_TELL;
    }
    return Answer.of(width < 64 && address >>> width != 0);
  }

  /** Whether KVM takes the address as that of a page: aligned and within the guest's width. */
  static Answer validPage(Vcpu v, long address) {
    return (address & 0xfff) != 0 ? Answer.NO : illegalGpa(v, address).not();
  }

  static int register(KvmCpuid2 table, int leaf, int subleaf, char register) {
    return table.register(leaf, subleaf, register - 'a');
  }

  /** The guest's table, or null when none is known. */
  static @Nullable KvmCpuid2 table(Vcpu v) {
    return v.platform().cpuid();
  }
}
