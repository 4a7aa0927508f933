package dev.faultline.kvm;

import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The ioctls of KVM on x86.
 *
 * <p><i>Shape</i> of a number: direction 31:30, size of the payload 29:16, {@link #KVMIO} 15:8,
 * sequence 7:0. Two ioctls may share a sequence number and differ by direction or size only
 * (KVM_GET_PIT2 and KVM_GET_VCPU_EVENTS): all 32 bits count.
 *
 * <p>Direction and size are what the number says, not always what KVM does: KVM_SET_IRQCHIP reads
 * although it is declared to write, KVM_GET_DEVICE_ATTR writes behind a pointer, and lists have
 * more bytes than their size tells.
 *
 * <p><i>Source</i>: {@code include/uapi/linux/kvm.h, v6.1}; KVM_SET_USER_MEMORY_REGION2,
 * KVM_SET_MEMORY_ATTRIBUTES, KVM_CREATE_GUEST_MEMFD: v6.8; KVM_PRE_FAULT_MEMORY: v6.11.
 */
public enum Ioctl {
  GET_API_VERSION(Direction.NONE, 0x00, 0, FdKind.SYSTEM),
  CREATE_VM(Direction.NONE, 0x01, 0, FdKind.SYSTEM),
  GET_MSR_INDEX_LIST(Direction.READ_WRITE, 0x02, 4, FdKind.SYSTEM),
  CHECK_EXTENSION(Direction.NONE, 0x03, 0, FdKind.SYSTEM, FdKind.VM),
  GET_VCPU_MMAP_SIZE(Direction.NONE, 0x04, 0, FdKind.SYSTEM),
  GET_SUPPORTED_CPUID(Direction.READ_WRITE, 0x05, 8, FdKind.SYSTEM),
  GET_EMULATED_CPUID(Direction.READ_WRITE, 0x09, 8, FdKind.SYSTEM),
  GET_MSR_FEATURE_INDEX_LIST(Direction.READ_WRITE, 0x0a, 4, FdKind.SYSTEM),
  SET_MEMORY_REGION(Direction.WRITE, 0x40, 24, FdKind.VM),
  CREATE_VCPU(Direction.NONE, 0x41, 0, FdKind.VM),
  GET_DIRTY_LOG(Direction.WRITE, 0x42, 16, FdKind.VM),
  SET_NR_MMU_PAGES(Direction.NONE, 0x44, 0, FdKind.VM),
  GET_NR_MMU_PAGES(Direction.NONE, 0x45, 0, FdKind.VM),
  SET_USER_MEMORY_REGION(Direction.WRITE, 0x46, 32, FdKind.VM),
  SET_TSS_ADDR(Direction.NONE, 0x47, 0, FdKind.VM),
  SET_IDENTITY_MAP_ADDR(Direction.WRITE, 0x48, 8, FdKind.VM),
  SET_USER_MEMORY_REGION2(Direction.WRITE, 0x49, 160, FdKind.VM),
  CREATE_IRQCHIP(Direction.NONE, 0x60, 0, FdKind.VM),
  IRQ_LINE(Direction.WRITE, 0x61, 8, FdKind.VM),
  GET_IRQCHIP(Direction.READ_WRITE, 0x62, 520, FdKind.VM),
  SET_IRQCHIP(Direction.READ, 0x63, 520, FdKind.VM),
  CREATE_PIT(Direction.NONE, 0x64, 0, FdKind.VM),
  GET_PIT(Direction.READ_WRITE, 0x65, 72, FdKind.VM),
  SET_PIT(Direction.READ, 0x66, 72, FdKind.VM),
  IRQ_LINE_STATUS(Direction.READ_WRITE, 0x67, 8, FdKind.VM),
  REGISTER_COALESCED_MMIO(Direction.WRITE, 0x67, 16, FdKind.VM),
  UNREGISTER_COALESCED_MMIO(Direction.WRITE, 0x68, 16, FdKind.VM),
  SET_GSI_ROUTING(Direction.WRITE, 0x6a, 8, FdKind.VM),
  REINJECT_CONTROL(Direction.NONE, 0x71, 0, FdKind.VM),
  IRQFD(Direction.WRITE, 0x76, 32, FdKind.VM),
  CREATE_PIT2(Direction.WRITE, 0x77, 64, FdKind.VM),
  SET_BOOT_CPU_ID(Direction.NONE, 0x78, 0, FdKind.VM),
  IOEVENTFD(Direction.WRITE, 0x79, 64, FdKind.VM),
  XEN_HVM_CONFIG(Direction.WRITE, 0x7a, 56, FdKind.VM),
  SET_CLOCK(Direction.WRITE, 0x7b, 48, FdKind.VM),
  GET_CLOCK(Direction.READ, 0x7c, 48, FdKind.VM),
  RUN(Direction.NONE, 0x80, 0, FdKind.VCPU),
  GET_REGS(Direction.READ, 0x81, 144, FdKind.VCPU),
  SET_REGS(Direction.WRITE, 0x82, 144, FdKind.VCPU),
  GET_SREGS(Direction.READ, 0x83, 312, FdKind.VCPU),
  SET_SREGS(Direction.WRITE, 0x84, 312, FdKind.VCPU),
  TRANSLATE(Direction.READ_WRITE, 0x85, 24, FdKind.VCPU),
  INTERRUPT(Direction.WRITE, 0x86, 4, FdKind.VCPU),
  GET_MSRS(Direction.READ_WRITE, 0x88, 8, FdKind.SYSTEM, FdKind.VCPU),
  SET_MSRS(Direction.WRITE, 0x89, 8, FdKind.VCPU),
  SET_CPUID(Direction.WRITE, 0x8a, 8, FdKind.VCPU),
  SET_SIGNAL_MASK(Direction.WRITE, 0x8b, 4, FdKind.VCPU),
  GET_FPU(Direction.READ, 0x8c, 416, FdKind.VCPU),
  SET_FPU(Direction.WRITE, 0x8d, 416, FdKind.VCPU),
  GET_LAPIC(Direction.READ, 0x8e, 1024, FdKind.VCPU),
  SET_LAPIC(Direction.WRITE, 0x8f, 1024, FdKind.VCPU),
  SET_CPUID2(Direction.WRITE, 0x90, 8, FdKind.VCPU),
  GET_CPUID2(Direction.READ_WRITE, 0x91, 8, FdKind.VCPU),
  TPR_ACCESS_REPORTING(Direction.READ_WRITE, 0x92, 40, FdKind.VCPU),
  SET_VAPIC_ADDR(Direction.WRITE, 0x93, 8, FdKind.VCPU),
  GET_MP_STATE(Direction.READ, 0x98, 4, FdKind.VCPU),
  SET_MP_STATE(Direction.WRITE, 0x99, 4, FdKind.VCPU),
  NMI(Direction.NONE, 0x9a, 0, FdKind.VCPU),
  SET_GUEST_DEBUG(Direction.WRITE, 0x9b, 72, FdKind.VCPU),
  X86_SETUP_MCE(Direction.WRITE, 0x9c, 8, FdKind.VCPU),
  X86_GET_MCE_CAP_SUPPORTED(Direction.READ, 0x9d, 8, FdKind.SYSTEM),
  X86_SET_MCE(Direction.WRITE, 0x9e, 64, FdKind.VCPU),
  GET_PIT2(Direction.READ, 0x9f, 112, FdKind.VM),
  GET_VCPU_EVENTS(Direction.READ, 0x9f, 64, FdKind.VCPU),
  SET_PIT2(Direction.WRITE, 0xa0, 112, FdKind.VM),
  SET_VCPU_EVENTS(Direction.WRITE, 0xa0, 64, FdKind.VCPU),
  GET_DEBUGREGS(Direction.READ, 0xa1, 128, FdKind.VCPU),
  SET_TSC_KHZ(Direction.NONE, 0xa2, 0, FdKind.VM, FdKind.VCPU),
  SET_DEBUGREGS(Direction.WRITE, 0xa2, 128, FdKind.VCPU),
  GET_TSC_KHZ(Direction.NONE, 0xa3, 0, FdKind.VM, FdKind.VCPU),
  ENABLE_CAP(Direction.WRITE, 0xa3, 104, FdKind.VM, FdKind.VCPU),
  GET_XSAVE(Direction.READ, 0xa4, 4096, FdKind.VCPU),
  SIGNAL_MSI(Direction.WRITE, 0xa5, 32, FdKind.VM),
  SET_XSAVE(Direction.WRITE, 0xa5, 4096, FdKind.VCPU),
  GET_XCRS(Direction.READ, 0xa6, 392, FdKind.VCPU),
  SET_XCRS(Direction.WRITE, 0xa7, 392, FdKind.VCPU),
  GET_ONE_REG(Direction.WRITE, 0xab, 16, FdKind.VCPU),
  SET_ONE_REG(Direction.WRITE, 0xac, 16, FdKind.VCPU),
  KVMCLOCK_CTRL(Direction.NONE, 0xad, 0, FdKind.VCPU),
  GET_REG_LIST(Direction.READ_WRITE, 0xb0, 8, FdKind.VCPU),
  SET_PMU_EVENT_FILTER(Direction.WRITE, 0xb2, 32, FdKind.VM),
  SMI(Direction.NONE, 0xb7, 0, FdKind.VCPU),
  MEMORY_ENCRYPT_OP(Direction.READ_WRITE, 0xba, 8, FdKind.VM, FdKind.VCPU),
  MEMORY_ENCRYPT_REG_REGION(Direction.READ, 0xbb, 16, FdKind.VM),
  MEMORY_ENCRYPT_UNREG_REGION(Direction.READ, 0xbc, 16, FdKind.VM),
  HYPERV_EVENTFD(Direction.WRITE, 0xbd, 24, FdKind.VM),
  GET_NESTED_STATE(Direction.READ_WRITE, 0xbe, 128, FdKind.VCPU),
  SET_NESTED_STATE(Direction.WRITE, 0xbf, 128, FdKind.VCPU),
  CLEAR_DIRTY_LOG(Direction.READ_WRITE, 0xc0, 24, FdKind.VM),
  GET_SUPPORTED_HV_CPUID(Direction.READ_WRITE, 0xc1, 8, FdKind.SYSTEM, FdKind.VCPU),
  X86_SET_MSR_FILTER(Direction.WRITE, 0xc6, 392, FdKind.VM),
  RESET_DIRTY_RINGS(Direction.NONE, 0xc7, 0, FdKind.VM),
  XEN_HVM_GET_ATTR(Direction.READ_WRITE, 0xc8, 72, FdKind.VM),
  XEN_HVM_SET_ATTR(Direction.WRITE, 0xc9, 72, FdKind.VM),
  XEN_VCPU_GET_ATTR(Direction.READ_WRITE, 0xca, 72, FdKind.VCPU),
  XEN_VCPU_SET_ATTR(Direction.WRITE, 0xcb, 72, FdKind.VCPU),
  GET_SREGS2(Direction.READ, 0xcc, 320, FdKind.VCPU),
  SET_SREGS2(Direction.WRITE, 0xcd, 320, FdKind.VCPU),
  GET_STATS_FD(Direction.NONE, 0xce, 0, FdKind.VM, FdKind.VCPU),
  GET_XSAVE2(Direction.READ, 0xcf, 4096, FdKind.VCPU),
  XEN_HVM_EVTCHN_SEND(Direction.WRITE, 0xd0, 12, FdKind.VM),
  SET_MEMORY_ATTRIBUTES(Direction.WRITE, 0xd2, 32, FdKind.VM),
  CREATE_GUEST_MEMFD(Direction.READ_WRITE, 0xd4, 64, FdKind.VM),
  PRE_FAULT_MEMORY(Direction.READ_WRITE, 0xd5, 64, FdKind.VCPU),
  CREATE_DEVICE(Direction.READ_WRITE, 0xe0, 12, FdKind.VM),
  SET_DEVICE_ATTR(Direction.WRITE, 0xe1, 24, FdKind.SYSTEM, FdKind.VM, FdKind.VCPU, FdKind.DEVICE),
  GET_DEVICE_ATTR(Direction.WRITE, 0xe2, 24, FdKind.SYSTEM, FdKind.VM, FdKind.VCPU, FdKind.DEVICE),
  HAS_DEVICE_ATTR(Direction.WRITE, 0xe3, 24, FdKind.SYSTEM, FdKind.VM, FdKind.VCPU, FdKind.DEVICE);

  /** The type byte of every KVM ioctl. */
  public static final int KVMIO = 0xae;

  private static final int TYPE_SHIFT = 8;
  private static final int SIZE_SHIFT = 16;
  private static final int DIRECTION_SHIFT = 30;
  private static final int BYTE_MASK = 0xff;

  private static final TreeMap<Integer, Ioctl> BY_NUMBER = new TreeMap<>();

  static {
    for (Ioctl ioctl : values()) {
      BY_NUMBER.put(ioctl.number, ioctl);
    }
  }

  private final Direction direction;
  private final int size;
  private final int number;
  private final int kinds;
  private final String uapiName;

  Ioctl(Direction direction, int sequence, int size, FdKind... kinds) {
    this.direction = direction;
    this.size = size;
    this.number =
        direction.ordinal() << DIRECTION_SHIFT | size << SIZE_SHIFT | 0xae << TYPE_SHIFT | sequence;
    int bits = 0;
    for (FdKind kind : kinds) {
      bits |= 1 << kind.ordinal();
    }
    this.kinds = bits;
    this.uapiName = "KVM_" + name();
  }

  /**
   * Which way the payload goes, as the number says it; seen from userspace. The order is that of
   * the bits.
   */
  public enum Direction {
    /** There is no payload; the argument may be a number. */
    NONE,
    /** Userspace writes, KVM reads. */
    WRITE,
    /** KVM writes, userspace reads. */
    READ,
    /** Both. */
    READ_WRITE
  }

  /** The ioctl of that number; null if KVM on x86 has none. */
  public static @Nullable Ioctl of(int req) {
    return BY_NUMBER.get(req);
  }

  /** The ioctl of that number, if descriptors of that kind take it; else null. */
  public static @Nullable Ioctl of(int req, FdKind kind) {
    Ioctl ioctl = of(req);
    return ioctl != null && ioctl.takenBy(kind) ? ioctl : null;
  }

  /** The ioctl of that full name, {@code KVM_SET_SREGS}; null if there is none. */
  public static @Nullable Ioctl ofName(String uapiName) {
    for (Ioctl ioctl : values()) {
      if (ioctl.uapiName.equals(uapiName)) {
        return ioctl;
      }
    }
    return null;
  }

  /** True if the number is that of a KVM ioctl, known or not. */
  public static boolean isKvm(int req) {
    return (req >>> TYPE_SHIFT & BYTE_MASK) == KVMIO;
  }

  /** All 32 bits. */
  public int number() {
    return number;
  }

  /** The name in the uapi, {@code KVM_SET_SREGS}. */
  public String uapiName() {
    return uapiName;
  }

  /** Which way the payload goes. */
  public Direction direction() {
    return direction;
  }

  /** Bytes of the payload; of a list, of its header. */
  public int size() {
    return size;
  }

  /** True if descriptors of that kind take the ioctl. */
  public boolean takenBy(FdKind kind) {
    return (kinds & 1 << kind.ordinal()) != 0;
  }
}
