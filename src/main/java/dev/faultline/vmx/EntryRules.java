package dev.faultline.vmx;

import dev.faultline.InvariantViolation;
import dev.faultline.vmx.Verdict.Known;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Gpa;
import dev.faultline.x86.Segment;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * The conditions that {@link VmEntryCheck} is made of. Each allocates nothing, and gives an answer
 * whatever the other checks say.
 */
final class EntryRules {
  private static final int HALF = 32;
  private static final long LOW_HALF = (1L << HALF) - 1;

  private static final int MSR_LIST_ENTRY_SIZE = 16;
  private static final int POSTED_DESCRIPTOR_SIZE = 64;
  private static final long POSTED_VECTOR_RESERVED = 0xFF00;
  private static final int CR3_TARGET_SHIFT = 16;
  private static final int CR3_TARGET_MASK = 0x1FF;
  private static final long MISC_ZERO_LENGTH = 1L << 30;

  private static final long EPTP_MEMORY_TYPE = 0x7;
  private static final long EPTP_UNCACHEABLE = 0;
  private static final long EPTP_WRITE_BACK = 6;
  private static final long EPTP_WALK = 0x38;
  private static final long EPTP_WALK_4 = 3 << 3;
  private static final long EPTP_WALK_5 = 4 << 3;
  private static final long EPTP_ACCESSED_DIRTY = 1 << 6;
  private static final long EPTP_RESERVED = 0xF80;
  private static final long CAP_WALK_4 = 1 << 6;
  private static final long CAP_WALK_5 = 1 << 7;
  private static final long CAP_UNCACHEABLE = 1 << 8;
  private static final long CAP_WRITE_BACK = 1 << 14;
  private static final long CAP_ACCESSED_DIRTY = 1 << 21;
  private static final long VMFUNC_EPTP_SWITCHING = 1;

  private static final long PAT_RESERVED = 0xF8F8_F8F8_F8F8_F8F8L;
  private static final long PAT_BIT_1 = 0x0202_0202_0202_0202L;
  private static final long DEBUGCTL_LBR_AND_BTF = 0x3;
  private static final long DEBUGCTL_BUS_LOCK = 1 << 2;
  private static final long DEBUGCTL_FREEZE_LBRS = 1 << 11;
  private static final long DEBUGCTL_RTM = 1 << 15;
  private static final long DEBUGCTL_OF_SOME_CPU =
      DEBUGCTL_BUS_LOCK | DEBUGCTL_FREEZE_LBRS | DEBUGCTL_RTM;
  private static final long BNDCFGS_ADDRESS = -Gpa.PAGE_SIZE;
  private static final long BNDCFGS_RESERVED = 0xFFC;
  private static final int SELECTOR_FLAGS = Segment.RPL_MASK | Segment.TI;

  /** For a check on more than a vmcs12 and the MSRs: nobody may evaluate it. */
  static final VmEntryCheck.Evaluation OUTSIDE =
      (_, _, _) -> {
        throw new InvariantViolation("A check was evaluated that vmcs12 does not decide.");
      };

  private EntryRules() {}

  static boolean hasPin(Vmcs12 v, long bit) {
    return (v.get(VmcsField.PIN_BASED_VM_EXEC_CONTROL) & bit) != 0;
  }

  static boolean hasPrimary(Vmcs12 v, long bit) {
    return (v.get(VmcsField.CPU_BASED_VM_EXEC_CONTROL) & bit) != 0;
  }

  /** Whether a secondary control is on, which takes the primary control that activates them. */
  static boolean hasSecondary(Vmcs12 v, long bit) {
    return hasPrimary(v, PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
        && (v.get(VmcsField.SECONDARY_VM_EXEC_CONTROL) & bit) != 0;
  }

  static boolean hasExit(Vmcs12 v, long bit) {
    return (v.get(VmcsField.VM_EXIT_CONTROLS) & bit) != 0;
  }

  static boolean hasEntry(Vmcs12 v, long bit) {
    return (v.get(VmcsField.VM_ENTRY_CONTROLS) & bit) != 0;
  }

  static boolean hasEpt(Vmcs12 v) {
    return hasSecondary(v, SecondaryControls.ENABLE_EPT);
  }

  /**
   * A control field against its capability MSR: must-be-1 bits in the low half, may-be-1 bits in
   * the high half.
   */
  static Verdict controls(long value, OptionalLong msr, EntryInput input) {
    if (msr.isEmpty()) {
      return input;
    }
    long mustBeOne = msr.getAsLong() & LOW_HALF;
    long mayBeOne = msr.getAsLong() >>> HALF;
    return Verdict.failsIf(((value & mayBeOne) | mustBeOne) != value);
  }

  static Verdict secondaryControls(Vmcs12 v, VmxCapabilities caps) {
    return hasPrimary(v, PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
        ? controls(
            v.get(VmcsField.SECONDARY_VM_EXEC_CONTROL),
            caps.procbased2(),
            EntryInput.PROCBASED_CTLS2)
        : Known.PASSES;
  }

  static Verdict cr3Targets(Vmcs12 v, VmxCapabilities caps) {
    long count = v.get(VmcsField.CR3_TARGET_COUNT);
    if (count == 0) {
      return Known.PASSES;
    }
    if (caps.misc().isEmpty()) {
      return EntryInput.MISC;
    }
    return Verdict.failsIf(
        count > (caps.misc().getAsLong() >>> CR3_TARGET_SHIFT & CR3_TARGET_MASK));
  }

  /** A guest-physical address without bits above the guest's width. */
  static Verdict legal(long gpa, EntryContext context) {
    if (gpa == 0) {
      return Known.PASSES;
    }
    OptionalInt width = context.limits().maxPhyAddr();
    return width.isEmpty()
        ? EntryInput.MAXPHYADDR
        : Verdict.failsIf(!Gpa.isLegal(gpa, width.getAsInt()));
  }

  /** The guest-physical address of a structure that is aligned to its size. */
  static Verdict aligned(long gpa, int alignment, EntryContext context) {
    return (gpa & (alignment - 1)) != 0 ? Known.FAILS : legal(gpa, context);
  }

  /** The address of a page that is looked at only if a control is on. */
  static Verdict page(boolean used, Vmcs12 v, VmcsField field, EntryContext context) {
    return used ? aligned(v.get(field), Gpa.PAGE_SIZE, context) : Known.PASSES;
  }

  /** An MSR list: aligned, and its first and last byte within the guest's width. */
  static Verdict msrList(Vmcs12 v, VmcsField count, VmcsField address, EntryContext context) {
    long entries = v.get(count);
    if (entries == 0) {
      return Known.PASSES;
    }
    long first = v.get(address);
    Verdict start = aligned(first, MSR_LIST_ENTRY_SIZE, context);
    return start == Known.PASSES
        ? legal(first + entries * MSR_LIST_ENTRY_SIZE - 1, context)
        : start;
  }

  /** Whether any of the controls is on that rest on the virtual APIC. */
  static boolean hasApicVirtualization(Vmcs12 v) {
    return hasSecondary(
            v,
            SecondaryControls.VIRTUALIZE_X2APIC_MODE
                | SecondaryControls.APIC_REGISTER_VIRT
                | SecondaryControls.VIRTUAL_INTR_DELIVERY)
        || hasPin(v, PinControls.POSTED_INTR);
  }

  static boolean hasPostedVectorReserved(Vmcs12 v) {
    return (v.get(VmcsField.POSTED_INTR_NV) & POSTED_VECTOR_RESERVED) != 0;
  }

  static Verdict postedDescriptor(Vmcs12 v, EntryContext context) {
    return hasPin(v, PinControls.POSTED_INTR)
        ? aligned(v.get(VmcsField.POSTED_INTR_DESC_ADDR), POSTED_DESCRIPTOR_SIZE, context)
        : Known.PASSES;
  }

  static boolean isUncacheable(Vmcs12 v) {
    return hasEpt(v) && (v.get(VmcsField.EPT_POINTER) & EPTP_MEMORY_TYPE) == EPTP_UNCACHEABLE;
  }

  static boolean isWriteBack(Vmcs12 v) {
    return hasEpt(v) && (v.get(VmcsField.EPT_POINTER) & EPTP_MEMORY_TYPE) == EPTP_WRITE_BACK;
  }

  static boolean hasWalk5(Vmcs12 v) {
    return hasEpt(v) && (v.get(VmcsField.EPT_POINTER) & EPTP_WALK) == EPTP_WALK_5;
  }

  static boolean hasWalk4(Vmcs12 v) {
    return hasEpt(v) && (v.get(VmcsField.EPT_POINTER) & EPTP_WALK) == EPTP_WALK_4;
  }

  static Verdict eptUncacheable(Vmcs12 v, VmxCapabilities caps) {
    return eptCapability(isUncacheable(v), caps, CAP_UNCACHEABLE);
  }

  static Verdict eptWriteBack(Vmcs12 v, VmxCapabilities caps) {
    return eptCapability(isWriteBack(v), caps, CAP_WRITE_BACK);
  }

  static Verdict eptWalk5(Vmcs12 v, VmxCapabilities caps) {
    return eptCapability(hasWalk5(v), caps, CAP_WALK_5);
  }

  static Verdict eptWalk4(Vmcs12 v, VmxCapabilities caps) {
    return eptCapability(hasWalk4(v), caps, CAP_WALK_4);
  }

  static Verdict eptAccessedDirty(Vmcs12 v, VmxCapabilities caps) {
    boolean used = hasEpt(v) && (v.get(VmcsField.EPT_POINTER) & EPTP_ACCESSED_DIRTY) != 0;
    return eptCapability(used, caps, CAP_ACCESSED_DIRTY);
  }

  static Verdict eptReserved(Vmcs12 v, EntryContext context) {
    if (!hasEpt(v)) {
      return Known.PASSES;
    }
    long eptp = v.get(VmcsField.EPT_POINTER);
    return (eptp & EPTP_RESERVED) != 0 ? Known.FAILS : legal(eptp, context);
  }

  private static Verdict eptCapability(boolean used, VmxCapabilities caps, long capability) {
    if (!used) {
      return Known.PASSES;
    }
    return caps.eptVpid().isEmpty()
        ? EntryInput.EPT_VPID_CAP
        : Verdict.failsIf((caps.eptVpid().getAsLong() & capability) == 0);
  }

  static Verdict vmFunctions(Vmcs12 v, VmxCapabilities caps) {
    long functions = v.get(VmcsField.VM_FUNCTION_CONTROL);
    if (!hasSecondary(v, SecondaryControls.ENABLE_VMFUNC) || functions == 0) {
      return Known.PASSES;
    }
    return caps.vmfunc().isEmpty()
        ? EntryInput.VMFUNC
        : Verdict.failsIf((functions & ~caps.vmfunc().getAsLong()) != 0);
  }

  static boolean hasEptpSwitching(Vmcs12 v) {
    return hasSecondary(v, SecondaryControls.ENABLE_VMFUNC)
        && (v.get(VmcsField.VM_FUNCTION_CONTROL) & VMFUNC_EPTP_SWITCHING) != 0;
  }

  static Verdict monitorTrapFlag(Vmcs12 v, VmxCapabilities caps) {
    if (!EventInjection.isType(v, EventInjection.OTHER)) {
      return Known.PASSES;
    }
    return caps.procbased().isEmpty()
        ? EntryInput.PROCBASED_CTLS
        : Verdict.failsIf(
            (caps.procbased().getAsLong() >>> HALF & PrimaryControls.MONITOR_TRAP_FLAG) == 0);
  }

  static Verdict zeroLength(Vmcs12 v, VmxCapabilities caps) {
    if (!EventInjection.hasLength(v) || v.get(VmcsField.VM_ENTRY_INSTRUCTION_LEN) != 0) {
      return Known.PASSES;
    }
    return caps.misc().isEmpty()
        ? EntryInput.MISC
        : Verdict.failsIf((caps.misc().getAsLong() & MISC_ZERO_LENGTH) == 0);
  }

  static Verdict enlightened(EntryContext context) {
    return context.limits().enlightenedVmcs() ? EntryInput.ENLIGHTENED_VMCS : Known.PASSES;
  }

  static Verdict addressSpace(Vmcs12 v, EntryContext context) {
    if (!context.fromVmentry()) {
      return Known.PASSES;
    }
    return context.efer().isEmpty()
        ? EntryInput.EFER
        : Verdict.failsIf(is64BitHost(v) != ((context.efer().getAsLong() & Efer.LMA) != 0));
  }

  static boolean is64BitHost(Vmcs12 v) {
    return hasExit(v, ExitControls.HOST_ADDR_SPACE_SIZE);
  }

  static boolean isLongModeGuest(Vmcs12 v) {
    return hasEntry(v, EntryControls.IA32E_MODE);
  }

  static Verdict hostCr0(Vmcs12 v, VmxCapabilities caps) {
    long cr0 = v.get(VmcsField.HOST_CR0);
    return and(fixed0(cr0, caps.cr0Fixed0(), 0), cr0Fixed1(cr0, caps));
  }

  /** CR0 of the guest, which with unrestricted guest may have PE and PG off. */
  static Verdict guestCr0(Vmcs12 v, VmxCapabilities caps) {
    long cr0 = v.get(VmcsField.GUEST_CR0);
    long relaxed = Cr0.PE | Cr0.PG;
    Verdict fixed0 = fixed0(cr0, caps.cr0Fixed0(), 0);
    if (hasSecondary(v, SecondaryControls.UNRESTRICTED_GUEST) && fixed0 == Known.FAILS) {
      if (caps.procbased2().isEmpty()) {
        Verdict least = fixed0(cr0, caps.cr0Fixed0(), relaxed);
        fixed0 = least == Known.FAILS ? least : EntryInput.PROCBASED_CTLS2;
      } else if ((caps.procbased2().getAsLong() >>> HALF & SecondaryControls.UNRESTRICTED_GUEST)
          != 0) {
        fixed0 = fixed0(cr0, caps.cr0Fixed0(), relaxed);
      }
    }
    return and(fixed0, cr0Fixed1(cr0, caps));
  }

  static Verdict cr4(long cr4, VmxCapabilities caps, EntryContext context) {
    Verdict fixed0 =
        caps.cr4Fixed0().isEmpty()
            ? EntryInput.CR4_FIXED0
            : Verdict.failsIf((~cr4 & caps.cr4Fixed0().getAsLong()) != 0);
    Verdict fixed1 =
        caps.cr4Fixed1().isEmpty()
            ? EntryInput.CR4_FIXED1
            : Verdict.failsIf((cr4 & ~caps.cr4Fixed1().getAsLong()) != 0);
    OptionalLong reserved = context.limits().cr4Reserved();
    Verdict allowed =
        reserved.isEmpty()
            ? EntryInput.CR4_RESERVED
            : Verdict.failsIf((cr4 & reserved.getAsLong()) != 0);
    return and(and(fixed0, fixed1), allowed);
  }

  /** CR4.CET without CR0.WP, which kernels refuse that let a guest have CR4.CET. */
  static boolean hasCetWithoutWp(long cr0, long cr4) {
    return (cr4 & Cr4.CET) != 0 && (cr0 & Cr0.WP) == 0;
  }

  private static Verdict fixed0(long cr0, OptionalLong fixed0, long relaxed) {
    return fixed0.isEmpty()
        ? EntryInput.CR0_FIXED0
        : Verdict.failsIf((~cr0 & fixed0.getAsLong() & ~relaxed) != 0);
  }

  private static Verdict cr0Fixed1(long cr0, VmxCapabilities caps) {
    return caps.cr0Fixed1().isEmpty()
        ? EntryInput.CR0_FIXED1
        : Verdict.failsIf((cr0 & ~caps.cr0Fixed1().getAsLong()) != 0);
  }

  /** Two conditions of one check: one that fails decides, whatever is missing for the other. */
  private static Verdict and(Verdict one, Verdict other) {
    if (one == Known.FAILS || other == Known.FAILS) {
      return Known.FAILS;
    }
    return one == Known.PASSES ? other : one;
  }

  /** A linear address whose high bits repeat the highest one that is used. */
  static Verdict canonical(long address, EntryContext context) {
    if (context.virtualAddressBits().isPresent()) {
      return Verdict.failsIf(!isCanonical(address, context.virtualAddressBits().getAsInt()));
    }
    if (isCanonical(address, EntryContext.ADDRESS_BITS)) {
      return Known.PASSES;
    }
    return isCanonical(address, EntryContext.ADDRESS_BITS_LA57)
        ? EntryInput.ADDRESS_WIDTH
        : Known.FAILS;
  }

  private static boolean isCanonical(long address, int bits) {
    int unused = Long.SIZE - bits;
    return address << unused >> unused == address;
  }

  /** IA32_PAT: each of its bytes is 0, 1, 4, 5, 6 or 7. */
  static Verdict pat(boolean loaded, long pat) {
    boolean valid = (pat & PAT_RESERVED) == 0 && (pat | (pat & PAT_BIT_1) << 1) == pat;
    return Verdict.failsIf(loaded && !valid);
  }

  static Verdict perfGlobalCtrl(boolean loaded, long value, EntryContext context) {
    if (!loaded || value == 0) {
      return Known.PASSES;
    }
    OptionalLong reserved = context.limits().perfGlobalCtrlReserved();
    return reserved.isEmpty()
        ? EntryInput.PERF_GLOBAL_CTRL_RESERVED
        : Verdict.failsIf((value & reserved.getAsLong()) != 0);
  }

  static boolean hasHighHalf(long value) {
    return value >>> HALF != 0;
  }

  static Verdict selector(Vmcs12 v, VmcsField field) {
    return Verdict.failsIf((v.get(field) & SELECTOR_FLAGS) != 0);
  }

  static Verdict efer(boolean loaded, long efer, EntryContext context) {
    if (!loaded || efer == 0) {
      return Known.PASSES;
    }
    OptionalLong allowed = context.limits().eferAllowed();
    return allowed.isEmpty()
        ? EntryInput.EFER_ALLOWED
        : Verdict.failsIf((efer & ~allowed.getAsLong()) != 0);
  }

  static boolean loadsHostEfer(Vmcs12 v) {
    return hasExit(v, ExitControls.LOAD_IA32_EFER);
  }

  static boolean loadsGuestEfer(Vmcs12 v, EntryContext context) {
    return context.runPending() && hasEntry(v, EntryControls.LOAD_IA32_EFER);
  }

  /**
   * IA32_DEBUGCTL: LBR and BTF are tolerated, three bits depend on the CPU, no other is ever valid.
   */
  static Verdict debugctl(Vmcs12 v, EntryContext context) {
    long doubtful = v.get(VmcsField.GUEST_IA32_DEBUGCTL) & ~DEBUGCTL_LBR_AND_BTF;
    if (doubtful == 0 || !hasEntry(v, EntryControls.LOAD_DEBUG_CONTROLS)) {
      return Known.PASSES;
    }
    if ((doubtful & ~DEBUGCTL_OF_SOME_CPU) != 0) {
      return Known.FAILS;
    }
    OptionalLong supported = context.limits().debugctlSupported();
    return supported.isEmpty()
        ? EntryInput.DEBUGCTL_SUPPORTED
        : Verdict.failsIf((doubtful & ~supported.getAsLong()) != 0);
  }

  static boolean hasLink(Vmcs12 v) {
    return v.get(VmcsField.VMCS_LINK_POINTER) != Gpa.INVALID;
  }

  static Verdict linkMapped(Vmcs12 v, EntryContext context) {
    if (!hasLink(v)) {
      return Known.PASSES;
    }
    return switch (context.linkTarget()) {
      case LinkTarget.Unknown _ -> EntryInput.LINK_TARGET;
      case LinkTarget.Unmapped _ -> Known.FAILS;
      case LinkTarget.Header _ -> Known.PASSES;
    };
  }

  /** A page that is in a memory slot can be read unless userspace took the memory away under it. */
  static Verdict linkRead(Vmcs12 v, EntryContext context) {
    boolean unknown = hasLink(v) && context.linkTarget() instanceof LinkTarget.Unknown;
    return unknown ? EntryInput.LINK_TARGET : Known.PASSES;
  }

  static Verdict linkRevision(Vmcs12 v, EntryContext context) {
    if (!hasLink(v)) {
      return Known.PASSES;
    }
    return switch (context.linkTarget()) {
      case LinkTarget.Unknown _ -> EntryInput.LINK_TARGET;
      case LinkTarget.Unmapped _ -> Known.PASSES;
      case LinkTarget.Header header -> Verdict.failsIf(header.revision() != Vmcs12.REVISION);
    };
  }

  static Verdict linkShadow(Vmcs12 v, EntryContext context) {
    if (!hasLink(v)) {
      return Known.PASSES;
    }
    return switch (context.linkTarget()) {
      case LinkTarget.Unknown _ -> EntryInput.LINK_TARGET;
      case LinkTarget.Unmapped _ -> Known.PASSES;
      case LinkTarget.Header header ->
          Verdict.failsIf(header.isShadow() != hasSecondary(v, SecondaryControls.SHADOW_VMCS));
    };
  }

  static boolean hasPaging(Vmcs12 v) {
    return (v.get(VmcsField.GUEST_CR0) & Cr0.PG) != 0;
  }

  static boolean hasProtection(Vmcs12 v) {
    return (v.get(VmcsField.GUEST_CR0) & Cr0.PE) != 0;
  }

  static boolean hasPae(long cr4) {
    return (cr4 & Cr4.PAE) != 0;
  }

  static Verdict bndcfgsAddress(Vmcs12 v, EntryContext context) {
    return hasEntry(v, EntryControls.LOAD_BNDCFGS)
        ? canonical(v.get(VmcsField.GUEST_BNDCFGS) & BNDCFGS_ADDRESS, context)
        : Known.PASSES;
  }

  static Verdict bndcfgsReserved(Vmcs12 v) {
    return Verdict.failsIf(
        hasEntry(v, EntryControls.LOAD_BNDCFGS)
            && (v.get(VmcsField.GUEST_BNDCFGS) & BNDCFGS_RESERVED) != 0);
  }

  static Verdict activity(Vmcs12 v) {
    int state = v.get32(VmcsField.GUEST_ACTIVITY_STATE);
    return Verdict.failsIf(
        state != ActivityState.ACTIVE
            && state != ActivityState.HLT
            && state != ActivityState.WAIT_SIPI);
  }

  /**
   * The segments of a guest without unrestricted guest; restored state may be mended before it
   * runs.
   */
  static Verdict segments(Vmcs12 v, EntryContext context) {
    return Verdict.failsIf(
        context.fromVmentry()
            && !hasSecondary(v, SecondaryControls.UNRESTRICTED_GUEST)
            && !GuestStateChecks.isValid(GuestState.of(v)));
  }

  /** PDPTEs in guest memory, which are loaded at once only on VMLAUNCH and VMRESUME. */
  static Verdict pdptes(Vmcs12 v, EntryContext context) {
    return context.fromVmentry() && hasPaePagingWithoutEpt(v)
        ? EntryInput.GUEST_PDPTES
        : Known.PASSES;
  }

  private static boolean hasPaePagingWithoutEpt(Vmcs12 v) {
    return hasPaging(v) && hasPae(v.get(VmcsField.GUEST_CR4)) && !isLongModeGuest(v) && !hasEpt(v);
  }
}
