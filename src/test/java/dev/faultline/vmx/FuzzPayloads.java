package dev.faultline.vmx;

import dev.faultline.Bytes;
import dev.faultline.vmx.FuzzRecordings.Call;
import dev.faultline.vmx.FuzzRecordings.Case;
import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Gpa;
import dev.faultline.x86.Segment;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Takes out of recorded payloads what the checks read. */
final class FuzzPayloads {
  static final int GUEST_MODE = 1;
  static final int RUN_PENDING = 2;

  private static final int FLAGS = 0;
  private static final int FORMAT = 2;
  private static final int VMXON_PA = 8;
  private static final int VMCS12_PA = 16;
  private static final int SMM_FLAGS = 24;
  private static final int VMX_FLAGS = 28;
  private static final int NESTED_HEADER_SIZE = 128;
  private static final int EVMCS = 4;
  private static final int KNOWN_FLAGS = 0x10F;
  private static final int SMM_GUEST_MODE = 1;
  private static final int KNOWN_SMM_FLAGS = 3;

  private static final int SEGMENT_SIZE = 24;
  private static final int SREGS_CR0 = 224;
  private static final int REGS_RFLAGS = 136;
  private static final int MSR_ENTRY_SIZE = 16;
  private static final int CPUID_ENTRY_SIZE = 40;
  private static final int EAX = 12;
  private static final int EBX = 16;
  private static final int ECX = 20;
  private static final int EDX = 24;

  private FuzzPayloads() {}

  /** The guest state that the last accepted KVM_SET_SREGS and KVM_SET_REGS leave behind. */
  static GuestState guestState(Case fuzz) {
    Bytes sregs = fuzz.lastAccepted("KVM_SET_SREGS").in();
    Bytes regs = fuzz.lastAccepted("KVM_SET_REGS").in();
    return new GuestState(
            sregs.u64(SREGS_CR0),
            regs.u64(REGS_RFLAGS),
            segment(sregs, 0),
            segment(sregs, 1),
            segment(sregs, 2),
            segment(sregs, 3),
            segment(sregs, 4),
            segment(sregs, 5),
            segment(sregs, 6),
            segment(sregs, 7))
        .stored();
  }

  private static Segment segment(Bytes sregs, int index) {
    int at = index * SEGMENT_SIZE;
    return new Segment(
        sregs.u64(at),
        sregs.u32(at + 8),
        sregs.u16(at + 12),
        sregs.u8(at + 14),
        sregs.u8(at + 15),
        sregs.u8(at + 16),
        sregs.u8(at + 17),
        sregs.u8(at + 18),
        sregs.u8(at + 19),
        sregs.u8(at + 20),
        sregs.u8(at + 21),
        sregs.u8(at + 22));
  }

  static boolean hasFlag(Bytes nestedState, int flag) {
    return (nestedState.u16(FLAGS) & flag) != 0;
  }

  static Vmcs12 vmcs12(Bytes nestedState) {
    int size = Math.min(nestedState.size() - NESTED_HEADER_SIZE, Vmcs12.SIZE);
    return new Vmcs12(
        Bytes.builder(Vmcs12.SIZE).putBytes(0, nestedState, NESTED_HEADER_SIZE, size).build());
  }

  /**
   * Whether KVM gets as far as the checks on the vmcs12: the header is right, the vmcs12 and the
   * shadow vmcs12 are there and have their revisions, the guest is active.
   */
  static boolean reachesChecks(Case fuzz, Bytes state) {
    if (!headerPasses(fuzz, state) || !hasFlag(state, GUEST_MODE)) {
      return false;
    }
    Vmcs12 vmcs12 = vmcs12(state);
    boolean shadow =
        EntryRules.hasSecondary(vmcs12, SecondaryControls.SHADOW_VMCS)
            && EntryRules.hasLink(vmcs12);
    int shadowAt = NESTED_HEADER_SIZE + Vmcs12.SIZE;
    boolean shadowPasses =
        !shadow
            || (state.size() >= shadowAt + Vmcs12.SIZE_PACKED
                && state.i32(shadowAt) == (Vmcs12.REVISION | 1 << 31));
    return vmcs12.revisionId() == Vmcs12.REVISION && shadowPasses;
  }

  private static boolean headerPasses(Case fuzz, Bytes state) {
    int flags = state.u16(FLAGS);
    int smm = state.u16(SMM_FLAGS);
    boolean guest = (flags & (GUEST_MODE | RUN_PENDING)) != 0;
    boolean inSmm = fuzz.outcome().path("cond").asText().startsWith("in-SMM");
    int width = maxPhyAddr(fuzz);
    return state.size() >= NESTED_HEADER_SIZE + Vmcs12.SIZE_PACKED
        && (flags & ~KNOWN_FLAGS) == 0
        && (flags & EVMCS) == 0
        && (flags & (RUN_PENDING | GUEST_MODE)) != RUN_PENDING
        && state.u16(FORMAT) == 0
        && Gpa.isLegalPage(state.u64(VMXON_PA), width)
        && Gpa.isLegalPage(state.u64(VMCS12_PA), width)
        && state.u64(VMXON_PA) != state.u64(VMCS12_PA)
        && (smm & ~KNOWN_SMM_FLAGS) == 0
        && smm != SMM_GUEST_MODE
        && !(guest && (smm & SMM_GUEST_MODE) != 0)
        && (inSmm ? !guest : smm == 0)
        && (state.i32(VMX_FLAGS) & ~1) == 0
        && (register(cpuid(fuzz), Cpuid.LEAF_FEATURES, ECX) & Cpuid.LEAF1_ECX_VMX) != 0;
  }

  /** What the MSRs of a vCPU are after its KVM_SET_CPUID2: read from one that was set up alike. */
  static VmxCapabilities capabilities(Case fuzz, List<Call> setup) {
    Map<Integer, Long> values = new HashMap<>();
    for (Call call : setup) {
      if (call.name().equals("KVM_GET_MSRS")) {
        Bytes msrs = call.out();
        for (int i = 0; i < msrs.i32(0); i++) {
          int at = 8 + MSR_ENTRY_SIZE * i;
          values.put(msrs.i32(at), msrs.u64(at + 8));
        }
      }
    }
    Bytes cpuid = cpuid(fuzz);
    return VmxCapabilities.of(values)
        .withFixed1(
            VmxCapabilities.cr4Fixed1(
                register(cpuid, Cpuid.LEAF_FEATURES, ECX),
                register(cpuid, Cpuid.LEAF_FEATURES, EDX),
                register(cpuid, Cpuid.LEAF_EXTENDED_FEATURES, EBX),
                register(cpuid, Cpuid.LEAF_EXTENDED_FEATURES, ECX)));
  }

  /** What the CPUID of the guest and of the host allow. The recorded vCPUs have no PMU. */
  static GuestLimits limits(Case fuzz, List<Call> setup) {
    Bytes guest = cpuid(fuzz);
    Bytes host =
        setup.stream()
            .filter(call -> call.name().equals("KVM_GET_SUPPORTED_CPUID"))
            .findFirst()
            .orElseThrow()
            .out();
    return GuestLimits.UNKNOWN
        .withMaxPhyAddr(maxPhyAddr(fuzz))
        .withCr4Reserved(cr4Reserved(guest) | cr4Reserved(host))
        .withEferAllowed(eferAllowed(guest) & eferAllowed(host));
  }

  private static int maxPhyAddr(Case fuzz) {
    return register(cpuid(fuzz), Cpuid.LEAF_ADDRESS_SIZES, EAX) & 0xFF;
  }

  private static long cr4Reserved(Bytes cpuid) {
    return GuestLimits.cr4Reserved(
        register(cpuid, Cpuid.LEAF_FEATURES, ECX),
        register(cpuid, Cpuid.LEAF_EXTENDED_FEATURES, EBX),
        register(cpuid, Cpuid.LEAF_EXTENDED_FEATURES, ECX));
  }

  private static long eferAllowed(Bytes cpuid) {
    return GuestLimits.eferAllowed(register(cpuid, Cpuid.LEAF_AMD_FEATURES, EDX));
  }

  private static Bytes cpuid(Case fuzz) {
    return fuzz.lastAccepted("KVM_SET_CPUID2").in();
  }

  /** A register of subleaf 0 of a leaf; 0 if there is no such leaf. */
  private static int register(Bytes cpuid, int leaf, int register) {
    for (int i = 0; i < cpuid.i32(0); i++) {
      int at = 8 + CPUID_ENTRY_SIZE * i;
      if (cpuid.i32(at) == leaf && cpuid.i32(at + 4) == 0) {
        return cpuid.i32(at + register);
      }
    }
    return 0;
  }

  /** Whether one of the memory slots that the case sets up covers an address. */
  static boolean isInMemory(Case fuzz, long gpa) {
    return fuzz.calls().stream()
        .filter(call -> call.name().equals("KVM_SET_USER_MEMORY_REGION"))
        .map(Call::in)
        .anyMatch(slot ->
            Long.compareUnsigned(gpa, slot.u64(8)) >= 0
                && Long.compareUnsigned(gpa - slot.u64(8), slot.u64(16)) < 0);
  }
}
