package dev.faultline.report;

import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;

/** The kernel that decided, in words. */
final class KernelWords {
  private KernelWords() {}

  /**
   * {@code Linux 6.1 with kvm-intel, unrestricted_guest=Y ept=Y nested=Y}; a parameter that the
   * recording does not tell has the value {@code ?}.
   */
  static String describe(KernelModel kernel, boolean asked) {
    StringBuilder text = new StringBuilder("Linux ").append(kernel.version().label());
    String doubt = doubt(kernel, asked);
    if (!doubt.isEmpty()) {
      text.append(" (").append(doubt).append(')');
    }
    switch (kernel.vendor()) {
      case VMX -> {
        text.append(" with kvm-intel,");
        parameter(text, "unrestricted_guest", kernel.unrestrictedGuest());
        parameter(text, "ept", kernel.ept());
        parameter(text, "nested", kernel.nested());
        if (!kernel.emulateInvalidGuestState().isYes()) {
          parameter(text, "emulate_invalid_guest_state", kernel.emulateInvalidGuestState());
        }
      }
      case SVM -> {
        text.append(" with kvm-amd,");
        parameter(text, "npt", kernel.ept());
        parameter(text, "nested", kernel.nested());
      }
      case UNKNOWN -> text.append(", vendor module not known");
    }
    if (kernel.ignoreMsrs().isYes()) {
      parameter(text, "ignore_msrs", kernel.ignoreMsrs());
    }
    return text.toString();
  }

  private static String doubt(KernelModel kernel, boolean asked) {
    KernelVersion version = kernel.version();
    String predicted =
        version.recorded() ? "" : "predicted from its sources, no recording confirms it";
    if (asked) {
      return predicted.isEmpty() ? "as you asked" : "as you asked; " + predicted;
    }
    String assumed =
        kernel.versionCertain() ? "" : "assumed, the recording does not tell; --kernel changes it";
    return assumed.isEmpty() || predicted.isEmpty()
        ? assumed + predicted
        : assumed + "; " + predicted;
  }

  private static void parameter(StringBuilder text, String name, Answer value) {
    text.append(' ').append(name).append('=');
    text.append(
        switch (value) {
          case YES -> "Y";
          case NO -> "N";
          case CANNOT_TELL -> "?";
        });
  }
}
