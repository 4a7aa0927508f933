package dev.faultline.trace;

import dev.faultline.Bytes;

/**
 * One event of the kernel's trace, as a kvm tracepoint printed it.
 *
 * <p><i>Units</i>: {@code ns} is the time of the event on the trace's clock in nanoseconds, as
 * precise as it was printed (tracefs prints microseconds, rounded to the nearest). Addresses,
 * qualifications and register values are u64 in a {@code long}; u32 values are a {@code long} too,
 * so that {@link #NOT_PRINTED} can stand beside them.
 *
 * <p>Each record's last paragraph shows the text that it is read from; the texts of kernels 5.10,
 * 6.1, 6.12, 7.2 and 7.3 are known.
 */
public sealed interface TraceEvent {
  /** Stands for a value that this kernel's text does not have. */
  long NOT_PRINTED = -1L;

  /** When it happened, on the trace's clock. */
  long ns();

  /**
   * KVM enters the guest, L1 or L2.
   *
   * <p>{@code kvm_entry: vcpu 0, rip 0x401a50 intr_info 0x00000000 error_code 0x00000000[immediate
   * exit]}
   *
   * @param rip where the guest goes on, or {@link #NOT_PRINTED}
   * @param intrInfo the event injected by the entry (7.2 and later), or {@link #NOT_PRINTED}
   * @param errorCode its error code (7.2 and later), or {@link #NOT_PRINTED}
   * @param immediateExit true if KVM forces an exit before the first instruction
   */
  record VmEntry(long ns, int vcpu, long rip, long intrInfo, long errorCode, boolean immediateExit)
      implements TraceEvent {}

  /**
   * The guest, L1 or L2, left to KVM.
   *
   * <p>{@code kvm_exit: vcpu 0 reason INVALID_STATE FAILED_VMENTRY rip 0x401a50 info1
   * 0x0000000000000000 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000 requests
   * 0x0000000000000000}
   *
   * @param reason the exit's name, or {@code 0x..} if the kernel has none
   * @param flags what stood after the name, {@code FAILED_VMENTRY}, or empty
   * @param info1 VMX: the exit qualification
   * @param info2 VMX: the IDT-vectoring information
   * @param requests pending requests of the vCPU (7.2 and later), or {@link #NOT_PRINTED}
   */
  record VmExit(
      long ns,
      int vcpu,
      String reason,
      String flags,
      long rip,
      long info1,
      long info2,
      long intrInfo,
      long errorCode,
      long requests)
      implements TraceEvent {}

  /**
   * L2 left, before it is decided whether L0 or L1 handles it; the same fields as {@link VmExit}.
   *
   * <p>{@code kvm_nested_vmexit: vcpu 0 reason IO_INSTRUCTION rip 0x404445 info1 0x0000000020000008
   * ...}
   */
  record NestedVmExit(
      long ns,
      int vcpu,
      String reason,
      String flags,
      long rip,
      long info1,
      long info2,
      long intrInfo,
      long errorCode,
      long requests)
      implements TraceEvent {}

  /**
   * The vCPU goes from L1 to L2: by VMLAUNCH, VMRESUME or VMRUN, by KVM_SET_NESTED_STATE, or by
   * RSM.
   *
   * <p>{@code kvm_nested_vmenter: rip: 0x0000000000401b9a vmcs: 0x0000000000184000 nested_rip:
   * 0x0000000000404440 int_ctl: 0x00000000 event_inj: 0x00000000 nested_ept=n guest_cr3:
   * 0x0000000000180000}; before 6.1 {@code kvm_nested_vmrun: rip: .. vmcb: .. nrip: .. int_ctl: ..
   * event_inj: .. npt: on}, by SVM only
   *
   * @param svm true if it is SVM, so {@code vmcs} is the vmcb12's address
   * @param rip L1's
   * @param vmcs address of the vmcs12 (vmcb12)
   * @param nestedRip L2's
   * @param nestedPaging true if L1 uses EPT (NPT) for L2
   * @param rootName what {@code root} is: {@code nested_eptp}, {@code nested_cr3} or {@code
   *     guest_cr3}; empty before 6.1
   * @param root the root of the page tables that L2 runs on, or {@link #NOT_PRINTED}
   */
  record NestedVmEnter(
      long ns,
      boolean svm,
      long rip,
      long vmcs,
      long nestedRip,
      long intCtl,
      long eventInj,
      boolean nestedPaging,
      String rootName,
      long root)
      implements TraceEvent {}

  /**
   * What L1 intercepts of the L2 that it just entered, on SVM; the words of the VMCB.
   *
   * <p>{@code kvm_nested_intercepts: cr_read: 0000 cr_write: 0000 excp: 00000000 intercepts:
   * 80000000 00000003 00000000}
   *
   * @param word3 from bit 96: interrupts, NMI, SMI, INIT, and instructions
   * @param word4 from bit 128: VMRUN and its kind
   * @param word5 from bit 160
   */
  record NestedIntercepts(
      long ns, long crRead, long crWrite, long exceptions, long word3, long word4, long word5)
      implements TraceEvent {}

  /**
   * KVM refused a VM entry to L2, or an ioctl that asked for one; the message is the check that
   * failed.
   *
   * <p>{@code kvm_nested_vmenter_failed: from_vmentry && !vmx_guest_state_valid(vcpu)}
   */
  record NestedVmEnterFailed(long ns, String message) implements TraceEvent {}

  /**
   * L1 gets a VM exit of L2, real or synthesized.
   *
   * <p>{@code kvm_nested_vmexit_inject: reason: TRIPLE_FAULT ext_inf1: 0x0000000000000000 ext_inf2:
   * 0x0000000000000000 ext_int: 0x00000000 ext_int_err: 0x00000000}
   *
   * @param info1 VMX: the exit qualification
   * @param info2 VMX: the IDT-vectoring information
   * @param intrInfo VMX: the VM-exit interruption information
   * @param errorCode its error code; stale if there is none
   */
  record NestedVmExitInject(
      long ns, String reason, String flags, long info1, long info2, long intrInfo, long errorCode)
      implements TraceEvent {}

  /**
   * The vCPU enters or leaves system management mode: by SMI, by RSM, or by KVM_SET_VCPU_EVENTS.
   *
   * <p>{@code kvm_smm_transition: vcpu 0: entering SMM, smbase 0x30000}; {@code kvm_enter_smm}
   * before 6.1
   */
  record SmmTransition(long ns, int vcpu, boolean entering, long smbase) implements TraceEvent {}

  /**
   * KVM_RUN returns to userspace.
   *
   * <p>{@code kvm_userspace_exit: reason KVM_EXIT_IO (2)}, {@code reason restart (4)} for EINTR,
   * {@code reason error (5)} for another errno
   *
   * @param number the exit's number, or the errno if {@link #failed()}
   */
  record UserspaceExit(long ns, String reason, int number) implements TraceEvent {
    /** True if KVM_RUN returned -1. */
    public boolean failed() {
      return reason.equals("restart") || reason.equals("error");
    }

    /** What KVM_RUN set errno to, 0 if it did not fail. */
    public int errno() {
      return failed() ? number : 0;
    }
  }

  /**
   * KVM injects an exception into the guest.
   *
   * <p>{@code kvm_inj_exception: #PF (0x10) [reinjected]}
   *
   * @param exception its name, {@code #UD}, or {@code 0x..} if the kernel has none
   * @param errorCode its error code, 0 also where there is none on 5.10, else {@link #NOT_PRINTED}
   */
  record InjectedException(long ns, String exception, long errorCode, boolean reinjected)
      implements TraceEvent {}

  /**
   * KVM injects an interrupt into the guest.
   *
   * <p>{@code kvm_inj_virq: IRQ 0x40 [reinjected]}, {@code Soft/INTn 0x20}; {@code irq 64} before
   * 6.1
   *
   * @param soft true if INT n brought it about
   */
  record InjectedIrq(long ns, int vector, boolean soft, boolean reinjected) implements TraceEvent {}

  /**
   * The guest read or wrote an MSR and KVM answered.
   *
   * <p>{@code kvm_msr: msr_write 3a = 0x5 (#GP)}
   *
   * @param faulted true if the guest got #GP
   */
  record MsrAccess(long ns, boolean write, int index, long value, boolean faulted)
      implements TraceEvent {}

  /**
   * The guest read or wrote a control register and KVM answered.
   *
   * <p>{@code kvm_cr: cr_write 4 = 0x2220}
   */
  record CrAccess(long ns, boolean write, int register, long value) implements TraceEvent {}

  /**
   * Port I/O of the guest, by KVM itself or completed by userspace.
   *
   * <p>{@code kvm_pio: pio_read at 0x1000 size 1 count 1 val 0x0 }, with {@code (...)} at the end
   * if {@code count > 1}
   *
   * @param value the first element
   */
  record Pio(long ns, boolean write, int port, int size, long count, long value)
      implements TraceEvent {}

  /**
   * Memory-mapped I/O of the guest.
   *
   * <p>{@code kvm_mmio: mmio write len 2 gpa 0xfffe val 0x2}
   *
   * @param kind {@code read}, {@code write} or {@code unsatisfied-read}
   */
  record Mmio(long ns, String kind, int size, long gpa, long value) implements TraceEvent {}

  /**
   * KVM emulates an instruction.
   *
   * <p>{@code kvm_emulate_insn: 1000000:8004:0f aa (real) failed}
   *
   * @param csBase base of CS, 32 bits
   * @param insn the bytes fetched, perhaps none
   * @param mode {@code real}, {@code vm16}, {@code prot16}, {@code prot32}, {@code prot64}, or
   *     {@code 0x..}
   */
  record EmulateInsn(long ns, long csBase, long rip, Bytes insn, String mode, boolean failed)
      implements TraceEvent {}

  /**
   * A page fault or an EPT (NPT) violation of the guest.
   *
   * <p>{@code kvm_page_fault: vcpu 0 rip 0x401a50 address 0x0000000000180000 error_code 0x82};
   * {@code address 180000 error_code 82} before 6.1
   *
   * @param vcpu or {@link #NOT_PRINTED}
   * @param rip or {@link #NOT_PRINTED}
   */
  record PageFault(long ns, int vcpu, long rip, long address, long errorCode)
      implements TraceEvent {}

  /**
   * A thread enters ioctl(2), on whatever descriptor.
   *
   * <p>{@code sys_ioctl(fd: 9, cmd: 0xae80, arg: 0)} in tracefs, {@code sys_enter_ioctl: fd:
   * 0x00000009, cmd: 0x0000ae80, arg: 0x00000000} of trace-cmd and perf; all numbers are
   * hexadecimal, with 0x or without
   */
  record IoctlEntered(long ns, int fd, int cmd, long arg) implements TraceEvent {}

  /**
   * A thread returns from ioctl(2).
   *
   * <p>{@code sys_ioctl -> 0x0}, {@code sys_exit_ioctl: 0x0}
   *
   * @param ret negative: an errno
   */
  record IoctlReturned(long ns, long ret) implements TraceEvent {}

  /** What a program wrote into the trace through {@code trace_marker}. */
  record Marker(long ns, String text) implements TraceEvent {}

  /** Any other event, or one whose text is of no known shape. */
  record Other(long ns, String name, String text) implements TraceEvent {}
}
