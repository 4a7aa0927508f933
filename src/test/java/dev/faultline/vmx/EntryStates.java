package dev.faultline.vmx;

import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Gpa;
import dev.faultline.x86.Msr;
import dev.faultline.x86.Rflags;
import java.util.HashMap;
import java.util.Map;

/** Valid states to start from: capability MSRs, what surrounds an entry, and vmcs12s. */
final class EntryStates {
  static final long CONTROL_HIGH = 0xFFFF_FFFFL << 32;
  static final long PIN_FIXED = 0x16;
  static final long PRIMARY_FIXED = 0x0400_6172;
  static final long EXIT_FIXED = 0x0003_6DFB;
  static final long ENTRY_FIXED = 0x11FB;

  static final long EPT_WALK_4 = 1 << 6;
  static final long EPT_WALK_5 = 1 << 7;
  static final long EPT_UNCACHEABLE = 1 << 8;
  static final long EPT_WRITE_BACK = 1 << 14;
  static final long EPT_ACCESSED_DIRTY = 1 << 21;
  static final long EPT_CAPABILITIES =
      EPT_WALK_4 | EPT_WALK_5 | EPT_UNCACHEABLE | EPT_WRITE_BACK | EPT_ACCESSED_DIRTY;
  static final long MISC_ZERO_LENGTH = 1 << 30;
  static final long EPTP = 0xA05E;

  private static final long CR4 =
      Cr4.VMXE | Cr4.PAE | Cr4.PGE | Cr4.PSE | Cr4.PCIDE | Cr4.LA57 | Cr4.SMXE;
  private static final long LONG_MODE = Efer.LMA | Efer.LME | Efer.SCE;
  private static final long PAT = 0x0007_0406_0007_0406L;
  private static final long DR7 = 0x400;
  private static final int PERF_COUNTERS = 3;
  private static final int POSTED_VECTOR = 0xF2;
  private static final int FLAT_CODE = 0xA09B;
  private static final int FLAT_DATA = 0xC093;
  private static final int BUSY_TSS = 0x8B;
  private static final long FLAT = 0xFFFF_FFFFL;

  /**
   * A CPU with everything; no CR3 targets and no injection of zero-length instructions, as KVM has
   * it.
   */
  static final VmxCapabilities CAPABILITIES = VmxCapabilities.of(msrs());

  static final GuestLimits LIMITS =
      GuestLimits.UNKNOWN
          .withMaxPhyAddr(40)
          .withCr4Reserved(~CR4 | Cr4.LA57 | Cr4.SMXE)
          .withEferAllowed(LONG_MODE | Efer.NX)
          .withPerfGlobalCtrlReserved(~PERF_COUNTERS)
          .withDebugctlSupported(1 << 2);

  /** L1 in long mode executes VMRESUME; behind the link pointer lies a shadow VMCS. */
  static final EntryContext ENTRY =
      EntryContext.vmentry(LIMITS, false, LONG_MODE)
          .withLinkTarget(new LinkTarget.Header(Vmcs12.REVISION | 1 << 31));

  /** A 64-bit guest of a 64-bit host with as many features in use as go together. */
  static final Vmcs12 FULL = full();

  /** The same without the features that rest on EPT, except EPT itself. */
  static final Vmcs12 PLAIN_EPT =
      clear(
          FULL,
          VmcsField.SECONDARY_VM_EXEC_CONTROL,
          SecondaryControls.ENABLE_PML
              | SecondaryControls.UNRESTRICTED_GUEST
              | SecondaryControls.MODE_BASED_EPT_EXEC
              | SecondaryControls.ENABLE_VMFUNC);

  /** The same for a 32-bit host and a 32-bit guest. */
  static final Vmcs12 FULL_32 =
      clear(
          clear(
              clear(
                  clear(FULL, VmcsField.VM_EXIT_CONTROLS, ExitControls.HOST_ADDR_SPACE_SIZE),
                  VmcsField.VM_ENTRY_CONTROLS,
                  EntryControls.IA32E_MODE),
              VmcsField.HOST_IA32_EFER,
              Efer.LMA | Efer.LME),
          VmcsField.GUEST_IA32_EFER,
          Efer.LMA | Efer.LME);

  private EntryStates() {}

  static Vmcs12 set(Vmcs12 vmcs12, VmcsField field, long bits) {
    return vmcs12.with(field, vmcs12.get(field) | bits);
  }

  static Vmcs12 clear(Vmcs12 vmcs12, VmcsField field, long bits) {
    return vmcs12.with(field, vmcs12.get(field) & ~bits);
  }

  static Map<Integer, Long> msrs() {
    Map<Integer, Long> msrs = new HashMap<>();
    msrs.put(Msr.IA32_VMX_BASIC, (long) Vmcs12.REVISION);
    msrs.put(Msr.IA32_VMX_TRUE_PINBASED_CTLS, PIN_FIXED | 0xFFL << 32);
    msrs.put(Msr.IA32_VMX_TRUE_PROCBASED_CTLS, PRIMARY_FIXED | CONTROL_HIGH);
    msrs.put(Msr.IA32_VMX_PROCBASED_CTLS2, 0x7FFF_FFFFL << 32);
    msrs.put(Msr.IA32_VMX_TRUE_EXIT_CTLS, EXIT_FIXED | 0x7F_FFFFL << 32);
    msrs.put(Msr.IA32_VMX_TRUE_ENTRY_CTLS, ENTRY_FIXED | 0x1_FFFFL << 32);
    msrs.put(Msr.IA32_VMX_MISC, 0x2000_0165L);
    msrs.put(Msr.IA32_VMX_EPT_VPID_CAP, EPT_CAPABILITIES);
    msrs.put(Msr.IA32_VMX_VMFUNC, 1L);
    msrs.put(Msr.IA32_VMX_CR0_FIXED0, VmxCapabilities.DEFAULT_CR0_FIXED0);
    msrs.put(Msr.IA32_VMX_CR0_FIXED1, VmxCapabilities.CR0_FIXED1);
    msrs.put(Msr.IA32_VMX_CR4_FIXED0, VmxCapabilities.DEFAULT_CR4_FIXED0);
    msrs.put(Msr.IA32_VMX_CR4_FIXED1, CR4);
    return msrs;
  }

  /** The capabilities with another value of one MSR. */
  static VmxCapabilities capabilities(int msr, long value) {
    Map<Integer, Long> msrs = msrs();
    msrs.put(msr, value);
    return VmxCapabilities.of(msrs);
  }

  private static Vmcs12 full() {
    return guest(host(addresses(controls(Vmcs12.blank()))));
  }

  private static Vmcs12 controls(Vmcs12 v) {
    return v.with(
            VmcsField.PIN_BASED_VM_EXEC_CONTROL,
            PIN_FIXED
                | PinControls.EXT_INTR_EXITING
                | PinControls.NMI_EXITING
                | PinControls.VIRTUAL_NMIS
                | PinControls.PREEMPTION_TIMER
                | PinControls.POSTED_INTR)
        .with(
            VmcsField.CPU_BASED_VM_EXEC_CONTROL,
            PRIMARY_FIXED
                | PrimaryControls.TPR_SHADOW
                | PrimaryControls.NMI_WINDOW_EXITING
                | PrimaryControls.USE_IO_BITMAPS
                | PrimaryControls.USE_MSR_BITMAPS
                | PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
        .with(
            VmcsField.SECONDARY_VM_EXEC_CONTROL,
            SecondaryControls.VIRTUALIZE_APIC_ACCESSES
                | SecondaryControls.ENABLE_EPT
                | SecondaryControls.ENABLE_VPID
                | SecondaryControls.UNRESTRICTED_GUEST
                | SecondaryControls.APIC_REGISTER_VIRT
                | SecondaryControls.VIRTUAL_INTR_DELIVERY
                | SecondaryControls.ENABLE_VMFUNC
                | SecondaryControls.SHADOW_VMCS
                | SecondaryControls.ENABLE_PML
                | SecondaryControls.MODE_BASED_EPT_EXEC)
        .with(
            VmcsField.VM_EXIT_CONTROLS,
            EXIT_FIXED
                | ExitControls.HOST_ADDR_SPACE_SIZE
                | ExitControls.ACK_INTR_ON_EXIT
                | ExitControls.LOAD_IA32_PAT
                | ExitControls.LOAD_IA32_EFER
                | ExitControls.LOAD_IA32_PERF_GLOBAL_CTRL
                | ExitControls.SAVE_PREEMPTION_TIMER)
        .with(
            VmcsField.VM_ENTRY_CONTROLS,
            ENTRY_FIXED
                | EntryControls.IA32E_MODE
                | EntryControls.LOAD_DEBUG_CONTROLS
                | EntryControls.LOAD_IA32_PAT
                | EntryControls.LOAD_IA32_EFER
                | EntryControls.LOAD_IA32_PERF_GLOBAL_CTRL
                | EntryControls.LOAD_BNDCFGS)
        .with(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x8000_0B0DL)
        .with(VmcsField.VIRTUAL_PROCESSOR_ID, 1)
        .with(VmcsField.POSTED_INTR_NV, POSTED_VECTOR)
        .with(VmcsField.VM_FUNCTION_CONTROL, 1);
  }

  private static Vmcs12 addresses(Vmcs12 v) {
    return v.with(VmcsField.IO_BITMAP_A, 0x3000)
        .with(VmcsField.IO_BITMAP_B, 0x4000)
        .with(VmcsField.MSR_BITMAP, 0x5000)
        .with(VmcsField.VIRTUAL_APIC_PAGE_ADDR, 0x6000)
        .with(VmcsField.APIC_ACCESS_ADDR, 0x7000)
        .with(VmcsField.POSTED_INTR_DESC_ADDR, 0x8040)
        .with(VmcsField.EPT_POINTER, EPTP)
        .with(VmcsField.PML_ADDRESS, 0xB000)
        .with(VmcsField.VMREAD_BITMAP, 0xC000)
        .with(VmcsField.VMWRITE_BITMAP, 0xD000)
        .with(VmcsField.EPTP_LIST_ADDRESS, 0xE000)
        .with(VmcsField.VMCS_LINK_POINTER, 0xF000)
        .with(VmcsField.VM_EXIT_MSR_LOAD_ADDR, 0x1_0010)
        .with(VmcsField.VM_EXIT_MSR_LOAD_COUNT, 1)
        .with(VmcsField.VM_EXIT_MSR_STORE_ADDR, 0x1_0020)
        .with(VmcsField.VM_EXIT_MSR_STORE_COUNT, 2)
        .with(VmcsField.VM_ENTRY_MSR_LOAD_ADDR, 0x1_0040)
        .with(VmcsField.VM_ENTRY_MSR_LOAD_COUNT, 3);
  }

  private static Vmcs12 host(Vmcs12 v) {
    return v.with(VmcsField.HOST_CR0, Cr0.PG | Cr0.WP | Cr0.NE | Cr0.PE)
        .with(VmcsField.HOST_CR3, 0x1000)
        .with(VmcsField.HOST_CR4, Cr4.VMXE | Cr4.PAE)
        .with(VmcsField.HOST_IA32_PAT, PAT)
        .with(VmcsField.HOST_IA32_EFER, LONG_MODE)
        .with(VmcsField.HOST_IA32_PERF_GLOBAL_CTRL, PERF_COUNTERS)
        .with(VmcsField.HOST_RIP, 0x40_0000)
        .with(VmcsField.HOST_CS_SELECTOR, 0x8)
        .with(VmcsField.HOST_SS_SELECTOR, 0x10)
        .with(VmcsField.HOST_DS_SELECTOR, 0x10)
        .with(VmcsField.HOST_ES_SELECTOR, 0x10)
        .with(VmcsField.HOST_FS_SELECTOR, 0x10)
        .with(VmcsField.HOST_GS_SELECTOR, 0x10)
        .with(VmcsField.HOST_TR_SELECTOR, 0x18);
  }

  private static Vmcs12 guest(Vmcs12 v) {
    return v.with(VmcsField.GUEST_CR0, Cr0.PG | Cr0.WP | Cr0.NE | Cr0.PE)
        .with(VmcsField.GUEST_CR3, 0x2000)
        .with(VmcsField.GUEST_CR4, Cr4.VMXE | Cr4.PAE)
        .with(VmcsField.GUEST_DR7, DR7)
        .with(VmcsField.GUEST_RFLAGS, Rflags.FIXED)
        .with(VmcsField.GUEST_IA32_PAT, PAT)
        .with(VmcsField.GUEST_IA32_EFER, LONG_MODE)
        .with(VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL, PERF_COUNTERS)
        .with(VmcsField.GUEST_BNDCFGS, Gpa.PAGE_SIZE | 1)
        .with(VmcsField.GUEST_CS_SELECTOR, 0x8)
        .with(VmcsField.GUEST_CS_LIMIT, FLAT)
        .with(VmcsField.GUEST_CS_AR_BYTES, FLAT_CODE)
        .with(VmcsField.GUEST_SS_SELECTOR, 0x10)
        .with(VmcsField.GUEST_SS_LIMIT, FLAT)
        .with(VmcsField.GUEST_SS_AR_BYTES, FLAT_DATA)
        .with(VmcsField.GUEST_DS_AR_BYTES, AccessRights.UNUSABLE)
        .with(VmcsField.GUEST_ES_AR_BYTES, AccessRights.UNUSABLE)
        .with(VmcsField.GUEST_FS_AR_BYTES, AccessRights.UNUSABLE)
        .with(VmcsField.GUEST_GS_AR_BYTES, AccessRights.UNUSABLE)
        .with(VmcsField.GUEST_LDTR_AR_BYTES, AccessRights.UNUSABLE)
        .with(VmcsField.GUEST_TR_SELECTOR, 0x18)
        .with(VmcsField.GUEST_TR_LIMIT, 0x67)
        .with(VmcsField.GUEST_TR_AR_BYTES, BUSY_TSS);
  }
}
