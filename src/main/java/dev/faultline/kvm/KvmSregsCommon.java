package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;

/**
 * The special registers of a vCPU, as far as KVM_SET_SREGS and KVM_SET_SREGS2 share them.
 *
 * <p><i>Shape</i>: eight segments (CS DS ES FS GS SS TR LDT), GDT, IDT, CR0, CR2, CR3, CR4, CR8,
 * EFER, APIC base; the same bytes in both structs, {@link #COMMON_SIZE} of them.
 *
 * <p><i>Source</i>: {@code arch/x86/include/uapi/asm/kvm.h, struct kvm_sregs, struct kvm_sregs2,
 * v6.1}.
 */
public sealed interface KvmSregsCommon extends KvmStruct permits KvmSregs, KvmSregs2 {
  /** Bytes of a segment. */
  int SEGMENT_SIZE = KvmSegment.SIZE;

  /** Bytes that both structs share. */
  int COMMON_SIZE = 280;

  /** The fields that both structs share. */
  StructLayout COMMON_LAYOUT = SregsOffsets.layout();

  /** Where a segment register lies. */
  static int offsetOf(SegmentRegister register) {
    return register.ordinal() * KvmSegment.SIZE;
  }

  /** Any of the segment registers. */
  default Segment segment(SegmentRegister register) {
    return KvmSegment.read(raw(), offsetOf(register));
  }

  /** CS. */
  default Segment cs() {
    return segment(SegmentRegister.CS);
  }

  /** DS. */
  default Segment ds() {
    return segment(SegmentRegister.DS);
  }

  /** ES. */
  default Segment es() {
    return segment(SegmentRegister.ES);
  }

  /** FS. */
  default Segment fs() {
    return segment(SegmentRegister.FS);
  }

  /** GS. */
  default Segment gs() {
    return segment(SegmentRegister.GS);
  }

  /** SS. */
  default Segment ss() {
    return segment(SegmentRegister.SS);
  }

  /** TR. */
  default Segment tr() {
    return segment(SegmentRegister.TR);
  }

  /** LDTR. */
  default Segment ldt() {
    return segment(SegmentRegister.LDTR);
  }

  /** The byte {@code cs.l} alone, without making a segment. */
  default int csL() {
    return raw().u8(KvmSegment.L);
  }

  /** GDTR. */
  default DescriptorTable gdt() {
    return KvmSegment.readTable(raw(), SregsOffsets.GDT);
  }

  /** IDTR. */
  default DescriptorTable idt() {
    return KvmSegment.readTable(raw(), SregsOffsets.IDT);
  }

  /** CR0. */
  default long cr0() {
    return raw().u64(SregsOffsets.CR0);
  }

  /** CR2. */
  default long cr2() {
    return raw().u64(SregsOffsets.CR2);
  }

  /** CR3. */
  default long cr3() {
    return raw().u64(SregsOffsets.CR3);
  }

  /** CR4. */
  default long cr4() {
    return raw().u64(SregsOffsets.CR4);
  }

  /** CR8, the task priority. */
  default long cr8() {
    return raw().u64(SregsOffsets.CR8);
  }

  /** IA32_EFER. */
  default long efer() {
    return raw().u64(SregsOffsets.EFER);
  }

  /** IA32_APIC_BASE. */
  default long apicBase() {
    return raw().u64(SregsOffsets.APIC_BASE);
  }

  /** The bytes that both structs share. */
  default Bytes common() {
    return raw().slice(0, COMMON_SIZE);
  }
}
