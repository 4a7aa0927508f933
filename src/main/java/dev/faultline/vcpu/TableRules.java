package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.x86.Msr;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * CPUID tables, XSAVE areas, TSC frequency, and the vCPU's capabilities.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/cpuid.c, kvm_set_cpuid()}; {@code
 * arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate()}; {@code arch/x86/kvm/x86.c,
 * kvm_arch_vcpu_ioctl()}, v6.1.
 */
final class TableRules {
  private static final int MAX_ENTRIES = 256;
  private static final int VIRTUAL_BITS_SHIFT = 8;
  private static final int NARROW = 48;
  private static final int WIDE = 57;
  private static final int KVM_FEATURES = 0x4000_0001;
  private static final StructLayout XSAVE = KvmXsave.LAYOUT;
  private static final int XSTATE_BV = XSAVE.indexOf("xstate_bv");
  private static final long LEGACY = 3;

  /** The components whose presence makes KVM look at MXCSR: x87, SSE, AVX. */
  private static final long WITH_MXCSR = 7;

  /** MXCSR's bits that every processor has, and that of misaligned SSE, which AMD has. */
  private static final int MXCSR_BITS = 0xffff;

  private static final int MXCSR_MM = 1 << 17;
  private static final int HEADER_REST = 528;
  private static final int HEADER_REST_SIZE = 48;

  private TableRules() {}

  static Decision setCpuid(Vcpu v, VcpuCommand.SetCpuid2 c) {
    KvmCpuid2 given = c.cpuid();
    TimelineEvent.CpuidSet done = new TimelineEvent.CpuidSet(c.moment(), given);
    if (given.count() > MAX_ENTRIES) {
      return DeviceRules.refused(
          c.moment(), Ioctl.SET_CPUID2, Errno.E2BIG, CallCheck.CPUID_TOO_MANY);
    }
    boolean frozen = v.kernel().version() != KernelVersion.V5_10;
    Answer entered = frozen ? v.progress().entered() : Answer.NO;
    KvmCpuid2 current = v.platform().cpuid();
    if (entered.isYes() && current != null && !sameTable(current, given)) {
      return DeviceRules.refused(
          c.moment(), Ioctl.SET_CPUID2, Errno.EINVAL, CallCheck.CPUID_AFTER_RUN);
    }
    int virtualBits = given.features().addressSizes() >>> VIRTUAL_BITS_SHIFT & 0xff;
    if (virtualBits != 0 && virtualBits != NARROW && virtualBits != WIDE && !entered.isYes()) {
      return DeviceRules.refused(
          c.moment(), Ioctl.SET_CPUID2, Errno.EINVAL, CallCheck.CPUID_VIRTUAL_BITS);
    }
    if (entered.isYes() && current == null) {
      return Decision.undecided(done, "the CPUID table with which the vCPU ran");
    }
    if (!entered.isKnown()) {
      return Decision.undecided(done, "whether the vCPU has run");
    }
    return Decision.done(done);
  }

  /** Whether two tables are the same to KVM, which first updates the bits that follow registers. */
  private static boolean sameTable(KvmCpuid2 a, KvmCpuid2 b) {
    if (a.count() != b.count()) {
      return false;
    }
    for (int i = 0; i < a.held(); i++) {
      CpuidEntry x = a.entry(i);
      CpuidEntry y = b.entry(i);
      if (x.function() != y.function()
          || x.index() != y.index()
          || x.flags() != y.flags()
          || (x.eax() != y.eax() && !follows(x, 'a'))
          || (x.ebx() != y.ebx() && !follows(x, 'b'))
          || ((x.ecx() ^ y.ecx()) & ~runtimeEcx(x)) != 0
          || ((x.edx() ^ y.edx()) & ~runtimeEdx(x)) != 0) {
        return false;
      }
    }
    return true;
  }

  private static int runtimeEcx(CpuidEntry entry) {
    return switch (entry.function()) {
      case 1 -> 1 << 27 | 1 << 3;
      case 7 -> entry.index() == 0 ? 1 << 4 : 0;
      default -> 0;
    };
  }

  private static int runtimeEdx(CpuidEntry entry) {
    return entry.function() == 1 ? 1 << 9 : 0;
  }

  /** Whether KVM computes this register of the entry from the vCPU's state. */
  static boolean follows(CpuidEntry entry, char register) {
    return switch (entry.function()) {
      case 1 -> register == 'c' || register == 'd';
      case 7 -> entry.index() == 0 && register == 'c';
      case 0xd -> entry.index() <= 1 && register == 'b';
      case KVM_FEATURES -> register == 'a';
      default -> false;
    };
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.CpuidSet e) {
    Vcpu next = v.withPlatform(v.platform().withCpuid(e.cpuid(), Answer.YES));
    next = next.withPlatform(next.platform().withMsrs(MsrRules.afterCpuid(next, e.moment())));
    return next.vm().irqchip() == Vm.Irqchip.KERNEL
        ? next
        : LapicRules.versionForgotten(next, e.moment());
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.CpuidRead e) {
    return v.platform().cpuid() == null
        ? v.withPlatform(v.platform().withCpuid(e.cpuid(), Answer.YES))
        : v;
  }

  static Decision getCpuid(Vcpu v, VcpuCommand.GetCpuid2 c) {
    KvmCpuid2 table = v.platform().cpuid();
    if (v.platform().cpuidSet().isNo()) {
      return Decision.reads(new Reply.Cpuid(KvmCpuid2.of(List.of())));
    }
    if (table == null) {
      return new Decision(new Outcome.Undecided("the CPUID table"), List.of(), null);
    }
    if (c.capacity() < table.count()) {
      return DeviceRules.refused(c.moment(), Ioctl.GET_CPUID2, Errno.E2BIG, CallCheck.CPUID_BUFFER);
    }
    return Decision.reads(new Reply.Cpuid(table));
  }

  static Decision setXsave(Vcpu v, VcpuCommand.SetXsave c) {
    TimelineEvent.XsaveSet done = new TimelineEvent.XsaveSet(c.moment(), c.xsave());
    KvmCpuid2 host = v.vm().host().supportedCpuid();
    long features = c.xsave().xstateBv();
    boolean further = (features & ~LEGACY) != 0;
    CallCheck failed =
        further && host != null && (features & ~DeviceRules.xsaveFeatures(host)) != 0
            ? CallCheck.XSAVE_FEATURES
            : xsaveForm(v, c.xsave());
    if (failed != null) {
      return DeviceRules.refused(c.moment(), Ioctl.SET_XSAVE, Errno.EINVAL, failed);
    }
    if (further && host == null) {
      return Decision.undecided(done, "the host's XSAVE features");
    }
    boolean judged = (features & WITH_MXCSR) != 0 || v.kernel().version() == KernelVersion.V5_10;
    return judged && (c.xsave().mxcsr() & MXCSR_MM) != 0
        ? Decision.undecided(done, "whether the host has misaligned SSE")
        : Decision.done(done);
  }

  /** What is wrong with the header or MXCSR; null if nothing is. 5.10 makes the header anew. */
  private static @Nullable CallCheck xsaveForm(Vcpu v, KvmXsave xsave) {
    boolean old = v.kernel().version() == KernelVersion.V5_10;
    if (!old && xsave.xcompBv() != 0) {
      return CallCheck.XSAVE_COMPACTED;
    }
    if (!old && !xsave.raw().isZero(HEADER_REST, HEADER_REST_SIZE)) {
      return CallCheck.XSAVE_HEADER_RESERVED;
    }
    boolean judged = old || (xsave.xstateBv() & WITH_MXCSR) != 0;
    return judged && (xsave.mxcsr() & ~(MXCSR_BITS | MXCSR_MM)) != 0 ? CallCheck.XSAVE_MXCSR : null;
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.XsaveSet e) {
    Bytes raw = e.xsave().raw();
    Bytes first = raw.size() == KvmXsave.SIZE ? raw : raw.slice(0, KvmXsave.SIZE);
    Tracked stored = v.registers().xsave().replace(first, e.moment());
    return v.withRegisters(v.registers().withXsave(stored));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.FpuSet e) {
    return v.withRegisters(v.registers().withXsave(v.registers().xsave().forgetAll(e.moment())));
  }

  /**
   * The XSAVE area as it was set. A component that XSTATE_BV does not name is in its initial state,
   * and KVM gives back that instead of what the buffer held.
   */
  static Decision getXsave(Vcpu v) {
    Tracked xsave = v.registers().xsave();
    if (!xsave.knowsEverything()) {
      return Decision.reads(Reply.Struct.of(xsave));
    }
    return Decision.reads(
        XsaveComponents.reply(
            xsave.bytes(), xsave.value(XSTATE_BV), v.vm().host().supportedCpuid()));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.XsaveRead e) {
    Bytes raw = e.xsave().raw();
    Bytes first = raw.size() == KvmXsave.SIZE ? raw : raw.slice(0, KvmXsave.SIZE);
    return v.withRegisters(
        v.registers().withXsave(DeviceRules.learnAll(v.registers().xsave(), first)));
  }

  /** Without TSC scaling only the host's own frequency is certain to be taken. */
  static Decision setTscKhz(Vcpu v, VcpuCommand.SetTscKhz c) {
    TimelineEvent.TscKhzSet done = new TimelineEvent.TscKhzSet(c.moment(), c.khz());
    MsrState told = v.vm().host().extensions();
    int scaling = KvmCap.KVM_CAP_TSC_CONTROL.number();
    boolean cannotScale = told.knows(scaling) && told.value(scaling) == 0;
    return cannotScale && c.khz() != 0 && c.khz() != v.platform().tscKhz()
        ? Decision.undecided(done, "the host's TSC frequency, which it cannot scale")
        : Decision.done(done);
  }

  static Decision getTscKhz(Vcpu v) {
    long khz = v.platform().tscKhz();
    return khz == 0
        ? new Decision(new Outcome.Undecided("the host's TSC frequency"), List.of(), null)
        : new Decision(new Outcome.Returns(khz), List.of(), null);
  }

  /** Whether the guest has registered a kvmclock page decides. */
  static Decision kvmclockCtrl(Vcpu v, VcpuCommand.KvmclockCtrl c) {
    MsrState msrs = v.platform().msrs();
    boolean known = msrs.knows(Msr.KVM_SYSTEM_TIME) || msrs.knows(Msr.KVM_SYSTEM_TIME_NEW);
    long time = msrs.value(Msr.KVM_SYSTEM_TIME) | msrs.value(Msr.KVM_SYSTEM_TIME_NEW);
    TimelineEvent.CallNoted noted = new TimelineEvent.CallNoted(c.moment(), Ioctl.KVMCLOCK_CTRL);
    if (known && (time & 1) != 0) {
      return Decision.done(noted);
    }
    boolean untouched =
        v.progress().entered().isNo()
            && msrs.position(Msr.KVM_SYSTEM_TIME) < 0
            && msrs.position(Msr.KVM_SYSTEM_TIME_NEW) < 0;
    if ((known || untouched) && (time & 1) == 0) {
      return DeviceRules.refused(
          c.moment(), Ioctl.KVMCLOCK_CTRL, Errno.EINVAL, CallCheck.KVMCLOCK_INACTIVE);
    }
    return Decision.undecided(noted, "whether the guest has registered a kvmclock page");
  }

  static Decision enableCap(Vcpu v, VcpuCommand.EnableCap c) {
    if (c.cap().flags() != 0) {
      return DeviceRules.refused(
          c.moment(), Ioctl.ENABLE_CAP, Errno.EINVAL, CallCheck.ENABLE_CAP_FLAGS);
    }
    TimelineEvent.VcpuCapEnabled done = new TimelineEvent.VcpuCapEnabled(c.moment(), c.cap().cap());
    KvmCap cap = KvmCap.of(c.cap().cap());
    if ((cap == KvmCap.KVM_CAP_HYPERV_ENLIGHTENED_VMCS && v.kernel().isVmx())
        || cap == KvmCap.KVM_CAP_ENFORCE_PV_FEATURE_CPUID
        || (cap == KvmCap.KVM_CAP_HYPERV_ENFORCE_CPUID
            && v.kernel().version() != KernelVersion.V5_10)) {
      return Decision.done(done);
    }
    if (cap == KvmCap.KVM_CAP_HYPERV_ENLIGHTENED_VMCS) {
      return v.kernel().isSvm()
          ? DeviceRules.refused(
              c.moment(), Ioctl.ENABLE_CAP, Errno.ENOTTY, CallCheck.ENABLE_CAP_VENDOR)
          : Decision.undecided(done, "whether the vendor module has an enlightened VMCS");
    }
    if (cap == KvmCap.KVM_CAP_HYPERV_DIRECT_TLBFLUSH) {
      return Decision.undecided(done, "whether the host itself runs on Hyper-V");
    }
    if (cap == KvmCap.KVM_CAP_HYPERV_SYNIC || cap == KvmCap.KVM_CAP_HYPERV_SYNIC2) {
      return synic(v, c, cap, done);
    }
    return DeviceRules.refused(
        c.moment(), Ioctl.ENABLE_CAP, Errno.EINVAL, CallCheck.ENABLE_CAP_UNKNOWN);
  }

  private static Decision synic(
      Vcpu v, VcpuCommand.EnableCap c, KvmCap cap, TimelineEvent.VcpuCapEnabled done) {
    CallCheck failed =
        cap == KvmCap.KVM_CAP_HYPERV_SYNIC2 && c.cap().args(0) != 0
            ? CallCheck.ENABLE_CAP_ARGUMENT
            : v.vm().irqchip() == Vm.Irqchip.NONE ? CallCheck.ENABLE_CAP_APIC : null;
    if (failed != null) {
      return DeviceRules.refused(c.moment(), Ioctl.ENABLE_CAP, Errno.EINVAL, failed);
    }
    return v.vm().irqchip().lapicInKernel().isYes()
        ? Decision.done(done)
        : Decision.undecided(done, "whether the interrupt controller is in the kernel");
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.VcpuCapEnabled e) {
    return KvmCap.of(e.cap()) == KvmCap.KVM_CAP_HYPERV_ENLIGHTENED_VMCS
        ? v.withProgress(v.progress().withEnlightenedVmcs(Answer.YES))
        : v;
  }
}
