package dev.faultline.audit;

import java.util.List;
import java.util.function.Consumer;

/**
 * A public bug: how its VMM behaved, and how it behaves since.
 *
 * @param id its number in the collection
 * @param about what happened
 * @param rules rules of which one must find the bad timeline; none for a bug that is not the VMM's
 * @param bad the calls of the bug
 * @param good the calls since it was mended
 * @param hostsAnswer whether KVM's answer hangs on a host, or a kernel, that the model does not
 *     know
 */
record PublicCase(
    String id,
    String about,
    List<String> rules,
    Consumer<CaseScript> bad,
    Consumer<CaseScript> good,
    boolean hostsAnswer) {

  static PublicCase of(
      String id, String about, String rules, Consumer<CaseScript> bad, Consumer<CaseScript> good) {
    return new PublicCase(
        id, about, rules.isEmpty() ? List.of() : List.of(rules.split(" ", -1)), bad, good, false);
  }

  /** The same, with answers of a host that the model does not know. */
  PublicCase onItsHost() {
    return new PublicCase(id, about, rules, bad, good, true);
  }

  CaseScript script(boolean isBad) {
    CaseScript script = new CaseScript();
    (isBad ? bad : good).accept(script);
    return script;
  }
}
