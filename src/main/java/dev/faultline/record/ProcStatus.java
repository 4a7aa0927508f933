package dev.faultline.record;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What {@code /proc/TID/status} tells.
 *
 * @param tgid the thread's process
 * @param parent the process that made that one
 * @param filters how many seccomp filters the thread has; 1 where the kernel does not count them
 * @param blockedSignals a bit a signal
 */
record ProcStatus(int tgid, int parent, int filters, long blockedSignals) {
  private static final int DECIMAL = 10;
  private static final int HEXADECIMAL = 16;

  /** Of a thread; one that is gone is its own process. */
  static ProcStatus read(int tid) {
    String text;
    try {
      text =
          new String(
              Files.readAllBytes(Path.of("/proc/" + tid + "/status")), StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      return new ProcStatus(tid, 0, 0, 0);
    }
    return new ProcStatus(
        (int) value(text, "\nTgid:", DECIMAL, tid),
        (int) value(text, "\nPPid:", DECIMAL, 0),
        (int) value(text, "\nSeccomp_filters:", DECIMAL, value(text, "\nSeccomp:", DECIMAL, 0) / 2),
        value(text, "\nSigBlk:", HEXADECIMAL, 0));
  }

  private static long value(String text, String key, int radix, long other) {
    int at = text.indexOf(key);
    if (at < 0) {
      return other;
    }
    int end = text.indexOf('\n', at + 1);
    String value = text.substring(at + key.length(), end < 0 ? text.length() : end).strip();
    return Long.parseUnsignedLong(value, radix);
  }
}
