package dev.faultline.reorder;

import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Nested;
import dev.faultline.vcpu.Smram;
import dev.faultline.vcpu.SvmNested;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Which fields of a part differ, in value or in what is known. Padding is no field; a struct of
 * which nothing is known on one side is one difference.
 */
final class FieldDifferences {
  private FieldDifferences() {}

  /** The names of the fields that differ between two values of a part. */
  static List<String> of(Cell cell, @Nullable Object a, @Nullable Object b) {
    List<String> names = new ArrayList<>();
    if (Cell.same(a, b)) {
      return names;
    }
    String prefix = cell.prefix();
    switch (a) {
      case Tracked x when b instanceof Tracked y -> tracked(prefix, x, y, names);
      case MsrState x when b instanceof MsrState y -> msrs(x, y, names);
      case Nested.Mode x when b instanceof Nested.Mode y -> mode(x, y, names);
      case Smram x when b instanceof Smram y -> tracked(prefix, x.map(), y.map(), names);
      case SvmNested x when b instanceof SvmNested y -> svm(x, y, names);
      case Vcpu.Emulation x when b instanceof Vcpu.Emulation y ->
          add(names, "kvm.emulation_required", x.required(), y.required());
      case Vcpu.Progress x when b instanceof Vcpu.Progress y -> progress(x, y, names);
      case null, default -> names.add(prefix.substring(0, prefix.length() - 1));
    }
    return names;
  }

  private static void svm(SvmNested x, SvmNested y, List<String> names) {
    add(names, "svm.gif", x.gif(), y.gif());
    add(names, "svm.l1_gif", x.l1Gif(), y.l1Gif());
    add(names, "svm.l1_shadow", x.l1Shadow(), y.l1Shadow());
    tracked("svm.", x.header(), y.header(), names);
    tracked("svm.vmcb.", x.vmcb(), y.vmcb(), names);
  }

  private static void tracked(String prefix, Tracked x, Tracked y, List<String> names) {
    if (x.known().isEmpty() != y.known().isEmpty()) {
      names.add(prefix.substring(0, prefix.length() - 1));
      return;
    }
    for (int f = 0; f < x.layout().count(); f++) {
      boolean known = x.knows(f);
      if (!x.layout().field(f).isValue()) {
        continue;
      }
      if (known != y.knows(f) || (known && x.value(f) != y.value(f))) {
        names.add(name(prefix, x.layout().field(f).name()));
      }
    }
  }

  /** {@code sregs.cr0}; a name that begins with its struct's is not given it twice. */
  private static String name(String prefix, String field) {
    int struct = field.indexOf('.') + 1;
    if (prefix.equals(field + ".")) {
      return field;
    }
    return struct > 0 && prefix.endsWith(field.substring(0, struct))
        ? prefix + field.substring(struct)
        : prefix + field;
  }

  private static void msrs(MsrState x, MsrState y, List<String> names) {
    TreeSet<Integer> indexes = new TreeSet<>(Integer::compareUnsigned);
    for (int i = 0; i < x.size(); i++) {
      indexes.add(x.indexAt(i));
    }
    for (int i = 0; i < y.size(); i++) {
      indexes.add(y.indexAt(i));
    }
    for (int index : indexes) {
      boolean known = x.knows(index);
      if (known != y.knows(index) || (known && x.value(index) != y.value(index))) {
        names.add("msr." + Msr.name(index));
      }
    }
  }

  private static void mode(Nested.Mode x, Nested.Mode y, List<String> names) {
    add(names, "nested.vmxon", x.vmxon(), y.vmxon());
    add(names, "nested.guest_mode", x.guestMode(), y.guestMode());
    add(names, "nested.run_pending", x.runPending(), y.runPending());
    add(names, "nested.mtf_pending", x.mtfPending(), y.mtfPending());
    add(names, "nested.smm.vmxon", x.smmVmxon(), y.smmVmxon());
    add(names, "nested.smm.guest_mode", x.smmGuestMode(), y.smmGuestMode());
    add(names, "nested.restricted", x.restricted(), y.restricted());
    add(names, "nested.l1_nmi_masked", x.l1NmiMasked(), y.l1NmiMasked());
    add(names, "nested.lazy_fields", x.lazyFields(), y.lazyFields());
  }

  private static void progress(Vcpu.Progress x, Vcpu.Progress y, List<String> names) {
    add(names, "kvm.entered", x.entered(), y.entered());
    add(names, "kvm.completion", x.completion(), y.completion());
    add(names, "kvm.smi_requested", x.smiRequested(), y.smiRequested());
    add(
        names,
        "kvm.exception_from_userspace",
        x.exceptionFromUserspace(),
        y.exceptionFromUserspace());
    add(names, "kvm.init_or_sipi_possible", x.initOrSipiPossible(), y.initOrSipiPossible());
    add(names, "kvm.enlightened_vmcs", x.enlightenedVmcs(), y.enlightenedVmcs());
    add(names, "kvm.nested_pages_awaited", x.nestedPagesAwaited(), y.nestedPagesAwaited());
  }

  private static void add(List<String> names, String name, Enum<?> x, Enum<?> y) {
    if (!x.equals(y)) {
      names.add(name);
    }
  }
}
