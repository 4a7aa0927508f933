package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.StructField;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vmx.AccessRights;
import dev.faultline.vmx.EntryControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import dev.faultline.x86.SmramMap;
import java.util.Locale;

/** 64-bit save maps, put together from what else tells the registers that an SMI saved. */
public final class SavedMaps {
  private static final long EFER_L2 = 0xd00;

  private SavedMaps() {}

  /** What an SMI in L2 saved, as far as vmcs12 holds it. */
  public static Bytes ofL2(Tracked vmcs12) {
    Bytes.Builder map = Bytes.builder(SmramMap.SIZE);
    for (SegmentRegister register : SegmentRegister.values()) {
      String name = "GUEST_" + register.name() + "_";
      int ar = (int) get(vmcs12, name + "AR_BYTES");
      boolean unusable = (ar & AccessRights.UNUSABLE) != 0;
      int attributes = (unusable ? ar & ~AccessRights.P : ar) & 0xffff;
      segment(
          map,
          register,
          get(vmcs12, name + "SELECTOR"),
          attributes,
          get(vmcs12, name + "LIMIT"),
          get(vmcs12, name + "BASE"));
    }
    put(map, "cr0", get(vmcs12, "GUEST_CR0"));
    put(map, "cr3", get(vmcs12, "GUEST_CR3"));
    put(map, "cr4", get(vmcs12, "GUEST_CR4"));
    put(map, "rip", get(vmcs12, "GUEST_RIP"));
    put(map, "rflags", get(vmcs12, "GUEST_RFLAGS"));
    boolean wide = (get(vmcs12, "VM_ENTRY_CONTROLS") & EntryControls.IA32E_MODE) != 0;
    put(map, "efer", wide ? EFER_L2 : 0);
    return map.build();
  }

  private static long get(Tracked vmcs12, String field) {
    int index = Vmcs12.indexOf(VmcsField.valueOf(field));
    assertThat(vmcs12.knows(index)).as(field).isTrue();
    return vmcs12.value(index);
  }

  /** What an SMI in L1 saved, as far as struct kvm_sregs holds it. */
  public static Bytes ofL1(Bytes raw) {
    KvmSregs sregs = new KvmSregs(raw);
    Bytes.Builder map = Bytes.builder(SmramMap.SIZE);
    for (SegmentRegister register : SegmentRegister.values()) {
      Segment s = sregs.segment(register);
      segment(map, register, s.selector(), s.accessRights() & 0xffff, s.limit(), s.base());
    }
    put(map, "cr0", sregs.cr0());
    put(map, "cr3", sregs.cr3());
    put(map, "cr4", sregs.cr4());
    put(map, "efer", sregs.efer());
    put(map, "rflags", 2);
    return map.build();
  }

  private static void segment(
      Bytes.Builder map,
      SegmentRegister register,
      long selector,
      long attributes,
      long limit,
      long base) {
    String name = register.name().toLowerCase(Locale.ROOT);
    put(map, name + ".selector", selector);
    put(map, name + ".attributes", attributes);
    put(map, name + ".limit", limit);
    put(map, name + ".base", base);
  }

  private static void put(Bytes.Builder map, String field, long value) {
    StructField f = SmramMap.LAYOUT_64.field(field);
    map.put(f.offset(), f.width(), value);
  }

  /** A field of the map. */
  public static long value(Bytes map, String field) {
    StructField f = SmramMap.LAYOUT_64.field(field);
    return map.uint(f.offset(), f.width());
  }

  /** The map with one field changed. */
  public static Bytes with(Bytes map, String field, long value) {
    StructField f = SmramMap.LAYOUT_64.field(field);
    return map.with(f.offset(), f.width(), value);
  }
}
