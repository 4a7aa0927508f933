package dev.faultline.x86;

/**
 * The segment registers.
 *
 * <p><i>Order</i>: the one in which {@code struct kvm_sregs} lays them out and KVM_SET_SREGS writes
 * them: each write re-evaluates whether the guest state needs emulation, so the order can be seen.
 */
public enum SegmentRegister {
  CS("cs"),
  DS("ds"),
  ES("es"),
  FS("fs"),
  GS("gs"),
  SS("ss"),
  TR("tr"),
  LDTR("ldt");

  private final String uapiName;

  SegmentRegister(String uapiName) {
    this.uapiName = uapiName;
  }

  /** The name in {@code struct kvm_sregs}; LDTR is {@code ldt} there. */
  public String uapiName() {
    return uapiName;
  }
}
