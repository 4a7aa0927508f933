package dev.faultline.vcpu;

import dev.faultline.kvm.KvmSregs;
import dev.faultline.vmx.GuestState;
import dev.faultline.vmx.GuestStateChecks;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import dev.faultline.x86.SmramMap;
import java.util.Locale;

/** Segments as RSM reads them out of either save map. */
final class RsmSegments {
  private static final int LIMIT_20 = 0xf_ffff;
  private static final int PAGE_BITS = 12;
  private static final long PAGE_MASK = 0xfff;
  private static final long LOW_32 = 0xffff_ffffL;
  private static final int FLAT_CODE = 11;
  private static final int FLAT_DATA = 3;

  private RsmSegments() {}

  static int dplOf(SegmentRegister register) {
    return KvmSregs.LAYOUT.indexOf(SregsFields.uapiName(register) + ".dpl");
  }

  /** Whether everything is known that makes up this segment. */
  static boolean known(Tracked map, SegmentRegister register) {
    String name = name(register);
    boolean wide = wide(map);
    return map.knows(index(map, name + ".selector"))
        && map.knows(index(map, name + (wide ? ".attributes" : ".flags")))
        && map.knows(index(map, name + ".limit"))
        && map.knows(index(map, name + ".base"));
  }

  /** The segment as KVM hands it on: present decides usable. */
  static Segment read(Tracked map, SegmentRegister register, KernelVersion version) {
    String name = name(register);
    boolean wide = wide(map);
    long flags =
        wide
            ? map.value(index(map, name + ".attributes")) << SmramMap.FLAGS_SHIFT
            : map.value(index(map, name + ".flags"));
    int g = bit(flags, 23);
    long limit = map.value(index(map, name + ".limit")) & LOW_32;
    if (!version.rsm().keepsLimits()) {
      limit &= LIMIT_20;
      if (g != 0) {
        limit = limit << PAGE_BITS | PAGE_MASK;
      }
    }
    int present = bit(flags, 15);
    return new Segment(
        map.value(index(map, name + ".base")),
        limit,
        (int) map.value(index(map, name + ".selector")) & 0xffff,
        (int) (flags >> 8 & 15),
        present,
        (int) (flags >> 13 & 3),
        bit(flags, 22),
        bit(flags, 12),
        bit(flags, 21),
        g,
        bit(flags, 20),
        1 - present);
  }

  /** Whether TR or LDTR makes a state invalid in which all else is flat. */
  static Answer systemInvalid(Tracked map, int moment, KernelVersion version) {
    if (!known(map, SegmentRegister.TR) || !known(map, SegmentRegister.LDTR)) {
      return Answer.CANNOT_TELL;
    }
    Segment code = new Segment(0, LOW_32, 0, FLAT_CODE, 1, 0, 0, 1, 0, 1, 0, 0);
    Segment data = new Segment(0, LOW_32, 0, FLAT_DATA, 1, 0, 0, 1, 0, 1, 0, 0);
    GuestState state =
        new GuestState(
            Cr0.PE,
            0,
            code,
            data,
            data,
            data,
            data,
            data,
            read(map, SegmentRegister.TR, version),
            read(map, SegmentRegister.LDTR, version));
    return Answer.of(GuestStateChecks.firstFailure(state) != null);
  }

  private static boolean wide(Tracked map) {
    return map.layout().equals(SmramMap.LAYOUT_64);
  }

  private static int index(Tracked map, String field) {
    return map.layout().indexOf(field);
  }

  private static String name(SegmentRegister register) {
    return register.name().toLowerCase(Locale.ROOT);
  }

  private static int bit(long flags, int at) {
    return (int) (flags >> at & 1);
  }
}
