package dev.faultline.migration;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.vcpu.Reply;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the KVM_GET_* ioctls returned, as a VMM persists it; each field is known or not.
 *
 * <p>Of KVM_GET_TSC_KHZ and the calls of a VM only the fact is kept that they were made.
 */
public final class SavedState {
  private final Map<Ioctl, Reply> replies;
  private final Map<Ioctl, Long> returned;
  private final @Nullable Failure failure;

  /** A read that KVM refused. */
  record Failure(int step, Ioctl ioctl, Errno errno, @Nullable Check check) {}

  SavedState(Map<Ioctl, Reply> replies, Map<Ioctl, Long> returned, @Nullable Failure failure) {
    this.replies = new EnumMap<>(Ioctl.class);
    this.replies.putAll(replies);
    this.returned = new EnumMap<>(Ioctl.class);
    this.returned.putAll(returned);
    this.failure = failure;
  }

  Map<Ioctl, Reply> replies() {
    return replies;
  }

  Map<Ioctl, Long> returned() {
    return returned;
  }

  /** Whether a VMM would persist the same, with the same knowledge of it. */
  boolean isSame(SavedState other) {
    return failure == null
        && other.failure == null
        && replies.equals(other.replies)
        && returned.equals(other.returned);
  }

  /** What a call showed, or null if the plan does not make it. */
  @Nullable Reply reply(Ioctl read) {
    return replies.get(read);
  }

  /** The value that a call returned, zero if that is not known, or null if it was not made. */
  @Nullable Long returned(Ioctl read) {
    return returned.get(read);
  }

  @Nullable Failure failure() {
    return failure;
  }
}
