package dev.faultline.record;

import dev.faultline.kvm.Ioctl;

/** Bytes behind pointers inside a payload. */
final class Extras {
  private static final int ATTR_ADDRESS_AT = 16;
  private static final int ATTR_SIZE = 8;
  private static final int LOG_BITMAP_AT = 8;
  private static final int CLEAR_COUNT_AT = 4;
  private static final int CLEAR_BITMAP_AT = 16;
  private static final int FILTER_RANGES_AT = 8;
  private static final int FILTER_RANGE_SIZE = 24;
  private static final int FILTER_RANGES = 16;
  private static final int MOST_FILTERED = 0x600 * 8;
  private static final byte[] EMPTY = {};

  private final TraceeMemory memory;
  private byte[] bytes = new byte[ATTR_SIZE];

  Extras(TraceeMemory memory) {
    this.memory = memory;
  }

  /** Writes what else the call read or wrote. */
  void write(Tracee t, KvmObject object, boolean failed, LineBuffer line) {
    Ioctl ioctl = t.ioctl;
    if (ioctl == null) {
      return;
    }
    switch (ioctl) {
      case SET_DEVICE_ATTR, GET_DEVICE_ATTR -> {
        if (read(t, Payloads.u64(t.in, ATTR_ADDRESS_AT), ATTR_SIZE)) {
          line.payload("attr_data_len", "attr_data", bytes, ATTR_SIZE);
        }
      }
      case GET_DIRTY_LOG -> {
        KvmObject.Slot slot = object.slots().get(Payloads.u32(t.in, 0));
        if (!failed && slot != null) {
          bitmap(t, Payloads.u64(t.in, LOG_BITMAP_AT), Payloads.pages(slot), line);
        }
      }
      case CLEAR_DIRTY_LOG ->
          bitmap(
              t,
              Payloads.u64(t.in, CLEAR_BITMAP_AT),
              Integer.toUnsignedLong(Payloads.u32(t.in, CLEAR_COUNT_AT)),
              line);
      case X86_SET_MSR_FILTER -> filters(t, line);
      default -> {}
    }
  }

  private void bitmap(Tracee t, long address, long pages, LineBuffer line) {
    long size = Payloads.bitmapSize(pages);
    if (size > TraceeMemory.LARGEST) {
      line.number("bitmap_left_out", size);
    } else if (read(t, address, (int) size)) {
      line.payload("bitmap_len", "bitmap", bytes, (int) size);
    }
  }

  private void filters(Tracee t, LineBuffer line) {
    line.openArray("msr_filter_bitmaps");
    for (int i = 0; i < FILTER_RANGES; i++) {
      int at = FILTER_RANGES_AT + i * FILTER_RANGE_SIZE;
      long count = Integer.toUnsignedLong(Payloads.u32(t.in, at + 4));
      int size = count > MOST_FILTERED ? 0 : (int) ((count + 7) / 8);
      if (size > 0 && read(t, Payloads.u64(t.in, at + 16), size)) {
        line.element(bytes, size);
      } else {
        line.element(EMPTY, 0);
      }
    }
    line.closeArray();
  }

  private boolean read(Tracee t, long address, int size) {
    if (bytes.length < size) {
      bytes = new byte[size];
    }
    return memory.read(t.process.pid(), address, bytes, 0, size);
  }
}
