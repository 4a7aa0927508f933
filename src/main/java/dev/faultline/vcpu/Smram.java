package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.x86.SmramMap;

/**
 * The save map in SMRAM, as far as it is known: guest memory, which only a capture or an SMI that
 * the model followed makes known, and which any code in SMM may change.
 *
 * @param map the 64-bit or the 32-bit map, by the guest's CPUID
 * @param smbase where SMRAM began when the map was seen, or {@link #NOWHERE}
 * @param resume the instruction at which guest code goes on, or {@link #NOWHERE} when not known
 * @param quiet no guest code has run since the map was seen, or since the KVM_RUN began that is to
 *     take an SMI first
 */
public record Smram(Tracked map, long smbase, long resume, boolean quiet) {
  /** No address: not known. */
  public static final long NOWHERE = -1;

  /** Where an SMI handler begins. */
  static final long SMM_ENTRY = 0x8000;

  /** A map that nobody saw. */
  public static final Smram UNSEEN =
      new Smram(Tracked.neverSeen(SmramMap.LAYOUT_64), NOWHERE, NOWHERE, false);

  /** A map in the layout that the guest's CPUID demands. */
  static Smram of(
      boolean longMode, Bytes bytes, long smbase, long resume, boolean quiet, int moment) {
    return new Smram(
        Tracked.known(longMode ? SmramMap.LAYOUT_64 : SmramMap.LAYOUT_32, bytes, moment),
        smbase,
        resume,
        quiet);
  }

  Smram resuming(boolean stillQuiet, long rip) {
    return new Smram(map, smbase, rip, stillQuiet);
  }

  /** Code that may have written SMRAM has run. */
  Smram forgotten(int moment) {
    return map.known().isEmpty() && !quiet
        ? this
        : new Smram(map.forgetAll(moment), smbase, NOWHERE, false);
  }

  /** Whether this is the map that a 64-bit guest has. */
  public boolean isWide() {
    return map.layout().equals(SmramMap.LAYOUT_64);
  }
}
