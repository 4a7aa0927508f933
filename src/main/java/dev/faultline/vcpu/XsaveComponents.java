package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmXsave;
import org.jspecify.annotations.Nullable;

/**
 * An XSAVE area as KVM gives it back: components that XSTATE_BV names as they were set, the others
 * in their initial state.
 *
 * <p><em>Source:</em> {@code arch/x86/kernel/fpu/xstate.c, __copy_xstate_to_uabi_buf()}, v6.1; the
 * places of components by CPUID leaf 0xD of the host.
 */
final class XsaveComponents {
  private static final StructLayout LAYOUT = KvmXsave.LAYOUT;
  private static final int FCW = 0;
  private static final long FCW_INITIAL = 0x37f;
  private static final int MXCSR = 24;
  private static final long MXCSR_INITIAL = 0x1f80;
  private static final int ST = 32;
  private static final int XMM = 160;
  private static final int PADDING = 416;
  private static final int SW_RESERVED = 464;
  private static final int HEADER = 512;
  private static final int EXTENDED = 576;
  private static final int X87 = 0;
  private static final int SSE = 1;
  private static final int YMM = 2;
  private static final int PKRU = 9;
  private static final int LEAF = 0xd;
  private static final int STANDARD_YMM = 576;
  private static final int STANDARD_YMM_SIZE = 256;

  private XsaveComponents() {}

  /** The reply to KVM_GET_XSAVE for an area that was set with these features. */
  static Reply.Struct reply(Bytes area, long features, @Nullable KvmCpuid2 host) {
    Bytes.Builder reply = area.toBuilder();
    FieldSet known = FieldSet.all(LAYOUT.count());
    for (int f = 0; f < LAYOUT.count(); f++) {
      StructField field = LAYOUT.field(f);
      Fate fate = fate(field.offset(), features, host);
      if (fate == Fate.UNKNOWN) {
        known = known.without(f);
      } else if (fate == Fate.INITIAL) {
        reply.put(field.offset(), field.width(), initial(field.offset()));
      }
    }
    return new Reply.Struct("", 0, LAYOUT, reply.build(), known);
  }

  /** Where the bytes that KVM gives back come from. */
  private enum Fate {
    AS_SET,
    INITIAL,
    UNKNOWN
  }

  private static Fate fate(int at, long features, @Nullable KvmCpuid2 host) {
    boolean vector = has(features, SSE) || has(features, YMM);
    if (at < MXCSR || (at >= ST && at < XMM)) {
      return has(features, X87) ? Fate.AS_SET : Fate.INITIAL;
    }
    if (at < ST) {
      // The mask of MXCSR is the host's own when no component brings one along.
      return vector ? Fate.AS_SET : at == MXCSR ? Fate.INITIAL : Fate.UNKNOWN;
    }
    if (at < PADDING) {
      return has(features, SSE) ? Fate.AS_SET : Fate.INITIAL;
    }
    if (at < SW_RESERVED) {
      return Fate.INITIAL;
    }
    if (at < HEADER) {
      return Fate.UNKNOWN;
    }
    return at < EXTENDED ? Fate.AS_SET : extended(at, features, host);
  }

  private static Fate extended(int at, long features, @Nullable KvmCpuid2 host) {
    if (at >= STANDARD_YMM && at < STANDARD_YMM + STANDARD_YMM_SIZE) {
      return has(features, YMM) ? Fate.AS_SET : Fate.INITIAL;
    }
    long rest = features >>> (YMM + 1) << (YMM + 1);
    if (rest == 0) {
      return Fate.INITIAL;
    }
    if (host == null) {
      return Fate.UNKNOWN;
    }
    for (int i = YMM + 1; i < Long.SIZE; i++) {
      if (has(rest, i)) {
        CpuidEntry place = host.find(LEAF, i);
        if (place == null || i == PKRU) {
          return Fate.UNKNOWN;
        }
        if (at >= place.ebx() && at < place.ebx() + place.eax()) {
          return Fate.AS_SET;
        }
      }
    }
    return Fate.INITIAL;
  }

  private static boolean has(long features, int component) {
    return (features >>> component & 1) != 0;
  }

  private static long initial(int at) {
    return switch (at) {
      case FCW -> FCW_INITIAL;
      case MXCSR -> MXCSR_INITIAL;
      default -> 0;
    };
  }
}
