package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.faultline.x86.Cr0;
import dev.faultline.x86.Rflags;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Given a guest state that KVM takes for valid, when one field changes, then one check fails. */
class GuestStateCheckScenario {
  private static final long FLAT = 0xFFFF_FFFFL;
  private static final int RPL_3 = 3;
  private static final Segment UNUSABLE = new Segment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  private static final Segment DATA = new Segment(0, FLAT, 0x18, 3, 1, 0, 1, 1, 0, 1, 0, 0);
  private static final Segment V86 =
      new Segment(0x12340, 0xFFFF, 0x1234, 3, 1, 3, 0, 1, 0, 0, 0, 0);

  /** 64-bit code, flat segments, privilege level 0. */
  private static final GuestState LONG_MODE =
      new GuestState(
          Cr0.PG | Cr0.NE | Cr0.PE,
          Rflags.FIXED,
          new Segment(0, FLAT, 0x10, 11, 1, 0, 0, 1, 1, 1, 0, 0),
          DATA,
          DATA,
          UNUSABLE,
          UNUSABLE,
          DATA,
          new Segment(0x1000, 0x67, 0x20, 11, 1, 0, 0, 0, 0, 0, 0, 0),
          UNUSABLE);

  private static final GuestState VIRTUAL_8086_MODE =
      new GuestState(
          LONG_MODE.cr0(),
          Rflags.FIXED | Rflags.VM,
          V86,
          V86,
          V86,
          V86,
          V86,
          V86,
          LONG_MODE.tr(),
          UNUSABLE);

  private static final GuestState WITH_FS_AND_GS =
      LONG_MODE.withSegment(SegmentRegister.FS, DATA).withSegment(SegmentRegister.GS, DATA);

  private static final GuestState WITH_LDTR =
      LONG_MODE.withSegment(
          SegmentRegister.LDTR, new Segment(0x2000, 0xFFFF, 0x28, 2, 1, 0, 0, 0, 0, 0, 0, 0));

  /** One field of one segment of a valid state is changed, so that one check fails. */
  record Row(
      GuestStateCheck check,
      GuestState valid,
      SegmentRegister register,
      String change,
      UnaryOperator<Segment> changed) {
    @Override
    public String toString() {
      return check + ": " + register + " " + change;
    }
  }

  static final List<Row> ROWS = rows();

  private static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    for (SegmentRegister register :
        List.of(
            SegmentRegister.CS,
            SegmentRegister.SS,
            SegmentRegister.DS,
            SegmentRegister.ES,
            SegmentRegister.FS,
            SegmentRegister.GS)) {
      realMode(rows, register);
    }
    codeAndStack(rows);
    for (SegmentRegister register :
        List.of(SegmentRegister.DS, SegmentRegister.ES, SegmentRegister.FS, SegmentRegister.GS)) {
      data(rows, register);
    }
    system(rows);
    return rows;
  }

  private static void realMode(List<Row> rows, SegmentRegister register) {
    GuestState valid = VIRTUAL_8086_MODE;
    GuestStateCheck base = check("RMODE_", register, "_BASE");
    GuestStateCheck limit = check("RMODE_", register, "_LIMIT");
    GuestStateCheck rights = check("RMODE_", register, "_AR");
    rows.add(new Row(base, valid, register, "base", s -> s.withBase(s.base() + 16)));
    rows.add(new Row(base, valid, register, "high base", s -> s.withBase(s.base() | 1L << 32)));
    rows.add(new Row(base, valid, register, "selector", s -> s.withSelector(0x1235)));
    rows.add(new Row(limit, valid, register, "limit", s -> s.withLimit(FLAT)));
    rows.add(new Row(limit, valid, register, "limit", s -> s.withLimit(0xFFFE)));
    rows.add(new Row(rights, valid, register, "db", s -> s.withDb(1)));
    rows.add(new Row(rights, valid, register, "g", s -> s.withG(1)));
    rows.add(new Row(rights, valid, register, "l", s -> s.withL(1)));
    rows.add(new Row(rights, valid, register, "s", s -> s.withS(0)));
    rows.add(new Row(rights, valid, register, "unusable", s -> s.withUnusable(1)));
    rows.add(new Row(rights, valid, register, "present", s -> s.withPresent(0)));
    if (register != SegmentRegister.CS) {
      rows.add(new Row(rights, valid, register, "type", s -> s.withType(2)));
    }
  }

  private static void codeAndStack(List<Row> rows) {
    SegmentRegister cs = SegmentRegister.CS;
    SegmentRegister ss = SegmentRegister.SS;
    GuestState valid = LONG_MODE;
    rows.add(
        new Row(GuestStateCheck.CS_SS_RPL, valid, cs, "RPL", s -> s.withSelector(0x10 | RPL_3)));
    rows.add(
        new Row(GuestStateCheck.CS_SS_RPL, valid, ss, "RPL", s -> s.withSelector(0x18 | RPL_3)));
    rows.add(new Row(GuestStateCheck.CS_UNUSABLE, valid, cs, "unusable", s -> s.withUnusable(1)));
    rows.add(new Row(GuestStateCheck.CS_TYPE, valid, cs, "not accessed", s -> s.withType(10)));
    rows.add(new Row(GuestStateCheck.CS_TYPE, valid, cs, "data", s -> s.withType(3)));
    rows.add(new Row(GuestStateCheck.CS_S, valid, cs, "s", s -> s.withS(0)));
    rows.add(new Row(GuestStateCheck.CS_DPL, valid, cs, "dpl", s -> s.withDpl(3)));
    rows.add(
        new Row(
            GuestStateCheck.CS_DPL,
            valid.withSegment(cs, valid.cs().withType(13)),
            cs,
            "dpl of conforming code",
            s -> s.withDpl(1)));
    rows.add(new Row(GuestStateCheck.CS_P, valid, cs, "present", s -> s.withPresent(0)));
    rows.add(new Row(GuestStateCheck.SS_TYPE, valid, ss, "read-only", s -> s.withType(1)));
    rows.add(new Row(GuestStateCheck.SS_TYPE, valid, ss, "code", s -> s.withType(11)));
    rows.add(new Row(GuestStateCheck.SS_S, valid, ss, "s", s -> s.withS(0)));
    rows.add(new Row(GuestStateCheck.SS_DPL, valid, ss, "dpl", s -> s.withDpl(3)));
    rows.add(new Row(GuestStateCheck.SS_P, valid, ss, "present", s -> s.withPresent(0)));
  }

  private static void data(List<Row> rows, SegmentRegister register) {
    GuestState valid = WITH_FS_AND_GS;
    rows.add(new Row(check("", register, "_S"), valid, register, "s", s -> s.withS(0)));
    rows.add(new Row(check("", register, "_P"), valid, register, "present", s -> s.withPresent(0)));
    rows.add(
        new Row(
            check("", register, "_DPL"),
            valid,
            register,
            "RPL",
            s -> s.withSelector(s.selector() | RPL_3)));
    rows.add(
        new Row(
            check("", register, "_DPL"),
            valid.withSegment(register, DATA.withSelector(DATA.selector() | RPL_3).withType(15)),
            register,
            "type, no longer conforming",
            s -> s.withType(11)));
  }

  private static void system(List<Row> rows) {
    SegmentRegister tr = SegmentRegister.TR;
    SegmentRegister ldtr = SegmentRegister.LDTR;
    GuestState valid = LONG_MODE;
    rows.add(new Row(GuestStateCheck.TR_UNUSABLE, valid, tr, "unusable", s -> s.withUnusable(1)));
    rows.add(new Row(GuestStateCheck.TR_TI, valid, tr, "TI", s -> s.withSelector(0x24)));
    rows.add(new Row(GuestStateCheck.TR_TYPE, valid, tr, "available", s -> s.withType(9)));
    rows.add(new Row(GuestStateCheck.TR_P, valid, tr, "present", s -> s.withPresent(0)));
    rows.add(new Row(GuestStateCheck.LDTR_TI, WITH_LDTR, ldtr, "TI", s -> s.withSelector(0x2C)));
    rows.add(new Row(GuestStateCheck.LDTR_TYPE, WITH_LDTR, ldtr, "type", s -> s.withType(3)));
    rows.add(new Row(GuestStateCheck.LDTR_P, WITH_LDTR, ldtr, "present", s -> s.withPresent(0)));
  }

  private static GuestStateCheck check(String prefix, SegmentRegister register, String suffix) {
    return GuestStateCheck.valueOf(prefix + register + suffix);
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void one_changed_field_makes_its_check_the_first_that_fails(Row row) {
    GuestState changed =
        row.valid()
            .withSegment(row.register(), row.changed().apply(row.valid().segment(row.register())));

    assertThat(GuestStateChecks.firstFailure(row.valid())).isNull();
    assertThat(GuestStateChecks.failures(row.valid())).isEmpty();
    assertThat(GuestStateChecks.firstFailure(changed)).isEqualTo(row.check());
    assertThat(GuestStateChecks.failures(changed)).startsWith(row.check());
  }

  static Set<GuestStateCheck> covered() {
    Set<GuestStateCheck> covered = EnumSet.noneOf(GuestStateCheck.class);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }

  @Test
  void every_check_says_what_it_is() {
    for (GuestStateCheck check : GuestStateCheck.values()) {
      assertThat(check.id()).isEqualTo(check.name());
      assertThat(check.rule()).endsWith(".").contains(check.segment().name());
      assertThat(check.kernelFunction()).isNotBlank();
      assertThat(check.condition()).isNotBlank();
    }
  }

  static Stream<Arguments> states_that_pass() {
    SegmentRegister cs = SegmentRegister.CS;
    SegmentRegister ss = SegmentRegister.SS;
    SegmentRegister ds = SegmentRegister.DS;
    SegmentRegister tr = SegmentRegister.TR;
    GuestState conforming =
        LONG_MODE
            .withSegment(cs, LONG_MODE.cs().withType(13).withSelector(0x10 | RPL_3))
            .withSegment(ss, DATA.withSelector(0x18 | RPL_3).withDpl(3));
    return Stream.of(
        arguments("nothing changed", LONG_MODE),
        arguments(
            "16-bit TSS in long mode, which the CPU refuses",
            LONG_MODE.withSegment(tr, LONG_MODE.tr().withType(3))),
        arguments("null selector of TR", LONG_MODE.withSegment(tr, LONG_MODE.tr().withSelector(0))),
        arguments("S of TR", LONG_MODE.withSegment(tr, LONG_MODE.tr().withS(1))),
        arguments("unusable SS with RPL 0", LONG_MODE.withSegment(ss, UNUSABLE)),
        arguments("expand-down SS", LONG_MODE.withSegment(ss, DATA.withType(7))),
        arguments("conforming CS above its DPL", conforming),
        arguments(
            "conforming code in DS below its RPL",
            LONG_MODE.withSegment(ds, DATA.withSelector(0x1B).withType(15))),
        arguments(
            "DS not accessed, which the CPU refuses", LONG_MODE.withSegment(ds, DATA.withType(0))),
        arguments("virtual-8086 mode", VIRTUAL_8086_MODE),
        arguments(
            "real mode with any DPL and any type of CS",
            VIRTUAL_8086_MODE
                .withRflags(Rflags.FIXED)
                .withCr0(Cr0.NE)
                .withSegment(cs, V86.withType(11).withDpl(0))
                .withSegment(ds, V86.withDpl(0))));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource
  void states_that_pass(String what, GuestState state) {
    assertThat(GuestStateChecks.firstFailure(state)).as(what).isNull();
    assertThat(GuestStateChecks.isValid(state.stored())).isTrue();
  }

  static Stream<Arguments> states_that_fail() {
    SegmentRegister ss = SegmentRegister.SS;
    SegmentRegister tr = SegmentRegister.TR;
    GuestState realMode = VIRTUAL_8086_MODE.withRflags(Rflags.FIXED).withCr0(Cr0.NE);
    return Stream.of(
        arguments(
            "unusable SS with RPL 3",
            LONG_MODE.withSegment(ss, UNUSABLE.withSelector(RPL_3)),
            GuestStateCheck.CS_SS_RPL),
        arguments(
            "SS of privilege level 3",
            LONG_MODE.withSegment(ss, DATA.withSelector(0x1B).withDpl(3)),
            GuestStateCheck.CS_SS_RPL),
        arguments(
            "TR not present, as stored",
            LONG_MODE.withSegment(tr, LONG_MODE.tr().withPresent(0)).stored(),
            GuestStateCheck.TR_UNUSABLE),
        arguments(
            "RFLAGS.VM with flat segments",
            LONG_MODE.withRflags(Rflags.VM | Rflags.FIXED),
            GuestStateCheck.RMODE_CS_BASE),
        arguments(
            "unreal mode",
            realMode.withSegment(SegmentRegister.DS, V86.withLimit(FLAT).withG(1)),
            GuestStateCheck.RMODE_DS_LIMIT),
        arguments(
            "reset vector",
            realMode.withSegment(
                SegmentRegister.CS, V86.withSelector(0xF000).withBase(0xFFFF_0000L)),
            GuestStateCheck.RMODE_CS_BASE));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource
  void states_that_fail(String what, GuestState state, GuestStateCheck check) {
    assertThat(GuestStateChecks.firstFailure(state)).as(what).isEqualTo(check);
  }

  @Test
  void tr_and_ldtr_are_not_looked_at_in_real_mode() {
    GuestState state =
        VIRTUAL_8086_MODE
            .withSegment(SegmentRegister.TR, UNUSABLE)
            .withSegment(SegmentRegister.LDTR, WITH_LDTR.ldtr().withType(3));

    assertThat(GuestStateChecks.isValid(state)).isTrue();
  }

  @Test
  void all_failures_are_told_in_order() {
    GuestState state =
        LONG_MODE
            .withSegment(SegmentRegister.TR, LONG_MODE.tr().withType(9).withSelector(0x24))
            .withSegment(SegmentRegister.SS, DATA.withType(1));

    assertThat(GuestStateChecks.failures(state))
        .containsExactly(GuestStateCheck.SS_TYPE, GuestStateCheck.TR_TI, GuestStateCheck.TR_TYPE);
  }
}
