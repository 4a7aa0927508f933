package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The x87 and SSE state of a vCPU, in the older of two forms ({@link KvmXsave} is the newer).
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_FPU", "KVM_SET_FPU"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_fpu, v6.1}.
 */
public record KvmFpu(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 416;

  private static final int FPR = 0;
  private static final int FPR_COUNT = 8;
  private static final int FCW = 128;
  private static final int FSW = 130;
  private static final int FTWX = 132;
  private static final int LAST_OPCODE = 134;
  private static final int LAST_IP = 136;
  private static final int LAST_DP = 144;
  private static final int XMM = 152;
  private static final int XMM_COUNT = 16;
  private static final int MXCSR = 408;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_fpu", SIZE)
          .value("fcw", FCW, 2)
          .value("fsw", FSW, 2)
          .value("ftwx", FTWX, 1)
          .value("last_opcode", LAST_OPCODE, 2)
          .value("last_ip", LAST_IP, 8)
          .value("last_dp", LAST_DP, 8)
          .value("mxcsr", MXCSR, 4)
          .include("", FPR, KvmXsave.pairs("fpr", FPR_COUNT))
          .include("", XMM, KvmXsave.pairs("xmm", XMM_COUNT))
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmFpu {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_fpu", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmFpu zero() {
    return new KvmFpu(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code fcw}. */
  public int fcw() {
    return raw.u16(FCW);
  }

  /** The field {@code fsw}. */
  public int fsw() {
    return raw.u16(FSW);
  }

  /** The tag word as FXSAVE abridges it. */
  public int ftwx() {
    return raw.u8(FTWX);
  }

  /** The field {@code last_opcode}. */
  public int lastOpcode() {
    return raw.u16(LAST_OPCODE);
  }

  /** The field {@code last_ip}. */
  public long lastIp() {
    return raw.u64(LAST_IP);
  }

  /** The field {@code last_dp}. */
  public long lastDp() {
    return raw.u64(LAST_DP);
  }

  /** The field {@code mxcsr}. */
  public int mxcsr() {
    return raw.i32(MXCSR);
  }
}
