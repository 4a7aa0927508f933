package dev.faultline.vmx;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * The VMCS fields that KVM keeps for a nested guest: where each lies in {@code struct vmcs12}, and
 * its encoding for VMREAD and VMWRITE.
 *
 * <p><i>Shape</i> of an encoding: bit 0 high half of a 64-bit field, 9:1 index, 11:10 type (0
 * control, 1 exit information, 2 guest, 3 host), 14:13 width (0 16-bit, 1 64-bit, 2 32-bit, 3
 * natural).
 *
 * <p><i>Order</i>: by offset. vmcs12 is an ABI: nothing in it ever moves.
 *
 * <p><i>Source</i>: Intel SDM vol. 3D, "Field Encoding in VMCS"; {@code arch/x86/kvm/vmx/vmcs12.h,
 * struct vmcs12, v6.1}.
 */
public enum VmcsField {
  IO_BITMAP_A(0x2000, 40, 8, false),
  IO_BITMAP_B(0x2002, 48, 8, false),
  MSR_BITMAP(0x2004, 56, 8, false),
  VM_EXIT_MSR_STORE_ADDR(0x2006, 64, 8, false),
  VM_EXIT_MSR_LOAD_ADDR(0x2008, 72, 8, false),
  VM_ENTRY_MSR_LOAD_ADDR(0x200a, 80, 8, false),
  TSC_OFFSET(0x2010, 88, 8, false),
  VIRTUAL_APIC_PAGE_ADDR(0x2012, 96, 8, false),
  APIC_ACCESS_ADDR(0x2014, 104, 8, false),
  POSTED_INTR_DESC_ADDR(0x2016, 112, 8, false),
  EPT_POINTER(0x201a, 120, 8, false),
  EOI_EXIT_BITMAP0(0x201c, 128, 8, false),
  EOI_EXIT_BITMAP1(0x201e, 136, 8, false),
  EOI_EXIT_BITMAP2(0x2020, 144, 8, false),
  EOI_EXIT_BITMAP3(0x2022, 152, 8, false),
  XSS_EXIT_BITMAP(0x202c, 160, 8, false),
  GUEST_PHYSICAL_ADDRESS(0x2400, 168, 8, true),
  VMCS_LINK_POINTER(0x2800, 176, 8, false),
  GUEST_IA32_DEBUGCTL(0x2802, 184, 8, false),
  GUEST_IA32_PAT(0x2804, 192, 8, false),
  GUEST_IA32_EFER(0x2806, 200, 8, false),
  GUEST_IA32_PERF_GLOBAL_CTRL(0x2808, 208, 8, false),
  GUEST_PDPTR0(0x280a, 216, 8, false),
  GUEST_PDPTR1(0x280c, 224, 8, false),
  GUEST_PDPTR2(0x280e, 232, 8, false),
  GUEST_PDPTR3(0x2810, 240, 8, false),
  GUEST_BNDCFGS(0x2812, 248, 8, false),
  HOST_IA32_PAT(0x2c00, 256, 8, false),
  HOST_IA32_EFER(0x2c02, 264, 8, false),
  HOST_IA32_PERF_GLOBAL_CTRL(0x2c04, 272, 8, false),
  VMREAD_BITMAP(0x2026, 280, 8, false),
  VMWRITE_BITMAP(0x2028, 288, 8, false),
  VM_FUNCTION_CONTROL(0x2018, 296, 8, false),
  EPTP_LIST_ADDRESS(0x2024, 304, 8, false),
  PML_ADDRESS(0x200e, 312, 8, false),
  ENCLS_EXITING_BITMAP(0x202e, 320, 8, false),
  TSC_MULTIPLIER(0x2032, 328, 8, false),
  CR0_GUEST_HOST_MASK(0x6000, 344, 8, true),
  CR4_GUEST_HOST_MASK(0x6002, 352, 8, false),
  CR0_READ_SHADOW(0x6004, 360, 8, true),
  CR4_READ_SHADOW(0x6006, 368, 8, true),
  EXIT_QUALIFICATION(0x6400, 408, 8, true),
  GUEST_LINEAR_ADDRESS(0x640a, 416, 8, true),
  GUEST_CR0(0x6800, 424, 8, true),
  GUEST_CR3(0x6802, 432, 8, true),
  GUEST_CR4(0x6804, 440, 8, true),
  GUEST_ES_BASE(0x6806, 448, 8, false),
  GUEST_CS_BASE(0x6808, 456, 8, false),
  GUEST_SS_BASE(0x680a, 464, 8, false),
  GUEST_DS_BASE(0x680c, 472, 8, false),
  GUEST_FS_BASE(0x680e, 480, 8, false),
  GUEST_GS_BASE(0x6810, 488, 8, false),
  GUEST_LDTR_BASE(0x6812, 496, 8, false),
  GUEST_TR_BASE(0x6814, 504, 8, false),
  GUEST_GDTR_BASE(0x6816, 512, 8, false),
  GUEST_IDTR_BASE(0x6818, 520, 8, false),
  GUEST_DR7(0x681a, 528, 8, false),
  GUEST_RSP(0x681c, 536, 8, true),
  GUEST_RIP(0x681e, 544, 8, true),
  GUEST_RFLAGS(0x6820, 552, 8, true),
  GUEST_PENDING_DBG_EXCEPTIONS(0x6822, 560, 8, false),
  GUEST_SYSENTER_ESP(0x6824, 568, 8, false),
  GUEST_SYSENTER_EIP(0x6826, 576, 8, false),
  HOST_CR0(0x6c00, 584, 8, false),
  HOST_CR3(0x6c02, 592, 8, false),
  HOST_CR4(0x6c04, 600, 8, false),
  HOST_FS_BASE(0x6c06, 608, 8, true),
  HOST_GS_BASE(0x6c08, 616, 8, true),
  HOST_TR_BASE(0x6c0a, 624, 8, false),
  HOST_GDTR_BASE(0x6c0c, 632, 8, false),
  HOST_IDTR_BASE(0x6c0e, 640, 8, false),
  HOST_IA32_SYSENTER_ESP(0x6c10, 648, 8, false),
  HOST_IA32_SYSENTER_EIP(0x6c12, 656, 8, false),
  HOST_RSP(0x6c14, 664, 8, false),
  HOST_RIP(0x6c16, 672, 8, false),
  PIN_BASED_VM_EXEC_CONTROL(0x4000, 744, 4, true),
  CPU_BASED_VM_EXEC_CONTROL(0x4002, 748, 4, true),
  EXCEPTION_BITMAP(0x4004, 752, 4, true),
  PAGE_FAULT_ERROR_CODE_MASK(0x4006, 756, 4, false),
  PAGE_FAULT_ERROR_CODE_MATCH(0x4008, 760, 4, false),
  CR3_TARGET_COUNT(0x400a, 764, 4, false),
  VM_EXIT_CONTROLS(0x400c, 768, 4, false),
  VM_EXIT_MSR_STORE_COUNT(0x400e, 772, 4, false),
  VM_EXIT_MSR_LOAD_COUNT(0x4010, 776, 4, false),
  VM_ENTRY_CONTROLS(0x4012, 780, 4, false),
  VM_ENTRY_MSR_LOAD_COUNT(0x4014, 784, 4, false),
  VM_ENTRY_INTR_INFO_FIELD(0x4016, 788, 4, true),
  VM_ENTRY_EXCEPTION_ERROR_CODE(0x4018, 792, 4, true),
  VM_ENTRY_INSTRUCTION_LEN(0x401a, 796, 4, true),
  TPR_THRESHOLD(0x401c, 800, 4, true),
  SECONDARY_VM_EXEC_CONTROL(0x401e, 804, 4, false),
  VM_INSTRUCTION_ERROR(0x4400, 808, 4, false),
  VM_EXIT_REASON(0x4402, 812, 4, true),
  VM_EXIT_INTR_INFO(0x4404, 816, 4, true),
  VM_EXIT_INTR_ERROR_CODE(0x4406, 820, 4, true),
  IDT_VECTORING_INFO_FIELD(0x4408, 824, 4, true),
  IDT_VECTORING_ERROR_CODE(0x440a, 828, 4, true),
  VM_EXIT_INSTRUCTION_LEN(0x440c, 832, 4, true),
  VMX_INSTRUCTION_INFO(0x440e, 836, 4, false),
  GUEST_ES_LIMIT(0x4800, 840, 4, false),
  GUEST_CS_LIMIT(0x4802, 844, 4, false),
  GUEST_SS_LIMIT(0x4804, 848, 4, false),
  GUEST_DS_LIMIT(0x4806, 852, 4, false),
  GUEST_FS_LIMIT(0x4808, 856, 4, false),
  GUEST_GS_LIMIT(0x480a, 860, 4, false),
  GUEST_LDTR_LIMIT(0x480c, 864, 4, false),
  GUEST_TR_LIMIT(0x480e, 868, 4, false),
  GUEST_GDTR_LIMIT(0x4810, 872, 4, false),
  GUEST_IDTR_LIMIT(0x4812, 876, 4, false),
  GUEST_ES_AR_BYTES(0x4814, 880, 4, false),
  GUEST_CS_AR_BYTES(0x4816, 884, 4, true),
  GUEST_SS_AR_BYTES(0x4818, 888, 4, true),
  GUEST_DS_AR_BYTES(0x481a, 892, 4, false),
  GUEST_FS_AR_BYTES(0x481c, 896, 4, false),
  GUEST_GS_AR_BYTES(0x481e, 900, 4, false),
  GUEST_LDTR_AR_BYTES(0x4820, 904, 4, false),
  GUEST_TR_AR_BYTES(0x4822, 908, 4, false),
  GUEST_INTERRUPTIBILITY_INFO(0x4824, 912, 4, true),
  GUEST_ACTIVITY_STATE(0x4826, 916, 4, false),
  GUEST_SYSENTER_CS(0x482a, 920, 4, false),
  HOST_IA32_SYSENTER_CS(0x4c00, 924, 4, false),
  VMX_PREEMPTION_TIMER_VALUE(0x482e, 928, 4, true),
  VIRTUAL_PROCESSOR_ID(0x0000, 960, 2, false),
  POSTED_INTR_NV(0x0002, 962, 2, false),
  GUEST_ES_SELECTOR(0x0800, 964, 2, false),
  GUEST_CS_SELECTOR(0x0802, 966, 2, false),
  GUEST_SS_SELECTOR(0x0804, 968, 2, false),
  GUEST_DS_SELECTOR(0x0806, 970, 2, false),
  GUEST_FS_SELECTOR(0x0808, 972, 2, false),
  GUEST_GS_SELECTOR(0x080a, 974, 2, false),
  GUEST_LDTR_SELECTOR(0x080c, 976, 2, false),
  GUEST_TR_SELECTOR(0x080e, 978, 2, false),
  GUEST_INTR_STATUS(0x0810, 980, 2, true),
  HOST_ES_SELECTOR(0x0c00, 982, 2, false),
  HOST_CS_SELECTOR(0x0c02, 984, 2, false),
  HOST_SS_SELECTOR(0x0c04, 986, 2, false),
  HOST_DS_SELECTOR(0x0c06, 988, 2, false),
  HOST_FS_SELECTOR(0x0c08, 990, 2, true),
  HOST_GS_SELECTOR(0x0c0a, 992, 2, true),
  HOST_TR_SELECTOR(0x0c0c, 994, 2, false),
  GUEST_PML_INDEX(0x0812, 996, 2, true);

  private static final VmcsField[] BY_ORDINAL = values();

  private static final int WIDTH_SHIFT = 13;
  private static final int TYPE_SHIFT = 10;
  private static final int TWO_BITS = 3;

  private final int encoding;
  private final int offset;
  private final int size;
  private final boolean shadowed;
  private final String vmcs12Name;

  VmcsField(int encoding, int offset, int size, boolean shadowed) {
    this.encoding = encoding;
    this.offset = offset;
    this.size = size;
    this.shadowed = shadowed;
    this.vmcs12Name = name().toLowerCase(Locale.ROOT);
  }

  /** How wide a field is architecturally; a natural one is 64 bits wide in vmcs12. */
  public enum Width {
    BITS_16,
    BITS_64,
    BITS_32,
    NATURAL
  }

  /** Which area of the VMCS a field is in. */
  public enum Area {
    CONTROL,
    EXIT_INFORMATION,
    GUEST,
    HOST
  }

  /** How many fields; ordinals are below. */
  public static int count() {
    return BY_ORDINAL.length;
  }

  /** The field of that ordinal. */
  public static VmcsField at(int ordinal) {
    return BY_ORDINAL[ordinal];
  }

  /** The field of that encoding (bit 0 clear); null if KVM's vmcs12 has none. */
  public static @Nullable VmcsField ofEncoding(int encoding) {
    for (VmcsField field : BY_ORDINAL) {
      if (field.encoding == encoding) {
        return field;
      }
    }
    return null;
  }

  /** The field of that name in {@code struct vmcs12}; null if there is none. */
  public static @Nullable VmcsField ofName(String vmcs12Name) {
    for (VmcsField field : BY_ORDINAL) {
      if (field.vmcs12Name.equals(vmcs12Name)) {
        return field;
      }
    }
    return null;
  }

  /** The name in {@code struct vmcs12}, {@code guest_rip}. */
  public String vmcs12Name() {
    return vmcs12Name;
  }

  /** The encoding that VMREAD and VMWRITE take. */
  public int encoding() {
    return encoding;
  }

  /** Bytes from the start of vmcs12. */
  public int offset() {
    return offset;
  }

  /** Bytes in vmcs12: 2, 4 or 8. */
  public int size() {
    return size;
  }

  /**
   * True if KVM lets L1 read or write the field without an exit when the processor has VMCS
   * shadowing; until the next exit of L1 such a field of vmcs12 may then be out of date.
   */
  public boolean isShadowed() {
    return shadowed;
  }

  /** The architectural width, from the encoding. */
  public Width width() {
    return switch (encoding >>> WIDTH_SHIFT & TWO_BITS) {
      case 0 -> Width.BITS_16;
      case 1 -> Width.BITS_64;
      case 2 -> Width.BITS_32;
      default -> Width.NATURAL;
    };
  }

  /** The area, from the encoding. */
  public Area area() {
    return switch (encoding >>> TYPE_SHIFT & TWO_BITS) {
      case 0 -> Area.CONTROL;
      case 1 -> Area.EXIT_INFORMATION;
      case 2 -> Area.GUEST;
      default -> Area.HOST;
    };
  }
}
