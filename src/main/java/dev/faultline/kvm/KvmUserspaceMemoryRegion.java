package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * A slot of guest memory, made, moved or, with size 0, taken away.
 *
 * <p><i>Units</i>: bytes.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_USER_MEMORY_REGION"; {@code
 * include/uapi/linux/kvm.h, struct kvm_userspace_memory_region, v6.1}.
 */
public record KvmUserspaceMemoryRegion(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 32;

  private static final int SLOT = 0;
  private static final int FLAGS = 4;
  private static final int GUEST_PHYS_ADDR = 8;
  private static final int MEMORY_SIZE = 16;
  private static final int USERSPACE_ADDR = 24;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_userspace_memory_region", SIZE)
          .value("slot", SLOT, 4)
          .value("flags", FLAGS, 4)
          .value("guest_phys_addr", GUEST_PHYS_ADDR, 8)
          .value("memory_size", MEMORY_SIZE, 8)
          .value("userspace_addr", USERSPACE_ADDR, 8)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmUserspaceMemoryRegion {
    if (raw.size() != SIZE) {
      throw FormatException.structSize(
          "kvm_userspace_memory_region", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmUserspaceMemoryRegion zero() {
    return new KvmUserspaceMemoryRegion(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The slot: index 15:0, address space 31:16 (1 is SMM). */
  public int slot() {
    return raw.i32(SLOT);
  }

  /** {@link #KVM_MEM_LOG_DIRTY_PAGES}, {@link #KVM_MEM_READONLY}. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** Where the guest sees it. */
  public long guestPhysAddr() {
    return raw.u64(GUEST_PHYS_ADDR);
  }

  /** Bytes; 0 takes the slot away. */
  public long memorySize() {
    return raw.u64(MEMORY_SIZE);
  }

  /** Where the VMM has it. */
  public long userspaceAddr() {
    return raw.u64(USERSPACE_ADDR);
  }

  /** This struct with another {@code slot}. */
  public KvmUserspaceMemoryRegion withSlot(int value) {
    return new KvmUserspaceMemoryRegion(raw.with(SLOT, 4, value));
  }

  /** This struct with another {@code flags}. */
  public KvmUserspaceMemoryRegion withFlags(int value) {
    return new KvmUserspaceMemoryRegion(raw.with(FLAGS, 4, value));
  }

  /** This struct with another {@code guest_phys_addr}. */
  public KvmUserspaceMemoryRegion withGuestPhysAddr(long value) {
    return new KvmUserspaceMemoryRegion(raw.with(GUEST_PHYS_ADDR, 8, value));
  }

  /** This struct with another {@code memory_size}. */
  public KvmUserspaceMemoryRegion withMemorySize(long value) {
    return new KvmUserspaceMemoryRegion(raw.with(MEMORY_SIZE, 8, value));
  }

  /** This struct with another {@code userspace_addr}. */
  public KvmUserspaceMemoryRegion withUserspaceAddr(long value) {
    return new KvmUserspaceMemoryRegion(raw.with(USERSPACE_ADDR, 8, value));
  }

  /** Keep a bitmap of written pages. */
  public static final int KVM_MEM_LOG_DIRTY_PAGES = 1;

  /** Writes of the guest exit to userspace. */
  public static final int KVM_MEM_READONLY = 1 << 1;

  private static final int ADDRESS_SPACE_SHIFT = 16;

  /** The address space of the slot: 0, or 1 for SMM. */
  public int addressSpace() {
    return slot() >>> ADDRESS_SPACE_SHIFT;
  }
}
