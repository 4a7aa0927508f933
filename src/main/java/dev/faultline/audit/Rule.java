package dev.faultline.audit;

import java.util.List;

/**
 * One rule of the catalogue. Its number never changes and is never used again.
 *
 * @param id {@code R36}
 * @param severity how bad a violation is at its worst
 * @param tier what is needed to see one
 * @param silent whether KVM returns success all the same, and the guest is broken
 * @param scope the architecture or vendor that it is about
 * @param kernels the kernels that it holds on
 * @param sentence the rule
 * @param because what breaks otherwise, and where in KVM
 * @param fix what to do
 * @param cases public bugs behind it
 */
public record Rule(
    String id,
    Severity severity,
    Tier tier,
    boolean silent,
    String scope,
    String kernels,
    String sentence,
    String because,
    String fix,
    List<String> cases) {
  /** Takes the list as it is now. */
  public Rule {
    cases = List.copyOf(cases);
  }

  static Rule of(
      String id, Severity severity, Tier tier, boolean silent, Where where, Prose prose) {
    return new Rule(
        id,
        severity,
        tier,
        silent,
        where.scope(),
        where.kernels(),
        prose.sentence(),
        flat(prose.because()),
        flat(prose.fix()),
        where.cases());
  }

  private static String flat(String text) {
    return text.strip().replaceAll("\\s*\\n\\s*", " ");
  }

  /** On what a rule holds, and the bugs that showed it. */
  record Where(String scope, String kernels, List<String> cases) {
    static Where x86(String... cases) {
      return new Where("x86", "all", List.of(cases));
    }

    static Where on(String scope, String kernels, String... cases) {
      return new Where(scope, kernels, List.of(cases));
    }
  }

  /** What a rule says. */
  record Prose(String sentence, String because, String fix) {}
}
