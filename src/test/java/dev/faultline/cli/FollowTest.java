package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.faultline.trace.Chunks;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Shows recordings while they grow. */
final class FollowTest {
  private final Chunks.Writer chunks = new Chunks.Writer();
  private final List<String> lines = CommandLines.lines("set_sregs_test");

  private void append(Path file, List<String> part, boolean last) throws IOException {
    String text = String.join("\n", part) + "\n";
    ByteBuffer chunk = chunks.chunk(text.getBytes(StandardCharsets.UTF_8), last);
    byte[] bytes = new byte[chunk.remaining()];
    chunk.get(bytes);
    Files.write(file, bytes, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }

  @Test
  void what_is_there_is_shown_at_once_and_the_rest_when_it_comes(@TempDir Path folder)
      throws IOException {
    Path file = folder.resolve("growing.jsonl.gz");
    append(file, lines.subList(0, 10), false);
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CompletableFuture<Integer> status =
        CompletableFuture.supplyAsync(() ->
            Main.run(
                Verbs.ALL,
                new String[] {"show", "--follow", file.toString()},
                new PrintWriter(out),
                new PrintWriter(err)));

    await().until(() -> out.toString().contains("KVM_CREATE_VM"));
    assertThat(status).isNotDone();
    append(file, lines.subList(10, lines.size()), true);

    assertThat(status.join()).isZero();
    assertThat(err).hasToString("");
    assertThat(out).hasToString(CommandLines.run("show", file).out());
  }

  @Test
  void a_recording_that_cannot_grow_is_refused() {
    CommandLines.Ended ended =
        CommandLines.run("show", "--follow", CommandLines.timeline("set_sregs_test"));

    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--follow: expected a file as record writes it");
  }
}
