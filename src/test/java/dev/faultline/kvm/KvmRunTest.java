package dev.faultline.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import org.junit.jupiter.api.Test;

final class KvmRunTest {
  private static final int EXIT = 32;

  @Test
  void an_io_exit_is_read_by_name() {
    KvmRun run =
        with(
            KvmExit.KVM_EXIT_IO,
            Bytes.builder(16)
                .put(0, 1, 1)
                .put(1, 1, 4)
                .put(2, 2, 0x2000)
                .put(4, 4, 3)
                .put(8, 8, 4096));

    assertThat(run.exit()).isEqualTo(KvmExit.KVM_EXIT_IO);
    assertThat(run.ioDirection()).isEqualTo(KvmRun.KVM_EXIT_IO_OUT);
    assertThat(run.ioSize()).isEqualTo(4);
    assertThat(run.ioPort()).isEqualTo(0x2000);
    assertThat(run.ioCount()).isEqualTo(3);
    assertThat(run.ioDataOffset()).isEqualTo(4096);
    assertThat(run.layout().field("io.port").get(run.raw())).isEqualTo(0x2000);
  }

  @Test
  void an_mmio_exit_is_read_by_name() {
    KvmRun run =
        with(
            KvmExit.KVM_EXIT_MMIO,
            Bytes.builder(24).put(0, 8, -1).put(8, 8, 7).put(16, 4, 8).put(20, 1, 1));

    assertThat(run.mmioPhysAddr()).isEqualTo(-1);
    assertThat(run.mmioData()).isEqualTo(7);
    assertThat(run.mmioLen()).isEqualTo(8);
    assertThat(run.mmioIsWrite()).isTrue();
  }

  @Test
  void an_emulation_failure_tells_its_instruction() {
    KvmRun run =
        with(
            KvmExit.KVM_EXIT_INTERNAL_ERROR,
            Bytes.builder(32)
                .put(0, 4, 1)
                .put(4, 4, 3)
                .put(8, 8, 1)
                .put(16, 1, 15)
                .put(17, 2, 0x0b0f));

    assertThat(run.internalSuberror()).isEqualTo(KvmRun.KVM_INTERNAL_ERROR_EMULATION);
    assertThat(run.internalNdata()).isEqualTo(3);
    assertThat(run.emulationFlags()).isEqualTo(1);
    assertThat(run.emulationInsnSize()).isEqualTo(15);
    assertThat(run.emulationInsnBytes().toHex()).startsWith("0f0b00");
    assertThat(run.internalData(0)).isEqualTo(1);
    assertThat(run.layout().has("emulation_failure.insn_bytes[14]")).isTrue();
  }

  @Test
  void the_other_internal_errors_tell_numbers() {
    KvmRun run =
        with(
            KvmExit.KVM_EXIT_INTERNAL_ERROR,
            Bytes.builder(32).put(0, 4, 3).put(4, 4, 1).put(8, 8, 9));

    assertThat(run.internalSuberror()).isEqualTo(KvmRun.KVM_INTERNAL_ERROR_DELIVERY_EV);
    assertThat(run.layout().field("internal.data[0]").get(run.raw())).isEqualTo(9);
  }

  @Test
  void the_remaining_exits_are_read_by_name() {
    assertThat(with(KvmExit.KVM_EXIT_FAIL_ENTRY, numbers()).failEntryReason())
        .isEqualTo(0x0706_0504_0302_0100L);
    assertThat(with(KvmExit.KVM_EXIT_FAIL_ENTRY, numbers()).failEntryCpu()).isEqualTo(0x0b0a_0908);
    assertThat(with(KvmExit.KVM_EXIT_X86_RDMSR, numbers()).msrReason()).isEqualTo(0x0b0a_0908);
    assertThat(with(KvmExit.KVM_EXIT_X86_RDMSR, numbers()).msrIndex()).isEqualTo(0x0f0e_0d0c);
    assertThat(with(KvmExit.KVM_EXIT_X86_WRMSR, numbers()).msrData())
        .isEqualTo(0x1716_1514_1312_1110L);
    assertThat(with(KvmExit.KVM_EXIT_X86_WRMSR, numbers()).msrError()).isZero();
    assertThat(with(KvmExit.KVM_EXIT_HYPERCALL, numbers()).hypercallArg(5))
        .isEqualTo(0x3736_3534_3332_3130L);
    assertThat(with(KvmExit.KVM_EXIT_HYPERCALL, numbers()).hypercallRet())
        .isEqualTo(0x3f3e_3d3c_3b3a_3938L);
    assertThat(with(KvmExit.KVM_EXIT_DEBUG, numbers()).debugDr7())
        .isEqualTo(0x1f1e_1d1c_1b1a_1918L);
    assertThat(with(KvmExit.KVM_EXIT_SYSTEM_EVENT, numbers()).systemEventType())
        .isEqualTo(0x0302_0100);
    assertThat(with(KvmExit.KVM_EXIT_SYSTEM_EVENT, numbers()).systemEventData(0))
        .isEqualTo(0x0f0e_0d0c_0b0a_0908L);
    assertThat(with(KvmExit.KVM_EXIT_EXCEPTION, numbers()).exErrorCode()).isEqualTo(0x0706_0504);
    assertThat(with(KvmExit.KVM_EXIT_TPR_ACCESS, numbers()).tprAccessIsWrite())
        .isEqualTo(0x0b0a_0908);
    assertThat(with(KvmExit.KVM_EXIT_IOAPIC_EOI, numbers()).eoiVector()).isZero();
  }

  @Test
  void every_exit_reason_has_a_layout_that_covers_the_page() {
    for (int reason = 0; reason < 64; reason++) {
      assertThat(KvmRun.zero().withExitReason(reason).layout().size()).isEqualTo(KvmRun.SIZE);
    }
    assertThat(KvmRun.zero().withExitReason(-1).exit()).isNull();
  }

  @Test
  void shared_registers_are_written_where_they_are_read() {
    KvmRegs regs = KvmRegs.zero().withRip(0xfff0);
    KvmSregs sregs = KvmSregs.zero().withCr4(0x20);
    KvmVcpuEvents events = KvmVcpuEvents.zero().withSmiSmm(1);

    KvmRun run =
        KvmRun.zero()
            .withSyncRegs(regs)
            .withSyncSregs(sregs)
            .withSyncEvents(events)
            .withDirtyRegs(KvmRun.KVM_SYNC_X86_SREGS)
            .withValidRegs(7);

    assertThat(run.syncRegs()).isEqualTo(regs);
    assertThat(run.syncSregs()).isEqualTo(sregs);
    assertThat(run.syncEvents()).isEqualTo(events);
    assertThat(run.dirtyRegs()).isEqualTo(2);
    assertThat(run.validRegs()).isEqualTo(7);
    assertThat(KvmRun.LAYOUT.field("s.regs.sregs.cr4").get(run.raw())).isEqualTo(0x20);
  }

  @Test
  void the_flags_tell_smm_and_guest_mode() {
    KvmRun run =
        KvmRun.zero()
            .withFlags(KvmRun.KVM_RUN_X86_SMM | KvmRun.KVM_RUN_X86_GUEST_MODE)
            .withImmediateExit(1);

    assertThat(run.inSmm()).isTrue();
    assertThat(run.immediateExit()).isEqualTo(1);
    assertThat(KvmRun.describeFlags(run.flags())).isEqualTo("GUEST_MODE|SMM");
    assertThat(KvmRun.zero().inSmm()).isFalse();
  }

  private static Bytes.Builder numbers() {
    Bytes.Builder bytes = Bytes.builder(64);
    for (int i = 0; i < 64; i++) {
      bytes.put(i, 1, i);
    }
    return bytes;
  }

  private static KvmRun with(KvmExit exit, Bytes.Builder union) {
    KvmRun run = KvmRun.zero().withExitReason(exit.number());
    return new KvmRun(run.raw().toBuilder().putBytes(EXIT, union.build()).build());
  }
}
