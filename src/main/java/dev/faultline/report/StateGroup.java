package dev.faultline.report;

import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.svm.Vmcb;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Nested;
import dev.faultline.vcpu.SvmNested;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;

/**
 * The fields of a vCPU that one ioctl reads and writes.
 *
 * @param name {@code sregs}, {@code vmcs12}, {@code msrs}
 * @param fields those that mean something, in the order of the struct
 */
record StateGroup(String name, List<StateField> fields) {
  /** All groups of a vCPU, in the order in which reports show them. */
  static List<StateGroup> of(Vcpu v) {
    Vcpu.Registers registers = v.registers();
    return List.of(
        of("regs", registers.regs()),
        of("sregs", registers.sregs()),
        of("events", v.events()),
        v.kernel().isSvm() ? nestedSvm(v.nested()) : nested(v.nested()),
        v.kernel().isSvm() ? of("vmcb", SvmNested.shownVmcb(v)) : of("vmcs12", v.nested().vmcs12()),
        of("debugregs", registers.debugregs()),
        of("xcrs", registers.xcrs()),
        of("xsave", registers.xsave()),
        of("lapic", v.platform().lapic()),
        of("mp_state", v.platform().mpState()),
        msrs(v.platform().msrs()),
        cpuid(v.platform()),
        of("smram", v.platform().smram().map()));
  }

  private static StateGroup of(String name, Tracked state) {
    List<StateField> fields = new ArrayList<>();
    add(fields, state);
    return new StateGroup(name, List.copyOf(fields));
  }

  private static void add(List<StateField> fields, Tracked state) {
    StructLayout layout = state.layout();
    for (int f = 0; f < layout.count(); f++) {
      StructField field = layout.field(f);
      if (field.isValue()) {
        String name = field.name();
        fields.add(
            new StateField(
                layout.name(),
                withoutPrefix(name),
                state.value(f),
                Knowledge.of(state.knows(f), state.seen().has(f)),
                state.writer(f)));
      }
    }
  }

  private static String withoutPrefix(String name) {
    for (String prefix : List.of(Vmcs12.PREFIX, Vmcb.PREFIX)) {
      if (name.startsWith(prefix)) {
        return name.substring(prefix.length());
      }
    }
    return name;
  }

  /** The same on SVM. */
  private static StateGroup nestedSvm(Nested nested) {
    List<StateField> fields = new ArrayList<>();
    add(fields, "guest_mode", nested.mode().guestMode());
    add(fields, "run_pending", nested.mode().runPending());
    add(fields, "gif", nested.svm().gif());
    add(fields, nested.svm().header());
    return new StateGroup("nested", List.copyOf(fields));
  }

  /** The switches of nested operation, then the header that KVM_GET_NESTED_STATE reports. */
  private static StateGroup nested(Nested nested) {
    List<StateField> fields = new ArrayList<>();
    Nested.Mode mode = nested.mode();
    add(fields, "vmxon", mode.vmxon());
    add(fields, "guest_mode", mode.guestMode());
    add(fields, "run_pending", mode.runPending());
    add(fields, "mtf_pending", mode.mtfPending());
    add(fields, "smm.vmxon", mode.smmVmxon());
    add(fields, "smm.guest_mode", mode.smmGuestMode());
    add(fields, nested.header());
    return new StateGroup("nested", List.copyOf(fields));
  }

  private static void add(List<StateField> fields, String name, Answer answer) {
    fields.add(
        new StateField(
            KvmNestedState.HEADER_LAYOUT.name(),
            name,
            answer.isYes() ? 1 : 0,
            answer.isKnown() ? Knowledge.KNOWN : Knowledge.NEVER,
            Tracked.NOBODY));
  }

  private static StateGroup msrs(MsrState msrs) {
    List<StateField> fields = new ArrayList<>();
    for (int i = 0; i < msrs.size(); i++) {
      fields.add(
          new StateField(
              "kvm_msrs",
              Msr.name(msrs.indexAt(i)),
              msrs.valueAt(i),
              Knowledge.of(msrs.knowsAt(i), true),
              msrs.writerAt(i)));
    }
    return new StateGroup("msrs", List.copyOf(fields));
  }

  private static StateGroup cpuid(Vcpu.Platform platform) {
    boolean known = platform.cpuid() != null || platform.cpuidSet().isNo();
    int entries = platform.cpuid() == null ? 0 : platform.cpuid().held();
    return new StateGroup(
        "cpuid",
        List.of(
            new StateField(
                "kvm_cpuid2", "entries", entries, Knowledge.of(known, false), Tracked.NOBODY)));
  }

  /** Known if all fields are; never seen if none was; else stale. */
  Knowledge known() {
    boolean all = !fields.isEmpty();
    boolean none = true;
    for (StateField field : fields) {
      all &= field.known() == Knowledge.KNOWN;
      none &= field.known() == Knowledge.NEVER;
    }
    return Knowledge.of(all, !none);
  }

  /** The moment of the last write to any field, or a negative number. */
  int since() {
    int since = Tracked.NOBODY;
    for (StateField field : fields) {
      since = Math.max(since, field.writer());
    }
    return since;
  }

  /** True if fields differ in what is known of them or in who wrote them. */
  boolean isMixed() {
    for (StateField field : fields) {
      StateField first = fields.getFirst();
      if (field.known() != first.known() || field.writer() != first.writer()) {
        return true;
      }
    }
    return false;
  }
}
