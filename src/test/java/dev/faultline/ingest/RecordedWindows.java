package dev.faultline.ingest;

import dev.faultline.kvm.Ioctl;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowBuilder;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Predicate;

/** Cuts recordings into windows: the KVM_SET_* of a vCPU between two KVM_RUNs. */
public final class RecordedWindows {
  private final Reexecution reexecution;
  private final Map<String, Open> open = new LinkedHashMap<>();
  private final Predicate<Ioctl> moved;
  private final BiConsumer<Window, Recorded.VcpuCall> sink;

  private static final class Open {
    final WindowBuilder builder;
    final List<Recorded.VcpuCall> later = new ArrayList<>();

    Open(WindowBuilder builder) {
      this.builder = builder;
    }
  }

  private RecordedWindows(
      String name,
      KernelModel kernel,
      Predicate<Ioctl> moved,
      BiConsumer<Window, Recorded.VcpuCall> sink) {
    this.reexecution = new Reexecution(name, kernel, TimelineListener.NONE);
    this.moved = moved;
    this.sink = sink;
  }

  /** All windows of a recording, with the KVM_RUN after each. */
  public static void each(
      RecordingSource source, Predicate<Ioctl> moved, BiConsumer<Window, Recorded.VcpuCall> sink) {
    RecordedWindows windows =
        new RecordedWindows(source.name(), KernelFacts.model(source.readFacts()), moved, sink);
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        windows.accept(RecordedCalls.convert(reader.next(), windows.reexecution.nextMoment()));
      }
    }
  }

  /** The recordings at hand whose path matches, those that are shipped among them. */
  public static List<RecordingSource> recordings(String regex) {
    return Recordings.all().stream().filter(s -> s.name().matches(regex)).toList();
  }

  private void accept(Recorded fact) {
    if (fact instanceof Recorded.VcpuCall call) {
      Ioctl ioctl = VcpuModel.ioctl(call.command());
      Open window = open.get(call.vcpu());
      if (ioctl == Ioctl.RUN) {
        if (window != null) {
          window.later.forEach(window.builder::tail);
          window.builder.run(call);
          window.builder.vm(WindowBuilder.before(reexecution, call).vm());
          sink.accept(window.builder.build(), call);
        }
        open.remove(call.vcpu());
      } else if (moved.test(ioctl)) {
        if (window == null) {
          window = new Open(new WindowBuilder(WindowBuilder.before(reexecution, call)));
          open.put(call.vcpu(), window);
        }
        window.builder.call(call);
      } else if (window != null) {
        window.later.add(call);
      }
    }
    reexecution.accept(fact);
  }
}
