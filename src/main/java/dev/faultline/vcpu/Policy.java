package dev.faultline.vcpu;

import dev.faultline.kvm.Errno;
import dev.faultline.vcpu.Vcpu.Emulation;
import dev.faultline.vcpu.Verdict.Ending;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A rule for what becomes of an L2 whose state hardware cannot run.
 *
 * <p>Linux commit cd0e615c49e5, "KVM: nVMX: Synthesize TRIPLE_FAULT for L2 if emulation is
 * required", chose one and argues against the others; here all of them can be asked at the same
 * moments. A policy is a pure function: what it remembers between moments is its {@link Memory},
 * which the caller keeps.
 *
 * <p><em>Order</em>: {@link #atIoctl} for each accepted KVM_SET_*; {@link #atRun} when a KVM_RUN
 * begins; inside it {@link #entered} for each VM-Enter and {@link #atRsm} when RSM returns to L2;
 * {@link #returned} when it ends; {@link #migrated} once when a vCPU proves to be the restored copy
 * of another.
 */
public sealed interface Policy {
  /** The six policies, the one that KVM has first. */
  static List<Policy> all() {
    return List.of(
        new SynthesizeTripleFault(),
        new EmulateL2(),
        new RefuseIoctls(),
        new RefuseRuns(),
        StickyFlag.DEFAULT,
        new IntelRsm());
  }

  /** The name in results. */
  String label();

  /** The rule in one sentence. */
  String rule();

  /** A KVM_SET_* that KVM accepted. */
  default Ruling atIoctl(Memory memory, Vcpu before, VcpuCommand command, Vcpu after) {
    return new Ruling(new Verdict.Accept(), memory);
  }

  /**
   * KVM_RUN begins.
   *
   * @param entry how far it gets with the recorded vCPU
   */
  Ruling atRun(Memory memory, Vcpu before, VcpuCommand.Run run, InvalidEntry entry);

  /** RSM has loaded L2's state, and it is invalid. */
  Ruling atRsm(Memory memory, Vcpu loaded);

  /** A VM-Enter took place. */
  default Memory entered(Memory memory) {
    return Memory.NOTHING;
  }

  /** KVM_RUN returned. */
  default Memory returned(Memory memory) {
    return memory;
  }

  /** Userspace changed saved state between reading and writing it, which no vCPU saw. */
  default Memory edited(Memory memory) {
    return memory;
  }

  /**
   * A restored vCPU is about to run.
   *
   * @param source what the policy would remember of the vCPU had it stayed where it was
   * @param destination what it remembers of the restored one
   */
  default Memory migrated(Memory source, Memory destination) {
    return destination;
  }

  /**
   * What a policy remembers of a vCPU.
   *
   * @param stuffed userspace wrote L2's state since the last VM-Enter; for {@link RefuseIoctls}
   *     CANNOT_TELL after an ioctl of which it cannot be told whether it would have been refused
   * @param world the vCPU as it would be, where the policy made it another than the recorded one
   */
  record Memory(Answer stuffed, @Nullable Vcpu world) {
    /** The memory of a new vCPU. */
    public static final Memory NOTHING = new Memory(Answer.NO, null);

    public Memory withStuffed(Answer changed) {
      return new Memory(changed, world);
    }

    public Memory withWorld(@Nullable Vcpu changed) {
      return new Memory(stuffed, changed);
    }

    /** The vCPU as the policy made it. */
    public Vcpu worldOr(Vcpu recorded) {
      return world == null ? recorded : world;
    }
  }

  /** A verdict, and what to remember from here. */
  record Ruling(Verdict verdict, Memory memory) {}

  /** Whether L2 is active with a state that hardware cannot run. */
  static Answer invalidL2(Vcpu v) {
    return v.registers().emulation().required().and(v.inGuestMode());
  }

  private static Verdict cannotTell(InvalidEntry entry) {
    return new Verdict.CannotTell(entry.missing());
  }

  /**
   * What KVM does: see {@link KernelVersion#invalidL2()} and {@link
   * KernelVersion#rsmToInvalidL2()}.
   */
  record SynthesizeTripleFault() implements Policy {
    @Override
    public String label() {
      return "synthesize-triple-fault";
    }

    @Override
    public String rule() {
      return "L2 that is invalid at VM-Enter exits to L1 with TRIPLE_FAULT.";
    }

    @Override
    public Ruling atRun(Memory memory, Vcpu before, VcpuCommand.Run run, InvalidEntry entry) {
      Verdict verdict =
          switch (entry.reach()) {
            case NOT_INVALID, RETURNS_FIRST, INTERRUPTED, OTHER_FIRST -> new Verdict.Accept();
            case REJECTED -> new Verdict.RefuseRun(Ending.INTERNAL_ERROR, entry.check());
            case ENTERS -> new Verdict.TripleFault(entry.failed());
            case ENTERS_PENDING -> new Verdict.RefuseRun(Ending.DEAD_VM, entry.check());
            case CANNOT_TELL -> cannotTell(entry);
          };
      return new Ruling(verdict, memory);
    }

    /** A kernel without the commit gets the exit that the commit means. */
    @Override
    public Ruling atRsm(Memory memory, Vcpu loaded) {
      Verdict verdict =
          switch (loaded.kernel().version().rsmToInvalidL2()) {
            case EMULATE -> new Verdict.TripleFault(loaded.registers().emulation().failed());
            case DEAD_VM -> new Verdict.RefuseRun(Ending.DEAD_VM, CallCheck.RUN_PENDING_ENTRY_BUG);
            case SHUTDOWN -> new Verdict.RefuseRun(Ending.SHUTDOWN, CallCheck.RSM_TO_INVALID_L2);
          };
      return new Ruling(verdict, memory);
    }
  }

  /** What KVM did before the commit: recorded on 5.10. */
  record EmulateL2() implements Policy {
    @Override
    public String label() {
      return "emulate";
    }

    @Override
    public String rule() {
      return "KVM emulates L2 until hardware can run it.";
    }

    @Override
    public Ruling atRun(Memory memory, Vcpu before, VcpuCommand.Run run, InvalidEntry entry) {
      return new Ruling(emulated(entry), memory);
    }

    private static Verdict emulated(InvalidEntry entry) {
      return switch (entry.reach()) {
        case NOT_INVALID, RETURNS_FIRST, INTERRUPTED, OTHER_FIRST -> new Verdict.Accept();
        case REJECTED, ENTERS, ENTERS_PENDING -> new Verdict.Emulate(entry.failed());
        case CANNOT_TELL -> cannotTell(entry);
      };
    }

    @Override
    public Ruling atRsm(Memory memory, Vcpu loaded) {
      return new Ruling(emulated(loaded), memory);
    }

    private static Verdict emulated(Vcpu loaded) {
      return new Verdict.Emulate(loaded.registers().emulation().failed());
    }
  }

  /** Refuses the ioctl after which L2 would be invalid. RSM is no ioctl: it needs another rule. */
  record RefuseIoctls() implements Policy {
    @Override
    public String label() {
      return "refuse-ioctl";
    }

    @Override
    public String rule() {
      return "The ioctl that makes L2 invalid fails with EINVAL and changes nothing.";
    }

    @Override
    public Ruling atIoctl(Memory memory, Vcpu before, VcpuCommand command, Vcpu after) {
      Vcpu world = memory.world();
      Vcpu next = world == null ? after : carriedOut(world, command);
      if (!writesL2(command)) {
        return new Ruling(new Verdict.Accept(), world == null ? memory : memory.withWorld(next));
      }
      Vcpu unchanged = memory.worldOr(before);
      return switch (invalidL2(next)) {
        case YES ->
            new Ruling(
                new Verdict.RefuseIoctl(Errno.EINVAL, next.registers().emulation().failed()),
                memory.withWorld(unchanged));
        case NO ->
            new Ruling(new Verdict.Accept(), world == null ? memory : memory.withWorld(next));
        case CANNOT_TELL ->
            new Ruling(
                next.inGuestMode().isYes()
                    ? new Verdict.CannotTell("whether L2's state is valid")
                    : new Verdict.Accept(),
                (world == null ? memory : memory.withWorld(next)).withStuffed(Answer.CANNOT_TELL));
      };
    }

    private static Vcpu carriedOut(Vcpu world, VcpuCommand command) {
      Vcpu next = world;
      for (TimelineEvent event : VcpuModel.decide(world, command).events()) {
        next = VcpuModel.evolve(next, event);
      }
      return next;
    }

    /** Registers in the shared page are refused as those in an ioctl. */
    @Override
    public Ruling atRun(Memory memory, Vcpu before, VcpuCommand.Run run, InvalidEntry entry) {
      Vcpu base = memory.worldOr(before);
      Emulation start = InvalidEntry.started(base, run).registers().emulation();
      if (run.input().run().dirtyRegs() != 0
          && !invalidL2(base).isYes()
          && invalidL2(InvalidEntry.started(base, run)).isYes()) {
        return new Ruling(
            new Verdict.RefuseIoctl(Errno.EINVAL, start.failed()), memory.withWorld(base));
      }
      if (memory.world() == null && memory.stuffed() == Answer.CANNOT_TELL) {
        return switch (entry.reach()) {
              case NOT_INVALID, RETURNS_FIRST, INTERRUPTED -> true;
              default -> false;
            }
            ? new Ruling(new Verdict.Accept(), memory)
            : new Ruling(
                new Verdict.CannotTell("whether an ioctl before would have been refused"), memory);
      }
      InvalidEntry own = memory.world() == null ? entry : InvalidEntry.of(base, run);
      return new Ruling(EmulateL2.emulated(own), memory);
    }

    @Override
    public Ruling atRsm(Memory memory, Vcpu loaded) {
      return new Ruling(EmulateL2.emulated(loaded), memory);
    }
  }

  /**
   * KVM_RUN fails when it begins with an invalid L2, even one that would only complete userspace
   * I/O and return. Within a KVM_RUN only RSM can make L2 invalid, and L1 gets a TRIPLE_FAULT.
   */
  record RefuseRuns() implements Policy {
    @Override
    public String label() {
      return "refuse-run";
    }

    @Override
    public String rule() {
      return "KVM_RUN fails with EINVAL while L2 is invalid.";
    }

    @Override
    public Ruling atRun(Memory memory, Vcpu before, VcpuCommand.Run run, InvalidEntry entry) {
      Verdict verdict =
          switch (entry.reach()) {
            case NOT_INVALID, RETURNS_FIRST -> new Verdict.Accept();
            case INTERRUPTED, REJECTED, ENTERS, ENTERS_PENDING, OTHER_FIRST ->
                new Verdict.RefuseRun(Ending.EINVAL, null);
            case CANNOT_TELL ->
                entry.failed() == null
                    ? cannotTell(entry)
                    : new Verdict.RefuseRun(Ending.EINVAL, null);
          };
      return new Ruling(verdict, memory);
    }

    @Override
    public Ruling atRsm(Memory memory, Vcpu loaded) {
      return new Ruling(new Verdict.TripleFault(loaded.registers().emulation().failed()), memory);
    }
  }

  /**
   * A flag tells userspace's writes from RSM's: with it KVM_RUN fails, without it L1 gets a
   * TRIPLE_FAULT.
   *
   * @param cleared when the flag is cleared
   * @param saved whether KVM_GET_NESTED_STATE reports the flag and KVM_SET_NESTED_STATE restores
   *     it, which no uapi has room for
   */
  record StickyFlag(Cleared cleared, boolean saved) implements Policy {
    /** As the commit describes it: the next VM-Enter consumes the flag. */
    public static final StickyFlag DEFAULT = new StickyFlag(Cleared.AT_ENTRY, false);

    /** When the flag is cleared. */
    public enum Cleared {
      /** By the next VM-Enter. */
      AT_ENTRY,
      /** Whenever KVM_RUN returns. */
      AT_RETURN
    }

    @Override
    public String label() {
      return "sticky-flag"
          + (cleared == Cleared.AT_RETURN ? "/cleared-at-return" : "")
          + (saved ? "/saved" : "");
    }

    @Override
    public String rule() {
      return "An ioctl that writes L2's state sets a flag; with it KVM_RUN fails while L2 is"
          + " invalid, without it L1 gets a TRIPLE_FAULT; "
          + (cleared == Cleared.AT_RETURN ? "KVM_RUN's return" : "the next VM-Enter")
          + " clears it.";
    }

    @Override
    public Ruling atIoctl(Memory memory, Vcpu before, VcpuCommand command, Vcpu after) {
      if (!writesL2(command)) {
        return new Ruling(new Verdict.Accept(), memory);
      }
      Answer active = after.inGuestMode();
      // What the flag stood for is gone when the ioctl takes the vCPU out of L2.
      Answer stuffed = active.isNo() ? Answer.NO : active.or(memory.stuffed());
      return new Ruling(new Verdict.Accept(), memory.withStuffed(stuffed));
    }

    @Override
    public Ruling atRun(Memory memory, Vcpu before, VcpuCommand.Run run, InvalidEntry entry) {
      Memory now =
          run.input().run().dirtyRegs() == 0
              ? memory
              : memory.withStuffed(memory.stuffed().or(before.inGuestMode()));
      Verdict verdict =
          switch (entry.reach()) {
            case NOT_INVALID, RETURNS_FIRST -> new Verdict.Accept();
            case REJECTED, ENTERS, ENTERS_PENDING ->
                byFlag(now, new Verdict.TripleFault(entry.failed()));
            case INTERRUPTED, OTHER_FIRST -> byFlag(now, new Verdict.Accept());
            case CANNOT_TELL ->
                entry.failed() == null ? cannotTell(entry) : byFlag(now, cannotTell(entry));
          };
      return new Ruling(verdict, now);
    }

    @Override
    public Ruling atRsm(Memory memory, Vcpu loaded) {
      return new Ruling(
          byFlag(memory, new Verdict.TripleFault(loaded.registers().emulation().failed())), memory);
    }

    private static Verdict byFlag(Memory memory, Verdict otherwise) {
      return switch (memory.stuffed()) {
        case YES -> new Verdict.RefuseRun(Ending.EINVAL, null);
        case NO -> otherwise;
        case CANNOT_TELL ->
            new Verdict.CannotTell("whether userspace wrote L2's state since the last VM-Enter");
      };
    }

    @Override
    public Memory entered(Memory memory) {
      return cleared == Cleared.AT_ENTRY ? Memory.NOTHING : memory;
    }

    @Override
    public Memory returned(Memory memory) {
      return cleared == Cleared.AT_RETURN ? Memory.NOTHING : memory;
    }

    @Override
    public Memory edited(Memory memory) {
      return memory.withStuffed(Answer.YES);
    }

    @Override
    public Memory migrated(Memory source, Memory destination) {
      return saved ? destination.withStuffed(source.stuffed()) : destination;
    }
  }

  /**
   * What Intel's hardware does on RSM, and nothing else: a state that stays invalid, or that an
   * ioctl made so, is emulated as before the commit.
   *
   * <p><em>Source:</em> Intel SDM vol. 3C, "Default Treatment of RSM".
   */
  record IntelRsm() implements Policy {
    @Override
    public String label() {
      return "intel-rsm";
    }

    @Override
    public String rule() {
      return "RSM forces the fixed bits of CR0 and CR4, and CS.RPL and SS.RPL to SS.DPL.";
    }

    @Override
    public Ruling atRun(Memory memory, Vcpu before, VcpuCommand.Run run, InvalidEntry entry) {
      Vcpu world = memory.world();
      InvalidEntry own = world == null ? entry : InvalidEntry.of(world, run);
      return new Ruling(EmulateL2.emulated(own), memory);
    }

    @Override
    public Ruling atRsm(Memory memory, Vcpu loaded) {
      RsmFixUp fixed = RsmFixUp.of(loaded);
      return switch (invalidL2(fixed.vcpu())) {
        case NO -> new Ruling(new Verdict.FixedUp(fixed.changes()), memory.withWorld(fixed.vcpu()));
        case YES -> new Ruling(EmulateL2.emulated(fixed.vcpu()), memory);
        case CANNOT_TELL ->
            new Ruling(new Verdict.CannotTell("what RSM loaded from SMRAM"), memory);
      };
    }
  }

  private static boolean writesL2(VcpuCommand command) {
    return switch (command) {
      case VcpuCommand.SetRegs _,
          VcpuCommand.SetSregs _,
          VcpuCommand.SetSregs2 _,
          VcpuCommand.SetVcpuEvents _,
          VcpuCommand.SetNestedState _ ->
          true;
      default -> false;
    };
  }
}
