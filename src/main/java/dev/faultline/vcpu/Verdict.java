package dev.faultline.vcpu;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.vmx.GuestStateCheck;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a {@link Policy} does at a moment at which it has a say. */
public sealed interface Verdict {
  /** Nothing: what was asked for happens. */
  record Accept() implements Verdict {}

  /** The ioctl fails and changes nothing. */
  record RefuseIoctl(Errno errno, @Nullable GuestStateCheck failed) implements Verdict {}

  /**
   * KVM_RUN ends in a way that userspace sees, and L2 does not run.
   *
   * @param check the rule of KVM behind it, if there is one; null where the policy itself is it
   */
  record RefuseRun(Ending ending, @Nullable Check check) implements Verdict {}

  /** L2 exits to L1 with reason TRIPLE_FAULT. */
  record TripleFault(@Nullable GuestStateCheck failed) implements Verdict {}

  /** KVM emulates instructions of L2. */
  record Emulate(@Nullable GuestStateCheck failed) implements Verdict {}

  /** RSM changes what it loaded, and the result is valid. */
  record FixedUp(List<String> changes) implements Verdict {}

  /** Too little is known; the sentence says what is missing. */
  record CannotTell(String missing) implements Verdict {}

  /** How a KVM_RUN that does not run L2 ends. */
  enum Ending {
    /** KVM_RUN fails with EINVAL. */
    EINVAL,
    /** KVM_EXIT_INTERNAL_ERROR, suberror 1. */
    INTERNAL_ERROR,
    /** KVM_RUN fails with EIO, and so does every later call on the VM. */
    DEAD_VM,
    /** KVM_EXIT_SHUTDOWN: to userspace the guest shut itself down. */
    SHUTDOWN
  }

  /** The word used in JSON results. */
  default String word() {
    return switch (this) {
      case Accept _ -> "accept";
      case RefuseIoctl _ -> "refuse-ioctl";
      case RefuseRun _ -> "refuse-run";
      case TripleFault _ -> "triple-fault";
      case Emulate _ -> "emulate";
      case FixedUp _ -> "fixed-up";
      case CannotTell _ -> "cannot-tell";
    };
  }
}
