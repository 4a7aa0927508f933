package dev.faultline.vmx;

import dev.faultline.x86.Segment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Evaluates {@link GuestStateCheck}s.
 *
 * <p>KVM asks them only of a guest that runs without unrestricted guest, and remembers the answer:
 * see the callers for when. With the module parameter {@code emulate_invalid_guest_state} off it
 * asks and ignores the answer.
 */
public final class GuestStateChecks {
  private static final GuestStateCheck[] CHECKS = GuestStateCheck.values();
  private static final int FIRST_PROTECTED = GuestStateCheck.CS_SS_RPL.ordinal();

  private static final int ACCESSED_CODE = AccessRights.TYPE_ACCESSED | AccessRights.TYPE_CODE;
  private static final int ACCESSED_DATA = AccessRights.TYPE_ACCESSED | AccessRights.TYPE_WRITABLE;

  private GuestStateChecks() {}

  /** The check that fails first, or null if KVM takes the state for valid. Allocates nothing. */
  public static @Nullable GuestStateCheck firstFailure(GuestState state) {
    return isUsual(state) ? null : walk(state);
  }

  /** The same without a look ahead. */
  static @Nullable GuestStateCheck walk(GuestState state) {
    boolean real = state.isRealOrVirtual8086Mode();
    int end = real ? FIRST_PROTECTED : CHECKS.length;
    for (int i = real ? 0 : FIRST_PROTECTED; i < end; i++) {
      if (CHECKS[i].fails(state)) {
        return CHECKS[i];
      }
    }
    return null;
  }

  /** Whether the state is one of those in protected mode that pass at once; the list agrees. */
  private static boolean isUsual(GuestState s) {
    Segment cs = s.cs();
    Segment ss = s.ss();
    Segment tr = s.tr();
    Segment ldtr = s.ldtr();
    return !s.isRealOrVirtual8086Mode()
        && cs.rpl() == ss.rpl()
        && isPresent(cs)
        && (cs.type() & ~AccessRights.TYPE_WRITABLE) == ACCESSED_CODE
        && cs.dpl() == cs.rpl()
        && (ss.unusable() != 0
            || (isPresent(ss) && ss.type() == ACCESSED_DATA && ss.dpl() == ss.rpl()))
        && isUsualData(s.ds())
        && isUsualData(s.es())
        && isUsualData(s.fs())
        && isUsualData(s.gs())
        && tr.unusable() == 0
        && tr.present() != 0
        && tr.type() == AccessRights.TYPE_BUSY_TSS
        && (tr.selector() & Segment.TI) == 0
        && (ldtr.unusable() != 0
            || (ldtr.present() != 0
                && ldtr.type() == AccessRights.TYPE_LDT
                && (ldtr.selector() & Segment.TI) == 0));
  }

  private static boolean isPresent(Segment segment) {
    return segment.unusable() == 0 && segment.present() != 0 && segment.s() == 1;
  }

  private static boolean isUsualData(Segment segment) {
    return segment.unusable() != 0 || (isPresent(segment) && segment.dpl() >= segment.rpl());
  }

  /** Whether KVM takes the state for valid. */
  public static boolean isValid(GuestState state) {
    return firstFailure(state) == null;
  }

  /** Every check of the state's mode that fails, in order. */
  public static List<GuestStateCheck> failures(GuestState state) {
    List<GuestStateCheck> failures = new ArrayList<>();
    for (GuestStateCheck check : CHECKS) {
      if (check.isRealMode() == state.isRealOrVirtual8086Mode() && check.fails(state)) {
        failures.add(check);
      }
    }
    return List.copyOf(failures);
  }
}
