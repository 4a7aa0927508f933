package dev.faultline.timeline;

import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Validity;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vmx.GuestStateCheck;
import org.jspecify.annotations.Nullable;

/** Which field a failed guest-state check looks at, and who wrote it. */
final class Blame {
  private Blame() {}

  static @Nullable String field(GuestStateCheck check) {
    return Validity.blamedField(check);
  }

  static int writer(Vcpu v, String field) {
    Tracked sregs = v.registers().sregs();
    return sregs.writer(sregs.layout().indexOf(field));
  }

  static int tripleFaultWriter(Vcpu v) {
    Tracked events = v.events();
    return events.writer(events.layout().indexOf("triple_fault.pending"));
  }
}
