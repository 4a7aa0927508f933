package dev.faultline.report;

import dev.faultline.BitNames;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vmx.AccessRights;
import dev.faultline.vmx.ActivityState;
import dev.faultline.vmx.EntryControls;
import dev.faultline.vmx.ExitControls;
import dev.faultline.vmx.ExitReason;
import dev.faultline.vmx.InterruptibilityInfo;
import dev.faultline.vmx.PinControls;
import dev.faultline.vmx.PrimaryControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Dr6;
import dev.faultline.x86.Dr7;
import dev.faultline.x86.Efer;
import dev.faultline.x86.FeatureControl;
import dev.faultline.x86.Gpa;
import dev.faultline.x86.Rflags;
import java.util.List;
import java.util.function.LongFunction;
import org.jspecify.annotations.Nullable;

/**
 * What the value of a field means: names of bits, kinds of segments, exit reasons.
 *
 * <p>A field is known by its struct and its name as a divergence prints it, {@code cr4}, {@code
 * vmcs12.guest_cr4}, {@code msr.IA32_EFER}; the prefix does not matter.
 */
public final class FieldWords {
  private static final int LAST_DIGIT = 9;
  private static final BitNames XCR0 =
      BitNames.none()
          .and("x87", 1)
          .and("SSE", 1 << 1)
          .and("AVX", 1 << 2)
          .and("BNDREGS", 1 << 3)
          .and("BNDCSR", 1 << 4)
          .and("opmask", 1 << 5)
          .and("ZMM_Hi256", 1 << 6)
          .and("Hi16_ZMM", 1 << 7)
          .and("PKRU", 1 << 9)
          .and("XTILECFG", 1 << 17)
          .and("XTILEDATA", 1 << 18);
  private static final BitNames SMM_FLAGS =
      BitNames.none()
          .and("KVM_STATE_NESTED_SMM_GUEST_MODE", NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE)
          .and("KVM_STATE_NESTED_SMM_VMXON", NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON);
  private static final BitNames VMX_FLAGS =
      BitNames.none()
          .and(
              "KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE",
              NestedStateFlags.KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE);
  private static final List<String> EXCEPTIONS =
      List.of(
          "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS",
          "#GP", "#PF", "", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP");
  private static final List<String> EVENT_TYPES =
      List.of(
          "external interrupt",
          "reserved type",
          "NMI",
          "hardware exception",
          "software interrupt",
          "privileged software exception",
          "software exception",
          "other event");

  private FieldWords() {}

  /** The value as text shows it: decimal while it is one digit, else hexadecimal. */
  public static String number(long value) {
    return value >= 0 && value <= LAST_DIGIT
        ? Long.toString(value)
        : "0x" + Long.toHexString(value);
  }

  /** The value with what it means, {@code 0x2020 VMXE|PAE}. */
  public static String value(String struct, String field, long value) {
    String words = describe(struct, field, value);
    return words == null ? number(value) : number(value) + " " + words;
  }

  /** What the value means; null if a number is all there is to say. */
  public static @Nullable String describe(String struct, String field, long value) {
    LongFunction<String> bits = bits(struct, field);
    if (bits != null) {
      return value == 0 ? null : bits.apply(value);
    }
    String name = bare(field);
    if (name.endsWith("_ar_bytes")) {
      return AccessRights.describe((int) value);
    }
    return switch (name) {
      case "vmxon_pa", "vmcs12_pa", "vmcs_link_pointer" -> value == Gpa.INVALID ? "none" : null;
      case "mp_state" -> mpState(value);
      case "type" -> "kvm_sregs".equals(struct) ? segmentType(field, (int) value) : null;
      case "format" -> "kvm_nested_state".equals(struct) ? format(value) : null;
      case "vm_exit_reason" -> ExitReason.describe((int) value);
      case "vm_entry_intr_info_field", "vm_exit_intr_info", "idt_vectoring_info_field" ->
          interruption((int) value);
      case "guest_activity_state" -> activity((int) value);
      case "exception.nr" -> exception((int) value);
      default -> null;
    };
  }

  /** How a value became another, {@code 0x20 → 0x2020 (+VMXE)}. */
  public static String change(String struct, String field, long before, long after) {
    LongFunction<String> bits = bits(struct, field);
    String numbers = number(before) + " → " + number(after);
    if (bits != null) {
      return numbers + " (" + differing(bits, before, after) + ")";
    }
    String words = describe(struct, field, after);
    return words == null ? numbers : numbers + " " + words;
  }

  /** The bits that came and went, {@code +VMXE −PGE}. */
  private static String differing(LongFunction<String> bits, long before, long after) {
    long gained = after & ~before;
    long lost = before & ~after;
    String came = gained == 0 ? "" : "+" + bits.apply(gained);
    String went = lost == 0 ? "" : "−" + bits.apply(lost);
    return came.isEmpty() || went.isEmpty() ? came + went : came + " " + went;
  }

  /** The names of the field's bits; null if it is not a set of bits. */
  private static @Nullable LongFunction<String> bits(String struct, String field) {
    return switch (bare(field)) {
      case "cr0", "guest_cr0", "host_cr0", "cr0_guest_host_mask", "cr0_read_shadow" ->
          Cr0::describe;
      case "cr4", "guest_cr4", "host_cr4", "cr4_guest_host_mask", "cr4_read_shadow" ->
          Cr4::describe;
      case "efer", "guest_ia32_efer", "host_ia32_efer", "IA32_EFER" -> Efer::describe;
      case "rflags", "guest_rflags" -> Rflags::describe;
      case "dr6" -> Dr6::describe;
      case "dr7", "guest_dr7" -> Dr7::describe;
      case "apic_base", "IA32_APIC_BASE" -> ApicBase::describe;
      case "IA32_FEATURE_CONTROL" -> FeatureControl::describe;
      case "pin_based_vm_exec_control" -> PinControls::describe;
      case "cpu_based_vm_exec_control" -> PrimaryControls::describe;
      case "secondary_vm_exec_control" -> SecondaryControls::describe;
      case "vm_exit_controls" -> ExitControls::describe;
      case "vm_entry_controls" -> EntryControls::describe;
      case "guest_interruptibility_info" -> InterruptibilityInfo::describe;
      case "xcrs[0].value", "xstate_bv" -> XCR0::describe;
      case "smm.flags" -> SMM_FLAGS::describe;
      case "vmx.flags" -> VMX_FLAGS::describe;
      case "flags" ->
          switch (struct) {
            case "kvm_vcpu_events" -> bits -> VcpuEventFlags.describe((int) bits);
            case "kvm_nested_state" -> bits -> NestedStateFlags.describe((int) bits);
            default -> null;
          };
      default -> null;
    };
  }

  /** The name without what it is a part of, but for parts that are called alike. */
  private static String bare(String field) {
    if (field.startsWith("exception.") || field.equals("vmx.flags")) {
      return field;
    }
    if (field.equals("vmx.smm.flags")) {
      return "smm.flags";
    }
    if (field.startsWith("xcrs[")) {
      return field;
    }
    return field.substring(field.lastIndexOf('.') + 1);
  }

  private static @Nullable String mpState(long value) {
    MpState state = MpState.of((int) value);
    return state == null ? null : state.uapiName();
  }

  private static @Nullable String format(long value) {
    return switch ((int) value) {
      case NestedStateFlags.KVM_STATE_NESTED_FORMAT_VMX -> "VMX";
      case NestedStateFlags.KVM_STATE_NESTED_FORMAT_SVM -> "SVM";
      default -> null;
    };
  }

  private static String segmentType(String field, int type) {
    boolean system = field.startsWith("tr.") || field.startsWith("ldt.");
    return SegmentWords.type(system ? 0 : 1, type);
  }

  private static @Nullable String activity(int value) {
    return switch (value) {
      case ActivityState.ACTIVE -> "active";
      case ActivityState.HLT -> "HLT";
      case ActivityState.SHUTDOWN -> "shutdown";
      case ActivityState.WAIT_SIPI -> "wait-for-SIPI";
      default -> null;
    };
  }

  /** The exception of a vector; null for zero, which mostly means that there is none. */
  private static @Nullable String exception(int vector) {
    return vector > 0 && vector < EXCEPTIONS.size() && !EXCEPTIONS.get(vector).isEmpty()
        ? EXCEPTIONS.get(vector)
        : null;
  }

  /** Interruption information: vector 7:0, type 10:8, error code 11, valid 31. */
  private static @Nullable String interruption(int info) {
    if (info == 0) {
      return null;
    }
    int vector = info & 0xff;
    int type = info >>> 8 & 7;
    String name = type == 3 || type == 6 ? exception(vector) : null;
    return (info < 0 ? "" : "not valid, ")
        + EVENT_TYPES.get(type)
        + " "
        + (name == null ? "vector " + number(vector) : name)
        + ((info & 1 << 11) != 0 ? ", error code" : "");
  }
}
