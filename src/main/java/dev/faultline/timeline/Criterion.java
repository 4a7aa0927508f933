package dev.faultline.timeline;

/** By what a policy for invalid nested state is judged. */
public enum Criterion {
  R1("State that is valid again by the time L2 would run must not be punished."),
  R2("Invalid state that the guest caused must not become an error that userspace sees."),
  R3("Invalid state must not run as L2."),
  R4("The decision must not depend on anything that a migration loses.");

  private final String rule;

  Criterion(String rule) {
    this.rule = rule;
  }

  public String rule() {
    return rule;
  }
}
