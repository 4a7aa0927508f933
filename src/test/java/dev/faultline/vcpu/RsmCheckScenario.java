package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.SavedMaps;
import dev.faultline.timeline.Timelines;
import dev.faultline.trace.Observation;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Each demand of RSM, broken by one change of a save map that keeps them all. */
final class RsmCheckScenario {
  private static final int MOMENT = 1_000_000;
  private static final long SMBASE = 0x30000;
  private static final long VM = 1 << 17;

  private static final Vcpu IN_SMM = suspendedL2();
  private static final Bytes L2 = SavedMaps.ofL2(IN_SMM.nested().vmcs12());
  private static final Bytes L1 = mapOfL1();

  /** A vCPU in SMM whose L2 is put aside, as recorded. */
  private static Vcpu suspendedL2() {
    Timelines.Timeline timeline = Timelines.shipped("scn_d");
    Reexecution run = timeline.start();
    for (Observation o : timeline.observations()) {
      Recorded fact = RecordedCalls.convert(o, run.nextMoment());
      if (fact instanceof Recorded.VcpuCall call && call.run() != null) {
        Vcpu v = run.vcpus().get(call.vcpu());
        if (v != null && v.inSmm().isYes() && v.nested().mode().smmGuestMode().isYes()) {
          return v;
        }
      }
      run.accept(fact);
    }
    throw new AssertionError("scn_d has no L2 that an SMI put aside");
  }

  private static Bytes mapOfL1() {
    KvmSregs sregs =
        KvmSregs.zero()
            .withCr0(SavedMaps.value(L2, "cr0"))
            .withCr4(SavedMaps.value(L2, "cr4"))
            .withEfer(SavedMaps.value(L2, "efer"));
    Bytes flat = SavedMaps.ofL1(sregs.raw());
    for (String field : List.of("cs.attributes", "ss.attributes", "tr.attributes")) {
      flat = SavedMaps.with(flat, field, SavedMaps.value(L2, field));
    }
    return flat;
  }

  record Row(RsmCheck check, KernelVersion version, Vcpu vcpu, Bytes map) {
    @Override
    public String toString() {
      return check + " on " + version.label();
    }
  }

  private static Row l2(RsmCheck check, String field, long value) {
    return new Row(check, KernelVersion.V6_1, IN_SMM, SavedMaps.with(L2, field, value));
  }

  private static long of(String field) {
    return SavedMaps.value(L2, field);
  }

  /** The same with VMX root operation put aside instead of L2. */
  private static Vcpu suspendedL1() {
    Nested.Mode mode = IN_SMM.nested().mode().withSmm(Answer.YES, Answer.NO);
    return IN_SMM.withNested(IN_SMM.nested().withMode(mode));
  }

  private static Vcpu withVmcs12(VmcsField field, long value) {
    Tracked vmcs12 = IN_SMM.nested().vmcs12().edit(MOMENT).set(Vmcs12.indexOf(field), value).done();
    return IN_SMM.withNested(IN_SMM.nested().withVmcs12(vmcs12));
  }

  /** L2 with "unrestricted guest", whose CR0 may have no PG. */
  private static Vcpu unrestricted() {
    long primary = 1L << 31;
    long secondary = 1L << 7 | 1L << 1;
    Tracked vmcs12 =
        IN_SMM
            .nested()
            .vmcs12()
            .edit(MOMENT)
            .set(Vmcs12.indexOf(VmcsField.CPU_BASED_VM_EXEC_CONTROL), primary)
            .set(Vmcs12.indexOf(VmcsField.SECONDARY_VM_EXEC_CONTROL), secondary)
            .done();
    return IN_SMM.withNested(IN_SMM.nested().withVmcs12(vmcs12));
  }

  /** On a host whose KVM has to shadow L2's page tables. */
  private static Vcpu withoutEpt() {
    KernelModel k = IN_SMM.kernel();
    KernelModel without =
        new KernelModel(
            k.version(),
            true,
            k.vendor(),
            Answer.NO,
            Answer.NO,
            k.nested(),
            k.emulateInvalidGuestState(),
            k.ignoreMsrs());
    return IN_SMM.withVm(IN_SMM.vm().withKernel(without));
  }

  private static final List<Row> ROWS =
      List.of(
          new Row(
              RsmCheck.RSM_ENTERS_L2,
              KernelVersion.V6_1,
              withVmcs12(VmcsField.GUEST_CR3, 1L << 60),
              L2),
          l2(RsmCheck.RSM_DR6, "dr6", 1L << 32),
          l2(RsmCheck.RSM_DR7, "dr7", 1L << 32),
          l2(RsmCheck.RSM_EFER, "efer", of("efer") | 2),
          l2(RsmCheck.RSM_EFER_LME, "efer", of("efer") & ~Efer.LME),
          l2(RsmCheck.RSM_CR3, "cr3", 1L << 60),
          l2(RsmCheck.RSM_CR4_RESERVED, "cr4", of("cr4") | 1L << 15),
          l2(RsmCheck.RSM_CR4_VMX, "cr4", of("cr4") & ~Cr4.VMXE),
          l2(RsmCheck.RSM_CR4_LONG_MODE, "cr4", of("cr4") & ~Cr4.PAE),
          new Row(
              RsmCheck.RSM_CR0_HIGH,
              KernelVersion.V6_8,
              IN_SMM,
              SavedMaps.with(L2, "cr0", of("cr0") | 1L << 32)),
          l2(RsmCheck.RSM_CR0_NW, "cr0", of("cr0") | Cr0.NW),
          l2(RsmCheck.RSM_CR0_PG, "cr0", of("cr0") & ~Cr0.PE),
          l2(RsmCheck.RSM_CR0_VMX, "cr0", of("cr0") & ~Cr0.NE),
          new Row(
              RsmCheck.RSM_CR0_LONG_MODE,
              KernelVersion.V6_1,
              suspendedL1(),
              SavedMaps.with(L1, "cr4", of("cr4") & ~Cr4.PAE)),
          new Row(
              RsmCheck.RSM_CR0_UNPAGED,
              KernelVersion.V6_1,
              unrestricted(),
              SavedMaps.with(L2, "cr0", of("cr0") & ~Cr0.PG)),
          new Row(
              RsmCheck.RSM_PCIDE,
              KernelVersion.V6_1,
              suspendedL1(),
              SavedMaps.with(SavedMaps.with(L1, "cr4", Cr4.VMXE | Cr4.PCIDE), "efer", 0)),
          l2(RsmCheck.RSM_MODE_VM86, "rflags", of("rflags") | VM),
          new Row(
              RsmCheck.RSM_MODE_CS,
              KernelVersion.V6_1,
              suspendedL1(),
              SavedMaps.with(L1, "cs.attributes", 0)),
          new Row(
              RsmCheck.RSM_PAGE_ROOT,
              KernelVersion.V6_1,
              withoutEpt(),
              SavedMaps.with(L2, "cr3", 0xff_ffff_f000L)),
          l2(RsmCheck.RSM_L2_STATE, "tr.attributes", 0));

  private static RsmVerdict verdict(Vcpu before, Bytes map, KernelVersion version) {
    Vcpu v =
        before.withVm(
            before.vm().withKernel(before.kernel().withVersion(version)).withDead(Answer.NO));
    Vcpu captured = VcpuModel.evolve(v, new TimelineEvent.SmramCaptured(MOMENT, SMBASE, map));
    return VcpuModel.rsm(captured, new TimelineEvent.SmmLeft(MOMENT, SMBASE));
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void a_map_that_breaks_one_demand_is_refused_for_it(Row row) {
    assertThat(verdict(row.vcpu(), row.map(), row.version()).failed()).isEqualTo(row.check());
  }

  @Test
  void a_map_that_keeps_all_demands_lets_the_guest_run() {
    for (KernelVersion version : KernelVersion.values()) {
      assertThat(verdict(IN_SMM, L2, version).end()).isEqualTo(new Outcome.Runs(null));
      assertThat(verdict(suspendedL1(), L1, version).end()).isEqualTo(new Outcome.Runs(null));
    }
  }

  /** The checks that some row breaks. */
  static Set<RsmCheck> covered() {
    Set<RsmCheck> covered = EnumSet.noneOf(RsmCheck.class);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }

  @Test
  void a_refused_map_ends_as_the_kernel_has_it() {
    for (KernelVersion version : KernelVersion.values()) {
      Outcome l2 = verdict(IN_SMM, SavedMaps.with(L2, "cr0", 0x8000_0020L), version).end();
      Outcome l1 = verdict(suspendedL1(), SavedMaps.with(L1, "cr0", 0x8000_0020L), version).end();
      boolean old = version == KernelVersion.V5_10;
      assertThat(exit(l1))
          .isEqualTo(old ? KvmExit.KVM_EXIT_INTERNAL_ERROR : KvmExit.KVM_EXIT_SHUTDOWN);
      if (old) {
        assertThat(l2).isEqualTo(new Outcome.Runs(null));
      } else if (version.compareTo(KernelVersion.V6_12) < 0) {
        assertThat(errno(l2)).isEqualTo(Errno.EIO);
      } else {
        assertThat(exit(l2)).isEqualTo(KvmExit.KVM_EXIT_SHUTDOWN);
      }
    }
  }

  @Test
  void an_invalid_l2_ends_as_the_kernel_has_it() {
    Bytes broken = SavedMaps.with(L2, "tr.attributes", 0);
    for (KernelVersion version : KernelVersion.values()) {
      Outcome end = verdict(IN_SMM, broken, version).end();
      switch (version.rsmToInvalidL2()) {
        case EMULATE -> assertThat(end).isEqualTo(new Outcome.Runs(null));
        case DEAD_VM -> assertThat(errno(end)).isEqualTo(Errno.EIO);
        case SHUTDOWN -> assertThat(exit(end)).isEqualTo(KvmExit.KVM_EXIT_SHUTDOWN);
      }
    }
  }

  @Test
  void bits_63_to_32_of_cr0_and_cr4_are_cut_off_up_to_6_1() {
    Bytes wide = SavedMaps.with(L2, "cr0", of("cr0") | 1L << 35);
    assertThat(verdict(IN_SMM, wide, KernelVersion.V6_1).failed()).isNull();
    assertThat(verdict(IN_SMM, wide, KernelVersion.V6_8).failed()).isEqualTo(RsmCheck.RSM_CR0_HIGH);
  }

  @Test
  void a_limit_keeps_20_scaled_bits_up_to_6_1() {
    Bytes map = SavedMaps.with(L2, "ds.limit", 0x1234_5678L);
    int limit = KvmSregs.LAYOUT.indexOf("ds.limit");
    assertThat(verdict(IN_SMM, map, KernelVersion.V6_1).loaded().registers().sregs().value(limit))
        .isEqualTo(0x4567_8fffL);
    assertThat(verdict(IN_SMM, map, KernelVersion.V6_8).loaded().registers().sregs().value(limit))
        .isEqualTo(0x1234_5678L);
  }

  private static @Nullable KvmExit exit(Outcome outcome) {
    return outcome instanceof Outcome.Exits e ? e.exit() : null;
  }

  private static @Nullable Errno errno(Outcome outcome) {
    return outcome instanceof Outcome.Refused r ? r.errno() : null;
  }
}
