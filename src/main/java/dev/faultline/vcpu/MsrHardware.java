package dev.faultline.vcpu;

import dev.faultline.kvm.KvmCpuid2;

/**
 * MSRs whose values the host's CPU or its vendor module judges.
 *
 * <p><em>Source:</em> as for {@link MsrWrites}.
 */
final class MsrHardware {
  private static final long IBPB = 1;
  private static final long SBPB = 1 << 7;
  private static final long TSX_CTRL_BITS = 3;
  private static final long UMWAIT_RESERVED = ~0xffff_ffffL | 2;
  private static final long TILE_DATA = 1L << 18;
  private static final long BNDCFGS_RESERVED = 0xffc;
  private static final long PAGE = 0xfff;

  /** LBR and BTF, which KVM lets pass for guests that always set them. */
  private static final long DEBUGCTL_IGNORED = 3;

  private static final long SSBD = 4;
  private static final long TSC_RATIO_ONE = 1L << 32;
  private static final long HWCR_IGNORED = 0x148;
  private static final long HWCR_STATUS_WRITE = 1L << 18;
  private static final long HWCR_TSC_FREQ = 1L << 24;

  private MsrHardware() {}

  static MsrFate judge(MsrWrites batch, MsrKind kind, int index, long data) {
    return switch (kind) {
      case SPEC_CTRL ->
          data == 0 && batch.listed(index).isYes() ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
      case PRED_CMD ->
          (data & ~predCmdBits(batch.kernel().version())) == 0
              ? MsrFate.NO_HARDWARE
              : MsrFate.refused(MsrCheck.MSR_PRED_CMD_BITS);
      case FLUSH_CMD ->
          batch.kernel().version().compareTo(KernelVersion.V6_8) >= 0
              ? MsrFate.NO_HARDWARE
              : batch.unsupported(index, data);
      case TSX_CTRL -> tsxCtrl(batch, index, data);
      case UMWAIT_CONTROL ->
          batch.kernel().isVmx()
              ? MsrFate.unless((data & UMWAIT_RESERVED) != 0, MsrCheck.MSR_UMWAIT_BITS)
              : batch.unsupported(index, data);
      case XSS -> xss(batch, data);
      case XFD -> xfd(batch, index, data);
      case BNDCFGS -> bndcfgs(batch, index, data);
      case DEBUGCTL -> debugctl(batch, index, data);
      default ->
          batch.listed(index).isNo() && batch.kernel().isVmx()
              ? batch.unsupported(index, data)
              : data == 0 && batch.listed(index).isYes() ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
    };
  }

  /** IBPB, and SBPB on later kernels. */
  private static long predCmdBits(KernelVersion version) {
    return version.compareTo(KernelVersion.V6_1) <= 0 ? IBPB : IBPB | SBPB;
  }

  private static MsrFate tsxCtrl(MsrWrites batch, int index, long data) {
    if (!batch.kernel().isVmx()) {
      return batch.unsupported(index, data);
    }
    if ((data & ~TSX_CTRL_BITS) != 0) {
      return MsrFate.refused(MsrCheck.MSR_TSX_CTRL_BITS);
    }
    return batch.listed(index).isYes() && data == 0 ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
  }

  /** Until 6.18 KVM supports no state component there; later CET's, if CPUID has them. */
  private static MsrFate xss(MsrWrites batch, long data) {
    if (data == 0) {
      return MsrFate.ACCEPTED;
    }
    if (batch.kernel().version().compareTo(KernelVersion.V6_18) < 0) {
      return MsrFate.refused(MsrCheck.MSR_XSS_BITS);
    }
    KvmCpuid2 host = batch.vcpu().vm().host().supportedCpuid();
    if (host == null) {
      return MsrFate.NO_CPUID;
    }
    if ((data & ~xssBits(host)) != 0) {
      return MsrFate.refused(MsrCheck.MSR_XSS_BITS);
    }
    KvmCpuid2 guest = batch.vcpu().platform().cpuid();
    boolean guestHas = guest != null && (data & ~xssBits(guest)) == 0;
    return guestHas ? MsrFate.ACCEPTED : MsrFate.NO_RULE;
  }

  private static long xssBits(KvmCpuid2 table) {
    long low = Integer.toUnsignedLong(GuestCpuid.register(table, 0xd, 1, 'c'));
    return Integer.toUnsignedLong(GuestCpuid.register(table, 0xd, 1, 'd')) << 32 | low;
  }

  private static MsrFate xfd(MsrWrites batch, int index, long data) {
    if (batch.kernel().version() == KernelVersion.V5_10) {
      return batch.unsupported(index, data);
    }
    if (data == 0) {
      return MsrFate.ACCEPTED;
    }
    Answer tiles = batch.guestHas(0xd, 0, 'a', 18);
    return (data & ~TILE_DATA) != 0 || tiles.isNo()
        ? MsrFate.refused(MsrCheck.MSR_XFD_BITS)
        : MsrFate.NO_HARDWARE;
  }

  private static MsrFate bndcfgs(MsrWrites batch, int index, long data) {
    if (!batch.kernel().isVmx()) {
      return batch.unsupported(index, data);
    }
    return switch (batch.listed(index)) {
      case NO -> MsrFate.refused(MsrCheck.MSR_BNDCFGS);
      case YES ->
          (data & BNDCFGS_RESERVED) != 0
              ? MsrFate.refused(MsrCheck.MSR_BNDCFGS)
              : batch.canonical(data & ~PAGE);
      case CANNOT_TELL -> MsrFate.NO_HOST_LIST;
    };
  }

  private static MsrFate debugctl(MsrWrites batch, int index, long data) {
    if (batch.kernel().isVmx()) {
      return (data & ~DEBUGCTL_IGNORED) == 0 ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
    }
    if (batch.kernel().isSvm()) {
      return data == 0 ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
    }
    return batch.unsupported(index, data).accepted().isYes() && data == 0
        ? MsrFate.ACCEPTED
        : MsrFate.NO_RULE;
  }

  static MsrFate judgeAmd(MsrWrites batch, MsrKind kind, int index, long data) {
    return switch (kind) {
      case HWCR -> hwcr(batch, data);
      case OSVW -> {
        Answer lacks = batch.guestHas(0x8000_0001, 0, 'c', 9).not();
        yield MsrFate.unless(lacks, MsrCheck.MSR_OSVW, MsrFate.NO_CPUID);
      }
      case VIRT_SPEC_CTRL ->
          batch.kernel().isVmx()
              ? batch.unsupported(index, data)
              : batch.kernel().isSvm()
                  ? MsrFate.unless((data & ~SSBD) != 0, MsrCheck.MSR_VIRT_SPEC_CTRL_BITS)
                  : plainOnly(batch, index, data, 0);
      case TSC_RATIO ->
          batch.kernel().isVmx()
              ? batch.unsupported(index, data)
              : plainOnly(batch, index, data, TSC_RATIO_ONE);
      default -> batch.kernel().isVmx() ? batch.unsupported(index, data) : MsrFate.NO_RULE;
    };
  }

  /** Zero and the reset value are accepted by every module that lists the MSR. */
  private static MsrFate plainOnly(MsrWrites batch, int index, long data, long reset) {
    boolean plain = data == 0 || data == reset;
    return plain && batch.listed(index).isYes() ? MsrFate.ACCEPTED : MsrFate.NO_RULE;
  }

  private static MsrFate hwcr(MsrWrites batch, long data) {
    long rest = data & ~HWCR_IGNORED;
    if (rest == 0 || rest == HWCR_STATUS_WRITE) {
      return MsrFate.ACCEPTED;
    }
    boolean newer = batch.kernel().version().compareTo(KernelVersion.V6_8) >= 0;
    return newer && (rest & ~(HWCR_STATUS_WRITE | HWCR_TSC_FREQ)) == 0
        ? MsrFate.ACCEPTED
        : MsrFate.refused(MsrCheck.MSR_HWCR_BITS);
  }
}
