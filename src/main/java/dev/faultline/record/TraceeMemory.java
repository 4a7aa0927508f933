package dev.faultline.record;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Reads the memory of a traced process; what was read last is held until the next reading. */
final class TraceeMemory {
  /** The largest piece that is read at once. */
  static final int LARGEST = 1 << 20;

  private static final int IOVEC_SIZE = 16;

  private final LibC libc;
  private final MemorySegment buffer;
  private final MemorySegment local;
  private final MemorySegment remote;

  TraceeMemory(LibC libc, Arena arena) {
    this.libc = libc;
    buffer = arena.allocate(LARGEST, Long.BYTES);
    local = arena.allocate(IOVEC_SIZE, Long.BYTES);
    remote = arena.allocate(IOVEC_SIZE, Long.BYTES);
  }

  /** Reads so many bytes into an array; false if not all of them can be read. */
  boolean read(int pid, long address, byte[] into, int at, int size) {
    if (size == 0) {
      return true;
    }
    if (size > LARGEST || address == 0) {
      return false;
    }
    local.set(ValueLayout.JAVA_LONG, 0, buffer.address());
    local.set(ValueLayout.JAVA_LONG, Long.BYTES, size);
    remote.set(ValueLayout.JAVA_LONG, 0, address);
    remote.set(ValueLayout.JAVA_LONG, Long.BYTES, size);
    if (libc.processVmReadv(pid, local, 1, remote, 1) != size) {
      return false;
    }
    MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, into, at, size);
    return true;
  }

  /** Writes all bytes of an array; false if that cannot be. */
  boolean write(int pid, long address, byte[] bytes) {
    MemorySegment.copy(bytes, 0, buffer, ValueLayout.JAVA_BYTE, 0, bytes.length);
    local.set(ValueLayout.JAVA_LONG, 0, buffer.address());
    local.set(ValueLayout.JAVA_LONG, Long.BYTES, bytes.length);
    remote.set(ValueLayout.JAVA_LONG, 0, address);
    remote.set(ValueLayout.JAVA_LONG, Long.BYTES, bytes.length);
    return libc.processVmWritev(pid, local, remote) == bytes.length;
  }
}
