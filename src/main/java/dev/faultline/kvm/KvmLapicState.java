package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import java.util.Objects;

/**
 * The registers of a vCPU's local APIC, as KVM_GET_LAPIC and KVM_SET_LAPIC carry them.
 *
 * <p><i>Shape</i>: the APIC page's first kilobyte: registers of four bytes, one every sixteen; the
 * twelve bytes between are padding, but for {@code icr}, whose high half follows at its own slot
 * ({@code icr2}).
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_LAPIC"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_lapic_state, v6.1}; Intel SDM vol. 3A, "Local APIC
 * Register Address Map".
 */
public record KvmLapicState(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 1024;

  /** How many words each of ISR, TMR and IRR has. */
  public static final int VECTOR_WORDS = 8;

  private static final int STRIDE = 16;
  private static final int ID = 0x20;
  private static final int VERSION = 0x30;
  private static final int TPR = 0x80;
  private static final int APR = 0x90;
  private static final int PPR = 0xa0;
  private static final int EOI = 0xb0;
  private static final int RRD = 0xc0;
  private static final int LDR = 0xd0;
  private static final int DFR = 0xe0;
  private static final int SPIV = 0xf0;
  private static final int ISR = 0x100;
  private static final int TMR = 0x180;
  private static final int IRR = 0x200;
  private static final int ESR = 0x280;
  private static final int LVT_CMCI = 0x2f0;
  private static final int ICR = 0x300;
  private static final int ICR2 = 0x310;
  private static final int LVT_TIMER = 0x320;
  private static final int LVT_THERMAL = 0x330;
  private static final int LVT_PC = 0x340;
  private static final int LVT0 = 0x350;
  private static final int LVT1 = 0x360;
  private static final int LVT_ERROR = 0x370;
  private static final int TMICT = 0x380;
  private static final int TMCCT = 0x390;
  private static final int TDCR = 0x3e0;
  private static final int SELF_IPI = 0x3f0;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      words(
              words(words(StructLayout.builder("kvm_lapic_state", SIZE), "isr", ISR), "tmr", TMR),
              "irr",
              IRR)
          .value("id", ID, 4)
          .value("version", VERSION, 4)
          .value("tpr", TPR, 4)
          .value("apr", APR, 4)
          .value("ppr", PPR, 4)
          .value("eoi", EOI, 4)
          .value("rrd", RRD, 4)
          .value("ldr", LDR, 4)
          .value("dfr", DFR, 4)
          .value("spiv", SPIV, 4)
          .value("esr", ESR, 4)
          .value("lvt_cmci", LVT_CMCI, 4)
          .value("icr", ICR, 4)
          .value("icr2", ICR2, 4)
          .value("lvt_timer", LVT_TIMER, 4)
          .value("lvt_thermal", LVT_THERMAL, 4)
          .value("lvt_pc", LVT_PC, 4)
          .value("lvt0", LVT0, 4)
          .value("lvt1", LVT1, 4)
          .value("lvt_error", LVT_ERROR, 4)
          .value("tmict", TMICT, 4)
          .value("tmcct", TMCCT, 4)
          .value("tdcr", TDCR, 4)
          .value("self_ipi", SELF_IPI, 4)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmLapicState {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_lapic_state", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmLapicState zero() {
    return new KvmLapicState(Bytes.zero(SIZE));
  }

  private static StructLayout.Builder words(StructLayout.Builder layout, String name, int offset) {
    for (int i = 0; i < VECTOR_WORDS; i++) {
      layout.value(name + "[" + i + "]", offset + i * STRIDE, 4);
    }
    return layout;
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The APIC ID; 31:24 in xAPIC mode. */
  public int id() {
    return raw.i32(ID);
  }

  /** The version register. */
  public int version() {
    return raw.i32(VERSION);
  }

  /** The task priority. */
  public int tpr() {
    return raw.i32(TPR);
  }

  /** The processor priority. */
  public int ppr() {
    return raw.i32(PPR);
  }

  /** The logical destination. */
  public int ldr() {
    return raw.i32(LDR);
  }

  /** The destination format. */
  public int dfr() {
    return raw.i32(DFR);
  }

  /** The spurious-interrupt vector; bit 8 enables the APIC. */
  public int spiv() {
    return raw.i32(SPIV);
  }

  /** 32 vectors in service; {@code word} is 0 to 7. */
  public int isr(int word) {
    return raw.i32(ISR + STRIDE * Objects.checkIndex(word, VECTOR_WORDS));
  }

  /** 32 trigger modes; {@code word} is 0 to 7. */
  public int tmr(int word) {
    return raw.i32(TMR + STRIDE * Objects.checkIndex(word, VECTOR_WORDS));
  }

  /** 32 vectors requested; {@code word} is 0 to 7. */
  public int irr(int word) {
    return raw.i32(IRR + STRIDE * Objects.checkIndex(word, VECTOR_WORDS));
  }

  /** The error status. */
  public int esr() {
    return raw.i32(ESR);
  }

  /** The low half of the interrupt command. */
  public int icr() {
    return raw.i32(ICR);
  }

  /** The high half of the interrupt command. */
  public int icr2() {
    return raw.i32(ICR2);
  }

  /** The local vector of the timer; bits 18:17 its mode. */
  public int lvtTimer() {
    return raw.i32(LVT_TIMER);
  }

  /** The initial count of the timer. */
  public int tmict() {
    return raw.i32(TMICT);
  }

  /** The current count of the timer. */
  public int tmcct() {
    return raw.i32(TMCCT);
  }

  /** What divides the timer's clock. */
  public int tdcr() {
    return raw.i32(TDCR);
  }

  /** These registers with another ID. */
  public KvmLapicState withId(int value) {
    return new KvmLapicState(raw.with(ID, 4, value));
  }

  /** These registers with another task priority. */
  public KvmLapicState withTpr(int value) {
    return new KvmLapicState(raw.with(TPR, 4, value));
  }

  /** These registers with another spurious-interrupt vector. */
  public KvmLapicState withSpiv(int value) {
    return new KvmLapicState(raw.with(SPIV, 4, value));
  }

  /** These registers with another local vector of the timer. */
  public KvmLapicState withLvtTimer(int value) {
    return new KvmLapicState(raw.with(LVT_TIMER, 4, value));
  }
}
