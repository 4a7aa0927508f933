package dev.faultline.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.FormatException;
import dev.faultline.GoldenFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What events are stored as. A kept sample is never written again: what one version stored, every
 * later one reads.
 *
 * <p>Recipe of a sample: {@link Samples#ofEveryType} of its version, in one part; made by running
 * this test with {@code -Dgolden.update=true} while the file is not there.
 */
final class EventCodecGolden {

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

  /**
   * The samples that are kept, each with the kinds of events that were new when it was written. A
   * sample is never written again.
   */
  private static final Map<String, Predicate<EventType>> SAMPLES =
      Map.of(
          "events-v1", type -> !type.isDecided() && type != EventType.INPUTS_MERGED,
          "decided-v1", EventType::isDecided,
          "merged-v1", type -> type == EventType.INPUTS_MERGED);

  private static Path sample(String name) {
    return Path.of("src/test/resources/store/" + name + ".part");
  }

  @ParameterizedTest
  @ValueSource(strings = {"events-v1", "decided-v1", "merged-v1"})
  void a_kept_sample_is_read_as_ever(String name) throws IOException {
    Path sample = sample(name);
    Predicate<EventType> kinds = Objects.requireNonNull(SAMPLES.get(name));
    if (!Files.exists(sample) && Boolean.getBoolean("golden.update")) {
      Files.write(
          sample, write(Samples.ofEveryType().stream().filter(e -> kinds.test(e.type())).toList()));
    }
    GoldenFile.check("store/" + name + ".txt", lines(read(Files.readAllBytes(sample))));
  }

  @Test
  void of_every_kind_and_version_there_is_a_kept_sample() throws IOException {
    Set<EventType> kept = EnumSet.noneOf(EventType.class);
    for (String name : SAMPLES.keySet()) {
      read(Files.readAllBytes(sample(name))).forEach(event -> kept.add(event.type()));
    }
    assertThat(kept).containsExactlyInAnyOrder(EventType.values());
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
