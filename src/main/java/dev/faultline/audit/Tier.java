package dev.faultline.audit;

/** What a rule needs to see. */
public enum Tier {
  /** Names of ioctls, return values, vCPUs and their order: text of strace is enough. */
  T0,
  /** Payloads. */
  T1,
  /** The model of KVM. */
  T2
}
