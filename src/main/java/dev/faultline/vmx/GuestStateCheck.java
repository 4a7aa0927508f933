package dev.faultline.vmx;

import dev.faultline.Check;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.function.Predicate;

/**
 * The checks with which KVM decides whether it may hand a guest without unrestricted guest to the
 * CPU, or has to emulate it (L1) or to leave it with a synthesized triple fault (L2).
 *
 * <p>They are a subset of the checks that the CPU makes on the guest's segment registers: a state
 * that passes here may still fail in hardware, with exit reason 0x80000021.
 *
 * <p><i>Order</i>: of the constants, which is the kernel's. The RMODE constants are asked in real
 * and virtual-8086 mode, the others in protected mode.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Checks on Guest Segment Registers"; {@code
 * arch/x86/kvm/vmx/vmx.c, __vmx_guest_state_valid(), v6.1}. A segment that is not present never
 * gets as far as the P checks when its fields come out of a VMCS, since KVM reads {@code present}
 * as {@code !unusable}.
 */
public enum GuestStateCheck implements Check {
  RMODE_CS_BASE(
      SegmentRegister.CS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the base of CS is 16 times its selector.",
      "cs.base != cs.selector << 4",
      s -> rmodeBase(s.cs())),
  RMODE_CS_LIMIT(
      SegmentRegister.CS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the limit of CS is 0xffff.",
      "cs.limit != 0xffff",
      s -> rmodeLimit(s.cs())),
  RMODE_CS_AR(
      SegmentRegister.CS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode CS is a present byte-granular 16-bit segment with S set; its"
          + " type and DPL are not looked at.",
      "(cs.ar with type 3 and DPL 3) != 0xf3",
      s -> rmodeCodeRights(s.cs())),
  RMODE_SS_BASE(
      SegmentRegister.SS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the base of SS is 16 times its selector.",
      "ss.base != ss.selector << 4",
      s -> rmodeBase(s.ss())),
  RMODE_SS_LIMIT(
      SegmentRegister.SS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the limit of SS is 0xffff.",
      "ss.limit != 0xffff",
      s -> rmodeLimit(s.ss())),
  RMODE_SS_AR(
      SegmentRegister.SS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode SS is a present byte-granular 16-bit accessed read/write data"
          + " segment; its DPL is not looked at.",
      "(ss.ar with DPL 3) != 0xf3",
      s -> rmodeRights(s.ss())),
  RMODE_DS_BASE(
      SegmentRegister.DS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the base of DS is 16 times its selector.",
      "ds.base != ds.selector << 4",
      s -> rmodeBase(s.ds())),
  RMODE_DS_LIMIT(
      SegmentRegister.DS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the limit of DS is 0xffff.",
      "ds.limit != 0xffff",
      s -> rmodeLimit(s.ds())),
  RMODE_DS_AR(
      SegmentRegister.DS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode DS is a present byte-granular 16-bit accessed read/write data"
          + " segment; its DPL is not looked at.",
      "(ds.ar with DPL 3) != 0xf3",
      s -> rmodeRights(s.ds())),
  RMODE_ES_BASE(
      SegmentRegister.ES,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the base of ES is 16 times its selector.",
      "es.base != es.selector << 4",
      s -> rmodeBase(s.es())),
  RMODE_ES_LIMIT(
      SegmentRegister.ES,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the limit of ES is 0xffff.",
      "es.limit != 0xffff",
      s -> rmodeLimit(s.es())),
  RMODE_ES_AR(
      SegmentRegister.ES,
      "rmode_segment_valid",
      "In real and virtual-8086 mode ES is a present byte-granular 16-bit accessed read/write data"
          + " segment; its DPL is not looked at.",
      "(es.ar with DPL 3) != 0xf3",
      s -> rmodeRights(s.es())),
  RMODE_FS_BASE(
      SegmentRegister.FS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the base of FS is 16 times its selector.",
      "fs.base != fs.selector << 4",
      s -> rmodeBase(s.fs())),
  RMODE_FS_LIMIT(
      SegmentRegister.FS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the limit of FS is 0xffff.",
      "fs.limit != 0xffff",
      s -> rmodeLimit(s.fs())),
  RMODE_FS_AR(
      SegmentRegister.FS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode FS is a present byte-granular 16-bit accessed read/write data"
          + " segment; its DPL is not looked at.",
      "(fs.ar with DPL 3) != 0xf3",
      s -> rmodeRights(s.fs())),
  RMODE_GS_BASE(
      SegmentRegister.GS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the base of GS is 16 times its selector.",
      "gs.base != gs.selector << 4",
      s -> rmodeBase(s.gs())),
  RMODE_GS_LIMIT(
      SegmentRegister.GS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode the limit of GS is 0xffff.",
      "gs.limit != 0xffff",
      s -> rmodeLimit(s.gs())),
  RMODE_GS_AR(
      SegmentRegister.GS,
      "rmode_segment_valid",
      "In real and virtual-8086 mode GS is a present byte-granular 16-bit accessed read/write data"
          + " segment; its DPL is not looked at.",
      "(gs.ar with DPL 3) != 0xf3",
      s -> rmodeRights(s.gs())),
  CS_SS_RPL(
      SegmentRegister.CS,
      "cs_ss_rpl_check",
      "CS and SS have the same RPL, even where SS is unusable.",
      "cs.rpl != ss.rpl",
      s -> s.cs().rpl() != s.ss().rpl()),
  CS_UNUSABLE(
      SegmentRegister.CS,
      "code_segment_valid",
      "CS is usable.",
      "cs.unusable",
      s -> !usable(s.cs())),
  CS_TYPE(
      SegmentRegister.CS,
      "code_segment_valid",
      "CS is an accessed code segment.",
      "cs.type not in {9, 11, 13, 15}",
      s -> usable(s.cs()) && !isAccessedCode(s.cs().type())),
  CS_S(
      SegmentRegister.CS,
      "code_segment_valid",
      "CS is not a system segment.",
      "!cs.s",
      s -> usable(s.cs()) && s.cs().s() == 0),
  CS_DPL(
      SegmentRegister.CS,
      "code_segment_valid",
      "The DPL of CS is its RPL or, if CS is conforming, not above its RPL.",
      "cs.dpl != cs.rpl (conforming: cs.dpl > cs.rpl)",
      s -> usable(s.cs()) && codeDpl(s.cs())),
  CS_P(
      SegmentRegister.CS,
      "code_segment_valid",
      "CS is present.",
      "!cs.present",
      s -> usable(s.cs()) && s.cs().present() == 0),
  SS_TYPE(
      SegmentRegister.SS,
      "stack_segment_valid",
      "A usable SS is an accessed read/write data segment.",
      "ss.type not in {3, 7}",
      s -> usable(s.ss()) && !isStackType(s.ss().type())),
  SS_S(
      SegmentRegister.SS,
      "stack_segment_valid",
      "A usable SS is not a system segment.",
      "!ss.s",
      s -> usable(s.ss()) && s.ss().s() == 0),
  SS_DPL(
      SegmentRegister.SS,
      "stack_segment_valid",
      "The DPL of a usable SS is its RPL.",
      "ss.dpl != ss.rpl",
      s -> usable(s.ss()) && s.ss().dpl() != s.ss().rpl()),
  SS_P(
      SegmentRegister.SS,
      "stack_segment_valid",
      "A usable SS is present.",
      "!ss.present",
      s -> usable(s.ss()) && s.ss().present() == 0),
  DS_S(
      SegmentRegister.DS,
      "data_segment_valid",
      "A usable DS is not a system segment.",
      "!ds.s",
      s -> usable(s.ds()) && s.ds().s() == 0),
  DS_P(
      SegmentRegister.DS,
      "data_segment_valid",
      "A usable DS is present.",
      "!ds.present",
      s -> usable(s.ds()) && s.ds().present() == 0),
  DS_DPL(
      SegmentRegister.DS,
      "data_segment_valid",
      "The DPL of a usable DS is not below its RPL, unless it is conforming code.",
      "ds.type < 12 && ds.dpl < ds.rpl",
      s -> usable(s.ds()) && dataDpl(s.ds())),
  ES_S(
      SegmentRegister.ES,
      "data_segment_valid",
      "A usable ES is not a system segment.",
      "!es.s",
      s -> usable(s.es()) && s.es().s() == 0),
  ES_P(
      SegmentRegister.ES,
      "data_segment_valid",
      "A usable ES is present.",
      "!es.present",
      s -> usable(s.es()) && s.es().present() == 0),
  ES_DPL(
      SegmentRegister.ES,
      "data_segment_valid",
      "The DPL of a usable ES is not below its RPL, unless it is conforming code.",
      "es.type < 12 && es.dpl < es.rpl",
      s -> usable(s.es()) && dataDpl(s.es())),
  FS_S(
      SegmentRegister.FS,
      "data_segment_valid",
      "A usable FS is not a system segment.",
      "!fs.s",
      s -> usable(s.fs()) && s.fs().s() == 0),
  FS_P(
      SegmentRegister.FS,
      "data_segment_valid",
      "A usable FS is present.",
      "!fs.present",
      s -> usable(s.fs()) && s.fs().present() == 0),
  FS_DPL(
      SegmentRegister.FS,
      "data_segment_valid",
      "The DPL of a usable FS is not below its RPL, unless it is conforming code.",
      "fs.type < 12 && fs.dpl < fs.rpl",
      s -> usable(s.fs()) && dataDpl(s.fs())),
  GS_S(
      SegmentRegister.GS,
      "data_segment_valid",
      "A usable GS is not a system segment.",
      "!gs.s",
      s -> usable(s.gs()) && s.gs().s() == 0),
  GS_P(
      SegmentRegister.GS,
      "data_segment_valid",
      "A usable GS is present.",
      "!gs.present",
      s -> usable(s.gs()) && s.gs().present() == 0),
  GS_DPL(
      SegmentRegister.GS,
      "data_segment_valid",
      "The DPL of a usable GS is not below its RPL, unless it is conforming code.",
      "gs.type < 12 && gs.dpl < gs.rpl",
      s -> usable(s.gs()) && dataDpl(s.gs())),
  TR_UNUSABLE(SegmentRegister.TR, "tr_valid", "TR is usable.", "tr.unusable", s -> !usable(s.tr())),
  TR_TI(
      SegmentRegister.TR,
      "tr_valid",
      "TR is in the GDT.",
      "tr.selector & 4",
      s -> usable(s.tr()) && inLdt(s.tr())),
  TR_TYPE(
      SegmentRegister.TR,
      "tr_valid",
      "TR is a busy TSS, of 16 or 32 bits even in long mode.",
      "tr.type not in {3, 11}",
      s -> usable(s.tr()) && !isBusyTss(s.tr().type())),
  TR_P(
      SegmentRegister.TR,
      "tr_valid",
      "TR is present.",
      "!tr.present",
      s -> usable(s.tr()) && s.tr().present() == 0),
  LDTR_TI(
      SegmentRegister.LDTR,
      "ldtr_valid",
      "A usable LDTR is in the GDT.",
      "ldtr.selector & 4",
      s -> usable(s.ldtr()) && inLdt(s.ldtr())),
  LDTR_TYPE(
      SegmentRegister.LDTR,
      "ldtr_valid",
      "A usable LDTR is an LDT.",
      "ldtr.type != 2",
      s -> usable(s.ldtr()) && s.ldtr().type() != AccessRights.TYPE_LDT),
  LDTR_P(
      SegmentRegister.LDTR,
      "ldtr_valid",
      "A usable LDTR is present.",
      "!ldtr.present",
      s -> usable(s.ldtr()) && s.ldtr().present() == 0);

  private static final int SELECTOR_TO_BASE = 4;
  private static final long REAL_MODE_LIMIT = 0xFFFF;

  /** Present, S, DPL 3, accessed read/write data, byte granular, 16 bits. */
  private static final int REAL_MODE_RIGHTS = 0xF3;

  private static final int ACCESSED_DATA = AccessRights.TYPE_ACCESSED | AccessRights.TYPE_WRITABLE;
  private static final int ACCESSED_STACK_DOWN = ACCESSED_DATA | AccessRights.TYPE_EXPAND_DOWN;
  private static final int ACCESSED_CODE = AccessRights.TYPE_ACCESSED | AccessRights.TYPE_CODE;
  private static final int CONFORMING_CODE = AccessRights.TYPE_CONFORMING | AccessRights.TYPE_CODE;

  private final SegmentRegister segment;
  private final String kernelFunction;
  private final String rule;
  private final String condition;

  @SuppressWarnings("ImmutableEnumChecker") // The predicates capture nothing.
  private final Predicate<GuestState> failing;

  GuestStateCheck(
      SegmentRegister segment,
      String kernelFunction,
      String rule,
      String condition,
      Predicate<GuestState> failing) {
    this.segment = segment;
    this.kernelFunction = kernelFunction;
    this.rule = rule;
    this.condition = condition;
    this.failing = failing;
  }

  @Override
  public String id() {
    return name();
  }

  @Override
  public String rule() {
    return rule;
  }

  @Override
  public String kernelFunction() {
    return kernelFunction;
  }

  @Override
  public String condition() {
    return condition;
  }

  /** The segment register that the check reads; CS for the one that reads CS and SS. */
  public SegmentRegister segment() {
    return segment;
  }

  /** Whether it is asked in real and virtual-8086 mode; the others are asked in protected mode. */
  public boolean isRealMode() {
    return ordinal() < CS_SS_RPL.ordinal();
  }

  /** Whether this check alone fails, whatever the mode of the state. */
  boolean fails(GuestState state) {
    return failing.test(state);
  }

  private static boolean rmodeBase(Segment segment) {
    return segment.base() != (long) segment.selector() << SELECTOR_TO_BASE;
  }

  private static boolean rmodeLimit(Segment segment) {
    return segment.limit() != REAL_MODE_LIMIT;
  }

  private static boolean rmodeRights(Segment segment) {
    return rightsAs(segment, segment.type()) != REAL_MODE_RIGHTS;
  }

  private static boolean rmodeCodeRights(Segment segment) {
    return rightsAs(segment, ACCESSED_DATA) != REAL_MODE_RIGHTS;
  }

  /**
   * The access rights with another type and DPL 3, which KVM gives segments in virtual-8086 mode.
   */
  private static int rightsAs(Segment segment, int type) {
    int kept = segment.accessRights() & ~AccessRights.TYPE_MASK;
    return kept | (type & AccessRights.TYPE_MASK) | AccessRights.DPL_MASK;
  }

  private static boolean inLdt(Segment segment) {
    return (segment.selector() & Segment.TI) != 0;
  }

  private static boolean usable(Segment segment) {
    return segment.unusable() == 0;
  }

  private static boolean isAccessedCode(int type) {
    return (type & ACCESSED_CODE) == ACCESSED_CODE;
  }

  private static boolean codeDpl(Segment cs) {
    return (cs.type() & AccessRights.TYPE_CONFORMING) != 0
        ? cs.dpl() > cs.rpl()
        : cs.dpl() != cs.rpl();
  }

  private static boolean isStackType(int type) {
    return type == ACCESSED_DATA || type == ACCESSED_STACK_DOWN;
  }

  private static boolean dataDpl(Segment segment) {
    return (~segment.type() & CONFORMING_CODE) != 0 && segment.dpl() < segment.rpl();
  }

  private static boolean isBusyTss(int type) {
    return type == AccessRights.TYPE_BUSY_16_TSS || type == AccessRights.TYPE_BUSY_TSS;
  }
}
