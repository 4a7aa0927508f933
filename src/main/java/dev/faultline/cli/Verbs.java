package dev.faultline.cli;

import java.util.List;
import java.util.function.Supplier;

/** Every verb there is. */
final class Verbs {
  /**
   * A verb's name, and how to make the one class that answers it.
   *
   * <p>The class is made only when its verb is the one asked for, so that a start does not pay for
   * all the others.
   *
   * @param name as the user types it
   * @param verb makes what answers it
   */
  record Named(String name, Supplier<Verb> verb) {}

  /** In the order in which help lists them. */
  static final List<Named> ALL =
      List.of(
          new Named("verify", VerifyVerb::new),
          new Named("state", StateVerb::new),
          new Named("show", ShowVerb::new),
          new Named("policies", PoliciesVerb::new),
          new Named("audit", AuditVerb::new),
          new Named("migrate", MigrateVerb::new),
          new Named("reorder", ReorderVerb::new),
          new Named("minimize", MinimizeVerb::new),
          new Named("stat", StatVerb::new),
          new Named("export", ExportVerb::new),
          new Named("import", ImportVerb::new),
          new Named("ls", LsVerb::new),
          new Named("fork", ForkVerb::new),
          new Named("call", CallVerb::new),
          new Named("rm", RmVerb::new),
          new Named("check", CheckVerb::new),
          new Named("reproject", ReprojectVerb::new),
          new Named("record", RecordVerb::new));

  private Verbs() {}
}
