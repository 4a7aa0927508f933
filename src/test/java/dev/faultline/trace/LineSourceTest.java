package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Lines cut out of a stream, whatever its pieces. */
final class LineSourceTest {
  @Test
  void lines_are_numbered_from_one_and_lose_their_ends() throws IOException {
    LineSource lines = new LineSource(Lines.stream("a\n\nbc\r\nd"), 100);
    List<String> found = new ArrayList<>();
    while (lines.next()) {
      found.add(lines.number() + text(lines) + lines.terminated());
    }
    assertThat(found).containsExactly("1atrue", "2true", "3bctrue", "4dfalse");
    assertThat(lines.next()).isFalse();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void any_pieces_of_a_stream_give_the_same_lines(long seed) throws IOException {
    SplittableRandom random = new SplittableRandom(seed);
    List<String> expected = new ArrayList<>();
    StringBuilder all = new StringBuilder();
    for (int i = 0; i < 200; i++) {
      String line = "x".repeat(random.nextInt(300));
      all.append(line).append('\n');
      expected.add(line.length() > 250 ? line.substring(0, 250) + "…" : line);
    }
    InputStream pieces =
        new InputStream() {
          private final InputStream whole = Lines.stream(all.toString());

          @Override
          public int read() throws IOException {
            return whole.read();
          }

          @Override
          public int read(byte[] to, int off, int len) throws IOException {
            return whole.read(to, off, Math.min(len, 1 + random.nextInt(50)));
          }
        };
    LineSource lines = new LineSource(pieces, 250);
    List<String> found = new ArrayList<>();
    while (lines.next()) {
      found.add(text(lines) + (lines.overlong() ? "…" : ""));
    }
    assertThat(found).as("seed %d", seed).isEqualTo(expected);
  }

  @Test
  void of_a_line_without_end_only_its_beginning_is_given() throws IOException {
    LineSource lines = new LineSource(Lines.stream("x".repeat(1000)), 10);
    assertThat(lines.next()).isTrue();
    assertThat(text(lines)).isEqualTo("xxxxxxxxxx");
    assertThat(lines.overlong()).isTrue();
    assertThat(lines.next()).isFalse();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 7, 8, 9, 15, 16, 17})
  void a_byte_is_found_wherever_it_is(int at) {
    byte[] array = new byte[20];
    array[at] = '\n';
    array[19] = '\n';
    assertThat(LineSource.indexOf((byte) '\n', array, 0, 20)).isEqualTo(at);
    assertThat(LineSource.indexOf((byte) '\n', array, at, at)).isEqualTo(-1);
    assertThat(LineSource.indexOf((byte) '\n', array, at + 1, 19)).isEqualTo(-1);
  }

  private static String text(LineSource lines) {
    return new String(
        lines.array(), lines.from(), lines.to() - lines.from(), StandardCharsets.UTF_8);
  }
}
