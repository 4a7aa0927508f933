package dev.faultline.migration;

import dev.faultline.vcpu.Vcpu;

/** Whether two vCPUs are the very same values, which costs nothing to find out. */
final class Identity {
  private Identity() {}

  /** True if nothing was written between the two; false may be a false alarm. */
  @SuppressWarnings("ReferenceEquality") // Every change makes a new value of the part it changes.
  static boolean same(Vcpu a, Vcpu b) {
    return a == b
        || (a.registers() == b.registers()
            && a.events() == b.events()
            && a.nested() == b.nested()
            && a.platform() == b.platform()
            && a.progress() == b.progress()
            && a.vm() == b.vm());
  }
}
