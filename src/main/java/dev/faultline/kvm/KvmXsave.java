package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The extended processor state of a vCPU in the form of XSAVE, not compacted.
 *
 * <p><i>Shape</i>: the legacy region (x87 and SSE, as FXSAVE writes it), the XSAVE header at 512,
 * the high halves of the YMM registers at 576, then what CPUID leaf 0xD says; 4096 bytes, or more
 * where a feature of that size is enabled.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_XSAVE", "KVM_GET_XSAVE2";
 * {@code arch/x86/include/uapi/asm/kvm.h, struct kvm_xsave, v6.1}; Intel SDM vol. 1, "XSAVE Area".
 */
public record KvmXsave(Bytes raw) implements KvmStruct {
  /** Bytes of the struct without what KVM_GET_XSAVE2 may add. */
  public static final int SIZE = 4096;

  private static final int FCW = 0;
  private static final int FSW = 2;
  private static final int FTW = 4;
  private static final int FOP = 6;
  private static final int FIP = 8;
  private static final int FDP = 16;
  private static final int MXCSR = 24;
  private static final int MXCSR_MASK = 28;
  private static final int ST = 32;
  private static final int ST_COUNT = 8;
  private static final int XMM = 160;
  private static final int XMM_COUNT = 16;
  private static final int SW_RESERVED = 464;
  private static final int SW_RESERVED_SIZE = 48;
  private static final int XSTATE_BV = 512;
  private static final int XCOMP_BV = 520;
  private static final int HEADER_REST = 528;
  private static final int HEADER_REST_SIZE = 48;
  private static final int YMMH = 576;
  private static final int EXT = 832;
  private static final int PAIR_SIZE = 16;

  /** The fields of a payload of {@link #SIZE} bytes. */
  public static final StructLayout LAYOUT = layoutOf(SIZE);

  /** A payload of at least {@link #SIZE} bytes. */
  public KvmXsave {
    if (raw.size() < SIZE) {
      throw FormatException.structSize("kvm_xsave", "at least " + SIZE, raw.size());
    }
  }

  /** All zeros. */
  public static KvmXsave zero() {
    return new KvmXsave(Bytes.zero(SIZE));
  }

  /**
   * The layout of {@code count} registers of 16 bytes, {@code name[0].lo}, {@code name[0].hi} and
   * so on.
   */
  static StructLayout pairs(String name, int count) {
    StructLayout.Builder layout = StructLayout.builder(name, count * PAIR_SIZE);
    for (int i = 0; i < count; i++) {
      int at = i * PAIR_SIZE;
      layout.value(name + "[" + i + "].lo", at, 8).value(name + "[" + i + "].hi", at + 8, 8);
    }
    return layout.build();
  }

  private static StructLayout layoutOf(int size) {
    return StructLayout.builder("kvm_xsave", size)
        .value("fcw", FCW, 2)
        .value("fsw", FSW, 2)
        .value("ftw", FTW, 1)
        .value("fop", FOP, 2)
        .value("fip", FIP, 8)
        .value("fdp", FDP, 8)
        .value("mxcsr", MXCSR, 4)
        .value("mxcsr_mask", MXCSR_MASK, 4)
        .include("", ST, pairs("st", ST_COUNT))
        .include("", XMM, pairs("xmm", XMM_COUNT))
        .opaque("sw_reserved", SW_RESERVED, SW_RESERVED_SIZE)
        .value("xstate_bv", XSTATE_BV, 8)
        .value("xcomp_bv", XCOMP_BV, 8)
        .reserved(HEADER_REST, HEADER_REST_SIZE)
        .include("", YMMH, pairs("ymmh", XMM_COUNT))
        .opaque("ext", EXT, size - EXT)
        .build();
  }

  @Override
  public StructLayout layout() {
    return raw.size() == SIZE ? LAYOUT : layoutOf(raw.size());
  }

  /** The x87 control word. */
  public int fcw() {
    return raw.u16(FCW);
  }

  /** The x87 status word. */
  public int fsw() {
    return raw.u16(FSW);
  }

  /** The x87 tag word, abridged. */
  public int ftw() {
    return raw.u8(FTW);
  }

  /** The SSE control and status register. */
  public int mxcsr() {
    return raw.i32(MXCSR);
  }

  /** Which state components the area holds. */
  public long xstateBv() {
    return raw.u64(XSTATE_BV);
  }

  /** Non-zero if the area were compacted, which KVM does not take. */
  public long xcompBv() {
    return raw.u64(XCOMP_BV);
  }

  /** This area with another bitmap of components. */
  public KvmXsave withXstateBv(long value) {
    return new KvmXsave(raw.with(XSTATE_BV, 8, value));
  }

  /** This area with another MXCSR. */
  public KvmXsave withMxcsr(int value) {
    return new KvmXsave(raw.with(MXCSR, 4, value));
  }
}
