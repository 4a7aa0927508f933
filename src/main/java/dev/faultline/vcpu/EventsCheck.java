package dev.faultline.vcpu;

import dev.faultline.Check;

/** The checks of KVM_SET_VCPU_EVENTS, in KVM's order. All yield EINVAL. */
public enum EventsCheck implements Check {
  EVENTS_FLAGS("Only known flags may be set", "flags & ~known"),
  EVENTS_PAYLOAD_CAP(
      "An exception payload needs KVM_CAP_EXCEPTION_PAYLOAD",
      "VALID_PAYLOAD && !exception_payload_enabled"),
  EVENTS_EXCEPTION_VECTOR(
      "An exception's vector is at most 31 and not the NMI's",
      "(injected || pending) && (nr > 31 || nr == 2)"),
  EVENTS_SMM_WHILE_INIT_RECEIVED(
      "SMM or a pending SMI cannot be set while the vCPU waits for a SIPI",
      "VALID_SMM && (smm || pending) && mp_state == KVM_MP_STATE_INIT_RECEIVED"),
  EVENTS_TRIPLE_FAULT_CAP(
      "A pending triple fault needs KVM_CAP_X86_TRIPLE_FAULT_EVENT;"
          + " everything else of the call has been applied by then",
      "VALID_TRIPLE_FAULT && !triple_fault_event");

  private final String rule;
  private final String condition;

  EventsCheck(String rule, String condition) {
    this.rule = rule;
    this.condition = condition;
  }

  @Override
  public String id() {
    return name();
  }

  @Override
  public String rule() {
    return rule;
  }

  @Override
  public String kernelFunction() {
    return "kvm_vcpu_ioctl_x86_set_vcpu_events()";
  }

  @Override
  public String condition() {
    return condition;
  }
}
