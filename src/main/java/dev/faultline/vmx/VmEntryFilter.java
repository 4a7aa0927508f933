package dev.faultline.vmx;

import dev.faultline.Bytes;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Gpa;
import dev.faultline.x86.Segment;

/**
 * Says at once of most vmcs12s that a working hypervisor makes that they pass every check that
 * {@link VmEntryChecks#firstFailure} would walk through, but for those that read the memory behind
 * the link pointer.
 *
 * <p>The list decides, and this only agrees with it: everything that is not certain to pass, and
 * everything that few hypervisors use, is left to it. Which check fails is not asked here.
 */
final class VmEntryFilter {
  private static final int PIN = VmcsField.PIN_BASED_VM_EXEC_CONTROL.offset();
  private static final int PRIMARY = VmcsField.CPU_BASED_VM_EXEC_CONTROL.offset();
  private static final int SECONDARY = VmcsField.SECONDARY_VM_EXEC_CONTROL.offset();
  private static final int EXIT = VmcsField.VM_EXIT_CONTROLS.offset();
  private static final int ENTRY = VmcsField.VM_ENTRY_CONTROLS.offset();
  private static final int CR3_TARGETS = VmcsField.CR3_TARGET_COUNT.offset();
  private static final int EXIT_LOADS = VmcsField.VM_EXIT_MSR_LOAD_COUNT.offset();
  private static final int EXIT_STORES = VmcsField.VM_EXIT_MSR_STORE_COUNT.offset();
  private static final int ENTRY_LOADS = VmcsField.VM_ENTRY_MSR_LOAD_COUNT.offset();
  private static final int EVENT = VmcsField.VM_ENTRY_INTR_INFO_FIELD.offset();
  private static final int VPID = VmcsField.VIRTUAL_PROCESSOR_ID.offset();
  private static final int EPTP = VmcsField.EPT_POINTER.offset();
  private static final int IO_A = VmcsField.IO_BITMAP_A.offset();
  private static final int IO_B = VmcsField.IO_BITMAP_B.offset();
  private static final int MSR_BITMAP = VmcsField.MSR_BITMAP.offset();
  private static final int VIRTUAL_APIC = VmcsField.VIRTUAL_APIC_PAGE_ADDR.offset();
  private static final int VMREADS = VmcsField.VMREAD_BITMAP.offset();
  private static final int VMWRITES = VmcsField.VMWRITE_BITMAP.offset();
  private static final int LINK = VmcsField.VMCS_LINK_POINTER.offset();
  private static final int HOST_CR0 = VmcsField.HOST_CR0.offset();
  private static final int HOST_CR3 = VmcsField.HOST_CR3.offset();
  private static final int HOST_CR4 = VmcsField.HOST_CR4.offset();
  private static final int HOST_PAT = VmcsField.HOST_IA32_PAT.offset();
  private static final int HOST_EFER = VmcsField.HOST_IA32_EFER.offset();
  private static final int HOST_CS = VmcsField.HOST_CS_SELECTOR.offset();
  private static final int HOST_TR = VmcsField.HOST_TR_SELECTOR.offset();
  private static final int GUEST_CR0 = VmcsField.GUEST_CR0.offset();
  private static final int GUEST_CR4 = VmcsField.GUEST_CR4.offset();
  private static final int GUEST_DR7 = VmcsField.GUEST_DR7.offset();
  private static final int GUEST_DEBUGCTL = VmcsField.GUEST_IA32_DEBUGCTL.offset();
  private static final int GUEST_PAT = VmcsField.GUEST_IA32_PAT.offset();
  private static final int GUEST_EFER = VmcsField.GUEST_IA32_EFER.offset();
  private static final int ACTIVITY = VmcsField.GUEST_ACTIVITY_STATE.offset();

  private static final int[] SELECTORS = {
    VmcsField.HOST_CS_SELECTOR.offset(),
    VmcsField.HOST_SS_SELECTOR.offset(),
    VmcsField.HOST_DS_SELECTOR.offset(),
    VmcsField.HOST_ES_SELECTOR.offset(),
    VmcsField.HOST_FS_SELECTOR.offset(),
    VmcsField.HOST_GS_SELECTOR.offset(),
    VmcsField.HOST_TR_SELECTOR.offset(),
  };

  private static final int[] ADDRESSES = {
    VmcsField.HOST_IA32_SYSENTER_ESP.offset(),
    VmcsField.HOST_IA32_SYSENTER_EIP.offset(),
    VmcsField.HOST_FS_BASE.offset(),
    VmcsField.HOST_GS_BASE.offset(),
    VmcsField.HOST_GDTR_BASE.offset(),
    VmcsField.HOST_IDTR_BASE.offset(),
    VmcsField.HOST_TR_BASE.offset(),
    VmcsField.HOST_RIP.offset(),
  };

  /** Controls with rules that are left to the list. */
  private static final long RARE_PIN = PinControls.POSTED_INTR;

  private static final long RARE_SECONDARY =
      SecondaryControls.VIRTUALIZE_APIC_ACCESSES
          | SecondaryControls.VIRTUALIZE_X2APIC_MODE
          | SecondaryControls.APIC_REGISTER_VIRT
          | SecondaryControls.VIRTUAL_INTR_DELIVERY
          | SecondaryControls.ENABLE_PML
          | SecondaryControls.MODE_BASED_EPT_EXEC
          | SecondaryControls.ENABLE_VMFUNC;

  private static final long RARE_EXIT = ExitControls.LOAD_IA32_PERF_GLOBAL_CTRL;
  private static final long RARE_ENTRY =
      EntryControls.LOAD_IA32_PERF_GLOBAL_CTRL | EntryControls.LOAD_BNDCFGS;

  private static final int HALF = 32;
  private static final long PAT_RESERVED = 0xF8F8_F8F8_F8F8_F8F8L;
  private static final long PAT_BIT_1 = 0x0202_0202_0202_0202L;
  private static final long LBR_AND_BTF = 3;
  private static final long PAGE = Gpa.PAGE_SIZE - 1;
  private static final int SELECTOR_FLAGS = Segment.RPL_MASK | Segment.TI;

  /** Write-back memory and a walk of four levels, and the capabilities for both. */
  private static final long USUAL_EPTP = 0x1e;

  private static final long USUAL_EPTP_MASK = 0xfff & ~(1 << 6);
  private static final long EPTP_ACCESSED_DIRTY = 1 << 6;
  private static final long USUAL_EPT_CAPS = 1 << 6 | 1 << 14;
  private static final long CAP_ACCESSED_DIRTY = 1 << 21;

  private VmEntryFilter() {}

  /** Whether all checks pass, but for those that read what the link pointer names. */
  static boolean passes(Vmcs12 vmcs12, VmxCapabilities c, EntryContext x) {
    GuestLimits limits = x.limits();
    if (!c.isComplete()
        || x.fromVmentry()
        || limits.enlightenedVmcs()
        || limits.maxPhyAddr().isEmpty()
        || limits.cr4Reserved().isEmpty()
        || limits.eferAllowed().isEmpty()) {
      return false;
    }
    Bytes v = vmcs12.raw();
    long beyond = -1L << Math.min(limits.maxPhyAddr().getAsInt(), Long.SIZE - 1);
    return controls(v, c)
        && controlledAddresses(v, c, beyond)
        && host(v, c, limits, beyond)
        && guest(v, c, x);
  }

  private static boolean controls(Bytes v, VmxCapabilities c) {
    long pin = v.u32(PIN);
    long primary = v.u32(PRIMARY);
    long exit = v.u32(EXIT);
    long entry = v.u32(ENTRY);
    return allowed(pin, c.value(VmxCapabilities.PINBASED))
        && allowed(primary, c.value(VmxCapabilities.PROCBASED))
        && allowed(secondary(v, primary), c.value(VmxCapabilities.PROCBASED2))
        && allowed(exit, c.value(VmxCapabilities.EXIT))
        && allowed(entry, c.value(VmxCapabilities.ENTRY))
        && (pin & RARE_PIN) == 0
        && (exit & RARE_EXIT) == 0
        && (entry & RARE_ENTRY) == 0
        && goesWith(pin, PinControls.VIRTUAL_NMIS, pin, PinControls.NMI_EXITING)
        && goesWith(primary, PrimaryControls.NMI_WINDOW_EXITING, pin, PinControls.VIRTUAL_NMIS)
        && goesWith(exit, ExitControls.SAVE_PREEMPTION_TIMER, pin, PinControls.PREEMPTION_TIMER)
        && (v.u32(CR3_TARGETS) | v.u32(EXIT_LOADS) | v.u32(EXIT_STORES) | v.u32(ENTRY_LOADS)) == 0
        && v.i32(EVENT) >= 0;
  }

  /** The secondary controls, zero while they are not activated. */
  private static long secondary(Bytes v, long primary) {
    return (primary & PrimaryControls.ACTIVATE_SECONDARY_CONTROLS) != 0 ? v.u32(SECONDARY) : 0;
  }

  private static boolean allowed(long value, long msr) {
    return (value & ~(msr >>> HALF)) == 0 && (~value & msr << HALF >>> HALF) == 0;
  }

  private static boolean goesWith(long controls, long one, long others, long needed) {
    return (controls & one) == 0 || (others & needed) != 0;
  }

  /** The secondary controls and the addresses of what the controls use. */
  private static boolean controlledAddresses(Bytes v, VmxCapabilities c, long beyond) {
    long primary = v.u32(PRIMARY);
    long secondary = secondary(v, primary);
    long used = 0;
    if ((primary & PrimaryControls.USE_IO_BITMAPS) != 0) {
      used |= v.u64(IO_A) | v.u64(IO_B);
    }
    if ((primary & PrimaryControls.USE_MSR_BITMAPS) != 0) {
      used |= v.u64(MSR_BITMAP);
    }
    if ((primary & PrimaryControls.TPR_SHADOW) != 0) {
      used |= v.u64(VIRTUAL_APIC);
    }
    if ((secondary & SecondaryControls.SHADOW_VMCS) != 0) {
      used |= v.u64(VMREADS) | v.u64(VMWRITES);
    }
    long link = v.u64(LINK);
    used |= link == Gpa.INVALID ? 0 : link;
    boolean ept = (secondary & SecondaryControls.ENABLE_EPT) != 0;
    return (used & (beyond | PAGE)) == 0
        && (secondary & RARE_SECONDARY) == 0
        && (!ept || eptp(v.u64(EPTP), c.value(VmxCapabilities.EPT_VPID), beyond))
        && (ept || (secondary & SecondaryControls.UNRESTRICTED_GUEST) == 0)
        && ((secondary & SecondaryControls.ENABLE_VPID) == 0 || v.u16(VPID) != 0);
  }

  private static boolean eptp(long eptp, long caps, long beyond) {
    long needed = USUAL_EPT_CAPS | ((eptp & EPTP_ACCESSED_DIRTY) != 0 ? CAP_ACCESSED_DIRTY : 0);
    return (eptp & USUAL_EPTP_MASK) == USUAL_EPTP
        && (eptp & beyond) == 0
        && (caps & needed) == needed;
  }

  private static boolean host(Bytes v, VmxCapabilities c, GuestLimits limits, long beyond) {
    long exit = v.u32(EXIT);
    long cr4 = v.u64(HOST_CR4);
    int selectors = 0;
    for (int selector : SELECTORS) {
      selectors |= v.u16(selector);
    }
    boolean canonical = true;
    for (int address : ADDRESSES) {
      canonical &= isCanonical(v.u64(address));
    }
    return canonical
        && (selectors & SELECTOR_FLAGS) == 0
        && v.u16(HOST_CS) != 0
        && v.u16(HOST_TR) != 0
        && (exit & ExitControls.HOST_ADDR_SPACE_SIZE) != 0
        && (cr4 & Cr4.PAE) != 0
        && cr0(v.u64(HOST_CR0), c, 0)
        && cr4(cr4, c, limits)
        && (v.u64(HOST_CR3) & beyond) == 0
        && ((exit & ExitControls.LOAD_IA32_PAT) == 0 || isPat(v.u64(HOST_PAT)))
        && ((exit & ExitControls.LOAD_IA32_EFER) == 0
            || efer(v.u64(HOST_EFER), true, true, limits));
  }

  /** CR4.CET, which asks for CR0.WP, is left to the list. */
  private static boolean cr4(long cr4, VmxCapabilities c, GuestLimits limits) {
    return (~cr4 & c.value(VmxCapabilities.CR4_FIXED0_MSR)) == 0
        && (cr4 & ~c.value(VmxCapabilities.CR4_FIXED1_MSR)) == 0
        && (cr4 & (limits.cr4Reserved().getAsLong() | Cr4.CET)) == 0;
  }

  private static boolean cr0(long cr0, VmxCapabilities c, long relaxed) {
    return (~cr0 & c.value(VmxCapabilities.CR0_FIXED0_MSR) & ~relaxed) == 0
        && (cr0 & ~c.value(VmxCapabilities.CR0_FIXED1_MSR)) == 0;
  }

  private static boolean efer(long efer, boolean wide, boolean paging, GuestLimits limits) {
    return (efer & ~limits.eferAllowed().getAsLong()) == 0
        && wide == ((efer & Efer.LMA) != 0)
        && (!paging || wide == ((efer & Efer.LME) != 0));
  }

  private static boolean guest(Bytes v, VmxCapabilities c, EntryContext x) {
    long entry = v.u32(ENTRY);
    long cr0 = v.u64(GUEST_CR0);
    long cr4 = v.u64(GUEST_CR4);
    boolean paging = (cr0 & Cr0.PG) != 0;
    boolean wide = (entry & EntryControls.IA32E_MODE) != 0;
    boolean loadsEfer = x.runPending() && (entry & EntryControls.LOAD_IA32_EFER) != 0;
    int activity = v.i32(ACTIVITY);
    return cr0(cr0, c, relaxed(v, c))
        && cr4(cr4, c, x.limits())
        && (!paging || (cr0 & Cr0.PE) != 0)
        && (!wide || (paging && (cr4 & Cr4.PAE) != 0))
        && ((entry & EntryControls.LOAD_DEBUG_CONTROLS) == 0
            || (v.u64(GUEST_DR7) >>> HALF == 0 && (v.u64(GUEST_DEBUGCTL) & ~LBR_AND_BTF) == 0))
        && ((entry & EntryControls.LOAD_IA32_PAT) == 0 || isPat(v.u64(GUEST_PAT)))
        && (!loadsEfer || efer(v.u64(GUEST_EFER), wide, paging, x.limits()))
        && (activity == ActivityState.ACTIVE
            || activity == ActivityState.HLT
            || activity == ActivityState.WAIT_SIPI);
  }

  /** Unrestricted guest exempts CR0.PE and CR0.PG. */
  private static long relaxed(Bytes v, VmxCapabilities c) {
    long both = secondary(v, v.u32(PRIMARY)) & c.value(VmxCapabilities.PROCBASED2) >>> HALF;
    return (both & SecondaryControls.UNRESTRICTED_GUEST) != 0 ? Cr0.PE | Cr0.PG : 0;
  }

  /** For any width of addresses. */
  private static boolean isCanonical(long address) {
    int unused = Long.SIZE - EntryContext.ADDRESS_BITS;
    return address << unused >> unused == address;
  }

  private static boolean isPat(long pat) {
    return (pat & PAT_RESERVED) == 0 && (pat | (pat & PAT_BIT_1) << 1) == pat;
  }
}
