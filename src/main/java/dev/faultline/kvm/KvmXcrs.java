package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import java.util.Objects;

/**
 * The extended control registers of a vCPU; only XCR0 exists.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_XCRS", "KVM_SET_XCRS"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_xcrs, v6.1}.
 */
public record KvmXcrs(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 392;

  /** How many entries there are room for. */
  public static final int XCR_COUNT = 16;

  private static final int NR_XCRS = 0;
  private static final int XCRS = 8;
  private static final int XCR_SIZE = 16;
  private static final int XCR = 0;
  private static final int XCR_RESERVED = 4;
  private static final int VALUE = 8;
  private static final int FLAGS = 4;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_xcrs", SIZE)
          .value("nr_xcrs", NR_XCRS, 4)
          .value("flags", FLAGS, 4)
          .include("", XCRS, xcrs())
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmXcrs {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_xcrs", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmXcrs zero() {
    return new KvmXcrs(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** How many entries count. */
  public int nrXcrs() {
    return raw.i32(NR_XCRS);
  }

  /** Must be zero. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** This struct with another {@code nr_xcrs}. */
  public KvmXcrs withNrXcrs(int value) {
    return new KvmXcrs(raw.with(NR_XCRS, 4, value));
  }

  /** This struct with another {@code flags}. */
  public KvmXcrs withFlags(int value) {
    return new KvmXcrs(raw.with(FLAGS, 4, value));
  }

  /** The number of the register in entry {@code i}. */
  public int xcr(int i) {
    return raw.i32(entry(i) + XCR);
  }

  /** The value of the register in entry {@code i}. */
  public long value(int i) {
    return raw.u64(entry(i) + VALUE);
  }

  /** Whether this is what {@link #withXcr0} makes of a struct of zeros. */
  public boolean isXcr0Alone() {
    return nrXcrs() == 1
        && flags() == 0
        && raw.u64(XCRS + XCR) == 0
        && raw.isZero(XCRS + XCR_SIZE, SIZE - XCRS - XCR_SIZE);
  }

  /** This struct with one entry: XCR0. */
  public KvmXcrs withXcr0(long xcr0) {
    return new KvmXcrs(
        raw.toBuilder()
            .put(NR_XCRS, 4, 1)
            .put(XCRS + XCR, 4, 0)
            .put(XCRS + VALUE, 8, xcr0)
            .build());
  }

  private static int entry(int i) {
    return XCRS + Objects.checkIndex(i, XCR_COUNT) * XCR_SIZE;
  }

  private static StructLayout xcrs() {
    StructLayout.Builder layout = StructLayout.builder("xcrs", XCR_COUNT * XCR_SIZE);
    for (int i = 0; i < XCR_COUNT; i++) {
      String prefix = "xcrs[" + i + "].";
      int at = i * XCR_SIZE;
      layout
          .value(prefix + "xcr", at + XCR, 4)
          .reserved(at + XCR_RESERVED, 4)
          .value(prefix + "value", at + VALUE, 8);
    }
    return layout.build();
  }
}
