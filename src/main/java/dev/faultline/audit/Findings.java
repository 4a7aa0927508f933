package dev.faultline.audit;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Collects what the rules find; bounded, whatever the length of the recording. */
final class Findings {
  /** Findings beyond so many are counted and not kept. */
  static final int MAX_KEPT = 10_000;

  /** So many findings keep the state of their vCPU. */
  private static final int MAX_STATES = 200;

  /** So many calls at most are named as the evidence of one finding. */
  private static final int MAX_EVIDENCE = 16;

  private final List<Finding> kept = new ArrayList<>();
  private final TreeMap<String, Integer> found = new TreeMap<>();
  private final TreeMap<String, Doubt> doubts = new TreeMap<>();
  private Finding.@Nullable States states;
  private int stateMoment = -1;

  /** The vCPU around the call that is being judged. */
  void around(int moment, Finding.@Nullable States around) {
    stateMoment = moment;
    states = around;
  }

  /** A violation at its rule's severity. */
  void add(Rule rule, Evidence at, String message, Evidence... others) {
    add(rule, rule.severity(), at, message, List.of(others));
  }

  /** A violation that is less bad than the rule's worst. */
  void add(Rule rule, Severity severity, Evidence at, String message, Evidence... others) {
    add(rule, severity, at, message, List.of(others));
  }

  void add(Rule rule, Severity severity, Evidence at, String message, List<Evidence> others) {
    found.merge(rule.id(), 1, Integer::sum);
    if (kept.size() >= MAX_KEPT) {
      return;
    }
    List<Evidence> evidence = new ArrayList<>();
    evidence.add(at);
    for (Evidence other : others) {
      if (evidence.size() < MAX_EVIDENCE && evidence.stream().noneMatch(e -> same(e, other))) {
        evidence.add(other);
      }
    }
    evidence.sort(Comparator.comparingInt(Evidence::moment));
    boolean withStates = kept.size() < MAX_STATES && at.moment() == stateMoment;
    kept.add(
        new Finding(
            rule,
            severity.atMost(rule.severity()) ? severity : rule.severity(),
            at.lane(),
            rule.silent(),
            message,
            evidence,
            at,
            withStates ? states : null));
  }

  private static boolean same(Evidence a, Evidence b) {
    return a.moment() == b.moment() && a.seq() == b.seq();
  }

  /** The rule cannot be judged here. */
  void cannotTell(Rule rule, String why) {
    doubts.putIfAbsent(rule.id() + why, new Doubt(rule, why));
  }

  List<Finding> inOrder() {
    List<Finding> sorted = new ArrayList<>(kept);
    sorted.sort(Comparator.comparingInt(Finding::moment).thenComparing(f -> f.rule().id()));
    return List.copyOf(sorted);
  }

  TreeMap<String, Integer> counts() {
    return new TreeMap<>(found);
  }

  List<Doubt> doubts() {
    return List.copyOf(doubts.values());
  }
}
