package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The general-purpose registers of a vCPU, as KVM_GET_REGS and KVM_SET_REGS carry them.
 *
 * <p>In guest mode they are those of L2. KVM sets bit 1 of rflags by itself.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_REGS", "KVM_SET_REGS"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_regs, v6.1}.
 */
public record KvmRegs(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 144;

  private static final int RAX = 0;
  private static final int RBX = 8;
  private static final int RCX = 16;
  private static final int RDX = 24;
  private static final int RSI = 32;
  private static final int RDI = 40;
  private static final int RSP = 48;
  private static final int RBP = 56;
  private static final int R8 = 64;
  private static final int R9 = 72;
  private static final int R10 = 80;
  private static final int R11 = 88;
  private static final int R12 = 96;
  private static final int R13 = 104;
  private static final int R14 = 112;
  private static final int R15 = 120;
  private static final int RIP = 128;
  private static final int RFLAGS = 136;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_regs", SIZE)
          .value("rax", RAX, 8)
          .value("rbx", RBX, 8)
          .value("rcx", RCX, 8)
          .value("rdx", RDX, 8)
          .value("rsi", RSI, 8)
          .value("rdi", RDI, 8)
          .value("rsp", RSP, 8)
          .value("rbp", RBP, 8)
          .value("r8", R8, 8)
          .value("r9", R9, 8)
          .value("r10", R10, 8)
          .value("r11", R11, 8)
          .value("r12", R12, 8)
          .value("r13", R13, 8)
          .value("r14", R14, 8)
          .value("r15", R15, 8)
          .value("rip", RIP, 8)
          .value("rflags", RFLAGS, 8)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmRegs {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_regs", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmRegs zero() {
    return new KvmRegs(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** RAX. */
  public long rax() {
    return raw.u64(RAX);
  }

  /** RBX. */
  public long rbx() {
    return raw.u64(RBX);
  }

  /** RCX. */
  public long rcx() {
    return raw.u64(RCX);
  }

  /** RDX. */
  public long rdx() {
    return raw.u64(RDX);
  }

  /** RSI. */
  public long rsi() {
    return raw.u64(RSI);
  }

  /** RDI. */
  public long rdi() {
    return raw.u64(RDI);
  }

  /** RSP. */
  public long rsp() {
    return raw.u64(RSP);
  }

  /** RBP. */
  public long rbp() {
    return raw.u64(RBP);
  }

  /** R8. */
  public long r8() {
    return raw.u64(R8);
  }

  /** R9. */
  public long r9() {
    return raw.u64(R9);
  }

  /** R10. */
  public long r10() {
    return raw.u64(R10);
  }

  /** R11. */
  public long r11() {
    return raw.u64(R11);
  }

  /** R12. */
  public long r12() {
    return raw.u64(R12);
  }

  /** R13. */
  public long r13() {
    return raw.u64(R13);
  }

  /** R14. */
  public long r14() {
    return raw.u64(R14);
  }

  /** R15. */
  public long r15() {
    return raw.u64(R15);
  }

  /** RIP. */
  public long rip() {
    return raw.u64(RIP);
  }

  /** RFLAGS. */
  public long rflags() {
    return raw.u64(RFLAGS);
  }

  /** This struct with another {@code rax}. */
  public KvmRegs withRax(long value) {
    return new KvmRegs(raw.with(RAX, 8, value));
  }

  /** This struct with another {@code rbx}. */
  public KvmRegs withRbx(long value) {
    return new KvmRegs(raw.with(RBX, 8, value));
  }

  /** This struct with another {@code rcx}. */
  public KvmRegs withRcx(long value) {
    return new KvmRegs(raw.with(RCX, 8, value));
  }

  /** This struct with another {@code rdx}. */
  public KvmRegs withRdx(long value) {
    return new KvmRegs(raw.with(RDX, 8, value));
  }

  /** This struct with another {@code rsi}. */
  public KvmRegs withRsi(long value) {
    return new KvmRegs(raw.with(RSI, 8, value));
  }

  /** This struct with another {@code rdi}. */
  public KvmRegs withRdi(long value) {
    return new KvmRegs(raw.with(RDI, 8, value));
  }

  /** This struct with another {@code rsp}. */
  public KvmRegs withRsp(long value) {
    return new KvmRegs(raw.with(RSP, 8, value));
  }

  /** This struct with another {@code rbp}. */
  public KvmRegs withRbp(long value) {
    return new KvmRegs(raw.with(RBP, 8, value));
  }

  /** This struct with another {@code r8}. */
  public KvmRegs withR8(long value) {
    return new KvmRegs(raw.with(R8, 8, value));
  }

  /** This struct with another {@code r9}. */
  public KvmRegs withR9(long value) {
    return new KvmRegs(raw.with(R9, 8, value));
  }

  /** This struct with another {@code r10}. */
  public KvmRegs withR10(long value) {
    return new KvmRegs(raw.with(R10, 8, value));
  }

  /** This struct with another {@code r11}. */
  public KvmRegs withR11(long value) {
    return new KvmRegs(raw.with(R11, 8, value));
  }

  /** This struct with another {@code r12}. */
  public KvmRegs withR12(long value) {
    return new KvmRegs(raw.with(R12, 8, value));
  }

  /** This struct with another {@code r13}. */
  public KvmRegs withR13(long value) {
    return new KvmRegs(raw.with(R13, 8, value));
  }

  /** This struct with another {@code r14}. */
  public KvmRegs withR14(long value) {
    return new KvmRegs(raw.with(R14, 8, value));
  }

  /** This struct with another {@code r15}. */
  public KvmRegs withR15(long value) {
    return new KvmRegs(raw.with(R15, 8, value));
  }

  /** This struct with another {@code rip}. */
  public KvmRegs withRip(long value) {
    return new KvmRegs(raw.with(RIP, 8, value));
  }

  /** This struct with another {@code rflags}. */
  public KvmRegs withRflags(long value) {
    return new KvmRegs(raw.with(RFLAGS, 8, value));
  }
}
