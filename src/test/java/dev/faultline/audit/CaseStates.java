package dev.faultline.audit;

import dev.faultline.Bytes;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.svm.Vmcb;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.List;

/** Payloads of a small, sound guest. */
final class CaseStates {
  private static final Segment CODE = new Segment(0, 0xffffffffL, 0x10, 11, 1, 0, 0, 1, 1, 1, 0, 0);
  private static final Segment DATA = new Segment(0, 0xffffffffL, 0x18, 3, 1, 0, 1, 1, 0, 1, 0, 0);
  private static final Segment UNUSABLE = new Segment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  private static final Segment TASK = new Segment(0, 0x67, 0x28, 11, 1, 0, 0, 0, 0, 0, 0, 0);
  private static final int NESTED_SIZE = 128 + 4096;

  private CaseStates() {}

  /** Leaf 1 with an APIC identifier and bits of ECX. */
  static CpuidEntry leaf1(int apicId, int ecx) {
    return new CpuidEntry(1, 0, 0, 0x306c3, apicId << 24, ecx, 0x0783fbff & ~(1 << 12));
  }

  static final int X2APIC = 1 << 21;
  static final int TSC_DEADLINE = 1 << 24;
  static final int XSAVE = 1 << 26;
  static final int VMX = 1 << 5;
  static final int USUAL = X2APIC | TSC_DEADLINE | XSAVE;

  /** A CPU with long mode, x2APIC, TSC deadline and XSAVE, without nesting. */
  static KvmCpuid2 cpuid() {
    return KvmCpuid2.of(
        List.of(
            new CpuidEntry(0, 0, 0, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69),
            leaf1(0, USUAL),
            new CpuidEntry(0xd, 0, 1, 3, 0x240, 0x240, 0),
            new CpuidEntry(0x80000000, 0, 0, 0x80000008, 0, 0, 0),
            new CpuidEntry(0x80000001, 0, 0, 0, 0, 0, 1 << 29 | 1 << 20 | 1 << 11),
            new CpuidEntry(0x80000008, 0, 0, 0x3028, 0, 0, 0)));
  }

  /** The table with these leaves in place of its own. */
  static KvmCpuid2 with(KvmCpuid2 table, CpuidEntry... entries) {
    List<CpuidEntry> all = new ArrayList<>(table.entries());
    for (CpuidEntry entry : entries) {
      all.removeIf(e -> e.function() == entry.function() && e.index() == entry.index());
      all.add(entry);
    }
    return KvmCpuid2.of(all);
  }

  /** Flat 64-bit segments. */
  static KvmSregs longMode() {
    return KvmSregs.zero()
        .withSegment(SegmentRegister.CS, CODE)
        .withSegment(SegmentRegister.SS, DATA)
        .withSegment(SegmentRegister.DS, DATA)
        .withSegment(SegmentRegister.ES, DATA)
        .withSegment(SegmentRegister.FS, UNUSABLE)
        .withSegment(SegmentRegister.GS, UNUSABLE)
        .withSegment(SegmentRegister.TR, TASK)
        .withSegment(SegmentRegister.LDTR, UNUSABLE)
        .withGdt(new DescriptorTable(0x5000, 0xff))
        .withIdt(new DescriptorTable(0x6000, 0xfff))
        .withCr0(0x80000033L)
        .withCr3(0x2000)
        .withCr4(0x20)
        .withEfer(0x500)
        .withApicBase(0xfee00900L);
  }

  /** TR is unusable, which no guest can run with. */
  static KvmSregs withoutTask(KvmSregs sregs) {
    return sregs.withSegment(
        SegmentRegister.TR, new Segment(0, 0x67, 0x28, 11, 0, 0, 0, 0, 0, 0, 0, 1));
  }

  /** The timer in TSC-deadline mode, vector 0xec. */
  static KvmLapicState lapic() {
    return KvmLapicState.zero().withSpiv(0x1ff).withLvtTimer(0x400ec);
  }

  /** VMXON, and no current VMCS: the header alone. */
  static KvmNestedState header() {
    return KvmNestedState.vmxOff().withVmxonPa(0x10000);
  }

  /** L1 in VMX operation with a current VMCS. */
  static KvmNestedState l1() {
    return header().withVmcs12Pa(0x11000).withSizeField(NESTED_SIZE).withVmcs12(vmcs12());
  }

  /** L2 active. */
  static KvmNestedState l2() {
    return l1().withFlags(1);
  }

  /** L2 put aside for SMM. */
  static KvmNestedState inSmm() {
    return l1().withSmmFlags(3);
  }

  static Vmcs12 vmcs12() {
    Vmcs12 v =
        new Vmcs12(Bytes.builder(Vmcs12.SIZE).put(0, Integer.BYTES, Vmcs12.REVISION).build())
            .with(VmcsField.VMCS_LINK_POINTER, ~0L)
            .with(VmcsField.PIN_BASED_VM_EXEC_CONTROL, 0x16)
            .with(VmcsField.CPU_BASED_VM_EXEC_CONTROL, 0x8401e172L)
            .with(VmcsField.SECONDARY_VM_EXEC_CONTROL, 2)
            .with(VmcsField.EPT_POINTER, 0x701eL)
            .with(VmcsField.VM_ENTRY_CONTROLS, 0x13ff)
            .with(VmcsField.VM_EXIT_CONTROLS, 0x36fff)
            .with(VmcsField.GUEST_CR0, 0x80000033L)
            .with(VmcsField.GUEST_CR4, 0x2020)
            .with(VmcsField.GUEST_CR3, 0x2000)
            .with(VmcsField.GUEST_RFLAGS, 2)
            .with(VmcsField.HOST_CR0, 0x80000033L)
            .with(VmcsField.HOST_CR4, 0x2020)
            .with(VmcsField.HOST_CS_SELECTOR, 0x10)
            .with(VmcsField.HOST_TR_SELECTOR, 0x28);
    KvmSregs guest = longMode();
    for (SegmentRegister register : SegmentRegister.values()) {
      String field = "GUEST_" + register.name() + "_";
      Segment s = guest.segment(register);
      v =
          v.with(VmcsField.valueOf(field + "SELECTOR"), s.selector())
              .with(VmcsField.valueOf(field + "BASE"), s.base())
              .with(VmcsField.valueOf(field + "LIMIT"), s.limit())
              .with(VmcsField.valueOf(field + "AR_BYTES"), s.accessRights());
    }
    return v;
  }

  /** A nested state of SVM: L2 active if so, else only the global interrupt flag. */
  static KvmNestedState svm(boolean guestMode) {
    Bytes head =
        Bytes.builder(guestMode ? KvmNestedState.HEADER_SIZE + Vmcb.SIZE : 128)
            .put(0, 2, guestMode ? 0x101 : 0x100)
            .put(2, 2, 1)
            .put(4, 4, guestMode ? KvmNestedState.HEADER_SIZE + Vmcb.SIZE : 128)
            .put(8, 8, guestMode ? 0x12000 : ~0L)
            .build();
    if (!guestMode) {
      return new KvmNestedState(head);
    }
    // VMRUN is intercepted and the ASID is not zero.
    int save = 128 + 1024;
    Bytes whole =
        head.with(128 + 0x10, 4, 1)
            .with(128 + 0x58, 4, 1)
            .with(save + 0xd0, 8, 0x1500)
            .with(save + 0x148, 8, 0x20)
            .with(save + 0x150, 8, 0x2000)
            .with(save + 0x158, 8, 0x80000033L)
            .with(save + 0x170, 8, 2);
    return new KvmNestedState(whole);
  }
}
