package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.Objects;

/**
 * The special registers of a vCPU, as KVM_GET_SREGS2 and KVM_SET_SREGS2 carry them: with the
 * PDPTRs, and without a bitmap of interrupts.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_SREGS2", "KVM_SET_SREGS2";
 * {@code arch/x86/include/uapi/asm/kvm.h, struct kvm_sregs2, v6.1}.
 */
public record KvmSregs2(Bytes raw) implements KvmSregsCommon {
  /** Bytes of the struct. */
  public static final int SIZE = 320;

  /** The flag that the PDPTRs count. */
  public static final long KVM_SREGS2_FLAGS_PDPTRS_VALID = 1;

  /** How many PDPTRs. */
  public static final int PDPTR_COUNT = 4;

  private static final int FLAGS = 280;
  private static final int PDPTRS = 288;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_sregs2", SIZE)
          .include("", 0, COMMON_LAYOUT)
          .value("flags", FLAGS, 8)
          .values("pdptrs", PDPTRS, 8, PDPTR_COUNT)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmSregs2 {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_sregs2", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmSregs2 zero() {
    return new KvmSregs2(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** {@link #KVM_SREGS2_FLAGS_PDPTRS_VALID} or nothing. */
  public long flags() {
    return raw.u64(FLAGS);
  }

  /** A page-directory-pointer-table entry; {@code index} is 0 to 3. */
  public long pdptrs(int index) {
    return raw.u64(PDPTRS + 8 * Objects.checkIndex(index, PDPTR_COUNT));
  }

  /** These registers with other flags. */
  public KvmSregs2 withFlags(long value) {
    return new KvmSregs2(raw.with(FLAGS, 8, value));
  }

  /** These registers with another PDPTR. */
  public KvmSregs2 withPdptrs(int index, long value) {
    return new KvmSregs2(raw.with(PDPTRS + 8 * Objects.checkIndex(index, PDPTR_COUNT), 8, value));
  }

  /** These registers with another CR0. */
  public KvmSregs2 withCr0(long value) {
    return new KvmSregs2(raw.with(SregsOffsets.CR0, 8, value));
  }

  /** These registers with another CR2. */
  public KvmSregs2 withCr2(long value) {
    return new KvmSregs2(raw.with(SregsOffsets.CR2, 8, value));
  }

  /** These registers with another CR3. */
  public KvmSregs2 withCr3(long value) {
    return new KvmSregs2(raw.with(SregsOffsets.CR3, 8, value));
  }

  /** These registers with another CR4. */
  public KvmSregs2 withCr4(long value) {
    return new KvmSregs2(raw.with(SregsOffsets.CR4, 8, value));
  }

  /** These registers with another CR8. */
  public KvmSregs2 withCr8(long value) {
    return new KvmSregs2(raw.with(SregsOffsets.CR8, 8, value));
  }

  /** These registers with another EFER. */
  public KvmSregs2 withEfer(long value) {
    return new KvmSregs2(raw.with(SregsOffsets.EFER, 8, value));
  }

  /** These registers with another APIC base. */
  public KvmSregs2 withApicBase(long value) {
    return new KvmSregs2(raw.with(SregsOffsets.APIC_BASE, 8, value));
  }

  /** These registers with another segment. */
  public KvmSregs2 withSegment(SegmentRegister register, Segment segment) {
    Bytes.Builder to = raw.toBuilder();
    KvmSegment.put(segment, to, KvmSregsCommon.offsetOf(register));
    return new KvmSregs2(to.build());
  }

  /** These registers with another GDTR. */
  public KvmSregs2 withGdt(DescriptorTable table) {
    Bytes.Builder to = raw.toBuilder();
    KvmSegment.putTable(table, to, SregsOffsets.GDT);
    return new KvmSregs2(to.build());
  }

  /** These registers with another IDTR. */
  public KvmSregs2 withIdt(DescriptorTable table) {
    Bytes.Builder to = raw.toBuilder();
    KvmSegment.putTable(table, to, SregsOffsets.IDT);
    return new KvmSregs2(to.build());
  }
}
