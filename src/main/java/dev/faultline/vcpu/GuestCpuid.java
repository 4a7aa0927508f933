package dev.faultline.vcpu;

import dev.faultline.kvm.CpuidFeatures;
import dev.faultline.kvm.KvmCpuid2;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Questions to the CPUID table of a guest. A vCPU without a table has no feature at all. */
final class GuestCpuid {
  private static final int DEFAULT_MAXPHYADDR = 36;
  private static final int MORE_FEATURES = 7;

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
    return known(v) ? bit(features(v).leaf1Ecx(), 5) : unknown(v);
  }

  static Answer svm(Vcpu v) {
    return known(v) ? bit(features(v).extended1Ecx(), 2) : unknown(v);
  }

  static Answer x2apic(Vcpu v) {
    return known(v) ? bit(features(v).leaf1Ecx(), 21) : unknown(v);
  }

  static Answer longMode(Vcpu v) {
    return known(v) ? bit(features(v).extended1Edx(), 29) : unknown(v);
  }

  static Answer noExecute(Vcpu v) {
    return known(v) ? bit(features(v).extended1Edx(), 20) : unknown(v);
  }

  private static boolean known(Vcpu v) {
    return v.platform().cpuid() != null && !v.platform().cpuidSet().isNo();
  }

  private static Answer unknown(Vcpu v) {
    return v.platform().cpuidSet().isNo() ? Answer.NO : Answer.CANNOT_TELL;
  }

  private static CpuidFeatures features(Vcpu v) {
    return Objects.requireNonNull(v.platform().cpuid()).features();
  }

  private static Answer bit(int word, int bit) {
    return Answer.of((word >>> bit & 1) != 0);
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
    return table.features().physicalBits();
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
    if (leaf == MORE_FEATURES && subleaf == 0 && register == 'b') {
      return table.features().leaf7Ebx();
    }
    return table.register(leaf, subleaf, register - 'a');
  }

  /** The guest's table, or null when none is known. */
  static @Nullable KvmCpuid2 table(Vcpu v) {
    return v.platform().cpuid();
  }
}
