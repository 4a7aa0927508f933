package dev.faultline.record;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmRun;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Has a vCPU's thread read its own state after KVM_RUN: KVM_GET_NESTED_STATE, KVM_GET_VCPU_EVENTS
 * and KVM_GET_SREGS, and in SMM also IA32_SMBASE.
 *
 * <p>The thread is sent through a few instructions that make these calls, put back every register
 * from the thread's stack, and go on where the thread was. From the moment it is sent there it
 * needs nobody, so that a recorder that is killed just then does no harm. The instructions lie in
 * unused bytes at the end of a page of code, the payloads below the thread's stack and its red
 * zone.
 *
 * <p><i>Shape</i> of what lies on the stack, at what the stack pointer is meanwhile:
 *
 * <pre>
 *    0  rdi rsi rdx rax rip rflags rsp   as they were
 *   56  u32 descriptor
 *   64  u64[4] requests
 *  128  kvm_msrs with one entry
 *  192  kvm_vcpu_events
 *  320  kvm_sregs
 * 1024  kvm_nested_state with room for 16 KiB
 * </pre>
 */
final class Probe {
  private static final int PTRACE_POKEDATA = 5;
  private static final int PTRACE_GETREGS = 12;
  private static final int PTRACE_SETREGS = 13;
  private static final int REGS_SIZE = 27 * Long.BYTES;
  private static final int RAX = 80;
  private static final int RDX = 96;
  private static final int RSI = 104;
  private static final int RDI = 112;
  private static final int ORIG_RAX = 120;
  private static final int RIP = 128;
  private static final int EFLAGS = 144;
  private static final int RSP = 152;

  private static final int SAVED_RDI = 0;
  private static final int SAVED_RSI = 8;
  private static final int SAVED_RDX = 16;
  private static final int SAVED_RAX = 24;
  private static final int SAVED_RIP = 32;
  private static final int SAVED_FLAGS = 40;
  private static final int SAVED_RSP = 48;
  private static final int FD = 56;
  private static final int REQUESTS = 64;
  private static final int MSRS = 128;
  private static final int EVENTS = 192;
  private static final int SREGS = 320;
  private static final int NESTED = 1024;
  private static final int NESTED_ROOM = 16 << 10;
  private static final int NESTED_HEADER = 128;
  private static final int RED_ZONE = 128;
  private static final int ALIGNED = -64;
  private static final int IA32_SMBASE = 0x9e;

  /** A call, and where on the stack its payload lies. */
  private record Read(Ioctl ioctl, int payload) {}

  private static final Read MSRS_READ = new Read(Ioctl.GET_MSRS, MSRS);
  private static final Read NESTED_READ = new Read(Ioctl.GET_NESTED_STATE, NESTED);
  private static final List<Read> OTHERS =
      List.of(new Read(Ioctl.GET_VCPU_EVENTS, EVENTS), new Read(Ioctl.GET_SREGS, SREGS));

  /** Zeros that must be left between other code and these instructions. */
  private static final int DISTANCE = 32;

  private static final long NOWHERE = -1;

  private final LibC libc;
  private final TraceeMemory memory;
  private final MemorySegment regs;
  private final Consumer<String> notes;
  private final int ownFilters;
  private final byte[] code;

  /** Where the call that reads IA32_SMBASE ends. */
  private int afterMsrs;

  private final byte[] stack = new byte[NESTED + NESTED_HEADER];
  private final ByteBuffer data = ByteBuffer.wrap(stack).order(ByteOrder.LITTLE_ENDIAN);

  /**
   * Of threads under ptrace.
   *
   * @param nested whether KVM has nested state to be read
   * @param ownFilters how many seccomp filters the recorder installed
   */
  Probe(
      LibC libc,
      TraceeMemory memory,
      Arena arena,
      boolean nested,
      int ownFilters,
      Consumer<String> notes) {
    this.libc = libc;
    this.memory = memory;
    this.notes = notes;
    this.ownFilters = ownFilters;
    this.regs = arena.allocate(REGS_SIZE, Long.BYTES);
    List<Read> reads = new ArrayList<>(List.of(MSRS_READ));
    if (nested) {
      reads.add(NESTED_READ);
    }
    reads.addAll(OTHERS);
    this.code = code(reads);
    for (int i = 0; i < reads.size(); i++) {
      long request = Integer.toUnsignedLong(reads.get(i).ioctl().number());
      data.putLong(REQUESTS + i * Long.BYTES, request);
    }
    data.putInt(MSRS, 1).putInt(MSRS + Long.BYTES, IA32_SMBASE);
    data.putInt(NESTED + Integer.BYTES, NESTED_ROOM);
  }

  private byte[] code(List<Read> reads) {
    ByteBuffer made = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < reads.size(); i++) {
      made.put(bytes(0x8b, 0xbc, 0x24)).putInt(FD); // mov edi, [rsp+..]
      made.put(bytes(0x48, 0x8b, 0xb4, 0x24)).putInt(REQUESTS + i * Long.BYTES); // mov rsi, ..
      made.put(bytes(0x48, 0x8d, 0x94, 0x24)).putInt(reads.get(i).payload()); // lea rdx, ..
      made.put((byte) 0xb8).putInt(Syscalls.IOCTL); // mov eax, 16
      made.put(bytes(0x0f, 0x05)); // syscall
      if (i == 0) {
        afterMsrs = made.position();
      }
    }
    made.put(bytes(0x48, 0x8b, 0xbc, 0x24)).putInt(SAVED_RDI);
    made.put(bytes(0x48, 0x8b, 0xb4, 0x24)).putInt(SAVED_RSI);
    made.put(bytes(0x48, 0x8b, 0x94, 0x24)).putInt(SAVED_RDX);
    made.put(bytes(0x48, 0x8b, 0x84, 0x24)).putInt(SAVED_RAX);
    // A system call leaves its return address in rcx and the flags in r11: nobody else uses them.
    made.put(bytes(0x48, 0x8b, 0x8c, 0x24)).putInt(SAVED_RIP);
    made.put(bytes(0x4c, 0x8b, 0x9c, 0x24)).putInt(SAVED_FLAGS);
    made.put(bytes(0xff, 0xb4, 0x24)).putInt(SAVED_FLAGS); // push
    made.put((byte) 0x9d); // popfq
    made.put(bytes(0x48, 0x8b, 0xa4, 0x24)).putInt(SAVED_RSP);
    made.put(bytes(0xff, 0xe1)); // jmp rcx
    byte[] whole = new byte[made.position()];
    made.get(0, whole);
    return whole;
  }

  private static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  /** True if a call at this address is one of a probe. */
  boolean isAt(TracedProcess process, long address) {
    long at = process.probeAt();
    return at > 0 && address >= at && address <= at + code.length;
  }

  /**
   * KVM_RUN has returned, and the thread stands at its exit: sends it through the calls. Without
   * effect where that cannot be; the first time, that is told.
   */
  void send(Tracee t, byte @Nullable [] page) {
    long at = t.process.probeAt();
    if (at == 0) {
      at = place(t);
      t.process.setProbeAt(at);
    }
    if (at == NOWHERE || t.compat || isForbidden(t)) {
      return;
    }
    if (libc.ptrace(PTRACE_GETREGS, t.tid, 0, regs.address()) != 0) {
      return;
    }
    boolean smm = page != null && new KvmRun(Bytes.wrap(page)).inSmm();
    long rsp = regs.get(ValueLayout.JAVA_LONG, RSP);
    data.putLong(SAVED_RDI, regs.get(ValueLayout.JAVA_LONG, RDI));
    data.putLong(SAVED_RSI, regs.get(ValueLayout.JAVA_LONG, RSI));
    data.putLong(SAVED_RDX, regs.get(ValueLayout.JAVA_LONG, RDX));
    data.putLong(SAVED_RAX, regs.get(ValueLayout.JAVA_LONG, RAX));
    data.putLong(SAVED_RIP, regs.get(ValueLayout.JAVA_LONG, RIP));
    data.putLong(SAVED_FLAGS, regs.get(ValueLayout.JAVA_LONG, EFLAGS));
    data.putLong(SAVED_RSP, rsp);
    data.putInt(FD, t.fd());
    long base = (rsp - RED_ZONE - NESTED - NESTED_ROOM) & ALIGNED;
    if (!memory.write(t.process.pid(), base, stack)) {
      return;
    }
    regs.set(ValueLayout.JAVA_LONG, RSP, base);
    regs.set(ValueLayout.JAVA_LONG, RIP, at + (smm ? 0 : afterMsrs));
    regs.set(ValueLayout.JAVA_LONG, ORIG_RAX, -1);
    libc.ptrace(PTRACE_SETREGS, t.tid, 0, regs.address());
  }

  /** A thread that lets only some calls through may be killed for another one. */
  private boolean isForbidden(Tracee t) {
    if (t.filters < 0) {
      t.filters = ProcStatus.read(t.tid).filters();
      if (t.filters > ownFilters) {
        notes.accept(
            "--probe: thread "
                + t.tid
                + " filters its own system calls, and is not probed; start the VMM without its"
                + " seccomp filter");
      }
    }
    return t.filters > ownFilters;
  }

  /** Writes the instructions into the end of a page of code that nothing uses. */
  private long place(Tracee t) {
    int pid = t.process.pid();
    int room = code.length + DISTANCE;
    try {
      for (String map : Files.readAllLines(Path.of("/proc/" + pid + "/maps"))) {
        int dash = map.indexOf('-');
        int space = map.indexOf(' ');
        if (!map.startsWith("r-xp", space + 1) || map.contains("[vsyscall]")) {
          continue;
        }
        long end = Long.parseUnsignedLong(map.substring(dash + 1, space), 16);
        byte[] last = new byte[room];
        if (memory.read(pid, end - room, last, 0, room) && isZero(last)) {
          return write(t, end - code.length - 1 & -16);
        }
      }
    } catch (IOException e) {
      notes.accept("--probe: the memory of process " + pid + " cannot be looked at");
      return NOWHERE;
    }
    notes.accept("--probe: process " + pid + " has no unused room in its code, and is not probed");
    return NOWHERE;
  }

  private static boolean isZero(byte[] bytes) {
    for (byte b : bytes) {
      if (b != 0) {
        return false;
      }
    }
    return true;
  }

  private long write(Tracee t, long at) {
    ByteBuffer words =
        ByteBuffer.allocate((code.length + 7) & -8).order(ByteOrder.LITTLE_ENDIAN).put(code);
    for (int i = 0; i < words.capacity(); i += Long.BYTES) {
      if (libc.ptrace(PTRACE_POKEDATA, t.tid, at + i, words.getLong(i)) != 0) {
        notes.accept("--probe: the code of process " + t.process.pid() + " cannot be written");
        return NOWHERE;
      }
    }
    return at;
  }
}
