package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import java.util.Objects;

/**
 * A capability that is off until a VMM turns it on, for a VM or a vCPU.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_ENABLE_CAP"; {@code
 * include/uapi/linux/kvm.h, struct kvm_enable_cap, v6.1}.
 */
public record KvmEnableCap(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 104;

  private static final int CAP = 0;
  private static final int FLAGS = 4;
  private static final int ARGS = 8;
  private static final int ARGS_COUNT = 4;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_enable_cap", SIZE)
          .value("cap", CAP, 4)
          .value("flags", FLAGS, 4)
          .values("args", ARGS, 8, ARGS_COUNT)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmEnableCap {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_enable_cap", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmEnableCap zero() {
    return new KvmEnableCap(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The number of a {@link KvmCap}. */
  public int cap() {
    return raw.i32(CAP);
  }

  /** Must be zero. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** What the capability takes. {@code index} is 0 to 3. */
  public long args(int index) {
    return raw.u64(ARGS + 8 * Objects.checkIndex(index, ARGS_COUNT));
  }

  /** This struct with another {@code cap}. */
  public KvmEnableCap withCap(int value) {
    return new KvmEnableCap(raw.with(CAP, 4, value));
  }

  /** This struct with another {@code flags}. */
  public KvmEnableCap withFlags(int value) {
    return new KvmEnableCap(raw.with(FLAGS, 4, value));
  }

  /** The call that turns a capability on with one argument. */
  public static KvmEnableCap of(KvmCap cap, long arg0) {
    return new KvmEnableCap(zero().withCap(cap.number()).raw().with(ARGS, Long.BYTES, arg0));
  }
}
