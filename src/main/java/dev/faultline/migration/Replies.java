package dev.faultline.migration;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Reply;
import java.util.ArrayList;
import java.util.List;

/** Operations on what a read showed. */
final class Replies {
  static final Reply.Msrs NO_MSRS =
      new Reply.Msrs(KvmMsrs.of(List.of()), List.of(), List.of(), true);

  private Replies() {}

  /** One list of MSRs after the other. */
  static Reply joined(Reply first, Reply second) {
    return first instanceof Reply.Msrs a && second instanceof Reply.Msrs b ? joined(a, b) : second;
  }

  static Reply.Msrs joined(Reply.Msrs first, Reply.Msrs second) {
    if (first.read() == 0) {
      return second;
    }
    List<MsrEntry> entries = new ArrayList<>();
    List<Long> values = new ArrayList<>();
    List<Boolean> certain = new ArrayList<>();
    for (Reply.Msrs part : List.of(first, second)) {
      for (int i = 0; i < part.read(); i++) {
        entries.add(new MsrEntry(part.index(i), part.values().get(i)));
        values.add(part.values().get(i));
        certain.add(part.certain().get(i));
      }
    }
    return new Reply.Msrs(KvmMsrs.of(entries), List.copyOf(values), List.copyOf(certain), true);
  }

  /** The entries that were read before one that KVM refuses, or one of which nobody can tell. */
  static Reply.Msrs first(Reply.Msrs read, Outcome outcome, MsrState kept) {
    List<MsrEntry> entries = new ArrayList<>();
    List<Long> values = new ArrayList<>();
    List<Boolean> certain = new ArrayList<>();
    for (int i = 0; i < read.read(); i++) {
      entries.add(new MsrEntry(read.index(i), read.values().get(i)));
      values.add(read.values().get(i));
      certain.add(read.certain().get(i));
    }
    if (outcome instanceof Outcome.Undecided && read.asked().held() > read.read()) {
      // The VMM asks for what the host lists, so KVM reads it.
      int index = read.asked().index(read.read());
      entries.add(new MsrEntry(index, kept.value(index)));
      values.add(kept.value(index));
      certain.add(kept.knows(index));
    }
    return new Reply.Msrs(KvmMsrs.of(entries), List.copyOf(values), List.copyOf(certain), true);
  }

  /** A list without its first entries. */
  static KvmMsrs without(KvmMsrs list, int dropped) {
    List<MsrEntry> rest = new ArrayList<>();
    for (int i = dropped; i < list.held(); i++) {
      rest.add(new MsrEntry(list.index(i), list.data(i)));
    }
    return KvmMsrs.of(rest);
  }

  /** The MSRs of a read that a step writes, with their values. */
  static Reply.Msrs chosen(Reply.Msrs read, MsrSet set) {
    if (set.listed() && set.except().isEmpty()) {
      return withValues(read);
    }
    List<MsrEntry> entries = new ArrayList<>();
    List<Long> values = new ArrayList<>();
    List<Boolean> certain = new ArrayList<>();
    for (int i = 0; i < read.read(); i++) {
      if (set.writes(read.index(i))) {
        entries.add(new MsrEntry(read.index(i), read.values().get(i)));
        values.add(read.values().get(i));
        certain.add(read.certain().get(i));
      }
    }
    return new Reply.Msrs(KvmMsrs.of(entries), List.copyOf(values), List.copyOf(certain), true);
  }

  private static Reply.Msrs withValues(Reply.Msrs read) {
    Bytes.Builder list = read.asked().raw().toBuilder();
    for (int i = 0; i < read.read(); i++) {
      list.put(
          KvmMsrs.HEADER_SIZE + i * KvmMsrs.ENTRY_SIZE + Long.BYTES,
          Long.BYTES,
          read.values().get(i));
    }
    return new Reply.Msrs(new KvmMsrs(list.build()), read.values(), read.certain(), read.whole());
  }

  /** The meaningful fields that are not known. */
  static FieldSet unknown(Reply.Struct s) {
    return s.layout().values().minus(s.knownFields());
  }

  /** The meaningful fields of all parts that are not known, counted through. */
  static FieldSet unknown(Reply.Parts p) {
    FieldSet unknown = FieldSet.none(p.count());
    int base = 0;
    for (Reply.Struct part : p.parts()) {
      FieldSet local = unknown(part);
      for (int f = local.next(0); f >= 0; f = local.next(f + 1)) {
        unknown = unknown.with(base + f);
      }
      base += part.count();
    }
    return unknown;
  }

  /** A KVM_GET_SREGS2 as the KVM_GET_SREGS of the same state, without interrupts and PDPTRs. */
  static Reply.Struct asSregs(Reply.Struct sregs2) {
    StructLayout wide = KvmSregs2.LAYOUT;
    StructLayout layout = KvmSregs.LAYOUT;
    FieldSet known = layout.all();
    for (int f = 0; f < layout.count(); f++) {
      String name = layout.field(f).name();
      if (wide.has(name) && !sregs2.knownFields().has(wide.indexOf(name))) {
        known = known.without(f);
      }
    }
    return new Reply.Struct("", 0, layout, Bytes.zero(layout.size()), known);
  }

  /** The bytes of all parts. */
  static Bytes bytes(Reply.Parts p) {
    Reply.Struct last = p.parts().getLast();
    Bytes.Builder bytes = Bytes.builder(last.offset() + last.layout().size());
    for (Reply.Struct part : p.parts()) {
      bytes.putBytes(part.offset(), part.bytes(), 0, part.layout().size());
    }
    return bytes.build();
  }
}
