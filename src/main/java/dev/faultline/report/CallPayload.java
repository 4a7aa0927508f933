package dev.faultline.report;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import org.jspecify.annotations.Nullable;

/**
 * What a recorded ioctl carried.
 *
 * @param ioctl which it is; null if it is not known, or if the fact is no ioctl
 * @param object what it was called on, {@code kvm}, {@code vm1}
 * @param arg the argument itself, where it is no pointer
 * @param in the struct before the call, or empty
 * @param out the struct after the call, or empty
 */
public record CallPayload(@Nullable Ioctl ioctl, String object, long arg, Bytes in, Bytes out) {
  /** Of something that is no ioctl. */
  public static final CallPayload NONE = new CallPayload(null, "", 0, Bytes.EMPTY, Bytes.EMPTY);
}
