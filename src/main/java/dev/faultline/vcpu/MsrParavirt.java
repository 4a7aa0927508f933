package dev.faultline.vcpu;

import java.util.List;

/**
 * KVM's own paravirtual MSRs, as userspace writes them while KVM_CAP_ENFORCE_PV_FEATURE_CPUID is
 * off.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_set_msr_common(), kvm_pv_enable_async_pf()};
 * {@code arch/x86/kvm/lapic.c, kvm_lapic_set_pv_eoi()}, v6.1.
 */
final class MsrParavirt {
  private static final long STEAL_RESERVED = 0x1f << 1;
  private static final long ASYNC_PF_RESERVED = 0x30;

  /** KVM looks for the page of asynchronous page faults only with both of these bits. */
  private static final long ASYNC_PF_ON = 1 | 8;

  private static final long ENABLED = 1;

  /** Where KVM puts the APIC page, the TSS of real mode and its page table. */
  private static final long KVM_SLOTS_FIRST = 0xfee0_0000L;

  private static final long KVM_SLOTS_END = 1L << 32;
  private static final long EOI_ALIGNMENT = 3;

  private MsrParavirt() {}

  static MsrFate judge(Vcpu v, MsrKind kind, long data) {
    return switch (kind) {
      case STEAL_TIME ->
          MsrFate.unless((data & STEAL_RESERVED) != 0, MsrCheck.MSR_STEAL_TIME_RESERVED);
      case ASYNC_PF_EN -> asyncPf(v, data);
      case ASYNC_PF_INT -> {
        if (data >>> 8 != 0) {
          yield MsrFate.refused(MsrCheck.MSR_ASYNC_PF_VECTOR);
        }
        yield needsLapic(v);
      }
      case PV_EOI -> {
        if ((data & ~ENABLED & EOI_ALIGNMENT) != 0) {
          yield MsrFate.refused(MsrCheck.MSR_PV_EOI_ALIGNMENT);
        }
        yield (data & ENABLED) == 0
            ? MsrFate.ACCEPTED
            : inMemory(v, data & ~ENABLED, 1, MsrCheck.MSR_PV_EOI_MEMORY);
      }
      default -> MsrFate.unless((data & ~1L) != 0, MsrCheck.MSR_POLL_CONTROL_BITS);
    };
  }

  private static MsrFate asyncPf(Vcpu v, long data) {
    if ((data & ASYNC_PF_RESERVED) != 0) {
      return MsrFate.refused(MsrCheck.MSR_ASYNC_PF_RESERVED);
    }
    if (data == 0) {
      return MsrFate.ACCEPTED;
    }
    MsrFate lapic = needsLapic(v);
    if (!lapic.accepted().isYes()) {
      return lapic;
    }
    return (data & ASYNC_PF_ON) == ASYNC_PF_ON
        ? inMemory(v, data & ~0x3fL, Long.BYTES, MsrCheck.MSR_ASYNC_PF_MEMORY)
        : MsrFate.ACCEPTED;
  }

  private static MsrFate needsLapic(Vcpu v) {
    return MsrFate.unless(
        v.vm().irqchip().lapicInKernel().not(), MsrCheck.MSR_ASYNC_PF_LAPIC, MsrFate.NO_LAPIC);
  }

  /** Whether KVM finds guest memory at an address that an MSR holds. */
  static MsrFate inMemory(Vcpu v, long gpa, int size, MsrCheck check) {
    List<Vm.Slot> slots = v.vm().slots();
    if (slots == null || slots.isEmpty()) {
      return MsrFate.NO_MEMORY;
    }
    for (Vm.Slot slot : slots) {
      if (slot.holds(gpa)) {
        return slot.holds(gpa + size - 1) ? MsrFate.ACCEPTED : MsrFate.NO_MEMORY;
      }
    }
    // Below 4 GiB KVM has slots of its own.
    boolean mayBeKvms = gpa >= KVM_SLOTS_FIRST && gpa < KVM_SLOTS_END;
    return mayBeKvms ? MsrFate.NO_MEMORY : MsrFate.refused(check);
  }
}
