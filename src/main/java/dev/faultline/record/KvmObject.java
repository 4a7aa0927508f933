package dev.faultline.record;

import dev.faultline.kvm.FdKind;
import java.lang.foreign.MemorySegment;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** What a KVM descriptor stands for, and what must be known of it to record its calls. */
final class KvmObject {
  /** A slot of guest memory, as userspace set it last. */
  record Slot(long guestPhysAddr, long sizeBytes, long userspaceAddr) {}

  private static final int SPACE_SHIFT = 16;

  private final @Nullable FdKind kind;
  private final String name;
  private final @Nullable KvmObject vm;

  /** Of a VM: its slots by number, address space in the upper half. */
  private final TreeMap<Integer, Slot> slots = new TreeMap<>();

  private int devices;

  /** Of a VM: bytes of KVM_GET_XSAVE2, as KVM_CHECK_EXTENSION told. */
  private int xsaveSize;

  /** Of a vCPU: the page as the recording has it. */
  private byte @Nullable [] page;

  private @Nullable MemorySegment mapped;
  private boolean mappingTried;

  /** Of a vCPU in SMM: its IA32_SMBASE, as a probe read it; -1 if it is not known. */
  private long smbase = -1;

  KvmObject(@Nullable FdKind kind, String name, @Nullable KvmObject vm) {
    this.kind = kind;
    this.name = name;
    this.vm = vm;
  }

  /** A descriptor that is none of KVM's, by its link. */
  static KvmObject other(String link) {
    return new KvmObject(null, link, null);
  }

  /** Null for a descriptor that is none of KVM's. */
  @Nullable FdKind kind() {
    return kind;
  }

  boolean is(FdKind asked) {
    return kind == asked;
  }

  /** {@code vm1/vcpu0}. */
  String name() {
    return name;
  }

  /** The VM that this is, or belongs to; null where there is none. */
  @Nullable KvmObject vm() {
    return kind == FdKind.VM ? this : vm;
  }

  TreeMap<Integer, Slot> slots() {
    return slots;
  }

  String nextDeviceName() {
    return name + "/device" + devices++;
  }

  int xsaveSize() {
    return xsaveSize;
  }

  void setXsaveSize(int bytes) {
    xsaveSize = bytes;
  }

  byte @Nullable [] page() {
    return page;
  }

  /** Takes a copy. */
  void setPage(byte[] known) {
    if (page == null) {
      page = known.clone();
    } else {
      System.arraycopy(known, 0, page, 0, known.length);
    }
  }

  /** Of a vCPU: its page and the one behind it, as the recorder has them mapped; null if not. */
  @Nullable MemorySegment mapped() {
    return mapped;
  }

  /**
   * Of a vCPU: that its pages are mapped.
   *
   * @param tried whether there is no sense in trying it once more
   */
  void setMapped(@Nullable MemorySegment pages, boolean tried) {
    mapped = pages;
    mappingTried = tried;
  }

  boolean isMappingTried() {
    return mappingTried;
  }

  long smbase() {
    return smbase;
  }

  void setSmbase(long known) {
    smbase = known;
  }

  /**
   * Of a VM: where userspace has so many bytes of guest memory as SMM sees it; 0 if it has not.
   * Slots of address space 1 are SMM's own; a VMM without them shows SMM what the guest has.
   */
  long smmAddress(long gpa, int sizeBytes) {
    boolean own = slots.lastEntry() != null && slots.lastKey() >>> SPACE_SHIFT != 0;
    for (var entry : slots.entrySet()) {
      Slot slot = entry.getValue();
      long into = gpa - slot.guestPhysAddr();
      if ((entry.getKey() >>> SPACE_SHIFT == 1) == own
          && into >= 0
          && into + sizeBytes <= slot.sizeBytes()) {
        return slot.userspaceAddr() + into;
      }
    }
    return 0;
  }
}
