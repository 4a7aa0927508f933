package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Msr;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What a vCPU gives back right after it was written, compared with what was written. */
final class Fixpoint {
  private static final int LVT_MODE = 3 << 17;
  private static final int LAST_PERF = 0x3ff;
  private static final int FIRST_PERF = 0x300;
  private static final int FIRST_COUNTER = 0xc1;
  private static final int LAST_COUNTER = 0xc8;
  private static final int FIRST_HYPERV = 0x40000000;
  private static final int LAST_HYPERV = 0x400001ff;

  private Fixpoint() {}

  /**
   * The first difference, in words; null if there is none, or nothing was written.
   *
   * @param read a KVM_GET_… with its payload
   * @param written what was written since the last KVM_RUN
   */
  static @Nullable String difference(Call read, Window written) {
    if (read.reply().isEmpty() || written.has(Ioctl.SET_NESTED_STATE)) {
      return null;
    }
    return switch (read.ioctl()) {
      case GET_SREGS -> sregs(read, written.last(Ioctl.SET_SREGS));
      case GET_XCRS -> xcrs(read, written.last(Ioctl.SET_XCRS));
      case GET_LAPIC -> lapic(read, written.lapic());
      case GET_CPUID2 -> cpuid(read, written.last(Ioctl.SET_CPUID2));
      case GET_MSRS -> msrs(read, written);
      default -> null;
    };
  }

  /** The call that wrote what a read gives back. */
  static @Nullable Call writer(Call read, Window written) {
    return switch (read.ioctl()) {
      case GET_SREGS -> written.last(Ioctl.SET_SREGS);
      case GET_XCRS -> written.last(Ioctl.SET_XCRS);
      case GET_LAPIC -> written.last(Ioctl.SET_LAPIC);
      case GET_CPUID2 -> written.last(Ioctl.SET_CPUID2);
      case GET_MSRS -> written.last(Ioctl.SET_MSRS);
      default -> null;
    };
  }

  private static @Nullable String sregs(Call read, @Nullable Call set) {
    if (set == null
        || !(set.command() instanceof VcpuCommand.SetSregs given)
        || read.reply().size() != KvmSregs.SIZE) {
      return null;
    }
    KvmSregs now = new KvmSregs(read.reply());
    return now.efer() != given.sregs().efer()
        ? words("EFER", given.sregs().efer(), now.efer())
        : now.cr3() != given.sregs().cr3() ? words("CR3", given.sregs().cr3(), now.cr3()) : null;
  }

  private static @Nullable String xcrs(Call read, @Nullable Call set) {
    if (set == null
        || !(set.command() instanceof VcpuCommand.SetXcrs given)
        || given.xcrs().nrXcrs() != 1
        || read.reply().size() != KvmXcrs.SIZE) {
      return null;
    }
    KvmXcrs now = new KvmXcrs(read.reply());
    return now.nrXcrs() == 1 && now.value(0) != given.xcrs().value(0)
        ? words("XCR0", given.xcrs().value(0), now.value(0))
        : null;
  }

  private static @Nullable String lapic(Call read, @Nullable KvmLapicState given) {
    if (given == null || read.reply().size() != KvmLapicState.SIZE) {
      return null;
    }
    KvmLapicState now = new KvmLapicState(read.reply());
    return ((now.lvtTimer() ^ given.lvtTimer()) & LVT_MODE) != 0
        ? words("the timer's LVT", given.lvtTimer(), now.lvtTimer())
        : null;
  }

  private static @Nullable String cpuid(Call read, @Nullable Call set) {
    KvmCpuid2 given = Window.cpuidOf(set);
    if (given == null || read.reply().size() < KvmCpuid2.HEADER_SIZE) {
      return null;
    }
    String difference = CpuidDifference.features(given, new KvmCpuid2(read.reply()));
    return difference.isEmpty() ? null : "CPUID " + difference;
  }

  private static @Nullable String msrs(Call read, Window written) {
    KvmMsrs now = new KvmMsrs(read.reply());
    for (int i = 0; i < Math.min(read.ret(), now.held()); i++) {
      MsrWrite given = written.msr(now.index(i));
      if (given == null || given.value() == now.data(i) || moves(now.index(i))) {
        continue;
      }
      return words(MsrNames.of(now.index(i)), given.value(), now.data(i));
    }
    return null;
  }

  /** MSRs that count, or that KVM may answer for in another way than they were written. */
  private static boolean moves(int index) {
    return index == Msr.IA32_TSC
        || index == Msr.IA32_TSC_ADJUST
        || index == Msr.IA32_APIC_BASE
        || index == Msr.IA32_BIOS_SIGN_ID
        || (index >= FIRST_COUNTER && index <= LAST_COUNTER)
        || (index >= FIRST_PERF && index <= LAST_PERF)
        || (index >= FIRST_HYPERV && index <= LAST_HYPERV)
        || index == Msr.IA32_EFER;
  }

  private static String words(String what, long given, long now) {
    return String.format(Locale.ROOT, "%s 0x%x came back as 0x%x", what, given, now);
  }
}
