package dev.faultline.report;

import dev.faultline.Check;

/** Checks of KVM in words. */
final class CheckWords {
  private CheckWords() {}

  /** {@code TR_UNUSABLE: In protected mode TR is usable. [guest_state_valid()]}. */
  static String sentence(Check check) {
    return check.id() + ": " + rule(check) + " [" + function(check) + "]";
  }

  /** The rule without the full stop at its end. */
  static String rule(Check check) {
    String rule = check.rule();
    return rule.endsWith(".") ? rule.substring(0, rule.length() - 1) : rule;
  }

  /** The kernel function with its parentheses. */
  static String function(Check check) {
    String function = check.kernelFunction();
    return function.endsWith(")") ? function : function + "()";
  }
}
