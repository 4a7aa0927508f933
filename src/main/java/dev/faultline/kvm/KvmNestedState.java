package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import dev.faultline.svm.Vmcb;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.x86.Gpa;
import org.jspecify.annotations.Nullable;

/**
 * The nested virtualization state of a vCPU, as KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE carry
 * it.
 *
 * <p><i>Shape</i>: a header of {@link #HEADER_SIZE} bytes (flags u16, format u16, size u32, then
 * 120 bytes that each format lays out for itself), then data. VMX: vmcs12, then the shadow vmcs12,
 * a page each; SVM: the VMCB, a page.
 *
 * <p><i>Units</i>: {@link #sizeField()} is bytes, header and all. A payload may be shorter than it
 * says (a question is the header alone, its size the room there is) or longer (a VMM's buffer):
 * data counts up to the lesser of the two. The only payload that is refused is one without a whole
 * header.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_NESTED_STATE"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_nested_state, v6.1}.
 */
public record KvmNestedState(Bytes raw) implements KvmStruct {
  /** Bytes of the header, {@code sizeof(struct kvm_nested_state)}. */
  public static final int HEADER_SIZE = 128;

  /** Bytes of the VMCB that follows the header in the SVM format. */
  public static final int KVM_STATE_NESTED_SVM_VMCB_SIZE = Vmcb.SIZE;

  /** Bytes of each VMCS that follows the header in the VMX format. */
  public static final int KVM_STATE_NESTED_VMX_VMCS_SIZE = Vmcs12.SIZE;

  /** Bytes of header and vmcs12. */
  public static final int VMX_SIZE = HEADER_SIZE + Vmcs12.SIZE;

  /** Bytes of header, vmcs12 and shadow vmcs12: the most that there can be. */
  public static final int VMX_SIZE_WITH_SHADOW = VMX_SIZE + Vmcs12.SIZE;

  /** The least size that KVM takes to hold a vmcs12: it reads the packed struct, not the page. */
  public static final int VMX_LEAST_SIZE = HEADER_SIZE + Vmcs12.SIZE_PACKED;

  /** The least size that KVM takes to hold a shadow vmcs12. */
  public static final int VMX_LEAST_SIZE_WITH_SHADOW = VMX_SIZE + Vmcs12.SIZE_PACKED;

  private static final int FLAGS = 0;
  private static final int FORMAT = 2;
  private static final int SIZE_FIELD = 4;
  private static final int VMX_VMXON_PA = 8;
  private static final int VMX_VMCS12_PA = 16;
  private static final int VMX_SMM_FLAGS = 24;
  private static final int VMX_FLAGS = 28;
  private static final int VMX_PREEMPTION_TIMER_DEADLINE = 32;
  private static final int SVM_VMCB_PA = 8;

  /** The header in the VMX format. */
  public static final StructLayout HEADER_LAYOUT =
      header()
          .value("vmx.vmxon_pa", VMX_VMXON_PA, 8)
          .value("vmx.vmcs12_pa", VMX_VMCS12_PA, 8)
          .value("vmx.smm.flags", VMX_SMM_FLAGS, 2)
          .value("vmx.flags", VMX_FLAGS, 4)
          .value("vmx.preemption_timer_deadline", VMX_PREEMPTION_TIMER_DEADLINE, 8)
          .build();

  /** The header in the SVM format. */
  public static final StructLayout SVM_HEADER_LAYOUT =
      header().value("svm.vmcb_pa", SVM_VMCB_PA, 8).build();

  /** Header and vmcs12. */
  public static final StructLayout VMX_LAYOUT =
      StructLayout.builder("kvm_nested_state", VMX_SIZE)
          .include("", 0, HEADER_LAYOUT)
          .include("", HEADER_SIZE, Vmcs12.LAYOUT)
          .build();

  /** Header, vmcs12 and shadow vmcs12, whose names begin with {@code shadow_}. */
  public static final StructLayout VMX_LAYOUT_WITH_SHADOW =
      StructLayout.builder("kvm_nested_state", VMX_SIZE_WITH_SHADOW)
          .include("", 0, VMX_LAYOUT)
          .include("shadow_", VMX_SIZE, Vmcs12.LAYOUT)
          .build();

  /** Bytes of header and VMCB in the SVM format. */
  public static final int SVM_SIZE = HEADER_SIZE + KVM_STATE_NESTED_SVM_VMCB_SIZE;

  /** Header and VMCB in the SVM format. */
  public static final StructLayout SVM_LAYOUT =
      StructLayout.builder("kvm_nested_state", SVM_SIZE)
          .include("", 0, SVM_HEADER_LAYOUT)
          .include("", HEADER_SIZE, Vmcb.LAYOUT)
          .build();

  /** A payload of at least a header. */
  public KvmNestedState {
    if (raw.size() < HEADER_SIZE) {
      throw FormatException.structSize("kvm_nested_state", "at least " + HEADER_SIZE, raw.size());
    }
  }

  /** VMX without VMXON: a header alone, both pointers {@link Gpa#INVALID}. */
  public static KvmNestedState vmxOff() {
    return new KvmNestedState(
        Bytes.builder(HEADER_SIZE)
            .put(FORMAT, 2, NestedStateFlags.KVM_STATE_NESTED_FORMAT_VMX)
            .put(SIZE_FIELD, 4, HEADER_SIZE)
            .put(VMX_VMXON_PA, 8, Gpa.INVALID)
            .put(VMX_VMCS12_PA, 8, Gpa.INVALID)
            .build());
  }

  private static StructLayout.Builder header() {
    return StructLayout.builder("kvm_nested_state", HEADER_SIZE)
        .value("flags", FLAGS, 2)
        .value("format", FORMAT, 2)
        .value("size", SIZE_FIELD, 4);
  }

  @Override
  public StructLayout layout() {
    int size = raw.size();
    if (!isVmx()) {
      return switch (size) {
        case HEADER_SIZE -> SVM_HEADER_LAYOUT;
        case SVM_SIZE -> SVM_LAYOUT;
        default -> opaque(size < SVM_SIZE ? SVM_HEADER_LAYOUT : SVM_LAYOUT, size);
      };
    }
    return switch (size) {
      case HEADER_SIZE -> HEADER_LAYOUT;
      case VMX_SIZE -> VMX_LAYOUT;
      case VMX_SIZE_WITH_SHADOW -> VMX_LAYOUT_WITH_SHADOW;
      default -> opaque(size < VMX_SIZE ? HEADER_LAYOUT : VMX_LAYOUT, size);
    };
  }

  /** The fields of {@code known}, then {@code data[OFF]}. */
  private static StructLayout opaque(StructLayout known, int size) {
    return StructLayout.builder(known.name(), size)
        .include("", 0, known)
        .opaque("data", known.size(), size - known.size())
        .build();
  }

  /** The flags, {@link NestedStateFlags}. */
  public int flags() {
    return raw.u16(FLAGS);
  }

  /** {@link NestedStateFlags#KVM_STATE_NESTED_FORMAT_VMX} or SVM. */
  public int format() {
    return raw.u16(FORMAT);
  }

  /** True if the format is that of VMX. */
  public boolean isVmx() {
    return format() == NestedStateFlags.KVM_STATE_NESTED_FORMAT_VMX;
  }

  /** The field {@code size}: bytes of the whole as the header tells them. */
  public long sizeField() {
    return raw.u32(SIZE_FIELD);
  }

  /** True if all of {@code mask} is set in {@link #flags()}. */
  public boolean hasFlags(int mask) {
    return (flags() & mask) == mask;
  }

  /** The address of the VMXON region; {@link Gpa#INVALID} outside VMX operation. */
  public long vmxonPa() {
    return raw.u64(VMX_VMXON_PA);
  }

  /** The address of the current VMCS; {@link Gpa#INVALID} if there is none. */
  public long vmcs12Pa() {
    return raw.u64(VMX_VMCS12_PA);
  }

  /**
   * What the vCPU was in when the SMI came, {@code KVM_STATE_NESTED_SMM_GUEST_MODE} and its kind.
   */
  public int smmFlags() {
    return raw.u16(VMX_SMM_FLAGS);
  }

  /** {@link NestedStateFlags#KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE} or nothing. */
  public int vmxFlags() {
    return raw.i32(VMX_FLAGS);
  }

  /** When the preemption timer of L2 ends, in L1's TSC shifted by the timer's rate. */
  public long preemptionTimerDeadline() {
    return raw.u64(VMX_PREEMPTION_TIMER_DEADLINE);
  }

  /** In the SVM format, the address of the VMCB. */
  public long vmcbPa() {
    return raw.u64(SVM_VMCB_PA);
  }

  /** What follows the header, up to what the header says, or empty. */
  public Bytes data() {
    return raw.slice(HEADER_SIZE, dataSize());
  }

  /**
   * The vmcs12 in the data, in a page of its own if there is less than a page of it; null if there
   * is not even the packed struct, or the format is not that of VMX.
   */
  public @Nullable Vmcs12 vmcs12() {
    return vmcsAt(0);
  }

  /** The shadow vmcs12 in the data, as {@link #vmcs12()}. */
  public @Nullable Vmcs12 shadowVmcs12() {
    return vmcsAt(Vmcs12.SIZE);
  }

  /** In the SVM format, the VMCB in the data; null if there is no whole one. */
  public @Nullable Vmcb vmcb() {
    return isVmx() || dataSize() < KVM_STATE_NESTED_SVM_VMCB_SIZE
        ? null
        : new Vmcb(raw.slice(HEADER_SIZE, KVM_STATE_NESTED_SVM_VMCB_SIZE));
  }

  /** This state with other flags. */
  public KvmNestedState withFlags(int value) {
    return new KvmNestedState(raw.with(FLAGS, 2, value));
  }

  /** This state with another format. */
  public KvmNestedState withFormat(int value) {
    return new KvmNestedState(raw.with(FORMAT, 2, value));
  }

  /** This state with another size in its header; the payload stays as long as it is. */
  public KvmNestedState withSizeField(long value) {
    return new KvmNestedState(raw.with(SIZE_FIELD, 4, value));
  }

  /** This state with another VMXON pointer. */
  public KvmNestedState withVmxonPa(long value) {
    return new KvmNestedState(raw.with(VMX_VMXON_PA, 8, value));
  }

  /** This state with another VMCS pointer. */
  public KvmNestedState withVmcs12Pa(long value) {
    return new KvmNestedState(raw.with(VMX_VMCS12_PA, 8, value));
  }

  /** This state with other SMM flags. */
  public KvmNestedState withSmmFlags(int value) {
    return new KvmNestedState(raw.with(VMX_SMM_FLAGS, 2, value));
  }

  /** This state with other VMX flags. */
  public KvmNestedState withVmxFlags(int value) {
    return new KvmNestedState(raw.with(VMX_FLAGS, 4, value));
  }

  /** This state with another deadline of the preemption timer. */
  public KvmNestedState withPreemptionTimerDeadline(long value) {
    return new KvmNestedState(raw.with(VMX_PREEMPTION_TIMER_DEADLINE, 8, value));
  }

  /**
   * This state with that vmcs12; longer if there was no room for it, and its size field with it.
   */
  public KvmNestedState withVmcs12(Vmcs12 vmcs12) {
    return withPage(HEADER_SIZE, vmcs12);
  }

  /**
   * This state with that shadow vmcs12; longer if there was no room for it, and its size field with
   * it.
   */
  public KvmNestedState withShadowVmcs12(Vmcs12 shadow) {
    return withPage(VMX_SIZE, shadow);
  }

  private KvmNestedState withPage(int at, Vmcs12 page) {
    int end = at + Vmcs12.SIZE;
    int size = Math.max(raw.size(), end);
    return new KvmNestedState(
        Bytes.builder(size)
            .putBytes(0, raw)
            .putBytes(at, page.raw())
            .put(SIZE_FIELD, 4, Math.max(sizeField(), end))
            .build());
  }

  private int dataSize() {
    long size = Math.min(raw.size(), sizeField());
    return (int) Math.max(0, size - HEADER_SIZE);
  }

  private @Nullable Vmcs12 vmcsAt(int dataOffset) {
    int held = dataSize() - dataOffset;
    if (!isVmx() || held < Vmcs12.SIZE_PACKED) {
      return null;
    }
    int at = HEADER_SIZE + dataOffset;
    if (held >= Vmcs12.SIZE) {
      return new Vmcs12(raw.slice(at, Vmcs12.SIZE));
    }
    return new Vmcs12(Bytes.builder(Vmcs12.SIZE).putBytes(0, raw, at, held).build());
  }
}
