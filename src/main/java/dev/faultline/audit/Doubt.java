package dev.faultline.audit;

/**
 * A rule that cannot be judged on this recording.
 *
 * @param rule the rule
 * @param why what is missing
 */
public record Doubt(Rule rule, String why) {}
