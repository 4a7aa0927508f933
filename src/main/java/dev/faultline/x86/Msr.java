package dev.faultline.x86;

import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;

/**
 * The numbers of the model-specific registers that KVM lets a VMM save and restore.
 *
 * <p>Numbers from 0xc0000000 on are negative as an {@code int}: compare them unsigned.
 *
 * <p><i>Source</i>: Intel SDM vol. 4, "Model-Specific Registers"; for those of AMD, APM vol. 2,
 * "MSR Cross-Reference"; for the KVM and Hyper-V ones {@code arch/x86/include/uapi/asm/kvm_para.h},
 * {@code arch/x86/include/asm/hyperv-tlfs.h, v6.1}.
 */
public final class Msr {
  /** The time stamp counter. */
  public static final int IA32_TSC = 0x10;

  /** IA32_PLATFORM_ID. */
  public static final int IA32_PLATFORM_ID = 0x17;

  /** The APIC's place and mode; bits in {@link ApicBase}. */
  public static final int IA32_APIC_BASE = 0x1b;

  /** SMI_COUNT. */
  public static final int SMI_COUNT = 0x34;

  /** Locks VMX in or out; bits in {@link FeatureControl}. */
  public static final int IA32_FEATURE_CONTROL = 0x3a;

  /** IA32_TSC_ADJUST. */
  public static final int IA32_TSC_ADJUST = 0x3b;

  /** IA32_SPEC_CTRL. */
  public static final int IA32_SPEC_CTRL = 0x48;

  /** IA32_PRED_CMD. */
  public static final int IA32_PRED_CMD = 0x49;

  /** IA32_BIOS_UPDT_TRIG. */
  public static final int IA32_BIOS_UPDT_TRIG = 0x79;

  /** IA32_BIOS_SIGN_ID. */
  public static final int IA32_BIOS_SIGN_ID = 0x8b;

  /** Where SMRAM starts; not readable by a guest. */
  public static final int IA32_SMBASE = 0x9e;

  /** IA32_PMC0. */
  public static final int IA32_PMC0 = 0xc1;

  /** PLATFORM_INFO. */
  public static final int PLATFORM_INFO = 0xce;

  /** IA32_UMWAIT_CONTROL. */
  public static final int IA32_UMWAIT_CONTROL = 0xe1;

  /** IA32_MTRRCAP. */
  public static final int IA32_MTRRCAP = 0xfe;

  /** IA32_ARCH_CAPABILITIES. */
  public static final int IA32_ARCH_CAPABILITIES = 0x10a;

  /** IA32_FLUSH_CMD. */
  public static final int IA32_FLUSH_CMD = 0x10b;

  /** MISC_FEATURES_ENABLES. */
  public static final int MISC_FEATURES_ENABLES = 0x140;

  /** IA32_SYSENTER_CS. */
  public static final int IA32_SYSENTER_CS = 0x174;

  /** IA32_SYSENTER_ESP. */
  public static final int IA32_SYSENTER_ESP = 0x175;

  /** IA32_SYSENTER_EIP. */
  public static final int IA32_SYSENTER_EIP = 0x176;

  /** IA32_MCG_CAP. */
  public static final int IA32_MCG_CAP = 0x179;

  /** IA32_MCG_STATUS. */
  public static final int IA32_MCG_STATUS = 0x17a;

  /** IA32_MCG_CTL. */
  public static final int IA32_MCG_CTL = 0x17b;

  /** IA32_PERFEVTSEL0. */
  public static final int IA32_PERFEVTSEL0 = 0x186;

  /** IA32_PERF_STATUS. */
  public static final int IA32_PERF_STATUS = 0x198;

  /** IA32_MISC_ENABLE. */
  public static final int IA32_MISC_ENABLE = 0x1a0;

  /** IA32_DEBUGCTL. */
  public static final int IA32_DEBUGCTL = 0x1d9;

  /** LASTBRANCHFROMIP. */
  public static final int LASTBRANCHFROMIP = 0x1db;

  /** LASTBRANCHTOIP. */
  public static final int LASTBRANCHTOIP = 0x1dc;

  /** LASTINTFROMIP. */
  public static final int LASTINTFROMIP = 0x1dd;

  /** LASTINTTOIP. */
  public static final int LASTINTTOIP = 0x1de;

  /** POWER_CTL. */
  public static final int POWER_CTL = 0x1fc;

  /** IA32_PAT. */
  public static final int IA32_PAT = 0x277;

  /** IA32_MTRR_FIX64K_00000. */
  public static final int IA32_MTRR_FIX64K_00000 = 0x250;

  /** IA32_MTRR_FIX16K_80000. */
  public static final int IA32_MTRR_FIX16K_80000 = 0x258;

  /** IA32_MTRR_FIX16K_A0000. */
  public static final int IA32_MTRR_FIX16K_A0000 = 0x259;

  /** IA32_MTRR_DEF_TYPE. */
  public static final int IA32_MTRR_DEF_TYPE = 0x2ff;

  /** IA32_FIXED_CTR0. */
  public static final int IA32_FIXED_CTR0 = 0x309;

  /** IA32_FIXED_CTR1. */
  public static final int IA32_FIXED_CTR1 = 0x30a;

  /** IA32_FIXED_CTR2. */
  public static final int IA32_FIXED_CTR2 = 0x30b;

  /** IA32_PERF_CAPABILITIES. */
  public static final int IA32_PERF_CAPABILITIES = 0x345;

  /** IA32_FIXED_CTR_CTRL. */
  public static final int IA32_FIXED_CTR_CTRL = 0x38d;

  /** IA32_PERF_GLOBAL_STATUS. */
  public static final int IA32_PERF_GLOBAL_STATUS = 0x38e;

  /** IA32_PERF_GLOBAL_CTRL. */
  public static final int IA32_PERF_GLOBAL_CTRL = 0x38f;

  /** IA32_PERF_GLOBAL_OVF_CTRL. */
  public static final int IA32_PERF_GLOBAL_OVF_CTRL = 0x390;

  /** IA32_PEBS_ENABLE. */
  public static final int IA32_PEBS_ENABLE = 0x3f1;

  /** MSR_PEBS_DATA_CFG. */
  public static final int MSR_PEBS_DATA_CFG = 0x3f2;

  /** IA32_MC0_CTL. */
  public static final int IA32_MC0_CTL = 0x400;

  /** The first of the VMX capability MSRs. */
  public static final int IA32_VMX_BASIC = 0x480;

  /** IA32_VMX_PINBASED_CTLS. */
  public static final int IA32_VMX_PINBASED_CTLS = 0x481;

  /** IA32_VMX_PROCBASED_CTLS. */
  public static final int IA32_VMX_PROCBASED_CTLS = 0x482;

  /** IA32_VMX_EXIT_CTLS. */
  public static final int IA32_VMX_EXIT_CTLS = 0x483;

  /** IA32_VMX_ENTRY_CTLS. */
  public static final int IA32_VMX_ENTRY_CTLS = 0x484;

  /** IA32_VMX_MISC. */
  public static final int IA32_VMX_MISC = 0x485;

  /** IA32_VMX_CR0_FIXED0. */
  public static final int IA32_VMX_CR0_FIXED0 = 0x486;

  /** IA32_VMX_CR0_FIXED1. */
  public static final int IA32_VMX_CR0_FIXED1 = 0x487;

  /** IA32_VMX_CR4_FIXED0. */
  public static final int IA32_VMX_CR4_FIXED0 = 0x488;

  /** IA32_VMX_CR4_FIXED1. */
  public static final int IA32_VMX_CR4_FIXED1 = 0x489;

  /** IA32_VMX_VMCS_ENUM. */
  public static final int IA32_VMX_VMCS_ENUM = 0x48a;

  /** IA32_VMX_PROCBASED_CTLS2. */
  public static final int IA32_VMX_PROCBASED_CTLS2 = 0x48b;

  /** IA32_VMX_EPT_VPID_CAP. */
  public static final int IA32_VMX_EPT_VPID_CAP = 0x48c;

  /** IA32_VMX_TRUE_PINBASED_CTLS. */
  public static final int IA32_VMX_TRUE_PINBASED_CTLS = 0x48d;

  /** IA32_VMX_TRUE_PROCBASED_CTLS. */
  public static final int IA32_VMX_TRUE_PROCBASED_CTLS = 0x48e;

  /** IA32_VMX_TRUE_EXIT_CTLS. */
  public static final int IA32_VMX_TRUE_EXIT_CTLS = 0x48f;

  /** IA32_VMX_TRUE_ENTRY_CTLS. */
  public static final int IA32_VMX_TRUE_ENTRY_CTLS = 0x490;

  /** The last of the VMX capability MSRs. */
  public static final int IA32_VMX_VMFUNC = 0x491;

  /** IA32_DS_AREA. */
  public static final int IA32_DS_AREA = 0x600;

  /** IA32_U_CET. */
  public static final int IA32_U_CET = 0x6a0;

  /** IA32_S_CET. */
  public static final int IA32_S_CET = 0x6a2;

  /** IA32_PL0_SSP. */
  public static final int IA32_PL0_SSP = 0x6a4;

  /** IA32_TSC_DEADLINE. */
  public static final int IA32_TSC_DEADLINE = 0x6e0;

  /** IA32_BNDCFGS. */
  public static final int IA32_BNDCFGS = 0xd90;

  /** IA32_XSS. */
  public static final int IA32_XSS = 0xda0;

  /** HV_X64_GUEST_OS_ID. */
  public static final int HV_X64_GUEST_OS_ID = 0x40000000;

  /** HV_X64_HYPERCALL. */
  public static final int HV_X64_HYPERCALL = 0x40000001;

  /** HV_X64_VP_INDEX. */
  public static final int HV_X64_VP_INDEX = 0x40000002;

  /** HV_X64_TIME_REF_COUNT. */
  public static final int HV_X64_TIME_REF_COUNT = 0x40000020;

  /** HV_X64_REFERENCE_TSC. */
  public static final int HV_X64_REFERENCE_TSC = 0x40000021;

  /** KVM_WALL_CLOCK_NEW. */
  public static final int KVM_WALL_CLOCK_NEW = 0x4b564d00;

  /** KVM_SYSTEM_TIME_NEW. */
  public static final int KVM_SYSTEM_TIME_NEW = 0x4b564d01;

  /** KVM_ASYNC_PF_EN. */
  public static final int KVM_ASYNC_PF_EN = 0x4b564d02;

  /** KVM_STEAL_TIME. */
  public static final int KVM_STEAL_TIME = 0x4b564d03;

  /** KVM_PV_EOI_EN. */
  public static final int KVM_PV_EOI_EN = 0x4b564d04;

  /** KVM_POLL_CONTROL. */
  public static final int KVM_POLL_CONTROL = 0x4b564d05;

  /** KVM_ASYNC_PF_INT. */
  public static final int KVM_ASYNC_PF_INT = 0x4b564d06;

  /** KVM_ASYNC_PF_ACK. */
  public static final int KVM_ASYNC_PF_ACK = 0x4b564d07;

  /** KVM_MIGRATION_CONTROL. */
  public static final int KVM_MIGRATION_CONTROL = 0x4b564d08;

  /** KVM_WALL_CLOCK. */
  public static final int KVM_WALL_CLOCK = 0x11;

  /** KVM_SYSTEM_TIME. */
  public static final int KVM_SYSTEM_TIME = 0x12;

  /** Extended features; bits in {@link Efer}. */
  public static final int IA32_EFER = 0xc0000080;

  /** IA32_STAR. */
  public static final int IA32_STAR = 0xc0000081;

  /** IA32_LSTAR. */
  public static final int IA32_LSTAR = 0xc0000082;

  /** IA32_CSTAR. */
  public static final int IA32_CSTAR = 0xc0000083;

  /** IA32_FMASK. */
  public static final int IA32_FMASK = 0xc0000084;

  /** IA32_FS_BASE. */
  public static final int IA32_FS_BASE = 0xc0000100;

  /** IA32_GS_BASE. */
  public static final int IA32_GS_BASE = 0xc0000101;

  /** IA32_KERNEL_GS_BASE. */
  public static final int IA32_KERNEL_GS_BASE = 0xc0000102;

  /** IA32_TSC_AUX. */
  public static final int IA32_TSC_AUX = 0xc0000103;

  /** AMD64_TSC_RATIO. */
  public static final int AMD64_TSC_RATIO = 0xc0000104;

  /** K7_EVNTSEL0. */
  public static final int K7_EVNTSEL0 = 0xc0010000;

  /** K7_PERFCTR0. */
  public static final int K7_PERFCTR0 = 0xc0010004;

  /** AMD64_SYSCFG. */
  public static final int AMD64_SYSCFG = 0xc0010010;

  /** K7_HWCR. */
  public static final int K7_HWCR = 0xc0010015;

  /** K8_TSEG_ADDR. */
  public static final int K8_TSEG_ADDR = 0xc0010112;

  /** VM_CR. */
  public static final int VM_CR = 0xc0010114;

  /** VM_IGNNE. */
  public static final int VM_IGNNE = 0xc0010115;

  /** VM_HSAVE_PA. */
  public static final int VM_HSAVE_PA = 0xc0010117;

  /** AMD64_VIRT_SPEC_CTRL. */
  public static final int AMD64_VIRT_SPEC_CTRL = 0xc001011f;

  /** F15H_PERF_CTL0. */
  public static final int F15H_PERF_CTL0 = 0xc0010200;

  /** AMD64_DE_CFG. */
  public static final int AMD64_DE_CFG = 0xc0011029;

  /** The first of the variable-range MTRRs, base and mask in turn. */
  public static final int IA32_MTRR_PHYSBASE0 = 0x200;

  /** The first of the fixed-range MTRRs of 4 KiB pieces. */
  public static final int IA32_MTRR_FIX4K_C0000 = 0x268;

  private static final TreeMap<Integer, String> NAMES = names();

  private Msr() {}

  /** The MSR's name in the SDM, {@code IA32_EFER}; {@code MSR 0x9f} if it has none here. */
  public static String name(int index) {
    String name = NAMES.get(index);
    return name == null ? "MSR 0x" + Integer.toHexString(index) : name;
  }

  /** The MSR of a name as {@link #name} gives it, or empty. */
  public static OptionalInt ofName(String name) {
    for (Map.Entry<Integer, String> entry : NAMES.entrySet()) {
      if (entry.getValue().equals(name)) {
        return OptionalInt.of(entry.getKey());
      }
    }
    return OptionalInt.empty();
  }

  /** True for IA32_VMX_BASIC to IA32_VMX_VMFUNC. */
  public static boolean isVmxCapability(int index) {
    return index >= IA32_VMX_BASIC && index <= IA32_VMX_VMFUNC;
  }

  private static TreeMap<Integer, String> names() {
    TreeMap<Integer, String> names = new TreeMap<>();
    names.put(IA32_TSC, "IA32_TSC");
    names.put(IA32_PLATFORM_ID, "IA32_PLATFORM_ID");
    names.put(IA32_APIC_BASE, "IA32_APIC_BASE");
    names.put(SMI_COUNT, "SMI_COUNT");
    names.put(IA32_FEATURE_CONTROL, "IA32_FEATURE_CONTROL");
    names.put(IA32_TSC_ADJUST, "IA32_TSC_ADJUST");
    names.put(IA32_SPEC_CTRL, "IA32_SPEC_CTRL");
    names.put(IA32_PRED_CMD, "IA32_PRED_CMD");
    names.put(IA32_BIOS_UPDT_TRIG, "IA32_BIOS_UPDT_TRIG");
    names.put(IA32_BIOS_SIGN_ID, "IA32_BIOS_SIGN_ID");
    names.put(IA32_SMBASE, "IA32_SMBASE");
    names.put(IA32_PMC0, "IA32_PMC0");
    names.put(PLATFORM_INFO, "PLATFORM_INFO");
    names.put(IA32_UMWAIT_CONTROL, "IA32_UMWAIT_CONTROL");
    names.put(IA32_MTRRCAP, "IA32_MTRRCAP");
    names.put(IA32_ARCH_CAPABILITIES, "IA32_ARCH_CAPABILITIES");
    names.put(IA32_FLUSH_CMD, "IA32_FLUSH_CMD");
    names.put(MISC_FEATURES_ENABLES, "MISC_FEATURES_ENABLES");
    names.put(IA32_SYSENTER_CS, "IA32_SYSENTER_CS");
    names.put(IA32_SYSENTER_ESP, "IA32_SYSENTER_ESP");
    names.put(IA32_SYSENTER_EIP, "IA32_SYSENTER_EIP");
    names.put(IA32_MCG_CAP, "IA32_MCG_CAP");
    names.put(IA32_MCG_STATUS, "IA32_MCG_STATUS");
    names.put(IA32_MCG_CTL, "IA32_MCG_CTL");
    names.put(IA32_PERFEVTSEL0, "IA32_PERFEVTSEL0");
    names.put(IA32_PERF_STATUS, "IA32_PERF_STATUS");
    names.put(IA32_MISC_ENABLE, "IA32_MISC_ENABLE");
    names.put(IA32_DEBUGCTL, "IA32_DEBUGCTL");
    names.put(LASTBRANCHFROMIP, "LASTBRANCHFROMIP");
    names.put(LASTBRANCHTOIP, "LASTBRANCHTOIP");
    names.put(LASTINTFROMIP, "LASTINTFROMIP");
    names.put(LASTINTTOIP, "LASTINTTOIP");
    names.put(POWER_CTL, "POWER_CTL");
    names.put(IA32_PAT, "IA32_PAT");
    names.put(IA32_MTRR_FIX64K_00000, "IA32_MTRR_FIX64K_00000");
    names.put(IA32_MTRR_FIX16K_80000, "IA32_MTRR_FIX16K_80000");
    names.put(IA32_MTRR_FIX16K_A0000, "IA32_MTRR_FIX16K_A0000");
    names.put(IA32_MTRR_DEF_TYPE, "IA32_MTRR_DEF_TYPE");
    names.put(IA32_FIXED_CTR0, "IA32_FIXED_CTR0");
    names.put(IA32_FIXED_CTR1, "IA32_FIXED_CTR1");
    names.put(IA32_FIXED_CTR2, "IA32_FIXED_CTR2");
    names.put(IA32_PERF_CAPABILITIES, "IA32_PERF_CAPABILITIES");
    names.put(IA32_FIXED_CTR_CTRL, "IA32_FIXED_CTR_CTRL");
    names.put(IA32_PERF_GLOBAL_STATUS, "IA32_PERF_GLOBAL_STATUS");
    names.put(IA32_PERF_GLOBAL_CTRL, "IA32_PERF_GLOBAL_CTRL");
    names.put(IA32_PERF_GLOBAL_OVF_CTRL, "IA32_PERF_GLOBAL_OVF_CTRL");
    names.put(IA32_PEBS_ENABLE, "IA32_PEBS_ENABLE");
    names.put(MSR_PEBS_DATA_CFG, "MSR_PEBS_DATA_CFG");
    names.put(IA32_MC0_CTL, "IA32_MC0_CTL");
    names.put(IA32_VMX_BASIC, "IA32_VMX_BASIC");
    names.put(IA32_VMX_PINBASED_CTLS, "IA32_VMX_PINBASED_CTLS");
    names.put(IA32_VMX_PROCBASED_CTLS, "IA32_VMX_PROCBASED_CTLS");
    names.put(IA32_VMX_EXIT_CTLS, "IA32_VMX_EXIT_CTLS");
    names.put(IA32_VMX_ENTRY_CTLS, "IA32_VMX_ENTRY_CTLS");
    names.put(IA32_VMX_MISC, "IA32_VMX_MISC");
    names.put(IA32_VMX_CR0_FIXED0, "IA32_VMX_CR0_FIXED0");
    names.put(IA32_VMX_CR0_FIXED1, "IA32_VMX_CR0_FIXED1");
    names.put(IA32_VMX_CR4_FIXED0, "IA32_VMX_CR4_FIXED0");
    names.put(IA32_VMX_CR4_FIXED1, "IA32_VMX_CR4_FIXED1");
    names.put(IA32_VMX_VMCS_ENUM, "IA32_VMX_VMCS_ENUM");
    names.put(IA32_VMX_PROCBASED_CTLS2, "IA32_VMX_PROCBASED_CTLS2");
    names.put(IA32_VMX_EPT_VPID_CAP, "IA32_VMX_EPT_VPID_CAP");
    names.put(IA32_VMX_TRUE_PINBASED_CTLS, "IA32_VMX_TRUE_PINBASED_CTLS");
    names.put(IA32_VMX_TRUE_PROCBASED_CTLS, "IA32_VMX_TRUE_PROCBASED_CTLS");
    names.put(IA32_VMX_TRUE_EXIT_CTLS, "IA32_VMX_TRUE_EXIT_CTLS");
    names.put(IA32_VMX_TRUE_ENTRY_CTLS, "IA32_VMX_TRUE_ENTRY_CTLS");
    names.put(IA32_VMX_VMFUNC, "IA32_VMX_VMFUNC");
    names.put(IA32_DS_AREA, "IA32_DS_AREA");
    names.put(IA32_U_CET, "IA32_U_CET");
    names.put(IA32_S_CET, "IA32_S_CET");
    names.put(IA32_PL0_SSP, "IA32_PL0_SSP");
    names.put(IA32_TSC_DEADLINE, "IA32_TSC_DEADLINE");
    names.put(IA32_BNDCFGS, "IA32_BNDCFGS");
    names.put(IA32_XSS, "IA32_XSS");
    names.put(HV_X64_GUEST_OS_ID, "HV_X64_GUEST_OS_ID");
    names.put(HV_X64_HYPERCALL, "HV_X64_HYPERCALL");
    names.put(HV_X64_VP_INDEX, "HV_X64_VP_INDEX");
    names.put(HV_X64_TIME_REF_COUNT, "HV_X64_TIME_REF_COUNT");
    names.put(HV_X64_REFERENCE_TSC, "HV_X64_REFERENCE_TSC");
    names.put(KVM_WALL_CLOCK_NEW, "KVM_WALL_CLOCK_NEW");
    names.put(KVM_SYSTEM_TIME_NEW, "KVM_SYSTEM_TIME_NEW");
    names.put(KVM_ASYNC_PF_EN, "KVM_ASYNC_PF_EN");
    names.put(KVM_STEAL_TIME, "KVM_STEAL_TIME");
    names.put(KVM_PV_EOI_EN, "KVM_PV_EOI_EN");
    names.put(KVM_POLL_CONTROL, "KVM_POLL_CONTROL");
    names.put(KVM_ASYNC_PF_INT, "KVM_ASYNC_PF_INT");
    names.put(KVM_ASYNC_PF_ACK, "KVM_ASYNC_PF_ACK");
    names.put(KVM_MIGRATION_CONTROL, "KVM_MIGRATION_CONTROL");
    names.put(KVM_WALL_CLOCK, "KVM_WALL_CLOCK");
    names.put(KVM_SYSTEM_TIME, "KVM_SYSTEM_TIME");
    names.put(IA32_EFER, "IA32_EFER");
    names.put(IA32_STAR, "IA32_STAR");
    names.put(IA32_LSTAR, "IA32_LSTAR");
    names.put(IA32_CSTAR, "IA32_CSTAR");
    names.put(IA32_FMASK, "IA32_FMASK");
    names.put(IA32_FS_BASE, "IA32_FS_BASE");
    names.put(IA32_GS_BASE, "IA32_GS_BASE");
    names.put(IA32_KERNEL_GS_BASE, "IA32_KERNEL_GS_BASE");
    names.put(IA32_TSC_AUX, "IA32_TSC_AUX");
    names.put(AMD64_TSC_RATIO, "AMD64_TSC_RATIO");
    names.put(K7_EVNTSEL0, "K7_EVNTSEL0");
    names.put(K7_PERFCTR0, "K7_PERFCTR0");
    names.put(AMD64_SYSCFG, "AMD64_SYSCFG");
    names.put(K7_HWCR, "K7_HWCR");
    names.put(K8_TSEG_ADDR, "K8_TSEG_ADDR");
    names.put(VM_CR, "VM_CR");
    names.put(VM_IGNNE, "VM_IGNNE");
    names.put(VM_HSAVE_PA, "VM_HSAVE_PA");
    names.put(AMD64_VIRT_SPEC_CTRL, "AMD64_VIRT_SPEC_CTRL");
    names.put(F15H_PERF_CTL0, "F15H_PERF_CTL0");
    names.put(AMD64_DE_CFG, "AMD64_DE_CFG");
    arrays(names);
    return names;
  }

  private static void arrays(TreeMap<Integer, String> names) {
    for (int i = 0; i < 8; i++) {
      names.put(IA32_MTRR_PHYSBASE0 + 2 * i, "IA32_MTRR_PHYSBASE" + i);
      names.put(IA32_MTRR_PHYSBASE0 + 2 * i + 1, "IA32_MTRR_PHYSMASK" + i);
      names.put(IA32_PMC0 + i, "IA32_PMC" + i);
      names.put(IA32_PERFEVTSEL0 + i, "IA32_PERFEVTSEL" + i);
      String kilobytes = Integer.toHexString(0xC0 + 8 * i).toUpperCase(Locale.ROOT);
      names.put(IA32_MTRR_FIX4K_C0000 + i, "IA32_MTRR_FIX4K_" + kilobytes + "000");
    }
    for (int i = 0; i < 32; i++) {
      String bank = "IA32_MC" + i + "_";
      names.put(IA32_MC0_CTL + 4 * i, bank + "CTL");
      names.put(IA32_MC0_CTL + 4 * i + 1, bank + "STATUS");
      names.put(IA32_MC0_CTL + 4 * i + 2, bank + "ADDR");
      names.put(IA32_MC0_CTL + 4 * i + 3, bank + "MISC");
    }
  }
}
