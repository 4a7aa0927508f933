package dev.faultline.record;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.trace.PageDelta;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The pages that vCPUs share with userspace: whole in the first KVM_RUN of each vCPU, after that
 * only what changed.
 *
 * <p>The recorder maps them too, by a copy of the vCPU's descriptor, because a page that is mapped
 * is read without a system call while the VMM waits. A mapping keeps a VM alive, so it ends with
 * the last descriptor of the vCPU that is known. Where the kernel gives none, pages are read out of
 * the VMM's memory.
 */
final class RunPages {
  private static final int IO_DATA_MOST = 4096;
  private static final int PAGE_SIZE = 4096;

  /** The page of kvm_run, and the one with the data of port I/O. */
  private static final long MAPPED_SIZE = 2 * PAGE_SIZE;

  private final LibC libc;
  private final TraceeMemory memory;
  private final byte[] ioData = new byte[IO_DATA_MOST];
  private int ioSize;

  RunPages(LibC libc, TraceeMemory memory) {
    this.libc = libc;
    this.memory = memory;
  }

  /** KVM_RUN is about to begin: takes the page as it is before. */
  void entered(Tracee t, KvmObject vcpu) {
    if (!vcpu.isMappingTried()) {
      map(t, vcpu);
    }
    t.hasPage = readPage(t, vcpu, t.pageIn);
  }

  private void map(Tracee t, KvmObject vcpu) {
    int fd = libc.takeFd(t.process.pid(), t.fd());
    vcpu.setMapped(fd < 0 ? null : libc.map(fd, MAPPED_SIZE), true);
    if (fd >= 0) {
      libc.close(fd);
    }
  }

  /** The last descriptor of the vCPU that is known is gone. */
  void unmap(KvmObject vcpu) {
    MemorySegment mapped = vcpu.mapped();
    if (mapped != null) {
      vcpu.setMapped(null, false);
      libc.unmap(mapped);
    }
  }

  private boolean readPage(Tracee t, KvmObject vcpu, byte[] into) {
    MemorySegment mapped = vcpu.mapped();
    if (mapped != null) {
      MemorySegment.copy(mapped, ValueLayout.JAVA_BYTE, 0, into, 0, into.length);
      return true;
    }
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

  /** KVM_RUN returned, and the thread stands still: takes the page as it is after it. */
  @Nullable String returned(Tracee t, KvmObject vcpu) {
    ioSize = 0;
    if (!t.hasPage) {
      return null;
    }
    MemorySegment mapped = vcpu.mapped();
    if (mapped != null) {
      MemorySegment.copy(mapped, ValueLayout.JAVA_BYTE, 0, t.pageOut, 0, t.pageOut.length);
    } else if (!memory.read(t.process.pid(), t.pageAddress, t.pageOut, 0, t.pageOut.length)) {
      // A line with half a page would be no line; the page as it was before stands for both.
      System.arraycopy(t.pageIn, 0, t.pageOut, 0, t.pageOut.length);
      return "the page of " + vcpu.name() + " cannot be read after KVM_RUN";
    }
    takeIoData(t, mapped);
    return null;
  }

  /** The data of port output lies behind what a recording holds of the page. */
  private void takeIoData(Tracee t, @Nullable MemorySegment mapped) {
    KvmRun run = new KvmRun(Bytes.wrap(t.pageOut));
    if (run.exit() != KvmExit.KVM_EXIT_IO || run.ioDirection() != KvmRun.KVM_EXIT_IO_OUT) {
      return;
    }
    long size = (long) run.ioSize() * Integer.toUnsignedLong(run.ioCount());
    long at = run.ioDataOffset();
    if (size > IO_DATA_MOST || at < 0) {
      return;
    }
    if (mapped != null) {
      if (at + size <= MAPPED_SIZE) {
        MemorySegment.copy(mapped, ValueLayout.JAVA_BYTE, at, ioData, 0, (int) size);
        ioSize = (int) size;
      }
    } else if (memory.read(t.process.pid(), t.pageAddress + at, ioData, 0, (int) size)) {
      ioSize = (int) size;
    }
  }

  /** Writes both pages that were taken. */
  void write(Tracee t, KvmObject vcpu, LineBuffer line) {
    if (!t.hasPage) {
      return;
    }
    write(line, "run_in", vcpu.page(), t.pageIn);
    write(line, "run_out", t.pageIn, t.pageOut);
    t.hasPage = false;
    vcpu.setPage(t.pageOut);
    exit(t.pageOut, line);
  }

  private static void write(LineBuffer line, String key, byte @Nullable [] before, byte[] now) {
    if (before == null) {
      line.payload(key + "_len", key, now, now.length);
      return;
    }
    byte[] delta = PageDelta.between(before, now);
    line.base64(key + "_delta", delta, 0, delta.length);
  }

  private void exit(byte[] after, LineBuffer line) {
    KvmRun run = new KvmRun(Bytes.wrap(after));
    line.number("exit_reason", run.exitReason());
    KvmExit exit = run.exit();
    if (exit == null) {
      return;
    }
    line.word("exit_name", exit.name());
    if (exit == KvmExit.KVM_EXIT_IO) {
      boolean out = run.ioDirection() == KvmRun.KVM_EXIT_IO_OUT;
      line.open("exit")
          .word("dir", out ? "out" : "in")
          .number("size", run.ioSize())
          .number("port", run.ioPort())
          .number("count", run.ioCount());
      if (ioSize > 0) {
        line.base64("data", ioData, 0, ioSize);
      }
      line.close();
    }
  }
}
