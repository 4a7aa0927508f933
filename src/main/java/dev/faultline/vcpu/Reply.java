package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.x86.Msr;
import java.util.List;

/** The payload that a KVM_GET_* returns, as far as it is known: field by field. */
public sealed interface Reply {
  /** How many fields it has that carry a value. */
  int count();

  /** The field's name, e.g. {@code cs.selector} or {@code vmcs12.guest_rip}. */
  String name(int field);

  boolean known(int field);

  /** Whether the field carries information, and is not padding. */
  boolean isValue(int field);

  /** The value that KVM's rules predict; only if {@link #known}. */
  long predicted(int field);

  /**
   * The field's value in a recorded payload.
   *
   * @throws IndexOutOfBoundsException when the payload ends before the field
   */
  long recorded(int field, Bytes payload);

  /**
   * A struct at an offset of the payload.
   *
   * @param prefix put before each field's name, e.g. {@code vmcs12.}
   * @param offset where the struct begins in the payload, in bytes
   * @param layout the struct's fields
   * @param bytes predicted values
   * @param knownFields fields whose value is predicted
   */
  record Struct(String prefix, int offset, StructLayout layout, Bytes bytes, FieldSet knownFields)
      implements Reply {

    public static Struct of(Tracked state) {
      return new Struct("", 0, state.layout(), state.bytes(), state.known());
    }

    @Override
    public int count() {
      return layout.count();
    }

    @Override
    public String name(int field) {
      return prefix + layout.field(field).name();
    }

    @Override
    public boolean known(int field) {
      return knownFields.has(field);
    }

    @Override
    public boolean isValue(int field) {
      return layout.field(field).isValue();
    }

    @Override
    public long predicted(int field) {
      StructField f = layout.field(field);
      return bytes.uint(f.offset(), f.width());
    }

    @Override
    public long recorded(int field, Bytes payload) {
      StructField f = layout.field(field);
      return payload.uint(offset + f.offset(), f.width());
    }
  }

  /**
   * The entries of a KVM_GET_MSRS: the values that were read, then the words that come back as the
   * caller gave them.
   *
   * @param asked the list that the caller gave
   * @param values predicted values of the entries that are read
   * @param certain which of them are predicted
   * @param whole whether KVM reads no more entries than these
   */
  record Msrs(KvmMsrs asked, List<Long> values, List<Boolean> certain, boolean whole)
      implements Reply {
    private static final int HEADER_WORDS = 2;
    private static final int KEY_WORDS = 2;
    private static final int DATA = 8;
    private static final List<String> HEADER = List.of("nmsrs", "pad");
    private static final List<String> KEYS = List.of("index", "reserved");

    /** How many entries are read. */
    public int read() {
      return values.size();
    }

    /** The number of the MSR whose value the field is. */
    public int index(int field) {
      return asked.index(field);
    }

    @Override
    public int count() {
      return asked.held() + HEADER_WORDS + KEY_WORDS * asked.held();
    }

    @Override
    public String name(int field) {
      if (field < read()) {
        return "msr." + Msr.name(index(field));
      }
      if (field < asked.held()) {
        return "entries[" + field + "].data";
      }
      int word = field - asked.held();
      if (word < HEADER_WORDS) {
        return HEADER.get(word);
      }
      int key = word - HEADER_WORDS;
      return "entries[" + key / KEY_WORDS + "]." + KEYS.get(key % KEY_WORDS);
    }

    @Override
    public boolean known(int field) {
      if (field < read()) {
        return certain.get(field);
      }
      return whole || field >= asked.held();
    }

    @Override
    public boolean isValue(int field) {
      return field < read();
    }

    @Override
    public long predicted(int field) {
      return field < read() ? values.get(field) : recorded(field, asked.raw());
    }

    @Override
    public long recorded(int field, Bytes payload) {
      if (field < asked.held()) {
        return payload.u64(KvmMsrs.HEADER_SIZE + field * KvmMsrs.ENTRY_SIZE + DATA);
      }
      int word = field - asked.held();
      if (word < HEADER_WORDS) {
        return payload.u32(word * Integer.BYTES);
      }
      int key = word - HEADER_WORDS;
      return payload.u32(
          KvmMsrs.HEADER_SIZE
              + key / KEY_WORDS * KvmMsrs.ENTRY_SIZE
              + key % KEY_WORDS * Integer.BYTES);
    }
  }

  /**
   * A CPUID table: six registers and keys an entry, then padding and the count. Registers that KVM
   * computes from the vCPU's state are not predicted.
   *
   * @param table the table that was set
   */
  record Cpuid(KvmCpuid2 table) implements Reply {
    private static final int WORDS = 7;
    private static final int ALL_WORDS = KvmCpuid2.ENTRY_SIZE / Integer.BYTES;
    private static final int PADDING_WORDS = ALL_WORDS - WORDS;
    private static final List<String> NAMES =
        List.of("function", "index", "flags", "eax", "ebx", "ecx", "edx");

    @Override
    public int count() {
      return table.held() * ALL_WORDS + 1;
    }

    private int values() {
      return table.held() * WORDS;
    }

    @Override
    public String name(int field) {
      if (field == count() - 1) {
        return "nent";
      }
      boolean value = isValue(field);
      CpuidEntry entry = table.entry(value ? field / WORDS : (field - values()) / PADDING_WORDS);
      return "cpuid[0x"
          + Integer.toHexString(entry.function())
          + "."
          + entry.index()
          + "]."
          + (value ? NAMES.get(field % WORDS) : "padding");
    }

    @Override
    public boolean known(int field) {
      if (!isValue(field)) {
        return true;
      }
      int word = field % WORDS;
      return word < 3 || !TableRules.follows(table.entry(field / WORDS), "abcd".charAt(word - 3));
    }

    @Override
    public boolean isValue(int field) {
      return field < values();
    }

    @Override
    public long predicted(int field) {
      return recorded(field, table.raw());
    }

    @Override
    public long recorded(int field, Bytes payload) {
      if (field == count() - 1) {
        return payload.u32(0);
      }
      int padding = field - values();
      int entry = padding < 0 ? field / WORDS : padding / PADDING_WORDS;
      int word = padding < 0 ? field % WORDS : WORDS + padding % PADDING_WORDS;
      return payload.u32(
          KvmCpuid2.HEADER_SIZE + entry * KvmCpuid2.ENTRY_SIZE + word * Integer.BYTES);
    }
  }

  /** Several structs one after the other. */
  record Parts(List<Struct> parts) implements Reply {

    @Override
    public int count() {
      int sum = 0;
      for (Struct part : parts) {
        sum += part.count();
      }
      return sum;
    }

    @Override
    public String name(int field) {
      return part(field).name(local(field));
    }

    @Override
    public boolean known(int field) {
      return part(field).known(local(field));
    }

    @Override
    public boolean isValue(int field) {
      return part(field).isValue(local(field));
    }

    @Override
    public long predicted(int field) {
      return part(field).predicted(local(field));
    }

    @Override
    public long recorded(int field, Bytes payload) {
      return part(field).recorded(local(field), payload);
    }

    private Struct part(int field) {
      int rest = field;
      for (Struct part : parts) {
        if (rest < part.count()) {
          return part;
        }
        rest -= part.count();
      }
      throw new IndexOutOfBoundsException(field);
    }

    private int local(int field) {
      int rest = field;
      for (Struct part : parts) {
        if (rest < part.count()) {
          return rest;
        }
        rest -= part.count();
      }
      throw new IndexOutOfBoundsException(field);
    }
  }
}
