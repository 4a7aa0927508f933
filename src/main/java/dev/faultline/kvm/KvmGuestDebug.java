package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import java.util.Objects;

/**
 * Breakpoints and single steps that userspace sets in a guest.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_GUEST_DEBUG"; {@code
 * include/uapi/linux/kvm.h, struct kvm_guest_debug, v6.1}.
 */
public record KvmGuestDebug(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 72;

  private static final int CONTROL = 0;
  private static final int DEBUGREG = 8;
  private static final int DEBUGREG_COUNT = 8;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_guest_debug", SIZE)
          .value("control", CONTROL, 4)
          .values("arch.debugreg", DEBUGREG, 8, DEBUGREG_COUNT)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmGuestDebug {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_guest_debug", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmGuestDebug zero() {
    return new KvmGuestDebug(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** {@link #KVM_GUESTDBG_ENABLE} and its kind. */
  public int control() {
    return raw.i32(CONTROL);
  }

  /** What DR0 to DR7 are to be. {@code index} is 0 to 7. */
  public long debugreg(int index) {
    return raw.u64(DEBUGREG + 8 * Objects.checkIndex(index, DEBUGREG_COUNT));
  }

  /** Debugging is on. */
  public static final int KVM_GUESTDBG_ENABLE = 1;

  /** Exit after each instruction. */
  public static final int KVM_GUESTDBG_SINGLESTEP = 1 << 1;

  /** INT3 exits. */
  public static final int KVM_GUESTDBG_USE_SW_BP = 1 << 16;

  /** The debug registers are userspace's. */
  public static final int KVM_GUESTDBG_USE_HW_BP = 1 << 17;

  /** Raise a #DB in the guest. */
  public static final int KVM_GUESTDBG_INJECT_DB = 1 << 18;

  /** Raise a #BP in the guest. */
  public static final int KVM_GUESTDBG_INJECT_BP = 1 << 19;

  /** No interrupts while single-stepping. */
  public static final int KVM_GUESTDBG_BLOCKIRQ = 1 << 20;
}
