package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmDeviceAttr;
import dev.faultline.kvm.KvmSignalMask;
import dev.faultline.kvm.KvmX86Mce;
import dev.faultline.x86.Msr;
import java.util.List;

/**
 * Ioctls of a vCPU that leave nothing behind of what is modelled, or next to nothing: whether KVM
 * takes them.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl()}; {@code
 * virt/kvm/kvm_main.c, kvm_vcpu_ioctl()}, v6.1.
 */
final class OtherRules {
  private static final int SIGNAL_SET_SIZE = 8;
  private static final long BANKS = 0xff;
  private static final long STATUS_VALID = 1L << 63;

  private OtherRules() {}

  static Decision decide(Vcpu v, VcpuCommand.Other c) {
    TimelineEvent.CallNoted noted = new TimelineEvent.CallNoted(c.moment(), c.ioctl());
    Bytes given = c.payload();
    boolean nothing = given.isEmpty() && c.ioctl() == Ioctl.SET_SIGNAL_MASK;
    if (given.size() < c.ioctl().size() && !nothing) {
      return Decision.undecided(noted, "a payload that was not recorded as a whole");
    }
    return modelled(v, c, noted);
  }

  private static Decision modelled(Vcpu v, VcpuCommand.Other c, TimelineEvent.CallNoted noted) {
    Bytes given = c.payload().slice(0, whole(c));
    return switch (c.ioctl()) {
      case SET_SIGNAL_MASK ->
          unless(
              c,
              !given.isEmpty() && new KvmSignalMask(given).len() != SIGNAL_SET_SIZE,
              CallCheck.SIGNAL_MASK_SIZE);
      case X86_SET_MCE -> mce(v, c, new KvmX86Mce(given));
      // What is not mapped is told in the reply.
      case TRANSLATE -> Decision.done(noted);
      case HAS_DEVICE_ATTR, GET_DEVICE_ATTR, SET_DEVICE_ATTR ->
          attribute(v, c, new KvmDeviceAttr(given));
      case GET_STATS_FD ->
          v.kernel().version() == KernelVersion.V5_10
              ? refused(c, Errno.EINVAL, CallCheck.IOCTL_UNKNOWN)
              : new Decision(new Outcome.Succeeds(), List.of(noted), null);
      default -> Decision.undecided(noted, "an ioctl that is not modelled");
    };
  }

  /** Bytes of the struct that KVM reads; of a list, all there are. */
  private static int whole(VcpuCommand.Other c) {
    return switch (c.ioctl()) {
      case X86_SET_MCE, HAS_DEVICE_ATTR, GET_DEVICE_ATTR, SET_DEVICE_ATTR -> c.ioctl().size();
      default -> c.payload().size();
    };
  }

  private static Decision unless(VcpuCommand.Other c, boolean fails, CallCheck check) {
    return fails
        ? refused(c, Errno.EINVAL, check)
        : Decision.done(new TimelineEvent.CallNoted(c.moment(), c.ioctl()));
  }

  private static Decision refused(VcpuCommand.Other c, Errno errno, CallCheck check) {
    return DeviceRules.refused(c.moment(), c.ioctl(), errno, check);
  }

  private static Decision mce(Vcpu v, VcpuCommand.Other c, KvmX86Mce given) {
    MsrState msrs = v.platform().msrs();
    boolean known = msrs.knows(Msr.IA32_MCG_CAP);
    if ((given.status() & STATUS_VALID) == 0) {
      return refused(c, Errno.EINVAL, CallCheck.MCE_STATUS);
    }
    if (known && given.bank() >= (msrs.value(Msr.IA32_MCG_CAP) & BANKS)) {
      return refused(c, Errno.EINVAL, CallCheck.MCE_BANK);
    }
    TimelineEvent.CallNoted noted = new TimelineEvent.CallNoted(c.moment(), c.ioctl());
    return known
        ? Decision.done(noted)
        : Decision.undecided(noted, "the vCPU's machine-check capabilities");
  }

  /** {@code kvm_vcpu_ioctl_device_attr()}, since 5.16: the offset of the TSC and nothing else. */
  private static Decision attribute(Vcpu v, VcpuCommand.Other c, KvmDeviceAttr given) {
    if (v.kernel().version() == KernelVersion.V5_10) {
      return refused(c, Errno.EINVAL, CallCheck.IOCTL_UNKNOWN);
    }
    if (given.group() != KvmDeviceAttr.KVM_VCPU_TSC_CTRL) {
      return refused(c, Errno.ENXIO, CallCheck.VCPU_ATTRIBUTE);
    }
    TimelineEvent.CallNoted noted = new TimelineEvent.CallNoted(c.moment(), c.ioctl());
    if (given.attr() != KvmDeviceAttr.KVM_VCPU_TSC_OFFSET) {
      return c.ioctl() == Ioctl.HAS_DEVICE_ATTR
          ? refused(c, Errno.ENXIO, CallCheck.VCPU_ATTRIBUTE)
          : Decision.undecided(noted, "whether the attribute's address is canonical");
    }
    return Decision.done(noted);
  }

  /** Whether KVM_TPR_ACCESS_REPORTING names a flag, of which there is none. */
  static boolean namesFlag(Bytes tprAccessCtl) {
    return tprAccessCtl.size() >= 2 * Integer.BYTES && tprAccessCtl.i32(Integer.BYTES) != 0;
  }
}
