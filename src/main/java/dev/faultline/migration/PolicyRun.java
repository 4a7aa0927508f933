package dev.faultline.migration;

import dev.faultline.Check;
import dev.faultline.migration.Migration.RunDifference;
import dev.faultline.migration.MigrationOutcome.Fault;
import dev.faultline.vcpu.InvalidEntry;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.Verdict;
import org.jspecify.annotations.Nullable;

/**
 * How a KVM_RUN begins under a policy.
 *
 * @param verdict what the policy says
 * @param check what makes L2's state invalid, if it is
 * @param memory what the policy remembers when the call has returned
 */
record PolicyRun(Verdict verdict, @Nullable Check check, Memory memory) {

  static PolicyRun of(@Nullable Policy policy, Memory memory, Vcpu v, VcpuCommand.Run run) {
    if (policy == null) {
      return new PolicyRun(new Verdict.Accept(), null, memory);
    }
    InvalidEntry entry = InvalidEntry.of(v, run);
    Policy.Ruling ruling = policy.atRun(memory, v, run, entry);
    Check check = entry.failed() == null ? entry.check() : entry.failed();
    return new PolicyRun(ruling.verdict(), check, policy.returned(ruling.memory()));
  }

  /** Whether the policy leaves the call to KVM. */
  boolean isAccepted() {
    return verdict instanceof Verdict.Accept;
  }

  /** Whether the call fails although it would only have completed an access and returned. */
  boolean isRefused() {
    return switch (verdict) {
      case Verdict.RefuseIoctl _ -> true;
      case Verdict.RefuseRun r -> r.ending() == Verdict.Ending.EINVAL;
      case Verdict.Accept _,
          Verdict.TripleFault _,
          Verdict.Emulate _,
          Verdict.FixedUp _,
          Verdict.CannotTell _ ->
          false;
    };
  }

  private String ending() {
    return switch (verdict) {
      case Verdict.Accept _, Verdict.FixedUp _ -> "";
      case Verdict.RefuseIoctl r -> r.errno().name();
      case Verdict.RefuseRun r ->
          switch (r.ending()) {
            case EINVAL -> "EINVAL";
            case INTERNAL_ERROR -> "KVM_EXIT_INTERNAL_ERROR suberror 1";
            case DEAD_VM -> "EIO and a dead VM";
            case SHUTDOWN -> "KVM_EXIT_SHUTDOWN";
          };
      case Verdict.TripleFault _ -> "TRIPLE_FAULT for L1";
      case Verdict.Emulate _ -> "the emulation of L2";
      case Verdict.CannotTell c -> c.missing();
    };
  }

  /** What the two vCPUs' calls are to each other, one of which at least the policy speaks of. */
  static RunDifference difference(PolicyRun stayed, PolicyRun migrated) {
    boolean open = migrated.verdict instanceof Verdict.CannotTell;
    if (open || stayed.verdict instanceof Verdict.CannotTell) {
      return new RunDifference(null, open != stayed.verdict instanceof Verdict.CannotTell, "");
    }
    String one = stayed.ending();
    String other = migrated.ending();
    if (one.equals(other)) {
      return new RunDifference(null, false, "");
    }
    if (other.isEmpty()) {
      return new RunDifference(
          null, false, "the next KVM_RUN runs the guest; had it stayed, it would end in " + one);
    }
    String instead = one.isEmpty() ? "" : "; had it stayed, in " + one;
    return new RunDifference(new Fault(other + instead, migrated.check), false, "");
  }
}
