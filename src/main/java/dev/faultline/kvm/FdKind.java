package dev.faultline.kvm;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What a KVM file descriptor stands for; recordings and strace know each by the lower-case name.
 */
public enum FdKind {
  /** {@code /dev/kvm}. */
  SYSTEM,
  /** What KVM_CREATE_VM returned. */
  VM,
  /** What KVM_CREATE_VCPU returned. */
  VCPU,
  /** What KVM_CREATE_DEVICE returned. */
  DEVICE;

  private final String word = name().toLowerCase(Locale.ROOT);

  /** The lower-case name. */
  public String word() {
    return word;
  }

  /** The kind of that lower-case name; null if there is none. */
  public static @Nullable FdKind ofWord(String word) {
    for (FdKind kind : values()) {
      if (kind.word.equals(word)) {
        return kind;
      }
    }
    return null;
  }
}
