package dev.faultline.audit;

import java.util.List;

/** Rules that look at the same things. */
interface RuleFamily {
  /** The rules of the family, by number. */
  List<Rule> rules();

  /** A call on a vCPU other than KVM_RUN; the tracks are as they were before it. */
  default void vcpuCall(Step step, Findings findings) {}

  /** The recorded program printed something, or had it noted. */
  default void printed(String text, Scene scene, Findings findings) {}

  /** A call on a VM; the tracks are as they were before it. */
  default void vmCall(VmTrack vm, Call call, Findings findings) {}

  /** A KVM_RUN: what was written since the one before it now counts. */
  default void run(Step step, Findings findings) {}

  /**
   * No KVM_RUN will follow what was written last: the recording or the VM ended. Also called right
   * before {@link #run}.
   */
  default void windowEnd(VcpuTrack vcpu, Scene scene, Findings findings) {}

  /** The VM is not seen again. */
  default void vmEnd(VmTrack vm, Scene scene, Findings findings) {}

  /** The recording ended; all VMs ended before. */
  default void end(Scene scene, Findings findings) {}
}
