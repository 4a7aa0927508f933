package dev.faultline.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.Bytes;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingImport;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.ingest.Replays;
import dev.faultline.ingest.StoredTimeline;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmRun;
import dev.faultline.store.WhatIf.Answered;
import dev.faultline.store.WhatIf.Call;
import dev.faultline.timeline.Reexecution;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vmx.GuestStateCheck;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.axonframework.eventhandling.DomainEventMessage;
import org.axonframework.messaging.unitofwork.DefaultUnitOfWork;
import org.axonframework.messaging.unitofwork.UnitOfWork;
import org.axonframework.modelling.command.Aggregate;
import org.axonframework.modelling.command.ConcurrencyException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What happens to forks that go on by decided calls, wherever the rows are. */
abstract class WhatIfContract {
  private static final String VCPU = "vm1/vcpu0";
  private static final String STREAM = "u:" + VCPU;
  private static final RecordingSource RECORDING =
      Inputs.open(Path.of("timelines/vmx_invalid_nested_guest_state")).getFirst();

  @TempDir Path folder;
  private TimelineStore store = TimelineStore.inMemory();
  private WhatIf whatIf = store.whatIf(Replays::toEnd);

  /** A store that holds nothing yet. */
  abstract TimelineStore open(Path folder);

  /** A fork that ends before the KVM_SET_SREGS that makes L2 invalid. */
  @BeforeEach
  void fork() {
    store.close();
    store = open(folder);
    whatIf = store.whatIf(Replays::toEnd);
    RecordingImport.run(store, RECORDING, "t", _ -> {});
    store.fork("t", store.lastMomentOfSeq("t", 30), "u");
  }

  @AfterEach
  void close() {
    store.close();
  }

  private Reexecution end() {
    return Replays.toEnd(store, "u");
  }

  private Answered call(Ioctl ioctl, Bytes in) {
    return whatIf.call("u", VCPU, end().nextMoment(), new Call(ioctl, 0, in, null));
  }

  /** What the recording gave KVM_SET_SREGS: a TR that is not usable. */
  private static Bytes brokenSregs() {
    try (ObservationReader reader = RECORDING.open()) {
      while (true) {
        if (reader.next() instanceof Observation.Call call && call.seq() == 31) {
          return call.in();
        }
      }
    }
  }

  private static Bytes page() {
    return KvmRun.zero().raw();
  }

  private List<DomainEventMessage<?>> tail() {
    return new ArrayList<>(
        store.engine().readEvents(STREAM, 0).asStream().filter(WhatIfContract::isNew).toList());
  }

  private static boolean isNew(DomainEventMessage<?> message) {
    return message.getPayload() instanceof StoredEvent e && e.moment() > 343;
  }

  /** The vCPU as Axon sources it from snapshot and stream. */
  private Vcpu sourced() {
    UnitOfWork<?> work = DefaultUnitOfWork.startAndGet(null);
    try {
      Aggregate<VcpuAggregate> aggregate =
          store.machinery().configuration().repository(VcpuAggregate.class).load(STREAM);
      return aggregate.invoke(VcpuAggregate::vcpu);
    } finally {
      work.rollback();
    }
  }

  /** Equal in everything that they are made of. */
  private static void same(Vcpu found, Vcpu expected) {
    assertThat(found)
        .usingRecursiveComparison()
        .withEqualsForType(Bytes::equals, Bytes.class)
        .withEqualsForType(KvmCpuid2::equals, KvmCpuid2.class)
        .isEqualTo(expected);
  }

  private Vcpu replayed() {
    return Objects.requireNonNull(end().vcpu(VCPU));
  }

  @Test
  void a_triple_fault_stands_next_to_its_vm_enter_in_the_same_append() {
    assertThat(call(Ioctl.SET_SREGS, brokenSregs()).outcome()).isEqualTo(Outcome.ZERO);
    Answered run = call(Ioctl.RUN, page());
    assertThat(run.seq()).isEqualTo(32);
    assertThat(Objects.requireNonNull(run.fault()).failed()).isEqualTo(GuestStateCheck.TR_UNUSABLE);
    List<DomainEventMessage<?>> tail = tail();
    assertThat(tail.stream().map(m -> ((StoredEvent) m.getPayload()).type()))
        .containsExactly(
            EventType.CALL_DECIDED,
            EventType.RUN_DECIDED,
            EventType.VM_ENTRY_DECIDED,
            EventType.TRIPLE_FAULT_SYNTHESIZED,
            EventType.RUN_ANSWERED);
    assertThat(tail.stream().map(m -> ((StoredEvent) m.getPayload()).moment()))
        .containsExactly(344, 345, 345, 346, 347);
    assertThat(store.rows().pageAt(timeline(), 347))
        .isEqualTo(store.rows().pageAt(timeline(), 345));
    assertThat(store.list().getLast().synthesized()).isEqualTo(1);
    assertThat(store.check("u", _ -> {}).damage()).isEmpty();
    assertThat(store.moments("t")).isGreaterThan(348);
  }

  private long timeline() {
    return Objects.requireNonNull(store.rows().timeline("u")).id();
  }

  @Test
  void what_axon_sources_is_what_the_whole_timeline_replays_to() {
    same(sourced(), replayed());
    call(Ioctl.SET_SREGS, brokenSregs());
    same(sourced(), replayed());
    call(Ioctl.RUN, page());
    same(sourced(), replayed());
    call(Ioctl.NMI, Bytes.EMPTY);
    call(Ioctl.SET_MP_STATE, new KvmMpState(Bytes.zero(4)).raw());
    same(sourced(), replayed());
    for (int i = 0; i < 40; i++) {
      call(Ioctl.NMI, Bytes.EMPTY);
    }
    Rows.Snapshot kept = Objects.requireNonNull(store.rows().snapshot(STREAM));
    assertThat(kept.sequence()).isGreaterThan(tail().getFirst().getSequenceNumber() + 10);
    same(sourced(), replayed());
  }

  @Test
  void snapshots_are_made_anew_when_they_are_gone_damaged_or_of_another_model() {
    call(Ioctl.SET_SREGS, brokenSregs());
    Rows.Snapshot good = Objects.requireNonNull(store.rows().snapshot(STREAM));
    Vcpu expected = replayed();
    for (Rows.Snapshot bad :
        List.of(
            new Rows.Snapshot(STREAM, good.sequence(), "another model", good.payload()),
            new Rows.Snapshot(STREAM, good.sequence(), good.stamp(), Bytes.zero(50)),
            new Rows.Snapshot(STREAM, good.sequence(), good.stamp(), Bytes.EMPTY))) {
      store.rows().putSnapshot(bad);
      same(sourced(), expected);
      assertThat(Objects.requireNonNull(store.rows().snapshot(STREAM)).stamp())
          .isEqualTo(ModelStamp.current());
    }
  }

  @Test
  void a_vcpu_knows_what_its_vm_did_since_its_snapshot() {
    call(Ioctl.SET_SREGS, brokenSregs());
    Answered created =
        whatIf.call(
            "u", "vm1", end().nextMoment(), new Call(Ioctl.CREATE_VCPU, 1, Bytes.EMPTY, null));
    assertThat(created.outcome()).isInstanceOf(Outcome.Succeeds.class);
    assertThat(sourced().vm().vcpuIds()).containsExactly(0, 1);
    same(sourced(), replayed());
    String fresh = "vm1/vcpu1";
    Answered nmi =
        whatIf.call("u", fresh, end().nextMoment(), new Call(Ioctl.NMI, 0, Bytes.EMPTY, null));
    assertThat(nmi.outcome()).isEqualTo(Outcome.ZERO);
    assertThat(Objects.requireNonNull(end().vcpu(fresh)).id()).isEqualTo(1);
    assertThat(end().result().divergences()).isEmpty();
    Answered again =
        whatIf.call(
            "u", "vm1", end().nextMoment(), new Call(Ioctl.CREATE_VCPU, 1, Bytes.EMPTY, null));
    assertThat(again.errno()).isEqualTo(Errno.EEXIST.number());
  }

  @Test
  void who_decides_on_what_is_not_the_present_any_more_is_told() {
    int moment = end().nextMoment();
    Call call = new Call(Ioctl.SET_SREGS, 0, brokenSregs(), null);
    whatIf.call("u", VCPU, moment, call);
    assertThatThrownBy(() -> whatIf.dispatch("u", VCPU, moment, call))
        .isInstanceOf(ConcurrencyException.class)
        .hasMessageContaining("FL-306");
    assertThatThrownBy(() ->
            whatIf.call("u", "vm1", moment, new Call(Ioctl.CREATE_VCPU, 1, Bytes.EMPTY, null)))
        .isInstanceOf(StoreException.class)
        .hasMessageContaining("FL-306");
    int next = end().nextMoment();
    List<CompletableFuture<Boolean>> writers =
        IntStream.range(0, 4)
            .mapToObj(_ -> CompletableFuture.supplyAsync(() -> isFirst(next, call)))
            .toList();
    assertThat(writers.stream().filter(CompletableFuture::join)).hasSize(1);
    assertThat(tail()).hasSize(2);
  }

  private boolean isFirst(int moment, Call call) {
    try {
      whatIf.dispatch("u", VCPU, moment, call);
      return true;
    } catch (ConcurrencyException _) {
      return false;
    }
  }

  @Test
  void what_was_recorded_stays_and_what_nobody_can_tell_is_not_made_up() {
    int moments = store.moments("t");
    assertThatThrownBy(
            () -> whatIf.call("t", VCPU, moments, new Call(Ioctl.NMI, 0, Bytes.EMPTY, null)))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("faultline fork t");
    Call unknown = new Call(Ioctl.XEN_VCPU_SET_ATTR, 0, Bytes.zero(72), null);
    int moment = end().nextMoment();
    assertThatThrownBy(() -> whatIf.call("u", VCPU, moment, unknown))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("FL-420");
    assertThat(tail()).isEmpty();
    Call supposed =
        new Call(Ioctl.XEN_VCPU_SET_ATTR, 0, Bytes.zero(72), new WhatIf.Supposed(-1, 22));
    assertThat(whatIf.call("u", VCPU, moment, supposed).errno()).isEqualTo(22);
    same(sourced(), replayed());
  }

  @Test
  void a_fault_in_the_stream_is_applied_and_not_decided_again() {
    call(Ioctl.SET_SREGS, brokenSregs());
    call(Ioctl.RUN, page());
    VcpuAggregate aggregate = new VcpuAggregate(STREAM, replayed(), 400);
    Vcpu before = aggregate.vcpu();
    aggregate.on(DecidedEvents.vmEntry(400, 40));
    assertThat(aggregate.vcpu()).isEqualTo(before);
    aggregate.on(
        DecidedEvents.fault(
            401,
            40,
            new dev.faultline.vcpu.TimelineEvent.TripleFaultSynthesized(
                401, FaultCause.REQUESTED, null)));
    assertThat(aggregate.nextMoment()).isEqualTo(402);
    assertThat(new StoredTimeline(store, "u").name()).isEqualTo("u");
  }
}
