package dev.faultline.vmx;

import dev.faultline.x86.Cr0;
import dev.faultline.x86.Rflags;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;

/**
 * What KVM's checks on a guest's segments look at, as it stands in the VMCS.
 *
 * @param cr0 CR0 as the guest has it
 * @param rflags RFLAGS as the guest has it
 * @param cs the segments as KVM reads them back, so with {@code present} the opposite of {@code
 *     unusable}; {@link #stored} makes that of what userspace set
 */
public record GuestState(
    long cr0,
    long rflags,
    Segment cs,
    Segment ds,
    Segment es,
    Segment fs,
    Segment gs,
    Segment ss,
    Segment tr,
    Segment ldtr) {

  /** The same state after KVM wrote each segment into a VMCS and read it back. */
  public GuestState stored() {
    return new GuestState(
        cr0,
        rflags,
        stored(cs),
        stored(ds),
        stored(es),
        stored(fs),
        stored(gs),
        stored(ss),
        stored(tr),
        stored(ldtr));
  }

  /** The guest state of a vmcs12, as it stands in vmcs02 after a VM entry. */
  public static GuestState of(Vmcs12 vmcs12) {
    return new GuestState(
        vmcs12.get(VmcsField.GUEST_CR0),
        vmcs12.get(VmcsField.GUEST_RFLAGS),
        segment(
            vmcs12,
            VmcsField.GUEST_CS_SELECTOR,
            VmcsField.GUEST_CS_BASE,
            VmcsField.GUEST_CS_LIMIT,
            VmcsField.GUEST_CS_AR_BYTES),
        segment(
            vmcs12,
            VmcsField.GUEST_DS_SELECTOR,
            VmcsField.GUEST_DS_BASE,
            VmcsField.GUEST_DS_LIMIT,
            VmcsField.GUEST_DS_AR_BYTES),
        segment(
            vmcs12,
            VmcsField.GUEST_ES_SELECTOR,
            VmcsField.GUEST_ES_BASE,
            VmcsField.GUEST_ES_LIMIT,
            VmcsField.GUEST_ES_AR_BYTES),
        segment(
            vmcs12,
            VmcsField.GUEST_FS_SELECTOR,
            VmcsField.GUEST_FS_BASE,
            VmcsField.GUEST_FS_LIMIT,
            VmcsField.GUEST_FS_AR_BYTES),
        segment(
            vmcs12,
            VmcsField.GUEST_GS_SELECTOR,
            VmcsField.GUEST_GS_BASE,
            VmcsField.GUEST_GS_LIMIT,
            VmcsField.GUEST_GS_AR_BYTES),
        segment(
            vmcs12,
            VmcsField.GUEST_SS_SELECTOR,
            VmcsField.GUEST_SS_BASE,
            VmcsField.GUEST_SS_LIMIT,
            VmcsField.GUEST_SS_AR_BYTES),
        segment(
            vmcs12,
            VmcsField.GUEST_TR_SELECTOR,
            VmcsField.GUEST_TR_BASE,
            VmcsField.GUEST_TR_LIMIT,
            VmcsField.GUEST_TR_AR_BYTES),
        segment(
            vmcs12,
            VmcsField.GUEST_LDTR_SELECTOR,
            VmcsField.GUEST_LDTR_BASE,
            VmcsField.GUEST_LDTR_LIMIT,
            VmcsField.GUEST_LDTR_AR_BYTES));
  }

  /** One segment. */
  public Segment segment(SegmentRegister register) {
    return switch (register) {
      case CS -> cs;
      case DS -> ds;
      case ES -> es;
      case FS -> fs;
      case GS -> gs;
      case SS -> ss;
      case TR -> tr;
      case LDTR -> ldtr;
    };
  }

  /** The same state with one segment changed. */
  public GuestState withSegment(SegmentRegister register, Segment changed) {
    return new GuestState(
        cr0,
        rflags,
        register == SegmentRegister.CS ? changed : cs,
        register == SegmentRegister.DS ? changed : ds,
        register == SegmentRegister.ES ? changed : es,
        register == SegmentRegister.FS ? changed : fs,
        register == SegmentRegister.GS ? changed : gs,
        register == SegmentRegister.SS ? changed : ss,
        register == SegmentRegister.TR ? changed : tr,
        register == SegmentRegister.LDTR ? changed : ldtr);
  }

  /** The same state with another CR0. */
  public GuestState withCr0(long changed) {
    return new GuestState(changed, rflags, cs, ds, es, fs, gs, ss, tr, ldtr);
  }

  /** The same state with another RFLAGS. */
  public GuestState withRflags(long changed) {
    return new GuestState(cr0, changed, cs, ds, es, fs, gs, ss, tr, ldtr);
  }

  /** Whether KVM asks the real-mode checks: protection is off, or RFLAGS.VM is on. */
  public boolean isRealOrVirtual8086Mode() {
    return (cr0 & Cr0.PE) == 0 || (rflags & Rflags.VM) != 0;
  }

  private static Segment stored(Segment segment) {
    return Segment.fromAccessRights(
        segment.selector(), segment.base(), segment.limit(), segment.accessRights());
  }

  private static Segment segment(
      Vmcs12 vmcs12, VmcsField selector, VmcsField base, VmcsField limit, VmcsField rights) {
    return Segment.fromAccessRights(
        vmcs12.get32(selector), vmcs12.get(base), vmcs12.get(limit), vmcs12.get32(rights));
  }
}
