package dev.faultline.reorder;

import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Nested;
import dev.faultline.vcpu.Smram;
import dev.faultline.vcpu.SvmNested;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A part of a vCPU that a call reads or writes as a whole. All of them together are the vCPU,
 * except what no call of a vCPU changes.
 *
 * <p>A vCPU can be put together with some parts <em>taken away</em>: null stands in their place, so
 * that whoever reads them fails. That is how footprints are found: a call that can be decided and
 * carried out without a part does not depend on it.
 */
enum Cell {
  MODE("nested."),
  EVENTS("events."),
  REGS("regs."),
  SREGS("sregs."),
  DEBUGREGS("debugregs."),
  XCRS("xcrs."),
  XSAVE("xsave."),
  EMULATION("kvm."),
  NESTED_HEADER("nested."),
  VMCS12("vmcs12."),
  SHADOW_VMCS12("shadow_vmcs12."),
  SVM("svm."),
  LAPIC("lapic."),
  MP_STATE("mp_state."),
  MSRS("msr."),
  CPUID("cpuid."),
  TSC_KHZ("tsc_khz."),
  SMRAM("smram."),
  PROGRESS("kvm.");

  static final List<Cell> ALL = List.of(values());

  /** How many there are. */
  static final int COUNT = ALL.size();

  /** What stands for a TSC frequency that was taken away: no real one. */
  private static final long NO_KHZ = Long.MIN_VALUE + 77;

  private final String prefix;

  Cell(String prefix) {
    this.prefix = prefix;
  }

  /** Stands before the names of its fields, {@code sregs.}. */
  String prefix() {
    return prefix;
  }

  long bit() {
    return 1L << ordinal();
  }

  /**
   * Whether reading it fails where it was taken away. Of the others the model knows an ordinary
   * "not known", so that they must be compared instead.
   */
  boolean failsWhenAbsent() {
    return this != CPUID && this != TSC_KHZ;
  }

  /**
   * The table of a vCPU and whether one was set.
   *
   * @param table the table, or null when none is known
   * @param set whether a table was set
   */
  record Tables(@Nullable KvmCpuid2 table, Answer set) {}

  /** This part of a vCPU; null where it was taken away. */
  @SuppressWarnings("NullAway") // What was taken away is null on purpose.
  @Nullable Object of(Vcpu v) {
    return switch (this) {
      case REGS -> v.registers().regs();
      case SREGS -> v.registers().sregs();
      case DEBUGREGS -> v.registers().debugregs();
      case XCRS -> v.registers().xcrs();
      case XSAVE -> v.registers().xsave();
      case EMULATION -> v.registers().emulation();
      case EVENTS -> v.events();
      case MODE -> v.nested().mode();
      case NESTED_HEADER -> v.nested().header();
      case VMCS12 -> v.nested().vmcs12();
      case SHADOW_VMCS12 -> v.nested().shadowVmcs12();
      case SVM -> v.nested().svm();
      case LAPIC -> v.platform().lapic();
      case MP_STATE -> v.platform().mpState();
      case MSRS -> v.platform().msrs();
      case CPUID ->
          v.platform().cpuidSet() == null
              ? null
              : new Tables(v.platform().cpuid(), v.platform().cpuidSet());
      case TSC_KHZ -> v.platform().tscKhz() == NO_KHZ ? null : v.platform().tscKhz();
      case SMRAM -> v.platform().smram();
      case PROGRESS -> v.progress();
    };
  }

  /** The vCPU of these parts; null parts are taken away. */
  @SuppressWarnings("NullAway") // What was taken away is null on purpose.
  static Vcpu assemble(Vcpu frame, @Nullable Object[] parts) {
    Tables tables = (Tables) parts[CPUID.ordinal()];
    Long khz = (Long) parts[TSC_KHZ.ordinal()];
    return new Vcpu(
        frame.name(),
        frame.id(),
        frame.vm(),
        new Vcpu.Registers(
            (Tracked) parts[REGS.ordinal()],
            (Tracked) parts[SREGS.ordinal()],
            (Tracked) parts[DEBUGREGS.ordinal()],
            (Tracked) parts[XCRS.ordinal()],
            (Tracked) parts[XSAVE.ordinal()],
            (Vcpu.Emulation) parts[EMULATION.ordinal()]),
        (Tracked) parts[EVENTS.ordinal()],
        new Nested(
            (Nested.Mode) parts[MODE.ordinal()],
            (Tracked) parts[NESTED_HEADER.ordinal()],
            (Tracked) parts[VMCS12.ordinal()],
            (Tracked) parts[SHADOW_VMCS12.ordinal()],
            (SvmNested) parts[SVM.ordinal()]),
        new Vcpu.Platform(
            (Tracked) parts[LAPIC.ordinal()],
            (Tracked) parts[MP_STATE.ordinal()],
            tables == null ? null : tables.table(),
            tables == null ? null : tables.set(),
            (MsrState) parts[MSRS.ordinal()],
            khz == null ? NO_KHZ : khz,
            (Smram) parts[SMRAM.ordinal()]),
        (Vcpu.Progress) parts[PROGRESS.ordinal()]);
  }

  /** All parts of a vCPU. */
  static @Nullable Object[] parts(Vcpu v) {
    @Nullable Object[] parts = new Object[COUNT];
    for (Cell cell : ALL) {
      parts[cell.ordinal()] = cell.of(v);
    }
    return parts;
  }

  /**
   * Whether two values of one part are the same for all that a call can do with them: the values,
   * what is known of them, and the last values of what is stale. Who wrote them is no difference.
   */
  @SuppressWarnings(
      "ReferenceEquality") // Nearly always the very same value; comparing it would cost.
  static boolean same(@Nullable Object a, @Nullable Object b) {
    if (a instanceof Tracked x && b instanceof Tracked y) {
      return x == y
          || (x.layout().equals(y.layout())
              && x.known().equals(y.known())
              && x.seen().equals(y.seen())
              && x.bytes().equals(y.bytes()));
    }
    if (a instanceof Smram x && b instanceof Smram y) {
      return x == y
          || (x.smbase() == y.smbase()
              && x.resume() == y.resume()
              && x.quiet() == y.quiet()
              && same(x.map(), y.map()));
    }
    if (a instanceof MsrState x && b instanceof MsrState y) {
      return x == y || sameMsrs(x, y);
    }
    if (a instanceof SvmNested x && b instanceof SvmNested y) {
      return x == y
          || (x.gif() == y.gif()
              && x.l1Gif() == y.l1Gif()
              && x.l1Shadow() == y.l1Shadow()
              && same(x.header(), y.header())
              && same(x.vmcb(), y.vmcb()));
    }
    return Objects.equals(a, b);
  }

  private static boolean sameMsrs(MsrState x, MsrState y) {
    if (x.size() != y.size()) {
      return false;
    }
    for (int i = 0; i < x.size(); i++) {
      if (x.indexAt(i) != y.indexAt(i)
          || x.valueAt(i) != y.valueAt(i)
          || x.knowsAt(i) != y.knowsAt(i)) {
        return false;
      }
    }
    return true;
  }

  /** Equal for values that are {@link #same}; differs between runs of the JVM. */
  static int hash(@Nullable Object value) {
    return switch (value) {
      case null -> 0;
      case Tracked t -> 31 * t.bytes().hashCode() + t.known().hashCode();
      case MsrState m -> hash(m);
      case Smram s -> hash(s.map());
      case SvmNested s -> 31 * hash(s.header()) + hash(s.vmcb());
      default -> value.hashCode();
    };
  }

  private static int hash(MsrState m) {
    long[] values = new long[m.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = m.valueAt(i) * 31 + m.indexAt(i) + (m.knowsAt(i) ? 1 : 0);
    }
    return Arrays.hashCode(values);
  }
}
