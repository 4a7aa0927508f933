package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
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
   * The entries of a KVM_GET_MSRS.
   *
   * @param indexes the MSRs asked for
   * @param values predicted values
   * @param certain which of them are predicted
   */
  record Msrs(List<Integer> indexes, List<Long> values, List<Boolean> certain) implements Reply {
    private static final int HEADER = 8;
    private static final int ENTRY = 16;
    private static final int DATA = 8;

    @Override
    public int count() {
      return indexes.size();
    }

    @Override
    public String name(int field) {
      return "msr." + Msr.name(indexes.get(field));
    }

    @Override
    public boolean known(int field) {
      return certain.get(field);
    }

    @Override
    public boolean isValue(int field) {
      return true;
    }

    @Override
    public long predicted(int field) {
      return values.get(field);
    }

    @Override
    public long recorded(int field, Bytes payload) {
      return payload.u64(HEADER + field * ENTRY + DATA);
    }
  }

  /**
   * A CPUID table: six registers and keys an entry. Registers that KVM computes from the vCPU's
   * state are not predicted.
   *
   * @param table the table that was set
   */
  record Cpuid(KvmCpuid2 table) implements Reply {
    private static final int HEADER = 8;
    private static final int ENTRY = 40;
    private static final int WORDS = 7;
    private static final List<String> NAMES =
        List.of("function", "index", "flags", "eax", "ebx", "ecx", "edx");

    @Override
    public int count() {
      return table.held() * WORDS;
    }

    @Override
    public String name(int field) {
      CpuidEntry entry = table.entry(field / WORDS);
      return "cpuid[0x"
          + Integer.toHexString(entry.function())
          + "."
          + entry.index()
          + "]."
          + NAMES.get(field % WORDS);
    }

    @Override
    public boolean known(int field) {
      int word = field % WORDS;
      return word < 3 || !TableRules.follows(table.entry(field / WORDS), "abcd".charAt(word - 3));
    }

    @Override
    public boolean isValue(int field) {
      return true;
    }

    @Override
    public long predicted(int field) {
      CpuidEntry entry = table.entry(field / WORDS);
      int value =
          switch (field % WORDS) {
            case 0 -> entry.function();
            case 1 -> entry.index();
            case 2 -> entry.flags();
            case 3 -> entry.eax();
            case 4 -> entry.ebx();
            case 5 -> entry.ecx();
            default -> entry.edx();
          };
      return Integer.toUnsignedLong(value);
    }

    @Override
    public long recorded(int field, Bytes payload) {
      return payload.u32(HEADER + field / WORDS * ENTRY + field % WORDS * Integer.BYTES);
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
