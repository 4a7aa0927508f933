package dev.faultline.record;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A guest of two instructions, run once to see what the host's KVM traces of a guest. */
final class TrialGuest {
  private static final int O_RDWR_CLOEXEC = 2 | 0x80000;
  private static final long PAGE_SIZE = 4096;
  private static final long CODE_AT = 0x1000;

  /** {@code out 0x10, al; hlt}. */
  private static final byte[] CODE = {(byte) 0xe6, 0x10, (byte) 0xf4};

  private static final int REGION_SIZE = 32;
  private static final int REGION_GPA_AT = 8;
  private static final int REGION_SIZE_AT = 16;
  private static final int REGION_ADDRESS_AT = 24;
  private static final int CS_SELECTOR_AT = 12;
  private static final int RIP_AT = 128;
  private static final int RFLAGS_AT = 136;
  private static final int RFLAGS_RESERVED = 2;

  private TrialGuest() {}

  /** Runs it in this thread; false if this machine has no KVM for us. */
  static boolean run(LibC libc) {
    try (Arena arena = Arena.ofConfined()) {
      int kvm = libc.open(arena.allocateFrom("/dev/kvm"), O_RDWR_CLOEXEC);
      int vm = kvm < 0 ? -1 : libc.ioctl(kvm, number(Ioctl.CREATE_VM), 0);
      int vcpu = vm < 0 ? -1 : prepared(libc, arena, vm);
      boolean ran = vcpu >= 0 && libc.ioctl(vcpu, number(Ioctl.RUN), 0) == 0;
      for (int fd : new int[] {vcpu, vm, kvm}) {
        if (fd >= 0) {
          libc.close(fd);
        }
      }
      return ran;
    }
  }

  private static long number(Ioctl ioctl) {
    return Integer.toUnsignedLong(ioctl.number());
  }

  /** A vCPU in real mode, at the code. */
  private static int prepared(LibC libc, Arena arena, int vm) {
    MemorySegment memory = arena.allocate(PAGE_SIZE, PAGE_SIZE);
    MemorySegment.copy(CODE, 0, memory, ValueLayout.JAVA_BYTE, 0, CODE.length);
    MemorySegment region = arena.allocate(REGION_SIZE, Long.BYTES);
    region.set(ValueLayout.JAVA_LONG, REGION_GPA_AT, CODE_AT);
    region.set(ValueLayout.JAVA_LONG, REGION_SIZE_AT, PAGE_SIZE);
    region.set(ValueLayout.JAVA_LONG, REGION_ADDRESS_AT, memory.address());
    if (libc.ioctl(vm, number(Ioctl.SET_USER_MEMORY_REGION), region.address()) != 0) {
      return -1;
    }
    int vcpu = libc.ioctl(vm, number(Ioctl.CREATE_VCPU), 0);
    MemorySegment sregs = arena.allocate(KvmSregs.SIZE, Long.BYTES);
    if (vcpu < 0 || libc.ioctl(vcpu, number(Ioctl.GET_SREGS), sregs.address()) != 0) {
      return vcpu;
    }
    sregs.set(ValueLayout.JAVA_LONG, 0, 0);
    sregs.set(ValueLayout.JAVA_SHORT, CS_SELECTOR_AT, (short) 0);
    MemorySegment regs = arena.allocate(KvmRegs.SIZE, Long.BYTES);
    regs.set(ValueLayout.JAVA_LONG, RIP_AT, CODE_AT);
    regs.set(ValueLayout.JAVA_LONG, RFLAGS_AT, RFLAGS_RESERVED);
    var _ = libc.ioctl(vcpu, number(Ioctl.SET_SREGS), sregs.address());
    var _ = libc.ioctl(vcpu, number(Ioctl.SET_REGS), regs.address());
    return vcpu;
  }
}
