package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.Check;
import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmXcrs;
import org.jspecify.annotations.Nullable;

/**
 * KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_GET_XCRS and KVM_SET_XCRS.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_vcpu_ioctl_x86_set_debugregs(),
 * kvm_vcpu_ioctl_x86_set_xcrs(), __kvm_set_xcr()}, v6.1.
 */
final class DeviceRules {
  private static final int MAX_XCRS = 16;
  private static final long FP = 1;
  private static final long SSE = 1L << 1;
  private static final long YMM = 1L << 2;
  private static final long BNDREGS = 1L << 3;
  private static final long BNDCSR = 1L << 4;
  private static final long AVX512 = 7L << 5;
  private static final long XTILE_CFG = 1L << 17;
  private static final long XTILE_DATA = 1L << 18;
  private static final long XTILE = XTILE_CFG | XTILE_DATA;
  private static final int FIRST_VALUE =
      KvmXcrs.LAYOUT.offset(KvmXcrs.LAYOUT.indexOf("xcrs[0].value"));

  private DeviceRules() {}

  static Decision setDebugregs(VcpuCommand.SetDebugregs c) {
    KvmDebugregs given = c.debugregs();
    CallCheck failed = null;
    if (given.flags() != 0) {
      failed = CallCheck.DEBUGREGS_FLAGS;
    } else if (given.dr6() >>> 32 != 0) {
      failed = CallCheck.DEBUGREGS_DR6;
    } else if (given.dr7() >>> 32 != 0) {
      failed = CallCheck.DEBUGREGS_DR7;
    }
    return failed == null
        ? Decision.done(new TimelineEvent.DebugregsSet(c.moment(), given))
        : refused(c.moment(), Ioctl.SET_DEBUGREGS, Errno.EINVAL, failed);
  }

  static Decision refused(int moment, Ioctl ioctl, Errno errno, Check check) {
    return Decision.of(
        new Outcome.Refused(errno, check),
        new TimelineEvent.CallRefused(moment, ioctl, errno, check));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.DebugregsSet e) {
    Bytes stored = e.debugregs().withoutReserved().raw();
    return v.withRegisters(
        v.registers().withDebugregs(v.registers().debugregs().replace(stored, e.moment())));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.DebugregsRead e) {
    Tracked learned = learnAll(v.registers().debugregs(), e.debugregs().raw());
    return v.withRegisters(v.registers().withDebugregs(learned));
  }

  /** Takes over what was not known; what was known stays, a contradiction is reported elsewhere. */
  static Tracked learnAll(Tracked state, Bytes raw) {
    FieldSet unknown = FieldSet.all(state.layout().count()).minus(state.known());
    return unknown.isEmpty() ? state : state.learn(raw, unknown);
  }

  static Decision setXcrs(Vcpu v, VcpuCommand.SetXcrs c) {
    KvmXcrs given = c.xcrs();
    TimelineEvent.XcrsSet done = new TimelineEvent.XcrsSet(c.moment(), given);
    if (given.nrXcrs() > MAX_XCRS || given.nrXcrs() < 0) {
      return refused(c.moment(), Ioctl.SET_XCRS, Errno.EINVAL, CallCheck.XCRS_COUNT);
    }
    if (given.flags() != 0) {
      return refused(c.moment(), Ioctl.SET_XCRS, Errno.EINVAL, CallCheck.XCRS_FLAGS);
    }
    int first = firstXcr0(given);
    if (first < 0) {
      return Decision.done(done);
    }
    long xcr0 = given.value(first);
    CallCheck failed = xcr0Check(xcr0);
    if (failed == null) {
      long supported = guestSupportedXcr0(v);
      if (supported < 0) {
        return (xcr0 & ~FP) == 0
            ? Decision.done(done)
            : Decision.undecided(done, "the XSAVE features of the guest's CPUID");
      }
      failed = (xcr0 & ~(supported | FP)) != 0 ? CallCheck.XCR0_UNSUPPORTED : null;
    }
    return failed == null
        ? Decision.done(done)
        : refused(c.moment(), Ioctl.SET_XCRS, Errno.EINVAL, failed);
  }

  private static int firstXcr0(KvmXcrs given) {
    for (int i = 0; i < given.nrXcrs(); i++) {
      if (given.xcr(i) == 0) {
        return i;
      }
    }
    return -1;
  }

  private static @Nullable CallCheck xcr0Check(long xcr0) {
    if ((xcr0 & FP) == 0) {
      return CallCheck.XCR0_X87;
    }
    if ((xcr0 & YMM) != 0 && (xcr0 & SSE) == 0) {
      return CallCheck.XCR0_YMM;
    }
    if (((xcr0 & BNDREGS) != 0) != ((xcr0 & BNDCSR) != 0)) {
      return CallCheck.XCR0_MPX;
    }
    boolean anyAvx512 = (xcr0 & AVX512) != 0;
    if (anyAvx512 && ((xcr0 & YMM) == 0 || (xcr0 & AVX512) != AVX512)) {
      return CallCheck.XCR0_AVX512;
    }
    boolean anyTile = (xcr0 & XTILE) != 0;
    return anyTile && (xcr0 & XTILE) != XTILE ? CallCheck.XCR0_AMX : null;
  }

  /** State components that both KVM and the guest's CPUID know, or -1 when that is unknown. */
  private static long guestSupportedXcr0(Vcpu v) {
    if (v.platform().cpuidSet().isNo()) {
      return 0;
    }
    var guest = v.platform().cpuid();
    var host = v.vm().host().supportedCpuid();
    if (guest == null || host == null) {
      return -1;
    }
    return xsaveFeatures(guest) & xsaveFeatures(host);
  }

  static long xsaveFeatures(dev.faultline.kvm.KvmCpuid2 table) {
    return table.features().xcr0();
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.XcrsSet e) {
    KvmXcrs given = e.xcrs();
    if (given.isXcr0Alone()) {
      return v.withRegisters(
          v.registers().withXcrs(v.registers().xcrs().replace(given.raw(), e.moment())));
    }
    int first = firstXcr0(given);
    return first < 0 ? v : withXcr0(v, given.value(first), e.moment());
  }

  static Vcpu withXcr0(Vcpu v, long xcr0, int moment) {
    return v.withRegisters(
        v.registers().withXcrs(v.registers().xcrs().replace(xcrs(xcr0), moment)));
  }

  /** KVM reports one register, XCR0. */
  private static Bytes xcrs(long xcr0) {
    return xcr0 == FP ? RESET_XCRS : build(xcr0);
  }

  private static final Bytes RESET_XCRS = build(FP);

  private static Bytes build(long xcr0) {
    return Bytes.builder(KvmXcrs.SIZE)
        .put(0, Integer.BYTES, 1)
        .put(FIRST_VALUE, Long.BYTES, xcr0)
        .build();
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.XcrsRead e) {
    Tracked learned = learnAll(v.registers().xcrs(), e.xcrs().raw());
    return v.withRegisters(v.registers().withXcrs(learned));
  }
}
