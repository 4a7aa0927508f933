package dev.faultline.vmx;

import static dev.faultline.vmx.EntryStates.CAPABILITIES;
import static dev.faultline.vmx.EntryStates.ENTRY;
import static dev.faultline.vmx.EntryStates.FULL;
import static dev.faultline.vmx.EntryStates.FULL_32;
import static dev.faultline.vmx.EntryStates.LIMITS;
import static dev.faultline.vmx.EntryStates.PLAIN_EPT;
import static dev.faultline.vmx.EntryStates.capabilities;
import static dev.faultline.vmx.EntryStates.clear;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.InvariantViolation;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Gpa;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Given a vmcs12 that passes every check, when one field changes, then one check is the first that
 * fails.
 */
class VmEntryCheckScenario {
  private static final long BEYOND_MAXPHYADDR = 1L << 40;
  private static final long NON_CANONICAL = 1L << 47;
  private static final long SOFTWARE_INTERRUPT = 0x8000_0480L;

  private static final EntryContext ENTRY_32 = ENTRY.withEfer(0);

  /** A CPU whose guests may have CR4.CET, as kernels allow from 6.18 on. */
  private static final VmxCapabilities WITH_CET =
      CAPABILITIES.withFixed1(Cr4.VMXE | Cr4.PAE | Cr4.CET);

  private static final EntryContext ENTRY_WITH_CET =
      ENTRY.withLimits(LIMITS.withCr4Reserved(~(Cr4.VMXE | Cr4.PAE | Cr4.CET)));

  /** One field of a vmcs12 that passes is changed, so that one check fails. */
  record Row(
      VmEntryCheck check,
      Vmcs12 valid,
      VmcsField field,
      long value,
      VmxCapabilities capabilities,
      EntryContext context) {

    Row given(Vmcs12 base) {
      return new Row(check, base, field, value, capabilities, context);
    }

    Row given(VmcsField changed, long to) {
      return given(valid.with(changed, to));
    }

    Row with(VmxCapabilities others) {
      return new Row(check, valid, field, value, others, context);
    }

    Row with(EntryContext other) {
      return new Row(check, valid, field, value, capabilities, other);
    }

    Vmcs12 changed() {
      return valid.with(field, value);
    }

    @Override
    public String toString() {
      return check + ": " + field + " = 0x" + Long.toHexString(value);
    }
  }

  static final List<Row> ROWS = rows();

  /** The checks that a vmcs12 and the MSRs do not decide. */
  private static final Set<VmEntryCheck> DECIDED_ELSEWHERE =
      EnumSet.of(
          VmEntryCheck.ENLIGHTENED_VMPTR,
          VmEntryCheck.CURRENT_VMCS,
          VmEntryCheck.ORDINARY_VMCS,
          VmEntryCheck.MOV_SS_BLOCKING,
          VmEntryCheck.CLEAR_FOR_VMLAUNCH,
          VmEntryCheck.LAUNCHED_FOR_VMRESUME,
          VmEntryCheck.RESTORED_PDPTES,
          VmEntryCheck.MSR_LOAD_FS_BASE,
          VmEntryCheck.MSR_LOAD_GS_BASE,
          VmEntryCheck.MSR_LOAD_SMM_MONITOR_CTL,
          VmEntryCheck.MSR_STORE_SMBASE,
          VmEntryCheck.MSR_LIST_X2APIC,
          VmEntryCheck.MSR_LIST_UCODE_WRITE,
          VmEntryCheck.MSR_LIST_UCODE_REV,
          VmEntryCheck.MSR_LIST_RESERVED,
          VmEntryCheck.HARDWARE_EARLY,
          VmEntryCheck.HARDWARE_LATE);

  /** The checks that pass or cannot be told, but never are known to fail. */
  private static final Set<VmEntryCheck> NEVER_KNOWN_TO_FAIL =
      EnumSet.of(
          VmEntryCheck.ENLIGHTENED_PIN_BASED_CONTROLS,
          VmEntryCheck.ENLIGHTENED_SECONDARY_CONTROLS,
          VmEntryCheck.ENLIGHTENED_EXIT_CONTROLS,
          VmEntryCheck.ENLIGHTENED_ENTRY_CONTROLS,
          VmEntryCheck.ENLIGHTENED_VMFUNC_CONTROLS,
          VmEntryCheck.LINK_POINTER_READ,
          VmEntryCheck.GUEST_PDPTES);

  private static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    executionControls(rows);
    apicAndNmiControls(rows);
    ept(rows);
    exitAndEntryControls(rows);
    event(rows);
    hostRegisters(rows);
    hostSegments(rows);
    guestRegisters(rows);
    guestMsrs(rows);
    linkPointerAndLoad(rows);
    return rows;
  }

  private static Row put(VmEntryCheck check, VmcsField field, long value) {
    return new Row(check, FULL, field, value, CAPABILITIES, ENTRY);
  }

  private static Row set(VmEntryCheck check, VmcsField field, long bits) {
    return put(check, field, FULL.get(field) | bits);
  }

  private static Row unset(VmEntryCheck check, VmcsField field, long bits) {
    return put(check, field, FULL.get(field) & ~bits);
  }

  private static void page(List<Row> rows, VmEntryCheck check, VmcsField field) {
    rows.add(set(check, field, 1));
    rows.add(set(check, field, Gpa.PAGE_SIZE / 2));
    rows.add(set(check, field, BEYOND_MAXPHYADDR));
  }

  private static void executionControls(List<Row> rows) {
    VmcsField pin = VmcsField.PIN_BASED_VM_EXEC_CONTROL;
    VmcsField primary = VmcsField.CPU_BASED_VM_EXEC_CONTROL;
    VmcsField secondary = VmcsField.SECONDARY_VM_EXEC_CONTROL;
    rows.add(set(VmEntryCheck.PIN_BASED_CONTROLS, pin, 1 << 8));
    rows.add(unset(VmEntryCheck.PIN_BASED_CONTROLS, pin, 1 << 1));
    rows.add(unset(VmEntryCheck.PRIMARY_CONTROLS, primary, 1 << 1));
    rows.add(
        set(VmEntryCheck.PRIMARY_CONTROLS, primary, 1)
            .with(
                capabilities(
                    Msr.IA32_VMX_TRUE_PROCBASED_CTLS,
                    EntryStates.PRIMARY_FIXED | 0xFFFF_FFFEL << 32)));
    rows.add(set(VmEntryCheck.SECONDARY_CONTROLS, secondary, 1L << 31));
    rows.add(put(VmEntryCheck.CR3_TARGET_COUNT, VmcsField.CR3_TARGET_COUNT, 1));
    rows.add(
        put(VmEntryCheck.CR3_TARGET_COUNT, VmcsField.CR3_TARGET_COUNT, 5)
            .given(VmcsField.CR3_TARGET_COUNT, 4)
            .with(capabilities(Msr.IA32_VMX_MISC, 4 << 16)));
    page(rows, VmEntryCheck.IO_BITMAP_A_ADDRESS, VmcsField.IO_BITMAP_A);
    page(rows, VmEntryCheck.IO_BITMAP_B_ADDRESS, VmcsField.IO_BITMAP_B);
    page(rows, VmEntryCheck.MSR_BITMAP_ADDRESS, VmcsField.MSR_BITMAP);
    page(rows, VmEntryCheck.VIRTUAL_APIC_PAGE_ADDRESS, VmcsField.VIRTUAL_APIC_PAGE_ADDR);
    page(rows, VmEntryCheck.APIC_ACCESS_PAGE_ADDRESS, VmcsField.APIC_ACCESS_ADDR);
    page(rows, VmEntryCheck.VMREAD_BITMAP_ADDRESS, VmcsField.VMREAD_BITMAP);
    page(rows, VmEntryCheck.VMWRITE_BITMAP_ADDRESS, VmcsField.VMWRITE_BITMAP);
    rows.add(put(VmEntryCheck.VPID, VmcsField.VIRTUAL_PROCESSOR_ID, 0));
    rows.add(unset(VmEntryCheck.SAVED_TIMER_WITH_TIMER, pin, PinControls.PREEMPTION_TIMER));
  }

  private static void apicAndNmiControls(List<Row> rows) {
    VmcsField pin = VmcsField.PIN_BASED_VM_EXEC_CONTROL;
    VmcsField primary = VmcsField.CPU_BASED_VM_EXEC_CONTROL;
    VmcsField secondary = VmcsField.SECONDARY_VM_EXEC_CONTROL;
    VmcsField exit = VmcsField.VM_EXIT_CONTROLS;
    rows.add(
        set(
            VmEntryCheck.X2APIC_WITHOUT_APIC_ACCESSES,
            secondary,
            SecondaryControls.VIRTUALIZE_X2APIC_MODE));
    rows.add(
        unset(VmEntryCheck.INTERRUPT_DELIVERY_WITH_EXITING, pin, PinControls.EXT_INTR_EXITING));
    rows.add(
        unset(
            VmEntryCheck.POSTED_WITH_INTERRUPT_DELIVERY,
            secondary,
            SecondaryControls.VIRTUAL_INTR_DELIVERY));
    rows.add(unset(VmEntryCheck.POSTED_WITH_ACKNOWLEDGE, exit, ExitControls.ACK_INTR_ON_EXIT));
    rows.add(set(VmEntryCheck.POSTED_VECTOR, VmcsField.POSTED_INTR_NV, 0x100));
    VmEntryCheck descriptor = VmEntryCheck.POSTED_DESCRIPTOR_ADDRESS;
    rows.add(set(descriptor, VmcsField.POSTED_INTR_DESC_ADDR, 0x20));
    rows.add(set(descriptor, VmcsField.POSTED_INTR_DESC_ADDR, BEYOND_MAXPHYADDR));
    rows.add(
        unset(
            VmEntryCheck.APIC_VIRTUALIZATION_WITH_TPR_SHADOW, primary, PrimaryControls.TPR_SHADOW));
    rows.add(unset(VmEntryCheck.VIRTUAL_NMIS_WITH_NMI_EXITING, pin, PinControls.NMI_EXITING));
    rows.add(unset(VmEntryCheck.NMI_WINDOW_WITH_VIRTUAL_NMIS, pin, PinControls.VIRTUAL_NMIS));
  }

  private static void ept(List<Row> rows) {
    VmcsField secondary = VmcsField.SECONDARY_VM_EXEC_CONTROL;
    long all = FULL.get(secondary);
    long noPml = all & ~SecondaryControls.ENABLE_PML;
    long noUnrestricted = noPml & ~SecondaryControls.UNRESTRICTED_GUEST;
    long noModeBased = noUnrestricted & ~SecondaryControls.MODE_BASED_EPT_EXEC;
    long ept = SecondaryControls.ENABLE_EPT;
    rows.add(put(VmEntryCheck.PML_WITH_EPT, secondary, all & ~ept));
    page(rows, VmEntryCheck.PML_ADDRESS, VmcsField.PML_ADDRESS);
    rows.add(
        put(VmEntryCheck.UNRESTRICTED_GUEST_WITH_EPT, secondary, noPml & ~ept)
            .given(secondary, noPml));
    rows.add(
        put(VmEntryCheck.MODE_BASED_EXECUTE_WITH_EPT, secondary, noUnrestricted & ~ept)
            .given(secondary, noUnrestricted));
    rows.add(
        put(VmEntryCheck.EPTP_SWITCHING_WITH_EPT, secondary, noModeBased & ~ept)
            .given(secondary, noModeBased));
    page(rows, VmEntryCheck.EPTP_LIST_ADDRESS, VmcsField.EPTP_LIST_ADDRESS);
    rows.add(set(VmEntryCheck.VM_FUNCTIONS, VmcsField.VM_FUNCTION_CONTROL, 1 << 1));

    VmcsField eptp = VmcsField.EPT_POINTER;
    rows.add(
        put(VmEntryCheck.EPTP_UNCACHEABLE, eptp, 0xA058)
            .with(withoutEpt(EntryStates.EPT_UNCACHEABLE)));
    rows.add(
        put(VmEntryCheck.EPTP_WRITE_BACK, eptp, 0xA05E)
            .given(eptp, 0xA058)
            .with(withoutEpt(EntryStates.EPT_WRITE_BACK)));
    rows.add(put(VmEntryCheck.EPTP_MEMORY_TYPE, eptp, 0xA059));
    rows.add(put(VmEntryCheck.EPTP_WALK_5, eptp, 0xA066).with(withoutEpt(EntryStates.EPT_WALK_5)));
    rows.add(
        put(VmEntryCheck.EPTP_WALK_4, eptp, 0xA05E)
            .given(eptp, 0xA066)
            .with(withoutEpt(EntryStates.EPT_WALK_4)));
    rows.add(put(VmEntryCheck.EPTP_WALK_LENGTH, eptp, 0xA056));
    rows.add(set(VmEntryCheck.EPTP_RESERVED, eptp, 1 << 7));
    rows.add(set(VmEntryCheck.EPTP_RESERVED, eptp, 1 << 11));
    rows.add(set(VmEntryCheck.EPTP_RESERVED, eptp, BEYOND_MAXPHYADDR));
    rows.add(
        put(VmEntryCheck.EPTP_ACCESSED_DIRTY, eptp, 0xA05E)
            .given(eptp, 0xA01E)
            .with(withoutEpt(EntryStates.EPT_ACCESSED_DIRTY)));
  }

  private static VmxCapabilities withoutEpt(long capability) {
    return capabilities(Msr.IA32_VMX_EPT_VPID_CAP, EntryStates.EPT_CAPABILITIES & ~capability);
  }

  private static void exitAndEntryControls(List<Row> rows) {
    rows.add(set(VmEntryCheck.EXIT_CONTROLS, VmcsField.VM_EXIT_CONTROLS, 1 << 23));
    rows.add(unset(VmEntryCheck.EXIT_CONTROLS, VmcsField.VM_EXIT_CONTROLS, 1));
    rows.add(set(VmEntryCheck.ENTRY_CONTROLS, VmcsField.VM_ENTRY_CONTROLS, 1 << 17));
    rows.add(unset(VmEntryCheck.ENTRY_CONTROLS, VmcsField.VM_ENTRY_CONTROLS, 1));
    msrList(
        rows,
        VmEntryCheck.EXIT_MSR_LOAD_LIST,
        VmcsField.VM_EXIT_MSR_LOAD_ADDR,
        VmcsField.VM_EXIT_MSR_LOAD_COUNT);
    msrList(
        rows,
        VmEntryCheck.EXIT_MSR_STORE_LIST,
        VmcsField.VM_EXIT_MSR_STORE_ADDR,
        VmcsField.VM_EXIT_MSR_STORE_COUNT);
    msrList(
        rows,
        VmEntryCheck.ENTRY_MSR_LOAD_LIST,
        VmcsField.VM_ENTRY_MSR_LOAD_ADDR,
        VmcsField.VM_ENTRY_MSR_LOAD_COUNT);
  }

  private static void msrList(
      List<Row> rows, VmEntryCheck check, VmcsField address, VmcsField count) {
    rows.add(set(check, address, 1));
    rows.add(set(check, address, BEYOND_MAXPHYADDR));
    rows.add(put(check, count, 2).given(FULL.with(address, BEYOND_MAXPHYADDR - 16).with(count, 1)));
  }

  private static void event(List<Row> rows) {
    VmcsField event = VmcsField.VM_ENTRY_INTR_INFO_FIELD;
    VmcsField length = VmcsField.VM_ENTRY_INSTRUCTION_LEN;
    rows.add(put(VmEntryCheck.EVENT_TYPE, event, 0x8000_0100L));
    rows.add(
        put(VmEntryCheck.EVENT_MONITOR_TRAP_FLAG, event, 0x8000_0700L)
            .with(
                capabilities(
                    Msr.IA32_VMX_TRUE_PROCBASED_CTLS,
                    EntryStates.PRIMARY_FIXED | ~PrimaryControls.MONITOR_TRAP_FLAG << 32)));
    rows.add(put(VmEntryCheck.EVENT_NMI_VECTOR, event, 0x8000_0203L));
    rows.add(put(VmEntryCheck.EVENT_EXCEPTION_VECTOR, event, 0x8000_0320L));
    rows.add(put(VmEntryCheck.EVENT_OTHER_VECTOR, event, 0x8000_0701L));
    rows.add(put(VmEntryCheck.EVENT_DELIVERS_ERROR_CODE, event, 0x8000_030DL));
    rows.add(put(VmEntryCheck.EVENT_DELIVERS_ERROR_CODE, event, 0x8000_0B06L));
    rows.add(put(VmEntryCheck.EVENT_DELIVERS_ERROR_CODE, event, 0x8000_0820L));
    rows.add(put(VmEntryCheck.EVENT_ERROR_CODE, VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE, 1 << 16));
    rows.add(set(VmEntryCheck.EVENT_RESERVED, event, 1 << 12));
    rows.add(set(VmEntryCheck.EVENT_RESERVED, event, 1 << 30));
    for (long type : new long[] {4, 5, 6}) {
      Vmcs12 software = FULL.with(event, 0x8000_0080L | type << 8).with(length, 2);
      rows.add(put(VmEntryCheck.EVENT_LENGTH, length, 16).given(software));
      rows.add(put(VmEntryCheck.EVENT_ZERO_LENGTH, length, 0).given(software));
    }
  }

  private static void hostRegisters(List<Row> rows) {
    rows.add(
        unset(
            VmEntryCheck.HOST_ADDRESS_SPACE,
            VmcsField.VM_EXIT_CONTROLS,
            ExitControls.HOST_ADDR_SPACE_SIZE));
    rows.add(unset(VmEntryCheck.HOST_CR0, VmcsField.HOST_CR0, Cr0.NE));
    rows.add(unset(VmEntryCheck.HOST_CR0, VmcsField.HOST_CR0, Cr0.PG));
    rows.add(set(VmEntryCheck.HOST_CR0, VmcsField.HOST_CR0, 1L << 32));
    rows.add(unset(VmEntryCheck.HOST_CR4, VmcsField.HOST_CR4, Cr4.VMXE));
    rows.add(set(VmEntryCheck.HOST_CR4, VmcsField.HOST_CR4, Cr4.LA57));
    rows.add(set(VmEntryCheck.HOST_CR4, VmcsField.HOST_CR4, Cr4.SMXE));
    rows.add(set(VmEntryCheck.HOST_CR4, VmcsField.HOST_CR4, Cr4.FSGSBASE));
    rows.add(set(VmEntryCheck.HOST_CR3, VmcsField.HOST_CR3, BEYOND_MAXPHYADDR));
    rows.add(
        set(VmEntryCheck.HOST_CET, VmcsField.HOST_CR4, Cr4.CET)
            .given(clear(FULL, VmcsField.HOST_CR0, Cr0.WP))
            .with(WITH_CET)
            .with(ENTRY_WITH_CET));
    rows.add(put(VmEntryCheck.HOST_SYSENTER_ESP, VmcsField.HOST_IA32_SYSENTER_ESP, NON_CANONICAL));
    rows.add(put(VmEntryCheck.HOST_SYSENTER_EIP, VmcsField.HOST_IA32_SYSENTER_EIP, NON_CANONICAL));
    rows.add(put(VmEntryCheck.HOST_PAT, VmcsField.HOST_IA32_PAT, 2));
    rows.add(put(VmEntryCheck.HOST_PAT, VmcsField.HOST_IA32_PAT, 3L << 56));
    rows.add(put(VmEntryCheck.HOST_PAT, VmcsField.HOST_IA32_PAT, 8));
    rows.add(set(VmEntryCheck.HOST_PERF_GLOBAL_CTRL, VmcsField.HOST_IA32_PERF_GLOBAL_CTRL, 1 << 3));
    rows.add(unset(VmEntryCheck.HOST_PAE, VmcsField.HOST_CR4, Cr4.PAE));
    rows.add(
        set(VmEntryCheck.HOST_32_BIT_GUEST, VmcsField.VM_ENTRY_CONTROLS, EntryControls.IA32E_MODE)
            .given(FULL_32)
            .with(ENTRY_32));
    rows.add(
        set(VmEntryCheck.HOST_32_BIT_PCIDE, VmcsField.HOST_CR4, Cr4.PCIDE)
            .given(FULL_32)
            .with(ENTRY_32));
    rows.add(
        put(VmEntryCheck.HOST_32_BIT_RIP, VmcsField.HOST_RIP, 1L << 32)
            .given(FULL_32)
            .with(ENTRY_32));
    rows.add(put(VmEntryCheck.HOST_RIP, VmcsField.HOST_RIP, NON_CANONICAL));
    rows.add(set(VmEntryCheck.HOST_EFER, VmcsField.HOST_IA32_EFER, Efer.SVME));
    rows.add(unset(VmEntryCheck.HOST_EFER_LMA, VmcsField.HOST_IA32_EFER, Efer.LMA));
    rows.add(unset(VmEntryCheck.HOST_EFER_LME, VmcsField.HOST_IA32_EFER, Efer.LME));
    rows.add(
        put(VmEntryCheck.HOST_EFER_LME, VmcsField.HOST_IA32_EFER, Efer.LME | Efer.SCE)
            .given(FULL_32)
            .with(ENTRY_32));
  }

  private static void hostSegments(List<Row> rows) {
    selector(rows, VmEntryCheck.HOST_CS_SELECTOR, VmcsField.HOST_CS_SELECTOR);
    selector(rows, VmEntryCheck.HOST_SS_SELECTOR, VmcsField.HOST_SS_SELECTOR);
    selector(rows, VmEntryCheck.HOST_DS_SELECTOR, VmcsField.HOST_DS_SELECTOR);
    selector(rows, VmEntryCheck.HOST_ES_SELECTOR, VmcsField.HOST_ES_SELECTOR);
    selector(rows, VmEntryCheck.HOST_FS_SELECTOR, VmcsField.HOST_FS_SELECTOR);
    selector(rows, VmEntryCheck.HOST_GS_SELECTOR, VmcsField.HOST_GS_SELECTOR);
    selector(rows, VmEntryCheck.HOST_TR_SELECTOR, VmcsField.HOST_TR_SELECTOR);
    rows.add(put(VmEntryCheck.HOST_CS_NULL, VmcsField.HOST_CS_SELECTOR, 0));
    rows.add(put(VmEntryCheck.HOST_TR_NULL, VmcsField.HOST_TR_SELECTOR, 0));
    rows.add(
        put(VmEntryCheck.HOST_SS_NULL, VmcsField.HOST_SS_SELECTOR, 0)
            .given(FULL_32)
            .with(ENTRY_32));
    rows.add(put(VmEntryCheck.HOST_FS_BASE, VmcsField.HOST_FS_BASE, NON_CANONICAL));
    rows.add(put(VmEntryCheck.HOST_GS_BASE, VmcsField.HOST_GS_BASE, NON_CANONICAL));
    rows.add(put(VmEntryCheck.HOST_GDTR_BASE, VmcsField.HOST_GDTR_BASE, NON_CANONICAL));
    rows.add(put(VmEntryCheck.HOST_IDTR_BASE, VmcsField.HOST_IDTR_BASE, NON_CANONICAL));
    rows.add(put(VmEntryCheck.HOST_TR_BASE, VmcsField.HOST_TR_BASE, NON_CANONICAL));
  }

  private static void selector(List<Row> rows, VmEntryCheck check, VmcsField field) {
    rows.add(set(check, field, 1));
    rows.add(set(check, field, 1 << 2));
  }

  private static void guestRegisters(List<Row> rows) {
    rows.add(unset(VmEntryCheck.GUEST_CR0, VmcsField.GUEST_CR0, Cr0.NE));
    rows.add(set(VmEntryCheck.GUEST_CR0, VmcsField.GUEST_CR0, 1L << 32));
    rows.add(unset(VmEntryCheck.GUEST_CR0, VmcsField.GUEST_CR0, Cr0.PG).given(PLAIN_EPT));
    rows.add(unset(VmEntryCheck.GUEST_CR4, VmcsField.GUEST_CR4, Cr4.VMXE));
    rows.add(set(VmEntryCheck.GUEST_CR4, VmcsField.GUEST_CR4, Cr4.LA57));
    rows.add(
        set(VmEntryCheck.GUEST_CET, VmcsField.GUEST_CR4, Cr4.CET)
            .given(clear(FULL, VmcsField.GUEST_CR0, Cr0.WP))
            .with(WITH_CET)
            .with(ENTRY_WITH_CET));
    rows.add(set(VmEntryCheck.GUEST_DR7, VmcsField.GUEST_DR7, 1L << 32));
    rows.add(
        unset(VmEntryCheck.GUEST_PAGING, VmcsField.GUEST_CR0, Cr0.PE)
            .given(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0));
    rows.add(unset(VmEntryCheck.GUEST_LONG_MODE_PAE, VmcsField.GUEST_CR4, Cr4.PAE));
    rows.add(unset(VmEntryCheck.GUEST_LONG_MODE_PAGING, VmcsField.GUEST_CR0, Cr0.PG));
    rows.add(
        put(
            VmEntryCheck.GUEST_ACTIVITY_STATE,
            VmcsField.GUEST_ACTIVITY_STATE,
            ActivityState.SHUTDOWN));
    rows.add(put(VmEntryCheck.GUEST_ACTIVITY_STATE, VmcsField.GUEST_ACTIVITY_STATE, 4));
  }

  private static void guestMsrs(List<Row> rows) {
    rows.add(set(VmEntryCheck.GUEST_DEBUGCTL, VmcsField.GUEST_IA32_DEBUGCTL, 1 << 3));
    rows.add(set(VmEntryCheck.GUEST_DEBUGCTL, VmcsField.GUEST_IA32_DEBUGCTL, 1 << 15));
    rows.add(put(VmEntryCheck.GUEST_PAT, VmcsField.GUEST_IA32_PAT, 2));
    rows.add(
        set(VmEntryCheck.GUEST_PERF_GLOBAL_CTRL, VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL, 1L << 63));
    rows.add(set(VmEntryCheck.GUEST_EFER, VmcsField.GUEST_IA32_EFER, Efer.SVME));
    rows.add(unset(VmEntryCheck.GUEST_EFER_LMA, VmcsField.GUEST_IA32_EFER, Efer.LMA));
    rows.add(unset(VmEntryCheck.GUEST_EFER_LME, VmcsField.GUEST_IA32_EFER, Efer.LME));
    rows.add(set(VmEntryCheck.GUEST_BNDCFGS_ADDRESS, VmcsField.GUEST_BNDCFGS, NON_CANONICAL));
    rows.add(set(VmEntryCheck.GUEST_BNDCFGS_RESERVED, VmcsField.GUEST_BNDCFGS, 1 << 2));
    rows.add(set(VmEntryCheck.GUEST_BNDCFGS_RESERVED, VmcsField.GUEST_BNDCFGS, 1 << 11));
  }

  private static void linkPointerAndLoad(List<Row> rows) {
    VmcsField link = VmcsField.VMCS_LINK_POINTER;
    page(rows, VmEntryCheck.LINK_POINTER_ADDRESS, link);
    rows.add(
        put(VmEntryCheck.LINK_POINTER_MEMORY, link, 0xF000)
            .given(link, Gpa.INVALID)
            .with(ENTRY.withLinkTarget(new LinkTarget.Unmapped())));
    rows.add(
        put(VmEntryCheck.LINK_POINTER_REVISION, link, 0xF000)
            .given(link, Gpa.INVALID)
            .with(ENTRY.withLinkTarget(new LinkTarget.Header(1 << 31))));
    rows.add(
        put(VmEntryCheck.LINK_POINTER_SHADOW, link, 0xF000)
            .given(link, Gpa.INVALID)
            .with(ENTRY.withLinkTarget(new LinkTarget.Header(Vmcs12.REVISION))));
    rows.add(
        put(VmEntryCheck.GUEST_SEGMENTS, VmcsField.GUEST_TR_AR_BYTES, AccessRights.UNUSABLE)
            .given(PLAIN_EPT));
    rows.add(set(VmEntryCheck.GUEST_CR3, VmcsField.GUEST_CR3, BEYOND_MAXPHYADDR));
  }

  private static CheckResult evaluate(
      Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    return VmEntryChecks.firstFailure(vmcs12, capabilities, context)
        .then(VmEntryChecks.guestLoadFailure(vmcs12, capabilities, context));
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void one_changed_field_makes_its_check_the_first_that_fails(Row row) {
    assertThat(evaluate(row.valid(), row.capabilities(), row.context()))
        .isEqualTo(new CheckResult.Passed());
    assertThat(evaluate(row.changed(), row.capabilities(), row.context()))
        .isEqualTo(new CheckResult.Failed(row.check(), true));
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void the_part_that_a_check_belongs_to_fails_alone(Row row) {
    List<CheckResult> parts =
        List.of(
            VmEntryChecks.controlsFailure(row.changed(), row.capabilities(), row.context()),
            VmEntryChecks.hostStateFailure(row.changed(), row.capabilities(), row.context()),
            VmEntryChecks.guestStateFailure(row.changed(), row.capabilities(), row.context()),
            VmEntryChecks.guestLoadFailure(row.changed(), row.capabilities(), row.context()));
    int part = row.check().stage().ordinal() - VmEntryStage.CONTROLS.ordinal();

    assertThat(parts.get(part)).isEqualTo(new CheckResult.Failed(row.check(), true));
    assertThat(parts.subList(0, part)).allMatch(CheckResult::isPassed);
  }

  /** Those with a row, and those with a reason to have none. */
  static Set<VmEntryCheck> covered() {
    Set<VmEntryCheck> covered = EnumSet.copyOf(DECIDED_ELSEWHERE);
    covered.addAll(NEVER_KNOWN_TO_FAIL);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }

  @Test
  void every_check_says_what_it_is() {
    for (VmEntryCheck check : VmEntryCheck.values()) {
      assertThat(check.id()).isEqualTo(check.name());
      assertThat(check.rule()).endsWith(".").doesNotContain("  ");
      assertThat(check.kernelFunction()).isNotBlank();
      assertThat(check.condition()).isNotBlank();
    }
  }

  @Test
  void stages_and_failures_are_in_the_order_of_the_kernel() {
    VmEntryStage stage = VmEntryStage.PREREQUISITES;
    for (VmEntryCheck check : VmEntryCheck.values()) {
      assertThat(check.stage()).isGreaterThanOrEqualTo(stage);
      stage = check.stage();
      switch (stage) {
        case CONTROLS -> assertThat(check.failure().instructionError()).isEqualTo(7);
        case HOST_STATE -> assertThat(check.failure().instructionError()).isEqualTo(8);
        case GUEST_STATE, GUEST_LOAD ->
            assertThat(check.failure().exitReason())
                .isEqualTo(ExitReason.FAILED_VMENTRY | ExitReason.INVALID_STATE.number());
        case MSR_LISTS ->
            assertThat(check.failure().exitReason())
                .isEqualTo(ExitReason.FAILED_VMENTRY | ExitReason.MSR_LOAD_FAIL.number());
        case PREREQUISITES, HARDWARE -> assertThat(check.failure().isVmFail()).isTrue();
      }
    }
  }

  @Test
  void a_wrong_link_pointer_has_its_own_exit_qualification() {
    assertThat(VmEntryCheck.LINK_POINTER_REVISION.failure().qualification()).isEqualTo(4);
    assertThat(VmEntryCheck.GUEST_PDPTES.failure().qualification()).isEqualTo(2);
    assertThat(VmEntryCheck.GUEST_CR0.failure().qualification()).isZero();
  }

  @Test
  void a_check_that_vmcs12_does_not_decide_cannot_be_evaluated() {
    for (VmEntryCheck check : DECIDED_ELSEWHERE) {
      assertThatThrownBy(() -> check.evaluate(FULL, CAPABILITIES, ENTRY))
          .isInstanceOf(InvariantViolation.class);
    }
  }

  @Test
  void secondary_controls_are_not_looked_at_unless_they_are_activated() {
    Vmcs12 vmcs12 =
        clear(
                FULL,
                VmcsField.CPU_BASED_VM_EXEC_CONTROL,
                PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
            .with(VmcsField.SECONDARY_VM_EXEC_CONTROL, 0xFFFF_FFFFL)
            .with(VmcsField.VMCS_LINK_POINTER, Gpa.INVALID);
    Vmcs12 withoutPosted =
        clear(vmcs12, VmcsField.PIN_BASED_VM_EXEC_CONTROL, PinControls.POSTED_INTR);

    assertThat(VmEntryChecks.firstFailure(withoutPosted, CAPABILITIES, ENTRY))
        .isEqualTo(new CheckResult.Passed());
  }

  @Test
  void an_event_that_is_not_valid_is_not_looked_at() {
    Vmcs12 vmcs12 =
        FULL.with(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x7FFF_FFFF)
            .with(VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE, -1)
            .with(VmcsField.VM_ENTRY_INSTRUCTION_LEN, -1);

    assertThat(VmEntryChecks.firstFailure(vmcs12, CAPABILITIES, ENTRY))
        .isEqualTo(new CheckResult.Passed());
  }

  @Test
  void an_exception_injected_into_real_mode_has_no_error_code() {
    Vmcs12 realMode =
        clear(
            clear(
                clear(FULL, VmcsField.GUEST_CR0, Cr0.PG | Cr0.PE),
                VmcsField.VM_ENTRY_CONTROLS,
                EntryControls.IA32E_MODE),
            VmcsField.GUEST_IA32_EFER,
            Efer.LMA | Efer.LME);

    assertThat(VmEntryChecks.firstFailure(realMode, CAPABILITIES, ENTRY))
        .isEqualTo(new CheckResult.Failed(VmEntryCheck.EVENT_DELIVERS_ERROR_CODE, true));
    assertThat(
            VmEntryChecks.firstFailure(
                realMode.with(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x8000_030DL),
                CAPABILITIES,
                ENTRY))
        .isEqualTo(new CheckResult.Passed());
  }

  @Test
  void a_zero_length_instruction_passes_where_the_capability_msr_allows_it() {
    Vmcs12 vmcs12 = FULL.with(VmcsField.VM_ENTRY_INTR_INFO_FIELD, SOFTWARE_INTERRUPT);

    assertThat(
            VmEntryChecks.firstFailure(
                vmcs12, capabilities(Msr.IA32_VMX_MISC, EntryStates.MISC_ZERO_LENGTH), ENTRY))
        .isEqualTo(new CheckResult.Passed());
  }

  @Test
  void lbr_and_btf_are_tolerated_in_debugctl() {
    assertThat(
            VmEntryChecks.firstFailure(
                FULL.with(VmcsField.GUEST_IA32_DEBUGCTL, 3), CAPABILITIES, ENTRY))
        .isEqualTo(new CheckResult.Passed());
  }

  @Test
  void a_restore_does_not_look_at_the_host_address_space_nor_at_segments() {
    EntryContext restore =
        EntryContext.restore(LIMITS, true).withLa57(false).withLinkTarget(ENTRY.linkTarget());
    Vmcs12 segments = PLAIN_EPT.with(VmcsField.GUEST_TR_AR_BYTES, AccessRights.UNUSABLE);

    assertThat(evaluate(segments, CAPABILITIES, restore)).isEqualTo(new CheckResult.Passed());
    assertThat(evaluate(FULL_32, CAPABILITIES, restore)).isEqualTo(new CheckResult.Passed());
  }

  @Test
  void efer_of_a_restored_guest_is_looked_at_only_if_it_has_yet_to_run() {
    Vmcs12 vmcs12 = FULL.with(VmcsField.GUEST_IA32_EFER, Efer.SVME);

    assertThat(VmEntryChecks.firstFailure(vmcs12, CAPABILITIES, ENTRY.withRunPending(false)))
        .isEqualTo(new CheckResult.Passed());
  }

  @Test
  void the_checks_of_an_enlightened_vmcs_cannot_be_told() {
    EntryContext enlightened = ENTRY.withLimits(LIMITS.withEnlightenedVmcs(true));

    assertThat(VmEntryChecks.firstFailure(FULL, CAPABILITIES, enlightened))
        .isEqualTo(
            new CheckResult.CannotTell(
                VmEntryCheck.ENLIGHTENED_PIN_BASED_CONTROLS, EntryInput.ENLIGHTENED_VMCS));
    for (VmEntryCheck check : NEVER_KNOWN_TO_FAIL) {
      if (check.stage() == VmEntryStage.CONTROLS) {
        assertThat(check.evaluate(FULL, CAPABILITIES, enlightened))
            .isEqualTo(EntryInput.ENLIGHTENED_VMCS);
      }
    }
  }

  @Test
  void the_memory_behind_the_link_pointer_may_be_unknown() {
    EntryContext unknown = ENTRY.withLinkTarget(new LinkTarget.Unknown());

    assertThat(VmEntryChecks.firstFailure(FULL, CAPABILITIES, unknown))
        .isEqualTo(
            new CheckResult.CannotTell(VmEntryCheck.LINK_POINTER_MEMORY, EntryInput.LINK_TARGET));
    assertThat(VmEntryCheck.LINK_POINTER_READ.evaluate(FULL, CAPABILITIES, unknown))
        .isEqualTo(EntryInput.LINK_TARGET);
  }

  @Test
  void pdptes_in_guest_memory_cannot_be_told() {
    Vmcs12 shadowPaging =
        clear(
            clear(
                FULL_32,
                VmcsField.SECONDARY_VM_EXEC_CONTROL,
                FULL.get(VmcsField.SECONDARY_VM_EXEC_CONTROL)
                    & ~PLAIN_EPT.get(VmcsField.SECONDARY_VM_EXEC_CONTROL)),
            VmcsField.SECONDARY_VM_EXEC_CONTROL,
            SecondaryControls.ENABLE_EPT);

    assertThat(evaluate(shadowPaging, CAPABILITIES, ENTRY_32))
        .isEqualTo(new CheckResult.CannotTell(VmEntryCheck.GUEST_PDPTES, EntryInput.GUEST_PDPTES));
  }

  @Test
  void a_check_that_fails_decides_even_after_one_that_cannot_be_told() {
    VmxCapabilities unknown = VmxCapabilities.UNKNOWN;
    Vmcs12 vmcs12 = FULL.with(VmcsField.HOST_CS_SELECTOR, 0);

    assertThat(VmEntryChecks.firstFailure(vmcs12, unknown, ENTRY))
        .isEqualTo(new CheckResult.Failed(VmEntryCheck.HOST_CS_NULL, false));
    assertThat(VmEntryChecks.firstFailure(FULL, unknown, ENTRY))
        .isEqualTo(
            new CheckResult.CannotTell(VmEntryCheck.PIN_BASED_CONTROLS, EntryInput.PINBASED_CTLS));
  }

  @Test
  void an_address_that_is_canonical_at_one_width_only_cannot_be_told_without_la57() {
    Vmcs12 between = FULL.with(VmcsField.HOST_RIP, 1L << 50);
    Vmcs12 beyond = FULL.with(VmcsField.HOST_RIP, 1L << 60);
    EntryContext restore = EntryContext.restore(LIMITS, true).withLinkTarget(ENTRY.linkTarget());

    assertThat(VmEntryChecks.firstFailure(FULL, CAPABILITIES, restore))
        .isEqualTo(new CheckResult.Passed());
    assertThat(VmEntryChecks.firstFailure(between, CAPABILITIES, restore))
        .isEqualTo(new CheckResult.CannotTell(VmEntryCheck.HOST_RIP, EntryInput.ADDRESS_WIDTH));
    assertThat(VmEntryChecks.firstFailure(between, CAPABILITIES, ENTRY.withLa57(true)))
        .isEqualTo(new CheckResult.Passed());
    assertThat(VmEntryChecks.firstFailure(beyond, CAPABILITIES, restore))
        .isEqualTo(new CheckResult.Failed(VmEntryCheck.HOST_RIP, true));
  }

  @Test
  void vmlaunch_without_a_current_vmcs_fails_without_an_error_number() {
    assertThat(VmEntryChecks.prerequisiteFailure(null, true, true))
        .isEqualTo(VmEntryCheck.CURRENT_VMCS);
    assertThat(VmEntryCheck.CURRENT_VMCS.failure().instructionError()).isZero();
  }

  @Test
  void vmlaunch_of_a_shadow_vmcs_fails_without_an_error_number() {
    Vmcs12 shadow = FULL.withHdr(Vmcs12.REVISION | 1 << 31);

    assertThat(VmEntryChecks.prerequisiteFailure(shadow, true, true))
        .isEqualTo(VmEntryCheck.ORDINARY_VMCS);
    assertThat(VmEntryCheck.ORDINARY_VMCS.failure().instructionError()).isZero();
  }

  @Test
  void vmlaunch_after_mov_ss_fails_with_26() {
    assertThat(VmEntryChecks.prerequisiteFailure(FULL.withLaunchState(1), true, true))
        .isEqualTo(VmEntryCheck.MOV_SS_BLOCKING);
    assertThat(VmEntryCheck.MOV_SS_BLOCKING.failure().instructionError()).isEqualTo(26);
  }

  @Test
  void vmlaunch_fails_with_4_for_launch_state_1_and_no_other() {
    assertThat(VmEntryChecks.prerequisiteFailure(FULL.withLaunchState(1), true, false))
        .isEqualTo(VmEntryCheck.CLEAR_FOR_VMLAUNCH);
    assertThat(VmEntryChecks.prerequisiteFailure(FULL, true, false)).isNull();
    assertThat(VmEntryChecks.prerequisiteFailure(FULL.withLaunchState(2), true, false)).isNull();
    assertThat(VmEntryCheck.CLEAR_FOR_VMLAUNCH.failure().instructionError()).isEqualTo(4);
  }

  @Test
  void vmresume_fails_with_5_for_launch_state_0_and_no_other() {
    assertThat(VmEntryChecks.prerequisiteFailure(FULL, false, false))
        .isEqualTo(VmEntryCheck.LAUNCHED_FOR_VMRESUME);
    assertThat(VmEntryChecks.prerequisiteFailure(FULL.withLaunchState(2), false, false)).isNull();
    assertThat(VmEntryCheck.LAUNCHED_FOR_VMRESUME.failure().instructionError()).isEqualTo(5);
  }

  @ParameterizedTest
  @EnumSource
  void a_missing_input_is_named_in_words(EntryInput input) {
    assertThat(input.words()).isNotBlank().doesNotEndWith(".");
  }
}
