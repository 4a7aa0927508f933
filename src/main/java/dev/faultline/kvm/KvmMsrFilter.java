package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import java.util.Objects;

/**
 * Which MSRs a guest may read and write without asking userspace.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_X86_SET_MSR_FILTER"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_msr_filter, v6.1}.
 */
public record KvmMsrFilter(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 392;

  /** How many ranges. */
  public static final int RANGE_COUNT = 16;

  private static final int FLAGS = 0;
  private static final int RANGES = 8;
  private static final int RANGE_SIZE = 24;
  private static final int RANGE_FLAGS = 0;
  private static final int RANGE_NMSRS = 4;
  private static final int RANGE_BASE = 8;
  private static final int RANGE_BITMAP = 16;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_msr_filter", SIZE)
          .value("flags", FLAGS, 4)
          .include("", RANGES, ranges())
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmMsrFilter {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_msr_filter", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmMsrFilter zero() {
    return new KvmMsrFilter(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** Whether what no range names is allowed or denied. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** What no range names is denied. */
  public static final int KVM_MSR_FILTER_DEFAULT_DENY = 1;

  /** The range is about reads. */
  public static final int KVM_MSR_FILTER_READ = 1;

  /** The range is about writes. */
  public static final int KVM_MSR_FILTER_WRITE = 1 << 1;

  /** Reads, writes or both; of range {@code i}. */
  public int rangeFlags(int i) {
    return raw.i32(range(i) + RANGE_FLAGS);
  }

  /** How many MSRs the bitmap of range {@code i} covers; 0 if the range is not used. */
  public int rangeNmsrs(int i) {
    return raw.i32(range(i) + RANGE_NMSRS);
  }

  /** The first MSR of range {@code i}. */
  public int rangeBase(int i) {
    return raw.i32(range(i) + RANGE_BASE);
  }

  /** Where the VMM has the bitmap of range {@code i}. */
  public long rangeBitmap(int i) {
    return raw.u64(range(i) + RANGE_BITMAP);
  }

  private static int range(int i) {
    return RANGES + Objects.checkIndex(i, RANGE_COUNT) * RANGE_SIZE;
  }

  private static StructLayout ranges() {
    StructLayout.Builder layout = StructLayout.builder("ranges", RANGE_COUNT * RANGE_SIZE);
    for (int i = 0; i < RANGE_COUNT; i++) {
      String prefix = "ranges[" + i + "].";
      int at = i * RANGE_SIZE;
      layout
          .value(prefix + "flags", at + RANGE_FLAGS, 4)
          .value(prefix + "nmsrs", at + RANGE_NMSRS, 4)
          .value(prefix + "base", at + RANGE_BASE, 4)
          .value(prefix + "bitmap", at + RANGE_BITMAP, 8);
    }
    return layout.build();
  }
}
