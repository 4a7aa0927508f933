package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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
  private static final Pattern WORDS =
      Pattern.compile("failed to (set|get) MSR 0x([0-9a-f]{1,8})\\b(?: to (0x[0-9a-f]{1,16})\\b)?");

  /** The complaint in a text that the VMM printed; null if there is none. */
  static @Nullable Complaint in(String text) {
    Matcher found = WORDS.matcher(text);
    if (!found.find()) {
      return null;
    }
    String value = found.group(3);
    return new Complaint(
        "set".equals(found.group(1)) ? Ioctl.SET_MSRS : Ioctl.GET_MSRS,
        Integer.parseUnsignedInt(found.group(2), 16),
        value == null ? "" : value);
  }
}
