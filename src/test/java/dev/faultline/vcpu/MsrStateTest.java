package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class MsrStateTest {
  private static final int[] INDEXES = {
    0x10,
    0x3a,
    0x174,
    0x175,
    0x277,
    0x480,
    0x48d,
    0x4000_0000,
    0xc000_0080,
    0xc000_0081,
    0xc000_0103
  };

  /** What is held of one MSR. */
  private record Held(long value, boolean known, int writer) {}

  @Test
  void many_changes_leave_of_each_msr_what_the_last_of_them_left() {
    SplittableRandom random = new SplittableRandom(5);
    for (int round = 0; round < 300; round++) {
      MsrState state = MsrState.empty();
      TreeMap<Integer, Held> plain = new TreeMap<>(Integer::compareUnsigned);
      for (int moment = 0; moment < 8; moment++) {
        MsrState.Edit edit = state.edit();
        KvmMsrs msrs = some(random);
        MsrList list = state.layout().list(msrs, MsrStates.plain());
        for (int i = 0; i < msrs.held(); i++) {
          boolean certain = random.nextBoolean();
          if (list.slot(i) >= 0 && random.nextBoolean()) {
            edit.put(list.slot(i), msrs.data(i), certain, moment);
          } else {
            edit.write(msrs.index(i), msrs.data(i), certain, moment);
          }
          plain.put(msrs.index(i), new Held(msrs.data(i), certain, moment));
        }
        state = edit.done();
        assertSame(state, plain);
      }
    }
  }

  private static KvmMsrs some(SplittableRandom random) {
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = random.nextInt(6); i > 0; i--) {
      entries.add(new MsrEntry(INDEXES[random.nextInt(INDEXES.length)], random.nextLong()));
    }
    return KvmMsrs.of(entries);
  }

  private static void assertSame(MsrState state, TreeMap<Integer, Held> plain) {
    assertThat(state.size()).isEqualTo(plain.size());
    Iterator<Map.Entry<Integer, Held>> expected = plain.entrySet().iterator();
    for (int at = 0; at < state.size(); at++) {
      Map.Entry<Integer, Held> next = expected.next();
      assertThat(state.indexAt(at)).isEqualTo(next.getKey());
      assertThat(state.position(state.indexAt(at))).isEqualTo(at);
      assertThat(new Held(state.valueAt(at), state.knowsAt(at), state.writerAt(at)))
          .isEqualTo(next.getValue());
    }
    for (int index : INDEXES) {
      Held held = plain.get(index);
      assertThat(state.position(index) >= 0).isEqualTo(held != null);
      assertThat(state.knows(index)).isEqualTo(held != null && held.known());
      assertThat(state.value(index)).isEqualTo(held == null ? 0 : held.value());
    }
  }

  @Test
  void states_are_the_same_whatever_the_order_in_which_their_msrs_came() {
    MsrState.Edit forth = MsrState.empty().edit();
    MsrState.Edit back = MsrState.empty().edit();
    for (int i = 0; i < INDEXES.length; i++) {
      forth.learn(INDEXES[i], INDEXES[i]);
      back.learn(INDEXES[INDEXES.length - 1 - i], INDEXES[INDEXES.length - 1 - i]);
    }
    MsrState one = forth.done();

    assertThat(one.sameState(back.done())).isTrue();
    assertThat(one.sameState(one.edit().doubt(0x277).done())).isFalse();
    assertThat(one.sameState(one.edit().learn(0x277, 1).done())).isFalse();
    assertThat(one.sameState(one.edit().write(0x1a0, 1, false, 0).done())).isTrue();
  }

  /** KVM_SET_MSRS leaves out the rules of MSRs of which KVM takes everything. */
  @Test
  void what_is_said_to_be_accepted_always_is_accepted_by_its_rule() {
    SplittableRandom random = new SplittableRandom(11);
    for (int index = Msr.HV_X64_GUEST_OS_ID; index < Msr.HV_X64_GUEST_OS_ID + 0x200; index++) {
      if (!MsrWrites.accepts(MsrKind.of(index), index)) {
        continue;
      }
      for (KernelVersion version : KernelVersion.values()) {
        Vcpu v =
            MsrStates.created(
                MsrStates.kernel(version, KernelModel.Vendor.VMX), MsrStates.host(MsrStates.VMX));
        assertThat(MsrHyperv.judge(v, index, random.nextLong())).isEqualTo(MsrFate.ACCEPTED);
      }
    }
  }

  @Test
  void what_is_said_to_be_kept_is_read_back_as_it_was_written() {
    for (int index = Msr.HV_X64_GUEST_OS_ID; index < Msr.HV_X64_GUEST_OS_ID + 0x200; index++) {
      if (MsrHyperv.keeping(index) == MsrList.Keeping.AS_WRITTEN
          && MsrHyperv.exists(KernelVersion.V6_1, index)) {
        long data = 0x1122_3344_5566_7788L;
        Vcpu v =
            MsrStates.created(
                MsrStates.kernel(KernelVersion.V6_1, KernelModel.Vendor.VMX),
                MsrStates.host(MsrStates.VMX));
        Vcpu after =
            VcpuModel.evolve(v, new TimelineEvent.MsrsSet(3, KvmMsrs.of(index, data), 1, true));
        assertThat(after.platform().msrs().knows(index)).as(Msr.name(index)).isTrue();
        assertThat(after.platform().msrs().value(index)).as(Msr.name(index)).isEqualTo(data);
      }
    }
  }
}
