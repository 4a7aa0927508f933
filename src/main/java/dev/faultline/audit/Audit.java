package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmIrqchip;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.vcpu.HostFact;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VmCommand;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Judges the calls of a timeline by the {@linkplain RuleCatalog rules}. Feed it facts in order.
 *
 * <p>It keeps what the rules need of each VM that is alive, the first findings, and counts; the
 * model's state comes from a {@link Reexecution} of its own.
 */
public final class Audit {
  private final String name;
  private final KernelModel kernel;
  private final Heard heard = new Heard();
  private final Reexecution reexecution;
  private final Scene scene;
  private final Findings findings = new Findings();
  private final List<RuleFamily> families = RuleCatalog.families();
  private boolean ended;

  /** An audit of a timeline by the rules of a kernel. */
  public Audit(String name, KernelModel kernel) {
    this.name = name;
    this.kernel = kernel;
    this.scene = new Scene(kernel);
    this.reexecution = new Reexecution(name, kernel, heard);
  }

  /** What the re-execution tells of the fact at hand. */
  private static final class Heard implements TimelineListener {
    private final List<TimelineEvent> events = new ArrayList<>();
    private @Nullable Outcome predicted;

    void clear() {
      events.clear();
      predicted = null;
    }

    @Override
    public void fact(int moment, Recorded fact, @Nullable Outcome outcome) {
      predicted = outcome;
    }

    @Override
    public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
      events.add(event);
    }
  }

  /** The moment that the next fact will take. */
  public int nextMoment() {
    return reexecution.nextMoment();
  }

  /** The next fact, converted for {@link #nextMoment()}. */
  public void accept(Recorded fact) {
    int moment = nextMoment();
    Vcpu before =
        fact instanceof Recorded.VcpuCall call ? reexecution.vcpus().get(call.vcpu()) : null;
    heard.clear();
    reexecution.accept(fact);
    switch (fact) {
      case Recorded.VcpuCall call -> vcpuCall(moment, call, before);
      case Recorded.VmCall call -> vmCall(moment, call);
      case Recorded.HostQuestion question -> question(question);
      case Recorded.Note note -> note(note);
      case Recorded.Unreadable unreadable -> unreadable(moment, unreadable);
      case Recorded.VmCreation _, Recorded.SmramCapture _ -> {}
    }
  }

  /** The vCPUs that were seen, by name. */
  public List<String> vcpus() {
    return List.copyOf(reexecution.vcpus().keySet());
  }

  /** The result; no fact may follow. */
  public AuditResult result() {
    if (!ended) {
      ended = true;
      for (VmTrack vm : scene.open()) {
        end(vm);
      }
      for (RuleFamily family : families) {
        family.end(scene, findings);
      }
    }
    return new AuditResult(
        name,
        kernel,
        findings.inOrder(),
        findings.counts(),
        findings.doubts(),
        reexecution.nextMoment());
  }

  private VmTrack vm(String vm, boolean fromCreation) {
    VmTrack known = scene.vms().get(vm);
    if (known != null) {
      return known;
    }
    if (scene.vms().size() >= Scene.MAX_VMS) {
      VmTrack oldest = scene.vms().firstEntry().getValue();
      end(oldest);
      scene.vms().remove(oldest.name());
    }
    VmTrack track = new VmTrack(vm, fromCreation);
    scene.vms().put(vm, track);
    return track;
  }

  private void vcpuCall(int moment, Recorded.VcpuCall fact, @Nullable Vcpu before) {
    Vcpu after = reexecution.vcpus().get(fact.vcpu());
    if (after == null) {
      return;
    }
    VmTrack vm = vm(fact.vm(), after.vm().settings().created());
    VcpuTrack vcpu =
        vm.vcpus()
            .computeIfAbsent(fact.vcpu(), v -> new VcpuTrack(v, vm, after.id(), after.id() >= 0));
    Call call = Call.of(moment, fact);
    findings.around(moment, new Finding.States(before, after));
    Step step =
        new Step(
            scene, vcpu, call, fact, before, after, heard.predicted, List.copyOf(heard.events));
    if (call.ioctl() == Ioctl.RUN) {
      run(step);
    } else {
      for (RuleFamily family : families) {
        family.vcpuCall(step, findings);
      }
      vcpu.add(call);
      if (vcpu.read().isSave()) {
        scene.saved(vcpu, vcpu.read());
      }
    }
    findings.around(-1, null);
  }

  private void run(Step step) {
    VcpuTrack vcpu = step.vcpu();
    for (RuleFamily family : families) {
      family.windowEnd(vcpu, scene, findings);
      family.run(step, findings);
    }
    step.vm().run(step.call(), vcpu.written().isRestore());
    vcpu.run(step.call());
  }

  private void vmCall(int moment, Recorded.VmCall fact) {
    Ioctl ioctl = reexecutedIoctl(fact.command());
    Call call = Call.of(moment, fact, ioctl);
    VmTrack vm = vm(fact.vm(), true);
    for (RuleFamily family : families) {
      family.vmCall(vm, call, findings);
    }
    vm.add(call);
    remember(vm, call);
  }

  private static void remember(VmTrack vm, Call call) {
    if (!call.done()) {
      return;
    }
    switch (call.vmCommand()) {
      case VmCommand.CreateVcpu create -> vm.created().put(create.id(), call);
      case VmCommand.EnableCap cap -> vm.caps().put(cap.cap().cap(), call);
      case null, default -> {}
    }
    if (call.ioctl() == Ioctl.GET_IRQCHIP) {
      vm.chipsRead().put(chip(call, call.reply().size() == KvmIrqchip.SIZE), call);
    } else if (call.ioctl() == Ioctl.SET_IRQCHIP) {
      vm.chipsWritten().put(chip(call, call.payload().size() == KvmIrqchip.SIZE), call);
    }
  }

  /** Without payload each call counts as that of another chip. */
  private static int chip(Call call, boolean seen) {
    if (!seen) {
      return -1 - call.moment();
    }
    return new KvmIrqchip(call.ioctl() == Ioctl.GET_IRQCHIP ? call.reply() : call.payload())
        .chipId();
  }

  private static Ioctl reexecutedIoctl(VmCommand command) {
    return switch (command) {
      case VmCommand.CreateVcpu _ -> Ioctl.CREATE_VCPU;
      case VmCommand.CreateIrqchip _ -> Ioctl.CREATE_IRQCHIP;
      case VmCommand.SetBootCpuId _ -> Ioctl.SET_BOOT_CPU_ID;
      case VmCommand.EnableCap _ -> Ioctl.ENABLE_CAP;
      case VmCommand.SetMemoryRegion _ -> Ioctl.SET_USER_MEMORY_REGION;
      case VmCommand.BadPointer b -> b.ioctl();
      case VmCommand.Unseen u -> u.ioctl();
      case VmCommand.Other o -> o.ioctl();
    };
  }

  private void question(Recorded.HostQuestion question) {
    switch (question.fact()) {
      case HostFact.Extension e -> scene.extensions().put(e.capability(), (int) e.answer());
      case HostFact.SupportedCpuid c -> scene.supported(c.table());
      case HostFact.MsrIndexList l -> scene.msrIndexes(l.indexes());
      default -> {}
    }
  }

  private void note(Recorded.Note note) {
    if (note.text().contains("arch_prctl") || note.kind().contains("arch_prctl")) {
      scene.askedPermission();
    }
    if (note.kind().equals("mark")) {
      for (RuleFamily family : families) {
        family.printed(note.text(), scene, findings);
      }
    }
    if (!note.kind().equals("close")) {
      return;
    }
    VmTrack vm = scene.vms().get(note.lane());
    if (vm != null) {
      vm.finish();
      return;
    }
    int slash = note.lane().indexOf('/');
    VmTrack owner = slash < 0 ? null : scene.vms().get(note.lane().substring(0, slash));
    VcpuTrack vcpu = owner == null ? null : owner.vcpus().get(note.lane());
    if (vcpu != null) {
      vcpu.close();
    }
  }

  private void unreadable(int moment, Recorded.Unreadable fact) {
    for (RuleFamily family : families) {
      if (family instanceof Arm64Rules arm) {
        arm.unreadable(moment, fact, findings);
      }
    }
  }

  private void end(VmTrack vm) {
    for (VcpuTrack vcpu : vm.tracks()) {
      for (RuleFamily family : families) {
        family.windowEnd(vcpu, scene, findings);
      }
    }
    for (RuleFamily family : families) {
      family.vmEnd(vm, scene, findings);
    }
  }
}
