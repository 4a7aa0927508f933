package dev.faultline.junit;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.vcpu.KernelVersion;

/** Kernels by the text that a test gives. */
final class Kernels {
  private Kernels() {}

  static KernelVersion of(String text) {
    KernelVersion version = KernelVersion.of(text);
    if (version == null) {
      throw new UsageException(
          ErrorCode.KERNEL_UNKNOWN,
          "expected a kernel as in 6.12 of which there is a model, found '" + text + "'");
    }
    return version;
  }
}
