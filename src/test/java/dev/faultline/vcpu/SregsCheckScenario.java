package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Given registers that KVM_SET_SREGS accepts, when one field changes, then one check refuses the
 * call and nothing has changed.
 */
class SregsCheckScenario {
  private static final KernelModel V7_3 = VmxGuest.kernel(KernelVersion.V7_3);
  private static final long BEYOND = 1L << 40;

  /** One field of a valid payload is changed, so that one check fails. */
  record Row(SregsCheck check, String change, Vcpu vcpu, VcpuCommand valid, VcpuCommand changed) {
    @Override
    public String toString() {
      return check + ": " + change;
    }
  }

  private static final List<Row> ROWS = rows();

  private static VcpuCommand set(KvmSregs sregs) {
    return new VcpuCommand.SetSregs(VmxGuest.MOMENT, sregs);
  }

  private static VcpuCommand set2(KvmSregs2 sregs) {
    return new VcpuCommand.SetSregs2(VmxGuest.MOMENT, sregs);
  }

  private static Row row(
      SregsCheck check, String change, Vcpu vcpu, KvmSregs valid, UnaryOperator<KvmSregs> to) {
    return new Row(check, change, vcpu, set(valid), set(to.apply(valid)));
  }

  /** In L1 outside VMX operation, in 64-bit mode. */
  private static Row row(SregsCheck check, String change, UnaryOperator<KvmSregs> to) {
    return row(check, change, VmxGuest.inL1(), VmxGuest.SREGS, to);
  }

  private static KvmSregs with(KvmSregs s, long cr0, long cr4, long efer) {
    return s.withCr0(cr0).withCr4(cr4).withEfer(efer);
  }

  private static KvmSregs2 sregs2(KvmSregs s) {
    KvmSregs2 two =
        KvmSregs2.zero()
            .withCr0(s.cr0())
            .withCr3(s.cr3())
            .withCr4(s.cr4())
            .withEfer(s.efer())
            .withApicBase(s.apicBase())
            .withGdt(s.gdt())
            .withIdt(s.idt());
    for (SegmentRegister register : SegmentRegister.values()) {
      two = two.withSegment(register, s.segment(register));
    }
    return two;
  }

  private static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    secondVersion(rows);
    mode(rows);
    cr4(rows);
    cr0(rows);
    efer(rows);
    apicBase(rows);
    return List.copyOf(rows);
  }

  private static void secondVersion(List<Row> rows) {
    Vcpu v = VmxGuest.inL1();
    KvmSregs2 plain = sregs2(VmxGuest.SREGS);
    for (long flags : new long[] {2, 1L << 31, 1L << 63}) {
      String change = "flags 0x" + Long.toHexString(flags);
      rows.add(
          new Row(SregsCheck.SREGS2_FLAGS, change, v, set2(plain), set2(plain.withFlags(flags))));
    }
    KvmSregs2 pae = sregs2(VmxGuest.SREGS_32).withFlags(KvmSregs2.KVM_SREGS2_FLAGS_PDPTRS_VALID);
    SregsCheck check = SregsCheck.SREGS2_PDPTRS_WITHOUT_PAE;
    long unpaged = pae.cr0() & ~Cr0.PG;
    rows.add(new Row(check, "cr0 without PG", v, set2(pae), set2(pae.withCr0(unpaged))));
    rows.add(new Row(check, "cr4 without PAE", v, set2(pae), set2(pae.withCr4(Cr4.VMXE))));
    rows.add(new Row(check, "efer.LMA", v, set2(pae), set2(pae.withEfer(Efer.LMA))));
  }

  private static void mode(List<Row> rows) {
    rows.add(row(SregsCheck.LONG_MODE_WITHOUT_PAE, "cr4", s -> s.withCr4(Cr4.VMXE)));
    rows.add(row(SregsCheck.LONG_MODE_WITHOUT_LMA, "efer", s -> s.withEfer(Efer.LME)));
    rows.add(row(SregsCheck.LONG_MODE_CR3, "cr3 bit 40", s -> s.withCr3(BEYOND)));
    rows.add(row(SregsCheck.LONG_MODE_CR3, "cr3 bit 63", s -> s.withCr3(1L << 63)));
    rows.add(row(SregsCheck.LMA_OUTSIDE_LONG_MODE, "efer", s -> s.withEfer(Efer.LMA)));
    rows.add(
        row(SregsCheck.LMA_OUTSIDE_LONG_MODE, "cr0", s -> s.withCr0(Cr0.PE | Cr0.NE | Cr0.ET)));
    rows.add(row(SregsCheck.CS_L_OUTSIDE_LONG_MODE, "efer", s -> s.withEfer(0)));
    KvmSregs protectedMode = VmxGuest.SREGS_32;
    Segment wide = protectedMode.cs().withL(1);
    rows.add(
        row(
            SregsCheck.CS_L_OUTSIDE_LONG_MODE,
            "cs.l",
            VmxGuest.inL1(),
            protectedMode,
            s -> s.withSegment(SegmentRegister.CS, wide)));
  }

  /** A CR4 bit, and the CPUID table that differs from {@link VmxGuest#CPUID} in its feature. */
  private record Feature(String name, long cr4, KvmCpuid2 without) {}

  private static List<Feature> features() {
    int ecx = VmxGuest.LEAF_1_ECX;
    int ebx7 = VmxGuest.LEAF_7_EBX;
    int ecx7 = VmxGuest.LEAF_7_ECX;
    return List.of(
        new Feature("VMXE", Cr4.VMXE, VmxGuest.cpuid(ecx & ~(1 << 5), -1, ebx7, ecx7)),
        new Feature("PCIDE", Cr4.PCIDE, VmxGuest.cpuid(ecx & ~(1 << 17), -1, ebx7, ecx7)),
        new Feature("OSXSAVE", Cr4.OSXSAVE, VmxGuest.cpuid(ecx & ~(1 << 26), -1, ebx7, ecx7)),
        new Feature("FSGSBASE", Cr4.FSGSBASE, VmxGuest.cpuid(ecx, -1, ebx7 & ~1, ecx7)),
        new Feature("SMEP", Cr4.SMEP, VmxGuest.cpuid(ecx, -1, ebx7 & ~(1 << 7), ecx7)),
        new Feature("SMAP", Cr4.SMAP, VmxGuest.cpuid(ecx, -1, ebx7 & ~(1 << 20), ecx7)),
        new Feature("UMIP", Cr4.UMIP, VmxGuest.cpuid(ecx, -1, ebx7, ecx7 & ~(1 << 2))),
        new Feature("PKE", Cr4.PKE, VmxGuest.cpuid(ecx, -1, ebx7, ecx7 & ~(1 << 3))),
        new Feature("LA57", Cr4.LA57, VmxGuest.cpuid(ecx, -1, ebx7, ecx7 & ~(1 << 16))));
  }

  private static void cr4(List<Row> rows) {
    KvmSregs plain = VmxGuest.SREGS.withCr4(Cr4.PAE);
    KernelModel kernel = VmxGuest.kernel(KernelVersion.V6_1);
    for (Feature f : features()) {
      Vcpu hostLacks = VmxGuest.created(kernel, Vm.Irqchip.KERNEL, f.without(), VmxGuest.CPUID);
      Vcpu guestLacks = VmxGuest.created(kernel, Vm.Irqchip.KERNEL, VmxGuest.CPUID, f.without());
      UnaryOperator<KvmSregs> to = s -> s.withCr4(Cr4.PAE | f.cr4());
      rows.add(row(SregsCheck.CR4_HOST_RESERVED, "cr4." + f.name(), hostLacks, plain, to));
      rows.add(row(SregsCheck.CR4_GUEST_RESERVED, "cr4." + f.name(), guestLacks, plain, to));
    }
    for (long bit : new long[] {Cr4.SMXE, Cr4.CET, 1L << 15, 1L << 19, 1L << 32, 1L << 63}) {
      String change = "cr4 0x" + Long.toHexString(bit);
      rows.add(row(SregsCheck.CR4_HOST_RESERVED, change, s -> s.withCr4(s.cr4() | bit)));
    }
    rows.add(
        row(
            SregsCheck.CR4_VMXE_IN_SMM,
            "cr4.VMXE",
            VmxGuest.inSmm(),
            plain,
            s -> s.withCr4(Cr4.PAE | Cr4.VMXE)));
    Vcpu vmx = VmxGuest.inVmxOperation();
    rows.add(
        row(
            SregsCheck.CR4_VMX_FIXED,
            "cr4 without VMXE",
            vmx,
            VmxGuest.SREGS,
            s -> s.withCr4(Cr4.PAE)));
    // Neither KVM nor CPUID reserve CR4.DE, but IA32_VMX_CR4_FIXED1 follows CPUID.
    int noDe = ~(1 << 2);
    KvmCpuid2 withoutDe =
        VmxGuest.cpuid(VmxGuest.LEAF_1_ECX, noDe, VmxGuest.LEAF_7_EBX, VmxGuest.LEAF_7_ECX);
    rows.add(
        row(
            SregsCheck.CR4_VMX_FIXED,
            "cr4.DE",
            MsrStates.withCpuid(vmx, withoutDe),
            VmxGuest.SREGS,
            s -> s.withCr4(s.cr4() | Cr4.DE)));
  }

  private static void cr0(List<Row> rows) {
    rows.add(row(SregsCheck.CR0_HIGH_BITS, "bit 32", s -> s.withCr0(s.cr0() | 1L << 32)));
    rows.add(row(SregsCheck.CR0_HIGH_BITS, "bit 63", s -> s.withCr0(s.cr0() | 1L << 63)));
    rows.add(row(SregsCheck.CR0_NW_WITHOUT_CD, "NW", s -> s.withCr0(s.cr0() | Cr0.NW)));
    rows.add(row(SregsCheck.CR0_PG_WITHOUT_PE, "PE", s -> s.withCr0(s.cr0() & ~Cr0.PE)));
    Vcpu l2 = VmxGuest.inL2();
    Vcpu unrestricted =
        VmxGuest.inL2(
            VmxGuest.kernel(KernelVersion.V6_1),
            VmxGuest.vmcs12()
                .with(
                    VmcsField.SECONDARY_VM_EXEC_CONTROL,
                    SecondaryControls.ENABLE_EPT | SecondaryControls.UNRESTRICTED_GUEST));
    KvmSregs narrow = VmxGuest.SREGS_32;
    UnaryOperator<KvmSregs> noNe = s -> s.withCr0(s.cr0() & ~Cr0.NE);
    UnaryOperator<KvmSregs> noPg = s -> s.withCr0(s.cr0() & ~Cr0.PG);
    UnaryOperator<KvmSregs> noPe = s -> s.withCr0(s.cr0() & ~(Cr0.PE | Cr0.PG));
    rows.add(row(SregsCheck.CR0_GUEST_FIXED, "NE of L2", l2, narrow, noNe));
    rows.add(row(SregsCheck.CR0_GUEST_FIXED, "PG of L2", l2, narrow, noPg));
    rows.add(row(SregsCheck.CR0_GUEST_FIXED, "PE of L2", l2, narrow, noPe));
    rows.add(row(SregsCheck.CR0_GUEST_FIXED, "NE, unrestricted", unrestricted, narrow, noNe));
    Vcpu root = VmxGuest.inVmxOperation();
    rows.add(row(SregsCheck.CR0_VMX_FIXED, "NE of L1", root, narrow, noNe));
    rows.add(row(SregsCheck.CR0_VMX_FIXED, "PG of L1", root, narrow, noPg));
    rows.add(row(SregsCheck.CR0_VMX_FIXED, "PE of L1", root, narrow, noPe));
  }

  private static void efer(List<Row> rows) {
    SregsCheck check = SregsCheck.EFER_RESERVED;
    Vcpu v = VmxGuest.inL1(V7_3);
    for (long bit : new long[] {1 << 1, Efer.SVME, Efer.FFXSR, 1L << 63}) {
      String change = "efer 0x" + Long.toHexString(bit);
      rows.add(row(check, change, v, VmxGuest.SREGS, s -> s.withEfer(s.efer() | bit)));
    }
    // A table without leaf 0x80000001: no long mode, no NX.
    Vcpu plain = VmxGuest.created(V7_3, Vm.Irqchip.KERNEL, VmxGuest.CPUID, KvmCpuid2.of(List.of()));
    KvmSregs narrow = with(VmxGuest.SREGS_32, Cr0.PE | Cr0.NE | Cr0.ET, 0, 0);
    rows.add(row(check, "LME without CPUID", plain, narrow, s -> s.withEfer(Efer.LME)));
    rows.add(row(check, "NX without CPUID", plain, narrow, s -> s.withEfer(Efer.NX)));
  }

  private static void apicBase(List<Row> rows) {
    SregsCheck check = SregsCheck.APIC_BASE_RESERVED;
    for (int bit : new int[] {0, 7, 9, 40, 63}) {
      long set = 1L << bit;
      rows.add(row(check, "bit " + bit, s -> s.withApicBase(s.apicBase() | set)));
    }
    int noX2apic = VmxGuest.LEAF_1_ECX & ~(1 << 21);
    KvmCpuid2 without = VmxGuest.cpuid(noX2apic, -1, VmxGuest.LEAF_7_EBX, VmxGuest.LEAF_7_ECX);
    Vcpu plain =
        VmxGuest.created(
            VmxGuest.kernel(KernelVersion.V6_1), Vm.Irqchip.KERNEL, VmxGuest.CPUID, without);
    rows.add(
        row(
            check,
            "EXTD without CPUID",
            plain,
            VmxGuest.SREGS,
            s -> s.withApicBase(s.apicBase() | ApicBase.EXTD)));
    rows.add(
        row(
            SregsCheck.APIC_BASE_MODE,
            "EXTD without EN",
            s -> s.withApicBase(0xfee0_0000L | ApicBase.EXTD)));
  }

  static Set<SregsCheck> covered() {
    Set<SregsCheck> covered = EnumSet.noneOf(SregsCheck.class);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void one_changed_field_is_refused_by_its_check_and_changes_nothing(Row row) {
    assertThat(VcpuModel.decide(row.vcpu(), row.valid()).outcome()).isEqualTo(Outcome.ZERO);

    Decision decision = VcpuModel.decide(row.vcpu(), row.changed());

    assertThat(decision.outcome()).isEqualTo(new Outcome.Refused(Errno.EINVAL, row.check()));
    assertThat(VmxGuest.evolved(row.vcpu(), decision)).isSameAs(row.vcpu());
  }

  @Test
  void kernels_before_6_1_take_any_cr0() {
    Vcpu v = VmxGuest.inL1(VmxGuest.kernel(KernelVersion.V5_10));
    KvmSregs odd = VmxGuest.SREGS.withCr0(VmxGuest.SREGS.cr0() | Cr0.NW);

    assertThat(VcpuModel.decide(v, set(odd)).outcome()).isEqualTo(Outcome.ZERO);
  }

  @Test
  void an_unrestricted_l2_may_be_in_real_mode() {
    Vcpu unrestricted =
        VmxGuest.inL2(
            VmxGuest.kernel(KernelVersion.V6_1),
            VmxGuest.vmcs12()
                .with(
                    VmcsField.SECONDARY_VM_EXEC_CONTROL,
                    SecondaryControls.ENABLE_EPT | SecondaryControls.UNRESTRICTED_GUEST));
    KvmSregs real = with(VmxGuest.SREGS_32, Cr0.NE | Cr0.ET, VmxGuest.SREGS.cr4(), 0);

    assertThat(VcpuModel.decide(unrestricted, set(real)).outcome()).isEqualTo(Outcome.ZERO);
  }

  @Test
  void what_decides_is_the_first_check_in_kvms_order() {
    KvmSregs two = VmxGuest.SREGS.withCr4(Cr4.VMXE).withCr0(VmxGuest.SREGS.cr0() | Cr0.NW);

    assertThat(VcpuModel.decide(VmxGuest.inL1(), set(two)).outcome())
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, SregsCheck.LONG_MODE_WITHOUT_PAE));
  }
}
