package dev.faultline.audit;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmDeviceAttr;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The offset of a vCPU's TSC, which is a device attribute of the vCPU. */
final class TscOffsets {
  private TscOffsets() {}

  /** Whether a call on a vCPU's attributes is about the offset; true if nobody knows. */
  static boolean isOffset(Call call) {
    Bytes payload = call.payload();
    if (payload.size() < KvmDeviceAttr.SIZE) {
      return true;
    }
    KvmDeviceAttr attr = new KvmDeviceAttr(payload.slice(0, KvmDeviceAttr.SIZE));
    return attr.group() == KvmDeviceAttr.KVM_VCPU_TSC_CTRL
        && attr.attr() == KvmDeviceAttr.KVM_VCPU_TSC_OFFSET;
  }

  /** The last KVM_SET_DEVICE_ATTR of the offset; null if there was none. */
  static @Nullable Call set(Window written) {
    Call call = written.last(Ioctl.SET_DEVICE_ATTR);
    return call != null && isOffset(call) ? call : null;
  }

  /** The offset that was set or read, if the recording holds it. */
  static OptionalLong value(Call call) {
    Bytes payload = call.payload();
    return payload.size() >= KvmDeviceAttr.SIZE + Long.BYTES
        ? OptionalLong.of(payload.u64(KvmDeviceAttr.SIZE))
        : OptionalLong.empty();
  }
}
