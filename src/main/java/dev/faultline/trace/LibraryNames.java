package dev.faultline.trace;

import dev.faultline.vmx.ExitReason;
import java.util.List;
import java.util.Locale;

/**
 * What libtraceevent, by which trace-cmd and perf print, calls things that the kernel itself prints
 * under other names.
 *
 * <p><i>Source</i>: what trace-cmd 3.1.6 with libtraceevent 1.7.1 prints of events made for it.
 */
final class LibraryNames {
  private static final String SVM = "EXIT_";
  private static final String EXCEPTION = "EXIT_EXCP_";
  private static final String READ = "_READ";
  private static final String WRITE = "_WRITE";
  private static final String UNKNOWN = "UNKNOWN (";
  private static final int BASIC_MASK = 0xffff;

  /** By vector; empty where there is none. */
  private static final List<String> EXCEPTIONS =
      List.of(
          "#DE", "#DB", "", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "", "#TS", "#NP", "#SS",
          "#GP", "#PF", "", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP", "", "", "", "", "", "", "#HV",
          "#VC", "#SX");

  private LibraryNames() {}

  /** An exception as the kernel prints it. */
  static String exception(int vector) {
    String name = vector < EXCEPTIONS.size() ? EXCEPTIONS.get(vector) : "";
    return name.isEmpty() ? "0x" + Integer.toHexString(vector) : name;
  }

  /**
   * An exit reason as the kernel prints it: {@code PF excp} for {@code EXIT_EXCP_PF}, and the name
   * of a VM-exit that the library does not know and prints as {@code UNKNOWN (2147483681)}.
   */
  static String reason(String printed) {
    if (printed.startsWith(UNKNOWN)) {
      long number = number(printed);
      if (number < 0) {
        return printed;
      }
      int basic = (int) number & BASIC_MASK;
      ExitReason reason = ExitReason.of(basic);
      return reason == null ? "0x" + Integer.toHexString(basic) : reason.name();
    }
    if (printed.startsWith(EXCEPTION)) {
      return printed.substring(EXCEPTION.length()) + " excp";
    }
    return switch (printed) {
      case "PENDING_INTERRUPT" -> "INTERRUPT_WINDOW";
      case "EXIT_INTR" -> "interrupt";
      case "EXIT_ERR" -> "invalid_guest_state";
      case "EXIT_CR0_SEL_WRITE" -> "cr0_sel_write";
      default -> printed.startsWith(SVM) ? svm(printed.substring(SVM.length())) : printed;
    };
  }

  private static String svm(String name) {
    String turned = name;
    if (name.endsWith(READ)) {
      turned = "read_" + name.substring(0, name.length() - READ.length());
    } else if (name.endsWith(WRITE)) {
      turned = "write_" + name.substring(0, name.length() - WRITE.length());
    }
    return turned.toLowerCase(Locale.ROOT);
  }

  /** What the kernel prints behind the reason: {@code FAILED_VMENTRY}, or nothing. */
  static String flags(String printed) {
    long number = printed.startsWith(UNKNOWN) ? number(printed) : 0;
    return number > 0 && ((int) number & ExitReason.FAILED_VMENTRY) != 0 ? "FAILED_VMENTRY" : "";
  }

  /** The number in the brackets; -1 if they hold none. */
  private static long number(String printed) {
    if (printed.length() < UNKNOWN.length() + 2 || !printed.endsWith(")")) {
      return -1;
    }
    String digits = printed.substring(UNKNOWN.length(), printed.length() - 1);
    long value = 0;
    for (int i = 0; i < digits.length(); i++) {
      int digit = digits.charAt(i) - '0';
      if (digit < 0 || digit > 9 || value > 0xffff_ffffL) {
        return -1;
      }
      value = value * 10 + digit;
    }
    return value;
  }
}
