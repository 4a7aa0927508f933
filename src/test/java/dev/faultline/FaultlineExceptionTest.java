package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

final class FaultlineExceptionTest {
  @Test
  void a_message_begins_with_the_code() {
    FaultlineException error = new UsageException(ErrorCode.MOMENT_UNKNOWN, "no moment 31");

    assertThat(error).hasMessage("FL-402 no moment 31");
    assertThat(error.sentence()).isEqualTo("no moment 31");
    assertThat(error.code()).isEqualTo(ErrorCode.MOMENT_UNKNOWN);
  }

  @Test
  void each_kind_has_its_exit_code() {
    assertThat(new UsageException(ErrorCode.USAGE, "").exitCode()).isEqualTo(2);
    assertThat(new TraceSyntaxException(ErrorCode.TRACE_SYNTAX, "").exitCode()).isEqualTo(65);
    assertThat(FormatException.corrupt(ErrorCode.EVENT_CORRUPT, "").exitCode()).isEqualTo(65);
    assertThat(new StoreException(ErrorCode.STORE_IO, "").exitCode()).isEqualTo(74);
    assertThat(InvariantViolation.EXIT_CODE).isEqualTo(70);
  }

  @Test
  void a_format_error_tells_whether_it_is_damage_or_age() {
    FormatException tooNew =
        new FormatException(FormatException.Kind.TOO_NEW, ErrorCode.EVENT_TOO_NEW, "version 9");

    assertThat(tooNew.kind()).isEqualTo(FormatException.Kind.TOO_NEW);
    assertThat(FormatException.structSize("kvm_sregs", "312", 300))
        .hasMessage("FL-200 kvm_sregs is 312 bytes, found 300")
        .extracting(FormatException::kind)
        .isEqualTo(FormatException.Kind.CORRUPT);
  }

  @Test
  void no_code_is_given_twice() {
    assertThat(Arrays.stream(ErrorCode.values()).map(ErrorCode::id)).doesNotHaveDuplicates();
    assertThat(ErrorCode.values()).allMatch(code -> code.id().matches("FL-\\d{3}"));
    assertThat(ErrorCode.values()).allMatch(code -> code.sentence().endsWith("."));
  }
}
