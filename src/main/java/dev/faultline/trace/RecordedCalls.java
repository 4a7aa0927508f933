package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.FormatException;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmFpu;
import dev.faultline.kvm.KvmInterrupt;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMceSetup;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrList;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
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
  private static final int NESTED_SIZE_OFFSET = 4;
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
                : vmCommand(call, ioctl, moment);
    return new Recorded.VmCall(
        call.seq(),
        call.enterNs(),
        call.where(),
        call.obj(),
        call.fd(),
        command,
        call.ret(),
        call.errno(),
        call.out());
  }

  private static VmCommand vmCommand(Observation.Call call, Ioctl ioctl, int moment) {
    return switch (ioctl) {
      case CREATE_VCPU -> new VmCommand.CreateVcpu(moment, (int) call.arg());
      case CREATE_IRQCHIP -> new VmCommand.CreateIrqchip(moment);
      case SET_BOOT_CPU_ID -> new VmCommand.SetBootCpuId(moment, (int) call.arg());
      case ENABLE_CAP -> new VmCommand.EnableCap(moment, new KvmEnableCap(call.in()));
      case SET_USER_MEMORY_REGION ->
          new VmCommand.SetMemoryRegion(moment, new KvmUserspaceMemoryRegion(call.in()));
      default -> new VmCommand.Other(moment, ioctl, call.arg(), pointedTo(call));
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
                    : command(call, ioctl, moment);
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
        run);
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

  private static VcpuCommand command(Observation.Call call, Ioctl ioctl, int m) {
    Bytes in = call.in();
    return switch (ioctl) {
      case SET_REGS -> new VcpuCommand.SetRegs(m, new KvmRegs(in));
      case GET_REGS -> new VcpuCommand.GetRegs(m);
      case SET_SREGS -> new VcpuCommand.SetSregs(m, new KvmSregs(in));
      case GET_SREGS -> new VcpuCommand.GetSregs(m);
      case SET_SREGS2 -> new VcpuCommand.SetSregs2(m, new KvmSregs2(in));
      case GET_SREGS2 -> new VcpuCommand.GetSregs2(m);
      case SET_VCPU_EVENTS -> new VcpuCommand.SetVcpuEvents(m, new KvmVcpuEvents(in));
      case GET_VCPU_EVENTS -> new VcpuCommand.GetVcpuEvents(m);
      case SET_NESTED_STATE -> new VcpuCommand.SetNestedState(m, new KvmNestedState(in));
      case GET_NESTED_STATE -> new VcpuCommand.GetNestedState(m, nestedSize(call));
      case SET_MP_STATE -> new VcpuCommand.SetMpState(m, new KvmMpState(in));
      case GET_MP_STATE -> new VcpuCommand.GetMpState(m);
      case SET_DEBUGREGS -> new VcpuCommand.SetDebugregs(m, new KvmDebugregs(in));
      case GET_DEBUGREGS -> new VcpuCommand.GetDebugregs(m);
      case SET_XCRS -> new VcpuCommand.SetXcrs(m, new KvmXcrs(in));
      case GET_XCRS -> new VcpuCommand.GetXcrs(m);
      case SET_XSAVE -> new VcpuCommand.SetXsave(m, new KvmXsave(in));
      case GET_XSAVE -> new VcpuCommand.GetXsave(m, false);
      case GET_XSAVE2 -> new VcpuCommand.GetXsave(m, true);
      case SET_FPU -> new VcpuCommand.SetFpu(m, new KvmFpu(in));
      case GET_FPU -> new VcpuCommand.GetFpu(m);
      case SET_LAPIC -> new VcpuCommand.SetLapic(m, new KvmLapicState(in));
      case GET_LAPIC -> new VcpuCommand.GetLapic(m);
      case SET_MSRS -> new VcpuCommand.SetMsrs(m, new KvmMsrs(in));
      case GET_MSRS -> new VcpuCommand.GetMsrs(m, new KvmMsrs(in));
      case SET_CPUID2 -> new VcpuCommand.SetCpuid2(m, new KvmCpuid2(in));
      case GET_CPUID2 -> new VcpuCommand.GetCpuid2(m, capacity(in));
      case SET_TSC_KHZ -> new VcpuCommand.SetTscKhz(m, call.arg());
      case GET_TSC_KHZ -> new VcpuCommand.GetTscKhz(m);
      case KVMCLOCK_CTRL -> new VcpuCommand.KvmclockCtrl(m);
      case SMI -> new VcpuCommand.Smi(m);
      case NMI -> new VcpuCommand.Nmi(m);
      case INTERRUPT -> new VcpuCommand.Interrupt(m, new KvmInterrupt(in).irq());
      case ENABLE_CAP -> new VcpuCommand.EnableCap(m, new KvmEnableCap(in));
      case X86_SETUP_MCE -> new VcpuCommand.SetupMce(m, new KvmMceSetup(in).mcgCap());
      default -> new VcpuCommand.Other(m, ioctl, call.arg(), pointedTo(call));
    };
  }

  /** How large the caller says its buffer is: the kernel reads it before it writes. */
  private static long nestedSize(Observation.Call call) {
    Bytes in = call.in().isEmpty() ? call.out() : call.in();
    return in.size() < NESTED_SIZE_OFFSET + Integer.BYTES ? 0 : in.u32(NESTED_SIZE_OFFSET);
  }

  private static int capacity(Bytes in) {
    return in.size() < Integer.BYTES ? 0 : in.i32(0);
  }
}
