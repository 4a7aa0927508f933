package dev.faultline.svm;

/**
 * The fields of a VMCB: where each lies in its page.
 *
 * <p><i>Shape</i>: the control area is bytes 0 to 0x3ff, the state save area begins at 0x400.
 *
 * <p><i>Order</i>: by offset.
 *
 * <p><i>Source</i>: AMD APM vol. 2, appendix B, "VMCB Layout"; {@code arch/x86/include/asm/svm.h,
 * struct vmcb, v6.1}, whose names these are.
 */
public enum VmcbField {
  INTERCEPT_CR("control.intercepts[0]", 0x000, 4, true),
  INTERCEPT_DR("control.intercepts[1]", 0x004, 4, true),
  INTERCEPT_EXCEPTION("control.intercepts[2]", 0x008, 4, true),
  INTERCEPT_WORD3("control.intercepts[3]", 0x00c, 4, true),
  INTERCEPT_WORD4("control.intercepts[4]", 0x010, 4, true),
  INTERCEPT_WORD5("control.intercepts[5]", 0x014, 4, true),
  PAUSE_FILTER_THRESH("control.pause_filter_thresh", 0x03c, 2, true),
  PAUSE_FILTER_COUNT("control.pause_filter_count", 0x03e, 2, true),
  IOPM_BASE_PA("control.iopm_base_pa", 0x040, 8, true),
  MSRPM_BASE_PA("control.msrpm_base_pa", 0x048, 8, true),
  TSC_OFFSET("control.tsc_offset", 0x050, 8, true),
  ASID("control.asid", 0x058, 4, true),
  TLB_CTL("control.tlb_ctl", 0x05c, 1, true),
  INT_CTL("control.int_ctl", 0x060, 4, true),
  INT_VECTOR("control.int_vector", 0x064, 4, true),
  INT_STATE("control.int_state", 0x068, 4, true),
  EXIT_CODE("control.exit_code", 0x070, 4, true),
  EXIT_CODE_HI("control.exit_code_hi", 0x074, 4, true),
  EXIT_INFO_1("control.exit_info_1", 0x078, 8, true),
  EXIT_INFO_2("control.exit_info_2", 0x080, 8, true),
  EXIT_INT_INFO("control.exit_int_info", 0x088, 4, true),
  EXIT_INT_INFO_ERR("control.exit_int_info_err", 0x08c, 4, true),
  NESTED_CTL("control.nested_ctl", 0x090, 8, true),
  AVIC_VAPIC_BAR("control.avic_vapic_bar", 0x098, 8, false),
  GHCB_GPA("control.ghcb_gpa", 0x0a0, 8, false),
  EVENT_INJ("control.event_inj", 0x0a8, 4, true),
  EVENT_INJ_ERR("control.event_inj_err", 0x0ac, 4, true),
  NESTED_CR3("control.nested_cr3", 0x0b0, 8, true),
  VIRT_EXT("control.virt_ext", 0x0b8, 8, true),
  CLEAN("control.clean", 0x0c0, 4, false),
  NEXT_RIP("control.next_rip", 0x0c8, 8, true),
  INSN_LEN("control.insn_len", 0x0d0, 1, false),
  AVIC_BACKING_PAGE("control.avic_backing_page", 0x0e0, 8, false),
  AVIC_LOGICAL_ID("control.avic_logical_id", 0x0f0, 8, false),
  AVIC_PHYSICAL_ID("control.avic_physical_id", 0x0f8, 8, false),
  VMSA_PA("control.vmsa_pa", 0x108, 8, false),
  ES_SELECTOR("save.es.selector", 0x400, 2, false),
  ES_ATTRIB("save.es.attrib", 0x402, 2, false),
  ES_LIMIT("save.es.limit", 0x404, 4, false),
  ES_BASE("save.es.base", 0x408, 8, false),
  CS_SELECTOR("save.cs.selector", 0x410, 2, false),
  CS_ATTRIB("save.cs.attrib", 0x412, 2, false),
  CS_LIMIT("save.cs.limit", 0x414, 4, false),
  CS_BASE("save.cs.base", 0x418, 8, false),
  SS_SELECTOR("save.ss.selector", 0x420, 2, false),
  SS_ATTRIB("save.ss.attrib", 0x422, 2, false),
  SS_LIMIT("save.ss.limit", 0x424, 4, false),
  SS_BASE("save.ss.base", 0x428, 8, false),
  DS_SELECTOR("save.ds.selector", 0x430, 2, false),
  DS_ATTRIB("save.ds.attrib", 0x432, 2, false),
  DS_LIMIT("save.ds.limit", 0x434, 4, false),
  DS_BASE("save.ds.base", 0x438, 8, false),
  FS_SELECTOR("save.fs.selector", 0x440, 2, false),
  FS_ATTRIB("save.fs.attrib", 0x442, 2, false),
  FS_LIMIT("save.fs.limit", 0x444, 4, false),
  FS_BASE("save.fs.base", 0x448, 8, false),
  GS_SELECTOR("save.gs.selector", 0x450, 2, false),
  GS_ATTRIB("save.gs.attrib", 0x452, 2, false),
  GS_LIMIT("save.gs.limit", 0x454, 4, false),
  GS_BASE("save.gs.base", 0x458, 8, false),
  GDTR_SELECTOR("save.gdtr.selector", 0x460, 2, false),
  GDTR_ATTRIB("save.gdtr.attrib", 0x462, 2, false),
  GDTR_LIMIT("save.gdtr.limit", 0x464, 4, false),
  GDTR_BASE("save.gdtr.base", 0x468, 8, false),
  LDTR_SELECTOR("save.ldtr.selector", 0x470, 2, false),
  LDTR_ATTRIB("save.ldtr.attrib", 0x472, 2, false),
  LDTR_LIMIT("save.ldtr.limit", 0x474, 4, false),
  LDTR_BASE("save.ldtr.base", 0x478, 8, false),
  IDTR_SELECTOR("save.idtr.selector", 0x480, 2, false),
  IDTR_ATTRIB("save.idtr.attrib", 0x482, 2, false),
  IDTR_LIMIT("save.idtr.limit", 0x484, 4, false),
  IDTR_BASE("save.idtr.base", 0x488, 8, false),
  TR_SELECTOR("save.tr.selector", 0x490, 2, false),
  TR_ATTRIB("save.tr.attrib", 0x492, 2, false),
  TR_LIMIT("save.tr.limit", 0x494, 4, false),
  TR_BASE("save.tr.base", 0x498, 8, false),
  VMPL("save.vmpl", 0x4ca, 1, false),
  CPL("save.cpl", 0x4cb, 1, false),
  EFER("save.efer", 0x4d0, 8, false),
  CR4("save.cr4", 0x548, 8, false),
  CR3("save.cr3", 0x550, 8, false),
  CR0("save.cr0", 0x558, 8, false),
  DR7("save.dr7", 0x560, 8, false),
  DR6("save.dr6", 0x568, 8, false),
  RFLAGS("save.rflags", 0x570, 8, false),
  RIP("save.rip", 0x578, 8, false),
  RSP("save.rsp", 0x5d8, 8, false),
  S_CET("save.s_cet", 0x5e0, 8, false),
  SSP("save.ssp", 0x5e8, 8, false),
  ISST_ADDR("save.isst_addr", 0x5f0, 8, false),
  RAX("save.rax", 0x5f8, 8, false),
  STAR("save.star", 0x600, 8, false),
  LSTAR("save.lstar", 0x608, 8, false),
  CSTAR("save.cstar", 0x610, 8, false),
  SFMASK("save.sfmask", 0x618, 8, false),
  KERNEL_GS_BASE("save.kernel_gs_base", 0x620, 8, false),
  SYSENTER_CS("save.sysenter_cs", 0x628, 8, false),
  SYSENTER_ESP("save.sysenter_esp", 0x630, 8, false),
  SYSENTER_EIP("save.sysenter_eip", 0x638, 8, false),
  CR2("save.cr2", 0x640, 8, false),
  G_PAT("save.g_pat", 0x668, 8, false),
  DBGCTL("save.dbgctl", 0x670, 8, false),
  BR_FROM("save.br_from", 0x678, 8, false),
  BR_TO("save.br_to", 0x680, 8, false),
  LAST_EXCP_FROM("save.last_excp_from", 0x688, 8, false),
  LAST_EXCP_TO("save.last_excp_to", 0x690, 8, false),
  SPEC_CTRL("save.spec_ctrl", 0x6e0, 4, false);

  /** What a field is for. */
  public enum Area {
    /** How the guest is run, and why it left. */
    CONTROL,
    /** Registers. */
    SAVE
  }

  private final String vmcbName;
  private final int offset;
  private final int size;
  private final boolean cached;

  VmcbField(String vmcbName, int offset, int size, boolean cached) {
    this.vmcbName = vmcbName;
    this.offset = offset;
    this.size = size;
    this.cached = cached;
  }

  /** The path in {@code struct vmcb}, {@code save.cs.selector}. */
  public String vmcbName() {
    return vmcbName;
  }

  /** Bytes from the start of the VMCB. */
  public int offset() {
    return offset;
  }

  /** Bytes: 1, 2, 4 or 8. */
  public int size() {
    return size;
  }

  /**
   * True if KVM copies this field of L1's control area when it enters L2, and gives it back by
   * KVM_GET_NESTED_STATE; it gives zero for the others of the control area.
   */
  public boolean isCached() {
    return cached;
  }

  /** The area it lies in. */
  public Area area() {
    return offset < Vmcb.SAVE_OFFSET ? Area.CONTROL : Area.SAVE;
  }
}
