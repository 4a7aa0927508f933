package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * A device in the kernel to be made.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_CREATE_DEVICE"; {@code
 * include/uapi/linux/kvm.h, struct kvm_create_device, v6.1}.
 */
public record KvmCreateDevice(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 12;

  private static final int TYPE = 0;
  private static final int FD = 4;
  private static final int FLAGS = 8;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_create_device", SIZE)
          .value("type", TYPE, 4)
          .value("fd", FD, 4)
          .value("flags", FLAGS, 4)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmCreateDevice {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_create_device", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmCreateDevice zero() {
    return new KvmCreateDevice(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code type}. */
  public int type() {
    return raw.i32(TYPE);
  }

  /** Out: its descriptor. */
  public int fd() {
    return raw.i32(FD);
  }

  /** The field {@code flags}. */
  public int flags() {
    return raw.i32(FLAGS);
  }
}
