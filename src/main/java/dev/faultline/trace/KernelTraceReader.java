package dev.faultline.trace;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Caller;
import dev.faultline.trace.Observation.Payload;
import dev.faultline.trace.Observation.Request;
import dev.faultline.trace.Observation.Result;
import dev.faultline.trace.Observation.Target;
import dev.faultline.trace.Observation.Traced;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Reads the text of tracefs, {@code trace-cmd report} or {@code perf script} as calls, where there
 * is no recording beside it.
 *
 * <p>With {@code syscalls:sys_enter_ioctl} and {@code sys_exit_ioctl} in the trace every KVM ioctl
 * is a call, and the kvm events of its thread between the two belong to it. Without them only
 * KVM_RUN can be told, by the {@code kvm_userspace_exit} that ends it: what its thread traced since
 * the one before belongs to it.
 *
 * <p>No trace holds a payload. Which VM a vCPU belongs to is not in these events either: vCPUs of
 * several threads with the same number are counted to several VMs.
 *
 * <p><i>Errors</i>: a damaged line costs that line; a trace without any of these events is a {@link
 * FormatException}.
 */
public final class KernelTraceReader implements ObservationReader {
  /** Events kept of one call; a KVM_RUN that emulates for seconds traces millions. */
  public static final int MAX_EVENTS_PER_CALL = 1 << 15;

  private static final int MAX_THREADS = 1 << 14;
  private static final int NO_VCPU = -1;

  private final String source;
  private final FtraceReader trace;
  private final Descriptors.Names names = new Descriptors.Names();
  private final TreeMap<Long, Descriptors> tables = new TreeMap<>();
  private final TreeMap<Long, TracedThread> threads = new TreeMap<>();
  private final TreeMap<Integer, List<Long>> threadsOfVcpu = new TreeMap<>();

  private @Nullable Observation ahead;
  private boolean ended;
  private boolean systemCalls;
  private long given;
  private long seq;
  private long events;
  private long beyond;
  private long unreturned;

  /** What is known of a thread at the present place of the trace. */
  private static final class TracedThread {
    private int vcpu = NO_VCPU;
    private TraceEvent.@Nullable IoctlEntered open;
    private long openSeq;
    private long firstNs = -1;
    private List<TraceEvent> events = new ArrayList<>();

    private List<TraceEvent> take() {
      List<TraceEvent> taken = events;
      events = new ArrayList<>();
      firstNs = -1;
      return taken;
    }
  }

  /** A reader of a trace, which it closes. */
  public KernelTraceReader(String source, FtraceReader trace) {
    this.source = source;
    this.trace = trace;
  }

  @Override
  public boolean hasNext() {
    readAhead();
    return ahead != null;
  }

  private void readAhead() {
    while (ahead == null && !ended) {
      switch (trace.advance()) {
        case EVENT -> ahead = read(trace.event());
        case GAP -> {}
        case END -> {
          ended = true;
          end();
        }
      }
    }
  }

  @Override
  public Observation next() {
    Observation current = hasNext() ? ahead : null;
    if (current == null) {
      throw new NoSuchElementException("the trace " + source + " is at its end");
    }
    ahead = null;
    given++;
    return current;
  }

  /** Whether ioctls other than KVM_RUN are in the trace, as far as it was read. */
  public boolean showsSystemCalls() {
    readAhead();
    return systemCalls;
  }

  @Override
  public InputFormat format() {
    return InputFormat.KERNEL_TRACE;
  }

  @Override
  public MergeReport mergeReport() {
    long outside = 0;
    for (TracedThread thread : threads.values()) {
      outside += thread.events.size();
    }
    return new MergeReport(trace.report(), seq, given, events - outside, outside, beyond, 0);
  }

  @Override
  public LeftOut leftOut() {
    return new LeftOut(trace.report().damaged(), unreturned, trace.report().places());
  }

  @Override
  public void close() {
    trace.close();
  }

  private void end() {
    for (TracedThread thread : threads.values()) {
      unreturned += thread.open == null ? 0 : 1;
    }
    if (given == 0) {
      throw FormatException.corrupt(
          ErrorCode.INPUT_FORMAT_UNKNOWN,
          source
              + ": expected kvm_userspace_exit or KVM ioctls in the trace, found none in "
              + trace.report().events()
              + " events; trace with trace-cmd record -e kvm -e syscalls:sys_enter_ioctl -e"
              + " syscalls:sys_exit_ioctl");
    }
  }

  private @Nullable Observation read(TraceEvent event) {
    TracedThread thread = threads.get(trace.tid());
    if (thread == null) {
      if (threads.size() == MAX_THREADS) {
        return null;
      }
      thread = new TracedThread();
      threads.put(trace.tid(), thread);
    }
    return switch (event) {
      case TraceEvent.IoctlEntered e -> {
        entered(thread, e);
        yield null;
      }
      case TraceEvent.IoctlReturned e -> returned(thread, e);
      case TraceEvent.Marker _ -> null;
      default -> inside(thread, event);
    };
  }

  private void entered(TracedThread thread, TraceEvent.IoctlEntered e) {
    systemCalls = true;
    unreturned += thread.open == null ? 0 : 1;
    thread.open = null;
    if (Ioctl.isKvm(e.cmd())) {
      thread.open = e;
      thread.openSeq = seq++;
      thread.take();
    }
  }

  private @Nullable Observation returned(TracedThread thread, TraceEvent.IoctlReturned e) {
    systemCalls = true;
    TraceEvent.IoctlEntered open = thread.open;
    if (open == null) {
      return null;
    }
    thread.open = null;
    Ioctl ioctl = Ioctl.of(open.cmd());
    Descriptors table = tables.computeIfAbsent(trace.tgid(), _ -> new Descriptors(names));
    String label = thread.vcpu < 0 || ioctl != Ioctl.RUN ? "" : "kvm-vcpu:" + thread.vcpu;
    Descriptors.Known on =
        table.of(open.fd(), label, ioctl == null ? Ioctl.SET_DEVICE_ATTR : ioctl);
    int ret = e.ret() < 0 ? -1 : (int) e.ret();
    if (ret < 0) {
      thread.events.removeIf(KernelTraceReader::claimsSuccess);
    }
    if (ioctl != null && ret >= 0) {
      table.made(ioctl, on, open.arg(), ret);
    }
    boolean payload =
        ioctl == null || ioctl == Ioctl.RUN || ioctl.direction() != Ioctl.Direction.NONE;
    return call(
        thread,
        thread.openSeq,
        open.ns(),
        e.ns(),
        new Target(open.fd(), on.kindWord(), on.obj()),
        new Request(open.cmd(), ioctl == null ? hex(open.cmd()) : ioctl.uapiName(), open.arg()),
        new Result(ret, e.ret() < 0 ? (int) -e.ret() : 0),
        payload ? Payload.UNSEEN : Payload.NONE);
  }

  /**
   * perf takes the errno of kvm_userspace_exit for unsigned and prints a failed KVM_RUN with
   * whatever exit reason lay in the page.
   */
  private static boolean claimsSuccess(TraceEvent event) {
    return event instanceof TraceEvent.UserspaceExit exit && !exit.failed();
  }

  private static String hex(int req) {
    return "0x" + Integer.toHexString(req);
  }

  private Call call(
      TracedThread thread,
      long number,
      long enterNs,
      long exitNs,
      Target target,
      Request request,
      Result result,
      Payload payload) {
    return new Call(
        number,
        enterNs,
        exitNs,
        new Caller(trace.tgid() < 0 ? trace.tid() : trace.tgid(), trace.tid()),
        target,
        request,
        result,
        payload,
        new Traced(thread.take(), TraceCoverage.PARTIAL),
        source + ":" + trace.line());
  }

  private @Nullable Observation inside(TracedThread thread, TraceEvent event) {
    int vcpu = vcpuOf(event);
    if (vcpu >= 0 && thread.vcpu != vcpu) {
      thread.vcpu = vcpu;
      threadsOfVcpu.computeIfAbsent(vcpu, _ -> new ArrayList<>()).add(trace.tid());
    }
    if (systemCalls && thread.open == null) {
      return null;
    }
    events++;
    if (thread.firstNs < 0) {
      thread.firstNs = event.ns();
    }
    boolean ends = event instanceof TraceEvent.UserspaceExit;
    if (thread.events.size() < MAX_EVENTS_PER_CALL || ends) {
      thread.events.add(event);
    } else {
      beyond++;
    }
    if (!(event instanceof TraceEvent.UserspaceExit exit) || systemCalls) {
      return null;
    }
    return call(
        thread,
        seq++,
        thread.firstNs,
        event.ns(),
        new Target(-1, "vcpu", inferred(thread)),
        new Request(Ioctl.RUN.number(), Ioctl.RUN.uapiName(), 0),
        result(thread, exit),
        Payload.UNSEEN);
  }

  /**
   * How KVM_RUN ended, by the event alone. KVM_EXIT_INTR comes with EINTR only, and
   * KVM_EXIT_UNKNOWN with no success: there perf has hidden the errno.
   */
  private static Result result(TracedThread thread, TraceEvent.UserspaceExit exit) {
    if (exit.failed()) {
      return new Result(-1, exit.errno());
    }
    KvmExit reason = KvmExit.of(exit.number());
    if (reason == KvmExit.KVM_EXIT_INTR || reason == KvmExit.KVM_EXIT_UNKNOWN) {
      thread.events.removeIf(KernelTraceReader::claimsSuccess);
      return new Result(-1, reason == KvmExit.KVM_EXIT_INTR ? Errno.EINTR.number() : 0);
    }
    return new Result(0, 0);
  }

  /** The n-th thread that runs a vCPU of this number runs that of the n-th VM. */
  private String inferred(TracedThread thread) {
    if (thread.vcpu < 0) {
      return "vm1/tid" + trace.tid();
    }
    List<Long> sharing = threadsOfVcpu.get(thread.vcpu);
    int vm = sharing == null ? 0 : sharing.indexOf(trace.tid());
    return "vm" + (vm + 1) + "/vcpu" + thread.vcpu;
  }

  private static int vcpuOf(TraceEvent event) {
    return switch (event) {
      case TraceEvent.VmEntry e -> e.vcpu();
      case TraceEvent.VmExit e -> e.vcpu();
      case TraceEvent.NestedVmExit e -> e.vcpu();
      case TraceEvent.SmmTransition e -> e.vcpu();
      default -> NO_VCPU;
    };
  }
}
