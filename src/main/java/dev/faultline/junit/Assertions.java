package dev.faultline.junit;

import dev.faultline.Check;
import dev.faultline.migration.Difference;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Fault;
import dev.faultline.migration.MigrationOutcome.Refusal;
import dev.faultline.migration.Notices;
import java.util.List;
import java.util.stream.Collectors;

/** What a failed assertion says of an outcome. */
final class Assertions {
  private static final int MOST = 8;

  private Assertions() {}

  /** What happens, in a sentence. */
  static String sentence(MigrationOutcome o) {
    return switch (o.kind()) {
      case REFUSED -> refused(o);
      case FAULT -> fault(o);
      case LOST ->
          "lost "
              + fields(o.lost().stream().map(Difference::field).toList())
              + ": "
              + String.join("; ", Notices.of(o.lost()));
      case CANNOT_TELL ->
          "cannot tell what becomes of "
              + (o.open().isEmpty()
                  ? String.join("; ", o.undecided())
                  : fields(o.open().stream().map(Difference::field).toList()));
      case FAITHFUL -> "faithful";
    };
  }

  private static String refused(MigrationOutcome o) {
    Refusal r = o.refused();
    if (r == null) {
      return "refused";
    }
    Check check = r.check();
    return r.ioctl().uapiName()
        + ", step "
        + r.step()
        + " of the "
        + (r.saving() ? "save" : "restore")
        + ", is refused"
        + (r.errno() == null ? "" : " with " + r.errno().name())
        + (check == null ? "" : ": " + check.id() + ", " + check.rule());
  }

  private static String fault(MigrationOutcome o) {
    Fault f = o.fault();
    if (f == null) {
      return "fault";
    }
    Check check = f.check();
    return "the next KVM_RUN ends in "
        + f.ending()
        + (check == null ? "" : ": " + check.id() + ", " + check.rule());
  }

  private static String fields(List<String> names) {
    String some = names.stream().limit(MOST).collect(Collectors.joining(", "));
    return names.size() > MOST ? some + " and " + (names.size() - MOST) + " more" : some;
  }
}
