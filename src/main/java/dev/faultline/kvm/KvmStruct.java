package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;
import org.jspecify.annotations.Nullable;

/**
 * The payload of an ioctl as the struct that the uapi says it is: a view of the bytes, padding and
 * all, so that {@code decode} and {@link #raw()} are inverse by construction.
 *
 * <p>Such a record holds whatever userspace may pass; only its size is checked.
 */
public sealed interface KvmStruct
    permits KvmSregsCommon,
        KvmClearDirtyLog,
        KvmClockData,
        KvmCoalescedMmioZone,
        KvmCpuid2,
        KvmCreateDevice,
        KvmDebugregs,
        KvmDeviceAttr,
        KvmDirtyLog,
        KvmEnableCap,
        KvmFpu,
        KvmGsiRouting,
        KvmGuestDebug,
        KvmIdentityMapAddr,
        KvmInterrupt,
        KvmIoeventfd,
        KvmIrqLevel,
        KvmIrqchip,
        KvmIrqfd,
        KvmLapicState,
        KvmMceSetup,
        KvmMpState,
        KvmMsi,
        KvmMsrFilter,
        KvmMsrList,
        KvmMsrs,
        KvmNestedState,
        KvmPitConfig,
        KvmPitState2,
        KvmRegs,
        KvmRun,
        KvmSignalMask,
        KvmTprAccessCtl,
        KvmTranslation,
        KvmUserspaceMemoryRegion,
        KvmVapicAddr,
        KvmVcpuEvents,
        KvmX86Mce,
        KvmXcrs,
        KvmXsave {
  /** The payload. */
  Bytes raw();

  /** The fields of this payload, all its bytes; of a struct of variable size, made for this one. */
  StructLayout layout();

  /**
   * The payload of an ioctl as its struct, in either direction; null if the ioctl carries none that
   * Faultline looks into.
   *
   * @throws dev.faultline.FormatException if the payload is not of the struct's size
   */
  static @Nullable KvmStruct decode(Ioctl ioctl, Bytes payload) {
    return switch (ioctl) {
      case GET_REGS, SET_REGS -> new KvmRegs(payload);
      case GET_SREGS, SET_SREGS -> new KvmSregs(payload);
      case GET_SREGS2, SET_SREGS2 -> new KvmSregs2(payload);
      case GET_VCPU_EVENTS, SET_VCPU_EVENTS -> new KvmVcpuEvents(payload);
      case GET_NESTED_STATE, SET_NESTED_STATE -> new KvmNestedState(payload);
      case GET_MP_STATE, SET_MP_STATE -> new KvmMpState(payload);
      case GET_DEBUGREGS, SET_DEBUGREGS -> new KvmDebugregs(payload);
      case GET_XCRS, SET_XCRS -> new KvmXcrs(payload);
      case GET_XSAVE, SET_XSAVE, GET_XSAVE2 -> new KvmXsave(payload);
      case GET_FPU, SET_FPU -> new KvmFpu(payload);
      case GET_MSRS, SET_MSRS -> new KvmMsrs(payload);
      case GET_CPUID2,
          SET_CPUID2,
          GET_SUPPORTED_CPUID,
          GET_EMULATED_CPUID,
          GET_SUPPORTED_HV_CPUID ->
          new KvmCpuid2(payload);
      case GET_MSR_INDEX_LIST, GET_MSR_FEATURE_INDEX_LIST -> new KvmMsrList(payload);
      case GET_LAPIC, SET_LAPIC -> new KvmLapicState(payload);
      default -> decodeOther(ioctl, payload);
    };
  }

  private static @Nullable KvmStruct decodeOther(Ioctl ioctl, Bytes payload) {
    return switch (ioctl) {
      case GET_CLOCK, SET_CLOCK -> new KvmClockData(payload);
      case SET_USER_MEMORY_REGION -> new KvmUserspaceMemoryRegion(payload);
      case ENABLE_CAP -> new KvmEnableCap(payload);
      case GET_DIRTY_LOG -> new KvmDirtyLog(payload);
      case CLEAR_DIRTY_LOG -> new KvmClearDirtyLog(payload);
      case GET_IRQCHIP, SET_IRQCHIP -> new KvmIrqchip(payload);
      case GET_PIT2, SET_PIT2 -> new KvmPitState2(payload);
      case CREATE_PIT2 -> new KvmPitConfig(payload);
      case IRQ_LINE, IRQ_LINE_STATUS -> new KvmIrqLevel(payload);
      case SET_SIGNAL_MASK -> new KvmSignalMask(payload);
      case X86_SET_MSR_FILTER -> new KvmMsrFilter(payload);
      case TPR_ACCESS_REPORTING -> new KvmTprAccessCtl(payload);
      case SET_VAPIC_ADDR -> new KvmVapicAddr(payload);
      case X86_SETUP_MCE, X86_GET_MCE_CAP_SUPPORTED -> new KvmMceSetup(payload);
      case X86_SET_MCE -> new KvmX86Mce(payload);
      case SET_IDENTITY_MAP_ADDR -> new KvmIdentityMapAddr(payload);
      case GET_DEVICE_ATTR, SET_DEVICE_ATTR, HAS_DEVICE_ATTR -> new KvmDeviceAttr(payload);
      case CREATE_DEVICE -> new KvmCreateDevice(payload);
      case SET_GUEST_DEBUG -> new KvmGuestDebug(payload);
      case IOEVENTFD -> new KvmIoeventfd(payload);
      case IRQFD -> new KvmIrqfd(payload);
      case SIGNAL_MSI -> new KvmMsi(payload);
      case SET_GSI_ROUTING -> new KvmGsiRouting(payload);
      case REGISTER_COALESCED_MMIO, UNREGISTER_COALESCED_MMIO -> new KvmCoalescedMmioZone(payload);
      case INTERRUPT -> new KvmInterrupt(payload);
      case TRANSLATE -> new KvmTranslation(payload);
      default -> null;
    };
  }
}
