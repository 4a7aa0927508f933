package dev.faultline.vmx;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The VMCS that L1 made for L2, in the layout in which KVM keeps and migrates it.
 *
 * <p><i>Shape</i>: a page; the struct itself is {@link #SIZE_PACKED} bytes, the rest is padding
 * that KVM_GET_NESTED_STATE copies along. Byte 0 starts with the revision (31 bits) and the
 * shadow-VMCS indicator (bit 31).
 *
 * <p>A view: reading a field allocates nothing.
 *
 * <p><i>Source</i>: {@code arch/x86/kvm/vmx/vmcs12.h, struct vmcs12, v6.1}; it is an ABI and the
 * same in every kernel.
 */
public record Vmcs12(Bytes raw) {
  /** Bytes of the page. */
  public static final int SIZE = 4096;

  /** Bytes of the struct, which is what KVM_SET_NESTED_STATE reads. */
  public static final int SIZE_PACKED = 998;

  /** KVM's own VMCS revision. */
  public static final int REVISION = 0x11e57ed0;

  /** The prefix of the names in {@link #LAYOUT}. */
  public static final String PREFIX = "vmcs12.";

  private static final int HDR = 0;
  private static final int ABORT = 4;
  private static final int LAUNCH_STATE = 8;
  private static final int DEAD_SPACE = 376;
  private static final int DEAD_SPACE_SIZE = 32;
  private static final int REVISION_MASK = 0x7fff_ffff;

  /** All bytes of the page, names as in {@code vmcs12.guest_rip}. */
  public static final StructLayout LAYOUT = layout();

  private static final int[] OFFSETS = new int[VmcsField.count()];
  private static final int[] SIZES = new int[VmcsField.count()];
  private static final int[] INDEXES = new int[VmcsField.count()];

  static {
    for (VmcsField field : VmcsField.values()) {
      OFFSETS[field.ordinal()] = field.offset();
      SIZES[field.ordinal()] = field.size();
      INDEXES[field.ordinal()] = LAYOUT.indexOf(PREFIX + field.vmcs12Name());
    }
  }

  /** A page of exactly {@link #SIZE} bytes. */
  public Vmcs12 {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("vmcs12", Integer.toString(SIZE), raw.size());
    }
  }

  /** A page of zeros, without even a revision. */
  public static Vmcs12 zero() {
    return new Vmcs12(Bytes.zero(SIZE));
  }

  /** A page of zeros but for KVM's revision. */
  public static Vmcs12 blank() {
    return zero().withHdr(REVISION);
  }

  /** The index in {@link #LAYOUT} of a VMCS field. */
  public static int indexOf(VmcsField field) {
    return INDEXES[field.ordinal()];
  }

  /** The value of a field, zero-extended. */
  public long get(VmcsField field) {
    return get(field.ordinal());
  }

  /** The value of the field of that ordinal, zero-extended. */
  public long get(int fieldOrdinal) {
    return raw.uint(OFFSETS[fieldOrdinal], SIZES[fieldOrdinal]);
  }

  /** The low 32 bits of a field. */
  public int get32(VmcsField field) {
    return (int) get(field.ordinal());
  }

  /** This vmcs12 with another value of one field, cut to the field's width. */
  public Vmcs12 with(VmcsField field, long value) {
    return new Vmcs12(raw.with(field.offset(), field.size(), value));
  }

  /** Bits 30:0 of the first word. */
  public int revisionId() {
    return raw.i32(HDR) & REVISION_MASK;
  }

  /** Bit 31 of the first word: this is a shadow VMCS. */
  public boolean isShadow() {
    return raw.i32(HDR) < 0;
  }

  /** The first word: revision and shadow-VMCS indicator. */
  public int hdr() {
    return raw.i32(HDR);
  }

  /** The VMX-abort indicator. */
  public int abort() {
    return raw.i32(ABORT);
  }

  /** 1 after VMLAUNCH, 0 after VMCLEAR. */
  public int launchState() {
    return raw.i32(LAUNCH_STATE);
  }

  /** This vmcs12 with another first word. */
  public Vmcs12 withHdr(int hdr) {
    return new Vmcs12(raw.with(HDR, Integer.BYTES, hdr));
  }

  /** This vmcs12 with another launch state. */
  public Vmcs12 withLaunchState(int launchState) {
    return new Vmcs12(raw.with(LAUNCH_STATE, Integer.BYTES, launchState));
  }

  private static StructLayout layout() {
    StructLayout.Builder layout =
        StructLayout.builder("vmcs12", SIZE)
            .value(PREFIX + "hdr", HDR, Integer.BYTES)
            .value(PREFIX + "abort", ABORT, Integer.BYTES)
            .value(PREFIX + "launch_state", LAUNCH_STATE, Integer.BYTES)
            .reserved(DEAD_SPACE, DEAD_SPACE_SIZE);
    for (VmcsField field : VmcsField.values()) {
      layout.value(PREFIX + field.vmcs12Name(), field.offset(), field.size());
    }
    return layout.build();
  }
}
