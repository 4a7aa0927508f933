package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.vmx.PrimaryControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;

/**
 * Nested virtualization state of a vCPU. Of the switches nested SVM knows guest mode and a pending
 * run; the rest of its state is in {@code svm}.
 *
 * @param mode where the vCPU is in the nested state machine
 * @param header numbers that KVM_GET_NESTED_STATE reports in its header
 * @param vmcs12 KVM's cached copy of the current VMCS of L1; while L2 is active its guest-state
 *     fields are behind the registers until KVM synchronizes them
 * @param shadowVmcs12 the cached copy of the VMCS that the link pointer names
 * @param svm what nested SVM has instead of header and VMCSs
 */
public record Nested(
    Mode mode, Tracked header, Tracked vmcs12, Tracked shadowVmcs12, SvmNested svm) {

  /**
   * The switches of KVM's nested VMX state machine.
   *
   * @param vmxon L1 is in VMX operation
   * @param guestMode L2 is active
   * @param runPending a nested VM-Enter was emulated and hardware has not entered L2 yet
   * @param mtfPending a monitor trap flag exit is pending
   * @param smmVmxon VMX operation is put aside while in SMM
   * @param smmGuestMode L2 is put aside while in SMM
   * @param restricted L2 runs without "unrestricted guest"
   * @param l1NmiMasked NMI blocking of L1 while L2 is active
   * @param lazyFields the fields of vmcs12 that KVM copies only on demand still wait in vmcs02
   */
  public record Mode(
      Answer vmxon,
      Answer guestMode,
      Answer runPending,
      Answer mtfPending,
      Answer smmVmxon,
      Answer smmGuestMode,
      Answer restricted,
      Answer l1NmiMasked,
      Answer lazyFields) {

    /** VMX was never switched on. */
    public static final Mode OFF =
        new Mode(
            Answer.NO,
            Answer.NO,
            Answer.NO,
            Answer.NO,
            Answer.NO,
            Answer.NO,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.NO);

    /** Anything is possible. */
    public static final Mode UNKNOWN =
        new Mode(
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL);

    public Mode withVmxon(Answer changed) {
      return new Mode(
          changed,
          guestMode,
          runPending,
          mtfPending,
          smmVmxon,
          smmGuestMode,
          restricted,
          l1NmiMasked,
          lazyFields);
    }

    public Mode withGuestMode(Answer changed) {
      return new Mode(
          vmxon,
          changed,
          runPending,
          mtfPending,
          smmVmxon,
          smmGuestMode,
          restricted,
          l1NmiMasked,
          lazyFields);
    }

    public Mode withRestricted(Answer changed) {
      return new Mode(
          vmxon,
          guestMode,
          runPending,
          mtfPending,
          smmVmxon,
          smmGuestMode,
          changed,
          l1NmiMasked,
          lazyFields);
    }

    public Mode withL1NmiMasked(Answer changed) {
      return new Mode(
          vmxon,
          guestMode,
          runPending,
          mtfPending,
          smmVmxon,
          smmGuestMode,
          restricted,
          changed,
          lazyFields);
    }

    public Mode withLazyFields(Answer changed) {
      return new Mode(
          vmxon,
          guestMode,
          runPending,
          mtfPending,
          smmVmxon,
          smmGuestMode,
          restricted,
          l1NmiMasked,
          changed);
    }

    public Mode withPending(Answer run, Answer mtf) {
      return new Mode(
          vmxon, guestMode, run, mtf, smmVmxon, smmGuestMode, restricted, l1NmiMasked, lazyFields);
    }

    public Mode withSmm(Answer smmVmxonChanged, Answer smmGuestModeChanged) {
      return new Mode(
          vmxon,
          guestMode,
          runPending,
          mtfPending,
          smmVmxonChanged,
          smmGuestModeChanged,
          restricted,
          l1NmiMasked,
          lazyFields);
    }

    /** Whether KVM has a VMXON region on record, in SMM or not. */
    public Answer vmxonAnywhere() {
      return vmxon.or(smmVmxon);
    }
  }

  /** A vCPU that was just created: VMX or SVM off, no VMCS. */
  public static Nested fresh(KernelModel kernel, int moment) {
    Tracked header = Tracked.known(KvmNestedState.HEADER_LAYOUT, emptyHeader(), moment);
    return new Nested(
        Mode.OFF,
        header,
        Tracked.neverSeen(Vmcs12.LAYOUT),
        Tracked.neverSeen(Vmcs12.LAYOUT),
        kernel.isSvm() ? SvmNested.fresh(moment) : SvmNested.UNKNOWN);
  }

  /** A vCPU that the recording does not show from its creation. */
  public static Nested unseen() {
    return new Nested(
        Mode.UNKNOWN,
        Tracked.neverSeen(KvmNestedState.HEADER_LAYOUT),
        Tracked.neverSeen(Vmcs12.LAYOUT),
        Tracked.neverSeen(Vmcs12.LAYOUT),
        SvmNested.UNKNOWN);
  }

  /** The header that KVM reports when VMX is off. */
  static Bytes emptyHeader() {
    return Bytes.builder(KvmNestedState.HEADER_LAYOUT.size())
        .put(NestedFields.offset(NestedFields.SIZE), 4, KvmNestedState.HEADER_LAYOUT.size())
        .put(NestedFields.offset(NestedFields.VMXON_PA), 8, NestedFields.INVALID_GPA)
        .put(NestedFields.offset(NestedFields.VMCS12_PA), 8, NestedFields.INVALID_GPA)
        .build();
  }

  public Nested withMode(Mode changed) {
    return new Nested(changed, header, vmcs12, shadowVmcs12, svm);
  }

  public Nested withHeader(Tracked changed) {
    return new Nested(mode, changed, vmcs12, shadowVmcs12, svm);
  }

  public Nested withVmcs12(Tracked changed) {
    return new Nested(mode, header, changed, shadowVmcs12, svm);
  }

  public Nested withShadowVmcs12(Tracked changed) {
    return new Nested(mode, header, vmcs12, changed, svm);
  }

  public Nested withSvm(SvmNested changed) {
    return new Nested(mode, header, vmcs12, shadowVmcs12, changed);
  }

  /** Whether vmcs12 gives L2 no "unrestricted guest", as far as its controls are known. */
  static Answer restricted(Tracked vmcs12) {
    Answer secondary =
        vmcs12.hasAny(
            Vmcs12.indexOf(VmcsField.CPU_BASED_VM_EXEC_CONTROL),
            PrimaryControls.ACTIVATE_SECONDARY_CONTROLS);
    Answer unrestricted =
        vmcs12.hasAny(
            Vmcs12.indexOf(VmcsField.SECONDARY_VM_EXEC_CONTROL),
            SecondaryControls.UNRESTRICTED_GUEST);
    return secondary.and(unrestricted).not();
  }
}
