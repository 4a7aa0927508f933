package dev.faultline.timeline;

/** Who made L2's state invalid. */
public enum Culprit {
  /** Userspace, by an ioctl. */
  USER("userspace"),
  /** The guest: RSM loaded what its SMM handler left in SMRAM. */
  GUEST("the guest"),
  /** The recording does not tell. */
  UNKNOWN("nobody knows");

  private final String words;

  Culprit(String words) {
    this.words = words;
  }

  /** In words, as in "made invalid by …". */
  public String words() {
    return words;
  }
}
