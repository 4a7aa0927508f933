package dev.faultline.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.FormatException;
import dev.faultline.GoldenFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/**
 * What events are stored as. A kept sample is never written again: what one version stored, every
 * later one reads.
 *
 * <p>Recipe of a sample: {@link Samples#ofEveryType} of its version, in one part; made by running
 * this test with {@code -Dgolden.update=true} while the file is not there.
 */
final class EventCodecGolden {
  private static final Path SAMPLE = Path.of("src/test/resources/store/events-v1.part");
  private static final Path DECIDED = Path.of("src/test/resources/store/decided-v1.part");

  private static byte[] write(List<StoredEvent> events) {
    PartWriter writer = new PartWriter();
    events.forEach(event -> writer.add(event, null));
    return writer.finish();
  }

  private static List<StoredEvent> read(byte[] bytes) {
    PartReader reader = new PartReader(new ByteSource(bytes));
    List<StoredEvent> events = new ArrayList<>();
    while (reader.left() > 0) {
      events.add(reader.next());
    }
    return events;
  }

  private static String lines(List<StoredEvent> events) {
    StringBuilder lines = new StringBuilder();
    events.forEach(event -> lines.append(event).append('\n'));
    return lines.toString();
  }

  @Test
  void the_kept_sample_of_version_1_is_read_as_ever() throws IOException {
    if (!Files.exists(SAMPLE) && Boolean.getBoolean("golden.update")) {
      Files.write(SAMPLE, write(Samples.ofEveryType()));
    }
    GoldenFile.check("store/events-v1.txt", lines(read(Files.readAllBytes(SAMPLE))));
  }

  @Test
  void the_kept_sample_of_calls_that_nobody_made_is_read_as_ever() throws IOException {
    if (!Files.exists(DECIDED) && Boolean.getBoolean("golden.update")) {
      Files.write(
          DECIDED,
          write(Samples.ofEveryType().stream().filter(e -> e.type().isDecided()).toList()));
    }
    GoldenFile.check("store/decided-v1.txt", lines(read(Files.readAllBytes(DECIDED))));
  }

  @Test
  void names_versions_codes_and_fields_are_what_they_were() throws IOException {
    StringBuilder lines = new StringBuilder();
    for (EventType type : EventType.values()) {
      lines.append(type.code()).append(' ').append(type.storedName());
      lines.append(" v").append(type.version()).append(' ').append(type.fields()).append('\n');
    }
    GoldenFile.check("store/event-types.txt", lines.toString());
  }

  @Test
  void codes_and_names_are_unique() {
    Set<Object> seen = new HashSet<>();
    for (EventType type : EventType.values()) {
      assertThat(seen.add(type.code())).as(type.name()).isTrue();
      assertThat(seen.add(type.storedName() + type.version())).as(type.name()).isTrue();
    }
  }

  @Test
  void what_is_decoded_is_what_was_encoded() {
    SplittableRandom random = new SplittableRandom(7);
    EventType[] types = EventType.values();
    for (int round = 0; round < 200; round++) {
      List<StoredEvent> events = new ArrayList<>();
      int moment = 0;
      for (int i = random.nextInt(200); i >= 0; i--) {
        moment += random.nextInt(3);
        events.add(Samples.of(types[random.nextInt(types.length)], moment, random));
      }
      assertThat(read(write(events))).isEqualTo(events);
    }
  }

  @Test
  void damage_never_ends_in_anything_but_a_format_error() {
    byte[] whole = write(Samples.ofEveryType());
    SplittableRandom random = new SplittableRandom(11);
    for (int round = 0; round < 3_000; round++) {
      byte[] damaged = whole.clone();
      damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
      try {
        read(damaged);
      } catch (FormatException _) {
        // Told in a sentence, which is all that is asked for here.
      }
    }
  }

  @Test
  void events_of_a_later_version_are_refused_in_a_sentence() {
    byte[] later = write(List.of(Samples.mark(0, "x")));
    later[0] = 2;
    assertThatThrownBy(() -> read(later))
        .isInstanceOf(FormatException.class)
        .hasMessageContaining("FL-222")
        .hasMessageContaining("the format 2");
  }
}
