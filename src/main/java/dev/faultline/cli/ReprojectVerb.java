package dev.faultline.cli;

import dev.faultline.ingest.CheckpointRebuild;
import dev.faultline.store.TimelineStore;
import java.io.PrintWriter;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;

/** {@code reproject}: makes everything derived anew from the events. */
final class ReprojectVerb implements Verb {
  private final StoreVerbOptions options = new StoreVerbOptions();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  ReprojectVerb() {
    options.addTo(spec);
    spec.usageMessage()
        .description(
            "Makes everything that is derived from the events anew: the list of timelines, and the"
                + " states kept so that 'state' is quick. Useful after a new version of"
                + " Faultline, whose rules may differ.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() {
    options.isJson();
    PrintWriter out = spec.commandLine().getOut();
    try (TimelineStore store = options.openExisting()) {
      store.reproject();
      List<String> all = store.names();
      for (String name : all) {
        CheckpointRebuild.run(store, name);
      }
      out.println(all.size() + " timelines projected anew");
    }
    return 0;
  }
}
