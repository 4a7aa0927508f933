package dev.faultline.ingest;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.FieldSet;
import dev.faultline.FormatException;
import dev.faultline.trace.Observation.Holding;
import dev.faultline.vcpu.PageShown;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What stands in stored events for how much of a payload was recorded.
 *
 * <p><i>Shape</i>: bit 0 is set unless the payload is whole, bits 1 and 2 tell of kvm_run; zero,
 * the usual case, is everything. The fields that are shown are their number and a bit for each.
 */
final class Holdings {
  private static final int HEADER_SIZE = 4;
  private static final int MAX_FIELDS = 1 << 16;

  private Holdings() {}

  static long number(Holding holding) {
    long page =
        switch (holding.page()) {
          case WHOLE -> 0;
          case EXIT_REASON -> 1;
          case NOTHING -> 2;
        };
    return page << 1 | (holding.whole() ? 0 : 1);
  }

  static Bytes shown(Holding holding) {
    FieldSet fields = holding.fields();
    if (fields == null) {
      return Bytes.EMPTY;
    }
    Bytes.Builder bytes = Bytes.builder(HEADER_SIZE + (fields.size() + 7) / 8);
    bytes.put(0, HEADER_SIZE, fields.size());
    byte[] bits = new byte[(fields.size() + 7) / 8];
    for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
      bits[f / 8] |= (byte) (1 << f % 8);
    }
    return bytes.putBytes(HEADER_SIZE, Bytes.wrap(bits)).build();
  }

  static Holding of(long number, Bytes shown) {
    if (number == 0 && shown.isEmpty()) {
      return Holding.WHOLE;
    }
    PageShown page =
        switch ((int) (number >>> 1)) {
          case 0 -> PageShown.WHOLE;
          case 1 -> PageShown.EXIT_REASON;
          case 2 -> PageShown.NOTHING;
          default -> throw damaged("0 to 5 for what was recorded of its payload", number);
        };
    return new Holding((number & 1) == 0, fields(shown), page);
  }

  private static @Nullable FieldSet fields(Bytes shown) {
    if (shown.isEmpty()) {
      return null;
    }
    long size = shown.size() < HEADER_SIZE ? -1 : shown.u32(0);
    if (size < 0 || size > MAX_FIELDS || shown.size() != HEADER_SIZE + (size + 7) / 8) {
      throw damaged("as many bits as fields", shown.size());
    }
    List<Integer> indexes = new ArrayList<>();
    for (int f = 0; f < size; f++) {
      if ((shown.u8(HEADER_SIZE + f / 8) & 1 << f % 8) != 0) {
        indexes.add(f);
      }
    }
    return FieldSet.of((int) size, indexes.stream().mapToInt(Integer::intValue).toArray());
  }

  private static FormatException damaged(String expected, long found) {
    return FormatException.corrupt(
        ErrorCode.EVENT_CORRUPT, "a stored call: expected " + expected + ", found " + found);
  }
}
