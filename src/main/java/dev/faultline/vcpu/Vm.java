package dev.faultline.vcpu;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A VM as far as its vCPUs' ioctls depend on it.
 *
 * @param name as in the recording, e.g. {@code vm1}
 * @param kernel the kernel that runs it
 * @param host what is known of the machine
 * @param dead whether KVM has declared it dead (KVM_BUG_ON): every ioctl then fails with EIO
 * @param irqchip where the interrupt controllers live
 * @param settings capabilities and other one-time choices
 * @param vcpuIds identifiers of the vCPUs created so far, in order
 * @param slots memory slots of the ordinary address space, or null when they are not all known
 */
public record Vm(
    String name,
    KernelModel kernel,
    Host host,
    Answer dead,
    Irqchip irqchip,
    Settings settings,
    List<Integer> vcpuIds,
    @Nullable List<Slot> slots) {

  /**
   * A memory slot.
   *
   * @param id the slot's number
   * @param base first guest-physical address
   * @param size in bytes
   */
  public record Slot(int id, long base, long size) {
    boolean holds(long gpa) {
      return Long.compareUnsigned(gpa - base, size) < 0;
    }
  }

  /** Where the interrupt controllers live. */
  public enum Irqchip {
    NONE,
    KERNEL,
    SPLIT,
    UNKNOWN;

    /** Whether each vCPU has a local APIC in the kernel. */
    public Answer lapicInKernel() {
      return switch (this) {
        case NONE -> Answer.NO;
        case KERNEL, SPLIT -> Answer.YES;
        case UNKNOWN -> Answer.CANNOT_TELL;
      };
    }
  }

  /**
   * One-time choices.
   *
   * @param exceptionPayload KVM_CAP_EXCEPTION_PAYLOAD is enabled
   * @param tripleFaultEvent KVM_CAP_X86_TRIPLE_FAULT_EVENT is enabled
   * @param x2apicApi KVM_CAP_X2APIC_API is enabled
   * @param bootCpuId the vCPU that is the BSP, or {@link #UNKNOWN_ID}
   * @param maxVcpuId the limit set by KVM_CAP_MAX_VCPU_ID, -1 when it is KVM's, or {@link
   *     #UNKNOWN_LIMIT}
   * @param vcpusCertain whether it is certain which vCPUs were created
   * @param created whether the recording shows the VM's creation
   */
  public record Settings(
      Answer exceptionPayload,
      Answer tripleFaultEvent,
      Answer x2apicApi,
      int bootCpuId,
      int maxVcpuId,
      boolean vcpusCertain,
      boolean created) {
    /** Nobody knows which vCPU is the BSP. */
    static final int UNKNOWN_ID = -1;

    /** Nobody knows whether a limit was set. */
    static final int UNKNOWN_LIMIT = -2;

    static final Settings FRESH = new Settings(Answer.NO, Answer.NO, Answer.NO, 0, -1, true, true);
    static final Settings UNKNOWN =
        new Settings(
            Answer.CANNOT_TELL, Answer.CANNOT_TELL, Answer.CANNOT_TELL, 0, -1, true, false);

    /** Whether the vCPU of this identifier is the bootstrap processor. */
    public Answer isBootCpu(int id) {
      return bootCpuId == UNKNOWN_ID ? Answer.CANNOT_TELL : Answer.of(bootCpuId == id);
    }

    Settings withExceptionPayload(Answer changed) {
      return new Settings(
          changed, tripleFaultEvent, x2apicApi, bootCpuId, maxVcpuId, vcpusCertain, created);
    }

    Settings withTripleFaultEvent(Answer changed) {
      return new Settings(
          exceptionPayload, changed, x2apicApi, bootCpuId, maxVcpuId, vcpusCertain, created);
    }

    Settings withX2apicApi(Answer changed) {
      return new Settings(
          exceptionPayload, tripleFaultEvent, changed, bootCpuId, maxVcpuId, vcpusCertain, created);
    }

    Settings withBootCpuId(int changed) {
      return new Settings(
          exceptionPayload, tripleFaultEvent, x2apicApi, changed, maxVcpuId, vcpusCertain, created);
    }

    Settings withVcpusUncertain() {
      return new Settings(
          exceptionPayload, tripleFaultEvent, x2apicApi, bootCpuId, maxVcpuId, false, created);
    }

    Settings withMaxVcpuId(int changed) {
      return new Settings(
          exceptionPayload, tripleFaultEvent, x2apicApi, bootCpuId, changed, vcpusCertain, created);
    }
  }

  /** A VM whose creation was recorded. */
  public static Vm created(String name, KernelModel kernel, Host host) {
    return new Vm(
        name, kernel, host, Answer.NO, Irqchip.NONE, Settings.FRESH, List.of(), List.of());
  }

  /** A VM that existed before the recording began. */
  public static Vm unseen(String name, KernelModel kernel, Host host) {
    return new Vm(
        name, kernel, host, Answer.CANNOT_TELL, Irqchip.UNKNOWN, Settings.UNKNOWN, List.of(), null);
  }

  /** The same VM under another kernel. */
  public Vm withKernel(KernelModel changed) {
    return new Vm(name, changed, host, dead, irqchip, settings, vcpuIds, slots);
  }

  public Vm withHost(Host changed) {
    return new Vm(name, kernel, changed, dead, irqchip, settings, vcpuIds, slots);
  }

  public Vm withDead(Answer changed) {
    return new Vm(name, kernel, host, changed, irqchip, settings, vcpuIds, slots);
  }

  Vm withIrqchip(Irqchip changed) {
    return new Vm(name, kernel, host, dead, changed, settings, vcpuIds, slots);
  }

  Vm withSettings(Settings changed) {
    return new Vm(name, kernel, host, dead, irqchip, changed, vcpuIds, slots);
  }

  public Vm withVcpuIds(List<Integer> changed) {
    return new Vm(name, kernel, host, dead, irqchip, settings, changed, slots);
  }

  Vm withSlots(@Nullable List<Slot> changed) {
    return new Vm(name, kernel, host, dead, irqchip, settings, vcpuIds, changed);
  }
}
