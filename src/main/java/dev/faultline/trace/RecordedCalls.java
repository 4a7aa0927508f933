package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.FormatException;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmMsrList;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.vcpu.CommandPayload;
import dev.faultline.vcpu.HostFact;
import dev.faultline.vcpu.PageShown;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RunInput;
import dev.faultline.vcpu.ShownFields;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VmCommand;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Turns what a recording holds into what the model understands: an ioctl's number and payload
 * become a command.
 *
 * <p><em>Errors:</em> a payload that is not what its ioctl demands is a {@link FormatException}
 * that names the line.
 */
public final class RecordedCalls {
  private static final HostFact NOTHING = new HostFact.Nothing();

  private RecordedCalls() {}

  /** The observation in the model's terms, as something that happens at {@code moment}. */
  public static Recorded convert(Observation observation, int moment) {
    return switch (observation) {
      case Observation.Call call -> convert(call, moment);
      case Observation.Mapped o ->
          new Recorded.Note(
              o.seq(), o.enterNs(), o.where(), o.obj(), "mmap", o.length() + " bytes", o.fd());
      case Observation.Closed o ->
          new Recorded.Note(o.seq(), o.enterNs(), o.where(), o.obj(), "close", "", o.fd());
      case Observation.Mark o ->
          new Recorded.Note(o.seq(), o.enterNs(), o.where(), "", "mark", o.text(), -1);
      case Observation.Started o ->
          new Recorded.Note(
              o.seq(), o.enterNs(), o.where(), "", "start", String.join(" ", o.argv()), -1);
      case Observation.Exited o ->
          new Recorded.Note(
              o.seq(),
              o.enterNs(),
              o.where(),
              "",
              "exit",
              o.signal() != 0 ? "signal " + o.signal() : "status " + o.code(),
              -1);
      case Observation.TimedOut o ->
          new Recorded.Note(
              o.seq(), o.enterNs(), o.where(), "", "timeout", "the recorder ended it", -1);
      case Observation.SmramCaptured o -> {
        int slash = o.obj().indexOf('/');
        yield new Recorded.SmramCapture(
            o.seq(),
            o.enterNs(),
            o.where(),
            slash < 0 ? o.obj() : o.obj().substring(0, slash),
            o.obj(),
            o.smbase(),
            o.map());
      }
      case Observation.UnknownLine o ->
          new Recorded.Note(o.seq(), o.enterNs(), o.where(), "", o.kind(), o.text(), -1);
    };
  }

  private static Recorded convert(Observation.Call call, int moment) {
    FdKind kind = kind(call.fdKind());
    Ioctl ioctl = kind == null ? null : Ioctl.of(call.req(), kind);
    if (ioctl == null || kind == null) {
      return unreadable(call, "an ioctl unknown to this version");
    }
    try {
      checkReply(call, ioctl);
      return switch (kind) {
        case SYSTEM -> system(call, ioctl);
        case VM -> vm(call, ioctl, moment);
        case VCPU -> vcpu(call, ioctl, moment);
        case DEVICE -> unreadable(call, "a device's ioctl is not modelled");
      };
    } catch (FormatException e) {
      throw e.inPayload(call.where(), call.name());
    }
  }

  /** A payload that KVM wrote is not cut; what it says of itself may be wrong. */
  private static void checkReply(Observation.Call call, Ioctl ioctl) {
    int size = call.out().size();
    boolean writes =
        ioctl.direction() == Ioctl.Direction.READ
            || ioctl.direction() == Ioctl.Direction.READ_WRITE;
    if (size == 0 || !writes || call.ret() < 0) {
      return;
    }
    int least = ioctl.size();
    if (ioctl == Ioctl.GET_MSRS && call.in().size() >= KvmMsrs.HEADER_SIZE) {
      int read = Math.min(call.ret(), new KvmMsrs(call.in()).held());
      least += read * KvmMsrs.ENTRY_SIZE;
    }
    if (size < least) {
      throw FormatException.structSize("it", "at least " + least, size);
    }
  }

  private static @Nullable FdKind kind(String name) {
    return switch (name) {
      case "system" -> FdKind.SYSTEM;
      case "vm" -> FdKind.VM;
      case "vcpu" -> FdKind.VCPU;
      case "device" -> FdKind.DEVICE;
      default -> null;
    };
  }

  private static Recorded unreadable(Observation.Call call, String why) {
    return new Recorded.Unreadable(
        call.seq(),
        call.enterNs(),
        call.where(),
        call.obj(),
        call.name(),
        why,
        call.ret(),
        call.errno());
  }

  private static Recorded system(Observation.Call call, Ioctl ioctl) {
    if (ioctl == Ioctl.CREATE_VM) {
      return new Recorded.VmCreation(
          call.seq(), call.enterNs(), call.where(), call.ret(), call.errno());
    }
    return question(call, fact(call, ioctl));
  }

  private static Recorded question(Observation.Call call, HostFact fact) {
    return new Recorded.HostQuestion(
        call.seq(), call.enterNs(), call.where(), call.name(), fact, call.ret(), call.errno());
  }

  private static HostFact fact(Observation.Call call, Ioctl ioctl) {
    if (call.ret() < 0 || (call.out().isEmpty() && ioctl != Ioctl.CHECK_EXTENSION)) {
      return NOTHING;
    }
    return switch (ioctl) {
      case GET_SUPPORTED_CPUID -> new HostFact.SupportedCpuid(new KvmCpuid2(call.out()));
      case GET_MSR_INDEX_LIST -> {
        KvmMsrList list = new KvmMsrList(call.out());
        List<Integer> indexes = new ArrayList<>(list.held());
        for (int i = 0; i < list.held(); i++) {
          indexes.add(list.index(i));
        }
        yield new HostFact.MsrIndexList(List.copyOf(indexes));
      }
      case GET_MSRS -> featureMsrs(new KvmMsrs(call.out()), call.ret());
      case CHECK_EXTENSION -> new HostFact.Extension((int) call.arg(), call.ret());
      default -> NOTHING;
    };
  }

  private static HostFact featureMsrs(KvmMsrs msrs, int count) {
    List<Integer> indexes = new ArrayList<>(count);
    List<Long> values = new ArrayList<>(count);
    for (int i = 0; i < Math.min(count, msrs.held()); i++) {
      indexes.add(msrs.index(i));
      values.add(msrs.data(i));
    }
    return new HostFact.FeatureMsrs(List.copyOf(indexes), List.copyOf(values));
  }

  private static Recorded vm(Observation.Call call, Ioctl ioctl, int moment) {
    if (ioctl == Ioctl.CHECK_EXTENSION) {
      return question(call, fact(call, ioctl));
    }
    VmCommand command =
        isUnseen(call, ioctl)
            ? new VmCommand.Unseen(moment, ioctl)
            : unreadable(call, ioctl)
                ? new VmCommand.BadPointer(moment, ioctl)
                : CommandPayload.vm(moment, ioctl, call.arg(), vmPayload(call, ioctl));
    return new Recorded.VmCall(
        call.seq(),
        call.enterNs(),
        call.where(),
        call.obj(),
        call.fd(),
        command,
        call.ret(),
        call.errno(),
        call.out(),
        call.result().decided());
  }

  private static Bytes vmPayload(Observation.Call call, Ioctl ioctl) {
    return switch (ioctl) {
      case ENABLE_CAP, SET_USER_MEMORY_REGION -> call.in();
      default -> pointedTo(call);
    };
  }

  private static Recorded vcpu(Observation.Call call, Ioctl ioctl, int moment) {
    int slash = call.obj().indexOf('/');
    String vm = slash < 0 ? call.obj() : call.obj().substring(0, slash);
    boolean unseen = isUnseen(call, ioctl);
    FieldSet fields = call.payload().holding().fields();
    VcpuCommand command =
        unseen
            ? new VcpuCommand.Unseen(
                moment, ioctl, ioctl == Ioctl.RUN ? exit(call) : null, shown(call.in(), fields))
            : unreadable(call, ioctl)
                ? new VcpuCommand.BadPointer(moment, ioctl)
                : ioctl == Ioctl.RUN
                    ? new VcpuCommand.Run(
                        moment, new RunInput(call.arg(), new KvmRun(call.runIn())))
                    : CommandPayload.vcpu(moment, ioctl, call.arg(), call.in(), pointedTo(call));
    Recorded.Run run = ioctl == Ioctl.RUN ? TracedRuns.of(call) : null;
    return new Recorded.VcpuCall(
        call.seq(),
        call.enterNs(),
        call.where(),
        vm,
        call.obj(),
        call.fd(),
        command,
        call.ret(),
        call.errno(),
        call.out(),
        call.out().isEmpty() ? null : fields,
        ioctl == Ioctl.RUN ? List.of() : failedChecks(call.trace()),
        run,
        call.result().decided());
  }

  /**
   * Whether the call has a payload that the source does not show, and that matters: what it reads
   * tells what it does, what it writes is only not learned.
   */
  private static boolean isUnseen(Observation.Call call, Ioctl ioctl) {
    if (call.payload().seen()) {
      return false;
    }
    boolean reads =
        switch (ioctl) {
          case SET_IRQCHIP, SET_PIT -> true;
          default ->
              ioctl.direction() == Ioctl.Direction.WRITE
                  || ioctl.direction() == Ioctl.Direction.READ_WRITE;
        };
    boolean held = !call.in().isEmpty() && call.payload().holding().fields() == null;
    return ioctl == Ioctl.RUN || (reads && !held);
  }

  private static @Nullable ShownFields shown(Bytes struct, @Nullable FieldSet fields) {
    return fields == null || struct.isEmpty() ? null : new ShownFields(struct, fields);
  }

  /** Why KVM_RUN came back, as far as the source tells without the whole of kvm_run. */
  private static @Nullable KvmExit exit(Observation.Call call) {
    KvmExit exit = null;
    if (call.payload().holding().page() == PageShown.EXIT_REASON && call.ret() == 0) {
      exit = new KvmRun(call.runOut()).exit();
    }
    for (TraceEvent event : call.trace()) {
      if (event instanceof TraceEvent.UserspaceExit e && !e.failed()) {
        exit = KvmExit.of(e.number());
      }
    }
    return exit;
  }

  /**
   * What the argument points to, and behind it what a device attribute points to. KVM_SET_IRQCHIP
   * reads although its number says that it writes.
   */
  private static Bytes pointedTo(Observation.Call call) {
    Bytes struct = call.in().isEmpty() ? call.out() : call.in();
    Bytes behind = call.extras().attrData();
    return behind.isEmpty()
        ? struct
        : Bytes.builder(struct.size() + behind.size())
            .putBytes(0, struct)
            .putBytes(struct.size(), behind)
            .build();
  }

  private static List<String> failedChecks(List<TraceEvent> trace) {
    if (trace.isEmpty()) {
      return List.of();
    }
    List<String> texts = new ArrayList<>();
    for (TraceEvent event : trace) {
      if (event instanceof TraceEvent.NestedVmEnterFailed failed) {
        texts.add(failed.message());
      }
    }
    return List.copyOf(texts);
  }

  /**
   * Whether the argument points to no memory that can be read: the recorder found nothing there,
   * neither before the call nor after it.
   */
  private static boolean unreadable(Observation.Call call, Ioctl ioctl) {
    if (!call.in().isEmpty() || !call.out().isEmpty()) {
      return false;
    }
    return switch (ioctl.direction()) {
      case NONE -> false;
      case WRITE -> true;
      case READ, READ_WRITE -> call.errno() == Errno.EFAULT.number();
    };
  }
}
