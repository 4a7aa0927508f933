package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import java.util.Objects;

/**
 * The shape that kvm_msrs, kvm_cpuid2 and their kind share: a header that starts with a u32 count,
 * then that many entries.
 *
 * <p>A payload may be the header alone, whatever its count: a question that says how much room
 * there is, or a list that KVM refused before it looked at the entries. Otherwise all entries that
 * the header counts must be there; a payload longer than that is a VMM's buffer, whose rest means
 * nothing.
 *
 * @param name the struct's name
 * @param headerSize bytes before the entries
 * @param entrySize bytes of an entry
 */
record FlexibleArray(String name, int headerSize, int entrySize) {
  private static final int COUNT = 0;

  /** Refuses a payload that lacks entries that its header counts. */
  void check(Bytes raw) {
    if (raw.size() < headerSize) {
      throw FormatException.structSize(name, "at least " + headerSize, raw.size());
    }
    if (raw.size() > headerSize && raw.size() < needed(count(raw))) {
      throw FormatException.corrupt(
          ErrorCode.STRUCT_VALUE,
          "%s with %d entries is %d bytes, found %d"
              .formatted(name, count(raw), needed(count(raw)), raw.size()));
    }
  }

  /** The count in the header. */
  long count(Bytes raw) {
    return raw.u32(COUNT);
  }

  /** How many entries the payload holds. */
  int held(Bytes raw) {
    return raw.size() == headerSize ? 0 : (int) count(raw);
  }

  /** Where an entry starts. */
  int offsetOf(Bytes raw, int entry) {
    Objects.checkIndex(entry, held(raw));
    return headerSize + entry * entrySize;
  }

  /** Bytes of a header and so many entries. */
  long needed(long entries) {
    return headerSize + entries * entrySize;
  }
}
