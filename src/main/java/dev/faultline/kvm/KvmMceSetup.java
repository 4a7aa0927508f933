package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The machine-check banks and features that a guest gets, or that KVM supports: a bare u64 in the
 * form of IA32_MCG_CAP.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_X86_SETUP_MCE",
 * "KVM_X86_GET_MCE_CAP_SUPPORTED"; {@code arch/x86/kvm/x86.c, v6.1}.
 */
public record KvmMceSetup(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 8;

  private static final int MCG_CAP = 0;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("mcg_cap", SIZE).value("mcg_cap", MCG_CAP, 8).build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmMceSetup {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("mcg_cap", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmMceSetup zero() {
    return new KvmMceSetup(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** IA32_MCG_CAP. */
  public long mcgCap() {
    return raw.u64(MCG_CAP);
  }

  /** This struct with another {@code mcg_cap}. */
  public KvmMceSetup withMcgCap(long value) {
    return new KvmMceSetup(raw.with(MCG_CAP, 8, value));
  }
}
