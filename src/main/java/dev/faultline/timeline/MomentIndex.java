package dev.faultline.timeline;

import java.util.Arrays;

/** Which recorded call, or event inside one, each moment of a timeline is. */
public final class MomentIndex {
  private long[] seqs = new long[1024];
  private String[] names = new String[1024];
  private int size;

  MomentIndex copy() {
    MomentIndex copy = new MomentIndex();
    copy.seqs = seqs.clone();
    copy.names = names.clone();
    copy.size = size;
    return copy;
  }

  /** The next moment is an event of this call. */
  int add(long seq, String name) {
    if (size == seqs.length) {
      seqs = Arrays.copyOf(seqs, size * 2);
      names = Arrays.copyOf(names, size * 2);
    }
    seqs[size] = seq;
    names[size] = name;
    return size++;
  }

  public int size() {
    return size;
  }

  /** The recording's sequence number of the call at a moment. */
  public long seq(int moment) {
    return seqs[moment];
  }

  /** The ioctl, or the kind of event, at a moment. */
  public String name(int moment) {
    return names[moment];
  }

  /** A writer in words: {@code KVM_SET_SREGS (seq 31)}. */
  public String describe(int moment) {
    return moment < 0 || moment >= size
        ? "nobody since the recording began"
        : names[moment] + " (seq " + seqs[moment] + ")";
  }
}
