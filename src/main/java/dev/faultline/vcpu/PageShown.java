package dev.faultline.vcpu;

/** How much of the kvm_run page, which userspace shares with KVM, the input holds. */
public enum PageShown {
  /** All of it. */
  WHOLE,
  /** Why KVM_RUN returned, and nothing else; all other members are unknown, not zero. */
  EXIT_REASON,
  /** Nothing. */
  NOTHING
}
