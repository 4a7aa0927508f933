package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The signals blocked while KVM_RUN runs.
 *
 * <p><i>Shape</i>: len u32, then a signal set of that many bytes, 8 on x86; or the header alone.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_SIGNAL_MASK"; {@code
 * include/uapi/linux/kvm.h, struct kvm_signal_mask, v6.1}.
 */
public record KvmSignalMask(Bytes raw) implements KvmStruct {
  /** Bytes before the set. */
  public static final int HEADER_SIZE = 4;

  private static final int LEN = 0;

  /** A payload of at least a header. */
  public KvmSignalMask {
    if (raw.size() < HEADER_SIZE) {
      throw FormatException.structSize("kvm_signal_mask", "at least " + HEADER_SIZE, raw.size());
    }
  }

  @Override
  public StructLayout layout() {
    return StructLayout.builder("kvm_signal_mask", raw.size())
        .value("len", LEN, 4)
        .opaque("sigset", HEADER_SIZE, raw.size() - HEADER_SIZE)
        .build();
  }

  /** Bytes of the signal set. */
  public long len() {
    return raw.u32(LEN);
  }

  /** The signal set. */
  public Bytes sigset() {
    return raw.slice(HEADER_SIZE, raw.size() - HEADER_SIZE);
  }
}
