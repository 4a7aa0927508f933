package dev.faultline.migration;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.NestedStateCheck;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.RunInput;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vcpu.Completion;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The reading half of a plan: what the KVM_GET_* calls of a VMM show of a vCPU. */
final class Saving {
  /** No moment of a timeline: nothing that these calls do is kept in one. */
  private static final int MOMENT = 0;

  private static final int LATCHED_INIT = KvmVcpuEvents.LAYOUT.indexOf("smi.latched_init");
  private static final int INJECTED = KvmVcpuEvents.LAYOUT.indexOf("exception.injected");
  private static final int PENDING = KvmVcpuEvents.LAYOUT.indexOf("exception.pending");
  private static final int MAX_CPUID = 256;
  private static final int MAX_MSRS = 255;

  private static final RunInput IMMEDIATE = new RunInput(0, KvmRun.zero().withImmediateExit(1));
  private static final RunResult INTERRUPTED =
      new RunResult(
          -1,
          Errno.EINTR.number(),
          KvmRun.zero().withImmediateExit(1).withExitReason(KvmExit.KVM_EXIT_INTR.number()),
          Answer.NO,
          Answer.NO,
          true);

  private final Plan plan;
  private final @Nullable Policy policy;
  private final List<List<KvmMsrs>> lists = new ArrayList<>();
  private @Nullable MsrState listedFor;
  private MsrState presentFor = MsrState.empty();
  private boolean listsMade;

  /**
   * Reads by this plan.
   *
   * @param policy what rules instead of KVM over an L2 that hardware cannot run, or null
   */
  Saving(Plan plan, @Nullable Policy policy) {
    this.plan = plan;
    this.policy = policy;
  }

  /**
   * What was read, and the source after it.
   *
   * @param moved whether reading changed the source: an access was completed, an INIT accepted
   * @param memory what the policy remembers of the source
   */
  record Saved(SavedState state, Vcpu source, boolean moved, Memory memory) {}

  Saved save(Vcpu vcpu, Memory remembered) {
    makeLists(vcpu);
    Map<Ioctl, Reply> replies = new EnumMap<>(Ioctl.class);
    Map<Ioctl, Long> returned = new EnumMap<>(Ioctl.class);
    Vcpu v = vcpu;
    Memory memory = remembered;
    boolean moved = false;
    for (int i = 0; i < plan.saves().size(); i++) {
      SaveStep step = plan.saves().get(i);
      if (step.ioctl() == Ioctl.RUN) {
        PolicyRun run = PolicyRun.of(policy, memory, v, new VcpuCommand.Run(MOMENT, IMMEDIATE));
        memory = run.memory();
        if (run.isRefused()) {
          return new Saved(
              new SavedState(
                  replies,
                  returned,
                  new SavedState.Failure(i, Ioctl.RUN, Errno.EINVAL, run.check())),
              v,
              moved,
              memory);
        }
        Vcpu completed = complete(v);
        moved |= !Identity.same(completed, v);
        v = completed;
        continue;
      }
      VcpuCommand command = command(step.ioctl());
      if (step.ioctl() == Ioctl.GET_MSRS) {
        replies.merge(Ioctl.GET_MSRS, msrs(v, lists.get(i)), Replies::joined);
        continue;
      }
      if (command == null) {
        returned.put(step.ioctl(), 0L);
        continue;
      }
      Decision d = VcpuModel.decide(v, command);
      if (d.outcome() instanceof Outcome.Refused r) {
        // What a host does not have, VMMs ask for first and leave out.
        if ((step.ioctl() == Ioctl.GET_LAPIC && r.errno() == Errno.EINVAL)
            || r.check() == NestedStateCheck.NESTED_UNSUPPORTED) {
          continue;
        }
        return new Saved(
            new SavedState(
                replies, returned, new SavedState.Failure(i, step.ioctl(), r.errno(), r.check())),
            v,
            moved,
            memory);
      }
      if (d.outcome() instanceof Outcome.Returns r && d.reply() == null) {
        returned.put(step.ioctl(), r.value());
      } else if (d.reply() != null) {
        replies.put(step.ioctl(), asFarAsKnown(v, step.ioctl(), d.reply()));
      } else {
        returned.put(step.ioctl(), 0L);
      }
      if (step.ioctl() == Ioctl.GET_MP_STATE && d.reply() instanceof Reply.Struct s) {
        Vcpu accepted = acceptInit(v, s);
        moved |= !Identity.same(accepted, v);
        v = accepted;
      }
    }
    return new Saved(new SavedState(replies, returned, null), v, moved, memory);
  }

  private static Reply asFarAsKnown(Vcpu v, Ioctl ioctl, Reply reply) {
    return switch (ioctl) {
      case GET_VCPU_EVENTS -> noException(v, reply);
      case GET_NESTED_STATE -> UnseenVmcs.completed(v, reply);
      default -> reply;
    };
  }

  /** An exception that is certainly not there is shown as none, whatever its vector was. */
  private static Reply noException(Vcpu v, Reply reply) {
    boolean none = v.events().is(INJECTED, 0).isYes() && v.events().is(PENDING, 0).isYes();
    return none && reply instanceof Reply.Struct s
        ? new Reply.Struct(
            s.prefix(),
            s.offset(),
            s.layout(),
            s.bytes(),
            s.knownFields().with(INJECTED).with(PENDING))
        : reply;
  }

  /** KVM_RUN with immediate_exit: nothing but the completion of what userspace carried out. */
  private static Vcpu complete(Vcpu v) {
    if (v.progress().completion() == Completion.NONE) {
      return v;
    }
    Vcpu entered = VcpuModel.evolve(v, new TimelineEvent.RunEntered(MOMENT, IMMEDIATE));
    return VcpuModel.evolve(entered, new TimelineEvent.RunReturned(MOMENT, INTERRUPTED));
  }

  /** Reading the multiprocessing state accepts an INIT or SIPI that is known to wait. */
  private static Vcpu acceptInit(Vcpu v, Reply.Struct read) {
    boolean latched = v.events().is(LATCHED_INIT, 0).isNo();
    if (!latched && !v.progress().initOrSipiPossible().isYes()) {
      return v;
    }
    Vcpu accepted =
        VcpuModel.evolve(v, new TimelineEvent.MpStateRead(MOMENT, new KvmMpState(read.bytes())));
    return VcpuModel.evolve(accepted, new TimelineEvent.CallDoubted(MOMENT, Ioctl.GET_MP_STATE));
  }

  /**
   * The lists of MSRs of each step, as the host has them. Where the recording does not tell what
   * KVM lists, it lists what the vCPU has, but for MTRRs and machine-check banks.
   */
  @SuppressWarnings("ReferenceEquality") // The list is replaced when it changes.
  private void makeLists(Vcpu v) {
    MsrState listed = v.vm().host().msrIndexes();
    MsrState present = v.platform().msrs();
    if (listsMade && listedFor == listed && (listed != null || Indexes.same(presentFor, present))) {
      return;
    }
    lists.clear();
    for (SaveStep step : plan.saves()) {
      MsrState all = listed == null ? Indexes.listable(present) : listed;
      lists.add(step.ioctl() == Ioctl.GET_MSRS ? lists(step.msrs(), all) : List.of());
    }
    listedFor = listed;
    presentFor = present;
    listsMade = true;
  }

  private static List<KvmMsrs> lists(MsrSet set, MsrState listed) {
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = 0; set.listed() && i < listed.size(); i++) {
      int index = listed.indexAt(i);
      if (!set.except().contains(index) && !set.named().contains(index)) {
        entries.add(new MsrEntry(index, 0));
      }
    }
    for (int index : set.named()) {
      if (!set.except().contains(index)) {
        entries.add(new MsrEntry(index, 0));
      }
    }
    List<KvmMsrs> lists = new ArrayList<>();
    for (int from = 0; from < entries.size(); from += MAX_MSRS) {
      lists.add(KvmMsrs.of(entries.subList(from, Math.min(entries.size(), from + MAX_MSRS))));
    }
    return List.copyOf(lists);
  }

  /**
   * Every MSR of the lists that KVM lets read; a VMM asks no second time for one that it refuses.
   */
  private static Reply.Msrs msrs(Vcpu v, List<KvmMsrs> lists) {
    Reply.Msrs all = Replies.NO_MSRS;
    for (KvmMsrs list : lists) {
      KvmMsrs rest = list;
      while (rest.held() > 0) {
        Decision d = VcpuModel.decide(v, new VcpuCommand.GetMsrs(MOMENT, rest));
        if (!(d.reply() instanceof Reply.Msrs read)) {
          break;
        }
        if (read.read() == rest.held()) {
          all = Replies.joined(all, read);
          break;
        }
        all = Replies.joined(all, Replies.first(read, d.outcome(), v.platform().msrs()));
        rest = Replies.without(rest, read.read() + 1);
      }
    }
    return all;
  }

  private static @Nullable VcpuCommand command(Ioctl ioctl) {
    return switch (ioctl) {
      case GET_REGS -> new VcpuCommand.GetRegs(MOMENT);
      case GET_SREGS -> new VcpuCommand.GetSregs(MOMENT);
      case GET_SREGS2 -> new VcpuCommand.GetSregs2(MOMENT);
      case GET_VCPU_EVENTS -> new VcpuCommand.GetVcpuEvents(MOMENT);
      case GET_NESTED_STATE ->
          new VcpuCommand.GetNestedState(MOMENT, KvmNestedState.VMX_SIZE_WITH_SHADOW);
      case GET_MP_STATE -> new VcpuCommand.GetMpState(MOMENT);
      case GET_DEBUGREGS -> new VcpuCommand.GetDebugregs(MOMENT);
      case GET_XCRS -> new VcpuCommand.GetXcrs(MOMENT);
      case GET_XSAVE -> new VcpuCommand.GetXsave(MOMENT, false);
      case GET_XSAVE2 -> new VcpuCommand.GetXsave(MOMENT, true);
      case GET_LAPIC -> new VcpuCommand.GetLapic(MOMENT);
      case GET_CPUID2 -> new VcpuCommand.GetCpuid2(MOMENT, MAX_CPUID);
      case GET_TSC_KHZ -> new VcpuCommand.GetTscKhz(MOMENT);
      default -> null;
    };
  }
}
