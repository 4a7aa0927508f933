package dev.faultline.report;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructField;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmStruct;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a call carries besides changes of registers, in a few words. */
final class CallWords {
  private static final int MOST_FIELDS = 6;
  private static final long NO_ADDRESS = ~0L;
  private static final int EXIT_BEGIN = KvmRun.LAYOUT.field("apic_base").end();
  private static final int EXIT_END = KvmRun.LAYOUT.field("kvm_valid_regs").offset();

  private CallWords() {}

  /** A call on a vCPU. */
  static String vcpuCall(Recorded.VcpuCall call, Ioctl ioctl, CallPayload payload) {
    String text =
        switch (ioctl) {
          case RUN -> call.command() instanceof VcpuCommand.Run r ? run(r.input().run()) : "";
          case SET_MSRS, GET_MSRS -> msrs(call.ret(), payload);
          case SET_CPUID2, GET_CPUID2, GET_SUPPORTED_CPUID -> cpuid(payload);
          case SET_TSC_KHZ -> payload.arg() + " kHz";
          case ENABLE_CAP -> enableCap(payload);
          case SET_NESTED_STATE, GET_NESTED_STATE -> nestedState(payload);
          case SET_MP_STATE, GET_MP_STATE -> mpState(payload);
          case SET_REGS,
              GET_REGS,
              SET_SREGS,
              GET_SREGS,
              SET_SREGS2,
              GET_SREGS2,
              SET_VCPU_EVENTS,
              GET_VCPU_EVENTS,
              SET_DEBUGREGS,
              GET_DEBUGREGS,
              SET_XCRS,
              GET_XCRS,
              SET_XSAVE,
              GET_XSAVE,
              GET_XSAVE2,
              SET_LAPIC,
              GET_LAPIC ->
              "";
          default -> struct(payload);
        };
    return call.failedChecks().isEmpty()
        ? text
        : (text + " kernel traced: " + String.join("; ", call.failedChecks())).strip();
  }

  /** A call on a VM. */
  static String vmCall(CallPayload payload) {
    return switch (payload.ioctl()) {
      case CREATE_VCPU, SET_BOOT_CPU_ID -> "id " + payload.arg();
      case ENABLE_CAP -> enableCap(payload);
      case null, default -> struct(payload);
    };
  }

  /** A question about the host. */
  static String question(CallPayload payload) {
    if (payload.ioctl() == Ioctl.CHECK_EXTENSION) {
      return cap(payload.arg());
    }
    return payload.ioctl() == Ioctl.GET_SUPPORTED_CPUID ? cpuid(payload) : "";
  }

  private static String run(KvmRun run) {
    List<String> parts = new ArrayList<>();
    if (run.immediateExit() != 0) {
      parts.add("immediate_exit");
    }
    if (run.requestInterruptWindow() != 0) {
      parts.add("request_interrupt_window");
    }
    if (run.dirtyRegs() != 0) {
      parts.add("kvm_dirty_regs " + FieldWords.number(run.dirtyRegs()));
    }
    return String.join(" ", parts);
  }

  /** How KVM_RUN ended, {@code KVM_EXIT_IO io.direction 1 io.size 4 io.port 0xe3}. */
  static String exit(KvmRun run) {
    KvmExit exit = run.exit();
    String name = exit == null ? "exit reason " + run.exitReason() : exit.name();
    StringBuilder text = new StringBuilder(name);
    if (exit == null) {
      return name;
    }
    int shown = 0;
    for (StructField field : run.layout().fields()) {
      boolean own = field.offset() >= EXIT_BEGIN && field.end() <= EXIT_END && field.isValue();
      if (own && !field.name().startsWith("exit[") && shown < MOST_FIELDS) {
        long value = field.get(run.raw());
        if (value != 0) {
          text.append(' ').append(field.name()).append(' ').append(FieldWords.number(value));
          shown++;
        }
      }
    }
    return text.toString();
  }

  private static String msrs(int ret, CallPayload payload) {
    if (!(decode(payload.ioctl(), payload.in()) instanceof KvmMsrs list)) {
      return "";
    }
    String count = list.held() + (list.held() == 1 ? " MSR" : " MSRs");
    return ret >= 0 && ret < list.held()
        ? count + ", stopped at " + Msr.name(list.index(ret))
        : count;
  }

  /** What level runs and which VMCS is current, {@code GUEST_MODE vmxon_pa 0x1000 …}. */
  private static String nestedState(CallPayload payload) {
    if (!(given(payload) instanceof KvmNestedState s)) {
      return "";
    }
    List<String> parts = new ArrayList<>();
    if (s.flags() != 0) {
      parts.add(NestedStateFlags.describe(s.flags()).replace("KVM_STATE_NESTED_", ""));
    }
    if (!s.isVmx()) {
      parts.add("vmcb_pa " + FieldWords.number(s.vmcbPa()));
    } else if (s.vmxonPa() == NO_ADDRESS) {
      parts.add("VMX off");
      if (s.vmcs12Pa() != NO_ADDRESS) {
        parts.add("vmcs12_pa " + FieldWords.number(s.vmcs12Pa()));
      }
    } else {
      parts.add("vmxon_pa " + FieldWords.number(s.vmxonPa()));
      parts.add(
          s.vmcs12Pa() == NO_ADDRESS
              ? "no current VMCS"
              : "vmcs12_pa " + FieldWords.number(s.vmcs12Pa()));
    }
    return String.join(" ", parts);
  }

  private static String mpState(CallPayload payload) {
    if (!(given(payload) instanceof KvmMpState mp)) {
      return "";
    }
    MpState state = mp.state();
    return state == null ? Integer.toUnsignedString(mp.mpState()) : state.name();
  }

  private static String cpuid(CallPayload payload) {
    KvmStruct table = decode(payload);
    return table instanceof KvmCpuid2 cpuid ? cpuid.held() + " entries" : "";
  }

  private static String enableCap(CallPayload payload) {
    return decode(payload) instanceof KvmEnableCap cap
        ? cap(cap.cap()) + (cap.args(0) == 0 ? "" : " " + FieldWords.number(cap.args(0)))
        : "";
  }

  private static String cap(long number) {
    KvmCap cap = KvmCap.of(number);
    return cap == null ? "capability " + number : cap.name();
  }

  /** The first fields of a struct that are not zero. */
  private static String struct(CallPayload payload) {
    KvmStruct struct = decode(payload);
    if (struct == null) {
      return "";
    }
    List<String> parts = new ArrayList<>();
    for (StructField field : struct.layout().fields()) {
      long value = field.get(struct.raw());
      if (field.isValue() && value != 0) {
        if (parts.size() == MOST_FIELDS) {
          parts.add("…");
          break;
        }
        parts.add(
            field.name() + " " + FieldWords.value(struct.layout().name(), field.name(), value));
      }
    }
    return String.join(" ", parts);
  }

  /** What a SET gives, or a GET got. */
  private static @Nullable KvmStruct given(CallPayload payload) {
    boolean get =
        payload.ioctl() == Ioctl.GET_NESTED_STATE || payload.ioctl() == Ioctl.GET_MP_STATE;
    return decode(payload.ioctl(), get ? payload.out() : payload.in());
  }

  private static @Nullable KvmStruct decode(CallPayload payload) {
    boolean answers = payload.out().size() > payload.in().size();
    return decode(payload.ioctl(), answers ? payload.out() : payload.in());
  }

  /** The struct of an ioctl; null if it has none, or the payload is not one. */
  static @Nullable KvmStruct decode(@Nullable Ioctl ioctl, Bytes payload) {
    if (ioctl == null) {
      return null;
    }
    try {
      return KvmStruct.decode(ioctl, payload);
    } catch (FormatException _) {
      // As of a call with a bad pointer: there is nothing to show.
      return null;
    }
  }
}
