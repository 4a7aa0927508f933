package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * What a vCPU has been told but has not yet acted on: exception, interrupt, NMI, SMI, triple fault.
 *
 * <p>It also carries whether the vCPU is in SMM. Flags choose which optional fields count; what is
 * not chosen may hold anything.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_VCPU_EVENTS",
 * "KVM_SET_VCPU_EVENTS"; {@code arch/x86/include/uapi/asm/kvm.h, struct kvm_vcpu_events, v6.1}.
 */
public record KvmVcpuEvents(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 64;

  private static final int EXCEPTION_INJECTED = 0;
  private static final int EXCEPTION_NR = 1;
  private static final int EXCEPTION_HAS_ERROR_CODE = 2;
  private static final int EXCEPTION_PENDING = 3;
  private static final int EXCEPTION_ERROR_CODE = 4;
  private static final int INTERRUPT_INJECTED = 8;
  private static final int INTERRUPT_NR = 9;
  private static final int INTERRUPT_SOFT = 10;
  private static final int INTERRUPT_SHADOW = 11;
  private static final int NMI_INJECTED = 12;
  private static final int NMI_PENDING = 13;
  private static final int NMI_MASKED = 14;
  private static final int SIPI_VECTOR = 16;
  private static final int FLAGS = 20;
  private static final int SMI_SMM = 24;
  private static final int SMI_PENDING = 25;
  private static final int SMI_SMM_INSIDE_NMI = 26;
  private static final int SMI_LATCHED_INIT = 27;
  private static final int TRIPLE_FAULT_PENDING = 28;
  private static final int EXCEPTION_HAS_PAYLOAD = 55;
  private static final int EXCEPTION_PAYLOAD = 56;
  private static final int RESERVED = 29;
  private static final int RESERVED_SIZE = 26;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_vcpu_events", SIZE)
          .value("exception.injected", EXCEPTION_INJECTED, 1)
          .value("exception.nr", EXCEPTION_NR, 1)
          .value("exception.has_error_code", EXCEPTION_HAS_ERROR_CODE, 1)
          .value("exception.pending", EXCEPTION_PENDING, 1)
          .value("exception.error_code", EXCEPTION_ERROR_CODE, 4)
          .value("interrupt.injected", INTERRUPT_INJECTED, 1)
          .value("interrupt.nr", INTERRUPT_NR, 1)
          .value("interrupt.soft", INTERRUPT_SOFT, 1)
          .value("interrupt.shadow", INTERRUPT_SHADOW, 1)
          .value("nmi.injected", NMI_INJECTED, 1)
          .value("nmi.pending", NMI_PENDING, 1)
          .value("nmi.masked", NMI_MASKED, 1)
          .value("sipi_vector", SIPI_VECTOR, 4)
          .value("flags", FLAGS, 4)
          .value("smi.smm", SMI_SMM, 1)
          .value("smi.pending", SMI_PENDING, 1)
          .value("smi.smm_inside_nmi", SMI_SMM_INSIDE_NMI, 1)
          .value("smi.latched_init", SMI_LATCHED_INIT, 1)
          .value("triple_fault.pending", TRIPLE_FAULT_PENDING, 1)
          .value("exception_has_payload", EXCEPTION_HAS_PAYLOAD, 1)
          .value("exception_payload", EXCEPTION_PAYLOAD, 8)
          .reserved(RESERVED, RESERVED_SIZE)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmVcpuEvents {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_vcpu_events", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmVcpuEvents zero() {
    return new KvmVcpuEvents(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** 1 if the exception is being delivered and must be delivered again. */
  public int exceptionInjected() {
    return raw.u8(EXCEPTION_INJECTED);
  }

  /** The vector of the exception. */
  public int exceptionNr() {
    return raw.u8(EXCEPTION_NR);
  }

  /** 1 if the exception pushes an error code. */
  public int exceptionHasErrorCode() {
    return raw.u8(EXCEPTION_HAS_ERROR_CODE);
  }

  /**
   * 1 if the exception is raised but not yet delivered; counts only with {@link
   * VcpuEventFlags#KVM_VCPUEVENT_VALID_PAYLOAD}.
   */
  public int exceptionPending() {
    return raw.u8(EXCEPTION_PENDING);
  }

  /** The error code of the exception. */
  public int exceptionErrorCode() {
    return raw.i32(EXCEPTION_ERROR_CODE);
  }

  /** 1 if an interrupt is being delivered. */
  public int interruptInjected() {
    return raw.u8(INTERRUPT_INJECTED);
  }

  /** The vector of the interrupt. */
  public int interruptNr() {
    return raw.u8(INTERRUPT_NR);
  }

  /** 1 if the interrupt comes from INT n. */
  public int interruptSoft() {
    return raw.u8(INTERRUPT_SOFT);
  }

  /** The interrupt shadow; counts only with {@link VcpuEventFlags#KVM_VCPUEVENT_VALID_SHADOW}. */
  public int interruptShadow() {
    return raw.u8(INTERRUPT_SHADOW);
  }

  /** 1 if an NMI is being delivered. */
  public int nmiInjected() {
    return raw.u8(NMI_INJECTED);
  }

  /**
   * How many NMIs wait; counts only with {@link VcpuEventFlags#KVM_VCPUEVENT_VALID_NMI_PENDING}.
   */
  public int nmiPending() {
    return raw.u8(NMI_PENDING);
  }

  /** 1 if NMIs are blocked until IRET. */
  public int nmiMasked() {
    return raw.u8(NMI_MASKED);
  }

  /**
   * The vector of the startup IPI; counts only with {@link
   * VcpuEventFlags#KVM_VCPUEVENT_VALID_SIPI_VECTOR}.
   */
  public int sipiVector() {
    return raw.i32(SIPI_VECTOR);
  }

  /** Which of the optional fields count, {@link VcpuEventFlags}. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /**
   * 1 in SMM; this and the other smi fields count only with {@link
   * VcpuEventFlags#KVM_VCPUEVENT_VALID_SMM}.
   */
  public int smiSmm() {
    return raw.u8(SMI_SMM);
  }

  /** 1 if an SMI waits. */
  public int smiPending() {
    return raw.u8(SMI_PENDING);
  }

  /** 1 if the SMI came while an NMI was handled. */
  public int smiSmmInsideNmi() {
    return raw.u8(SMI_SMM_INSIDE_NMI);
  }

  /** 1 if an INIT waits for the end of SMM. */
  public int smiLatchedInit() {
    return raw.u8(SMI_LATCHED_INIT);
  }

  /**
   * 1 if a triple fault waits; counts only with {@link
   * VcpuEventFlags#KVM_VCPUEVENT_VALID_TRIPLE_FAULT}.
   */
  public int tripleFaultPending() {
    return raw.u8(TRIPLE_FAULT_PENDING);
  }

  /** 1 if {@code exception_payload} counts. */
  public int exceptionHasPayload() {
    return raw.u8(EXCEPTION_HAS_PAYLOAD);
  }

  /** What the exception will write: CR2 of a #PF, DR6 bits of a #DB. */
  public long exceptionPayload() {
    return raw.u64(EXCEPTION_PAYLOAD);
  }

  /** This struct with another {@code exception.injected}. */
  public KvmVcpuEvents withExceptionInjected(int value) {
    return new KvmVcpuEvents(raw.with(EXCEPTION_INJECTED, 1, value));
  }

  /** This struct with another {@code exception.nr}. */
  public KvmVcpuEvents withExceptionNr(int value) {
    return new KvmVcpuEvents(raw.with(EXCEPTION_NR, 1, value));
  }

  /** This struct with another {@code exception.has_error_code}. */
  public KvmVcpuEvents withExceptionHasErrorCode(int value) {
    return new KvmVcpuEvents(raw.with(EXCEPTION_HAS_ERROR_CODE, 1, value));
  }

  /** This struct with another {@code exception.pending}. */
  public KvmVcpuEvents withExceptionPending(int value) {
    return new KvmVcpuEvents(raw.with(EXCEPTION_PENDING, 1, value));
  }

  /** This struct with another {@code exception.error_code}. */
  public KvmVcpuEvents withExceptionErrorCode(int value) {
    return new KvmVcpuEvents(raw.with(EXCEPTION_ERROR_CODE, 4, value));
  }

  /** This struct with another {@code interrupt.injected}. */
  public KvmVcpuEvents withInterruptInjected(int value) {
    return new KvmVcpuEvents(raw.with(INTERRUPT_INJECTED, 1, value));
  }

  /** This struct with another {@code interrupt.nr}. */
  public KvmVcpuEvents withInterruptNr(int value) {
    return new KvmVcpuEvents(raw.with(INTERRUPT_NR, 1, value));
  }

  /** This struct with another {@code interrupt.soft}. */
  public KvmVcpuEvents withInterruptSoft(int value) {
    return new KvmVcpuEvents(raw.with(INTERRUPT_SOFT, 1, value));
  }

  /** This struct with another {@code interrupt.shadow}. */
  public KvmVcpuEvents withInterruptShadow(int value) {
    return new KvmVcpuEvents(raw.with(INTERRUPT_SHADOW, 1, value));
  }

  /** This struct with another {@code nmi.injected}. */
  public KvmVcpuEvents withNmiInjected(int value) {
    return new KvmVcpuEvents(raw.with(NMI_INJECTED, 1, value));
  }

  /** This struct with another {@code nmi.pending}. */
  public KvmVcpuEvents withNmiPending(int value) {
    return new KvmVcpuEvents(raw.with(NMI_PENDING, 1, value));
  }

  /** This struct with another {@code nmi.masked}. */
  public KvmVcpuEvents withNmiMasked(int value) {
    return new KvmVcpuEvents(raw.with(NMI_MASKED, 1, value));
  }

  /** This struct with another {@code sipi_vector}. */
  public KvmVcpuEvents withSipiVector(int value) {
    return new KvmVcpuEvents(raw.with(SIPI_VECTOR, 4, value));
  }

  /** This struct with another {@code flags}. */
  public KvmVcpuEvents withFlags(int value) {
    return new KvmVcpuEvents(raw.with(FLAGS, 4, value));
  }

  /** This struct with another {@code smi.smm}. */
  public KvmVcpuEvents withSmiSmm(int value) {
    return new KvmVcpuEvents(raw.with(SMI_SMM, 1, value));
  }

  /** This struct with another {@code smi.pending}. */
  public KvmVcpuEvents withSmiPending(int value) {
    return new KvmVcpuEvents(raw.with(SMI_PENDING, 1, value));
  }

  /** This struct with another {@code smi.smm_inside_nmi}. */
  public KvmVcpuEvents withSmiSmmInsideNmi(int value) {
    return new KvmVcpuEvents(raw.with(SMI_SMM_INSIDE_NMI, 1, value));
  }

  /** This struct with another {@code smi.latched_init}. */
  public KvmVcpuEvents withSmiLatchedInit(int value) {
    return new KvmVcpuEvents(raw.with(SMI_LATCHED_INIT, 1, value));
  }

  /** This struct with another {@code triple_fault.pending}. */
  public KvmVcpuEvents withTripleFaultPending(int value) {
    return new KvmVcpuEvents(raw.with(TRIPLE_FAULT_PENDING, 1, value));
  }

  /** This struct with another {@code exception_has_payload}. */
  public KvmVcpuEvents withExceptionHasPayload(int value) {
    return new KvmVcpuEvents(raw.with(EXCEPTION_HAS_PAYLOAD, 1, value));
  }

  /** This struct with another {@code exception_payload}. */
  public KvmVcpuEvents withExceptionPayload(long value) {
    return new KvmVcpuEvents(raw.with(EXCEPTION_PAYLOAD, 8, value));
  }
}
