package dev.faultline.record;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.trace.PageDelta;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The pages that vCPUs share with userspace: whole in the first KVM_RUN of each vCPU, after that
 * only what changed.
 */
final class RunPages {
  private static final int IO_DATA_MOST = 4096;

  private final TraceeMemory memory;
  private byte[] page = new byte[KvmRun.SIZE];
  private final byte[] ioData = new byte[IO_DATA_MOST];

  RunPages(TraceeMemory memory) {
    this.memory = memory;
  }

  /** KVM_RUN is about to begin: takes the page as it is before. */
  void entered(Tracee t, KvmObject vcpu) {
    byte[] in = new byte[KvmRun.SIZE];
    if (!readPage(t, vcpu, in)) {
      t.pageIn = null;
      return;
    }
    t.pageIn = in;
  }

  private boolean readPage(Tracee t, KvmObject vcpu, byte[] into) {
    int pid = t.process.pid();
    Long known = t.process.pages().get(vcpu.name());
    if (known != null && memory.read(pid, known, into, 0, into.length)) {
      t.pageAddress = known;
      return true;
    }
    long found = find(pid, vcpu);
    if (found == 0 || !memory.read(pid, found, into, 0, into.length)) {
      return false;
    }
    t.process.pages().put(vcpu.name(), found);
    t.pageAddress = found;
    return true;
  }

  /** Where a page was mapped that nobody saw being mapped; 0 if it is not. */
  private static long find(int pid, KvmObject vcpu) {
    String number = vcpu.name().substring(vcpu.name().lastIndexOf("vcpu") + 4);
    try {
      List<String> maps = Files.readAllLines(Path.of("/proc/" + pid + "/maps"));
      for (String map : maps) {
        if (map.endsWith("anon_inode:kvm-vcpu:" + number)) {
          return Long.parseUnsignedLong(map.substring(0, map.indexOf('-')), 16);
        }
      }
    } catch (IOException e) {
      return 0;
    }
    return 0;
  }

  /** KVM_RUN returned: writes both pages; a sentence if the second cannot be read. */
  @Nullable String returned(Tracee t, KvmObject vcpu, LineBuffer line) {
    byte[] in = t.pageIn;
    if (in == null) {
      return null;
    }
    write(line, "run_in", vcpu.page(), in);
    byte[] after = page;
    if (!memory.read(t.process.pid(), t.pageAddress, after, 0, after.length)) {
      // A line with half a page would be no line; the page as it was before stands for both.
      vcpu.setPage(in);
      line.base64("run_out_delta", in, 0, 0);
      return "the page of " + vcpu.name() + " cannot be read after KVM_RUN";
    }
    write(line, "run_out", in, after);
    page = in;
    t.pageIn = null;
    vcpu.setPage(after);
    exit(t, after, line);
    return null;
  }

  private static void write(LineBuffer line, String key, byte @Nullable [] before, byte[] now) {
    if (before == null) {
      line.payload(key + "_len", key, now, now.length);
      return;
    }
    byte[] delta = PageDelta.between(before, now);
    line.base64(key + "_delta", delta, 0, delta.length);
  }

  private void exit(Tracee t, byte[] after, LineBuffer line) {
    KvmRun run = new KvmRun(Bytes.wrap(after));
    line.number("exit_reason", run.exitReason());
    KvmExit exit = run.exit();
    if (exit == null) {
      return;
    }
    line.word("exit_name", exit.name());
    if (exit == KvmExit.KVM_EXIT_IO) {
      io(t, run, line);
    }
  }

  /** The data of port I/O lies behind what a recording holds of the page. */
  private void io(Tracee t, KvmRun run, LineBuffer line) {
    boolean out = run.ioDirection() == KvmRun.KVM_EXIT_IO_OUT;
    line.open("exit")
        .word("dir", out ? "out" : "in")
        .number("size", run.ioSize())
        .number("port", run.ioPort())
        .number("count", run.ioCount());
    long size = (long) run.ioSize() * Integer.toUnsignedLong(run.ioCount());
    if (out && size > 0 && size <= IO_DATA_MOST) {
      long address = t.pageAddress + run.ioDataOffset();
      if (memory.read(t.process.pid(), address, ioData, 0, (int) size)) {
        line.base64("data", ioData, 0, (int) size);
      }
    }
    line.close();
  }
}
