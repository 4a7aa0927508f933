package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import java.util.Objects;

/**
 * The debug registers of a vCPU.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_DEBUGREGS",
 * "KVM_SET_DEBUGREGS"; {@code arch/x86/include/uapi/asm/kvm.h, struct kvm_debugregs, v6.1}.
 */
public record KvmDebugregs(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 128;

  private static final int DR6 = 32;
  private static final int DR7 = 40;
  private static final int FLAGS = 48;
  private static final int DB = 0;
  private static final int DB_COUNT = 4;
  private static final int RESERVED = 56;
  private static final int RESERVED_SIZE = 72;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_debugregs", SIZE)
          .value("dr6", DR6, 8)
          .value("dr7", DR7, 8)
          .value("flags", FLAGS, 8)
          .values("db", DB, 8, DB_COUNT)
          .reserved(RESERVED, RESERVED_SIZE)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmDebugregs {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_debugregs", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmDebugregs zero() {
    return new KvmDebugregs(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** DR6. */
  public long dr6() {
    return raw.u64(DR6);
  }

  /** DR7. */
  public long dr7() {
    return raw.u64(DR7);
  }

  /** Must be zero. */
  public long flags() {
    return raw.u64(FLAGS);
  }

  /** DR0 to DR3. {@code index} is 0 to 3. */
  public long db(int index) {
    return raw.u64(DB + 8 * Objects.checkIndex(index, DB_COUNT));
  }

  /** This struct with zeros where nothing means anything. */
  public KvmDebugregs withoutReserved() {
    return raw.isZero(RESERVED, RESERVED_SIZE)
        ? this
        : new KvmDebugregs(Bytes.builder(SIZE).putBytes(0, raw, 0, RESERVED).build());
  }

  /** This struct with another {@code dr6}. */
  public KvmDebugregs withDr6(long value) {
    return new KvmDebugregs(raw.with(DR6, 8, value));
  }

  /** This struct with another {@code dr7}. */
  public KvmDebugregs withDr7(long value) {
    return new KvmDebugregs(raw.with(DR7, 8, value));
  }

  /** This struct with another {@code flags}. */
  public KvmDebugregs withFlags(long value) {
    return new KvmDebugregs(raw.with(FLAGS, 8, value));
  }
}
