package dev.faultline.kvm;

import dev.faultline.StructLayout;
import dev.faultline.x86.SegmentRegister;

/** Where the fields lie that kvm_sregs and kvm_sregs2 share. */
final class SregsOffsets {
  static final int GDT = 192;
  static final int IDT = 208;
  static final int CR0 = 224;
  static final int CR2 = 232;
  static final int CR3 = 240;
  static final int CR4 = 248;
  static final int CR8 = 256;
  static final int EFER = 264;
  static final int APIC_BASE = 272;

  private SregsOffsets() {}

  static StructLayout layout() {
    StructLayout.Builder layout =
        StructLayout.builder("kvm_sregs_common", KvmSregsCommon.COMMON_SIZE);
    for (SegmentRegister register : SegmentRegister.values()) {
      layout.include(
          register.uapiName() + ".", KvmSregsCommon.offsetOf(register), KvmSegment.LAYOUT);
    }
    return layout
        .include("gdt.", GDT, KvmSegment.DTABLE_LAYOUT)
        .include("idt.", IDT, KvmSegment.DTABLE_LAYOUT)
        .value("cr0", CR0, 8)
        .value("cr2", CR2, 8)
        .value("cr3", CR3, 8)
        .value("cr4", CR4, 8)
        .value("cr8", CR8, 8)
        .value("efer", EFER, 8)
        .value("apic_base", APIC_BASE, 8)
        .build();
  }
}
