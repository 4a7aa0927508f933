package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.vmx.Vmcs12;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class TrackedTest {
  private static final int CHANGES = 2_000;

  /** The same as arrays, one element a field. */
  private static final class Plain {
    private final boolean[] known;
    private final boolean[] seen;
    private final long[] values;
    private final int[] writers;

    Plain(int count) {
      known = new boolean[count];
      seen = new boolean[count];
      values = new long[count];
      writers = new int[count];
      Arrays.fill(writers, Tracked.NOBODY);
    }

    void set(int field, long value, int moment) {
      known[field] = true;
      seen[field] = true;
      values[field] = value;
      writers[field] = moment;
    }

    void forget(int field, int moment) {
      known[field] = false;
      writers[field] = moment;
    }
  }

  @Test
  void many_changes_leave_of_each_field_what_the_last_of_them_left() {
    for (StructLayout layout : new StructLayout[] {KvmRegs.LAYOUT, Vmcs12.LAYOUT}) {
      SplittableRandom random = new SplittableRandom(7);
      Tracked state = Tracked.neverSeen(layout);
      Plain plain = new Plain(layout.count());
      for (int moment = 0; moment < CHANGES; moment++) {
        state = change(state, plain, moment, random);
        assertSame(state, plain);
      }
    }
  }

  private static Tracked change(Tracked state, Plain plain, int moment, SplittableRandom random) {
    int count = state.layout().count();
    int kind = random.nextInt(20);
    if (kind == 0) {
      for (int f = 0; f < count; f++) {
        plain.set(f, 0, moment);
      }
      return state.replace(state.layout().zero(), moment);
    }
    if (kind == 1) {
      FieldSet lost = FieldSet.of(count, random.nextInt(count), random.nextInt(count));
      for (int f = lost.next(0); f >= 0; f = lost.next(f + 1)) {
        plain.forget(f, moment);
      }
      return state.forget(lost, moment);
    }
    Tracked.Edit edit = state.edit(moment);
    for (int i = random.nextInt(5); i >= 0; i--) {
      int field = random.nextInt(count);
      boolean certain = random.nextInt(4) > 0;
      long value = random.nextInt(256);
      edit.set(field, value, certain);
      if (certain) {
        plain.set(field, value, moment);
      } else {
        plain.forget(field, moment);
      }
    }
    return edit.done();
  }

  private static void assertSame(Tracked state, Plain plain) {
    for (int f = 0; f < plain.known.length; f++) {
      if (state.writer(f) != plain.writers[f]
          || state.knows(f) != plain.known[f]
          || state.seen().has(f) != plain.seen[f]
          || state.value(f) != plain.values[f]) {
        assertThat(state.layout().field(f).name()).as("field that differs").isEmpty();
      }
    }
  }

  @Test
  void an_edit_that_changes_nothing_is_the_same_state() {
    Tracked state = Tracked.neverSeen(KvmRegs.LAYOUT);

    assertThat(state.edit(3).done()).isSameAs(state);
  }
}
