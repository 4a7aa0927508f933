package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import org.jspecify.annotations.Nullable;

/**
 * What a VMM says itself when KVM does not take an MSR: all that tells which one it was, where the
 * trace holds no payloads.
 *
 * <p><i>Source</i>: QEMU's kvm_buf_set_msrs() and kvm_get_msrs().
 *
 * @param ioctl the one that it tells of
 * @param msr its index
 * @param value what was to be written, as printed; empty if it does not tell
 */
record Complaint(Ioctl ioctl, int msr, String value) {
  private static final String SET = "failed to set MSR 0x";
  private static final String GET = "failed to get MSR 0x";
  private static final String TO = " to 0x";
  private static final int INDEX_DIGITS = 8;
  private static final int VALUE_DIGITS = 16;

  /** The complaint in a text that the VMM printed; null if there is none. */
  static @Nullable Complaint in(String text) {
    boolean sets = text.contains(SET);
    int at = sets ? text.indexOf(SET) : text.indexOf(GET);
    if (at < 0) {
      return null;
    }
    int from = at + SET.length();
    int to = digitsEnd(text, from);
    if (to == from || to - from > INDEX_DIGITS) {
      return null;
    }
    String value = "";
    if (text.startsWith(TO, to)) {
      int first = to + TO.length();
      int end = digitsEnd(text, first);
      value = end == first || end - first > VALUE_DIGITS ? "" : "0x" + text.substring(first, end);
    }
    return new Complaint(
        sets ? Ioctl.SET_MSRS : Ioctl.GET_MSRS,
        Integer.parseUnsignedInt(text.substring(from, to), 16),
        value);
  }

  private static int digitsEnd(String text, int from) {
    int at = from;
    while (at < text.length() && Character.digit(text.charAt(at), 16) >= 0) {
      at++;
    }
    return at;
  }
}
