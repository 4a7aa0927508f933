package dev.faultline.migration;

import dev.faultline.Bytes;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * The restores in a recording: a vCPU was read, and what was read was written into a fresh one. The
 * order of the recorded calls is the plan.
 */
final class RecordedRestores {
  private static final int MOST_SAVES = 2048;

  private final RecordingSource source;
  private final KernelModel kernel;
  private final Reexecution reexecution;
  private final List<Save> saves = new ArrayList<>();
  private final SequencedMap<String, Save> current = new LinkedHashMap<>();
  private final SequencedMap<String, Restore> open = new LinkedHashMap<>();
  private final List<Restore> found = new ArrayList<>();

  /** What was read of a vCPU between two changes of it. */
  static final class Save {
    final Map<Ioctl, Bytes> payloads = new EnumMap<>(Ioctl.class);
    Vcpu vcpu;

    Save(Vcpu vcpu) {
      this.vcpu = vcpu;
    }
  }

  /** The calls that wrote into a fresh vCPU, and what became of it. */
  static final class Restore {
    final String vcpu;
    final List<Recorded.VcpuCall> writes = new ArrayList<>();
    @Nullable Save from;
    @Nullable Vcpu arrived;
    Recorded.@Nullable VcpuCall run;
    boolean mixed;

    Restore(String vcpu) {
      this.vcpu = vcpu;
    }

    /** The recorded order as a plan of a VMM that goes on whatever KVM says. */
    Plan plan() {
      List<SaveStep> reads = new ArrayList<>();
      List<RestoreStep> steps = new ArrayList<>();
      for (Ioctl read :
          List.of(
              Ioctl.GET_CPUID2,
              Ioctl.GET_REGS,
              Ioctl.GET_SREGS,
              Ioctl.GET_SREGS2,
              Ioctl.GET_VCPU_EVENTS,
              Ioctl.GET_NESTED_STATE,
              Ioctl.GET_MP_STATE,
              Ioctl.GET_DEBUGREGS,
              Ioctl.GET_XCRS,
              Ioctl.GET_XSAVE,
              Ioctl.GET_LAPIC)) {
        reads.add(new SaveStep(read, MsrSet.NONE, "recorded", ""));
      }
      List<Integer> indexes = new ArrayList<>();
      for (Recorded.VcpuCall call : writes) {
        MsrSet set = MsrSet.NONE;
        if (call.command() instanceof VcpuCommand.SetMsrs c) {
          List<Integer> written = indexes(c.msrs());
          set = new MsrSet(false, written, List.of());
          written.stream().filter(i -> !indexes.contains(i)).forEach(indexes::add);
        }
        steps.add(
            new RestoreStep(
                VcpuModel.ioctl(call.command()),
                set,
                RestoreStep.How.WHOLE,
                RestoreStep.Condition.SAVED,
                RestoreStep.OnRefusal.IGNORE,
                "recorded",
                ""));
      }
      reads.add(
          new SaveStep(Ioctl.GET_MSRS, new MsrSet(false, indexes, List.of()), "recorded", ""));
      return new Plan("recorded", "the recorded order", "a recording", "", reads, steps);
    }

    private static List<Integer> indexes(KvmMsrs msrs) {
      List<Integer> indexes = new ArrayList<>();
      for (int i = 0; i < msrs.held(); i++) {
        indexes.add(msrs.index(i));
      }
      return indexes;
    }

    /** How the recorded call ended, in words. */
    static String ending(Recorded.VcpuCall call) {
      if (call.ret() >= 0) {
        return Integer.toString(call.ret());
      }
      Errno errno = Errno.of(call.errno());
      return errno == null ? "errno " + call.errno() : errno.name();
    }
  }

  RecordedRestores(RecordingSource source) {
    this.source = source;
    this.kernel = KernelFacts.model(source.readFacts());
    this.reexecution = new Reexecution(source.name(), kernel, TimelineListener.NONE);
  }

  KernelModel kernel() {
    return kernel;
  }

  Reexecution reexecution() {
    return reexecution;
  }

  List<Restore> find() {
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        Recorded fact = RecordedCalls.convert(reader.next(), reexecution.nextMoment());
        if (fact instanceof Recorded.VcpuCall call) {
          Vcpu before = reexecution.vcpus().get(call.vcpu());
          if (!reexecution.vcpus().containsKey(call.vcpu())) {
            open.put(call.vcpu(), new Restore(call.vcpu()));
          }
          writes(call, before);
          reexecution.accept(fact);
          reads(call);
        } else {
          if (fact instanceof Recorded.Note note && note.kind().equals("mmap")) {
            open.putIfAbsent(note.lane(), new Restore(note.lane()));
          }
          reexecution.accept(fact);
        }
      }
    }
    return found;
  }

  /** A write continues a restore; the first other call ends it. */
  private void writes(Recorded.VcpuCall call, @Nullable Vcpu before) {
    Restore restore = open.get(call.vcpu());
    if (restore == null) {
      return;
    }
    Ioctl ioctl = VcpuModel.ioctl(call.command());
    if (ioctl.name().startsWith("SET_")) {
      restore.writes.add(call);
      return;
    }
    boolean harmless = ioctl == Ioctl.GET_CPUID2;
    if (harmless) {
      return;
    }
    if (ioctl != Ioctl.RUN && restore.arrived == null && before != null) {
      restore.arrived = before;
    }
    if (ioctl == Ioctl.RUN) {
      restore.run = call;
      restore.arrived = restore.arrived == null ? before : restore.arrived;
      open.remove(call.vcpu());
      restore.from = source(restore);
      if (restore.from != null && restore.arrived != null && restore.writes.size() > 3) {
        found.add(restore);
      }
    }
  }

  private @Nullable Save source(Restore restore) {
    for (Save save : saves.reversed()) {
      if (!save.vcpu.name().equals(restore.vcpu) && holdsAll(save, restore)) {
        return save;
      }
    }
    return null;
  }

  private static boolean holdsAll(Save save, Restore restore) {
    for (Recorded.VcpuCall call : restore.writes) {
      Ioctl write = VcpuModel.ioctl(call.command());
      if (write == Ioctl.SET_CPUID2) {
        if (!(call.command() instanceof VcpuCommand.SetCpuid2 c)
            || !c.cpuid().equals(save.vcpu.platform().cpuid())) {
          return false;
        }
        continue;
      }
      Bytes read = save.payloads.get(reader(write));
      if (read == null || !same(call.command(), read)) {
        return false;
      }
    }
    return true;
  }

  private static Ioctl reader(Ioctl write) {
    return Payload.readFor(
        write, new SavedState(new EnumMap<>(Ioctl.class), new EnumMap<>(Ioctl.class), null));
  }

  private static boolean same(VcpuCommand command, Bytes read) {
    return switch (command) {
      case VcpuCommand.SetMsrs c -> sameMsrs(c.msrs(), new KvmMsrs(read));
      case VcpuCommand.SetNestedState c -> held(c.state()).equals(held(new KvmNestedState(read)));
      case VcpuCommand.SetRegs c -> c.regs().raw().equals(read);
      case VcpuCommand.SetSregs c -> c.sregs().raw().equals(read);
      case VcpuCommand.SetSregs2 c -> c.sregs().raw().equals(read);
      case VcpuCommand.SetVcpuEvents c -> c.events().raw().equals(read);
      case VcpuCommand.SetMpState c -> c.state().raw().equals(read);
      case VcpuCommand.SetDebugregs c -> c.debugregs().raw().equals(read);
      case VcpuCommand.SetXcrs c -> c.xcrs().raw().equals(read);
      case VcpuCommand.SetXsave c -> c.xsave().raw().equals(read);
      case VcpuCommand.SetLapic c -> c.lapic().raw().equals(read);
      default -> false;
    };
  }

  private static Bytes held(KvmNestedState s) {
    return s.raw().slice(0, (int) Math.min(s.raw().size(), s.sizeField()));
  }

  private static boolean sameMsrs(KvmMsrs written, KvmMsrs read) {
    for (int i = 0; i < written.held(); i++) {
      int at = read.find(written.index(i));
      if (at < 0 || read.data(at) != written.data(i)) {
        return false;
      }
    }
    return true;
  }

  private void reads(Recorded.VcpuCall call) {
    Ioctl ioctl = VcpuModel.ioctl(call.command());
    Vcpu after = reexecution.vcpus().get(call.vcpu());
    if (after == null) {
      return;
    }
    if (!ioctl.name().startsWith("GET_")) {
      current.remove(call.vcpu());
      return;
    }
    if (call.ret() < 0 || call.reply().isEmpty()) {
      return;
    }
    Save save = current.get(call.vcpu());
    if (save == null) {
      save = new Save(after);
      current.put(call.vcpu(), save);
      saves.add(save);
      if (saves.size() > MOST_SAVES) {
        saves.removeFirst();
      }
    }
    save.vcpu = after;
    save.payloads.put(ioctl == Ioctl.GET_XSAVE2 ? Ioctl.GET_XSAVE : ioctl, call.reply());
  }
}
