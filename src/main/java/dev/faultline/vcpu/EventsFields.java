package dev.faultline.vcpu;

import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmVcpuEvents;

/** Positions of the fields of struct kvm_vcpu_events. */
final class EventsFields {
  private static final StructLayout LAYOUT = KvmVcpuEvents.LAYOUT;

  static final int EXCEPTION_INJECTED = LAYOUT.indexOf("exception.injected");
  static final int EXCEPTION_NR = LAYOUT.indexOf("exception.nr");
  static final int EXCEPTION_HAS_ERROR_CODE = LAYOUT.indexOf("exception.has_error_code");
  static final int EXCEPTION_PENDING = LAYOUT.indexOf("exception.pending");
  static final int EXCEPTION_ERROR_CODE = LAYOUT.indexOf("exception.error_code");
  static final int INTERRUPT_INJECTED = LAYOUT.indexOf("interrupt.injected");
  static final int INTERRUPT_NR = LAYOUT.indexOf("interrupt.nr");
  static final int INTERRUPT_SOFT = LAYOUT.indexOf("interrupt.soft");
  static final int INTERRUPT_SHADOW = LAYOUT.indexOf("interrupt.shadow");
  static final int NMI_INJECTED = LAYOUT.indexOf("nmi.injected");
  static final int NMI_PENDING = LAYOUT.indexOf("nmi.pending");
  static final int NMI_MASKED = LAYOUT.indexOf("nmi.masked");
  static final int SIPI_VECTOR = LAYOUT.indexOf("sipi_vector");
  static final int FLAGS = LAYOUT.indexOf("flags");
  static final int SMM = LAYOUT.indexOf("smi.smm");
  static final int SMI_PENDING = LAYOUT.indexOf("smi.pending");
  static final int SMM_INSIDE_NMI = LAYOUT.indexOf("smi.smm_inside_nmi");
  static final int LATCHED_INIT = LAYOUT.indexOf("smi.latched_init");
  static final int TRIPLE_FAULT = LAYOUT.indexOf("triple_fault.pending");
  static final int HAS_PAYLOAD = LAYOUT.indexOf("exception_has_payload");
  static final int PAYLOAD = LAYOUT.indexOf("exception_payload");

  private EventsFields() {}
}
