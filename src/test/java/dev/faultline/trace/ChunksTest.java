package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;

final class ChunksTest {
  private static final List<String> TEXTS = List.of("{\"a\":1}\n", "{\"b\":2}\n{\"c\":3}\n", "d\n");

  private final byte[] file;
  private final List<Integer> ends = new ArrayList<>();

  ChunksTest() {
    Chunks.Writer writer = new Chunks.Writer();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (int i = 0; i < TEXTS.size(); i++) {
      ByteBuffer chunk =
          writer.chunk(TEXTS.get(i).getBytes(StandardCharsets.UTF_8), i == TEXTS.size() - 1);
      byte[] bytes = new byte[chunk.remaining()];
      chunk.get(bytes);
      out.writeBytes(bytes);
      ends.add(out.size());
    }
    file = out.toByteArray();
  }

  private static String read(byte[] bytes) throws IOException {
    try (Chunks.Input in = new Chunks.Input(new ByteArrayInputStream(bytes))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  @Test
  void a_file_cut_at_any_byte_gives_its_whole_chunks() throws IOException {
    for (int size = 0; size <= file.length; size++) {
      StringBuilder expected = new StringBuilder();
      for (int i = 0; i < ends.size() && ends.get(i) <= size; i++) {
        expected.append(TEXTS.get(i));
      }
      assertThat(read(Arrays.copyOf(file, size))).as("%d bytes", size).isEqualTo(expected + "");
    }
  }

  @Test
  void any_gunzip_reads_it() throws IOException {
    try (GZIPInputStream in = new GZIPInputStream(new ByteArrayInputStream(file))) {
      assertThat(new String(in.readAllBytes(), StandardCharsets.UTF_8))
          .isEqualTo(String.join("", TEXTS));
    }
  }

  @Test
  void a_changed_byte_never_gives_other_lines() {
    int found = 0;
    for (int at = 21; at < file.length; at++) {
      byte[] damaged = file.clone();
      damaged[at] ^= 0x10;
      try {
        // A chunk that tells a larger size than there is, is one that was cut off.
        assertThat(String.join("", TEXTS)).startsWith(read(damaged));
      } catch (IOException e) {
        found++;
      }
    }
    assertThat(found).isGreaterThan(file.length / 2);
  }

  @Test
  void a_file_that_grows_is_read_as_far_as_it_is_there() throws IOException {
    byte[] seen = new byte[1];
    int[] asked = {0};
    ByteArrayInputStream slow =
        new ByteArrayInputStream(file) {
          @Override
          public synchronized int read(byte[] into, int from, int most) {
            // Nothing at every second time, as from a file that is not yet longer.
            return asked[0] % 2 == 0 ? -1 : super.read(into, from, Math.min(most, 7));
          }
        };
    StringBuilder read = new StringBuilder();
    try (Chunks.Input in =
        new Chunks.Input(
            slow,
            () -> {
              asked[0]++;
              return true;
            })) {
      while (in.read(seen, 0, 1) > 0) {
        read.append((char) seen[0]);
        asked[0]++;
      }
      assertThat(in.isWhole()).isTrue();
    }
    assertThat(read).hasToString(String.join("", TEXTS));
  }

  @Test
  void a_delta_makes_the_page_after_of_the_page_before() {
    Random random = new Random(3);
    for (int i = 0; i < 300; i++) {
      byte[] before = new byte[2352];
      random.nextBytes(before);
      byte[] after = before.clone();
      for (int changes = random.nextInt(40); changes > 0; changes--) {
        after[random.nextInt(i < 100 ? 40 : after.length)] ^= (byte) (1 + random.nextInt(255));
      }
      byte[] delta = PageDelta.between(before, after);
      assertThat(PageDelta.apply(before, delta)).isEqualTo(after);
      assertThat(PageDelta.apply(before, Arrays.copyOf(delta, Math.max(0, delta.length - 1))))
          .satisfiesAnyOf(page -> assertThat(page).isNull(), page -> assertThat(delta).isEmpty());
    }
  }
}
