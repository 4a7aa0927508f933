package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.vcpu.PageShown;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One line of a recording, parsed: what the recorder saw, and nothing concluded from it.
 *
 * <p><i>Order</i>: a recording's lines stand in the order in which the system calls returned.
 * {@link #seq} counts in the order in which they began; the two differ only where several threads
 * ran.
 *
 * <p><i>Units</i>: times are nanoseconds of CLOCK_MONOTONIC.
 */
public sealed interface Observation {
  /** The recording's own number of the line, or -1 for a line that has none. */
  long seq();

  /** When it happened, for a call when it began; -1 for a line that does not tell. */
  long enterNs();

  /** The line it was read from, {@code file:line}. */
  String where();

  /**
   * One ioctl on a KVM descriptor, with its payload before and after.
   *
   * @param exitNs when it returned
   */
  record Call(
      long seq,
      long enterNs,
      long exitNs,
      Caller caller,
      Target target,
      Request request,
      Result result,
      Payload payload,
      Traced traced,
      String where)
      implements Observation {

    /** The process that called. */
    public long pid() {
      return caller.pid();
    }

    /** The thread that called. */
    public long tid() {
      return caller.tid();
    }

    /** The descriptor, as the number the program knew it by. */
    public int fd() {
      return target.fd();
    }

    /**
     * What the descriptor is: {@code system}, {@code vm}, {@code vcpu}, {@code device} or {@code
     * stats}.
     */
    public String fdKind() {
      return target.fdKind();
    }

    /** What the descriptor stands for: {@code kvm}, {@code vm1}, {@code vm1/vcpu0}. */
    public String obj() {
      return target.obj();
    }

    /** The request number, 32 bits. */
    public int req() {
      return request.req();
    }

    /** The request's name, {@code KVM_SET_SREGS}. */
    public String name() {
      return request.name();
    }

    /**
     * The third argument of ioctl(2): mostly a pointer of no meaning here, sometimes the value
     * itself.
     */
    public long arg() {
      return request.arg();
    }

    /** What ioctl(2) returned, -1 for failure. */
    public int ret() {
      return result.ret();
    }

    /** Why it failed, 0 if it did not. */
    public int errno() {
      return result.errno();
    }

    /** The struct that the argument pointed to, before the call; empty if it is not read. */
    public Bytes in() {
      return payload.in();
    }

    /** The struct that the argument pointed to, after the call; empty if it is not written. */
    public Bytes out() {
      return payload.out();
    }

    /** The head of struct kvm_run before KVM_RUN; empty for other calls. */
    public Bytes runIn() {
      return payload.runIn();
    }

    /** The head of struct kvm_run after KVM_RUN, also after a failed one; empty for other calls. */
    public Bytes runOut() {
      return payload.runOut();
    }

    /** What else the call read or wrote. */
    public Extras extras() {
      return payload.extras();
    }

    /** What the kernel traced in the calling thread during the call, in order. */
    public List<TraceEvent> trace() {
      return traced.events();
    }

    /** What may be concluded from {@link #trace()}. */
    public TraceCoverage coverage() {
      return traced.coverage();
    }

    /** The same call with the trace given. */
    public Call withTraced(Traced newTraced) {
      return new Call(
          seq, enterNs, exitNs, caller, target, request, result, payload, newTraced, where);
    }
  }

  /** Who called. */
  record Caller(long pid, long tid) {}

  /** On what. */
  record Target(int fd, String fdKind, String obj) {}

  /** Which ioctl, with which argument. */
  record Request(int req, String name, long arg) {}

  /**
   * What came of it: {@code errno} is 0 unless {@code ret} is -1.
   *
   * @param decided true if nobody made the call, and KVM's rules, not a recorder, told the answer
   */
  record Result(int ret, int errno, boolean decided) {
    /** What was recorded. */
    public Result(int ret, int errno) {
      this(ret, errno, false);
    }
  }

  /**
   * The bytes behind the argument, and kvm_run; each empty where there is none.
   *
   * @param holding how much of all that the source shows; text of strace or ftrace shows the call
   *     and mostly not what its argument pointed to, which is then unknown and neither zero nor
   *     unreadable
   */
  record Payload(Bytes in, Bytes out, Bytes runIn, Bytes runOut, Extras extras, Holding holding) {
    /** There are no bytes. */
    public static final Payload NONE =
        new Payload(Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Extras.NONE);

    /** There may be bytes, but nobody recorded them. */
    public static final Payload UNSEEN =
        new Payload(
            Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Extras.NONE, Holding.NOTHING);

    /** The payload of a call whose payload was recorded. */
    public Payload(Bytes in, Bytes out, Bytes runIn, Bytes runOut, Extras extras) {
      this(in, out, runIn, runOut, extras, Holding.WHOLE);
    }

    /** Whether the source shows everything that was read and written. */
    public boolean seen() {
      return holding.whole();
    }
  }

  /**
   * How much of a call's payload the source shows.
   *
   * @param whole whether empty bytes mean that there were none
   * @param fields the only fields of the struct that are shown, by their index in its layout; null
   *     if all are, or none
   * @param page how much of kvm_run
   */
  record Holding(boolean whole, @Nullable FieldSet fields, PageShown page) {
    /** Everything that was read and written. */
    public static final Holding WHOLE = new Holding(true, null, PageShown.WHOLE);

    /** No payload: what it was is unknown. */
    public static final Holding NOTHING = new Holding(false, null, PageShown.NOTHING);

    /** Of kvm_run only why KVM_RUN returned. */
    public static final Holding EXIT_REASON = new Holding(false, null, PageShown.EXIT_REASON);

    /** A struct of which these fields are shown. */
    public static Holding of(FieldSet fields) {
      return new Holding(false, fields, PageShown.NOTHING);
    }
  }

  /**
   * Bytes behind pointers inside the struct.
   *
   * @param bitmap the dirty bitmap of KVM_GET_DIRTY_LOG
   * @param attrData eight bytes behind the address of a device attribute
   * @param msrFilterBitmaps one bitmap a range of KVM_X86_SET_MSR_FILTER, empty for a range not in
   *     use
   */
  record Extras(Bytes bitmap, Bytes attrData, List<Bytes> msrFilterBitmaps) {
    /** None of them. */
    public static final Extras NONE = new Extras(Bytes.EMPTY, Bytes.EMPTY, List.of());

    /** Takes the list as it is now. */
    public Extras {
      msrFilterBitmaps = List.copyOf(msrFilterBitmaps);
    }
  }

  /** What the kernel traced during a call, and how much of it is known. */
  record Traced(List<TraceEvent> events, TraceCoverage coverage) {
    /** No trace. */
    public static final Traced ABSENT = new Traced(List.of(), TraceCoverage.ABSENT);

    /** Takes the list as it is now. */
    public Traced {
      events = List.copyOf(events);
    }
  }

  /** A vCPU's kvm_run page was mapped. */
  record Mapped(
      long seq,
      long enterNs,
      long tid,
      int fd,
      String obj,
      long length,
      long offset,
      long address,
      String where)
      implements Observation {}

  /** A KVM descriptor was closed. */
  record Closed(
      long seq, long enterNs, long tid, int fd, String fdKind, String obj, int ret, String where)
      implements Observation {}

  /** What the recorded program wanted to have noted, or printed on its standard error output. */
  record Mark(long seq, long enterNs, long tid, String text, String where) implements Observation {}

  /**
   * The recorded program was started.
   *
   * @param recorder what recorded it, if it is not the recorder under ptrace; else empty
   */
  record Started(long seq, long enterNs, long pid, List<String> argv, String recorder, String where)
      implements Observation {

    /** Takes the list as it is now. */
    public Started {
      argv = List.copyOf(argv);
    }
  }

  /**
   * A thread ended.
   *
   * @param tgid its process
   * @param code what it exited with, -1 if a signal ended it
   * @param signal the signal that ended it, else 0
   */
  record Exited(long seq, long enterNs, long tid, long tgid, int code, int signal, String where)
      implements Observation {}

  /** The recorder's time was over, and it ended the program. */
  record TimedOut(long seq, long enterNs, String where) implements Observation {}

  /**
   * The save map in SMRAM of a vCPU that is in system management mode, as the recorder read it out
   * of guest memory: what RSM will load, unless the guest changes it first.
   *
   * <p><em>Shape:</em> one line {@code {"seq":N,"ev":"smram","t_enter":NS,"tid":TID,
   * "obj":"vm1/vcpu0","smbase":"0x30000","map":"BASE64","map_len":512}}. {@code smbase} is the
   * vCPU's IA32_SMBASE, {@code map} the 512 bytes from {@code smbase + 0xfe00} of the address space
   * that KVM uses in SMM (memory slots of address space 1; those of address space 0 where the VMM
   * has no others), in the layout of {@link dev.faultline.x86.SmramMap}.
   *
   * <p><em>Order:</em> a recorder writes it when a vCPU in SMM enters KVM_RUN, so it stands before
   * the line of that KVM_RUN and after those of all earlier calls on the vCPU.
   *
   * @param seq the line's own number, out of the same sequence as the calls'
   * @param tid the thread that enters KVM_RUN
   * @param obj the vCPU, {@code vm1/vcpu0}
   * @param smbase 32 bits
   * @param map {@link dev.faultline.x86.SmramMap#SIZE} bytes
   */
  record SmramCaptured(
      long seq, long enterNs, long tid, String obj, long smbase, Bytes map, String where)
      implements Observation {}

  /**
   * A line of a kind that this version does not know.
   *
   * @param kind the value of its {@code ev}
   * @param text the line
   */
  record UnknownLine(long seq, long enterNs, String kind, String text, String where)
      implements Observation {}
}
