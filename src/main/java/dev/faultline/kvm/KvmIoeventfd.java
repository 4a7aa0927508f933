package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * An eventfd that writes of the guest signal.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_IOEVENTFD"; {@code
 * include/uapi/linux/kvm.h, struct kvm_ioeventfd, v6.1}.
 */
public record KvmIoeventfd(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 64;

  private static final int DATAMATCH = 0;
  private static final int ADDR = 8;
  private static final int LEN = 16;
  private static final int FD = 20;
  private static final int FLAGS = 24;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_ioeventfd", SIZE)
          .value("datamatch", DATAMATCH, 8)
          .value("addr", ADDR, 8)
          .value("len", LEN, 4)
          .value("fd", FD, 4)
          .value("flags", FLAGS, 4)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmIoeventfd {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_ioeventfd", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmIoeventfd zero() {
    return new KvmIoeventfd(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code datamatch}. */
  public long datamatch() {
    return raw.u64(DATAMATCH);
  }

  /** The field {@code addr}. */
  public long addr() {
    return raw.u64(ADDR);
  }

  /** The field {@code len}. */
  public int len() {
    return raw.i32(LEN);
  }

  /** The field {@code fd}. */
  public int fd() {
    return raw.i32(FD);
  }

  /** The field {@code flags}. */
  public int flags() {
    return raw.i32(FLAGS);
  }
}
