package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** What the rules remember of a VM. */
final class VmTrack {
  private final String name;
  private final boolean fromCreation;
  private final LinkedHashMap<String, VcpuTrack> vcpus = new LinkedHashMap<>();
  private final TreeMap<Integer, Call> created = new TreeMap<>();
  private final EnumMap<Ioctl, Span> calls = new EnumMap<>(Ioctl.class);
  private final TreeMap<Integer, Call> caps = new TreeMap<>();
  private final TreeMap<Integer, Call> chipsRead = new TreeMap<>();
  private final TreeMap<Integer, Call> chipsWritten = new TreeMap<>();
  private @Nullable Call firstRun;
  private @Nullable Call lastRun;
  private @Nullable Call restoredRun;
  private boolean offsetRead;
  private boolean ended;

  VmTrack(String name, boolean fromCreation) {
    this.name = name;
    this.fromCreation = fromCreation;
  }

  String name() {
    return name;
  }

  /** Whether the recording shows its creation. */
  boolean fromCreation() {
    return fromCreation;
  }

  LinkedHashMap<String, VcpuTrack> vcpus() {
    return vcpus;
  }

  /** The successful KVM_CREATE_VCPU of each identifier. */
  TreeMap<Integer, Call> created() {
    return created;
  }

  /** The first vCPU that was created, or seen. */
  @Nullable Call firstCreated() {
    Call first = null;
    for (Call call : created.values()) {
      if (first == null || call.moment() < first.moment()) {
        first = call;
      }
    }
    return first;
  }

  /** The capabilities that were enabled. */
  TreeMap<Integer, Call> caps() {
    return caps;
  }

  /** The interrupt controllers that were read, by number; -1 if the number was not recorded. */
  TreeMap<Integer, Call> chipsRead() {
    return chipsRead;
  }

  /** The interrupt controllers that were written. */
  TreeMap<Integer, Call> chipsWritten() {
    return chipsWritten;
  }

  boolean has(Ioctl ioctl) {
    return calls.containsKey(ioctl);
  }

  @Nullable Call first(Ioctl ioctl) {
    Span span = calls.get(ioctl);
    return span == null ? null : span.first();
  }

  @Nullable Call last(Ioctl ioctl) {
    Span span = calls.get(ioctl);
    return span == null ? null : span.last();
  }

  int count(Ioctl ioctl) {
    Span span = calls.get(ioctl);
    return span == null ? 0 : span.count();
  }

  void add(Call call) {
    if (call.done()) {
      Span before = calls.get(call.ioctl());
      calls.put(call.ioctl(), before == null ? new Span(call) : before.with(call));
    }
  }

  /** The first KVM_RUN of any vCPU. */
  @Nullable Call firstRun() {
    return firstRun;
  }

  @Nullable Call lastRun() {
    return lastRun;
  }

  /** The first KVM_RUN of any vCPU after it was restored; null if none was. */
  @Nullable Call restoredRun() {
    return restoredRun;
  }

  void run(Call call, boolean restored) {
    if (firstRun == null) {
      firstRun = call;
    }
    lastRun = call;
    if (restored && restoredRun == null) {
      restoredRun = call;
    }
  }

  /** The TSC offset of one of its vCPUs was read, as one does to give it to the others. */
  void offsetRead() {
    offsetRead = true;
  }

  boolean isOffsetRead() {
    return offsetRead;
  }

  /** The VM was told to be over. */
  void finish() {
    ended = true;
  }

  boolean isEnded() {
    return ended;
  }

  List<VcpuTrack> tracks() {
    return new ArrayList<>(vcpus.values());
  }
}
