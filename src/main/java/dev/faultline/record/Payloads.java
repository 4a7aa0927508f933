package dev.faultline.record;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmGsiRouting;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmXsave;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/**
 * How many bytes an ioctl really reads and writes: its number tells only the size of a list's
 * header.
 */
final class Payloads {
  private static final VarHandle U32 =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle U64 =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private static final int INDEX_SIZE = 4;
  private static final int CPUID_ENTRY_SIZE = 24;
  private static final int REG_SIZE = 8;
  private static final int PMU_FILTER_HEADER = 32;
  private static final int PMU_EVENT_SIZE = 8;
  private static final int LONGEST_SIGSET = 128;
  private static final int NESTED_SIZE_AT = 4;
  private static final int SIZE_SHIFT = 16;
  private static final int SIZE_MASK = 0x3fff;
  private static final int DIRECTION_SHIFT = 30;
  private static final int PAGE_SHIFT = 12;

  private Payloads() {}

  static int u32(byte[] bytes, int at) {
    return (int) U32.get(bytes, at);
  }

  static long u64(byte[] bytes, int at) {
    return (long) U64.get(bytes, at);
  }

  /** Which way the payload goes; an ioctl without a name says so itself. */
  private static Ioctl.Direction direction(@Nullable Ioctl ioctl, int req) {
    return ioctl != null ? ioctl.direction() : Ioctl.Direction.values()[req >>> DIRECTION_SHIFT];
  }

  /** True if KVM reads what the argument points to. */
  static boolean reads(@Nullable Ioctl ioctl, int req) {
    return switch (direction(ioctl, req)) {
      case WRITE, READ_WRITE -> true;
      // Declared to be written only, for the sake of old binaries; it is read.
      case READ -> ioctl == Ioctl.SET_IRQCHIP || ioctl == Ioctl.SET_PIT;
      case NONE -> false;
    };
  }

  /** True if KVM writes to what the argument points to. */
  static boolean writes(@Nullable Ioctl ioctl, int req) {
    return switch (direction(ioctl, req)) {
      case READ, READ_WRITE -> true;
      case WRITE, NONE -> false;
    };
  }

  /** Bytes that must be read to know how many there are. */
  static int headSize(@Nullable Ioctl ioctl, int req) {
    return ioctl != null ? ioctl.size() : req >>> SIZE_SHIFT & SIZE_MASK;
  }

  /**
   * Bytes that KVM reads, by the header in {@code head}; more than fit, where a count is absurd.
   */
  static long inSize(@Nullable Ioctl ioctl, int req, byte[] head, @Nullable KvmObject object) {
    int size = headSize(ioctl, req);
    return ioctl == null
        ? size
        : switch (ioctl) {
          case SET_CPUID2 -> list(head, size, KvmCpuid2.ENTRY_SIZE);
          case SET_CPUID -> list(head, size, CPUID_ENTRY_SIZE);
          case GET_MSRS, SET_MSRS -> list(head, size, KvmMsrs.ENTRY_SIZE);
          case SET_GSI_ROUTING -> list(head, size, KvmGsiRouting.ENTRY_SIZE);
          case SET_SIGNAL_MASK ->
              size + Math.min(Integer.toUnsignedLong(u32(head, 0)), LONGEST_SIGSET);
          case SET_NESTED_STATE ->
              Math.max(size, Integer.toUnsignedLong(u32(head, NESTED_SIZE_AT)));
          case SET_PMU_EVENT_FILTER ->
              PMU_FILTER_HEADER + Integer.toUnsignedLong(u32(head, 4)) * PMU_EVENT_SIZE;
          case SET_XSAVE -> xsaveSize(object);
          default -> size;
        };
  }

  /** Bytes that KVM wrote, by the header in {@code head} as it is after the call. */
  static long outSize(
      @Nullable Ioctl ioctl, int req, byte[] head, @Nullable KvmObject object, boolean failed) {
    int size = headSize(ioctl, req);
    if (ioctl == null) {
      return size;
    }
    return switch (ioctl) {
      case GET_MSR_INDEX_LIST, GET_MSR_FEATURE_INDEX_LIST ->
          failed ? size : list(head, size, INDEX_SIZE);
      case GET_SUPPORTED_CPUID, GET_EMULATED_CPUID, GET_CPUID2, GET_SUPPORTED_HV_CPUID ->
          failed ? size : list(head, size, KvmCpuid2.ENTRY_SIZE);
      case GET_REG_LIST -> failed ? size : size + u64(head, 0) * REG_SIZE;
      case GET_MSRS -> list(head, size, KvmMsrs.ENTRY_SIZE);
      case GET_NESTED_STATE ->
          failed ? size : Math.max(size, Integer.toUnsignedLong(u32(head, NESTED_SIZE_AT)));
      case GET_XSAVE2 -> xsaveSize(object);
      default -> size;
    };
  }

  private static long list(byte[] head, int headSize, int entrySize) {
    return headSize + Integer.toUnsignedLong(u32(head, 0)) * entrySize;
  }

  private static long xsaveSize(@Nullable KvmObject object) {
    KvmObject vm = object == null ? null : object.vm();
    return Math.max(KvmXsave.SIZE, vm == null ? 0 : vm.xsaveSize());
  }

  /** Bytes of a dirty bitmap of so many bytes of guest memory: a bit a page, in words of 64. */
  static long bitmapSize(long pages) {
    return (pages + Long.SIZE - 1) / Long.SIZE * Long.BYTES;
  }

  /** Pages of a slot. */
  static long pages(KvmObject.Slot slot) {
    return slot.sizeBytes() >>> PAGE_SHIFT;
  }
}
