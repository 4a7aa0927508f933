package dev.faultline.vcpu;

/** A verdict that admits ignorance: a recording does not show everything that KVM knew. */
public enum Answer {
  YES,
  NO,
  CANNOT_TELL;

  /** The certain answer for a known truth value. */
  public static Answer of(boolean truth) {
    return truth ? YES : NO;
  }

  public boolean isYes() {
    return this == YES;
  }

  public boolean isNo() {
    return this == NO;
  }

  public boolean isKnown() {
    return this != CANNOT_TELL;
  }

  /** Kleene conjunction: one certain NO decides. */
  public Answer and(Answer other) {
    if (this == NO || other == NO) {
      return NO;
    }
    return this == YES && other == YES ? YES : CANNOT_TELL;
  }

  /** Kleene disjunction: one certain YES decides. */
  public Answer or(Answer other) {
    if (this == YES || other == YES) {
      return YES;
    }
    return this == NO && other == NO ? NO : CANNOT_TELL;
  }

  public Answer not() {
    return switch (this) {
      case YES -> NO;
      case NO -> YES;
      case CANNOT_TELL -> CANNOT_TELL;
    };
  }

  /** The word used in JSON results and in text: {@code yes}, {@code no} or {@code cannot-tell}. */
  public String word() {
    return switch (this) {
      case YES -> "yes";
      case NO -> "no";
      case CANNOT_TELL -> "cannot-tell";
    };
  }
}
