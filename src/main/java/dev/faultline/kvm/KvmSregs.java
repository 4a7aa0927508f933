package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.Objects;

/**
 * The special registers of a vCPU, as KVM_GET_SREGS and KVM_SET_SREGS carry them.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_SREGS", "KVM_SET_SREGS";
 * {@code arch/x86/include/uapi/asm/kvm.h, struct kvm_sregs, v6.1}.
 */
public record KvmSregs(Bytes raw) implements KvmSregsCommon {
  /** Bytes of the struct. */
  public static final int SIZE = 312;

  /** Words of the interrupt bitmap. */
  public static final int BITMAP_COUNT = 4;

  private static final int INTERRUPT_BITMAP = 280;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_sregs", SIZE)
          .include("", 0, COMMON_LAYOUT)
          .values("interrupt_bitmap", INTERRUPT_BITMAP, 8, BITMAP_COUNT)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmSregs {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_sregs", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmSregs zero() {
    return new KvmSregs(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** 64 vectors of the bitmap of interrupts being delivered; {@code index} is 0 to 3. */
  public long interruptBitmap(int index) {
    return raw.u64(INTERRUPT_BITMAP + 8 * Objects.checkIndex(index, BITMAP_COUNT));
  }

  /** The lowest vector in the interrupt bitmap, the only one that KVM takes; -1 if it is empty. */
  public int lowestInterrupt() {
    for (int i = 0; i < BITMAP_COUNT; i++) {
      long word = interruptBitmap(i);
      if (word != 0) {
        return i * Long.SIZE + Long.numberOfTrailingZeros(word);
      }
    }
    return -1;
  }

  /** These registers with 64 other vectors in the interrupt bitmap. */
  public KvmSregs withInterruptBitmap(int index, long value) {
    return new KvmSregs(
        raw.with(INTERRUPT_BITMAP + 8 * Objects.checkIndex(index, BITMAP_COUNT), 8, value));
  }

  /** These registers with another CR0. */
  public KvmSregs withCr0(long value) {
    return new KvmSregs(raw.with(SregsOffsets.CR0, 8, value));
  }

  /** These registers with another CR2. */
  public KvmSregs withCr2(long value) {
    return new KvmSregs(raw.with(SregsOffsets.CR2, 8, value));
  }

  /** These registers with another CR3. */
  public KvmSregs withCr3(long value) {
    return new KvmSregs(raw.with(SregsOffsets.CR3, 8, value));
  }

  /** These registers with another CR4. */
  public KvmSregs withCr4(long value) {
    return new KvmSregs(raw.with(SregsOffsets.CR4, 8, value));
  }

  /** These registers with another CR8. */
  public KvmSregs withCr8(long value) {
    return new KvmSregs(raw.with(SregsOffsets.CR8, 8, value));
  }

  /** These registers with another EFER. */
  public KvmSregs withEfer(long value) {
    return new KvmSregs(raw.with(SregsOffsets.EFER, 8, value));
  }

  /** These registers with another APIC base. */
  public KvmSregs withApicBase(long value) {
    return new KvmSregs(raw.with(SregsOffsets.APIC_BASE, 8, value));
  }

  /** These registers with another segment. */
  public KvmSregs withSegment(SegmentRegister register, Segment segment) {
    Bytes.Builder to = raw.toBuilder();
    KvmSegment.put(segment, to, KvmSregsCommon.offsetOf(register));
    return new KvmSregs(to.build());
  }

  /** These registers with another GDTR. */
  public KvmSregs withGdt(DescriptorTable table) {
    Bytes.Builder to = raw.toBuilder();
    KvmSegment.putTable(table, to, SregsOffsets.GDT);
    return new KvmSregs(to.build());
  }

  /** These registers with another IDTR. */
  public KvmSregs withIdt(DescriptorTable table) {
    Bytes.Builder to = raw.toBuilder();
    KvmSegment.putTable(table, to, SregsOffsets.IDT);
    return new KvmSregs(to.build());
  }
}
