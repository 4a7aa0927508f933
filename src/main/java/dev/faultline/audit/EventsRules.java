package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.Vm;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** R47 and R48: pending events. */
final class EventsRules implements RuleFamily {
  private static final int LAST_EXCEPTION = 31;
  private static final int NMI_VECTOR = 2;
  private static final int KNOWN_FLAGS = 0x3f;

  static final Rule R47 =
      Rule.of(
          "R47",
          Severity.ERROR,
          Tier.T1,
          false,
          Rule.Where.on("x86", "all; KVM_CAP_X86_TRIPLE_FAULT_EVENT since 6.1", "C55"),
          new Rule.Prose(
              "KVM_SET_VCPU_EVENTS sets only flags whose capability is enabled, and only"
                  + " exceptions",
              """
              KVM_VCPUEVENT_VALID_PAYLOAD needs KVM_CAP_EXCEPTION_PAYLOAD,
              KVM_VCPUEVENT_VALID_TRIPLE_FAULT needs KVM_CAP_X86_TRIPLE_FAULT_EVENT on the VM; an
              exception's number is at most 31 and not 2. The triple-fault flag is checked last:
              EINVAL then comes after everything else was applied.
              (kvm_vcpu_ioctl_x86_set_vcpu_events)\
              """,
              "Enable on the destination what was enabled on the source, before events."));
  static final Rule R48 =
      Rule.of(
          "R48",
          Severity.ERROR,
          Tier.T1,
          true,
          Rule.Where.on("x86", "triple fault: 6.1 and later", "C55"),
          new Rule.Prose(
              "What is pending when a vCPU is saved is pending after it was restored",
              """
              A pending triple fault, SMI, NMI or exception, a nested VM-Enter that has not happened
              and a pending monitor-trap exit are flags in the saved structs. Dropped, the guest goes
              on as if nothing had been due. A triple fault is in the events only if
              KVM_CAP_X86_TRIPLE_FAULT_EVENT is enabled.\
              """,
              "Restore the structs as they were read, flags included; enable"
                  + " KVM_CAP_X86_TRIPLE_FAULT_EVENT on both sides."));

  @Override
  public List<Rule> rules() {
    return List.of(R47, R48);
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    if (call.command() instanceof VcpuCommand.SetVcpuEvents set) {
      caps(step, set.events(), findings);
    }
  }

  private static void caps(Step step, KvmVcpuEvents events, Findings findings) {
    Call call = step.call();
    Vm.Settings settings = step.after().vm().settings();
    int flags = events.flags();
    String wrong = null;
    boolean pending =
        events.exceptionPending() != 0 && (flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD) != 0;
    if ((flags & ~KNOWN_FLAGS) != 0) {
      wrong = "unknown flags 0x" + Integer.toHexString(flags & ~KNOWN_FLAGS);
    } else if ((flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD) != 0
        && settings.exceptionPayload().isNo()) {
      wrong = "KVM_VCPUEVENT_VALID_PAYLOAD without KVM_CAP_EXCEPTION_PAYLOAD";
    } else if ((events.exceptionInjected() != 0 || pending)
        && (events.exceptionNr() > LAST_EXCEPTION || events.exceptionNr() == NMI_VECTOR)) {
      wrong = "exception " + events.exceptionNr();
    } else if ((flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT) != 0
        && settings.tripleFaultEvent().isNo()) {
      wrong = "KVM_VCPUEVENT_VALID_TRIPLE_FAULT without KVM_CAP_X86_TRIPLE_FAULT_EVENT";
    }
    if (wrong != null && !call.done()) {
      findings.add(
          R47, call.as("refused: " + call.result()), "KVM_SET_VCPU_EVENTS is refused: " + wrong);
    }
  }

  @Override
  public void run(Step step, Findings findings) {
    VcpuTrack vcpu = step.vcpu();
    Scene.Saved saved = step.scene().saved(vcpu.index());
    if (!vcpu.written().isRestore() || saved == null || saved.vcpu().equals(vcpu)) {
      return;
    }
    if (!vcpu.hasRun()) {
      events(step, saved, findings);
      nested(step, saved, findings);
    }
  }

  private static void events(Step step, Scene.Saved saved, Findings findings) {
    KvmVcpuEvents then = saved.reads().eventsRead();
    Call read = saved.reads().last(Ioctl.GET_VCPU_EVENTS);
    Call set = step.vcpu().written().last(Ioctl.SET_VCPU_EVENTS);
    KvmVcpuEvents now = step.vcpu().written().events();
    if (then == null || read == null || now == null || set == null) {
      return;
    }
    String lost = null;
    if (then.tripleFaultPending() != 0
        && has(then, VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
        && !(now.tripleFaultPending() != 0
            && has(now, VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT))) {
      lost = "the pending triple fault";
    } else if (then.smiPending() != 0
        && !(now.smiPending() != 0 && has(now, VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM))) {
      lost = "the pending SMI";
    } else if (then.smiSmm() != 0
        && !(now.smiSmm() != 0 && has(now, VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM))) {
      lost = "that the vCPU is in SMM";
    } else if (then.nmiPending() != 0
        && !(now.nmiPending() != 0 && has(now, VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING))) {
      lost = "the pending NMI";
    } else if (then.exceptionPending() != 0
        && then.exceptionInjected() == 0
        && now.exceptionPending() == 0
        && now.exceptionInjected() == 0) {
      lost = "the pending exception " + then.exceptionNr();
    }
    if (lost != null) {
      findings.add(
          R48,
          set.as("without it"),
          "KVM_SET_VCPU_EVENTS drops " + lost + " of " + saved.vcpu().name(),
          read.as("pending"));
    }
  }

  private static boolean has(KvmVcpuEvents events, int flag) {
    return (events.flags() & flag) != 0;
  }

  private static void nested(Step step, Scene.Saved saved, Findings findings) {
    KvmNestedState then = saved.reads().nestedRead();
    Call read = saved.reads().last(Ioctl.GET_NESTED_STATE);
    KvmNestedState now = step.vcpu().written().nested();
    Call set = step.vcpu().written().last(Ioctl.SET_NESTED_STATE);
    if (then == null || read == null || now == null || set == null) {
      return;
    }
    int kept =
        NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING
            | NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING
            | NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE;
    int lost = then.flags() & kept & ~now.flags();
    if (lost != 0) {
      findings.add(
          R48,
          set.as("flags 0x" + Integer.toHexString(now.flags())),
          "KVM_SET_NESTED_STATE drops flags of the saved state: " + words(lost),
          read.as("flags 0x" + Integer.toHexString(then.flags())));
    }
  }

  private static String words(int flags) {
    StringBuilder words = new StringBuilder();
    if ((flags & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) != 0) {
      words.append("GUEST_MODE ");
    }
    if ((flags & NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING) != 0) {
      words.append("RUN_PENDING ");
    }
    if ((flags & NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING) != 0) {
      words.append("MTF_PENDING ");
    }
    return words.toString().strip();
  }

  /** Whether a triple fault that is due would be in the saved events. */
  @Override
  public void windowEnd(VcpuTrack vcpu, Scene scene, Findings findings) {
    Window read = vcpu.read();
    KvmNestedState nested = read.nestedRead();
    KvmVcpuEvents events = read.eventsRead();
    Call at = read.last(Ioctl.GET_VCPU_EVENTS);
    int cap = KvmCap.KVM_CAP_X86_TRIPLE_FAULT_EVENT.number();
    @Nullable Integer offered = scene.extensions().get(cap);
    Answer enabled = Answer.of(vcpu.vm().caps().containsKey(cap));
    if (nested == null
        || events == null
        || at == null
        || !read.isSave()
        || offered == null
        || offered <= 0
        || enabled.isYes()
        || !vcpu.vm().fromCreation()
        || (nested.flags() & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) == 0
        || has(events, VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT)) {
      return;
    }
    findings.add(
        R48,
        Severity.INFORMATION,
        at.as("without KVM_VCPUEVENT_VALID_TRIPLE_FAULT"),
        "L2 is active and KVM_CAP_X86_TRIPLE_FAULT_EVENT is offered and not enabled: a pending"
            + " triple fault would not be saved");
  }
}
