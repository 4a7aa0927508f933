package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Every session in README.md shows what its command prints.
 *
 * <p><i>Shape</i> of a session: a block whose first line is {@code $ ./faultline WORDS}, with
 * {@code | head -N} for the first lines of the output or {@code | tail -N} for the last; then the
 * output.
 *
 * <p>{@code -Dgolden.update=true} writes what was printed into the file.
 */
final class ReadmeGolden {
  private static final Path BASE = Path.of(System.getProperty("basedir", "."));
  private static final Path README = BASE.resolve("README.md");
  private static final String FENCE = "```";
  private static final String PROMPT = "$ ./faultline ";
  private static final String HEAD = " | head -";
  private static final String TAIL = " | tail -";

  @Test
  void every_session_shows_what_its_command_prints() throws IOException {
    List<String> lines = Files.readAllLines(README);
    List<String> found = new ArrayList<>();
    int sessions = 0;
    for (int i = 0; i < lines.size(); i++) {
      found.add(lines.get(i));
      if (lines.get(i).equals(FENCE) && lines.get(i + 1).startsWith(PROMPT)) {
        found.add(lines.get(i + 1));
        found.addAll(printed(lines.get(i + 1).substring(PROMPT.length())));
        int length = lines.subList(i + 1, lines.size()).indexOf(FENCE);
        assertThat(length).as("lines of the session at line %d", i + 1).isPositive();
        i += length;
        sessions++;
      }
    }
    assertThat(sessions).isPositive();
    if (Boolean.getBoolean("golden.update")) {
      Files.write(README, found);
      return;
    }
    assertThat(lines)
        .as("%s; if this is meant, run with -Dgolden.update=true and review the diff", README)
        .isEqualTo(found);
  }

  private static List<String> printed(String command) {
    int pipe = command.indexOf(" | ");
    List<Object> words = new ArrayList<>();
    for (String word : (pipe < 0 ? command : command.substring(0, pipe)).split(" ", -1)) {
      words.add(word.startsWith("timelines/") ? BASE.resolve(word) : word);
    }
    CommandLines.Ended ended = CommandLines.run(words.toArray());
    assertThat(ended.err()).as(command).isEmpty();
    List<String> lines = ended.out().lines().toList();
    if (pipe < 0) {
      return lines;
    }
    boolean tail = command.startsWith(TAIL, pipe);
    assertThat(tail || command.startsWith(HEAD, pipe)).as(command).isTrue();
    int count = Math.min(Integer.parseInt(command.substring(pipe + HEAD.length())), lines.size());
    return tail ? lines.subList(lines.size() - count, lines.size()) : lines.subList(0, count);
  }
}
