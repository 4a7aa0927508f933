package dev.faultline.x86;

/**
 * A segment register as KVM_GET_SREGS tells it, and as userspace may set it: the flag components
 * are bytes that may hold anything.
 *
 * <p><i>Shape</i> of the access rights, the form in which a VMCS holds a segment: type 3:0, S 4,
 * DPL 6:5, P 7, AVL 12, L 13, DB 14, G 15, unusable 16.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Guest Register State"; {@code arch/x86/kvm/vmx/vmx.c,
 * vmx_segment_access_rights(), vmx_get_segment(), v6.1}.
 *
 * @param base linear address
 * @param limit bytes, less one; a u32, zero-extended
 * @param selector a u16
 * @param type four bits
 * @param present 0 or 1
 * @param dpl 0 to 3
 * @param db 0 or 1
 * @param s 0 system, 1 code or data
 * @param l 0 or 1, 64-bit code
 * @param g 0 or 1, limit in pages
 * @param avl 0 or 1
 * @param unusable 0 or 1
 */
public record Segment(
    long base,
    long limit,
    int selector,
    int type,
    int present,
    int dpl,
    int db,
    int s,
    int l,
    int g,
    int avl,
    int unusable) {
  /** Bits of the selector that hold the requested privilege level. */
  public static final int RPL_MASK = 3;

  /** Bit of the selector that means the LDT. */
  public static final int TI = 1 << 2;

  private static final int TYPE_MASK = 15;
  private static final int DPL_MASK = 3;
  private static final int S_SHIFT = 4;
  private static final int DPL_SHIFT = 5;
  private static final int P_SHIFT = 7;
  private static final int AVL_SHIFT = 12;
  private static final int L_SHIFT = 13;
  private static final int DB_SHIFT = 14;
  private static final int G_SHIFT = 15;
  private static final int UNUSABLE_SHIFT = 16;

  /**
   * The access rights that KVM writes into a VMCS for this segment: each component cut to its bits;
   * unusable if the segment says so or is not present.
   */
  public int accessRights() {
    int unusableBit = unusable != 0 || present == 0 ? 1 : 0;
    return (type & TYPE_MASK)
        | (s & 1) << S_SHIFT
        | (dpl & DPL_MASK) << DPL_SHIFT
        | (present & 1) << P_SHIFT
        | (avl & 1) << AVL_SHIFT
        | (l & 1) << L_SHIFT
        | (db & 1) << DB_SHIFT
        | (g & 1) << G_SHIFT
        | unusableBit << UNUSABLE_SHIFT;
  }

  /**
   * The segment that KVM tells for the given VMCS fields: present is whatever unusable is not,
   * whatever P says.
   *
   * @param ar the access rights; P is not looked at
   */
  public static Segment fromAccessRights(int selector, long base, long limit, int ar) {
    int unusable = ar >>> UNUSABLE_SHIFT & 1;
    return new Segment(
        base,
        limit,
        selector,
        ar & TYPE_MASK,
        1 - unusable,
        ar >>> DPL_SHIFT & DPL_MASK,
        ar >>> DB_SHIFT & 1,
        ar >>> S_SHIFT & 1,
        ar >>> L_SHIFT & 1,
        ar >>> G_SHIFT & 1,
        ar >>> AVL_SHIFT & 1,
        unusable);
  }

  /** The requested privilege level of the selector. */
  public int rpl() {
    return selector & RPL_MASK;
  }

  /** True if a VMCS would hold the segment as unusable. */
  public boolean isUnusable() {
    return unusable != 0 || present == 0;
  }

  /** This segment with another selector. */
  public Segment withSelector(int selector) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another base. */
  public Segment withBase(long base) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another limit. */
  public Segment withLimit(long limit) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another type. */
  public Segment withType(int type) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment, present or not. */
  public Segment withPresent(int present) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another privilege level. */
  public Segment withDpl(int dpl) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another DB bit. */
  public Segment withDb(int db) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another S bit. */
  public Segment withS(int s) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another L bit. */
  public Segment withL(int l) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment with another G bit. */
  public Segment withG(int g) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }

  /** This segment, unusable or not. */
  public Segment withUnusable(int unusable) {
    return new Segment(base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable);
  }
}
