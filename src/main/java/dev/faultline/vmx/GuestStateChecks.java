package dev.faultline.vmx;

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

  private GuestStateChecks() {}

  /** The check that fails first, or null if KVM takes the state for valid. Allocates nothing. */
  public static @Nullable GuestStateCheck firstFailure(GuestState state) {
    boolean real = state.isRealOrVirtual8086Mode();
    int end = real ? FIRST_PROTECTED : CHECKS.length;
    for (int i = real ? 0 : FIRST_PROTECTED; i < end; i++) {
      if (CHECKS[i].fails(state)) {
        return CHECKS[i];
      }
    }
    return null;
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
