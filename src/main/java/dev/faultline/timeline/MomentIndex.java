package dev.faultline.timeline;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Which recorded call, or event inside one, each moment of a timeline is. */
public final class MomentIndex {
  /** Knows the moments before those that an index keeps itself. */
  public interface Earlier {
    /** The recording's sequence number of the call at a moment. */
    long seq(int moment);

    /** The ioctl, or the kind of event, at a moment. */
    String name(int moment);
  }

  private long[] seqs = new long[1024];
  private String[] names = new String[1024];
  private int size;
  private int base;
  private @Nullable Earlier earlier;

  MomentIndex() {}

  private MomentIndex(int base, Earlier earlier) {
    this.base = base;
    this.earlier = earlier;
  }

  /** An index that goes on after the first {@code size} moments, which {@code earlier} knows. */
  public static MomentIndex after(int size, Earlier earlier) {
    return new MomentIndex(size, earlier);
  }

  MomentIndex copy() {
    MomentIndex copy = new MomentIndex();
    copy.seqs = seqs.clone();
    copy.names = names.clone();
    copy.size = size;
    copy.base = base;
    copy.earlier = earlier;
    return copy;
  }

  /** Lets go of the moments before {@code moment}, which {@code known} knows from now on. */
  public void forget(int moment, Earlier known) {
    int from = Math.max(0, Math.min(moment - base, size));
    seqs = Arrays.copyOfRange(seqs, from, Math.max(size, from + 1024));
    names = Arrays.copyOfRange(names, from, Math.max(size, from + 1024));
    size -= from;
    base += from;
    earlier = known;
  }

  /** The next moment is an event of this call. */
  int add(long seq, String name) {
    if (size == seqs.length) {
      seqs = Arrays.copyOf(seqs, size * 2);
      names = Arrays.copyOf(names, size * 2);
    }
    seqs[size] = seq;
    names[size] = name;
    return base + size++;
  }

  public int size() {
    return base + size;
  }

  /** The recording's sequence number of the call at a moment. */
  public long seq(int moment) {
    return earlier != null && moment < base ? earlier.seq(moment) : seqs[moment - base];
  }

  /** The ioctl, or the kind of event, at a moment. */
  public String name(int moment) {
    return earlier != null && moment < base ? earlier.name(moment) : names[moment - base];
  }

  /** A writer in words: {@code KVM_SET_SREGS (seq 31)}. */
  public String describe(int moment) {
    return moment < 0 || moment >= size()
        ? "nobody since the recording began"
        : name(moment) + " (seq " + seq(moment) + ")";
  }
}
