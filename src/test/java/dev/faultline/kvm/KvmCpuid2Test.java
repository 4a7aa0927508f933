package dev.faultline.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class KvmCpuid2Test {
  /** Leaves of all four ranges, and pairs that would share a place in a small index. */
  private static final int[] LEAVES = {
    0,
    1,
    7,
    0xa,
    0xd,
    0x14,
    0x40,
    0x47,
    0x4000_0000,
    0x4000_0001,
    0x4000_0041,
    0x8000_0000,
    0x8000_0001,
    0x8000_0008,
    0x8000_0048,
    0xc000_0000,
    0xc000_0001
  };

  @Test
  void the_first_entry_that_answers_is_found_wherever_it_stands() {
    SplittableRandom random = new SplittableRandom(3);
    for (int round = 0; round < 2_000; round++) {
      List<CpuidEntry> entries = new ArrayList<>();
      for (int i = random.nextInt(24); i > 0; i--) {
        entries.add(
            new CpuidEntry(
                LEAVES[random.nextInt(LEAVES.length)],
                random.nextInt(3),
                random.nextInt(2),
                random.nextInt(),
                random.nextInt(),
                random.nextInt(),
                random.nextInt()));
      }
      KvmCpuid2 table = KvmCpuid2.of(entries);
      for (int leaf : LEAVES) {
        for (int subleaf = 0; subleaf < 3; subleaf++) {
          CpuidEntry expected = first(entries, leaf, subleaf);
          assertThat(table.find(leaf, subleaf)).isEqualTo(expected);
          assertThat(table.register(leaf, subleaf, 3))
              .isEqualTo(expected == null ? 0 : expected.edx());
        }
      }
      assertThat(table.features()).isEqualTo(lookedUp(table));
    }
  }

  /** The feature words one by one. */
  private static CpuidFeatures lookedUp(KvmCpuid2 table) {
    long low = Integer.toUnsignedLong(table.register(0xd, 0, 0));
    int sizes = table.register(0x8000_0008, 0, 0);
    boolean told =
        Integer.compareUnsigned(table.register(0x8000_0000, 0, 0), 0x8000_0008) >= 0
            && table.find(0x8000_0008, 0) != null;
    return new CpuidFeatures(
        table.register(1, 0, 2),
        table.register(1, 0, 3),
        table.register(7, 0, 1),
        table.register(7, 0, 2),
        table.register(7, 1, 0),
        table.register(0xa, 0, 0),
        table.register(0xa, 0, 3),
        Integer.toUnsignedLong(table.register(0xd, 0, 3)) << 32 | low,
        table.register(0xd, 1, 0),
        table.register(0x8000_0001, 0, 2),
        table.register(0x8000_0001, 0, 3),
        sizes,
        told ? sizes & 0xff : 36);
  }

  private static @Nullable CpuidEntry first(List<CpuidEntry> entries, int leaf, int subleaf) {
    for (CpuidEntry entry : entries) {
      if (entry.matches(leaf, subleaf)) {
        return entry;
      }
    }
    return null;
  }
}
