package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The pages that vCPUs share with userspace, where a recording holds only what changed in them
 * since the vCPU's last KVM_RUN.
 */
final class RunPages {
  private static final int MOST_VCPUS = 1 << 14;
  private static final String ADVICE =
      "; the first KVM_RUN of a vCPU holds the whole page: do not cut lines out of the beginning of"
          + " a recording";

  private final TreeMap<String, Bytes> last = new TreeMap<>();

  /** The page before the call that the line tells of; empty if it tells of none. */
  Bytes before(LineValues values) {
    return values.has(Key.RUN_IN_DELTA)
        ? changed(values, Key.RUN_IN_DELTA, last.get(values.text(Key.OBJ)))
        : values.payload(Key.RUN_IN, Key.RUN_IN_LEN);
  }

  /** The page after it. */
  Bytes after(LineValues values, Bytes before) {
    Bytes after =
        values.has(Key.RUN_OUT_DELTA)
            ? changed(values, Key.RUN_OUT_DELTA, before.isEmpty() ? null : before)
            : values.payload(Key.RUN_OUT, Key.RUN_OUT_LEN);
    if (values.has(Key.RUN_OUT_DELTA)
        && (last.size() < MOST_VCPUS || last.containsKey(values.text(Key.OBJ)))) {
      last.put(values.text(Key.OBJ), after);
    }
    return after;
  }

  private static Bytes changed(LineValues values, Key key, @Nullable Bytes base) {
    if (base == null) {
      throw values.error(
          ErrorCode.TRACE_VALUE,
          "expected an earlier page of "
              + values.text(Key.OBJ)
              + " that "
              + key.key()
              + " changes, found none"
              + ADVICE);
    }
    byte[] page = PageDelta.apply(base.toArray(), values.bytes(key).toArray());
    if (page == null) {
      throw values.error(
          ErrorCode.TRACE_VALUE,
          key.key()
              + " must change a page of "
              + base.size()
              + " bytes, found pieces that do not fit into it; the line is damaged: record again");
    }
    return Bytes.wrap(page);
  }
}
