package dev.faultline.record;

import java.util.TreeMap;

/** A process under ptrace: its threads share descriptors and memory. */
final class TracedProcess {
  private final int pid;

  /** What is known of its descriptors; one that is not in here has not been looked at. */
  private final TreeMap<Integer, KvmObject> descriptors = new TreeMap<>();

  /** Where the pages of vCPUs are mapped, by the name of the vCPU. */
  private final TreeMap<String, Long> pages = new TreeMap<>();

  private int threads;

  /** Where the instructions of probes lie: 0 before they were placed, -1 if they cannot be. */
  private long probeAt;

  TracedProcess(int pid) {
    this.pid = pid;
  }

  int pid() {
    return pid;
  }

  TreeMap<Integer, KvmObject> descriptors() {
    return descriptors;
  }

  TreeMap<String, Long> pages() {
    return pages;
  }

  /** Its memory and, as far as they are closed by execve(2), its descriptors are others now. */
  void execed() {
    descriptors.clear();
    pages.clear();
    probeAt = 0;
  }

  long probeAt() {
    return probeAt;
  }

  void setProbeAt(long address) {
    probeAt = address;
  }

  /** A thread more or less; what is left. */
  int countThreads(int more) {
    threads += more;
    return threads;
  }
}
