package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

/** How an import is drawn on a terminal. */
final class ImportBarTest {
  private static String line(long done, long all, long ms, String message) {
    return ImportBar.line(done, all, Duration.ofMillis(ms), message, 78);
  }

  @Test
  void share_lines_rate_and_time_left_are_shown_and_every_line_is_as_wide() {
    assertThat(line(0, 71_520, 0, ""))
        .isEqualTo("  0% [>" + " ".repeat(52) + "] 0 of 71,520 lines")
        .hasSize(78);
    assertThat(line(30_100, 71_520, 7000, ""))
        .isEqualTo(" 42% [===========>                ] 30,100 of 71,520 lines, 4,300/s, 10 s left")
        .hasSize(78);
    assertThat(line(30_100, 90_000_000, 7000, "")).endsWith("/s, 5 h 48 min left").hasSize(78);
    assertThat(line(71_520, 71_520, 17_000, "")).endsWith("] 71,520 of 71,520 lines, 4,207/s");
  }

  @Test
  void what_follows_the_last_line_is_told() {
    assertThat(line(71_520, 71_520, 17_000, "listing"))
        .startsWith("100% [===")
        .endsWith("=] 71,520 of 71,520 lines, listing")
        .hasSize(78);
  }

  @Test
  void a_narrow_place_has_no_bar() {
    assertThat(ImportBar.line(5, 10, Duration.ofSeconds(1), "", 40))
        .isEqualTo(" 50% 5 of 10 lines, 5/s, 1 s left       ");
    assertThat(ImportBar.line(0, 0, Duration.ZERO, "", 20)).hasSize(20);
  }
}
