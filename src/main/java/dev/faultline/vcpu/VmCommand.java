package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;

/** An ioctl on a VM. */
public sealed interface VmCommand {
  /** The position in the timeline at which the call is made. */
  int moment();

  /** KVM_CREATE_VCPU. */
  record CreateVcpu(int moment, int id) implements VmCommand {}

  /** KVM_CREATE_IRQCHIP. */
  record CreateIrqchip(int moment) implements VmCommand {}

  /** KVM_SET_BOOT_CPU_ID. */
  record SetBootCpuId(int moment, int id) implements VmCommand {}

  /** KVM_ENABLE_CAP on the VM. */
  record EnableCap(int moment, KvmEnableCap cap) implements VmCommand {}

  /** KVM_SET_USER_MEMORY_REGION. */
  record SetMemoryRegion(int moment, KvmUserspaceMemoryRegion region) implements VmCommand {}

  /** An ioctl whose argument does not point to readable memory. */
  record BadPointer(int moment, Ioctl ioctl) implements VmCommand {}

  /** An ioctl whose payload the source does not show: nobody knows what it did. */
  record Unseen(int moment, Ioctl ioctl) implements VmCommand {}

  /**
   * Any other ioctl of a VM.
   *
   * @param arg the argument, where it is no pointer
   * @param payload what the argument points to
   */
  record Other(int moment, Ioctl ioctl, long arg, Bytes payload) implements VmCommand {}
}
