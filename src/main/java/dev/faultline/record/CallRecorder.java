package dev.faultline.record;

import dev.faultline.Bytes;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.x86.SmramMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Writes the calls of stopped threads: at the entry of a call it takes what goes in, at the exit
 * what came out, and with it the line.
 */
final class CallRecorder {
  private static final int MAX_ERRNO = 4095;
  private static final int MSR_DATA_AT = 16;
  private static final long SMRAM_MAP_AT = 0xfe00;
  private static final int CREATED_FD_AT = 4;

  private final TraceeMemory memory;
  private final Descriptors descriptors;
  private final LineQueue file;
  private final @Nullable KernelTrace trace;
  private final Extras extras;
  private final RunPages runs;
  private byte[] out = new byte[KvmXsave.SIZE];
  private long seq;

  CallRecorder(TraceeMemory memory, LibC libc, LineQueue file, @Nullable KernelTrace trace) {
    this.memory = memory;
    this.file = file;
    this.trace = trace;
    this.descriptors = new Descriptors(libc, new Told());
    this.extras = new Extras(memory);
    this.runs = new RunPages(libc, memory);
  }

  Descriptors descriptors() {
    return descriptors;
  }

  /** The next sequence number. */
  long nextSeq() {
    return seq++;
  }

  /** How many lines were begun. */
  long count() {
    return seq;
  }

  /** Nothing is recorded any more: lets go of what belongs to the VMM. */
  void release() {
    descriptors.held().forEach(runs::unmap);
  }

  private final class Told implements Descriptors.Finder {
    @Override
    public void found(TracedProcess process, int fd, KvmObject object) {
      foundFd(process, fd, object);
    }

    @Override
    public void gone(KvmObject object) {
      runs.unmap(object);
    }
  }

  /** A KVM descriptor is met that was not seen to be made. */
  private void foundFd(TracedProcess process, int fd, KvmObject object) {
    if (object.is(FdKind.SYSTEM)) {
      return;
    }
    file.line()
        .number("seq", nextSeq())
        .word("ev", "fd")
        .number("t_enter", System.nanoTime())
        .number("pid", process.pid())
        .number("fd", fd)
        .word("fd_kind", word(object))
        .word("obj", object.name());
    file.ended();
  }

  private static String word(KvmObject object) {
    FdKind kind = object.kind();
    return kind == null ? "other" : kind.word();
  }

  /** A thread is about to enter an ioctl of KVM's type. */
  void entered(Tracee t) {
    KvmObject object = descriptors.of(t.process, t.fd());
    FdKind kind = object.kind();
    t.object = object;
    t.ioctl = kind == null ? Ioctl.of(t.req()) : Ioctl.of(t.req(), kind);
    t.seq = nextSeq();
    t.inSize = 0;
    t.hasPage = false;
    if (isRun(t)) {
      runs.entered(t, object);
      smram(t, object);
    } else if (Payloads.reads(t.ioctl, t.req())) {
      takeIn(t, object);
    }
    t.enterNs = System.nanoTime();
    if (trace != null) {
      trace.enter(t.seq, name(t));
    }
  }

  private static String name(Tracee t) {
    return t.ioctl == null ? "KVM_UNKNOWN" : t.ioctl.uapiName();
  }

  /** True in KVM_RUN of a vCPU. */
  static boolean isRun(Tracee t) {
    return t.ioctl == Ioctl.RUN && t.object != null && t.object.is(FdKind.VCPU);
  }

  /** A vCPU in SMM goes on: writes what RSM will load, where a probe told where it lies. */
  private void smram(Tracee t, KvmObject vcpu) {
    KvmObject vm = vcpu.vm();
    long smbase = vcpu.smbase();
    vcpu.setSmbase(-1);
    if (smbase < 0 || vm == null || !t.hasPage || !new KvmRun(Bytes.wrap(t.pageIn)).inSmm()) {
      return;
    }
    long address = vm.smmAddress(smbase + SMRAM_MAP_AT, SmramMap.SIZE);
    byte[] map = new byte[SmramMap.SIZE];
    if (address == 0 || !read(t, address, map, map.length)) {
      return;
    }
    file.line()
        .number("seq", nextSeq())
        .word("ev", "smram")
        .number("t_enter", System.nanoTime())
        .number("tid", t.tid)
        .word("obj", vcpu.name())
        .hex("smbase", smbase, 1)
        .payload("map_len", "map", map, map.length);
    file.ended();
  }

  private void takeIn(Tracee t, KvmObject object) {
    int headSize = Payloads.headSize(t.ioctl, t.req());
    byte[] in = t.roomForIn(headSize);
    t.inSize = -1;
    if (!read(t, t.arg(), in, headSize)) {
      return;
    }
    long size = Payloads.inSize(t.ioctl, t.req(), in, object);
    // A count beyond every limit is refused by KVM before it looks at the entries.
    if (size > headSize && size <= TraceeMemory.LARGEST) {
      in = t.roomForIn((int) size);
      if (!read(t, t.arg(), in, (int) size)) {
        return;
      }
      t.inSize = (int) size;
    } else {
      t.inSize = size < headSize ? (int) size : headSize;
    }
  }

  private boolean read(Tracee t, long address, byte[] into, int size) {
    return memory.read(t.process.pid(), address, into, 0, size);
  }

  /**
   * The ioctl returned, and the thread stands still: writes its line, but for KVM_RUN, which waits
   * for {@link #wentOn}.
   *
   * @param value what the system call returned: -errno for a failure
   * @return null, or a sentence that tells why the recording cannot go on
   */
  @Nullable String returned(Tracee t, long value) {
    t.exitNs = System.nanoTime();
    t.value = value;
    KvmObject object = t.object;
    if (object == null) {
      return null;
    }
    if (trace != null) {
      trace.exit(t.seq, name(t), value);
    }
    if (isRun(t)) {
      t.unwritten = true;
      return runs.returned(t, object);
    }
    boolean failed = hasFailed(value);
    int outSize = takeOut(t, object, failed);
    if (!failed && (t.inSize < 0 || outSize < 0)) {
      return unreadable(t, t.inSize < 0 ? "read" : "written");
    }
    LineBuffer line = line(t, object);
    if (t.inSize > 0) {
      line.payload("in_len", "in", t.in, t.inSize);
    }
    if (outSize > 0) {
      line.payload("out_len", "out", out, outSize);
    }
    if (t.inSize > 0 && object.kind() != null) {
      extras.write(t, object, failed, line);
    }
    file.ended();
    if (!failed) {
      learn(t, object, value);
    }
    return null;
  }

  /** The thread goes on: what is left to write needs it no more. */
  void wentOn(Tracee t) {
    KvmObject vcpu = t.object;
    if (t.unwritten && vcpu != null) {
      t.unwritten = false;
      runs.write(t, vcpu, line(t, vcpu));
      file.ended();
    }
  }

  /** The thread ended, or is followed no more, within an ioctl: nobody will see it return. */
  void unreturned(Tracee t) {
    KvmObject object = t.object;
    if (object == null) {
      return;
    }
    LineBuffer line =
        file.line()
            .number("seq", t.seq)
            .word("ev", "unreturned")
            .number("t_enter", t.enterNs)
            .number("pid", t.process.pid())
            .number("tid", t.tid)
            .number("fd", t.fd())
            .word("fd_kind", word(object));
    if (object.kind() == null) {
      line.text("obj", object.name());
    } else {
      line.word("obj", object.name());
    }
    line.hex("req", Integer.toUnsignedLong(t.req()), 8)
        .word("name", name(t))
        .hex("arg", t.arg(), 1);
    if (t.inSize > 0) {
      line.payload("in_len", "in", t.in, t.inSize);
    }
    file.ended();
  }

  private static boolean hasFailed(long value) {
    return value < 0 && value >= -MAX_ERRNO;
  }

  private LineBuffer line(Tracee t, KvmObject object) {
    boolean failed = hasFailed(t.value);
    LineBuffer line =
        file.line()
            .number("seq", t.seq)
            .word("ev", "ioctl")
            .number("t_enter", t.enterNs)
            .number("t_exit", t.exitNs)
            .number("pid", t.process.pid())
            .number("tid", t.tid)
            .number("fd", t.fd())
            .word("fd_kind", word(object));
    if (object.kind() == null) {
      line.text("obj", object.name());
    } else {
      line.word("obj", object.name());
    }
    line.hex("req", Integer.toUnsignedLong(t.req()), 8)
        .word("name", name(t))
        .hex("arg", t.arg(), 1)
        .number("ret", failed ? -1 : (int) t.value);
    if (failed) {
      line.number("errno", -t.value);
    }
    if (t.compat) {
      line.word("arch", "i386");
    }
    if (t.probe) {
      line.flag("probe");
    }
    return line;
  }

  /** Bytes that came out, 0 if there are none, -1 if they cannot be read. */
  private int takeOut(Tracee t, KvmObject object, boolean failed) {
    if (!Payloads.writes(t.ioctl, t.req()) || (failed && object.kind() == null)) {
      return 0;
    }
    int headSize = Payloads.headSize(t.ioctl, t.req());
    room(headSize);
    if (!read(t, t.arg(), out, headSize)) {
      return failed ? 0 : -1;
    }
    long size = Payloads.outSize(t.ioctl, t.req(), out, object, failed);
    if (size <= headSize || size > TraceeMemory.LARGEST) {
      return headSize;
    }
    room((int) size);
    return read(t, t.arg(), out, (int) size) ? (int) size : failed ? 0 : -1;
  }

  private void room(int size) {
    if (out.length < size) {
      out = new byte[size];
    }
  }

  private static String unreadable(Tracee t, String how) {
    return "the payload that KVM has "
        + how
        + " for "
        + (t.ioctl == null ? "ioctl 0x" + Integer.toHexString(t.req()) : t.ioctl.uapiName())
        + " at 0x"
        + Long.toHexString(t.arg())
        + " of process "
        + t.process.pid()
        + " cannot be read";
  }

  /** What a successful call tells of descriptors and memory. */
  private void learn(Tracee t, KvmObject object, long value) {
    if (t.ioctl == null) {
      return;
    }
    switch (t.ioctl) {
      case GET_MSRS -> {
        if (t.probe && value == 1) {
          object.setSmbase(Payloads.u64(out, MSR_DATA_AT) & 0xffff_ffffL);
        }
      }
      case CREATE_VM -> descriptors.vmMade(t.process, (int) value);
      case CREATE_VCPU -> descriptors.vcpuMade(t.process, object, t.arg(), (int) value);
      case CREATE_DEVICE -> {
        int fd = Payloads.u32(out, CREATED_FD_AT);
        descriptors.deviceMade(t.process, object, fd);
      }
      case CHECK_EXTENSION -> {
        KvmObject vm = object.vm();
        if (vm != null && t.arg() == KvmCap.KVM_CAP_XSAVE2.number()) {
          vm.setXsaveSize((int) value);
        }
      }
      case SET_USER_MEMORY_REGION, SET_USER_MEMORY_REGION2 -> {
        long size = Payloads.u64(t.in, 16);
        int slot = Payloads.u32(t.in, 0);
        if (size == 0) {
          object.slots().remove(slot);
        } else {
          object
              .slots()
              .put(slot, new KvmObject.Slot(Payloads.u64(t.in, 8), size, Payloads.u64(t.in, 24)));
        }
      }
      default -> {}
    }
  }

  /** A call returned that makes or ends a descriptor or a mapping. */
  void descriptorCall(Tracee t, Tracee.Interest interest, long value) {
    boolean failed = hasFailed(value);
    switch (interest) {
      case CLOSE -> {
        if (!failed) {
          closed(t, t.fd());
        }
      }
      case CLOSE_RANGE -> {
        if (!failed && t.args[2] == 0) {
          long last = t.args[1] & 0xffff_ffffL;
          for (int fd : List.copyOf(t.process.descriptors().keySet())) {
            if (fd >= t.fd() && fd <= last) {
              closed(t, fd);
            }
          }
        }
      }
      case DUP -> {
        if (!failed && value != t.fd()) {
          closed(t, (int) value);
          descriptors.duplicated(t.process, t.fd(), (int) value);
        }
      }
      case MMAP -> mapped(t, failed, value);
      case MUNMAP -> {
        if (!failed) {
          long from = t.args[0];
          long to = from + t.args[1];
          t.process.pages().values().removeIf(at -> at >= from && at < to);
        }
      }
      case NONE, IOCTL -> {}
    }
  }

  private void closed(Tracee t, int fd) {
    KvmObject object = t.process.descriptors().get(fd);
    if (object == null) {
      return;
    }
    descriptors.closed(t.process, fd);
    file.line()
        .number("seq", nextSeq())
        .word("ev", "close")
        .number("t_enter", System.nanoTime())
        .number("tid", t.tid)
        .number("fd", fd)
        .word("fd_kind", word(object))
        .word("obj", object.name())
        .number("ret", 0);
    file.ended();
  }

  private void mapped(Tracee t, boolean failed, long value) {
    int fd = (int) t.args[4];
    KvmObject object = t.process.descriptors().get(fd);
    if (failed || object == null || !object.is(FdKind.VCPU)) {
      return;
    }
    if (t.args[5] == 0) {
      t.process.pages().put(object.name(), value);
    }
    file.line()
        .number("seq", nextSeq())
        .word("ev", "mmap")
        .number("t_enter", System.nanoTime())
        .number("tid", t.tid)
        .number("fd", fd)
        .word("obj", object.name())
        .number("len", t.args[1])
        .number("off", t.args[5])
        .hex("addr", value, 1);
    file.ended();
  }
}
