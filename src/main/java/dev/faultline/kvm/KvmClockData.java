package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The clock that a VM's guests read by kvmclock.
 *
 * <p><i>Units</i>: nanoseconds; host_tsc in TSC ticks.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_CLOCK", "KVM_SET_CLOCK";
 * {@code include/uapi/linux/kvm.h, struct kvm_clock_data, v6.1}.
 */
public record KvmClockData(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 48;

  private static final int CLOCK = 0;
  private static final int FLAGS = 8;
  private static final int REALTIME = 16;
  private static final int HOST_TSC = 24;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_clock_data", SIZE)
          .value("clock", CLOCK, 8)
          .value("flags", FLAGS, 4)
          .value("realtime", REALTIME, 8)
          .value("host_tsc", HOST_TSC, 8)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmClockData {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_clock_data", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmClockData zero() {
    return new KvmClockData(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** Nanoseconds of kvmclock. */
  public long clock() {
    return raw.u64(CLOCK);
  }

  /** Which of the others count: {@link #KVM_CLOCK_TSC_STABLE} and its kind. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** Nanoseconds of CLOCK_REALTIME at that moment. */
  public long realtime() {
    return raw.u64(REALTIME);
  }

  /** The host's TSC at that moment. */
  public long hostTsc() {
    return raw.u64(HOST_TSC);
  }

  /** This struct with another {@code clock}. */
  public KvmClockData withClock(long value) {
    return new KvmClockData(raw.with(CLOCK, 8, value));
  }

  /** This struct with another {@code flags}. */
  public KvmClockData withFlags(int value) {
    return new KvmClockData(raw.with(FLAGS, 4, value));
  }

  /** This struct with another {@code realtime}. */
  public KvmClockData withRealtime(long value) {
    return new KvmClockData(raw.with(REALTIME, 8, value));
  }

  /** This struct with another {@code host_tsc}. */
  public KvmClockData withHostTsc(long value) {
    return new KvmClockData(raw.with(HOST_TSC, 8, value));
  }

  /** The TSCs of all vCPUs run alike. */
  public static final int KVM_CLOCK_TSC_STABLE = 1 << 1;

  /** {@code realtime} counts. */
  public static final int KVM_CLOCK_REALTIME = 1 << 2;

  /** {@code host_tsc} counts. */
  public static final int KVM_CLOCK_HOST_TSC = 1 << 3;
}
