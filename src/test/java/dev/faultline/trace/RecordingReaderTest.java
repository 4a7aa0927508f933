package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.FaultlineException;
import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.trace.Lines.Reading;
import dev.faultline.trace.Observation.Call;
import dev.faultline.x86.SmramMap;
import java.io.InputStream;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a line of a recording becomes, and what is said about one that cannot be read. */
final class RecordingReaderTest {
  private static final String CALL =
      "{\"seq\":31,\"ev\":\"ioctl\",\"t_enter\":10,\"t_exit\":20,\"pid\":1,\"tid\":2,\"fd\":8,"
          + "\"fd_kind\":\"vcpu\",\"obj\":\"vm1/vcpu0\",\"req\":\"0x4004ae99\","
          + "\"name\":\"KVM_SET_MP_STATE\",\"arg\":\"0xffffffff80000000\",\"ret\":0,"
          + "\"in_len\":4,\"in\":\"AQAAAA==\"}\n";

  @Test
  void a_call_keeps_everything_that_its_line_tells() {
    Call call = Lines.read(CALL).calls().getFirst();
    assertThat(call.seq()).isEqualTo(31);
    assertThat(call.enterNs()).isEqualTo(10);
    assertThat(call.exitNs()).isEqualTo(20);
    assertThat(call.pid()).isEqualTo(1);
    assertThat(call.tid()).isEqualTo(2);
    assertThat(call.fd()).isEqualTo(8);
    assertThat(call.fdKind()).isEqualTo("vcpu");
    assertThat(call.obj()).isEqualTo("vm1/vcpu0");
    assertThat(call.req()).isEqualTo(0x4004ae99);
    assertThat(call.name()).isEqualTo("KVM_SET_MP_STATE");
    assertThat(call.arg()).isEqualTo(0xffffffff80000000L);
    assertThat(call.ret()).isZero();
    assertThat(call.errno()).isZero();
    assertThat(call.in()).isEqualTo(Bytes.of((byte) 1, (byte) 0, (byte) 0, (byte) 0));
    assertThat(call.out()).isEqualTo(Bytes.EMPTY);
    assertThat(call.runIn()).isEqualTo(Bytes.EMPTY);
    assertThat(call.runOut()).isEqualTo(Bytes.EMPTY);
    assertThat(call.extras()).isEqualTo(Observation.Extras.NONE);
    assertThat(call.trace()).isEmpty();
    assertThat(call.coverage()).isEqualTo(TraceCoverage.ABSENT);
    assertThat(call.where()).isEqualTo("boot.jsonl:1");
  }

  @Test
  void a_failed_call_keeps_its_errno() {
    Call call =
        Lines.read(with("\"ret\":0", "\"ret\":-1,\"errno\":22,\"err\":\"EINVAL\""))
            .calls()
            .getFirst();
    assertThat(call.ret()).isEqualTo(-1);
    assertThat(call.errno()).isEqualTo(22);
  }

  @Test
  void the_keys_of_a_line_may_stand_in_any_order() {
    String turned =
        "{\"in\":\"AQAAAA==\",\"name\":\"KVM_SET_MP_STATE\",\"ret\":0,\"arg\":\"0xffffffff80000000\","
            + "\"req\":\"0x4004ae99\",\"obj\":\"vm1/vcpu0\",\"fd_kind\":\"vcpu\",\"fd\":8,\"tid\":2,"
            + "\"pid\":1,\"t_exit\":20,\"in_len\":4,\"t_enter\":10,\"ev\":\"ioctl\",\"seq\":31}";
    assertThat(Lines.read(turned).observations()).isEqualTo(Lines.read(CALL).observations());
  }

  @Test
  void the_run_page_and_the_extras_are_kept() {
    String more =
        ",\"run_in\":\"AAEC\",\"run_out\":\"AwQF\",\"bitmap\":\"Bg==\",\"attr_data\":\"Bwg=\","
            + "\"msr_filter_bitmaps\":[\"AA==\",\"\"]}";
    Call call = Lines.read(CALL.strip().replaceAll("}$", more)).calls().getFirst();
    assertThat(call.runIn().toHex()).isEqualTo("000102");
    assertThat(call.runOut().toHex()).isEqualTo("030405");
    assertThat(call.extras())
        .isEqualTo(
            new Observation.Extras(
                Bytes.of((byte) 6),
                Bytes.of((byte) 7, (byte) 8),
                List.of(Bytes.of((byte) 0), Bytes.EMPTY)));
  }

  @Test
  void what_one_line_tells_is_not_taken_for_the_next() {
    String plain = with("\"in_len\":4,\"in\":\"AQAAAA==\"", "\"x\":0").replace(":31", ":32");
    Call call = Lines.read(CALL + plain).calls().getLast();
    assertThat(call.in()).isEqualTo(Bytes.EMPTY);
    assertThat(call.where()).isEqualTo("boot.jsonl:2");
  }

  @Test
  void a_slash_in_base64_may_be_escaped() {
    Call call = Lines.read(with("AQAAAA==", "\\/wAAAA==")).calls().getFirst();
    assertThat(call.in().toHex()).isEqualTo("ff000000");
  }

  @Test
  void keys_that_a_later_recorder_adds_are_passed_over() {
    Reading reading = Lines.read(with("\"ret\":0", "\"ret\":0,\"new\":{\"a\":[1,{\"b\":null}]}"));
    assertThat(reading.observations()).isEqualTo(Lines.read(CALL).observations());
  }

  private static final String SMRAM =
      "{\"seq\":9,\"ev\":\"smram\",\"t_enter\":5,\"tid\":7,\"obj\":\"vm1/vcpu0\",\"smbase\":\"%s\","
          + "\"map\":\"%s\",\"map_len\":%d}";

  private static String base64(int zeros) {
    return Base64.getEncoder().encodeToString(new byte[zeros]);
  }

  static Stream<Arguments> otherLines() {
    return Stream.of(
        Arguments.of(
            "{\"seq\":0,\"ev\":\"start\",\"t_enter\":5,\"pid\":7,\"argv\":[\"scn\",\"a\"]}",
            new Observation.Started(0, 5, 7, List.of("scn", "a"), "", "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":0,\"ev\":\"start\",\"format\":1,\"t_enter\":5,\"pid\":7,\"argv\":[],\"recorder\":\"r\"}",
            new Observation.Started(0, 5, 7, List.of(), "r", "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":20,\"ev\":\"mmap\",\"t_enter\":5,\"tid\":7,\"fd\":8,\"obj\":\"vm1/vcpu0\",\"len\":12288,"
                + "\"off\":0,\"addr\":\"0x7f64700d0000\"}",
            new Observation.Mapped(
                20, 5, 7, 8, "vm1/vcpu0", 12288, 0, 0x7f64700d0000L, "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":2,\"ev\":\"close\",\"t_enter\":5,\"tid\":7,\"fd\":4,\"fd_kind\":\"system\",\"obj\":\"kvm\","
                + "\"ret\":0}",
            new Observation.Closed(2, 5, 7, 4, "system", "kvm", 0, "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":3,\"ev\":\"mark\",\"t_enter\":5,\"tid\":7,\"text\":\"{\\\"step\\\":\\\"BEGIN\\\"}\"}",
            new Observation.Mark(3, 5, 7, "{\"step\":\"BEGIN\"}", "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":9,\"ev\":\"exit\",\"t_enter\":5,\"tid\":8,\"tgid\":7,\"code\":3}",
            new Observation.Exited(9, 5, 8, 7, 3, 0, "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":9,\"ev\":\"exit\",\"t_enter\":5,\"tid\":8,\"tgid\":7,\"signal\":6}",
            new Observation.Exited(9, 5, 8, 7, -1, 6, "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":9,\"ev\":\"timeout\",\"t_enter\":5}",
            new Observation.TimedOut(9, 5, "boot.jsonl:1")),
        Arguments.of(
            SMRAM.formatted("0x30000", base64(SmramMap.SIZE), SmramMap.SIZE),
            new Observation.SmramCaptured(
                9, 5, 7, "vm1/vcpu0", 0x30000, Bytes.zero(SmramMap.SIZE), "boot.jsonl:1")),
        Arguments.of(
            "{\"seq\":9,\"ev\":\"later\",\"t_enter\":5,\"gpa\":\"0x3fe00\"}",
            new Observation.UnknownLine(
                9,
                5,
                "later",
                "{\"seq\":9,\"ev\":\"later\",\"t_enter\":5,\"gpa\":\"0x3fe00\"}",
                "boot.jsonl:1")),
        Arguments.of(
            "{\"fd\":\"eight\",\"ev\":\"later\"}",
            new Observation.UnknownLine(
                -1, -1, "later", "{\"fd\":\"eight\",\"ev\":\"later\"}", "boot.jsonl:1")));
  }

  @ParameterizedTest
  @MethodSource("otherLines")
  void each_kind_of_line_becomes_its_observation(String line, Observation expected) {
    assertThat(Lines.read(line + "\n").observations()).containsExactly(expected);
  }

  static Stream<Arguments> damagedLines() {
    return Stream.of(
        damage(
            SMRAM.formatted("0x30000", base64(16), 16),
            ErrorCode.TRACE_VALUE,
            "map must hold 512 bytes from smbase + 0xfe00, found 16"),
        damage(
            SMRAM.formatted("0x100000000", base64(SmramMap.SIZE), SmramMap.SIZE),
            ErrorCode.TRACE_VALUE,
            "smbase must fit into 32 bits, found 0x100000000"),
        damage("not json", ErrorCode.TRACE_SYNTAX, "expected a JSON object, found 'not json'"),
        damage(
            "# tracer: nop", ErrorCode.TRACE_SYNTAX, "the text of a trace", "name the recording"),
        damage("[1,2]", ErrorCode.TRACE_SYNTAX, "expected a JSON object, found '[1,2]'"),
        damage(
            "{\"seq\":1,,}",
            ErrorCode.TRACE_SYNTAX,
            "expected a JSON object",
            "the line is damaged"),
        damage(CALL.strip() + " {}", ErrorCode.TRACE_SYNTAX, "the end of the line", "found more"),
        damage(with("\"fd\":8", "\"fd\":8,\"fd\":9"), ErrorCode.TRACE_SYNTAX, "the key fd twice"),
        damage(
            "{\"seq\":1}",
            ErrorCode.TRACE_KEY_MISSING,
            "expected the key ev",
            "is this file a recording?"),
        damage("{\"seq\":1,\"ev\":\"\"}", ErrorCode.TRACE_VALUE, "ev must name a kind of line"),
        damage(
            "{\"seq\":1,\"ev\":5}",
            ErrorCode.TRACE_VALUE,
            "ev must be a string, found the number 5"),
        damage(without("seq"), ErrorCode.TRACE_KEY_MISSING, "the key seq of a line of ev ioctl"),
        damage(without("req"), ErrorCode.TRACE_KEY_MISSING, "the key req of a line of ev ioctl"),
        damage(without("obj"), ErrorCode.TRACE_KEY_MISSING, "the key obj of a line of ev ioctl"),
        damage(without("ret"), ErrorCode.TRACE_KEY_MISSING, "the key ret of a line of ev ioctl"),
        damage(without("tid"), ErrorCode.TRACE_KEY_MISSING, "the key tid of a line of ev ioctl"),
        damage(
            "{\"seq\":1,\"ev\":\"mark\",\"t_enter\":1,\"tid\":1}",
            ErrorCode.TRACE_KEY_MISSING,
            "the key text of a line of ev mark"),
        damage(
            "{\"seq\":1,\"ev\":\"exit\",\"t_enter\":1,\"tid\":1,\"tgid\":1}",
            ErrorCode.TRACE_KEY_MISSING,
            "the key code or signal"),
        damage(
            with("\"seq\":31", "\"seq\":\"31\""),
            ErrorCode.TRACE_VALUE,
            "seq must be an integer, found the string '31'"),
        damage(
            with("\"seq\":31", "\"seq\":-31"),
            ErrorCode.TRACE_VALUE,
            "seq must be 0 or more, found -31"),
        damage(
            with("\"seq\":31", "\"seq\":3.5"),
            ErrorCode.TRACE_VALUE,
            "seq must be an integer, found the number 3.5"),
        damage(
            with("\"seq\":31", "\"seq\":99999999999999999999"),
            ErrorCode.TRACE_VALUE,
            "seq must fit into 64 bits"),
        damage(
            with("\"fd\":8", "\"fd\":4294967296"),
            ErrorCode.TRACE_VALUE,
            "fd must fit into 32 bits, found 4294967296"),
        damage(
            with("0x4004ae99", "4004ae99"),
            ErrorCode.TRACE_VALUE,
            "req must be a string of 0x and hexadecimal digits, found '4004ae99'"),
        damage(
            with("0x4004ae99", "0x14004ae99"),
            ErrorCode.TRACE_VALUE,
            "req must fit into 32 bits, found 0x14004ae99"),
        damage(
            with("0xffffffff80000000", "0x1ffffffff80000000"),
            ErrorCode.TRACE_VALUE,
            "arg must be a string of 0x"),
        damage(
            with("\"obj\":\"vm1/vcpu0\"", "\"obj\":null"),
            ErrorCode.TRACE_VALUE,
            "obj must be a string, found null"),
        damage(
            with("vm1/vcpu0", "x".repeat(300)),
            ErrorCode.TRACE_VALUE,
            "obj must be at most 256 characters, found 300"),
        damage(
            with("\"ret\":0", "\"ret\":-1"),
            ErrorCode.TRACE_KEY_MISSING,
            "expected the key errno beside ret -1"),
        damage(
            with("\"ret\":0", "\"ret\":-1,\"errno\":0"),
            ErrorCode.TRACE_VALUE,
            "errno must be more than 0 beside ret -1, found 0"),
        damage(
            with("\"ret\":0", "\"ret\":-22"),
            ErrorCode.TRACE_VALUE,
            "ret must be -1 or more",
            "found -22"),
        damage(
            with("AQAAAA==", "AQ*AAA=="),
            ErrorCode.TRACE_PAYLOAD_ENCODING,
            "in must be a base64 string, found 'AQ*AAA=='"),
        damage(
            with("AQAAAA==", "A"),
            ErrorCode.TRACE_PAYLOAD_ENCODING,
            "in must be a base64 string, found 'A'"),
        damage(
            with("\"AQAAAA==\"", "5"),
            ErrorCode.TRACE_VALUE,
            "in must be a base64 string, found the number 5"),
        damage(
            with("\"in_len\":4", "\"in_len\":5"),
            ErrorCode.TRACE_PAYLOAD_ENCODING,
            "in must be 5 bytes, as in_len says, found 4"),
        damage(
            with(",\"in\":\"AQAAAA==\"", ""),
            ErrorCode.TRACE_PAYLOAD_ENCODING,
            "in must be 4 bytes, as in_len says, found 0"),
        damage(
            with("\"ret\":0", "\"ret\":0,\"out_len\":2,\"out\":\"AA==\""),
            ErrorCode.TRACE_PAYLOAD_ENCODING,
            "out must be 2 bytes, as out_len says, found 1"),
        damage(
            with("AQAAAA==", "A".repeat(1_500_000)),
            ErrorCode.TRACE_PAYLOAD_TOO_LONG,
            "in must be at most 1048576 bytes"),
        damage(
            with("\"ret\":0", "\"ret\":0,\"msr_filter_bitmaps\":[3]"),
            ErrorCode.TRACE_VALUE,
            "msr_filter_bitmaps must be an array of base64 strings, found the number 3"),
        damage(
            with("\"ret\":0", "\"ret\":0,\"msr_filter_bitmaps\":{\"a\":1}"),
            ErrorCode.TRACE_VALUE,
            "found an object"),
        damage(
            with("\"ret\":0", "\"ret\":0,\"x\":" + "[".repeat(50) + "]".repeat(50)),
            ErrorCode.TRACE_VALUE,
            "nesting depth"),
        damage(
            with("\"ret\":0", "\"ret\":0,\"" + "k".repeat(5000) + "\":1"),
            ErrorCode.TRACE_VALUE,
            "Name length"));
  }

  @ParameterizedTest
  @MethodSource("damagedLines")
  void a_damaged_line_is_told_in_one_sentence_with_its_place(
      String line, ErrorCode code, List<String> fragments) {
    Reading reading = Lines.read(Lines.START + line.strip() + "\n");
    FaultlineException failure = reading.failure();
    assertThat(failure).isInstanceOf(TraceSyntaxException.class);
    assertThat(failure.code()).isEqualTo(code);
    assertThat(failure.exitCode()).isEqualTo(65);
    assertThat(failure).hasMessageStartingWith(code.id() + " boot.jsonl:2: ");
    assertThat(failure.getMessage()).contains(fragments).doesNotContain("\n").hasSizeLessThan(500);
    assertThat(reading.observations()).hasSize(1);
  }

  @Test
  void an_error_does_not_hide_the_line_before_it_from_a_merge() {
    Reading reading =
        Lines.read(
            Lines.call(1, "KVM_RUN", 10, 20) + "garbage\n",
            Lines.event(7, 15, "kvm_userspace_exit: reason KVM_EXIT_IO (2)"));
    assertThat(reading.calls()).hasSize(1);
    assertThat(reading.failure()).hasMessageContaining("boot.jsonl:2");
  }

  @Test
  void a_last_line_without_newline_is_fine_if_it_is_whole() {
    assertThat(Lines.read(CALL.strip()).calls()).hasSize(1);
    assertThat(Lines.read(CALL.strip()).error()).isNull();
  }

  @Test
  void a_last_line_that_is_cut_is_told_to_be_cut() {
    FaultlineException failure = Lines.read(Lines.START + CALL.substring(0, 100)).failure();
    assertThat(failure.code()).isEqualTo(ErrorCode.TRACE_CUT_OFF);
    assertThat(failure)
        .hasMessageContaining("boot.jsonl:2: expected the rest of the line after 100 bytes")
        .hasMessageContaining("the file is cut off");
  }

  @Test
  void empty_lines_and_carriage_returns_are_passed_over() {
    Reading reading = Lines.read("\n \n" + Lines.START.strip() + "\r\n\r\n" + CALL);
    assertThat(reading.error()).isNull();
    assertThat(reading.calls().getFirst().where()).isEqualTo("boot.jsonl:5");
  }

  @Test
  void a_sequence_number_may_go_back_but_comes_only_once() {
    String late = Lines.call(5, "KVM_RUN", 1, 9) + Lines.call(4, "KVM_RUN", 1, 9);
    assertThat(Lines.read(late).error()).isNull();
    FaultlineException failure = Lines.read(late + Lines.call(5, "KVM_RUN", 1, 9)).failure();
    assertThat(failure.code()).isEqualTo(ErrorCode.TRACE_ORDER);
    assertThat(failure)
        .hasMessageContaining("boot.jsonl:3")
        .hasMessageContaining("found seq 5 a second time");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"ev\":\"format\",\"version\":2}\n",
        "{\"seq\":0,\"ev\":\"start\",\"format\":2,\"t_enter\":0,\"pid\":7,\"argv\":[]}\n",
        "{\"seq\":0,\"ev\":\"start\",\"format\":2,\"began\":0}\n"
      })
  void a_later_version_of_the_format_is_named_beside_the_one_that_is_read(String first) {
    FaultlineException failure = Lines.read(first + CALL).failure();
    assertThat(failure).isInstanceOf(FormatException.class);
    assertThat(((FormatException) failure).kind()).isEqualTo(FormatException.Kind.TOO_NEW);
    assertThat(failure.code()).isEqualTo(ErrorCode.RECORDING_TOO_NEW);
    assertThat(failure)
        .hasMessageContaining("expected version 1 of the recording format, found version 2");
  }

  @Test
  void version_1_may_be_declared() {
    Reading reading = Lines.read("{\"ev\":\"format\",\"version\":1}\n" + CALL);
    assertThat(reading.error()).isNull();
    assertThat(reading.observations()).hasSize(1);
  }

  @Test
  void there_is_no_version_0() {
    FaultlineException failure = Lines.read("{\"ev\":\"format\",\"version\":0}\n").failure();
    assertThat(failure.code()).isEqualTo(ErrorCode.RECORDING_CORRUPT);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "\n", "\n\n", "{\"ev\":\"format\",\"version\":1}\n"})
  void a_file_without_a_line_holds_no_recording(String text) {
    FaultlineException failure = Lines.read(text).failure();
    assertThat(failure).isInstanceOf(FormatException.class);
    assertThat(failure.code()).isEqualTo(ErrorCode.RECORDING_CORRUPT);
    assertThat(failure).hasMessageContaining("boot.jsonl holds no recording");
  }

  @Test
  void a_line_without_end_is_refused_after_the_limit_and_not_held() {
    long size = 1L << 30;
    FaultlineException failure =
        Lines.read(new RecordingReader("boot.jsonl", new Endless((byte) 'x', size))).failure();
    assertThat(failure.code()).isEqualTo(ErrorCode.TRACE_LINE_TOO_LONG);
    assertThat(failure).hasMessageContaining("boot.jsonl:1").hasMessageContaining("8388608 bytes");
  }

  @Test
  void a_stream_that_breaks_off_is_told_after_the_lines_that_came_whole() {
    InputStream cut = Lines.cut(Lines.START + CALL.substring(0, 50));
    Reading reading = Lines.read(new RecordingReader("boot.jsonl.gz", cut));
    assertThat(reading.observations()).hasSize(1);
    assertThat(reading.failure().code()).isEqualTo(ErrorCode.INPUT_COMPRESSION);
    assertThat(reading.failure())
        .hasMessageContaining("boot.jsonl.gz:2")
        .hasMessageContaining("the end of a cut file");
  }

  @Test
  void an_error_is_told_as_often_as_it_is_asked_for() {
    try (RecordingReader reader = new RecordingReader("boot.jsonl", Lines.stream("garbage\n"))) {
      assertThatExceptionOfType(TraceSyntaxException.class).isThrownBy(reader::hasNext);
      assertThatExceptionOfType(TraceSyntaxException.class).isThrownBy(reader::next);
    }
  }

  @Test
  void past_the_end_there_is_no_observation() {
    try (RecordingReader reader = new RecordingReader("boot.jsonl", Lines.stream(CALL))) {
      reader.next();
      assertThat(reader.hasNext()).isFalse();
      assertThatExceptionOfType(NoSuchElementException.class).isThrownBy(reader::next);
      assertThat(reader.mergeReport()).isNull();
    }
  }

  @Test
  void words_that_come_again_are_one_object() {
    List<Call> calls =
        Lines.read(Lines.call(1, "KVM_RUN", 1, 2) + Lines.call(2, "KVM_RUN", 3, 4)).calls();
    assertThat(calls.getFirst().name()).isSameAs(calls.getLast().name());
  }

  private static Arguments damage(String line, ErrorCode code, String... fragments) {
    return Arguments.of(line, code, Arrays.asList(fragments));
  }

  private static String with(String old, String changed) {
    if (!CALL.contains(old)) {
      throw new AssertionError(old);
    }
    return CALL.replace(old, changed);
  }

  /** The call without a key that is not the last. */
  private static String without(String key) {
    return CALL.replaceFirst("\"" + key + "\":(\"[^\"]*\"|[^,]*),", "");
  }

  /** A stream of one byte, over and over. */
  private static final class Endless extends InputStream {
    private final byte each;
    private long left;

    Endless(byte each, long size) {
      this.each = each;
      this.left = size;
    }

    @Override
    public int read() {
      return left-- > 0 ? each : -1;
    }

    @Override
    public int read(byte[] to, int off, int len) {
      if (left <= 0) {
        return -1;
      }
      Arrays.fill(to, off, off + len, each);
      left -= len;
      return len;
    }
  }
}
