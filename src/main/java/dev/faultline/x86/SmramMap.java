package dev.faultline.x86;

import dev.faultline.StructLayout;

/**
 * Where KVM saves a vCPU's state in SMRAM on SMI, and finds it on RSM: the last 512 bytes of 64 KiB
 * from SMBASE.
 *
 * <p><i>Shape</i>: the 64-bit map is the one of AMD64, even for Intel guests; the 32-bit map is the
 * one of the P6. Which of them is used hangs on {@link Cpuid#LEAF80000001_EDX_LM} in the guest's
 * CPUID alone, at SMI and again at RSM. Offsets are bytes from SMBASE + {@link #BASE}; the SDM
 * counts them from SMBASE, {@code 0xfe00} and up.
 *
 * <p>Segment flags in the 32-bit map: G 23, DB 22, L 21, AVL 20, P 15, DPL 14:13, S 12, type 11:8.
 * In the 64-bit map they are shifted right by 8 to 16 bits: the access rights of a VMCS without
 * unusable.
 *
 * <p><i>Source</i>: AMD APM vol. 2, "SMRAM State-Save Area"; {@code arch/x86/kvm/x86.c,
 * enter_smm_save_state_64(), enter_smm_save_state_32(), v6.1}.
 */
public final class SmramMap {
  /** Bytes from SMBASE to the map. */
  public static final int BASE = 0xfe00;

  /** Bytes of the map. */
  public static final int SIZE = 512;

  /** The revision that KVM writes into a 64-bit map. */
  public static final int REVISION_64 = 0x0002_0064;

  /** The revision that KVM writes into a 32-bit map. */
  public static final int REVISION_32 = 0x0002_0000;

  /** How far the segment flags of the 32-bit map are to the left of those of the 64-bit map. */
  public static final int FLAGS_SHIFT = 8;

  private static final int SEGMENT_STRIDE = 16;
  private static final int REGISTER_SIZE = 8;

  /** The 64-bit map. */
  public static final StructLayout LAYOUT_64 = layout64();

  /** The 32-bit map. */
  public static final StructLayout LAYOUT_32 = layout32();

  private SmramMap() {}

  private static StructLayout layout64() {
    StructLayout.Builder map =
        StructLayout.builder("smram64", SIZE)
            .value("gdtr.limit", at(0xfe64), 4)
            .value("gdtr.base", at(0xfe68), 8)
            .value("idtr.limit", at(0xfe84), 4)
            .value("idtr.base", at(0xfe88), 8)
            .value("io_restart_rip", at(0xfea0), 8)
            .value("io_restart_rcx", at(0xfea8), 8)
            .value("io_restart_rsi", at(0xfeb0), 8)
            .value("io_restart_rdi", at(0xfeb8), 8)
            .value("io_restart_dword", at(0xfec0), 4)
            .value("io_inst_restart", at(0xfec8), 1)
            .value("auto_hlt_restart", at(0xfec9), 1)
            .value("amd_nmi_mask", at(0xfeca), 1)
            .value("int_shadow", at(0xfecb), 1)
            .value("efer", at(0xfed0), 8)
            .value("svm_guest_flag", at(0xfed8), 8)
            .value("svm_guest_vmcb_gpa", at(0xfee0), 8)
            .value("svm_guest_virtual_int", at(0xfee8), 8)
            .value("smm_revision", at(0xfefc), 4)
            .value("smbase", at(0xff00), 4)
            .value("ssp", at(0xff18), 8)
            .value("svm_guest_pat", at(0xff20), 8)
            .value("svm_host_efer", at(0xff28), 8)
            .value("svm_host_cr4", at(0xff30), 8)
            .value("svm_host_cr3", at(0xff38), 8)
            .value("svm_host_cr0", at(0xff40), 8)
            .value("cr4", at(0xff48), 8)
            .value("cr3", at(0xff50), 8)
            .value("cr0", at(0xff58), 8)
            .value("dr7", at(0xff60), 8)
            .value("dr6", at(0xff68), 8)
            .value("rflags", at(0xff70), 8)
            .value("rip", at(0xff78), 8);
    String[] segments = {"es", "cs", "ss", "ds", "fs", "gs", "", "ldtr", "", "tr"};
    for (int i = 0; i < segments.length; i++) {
      if (!segments[i].isEmpty()) {
        int offset = i * SEGMENT_STRIDE;
        map.value(segments[i] + ".selector", offset, 2)
            .value(segments[i] + ".attributes", offset + 2, 2)
            .value(segments[i] + ".limit", offset + 4, 4)
            .value(segments[i] + ".base", offset + 8, 8);
      }
    }
    String[] registers = {
      "r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rdi", "rsi", "rbp", "rsp", "rbx",
      "rdx", "rcx", "rax"
    };
    for (int i = 0; i < registers.length; i++) {
      map.value(registers[i], at(0xff80) + i * REGISTER_SIZE, REGISTER_SIZE);
    }
    return map.build();
  }

  private static StructLayout layout32() {
    StructLayout.Builder map =
        StructLayout.builder("smram32", SIZE)
            .value("smbase", at(0xfef8), 4)
            .value("smm_revision", at(0xfefc), 4)
            .value("io_inst_restart", at(0xff00), 2)
            .value("auto_hlt_restart", at(0xff02), 2)
            .value("io_restart_rdi", at(0xff04), 4)
            .value("io_restart_rcx", at(0xff08), 4)
            .value("io_restart_rsi", at(0xff0c), 4)
            .value("io_restart_rip", at(0xff10), 4)
            .value("cr4", at(0xff14), 4)
            .value("int_shadow", at(0xff1a), 1)
            .value("idtr.limit", at(0xff54), 4)
            .value("idtr.base", at(0xff58), 4)
            .value("gdtr.limit", at(0xff70), 4)
            .value("gdtr.base", at(0xff74), 4)
            .value("dr7", at(0xffc8), 4)
            .value("dr6", at(0xffcc), 4)
            .value("eip", at(0xfff0), 4)
            .value("eflags", at(0xfff4), 4)
            .value("cr3", at(0xfff8), 4)
            .value("cr0", at(0xfffc), 4);
    segment32(map, "ds", 0xff2c, 0xffb4);
    segment32(map, "fs", 0xff38, 0xffb8);
    segment32(map, "gs", 0xff44, 0xffbc);
    segment32(map, "tr", 0xff5c, 0xffc4);
    segment32(map, "ldtr", 0xff78, 0xffc0);
    segment32(map, "es", 0xff84, 0xffa8);
    segment32(map, "cs", 0xff90, 0xffac);
    segment32(map, "ss", 0xff9c, 0xffb0);
    String[] registers = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    for (int i = 0; i < registers.length; i++) {
      map.value(registers[i], at(0xffd0) + i * 4, 4);
    }
    return map.build();
  }

  private static void segment32(
      StructLayout.Builder map, String name, int descriptor, int selector) {
    map.value(name + ".flags", at(descriptor), 4)
        .value(name + ".limit", at(descriptor) + 4, 4)
        .value(name + ".base", at(descriptor) + 8, 4)
        .value(name + ".selector", at(selector), 4);
  }

  /** The offset in the map of what the manuals give from SMBASE. */
  private static int at(int smramOffset) {
    return smramOffset - BASE;
  }
}
