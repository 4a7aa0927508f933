package dev.faultline.vcpu;

/**
 * What differs between kernels and between loads of their modules: the version's behaviour and the
 * module parameters that the model's answers depend on.
 *
 * @param version whose behaviour is modelled
 * @param versionCertain whether the recording, or the user, says so; otherwise it is assumed
 * @param vendor which vendor module runs the guest
 * @param unrestrictedGuest {@code kvm_intel.unrestricted_guest}
 * @param ept {@code kvm_intel.ept}
 * @param nested {@code kvm_intel.nested} or {@code kvm_amd.nested}
 * @param emulateInvalidGuestState {@code kvm_intel.emulate_invalid_guest_state}
 * @param ignoreMsrs {@code kvm.ignore_msrs}
 */
public record KernelModel(
    KernelVersion version,
    boolean versionCertain,
    Vendor vendor,
    Answer unrestrictedGuest,
    Answer ept,
    Answer nested,
    Answer emulateInvalidGuestState,
    Answer ignoreMsrs) {

  /** The vendor module, as far as a recording tells. */
  public enum Vendor {
    VMX,
    SVM,
    UNKNOWN
  }

  /** Linux 6.1 on VMX with every parameter at its default. */
  public static KernelModel defaults() {
    return new KernelModel(
        KernelVersion.V6_1,
        true,
        Vendor.VMX,
        Answer.YES,
        Answer.YES,
        Answer.YES,
        Answer.YES,
        Answer.NO);
  }

  public KernelModel withVersion(KernelVersion changed) {
    return new KernelModel(
        changed,
        true,
        vendor,
        unrestrictedGuest,
        ept,
        nested,
        emulateInvalidGuestState,
        ignoreMsrs);
  }

  public KernelModel withUnrestrictedGuest(Answer changed) {
    return new KernelModel(
        version,
        versionCertain,
        vendor,
        changed,
        ept,
        nested,
        emulateInvalidGuestState,
        ignoreMsrs);
  }

  public KernelModel withEmulateInvalidGuestState(Answer changed) {
    return new KernelModel(
        version, versionCertain, vendor, unrestrictedGuest, ept, nested, changed, ignoreMsrs);
  }

  public boolean isVmx() {
    return vendor == Vendor.VMX;
  }

  public boolean isSvm() {
    return vendor == Vendor.SVM;
  }
}
