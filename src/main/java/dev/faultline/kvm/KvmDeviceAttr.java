package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * An attribute of a device, a VM or a vCPU, read or written through a pointer.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_DEVICE_ATTR"; {@code
 * include/uapi/linux/kvm.h, struct kvm_device_attr, v6.1}.
 */
public record KvmDeviceAttr(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 24;

  private static final int FLAGS = 0;
  private static final int GROUP = 4;
  private static final int ATTR = 8;
  private static final int ADDR = 16;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_device_attr", SIZE)
          .value("flags", FLAGS, 4)
          .value("group", GROUP, 4)
          .value("attr", ATTR, 8)
          .value("addr", ADDR, 8)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmDeviceAttr {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_device_attr", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmDeviceAttr zero() {
    return new KvmDeviceAttr(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code flags}. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** The field {@code group}. */
  public int group() {
    return raw.i32(GROUP);
  }

  /** The field {@code attr}. */
  public long attr() {
    return raw.u64(ATTR);
  }

  /** Where the VMM has the value. */
  public long addr() {
    return raw.u64(ADDR);
  }

  /** The group of the TSC, of a vCPU. */
  public static final int KVM_VCPU_TSC_CTRL = 0;

  /** In {@link #KVM_VCPU_TSC_CTRL}: guest TSC less host TSC. */
  public static final int KVM_VCPU_TSC_OFFSET = 0;
}
