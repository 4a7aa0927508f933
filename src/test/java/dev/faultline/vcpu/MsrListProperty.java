package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** What is looked up once about a list of MSRs changes nothing of what becomes of its entries. */
class MsrListProperty {
  private static final int ROUNDS = 400;
  private static final int LIFE = 12;

  /** Every MSR that a rule knows, and some that none does. */
  private static final List<Integer> INDEXES = indexes();

  private static List<Integer> indexes() {
    TreeSet<Integer> indexes = new TreeSet<>();
    addAll(indexes, 0, 0x20);
    addAll(indexes, 0x2a, 0x50);
    addAll(indexes, 0x8a, 0xe2);
    addAll(indexes, 0x10a, 0x1ff);
    addAll(indexes, 0x200, 0x310);
    addAll(indexes, 0x380, 0x4d1);
    addAll(indexes, 0x600, 0x602);
    addAll(indexes, 0x6e0, 0x6e1);
    addAll(indexes, 0x4000_0000, 0x4000_0120);
    addAll(indexes, 0x4b56_4d00, 0x4b56_4d08);
    addAll(indexes, 0xc000_0080, 0xc000_0105);
    addAll(indexes, 0xc001_0000, 0xc001_0020);
    addAll(indexes, 0xc001_0200, 0xc001_020c);
    indexes.add(Msr.VM_HSAVE_PA);
    return List.copyOf(indexes);
  }

  private static void addAll(TreeSet<Integer> to, int from, int end) {
    for (int index = from; index < end; index++) {
      to.add(index);
    }
  }

  /** A vCPU after a short life. */
  private static Vcpu lived(long seed) {
    AnyCommand any = new AnyCommand(new SplittableRandom(seed));
    Vcpu v = any.state();
    for (int m = 1; m <= LIFE; m++) {
      for (TimelineEvent event : VcpuModel.decide(v, any.command(m)).events()) {
        v = VcpuModel.evolve(v, event);
      }
    }
    return v;
  }

  private static Vcpu ready(SplittableRandom random) {
    return switch (random.nextInt(4)) {
      case 0 -> lived(random.nextLong());
      case 1 -> VmxGuest.inL2();
      case 2 -> MsrStates.inVmxOperation();
      default -> MsrStates.ready();
    };
  }

  private static KvmMsrs some(SplittableRandom random) {
    List<Integer> chosen = new ArrayList<>(INDEXES);
    Collections.shuffle(chosen, new Random(random.nextLong()));
    int count = 1 + random.nextInt(40);
    boolean zeros = random.nextBoolean();
    List<MsrEntry> entries = new ArrayList<>();
    for (int index : chosen.subList(0, count)) {
      long data = zeros ? 0 : random.nextInt(3) == 0 ? random.nextLong() : random.nextInt(3);
      entries.add(new MsrEntry(index, data));
    }
    return KvmMsrs.of(entries);
  }

  private static void assertSame(MsrState one, MsrState other) {
    assertThat(one.sameState(other)).isTrue();
    for (int at = 0; at < one.size(); at++) {
      int twin = other.position(one.indexAt(at));
      if (one.knowsAt(at)) {
        assertThat(other.writerAt(twin)).as(Msr.name(one.indexAt(at))).isEqualTo(one.writerAt(at));
      }
    }
  }

  @Test
  void zero_is_accepted_on_every_vcpu_where_a_list_says_that_it_always_is() {
    SplittableRandom random = new SplittableRandom(3);
    int said = 0;
    for (int round = 0; round < ROUNDS; round++) {
      Vcpu v = ready(random);
      KvmMsrs none = KvmMsrs.of(List.of());
      MsrList list = v.platform().msrs().layout().list(none, v);
      for (int index : INDEXES) {
        MsrKind kind = MsrKind.of(index);
        MsrWrites rules = new MsrWrites(v, none, list);
        if (!MsrWrites.accepts(kind, index) && rules.takesZero(kind, index)) {
          said++;
          assertThat(rules.judge(kind, index, 0)).as(Msr.name(index)).isEqualTo(MsrFate.ACCEPTED);
        }
      }
    }
    assertThat(said).isGreaterThan(10 * ROUNDS);
  }

  @Test
  void a_list_is_refused_at_the_entry_at_which_it_is_refused_one_by_one() {
    SplittableRandom random = new SplittableRandom(4);
    for (int round = 0; round < 4 * ROUNDS; round++) {
      Vcpu v = ready(random);
      KvmMsrs msrs = some(random);
      MsrList list = v.platform().msrs().layout().list(msrs, v);
      MsrWrites batch = new MsrWrites(v, msrs, list);
      int entry = 0;
      MsrFate fate = MsrFate.ACCEPTED;
      while (entry < msrs.held() && fate.accepted().isYes()) {
        fate = batch.next(entry);
        entry += fate.accepted().isYes() ? 1 : 0;
      }

      Outcome outcome = MsrRules.decide(v, new VcpuCommand.SetMsrs(9, msrs)).outcome();
      if (fate.accepted().isKnown()) {
        assertThat(outcome).isEqualTo(new Outcome.Returns(entry, fate.check()));
      } else {
        assertThat(outcome).isInstanceOf(Outcome.Undecided.class);
      }
    }
  }

  @Test
  void a_list_leaves_what_its_entries_leave_one_after_the_other() {
    SplittableRandom random = new SplittableRandom(5);
    for (int round = 0; round < 4 * ROUNDS; round++) {
      Vcpu v = ready(random);
      KvmMsrs msrs = some(random);
      int moment = 1000;
      MsrStore oneByOne = new MsrStore(v, msrs, v.platform().msrs().layout().list(msrs, v), moment);
      for (int i = 0; i < msrs.held(); i++) {
        oneByOne.applyNext(i);
      }
      Vcpu expected = oneByOne.done();

      Vcpu after = MsrRules.evolve(v, new TimelineEvent.MsrsSet(moment, msrs, msrs.held(), true));

      assertSame(expected.platform().msrs(), after.platform().msrs());
      assertThat(after.registers().sregs().sameState(expected.registers().sregs())).isTrue();
      assertThat(after.nested().mode()).isEqualTo(expected.nested().mode());
      assertThat(after.nested().vmcs12().sameState(expected.nested().vmcs12())).isTrue();
    }
  }
}
