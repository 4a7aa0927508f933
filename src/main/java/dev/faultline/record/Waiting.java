package dev.faultline.record;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Waits for the threads that are followed.
 *
 * <p>Most stops come within microseconds, and a thread that slept is woken up later than that: so
 * it looks again and again for a moment before it sleeps. As long as that is in vain, as on a
 * machine that is busy, it does so more and more rarely.
 */
final class Waiting {
  private static final int WALL = 0x40000000;
  private static final int WNOTHREAD = 0x20000000;
  private static final int WNOHANG = 1;

  private static final long LOOKED_NS = 60_000;
  private static final int LEAST_PAUSE = 16;
  private static final int MOST_PAUSE = 1 << 12;

  private final LibC libc;
  private final MemorySegment status;
  private final boolean looks = Runtime.getRuntime().availableProcessors() > 1;

  /** How often it sleeps at once before it looks again, and how often still. */
  private int pause;

  private int left;

  Waiting(LibC libc, MemorySegment status) {
    this.libc = libc;
    this.status = status;
  }

  /** Waits for one to change; 0 if something else came, -1 if there is none to wait for. */
  int next() {
    int tid = looks ? look() : 0;
    if (tid == 0) {
      tid = libc.waitpid(-1, status, WALL | WNOTHREAD);
    }
    return tid >= 0 ? tid : libc.errno() == LibC.EINTR ? 0 : -1;
  }

  /** The wait status of the one that changed. */
  int status() {
    return status.get(ValueLayout.JAVA_INT, 0);
  }

  private int look() {
    if (left > 0) {
      left--;
      return 0;
    }
    long until = System.nanoTime() + LOOKED_NS;
    int tid;
    do {
      tid = libc.waitpid(-1, status, WALL | WNOTHREAD | WNOHANG);
    } while (tid == 0 && System.nanoTime() < until);
    pause = tid != 0 ? 0 : pause == 0 ? LEAST_PAUSE : Math.min(2 * pause, MOST_PAUSE);
    left = pause;
    return tid;
  }
}
