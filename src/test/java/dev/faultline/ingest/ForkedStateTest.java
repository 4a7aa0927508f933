package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.UsageException;
import dev.faultline.kvm.Ioctl;
import dev.faultline.store.TimelineStore;
import dev.faultline.store.WhatIf;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** States of forks that go on, where what they are taken from has states kept behind the fork. */
final class ForkedStateTest {
  private static final String VCPU = "vm1/vcpu0";

  private static Reexecution fromZero(TimelineStore store, String name) {
    StoredTimeline stored = new StoredTimeline(store, name);
    Reexecution all =
        new Reexecution(name, KernelFacts.model(stored.readFacts()), TimelineListener.NONE);
    try (ObservationReader reader = stored.open()) {
      while (reader.hasNext()) {
        all.accept(RecordedCalls.convert(reader.next(), all.nextMoment()));
      }
    }
    return all;
  }

  @Test
  void a_fork_that_ends_before_a_kept_state_goes_on_from_what_it_shares() {
    try (TimelineStore store = TimelineStore.inMemory()) {
      RecordingImport.run(store, Recordings.shipped("scn_d"), "t", _ -> {});
      WhatIf whatIf = store.whatIf(Replays::toEnd);
      WhatIf.Call nmi = new WhatIf.Call(Ioctl.NMI, 0, Bytes.EMPTY, null);
      int kept = Objects.requireNonNull(store.resume("t", 3000)).from();
      int moment = lastCallBefore(store, kept - 1);
      int end = kept + 3;
      for (int next = moment + 1; next < end; next++) {
        whatIf.call("u", VCPU, next, nmi);
      }
      Reexecution expected = fromZero(store, "u");
      Reexecution found = Replays.toEnd(store, "u");
      assertThat(found.nextMoment()).isEqualTo(expected.nextMoment()).isEqualTo(end);
      assertThat(found.vcpus().keySet()).isEqualTo(expected.vcpus().keySet());
      for (String vcpu : expected.vcpus().keySet()) {
        assertThat(found.vcpu(vcpu))
            .usingRecursiveComparison()
            .withEqualsForType(Bytes::equals, Bytes.class)
            .isEqualTo(expected.vcpu(vcpu));
      }
    }
  }

  /** Forks at the last moment before that one that is the last of a call, as "u". */
  private static int lastCallBefore(TimelineStore store, int end) {
    for (int moment = end - 1; moment > 0; moment--) {
      try {
        store.fork("t", moment, "u");
        return moment;
      } catch (UsageException _) {
        // In the middle of a call: one moment earlier, then.
      }
    }
    throw new AssertionError("no call ends before " + end);
  }
}
