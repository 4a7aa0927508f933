package dev.faultline.audit;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmClockData;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.x86.Msr;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** R60 to R64: the VM's clock and the TSCs of its vCPUs. */
final class ClockRules implements RuleFamily {
  private static final long ENABLED = 1;
  private static final long NS_PER_MS = 1_000_000;
  private static final long KHZ_TO_SECOND = 1000;

  static final Rule R60 =
      Rule.of(
          "R60",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C05", "C06", "C07", "C13"),
          new Rule.Prose(
              "KVM_SET_CLOCK comes before the first KVM_RUN of a restored VM",
              """
              kvmclock and Hyper-V's reference time count from the VM's creation until they are set:
              the guest's time falls back, or jumps when the call comes late and timers wait for
              minutes. The counter MSR of Hyper-V is read-only and follows the same clock.\
              """,
              "Save KVM_GET_CLOCK; call KVM_SET_CLOCK before any vCPU runs."));
  static final Rule R61 =
      Rule.of(
          "R61",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.x86("C14", "C15"),
          new Rule.Prose(
              "KVM_KVMCLOCK_CTRL is called on each vCPU after a pause, before it runs on; EINVAL is"
                  + " no failure",
              """
              It tells the guest that it was stopped, so that its watchdogs do not report soft
              lockups. EINVAL means that the guest has no kvmclock, which is harmless.
              (kvm_set_guest_paused)\
              """,
              "Call it for each vCPU before resume and after restore; ignore EINVAL."));
  static final Rule R62 =
      Rule.of(
          "R62",
          Severity.ERROR,
          Tier.T2,
          true,
          Rule.Where.x86("C08", "C09"),
          new Rule.Prose(
              "All vCPUs of a restored VM have one TSC offset, each set once",
              """
              A TSC that is written through the MSR is right at the moment of that write. KVM makes
              writes of several vCPUs equal only if they lie within a second of each other; else the
              TSCs differ for good and the master clock stays off, so that guests fall back to slow
              clocks. (kvm_synchronize_tsc; Documentation/virt/kvm/devices/vcpu.rst)\
              """,
              "Set KVM_VCPU_TSC_OFFSET on every vCPU to the same value, by the algorithm of"
                  + " vcpu.rst."));
  static final Rule R63 =
      Rule.of(
          "R63",
          Severity.WARNING,
          Tier.T1,
          true,
          Rule.Where.x86("C12"),
          new Rule.Prose(
              "IA32_TSC is not restored as 0",
              """
              KVM takes a 0 that userspace writes for "synchronize this vCPU with the others" and
              not for a value. (kvm_synchronize_tsc)\
              """,
              "Leave the MSR out if its value is not known."));
  static final Rule R64 =
      Rule.of(
          "R64",
          Severity.WARNING,
          Tier.T1,
          false,
          Rule.Where.on("x86", "before 5.16 no flag may be set", "C07", "C16"),
          new Rule.Prose(
              "KVM_SET_CLOCK is given only flags that it takes, and KVM_CLOCK_REALTIME with a time",
              """
              KVM_GET_CLOCK returns TSC_STABLE and HOST_TSC, which before 5.16 KVM_SET_CLOCK refuses
              (EINVAL); with KVM_CLOCK_REALTIME KVM adds what passed since the given time of day, so
              that a time of 0 moves the guest by decades.\
              """,
              "Clear flags that the kernel's KVM_CAP_ADJUST_CLOCK does not name; keep realtime with"
                  + " its flag."));

  /** A restored VM that ran before its clock was set. */
  private record Unset(Call run, @Nullable Call use, boolean certain, String why) {}

  private final LinkedHashMap<String, Unset> unset = new LinkedHashMap<>();
  private final TreeMap<String, TreeMap<String, Call>> offsets = new TreeMap<>();
  private final TreeMap<String, TreeMap<String, MsrWrite>> tscs = new TreeMap<>();
  private final TreeSet<String> told = new TreeSet<>();
  private @Nullable Call clockRead;
  private @Nullable String clockReader;
  private boolean anyCtrl;

  @Override
  public java.util.List<Rule> rules() {
    return java.util.List.of(R60, R61, R62, R63, R64);
  }

  @Override
  public void vmCall(VmTrack vm, Call call, Findings findings) {
    if (call.ioctl() == Ioctl.GET_CLOCK && call.done()) {
      clockRead = call;
      clockReader = vm.name();
    }
    if (call.ioctl() != Ioctl.SET_CLOCK) {
      return;
    }
    flags(call, findings);
    Unset late = unset.remove(vm.name());
    if (late != null && call.done()) {
      findings.add(
          R60,
          call.as("too late"),
          "KVM_SET_CLOCK comes after KVM_RUN of the restored VM",
          late.run().as("the VM runs"));
    }
  }

  private static void flags(Call call, Findings findings) {
    if (call.payload().size() != KvmClockData.SIZE) {
      return;
    }
    KvmClockData clock = new KvmClockData(call.payload());
    boolean realtime = (clock.flags() & KvmClockData.KVM_CLOCK_REALTIME) != 0;
    if (call.failed(Errno.EINVAL) && clock.flags() != 0) {
      findings.add(
          R64,
          call.as("flags 0x" + Integer.toHexString(clock.flags()) + ": EINVAL"),
          "KVM_SET_CLOCK is refused for its flags; those of KVM_GET_CLOCK are not all valid here");
    } else if (realtime && clock.realtime() == 0) {
      findings.add(
          R64,
          call.as("KVM_CLOCK_REALTIME, realtime 0"),
          "KVM_SET_CLOCK has KVM_CLOCK_REALTIME and no time of day: the clock jumps by decades");
    }
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    switch (call.ioctl()) {
      case KVMCLOCK_CTRL -> anyCtrl = true;
      case SET_DEVICE_ATTR, GET_DEVICE_ATTR -> {
        if (call.done() && TscOffsets.isOffset(call) && TscOffsets.value(call).isPresent()) {
          offsets
              .computeIfAbsent(step.vm().name(), _ -> new TreeMap<>())
              .put(step.vcpu().name(), call);
        }
      }
      default -> {}
    }
  }

  @Override
  public void run(Step step, Findings findings) {
    VcpuTrack vcpu = step.vcpu();
    Window written = vcpu.written();
    if (written.isRestore()) {
      clock(step);
      MsrWrite tsc = written.msr(Msr.IA32_TSC);
      if (tsc != null && tsc.value() == 0) {
        findings.add(
            R63,
            tsc.call().as("IA32_TSC = 0"),
            "IA32_TSC is restored as 0, which KVM takes for a request to synchronize");
      }
    }
    paused(step, findings);
    offsets(step, findings);
  }

  /** Whether the guest's own MSRs show that it uses the clock; null if they do not tell. */
  private static @Nullable MsrWrite use(Window written) {
    for (int index :
        new int[] {Msr.KVM_SYSTEM_TIME_NEW, Msr.KVM_SYSTEM_TIME, Msr.HV_X64_REFERENCE_TSC}) {
      MsrWrite msr = written.msr(index);
      if (msr != null && (msr.value() & ENABLED) != 0) {
        return msr;
      }
    }
    MsrWrite hyperv = written.msr(Msr.HV_X64_GUEST_OS_ID);
    return hyperv != null && hyperv.value() != 0 ? hyperv : null;
  }

  private static boolean unused(Window written) {
    MsrWrite now = written.msr(Msr.KVM_SYSTEM_TIME_NEW);
    MsrWrite old = written.msr(Msr.KVM_SYSTEM_TIME);
    return (now != null || old != null) && use(written) == null;
  }

  private void clock(Step step) {
    VmTrack vm = step.vm();
    VcpuTrack vcpu = step.vcpu();
    Window written = vcpu.written();
    boolean first = !vcpu.hasRun() && !unset.containsKey(vm.name());
    if (vm.has(Ioctl.SET_CLOCK) || !first) {
      return;
    }
    MsrWrite use = use(written);
    KvmCpuid2 table = vcpu.cpuid();
    Call source = vm.name().equals(clockReader) ? null : clockRead;
    boolean devices = vm.has(Ioctl.SET_IRQCHIP) || vm.has(Ioctl.SET_PIT2);
    boolean ctrl = vcpu.clockCtrl() != null && vcpu.clockCtrl().done();
    Unset candidate;
    if (use != null) {
      candidate =
          new Unset(step.call(), use.call(), true, "the guest uses " + MsrNames.of(use.index()));
    } else if (unused(written)) {
      candidate = new Unset(step.call(), null, false, "");
    } else if (source != null) {
      candidate = new Unset(step.call(), source, true, "the clock was saved");
    } else if (ctrl) {
      candidate = new Unset(step.call(), vcpu.clockCtrl(), true, "the guest has a kvmclock");
    } else if (devices) {
      Call device = vm.last(vm.has(Ioctl.SET_IRQCHIP) ? Ioctl.SET_IRQCHIP : Ioctl.SET_PIT2);
      candidate = new Unset(step.call(), device, true, "the whole VM is restored");
    } else {
      boolean offered = table != null && CpuidBits.KVM_CLOCK.in(table) && written.isFullRestore();
      candidate =
          new Unset(step.call(), null, false, offered ? "CPUID offers kvmclock to the guest" : "");
    }
    unset.put(vm.name(), candidate);
  }

  @Override
  public void vmEnd(VmTrack vm, Scene scene, Findings findings) {
    Unset never = unset.remove(vm.name());
    if (never != null && !never.why().isEmpty()) {
      findings.add(
          R60,
          never.certain() ? Severity.ERROR : Severity.WARNING,
          never.run().as("the restored VM runs"),
          "KVM_SET_CLOCK is never called on a restored VM: " + never.why(),
          never.use() == null ? new Evidence[0] : new Evidence[] {never.use().as("shows it")});
    }
    offsets.remove(vm.name());
    tscs.remove(vm.name());
    for (VcpuTrack vcpu : vm.tracks()) {
      Call ctrl = vcpu.clockCtrl();
      if (ctrl != null && gaveUp(vm, vcpu, ctrl)) {
        findings.add(
            R61,
            ctrl.as("EINVAL"),
            "KVM_KVMCLOCK_CTRL returns EINVAL, which is harmless, and the vCPU never runs on");
      }
    }
  }

  private static boolean gaveUp(VmTrack vm, VcpuTrack vcpu, Call ctrl) {
    Call run = vm.lastRun();
    return ctrl.failed(Errno.EINVAL)
        && (vcpu.written().isRestore() || vcpu.hasRun())
        && (run == null || run.moment() < ctrl.moment());
  }

  private void paused(Step step, Findings findings) {
    VcpuTrack vcpu = step.vcpu();
    Window read = vcpu.read();
    Window written = vcpu.written();
    if (vcpu.clockCtrl() != null) {
      return;
    }
    boolean restored = written.isRestore() && !vcpu.hasRun();
    Call saved = read.isSave() && vcpu.hasRun() ? read.last(Ioctl.GET_SREGS) : null;
    boolean resumed =
        saved != null && !written.has(Ioctl.SET_REGS) && !written.has(Ioctl.SET_SREGS);
    boolean used = use(written) != null || use(read) != null;
    boolean off = unused(written) || unused(read);
    if (restored && !off && (used || anyCtrl)) {
      Call last = written.lastCall();
      findings.add(
          R61,
          step.call().as("runs"),
          vcpu.name() + " runs after its restore without KVM_KVMCLOCK_CTRL",
          last == null ? new Evidence[0] : new Evidence[] {last.as("the last of the restore")});
    } else if (resumed && !off && saved != null) {
      boolean vmLevel =
          later(step.vm().last(Ioctl.GET_CLOCK), vcpu)
              || later(step.vm().last(Ioctl.GET_IRQCHIP), vcpu);
      if (used || anyCtrl || vmLevel) {
        findings.add(
            R61,
            step.call().as("runs on"),
            vcpu.name() + " runs on after it was saved without KVM_KVMCLOCK_CTRL",
            saved.as("saved"));
      }
    }
  }

  private static boolean later(@Nullable Call call, VcpuTrack vcpu) {
    Call run = vcpu.lastRun();
    return call != null && run != null && call.moment() > run.moment();
  }

  private void offsets(Step step, Findings findings) {
    VmTrack vm = step.vm();
    TreeMap<String, MsrWrite> values = tscs.computeIfAbsent(vm.name(), _ -> new TreeMap<>());
    for (VcpuTrack vcpu : vm.tracks()) {
      MsrWrite tsc = vcpu.written().msr(Msr.IA32_TSC);
      if (tsc != null && tsc.value() != 0 && vcpu.written().isRestore()) {
        values.put(vcpu.name(), tsc);
      }
    }
    if (told.contains(vm.name())) {
      return;
    }
    TreeMap<String, Call> set = offsets.getOrDefault(vm.name(), new TreeMap<>());
    Map.Entry<String, Call> one = set.firstEntry();
    for (Map.Entry<String, Call> other : set.entrySet()) {
      if (one != null && !same(one.getValue(), other.getValue())) {
        told.add(vm.name());
        findings.add(
            R62,
            other.getValue().as("offset " + words(other.getValue())),
            "the TSC offsets of " + one.getKey() + " and " + other.getKey() + " differ",
            one.getValue().as("offset " + words(one.getValue())));
        return;
      }
    }
    if (set.size() < 2 && values.size() > 1) {
      written(step, values, findings);
    }
  }

  private void written(Step step, TreeMap<String, MsrWrite> values, Findings findings) {
    Map.Entry<String, MsrWrite> one = values.firstEntry();
    long khz = step.after().platform().tscKhz();
    for (Map.Entry<String, MsrWrite> other : values.entrySet()) {
      if (one == null || other.getKey().equals(one.getKey())) {
        continue;
      }
      long passed = other.getValue().call().ns() - one.getValue().call().ns();
      long counted = other.getValue().value() - one.getValue().value();
      boolean apart = khz > 0 && Math.abs(counted - passed / NS_PER_MS * khz) > khz * KHZ_TO_SECOND;
      told.add(step.vm().name());
      findings.add(
          R62,
          apart ? Severity.ERROR : Severity.WARNING,
          other
              .getValue()
              .call()
              .as("IA32_TSC = " + Long.toUnsignedString(other.getValue().value())),
          apart
              ? "the TSCs of "
                  + one.getKey()
                  + " and "
                  + other.getKey()
                  + " are more than a second apart"
              : "the TSCs of "
                  + values.size()
                  + " vCPUs are written through the MSR one after the other, and no offset is set",
          one.getValue().call().as("IA32_TSC = " + Long.toUnsignedString(one.getValue().value())));
      return;
    }
  }

  private static boolean same(Call a, Call b) {
    OptionalLong first = TscOffsets.value(a);
    return first.equals(TscOffsets.value(b));
  }

  private static String words(Call call) {
    OptionalLong value = TscOffsets.value(call);
    return value.isPresent() ? Long.toString(value.getAsLong()) : "?";
  }
}
