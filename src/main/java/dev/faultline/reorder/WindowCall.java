package dev.faultline.reorder;

import dev.faultline.kvm.Ioctl;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;

/**
 * A recorded call that is put into other places.
 *
 * @param seq the recording's own number of the call
 * @param command the call with its payload
 * @param ret what it returned where it was recorded
 * @param errno the error number, or 0
 */
public record WindowCall(long seq, VcpuCommand command, int ret, int errno) {
  public Ioctl ioctl() {
    return VcpuModel.ioctl(command);
  }

  /** {@code KVM_SET_SREGS (seq 31)}. */
  public String name() {
    return ioctl().uapiName() + " (seq " + seq + ")";
  }
}
