package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of RFLAGS.
 *
 * <p><i>Source</i>: Intel SDM vol. 1, "EFLAGS Register".
 */
public final class Rflags {
  /** Carry. */
  public static final long CF = 1L << 0;

  /** Always 1. */
  public static final long FIXED = 1L << 1;

  /** Parity. */
  public static final long PF = 1L << 2;

  /** Auxiliary carry. */
  public static final long AF = 1L << 4;

  /** Zero. */
  public static final long ZF = 1L << 6;

  /** Sign. */
  public static final long SF = 1L << 7;

  /** Trap: single step. */
  public static final long TF = 1L << 8;

  /** Interrupt enable. */
  public static final long IF = 1L << 9;

  /** Direction. */
  public static final long DF = 1L << 10;

  /** Overflow. */
  public static final long OF = 1L << 11;

  /** I/O privilege level, two bits. */
  public static final long IOPL = 3L << 12;

  /** Nested task. */
  public static final long NT = 1L << 14;

  /** Resume. */
  public static final long RF = 1L << 16;

  /** Virtual-8086 mode. */
  public static final long VM = 1L << 17;

  /** Alignment check. */
  public static final long AC = 1L << 18;

  /** Virtual interrupt. */
  public static final long VIF = 1L << 19;

  /** Virtual interrupt pending. */
  public static final long VIP = 1L << 20;

  /** CPUID can be used. */
  public static final long ID = 1L << 21;

  /** Bits that must be zero: 63:22, 15, 5, 3. */
  public static final long RESERVED =
      ~(CF | FIXED | PF | AF | ZF | SF | TF | IF | DF | OF | IOPL | NT | RF | VM | AC | VIF | VIP
          | ID);

  private static final BitNames NAMES =
      BitNames.none()
          .and("CF", CF)
          .and("FIXED", FIXED)
          .and("PF", PF)
          .and("AF", AF)
          .and("ZF", ZF)
          .and("SF", SF)
          .and("TF", TF)
          .and("IF", IF)
          .and("DF", DF)
          .and("OF", OF)
          .and("NT", NT)
          .and("RF", RF)
          .and("VM", VM)
          .and("AC", AC)
          .and("VIF", VIF)
          .and("VIP", VIP)
          .and("ID", ID);

  private Rflags() {}

  /** The set bits by name, {@code FIXED|CF}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
