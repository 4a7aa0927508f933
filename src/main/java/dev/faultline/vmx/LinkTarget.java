package dev.faultline.vmx;

/** What is known of the page of guest memory that the VMCS link pointer of a vmcs12 names. */
public sealed interface LinkTarget {

  /** Recordings hold no guest memory, so this is the rule. */
  record Unknown() implements LinkTarget {}

  /** No memory slot covers the page. */
  record Unmapped() implements LinkTarget {}

  /**
   * The page is there.
   *
   * @param header its first four bytes: a revision identifier and, in bit 31, the shadow-VMCS
   *     indicator
   */
  record Header(int header) implements LinkTarget {

    /** The revision identifier. */
    public int revision() {
      return header & Integer.MAX_VALUE;
    }

    /** The shadow-VMCS indicator. */
    public boolean isShadow() {
      return header < 0;
    }
  }
}
