package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What {@code reorder} says of recorded restores, and of windows that it cannot take. */
final class ReorderVerbTest {
  private static final String ORDERS = "fuzz-restore-order";
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  private static CommandLines.Ended reorder(Object... args) {
    Object[] all = new Object[args.length + 2];
    all[0] = "reorder";
    all[1] = CommandLines.timeline(ORDERS);
    System.arraycopy(args, 0, all, 2, args.length);
    return CommandLines.run(all);
  }

  private static JsonNode json(Object... args) throws IOException {
    Object[] all = new Object[args.length + 2];
    System.arraycopy(args, 0, all, 0, args.length);
    all[args.length] = "--format";
    all[args.length + 1] = "json";
    return JSON.readTree(reorder(all).out());
  }

  @Test
  void in_smm_half_of_all_orders_refuse_the_nested_state_of_a_suspended_l2() throws IOException {
    JsonNode result = json("--from", "seq:1334", "--to", "seq:1343");
    assertThat(result.path("orders").asText()).isEqualTo("3628800");
    BigInteger refused = BigInteger.ZERO;
    for (JsonNode each : result.path("classes")) {
      for (JsonNode call : each.path("refused")) {
        assertThat(call.path("ioctl").asText()).isEqualTo("KVM_SET_NESTED_STATE");
        assertThat(call.path("errno").asText()).isEqualTo("EINVAL");
        assertThat(call.path("check").asText()).isEqualTo("NESTED_SMM_MODE");
        refused = refused.add(new BigInteger(each.path("orders").asText()));
      }
    }
    assertThat(refused).isEqualTo(BigInteger.valueOf(1_814_400));
    JsonNode edge = result.path("edges").path(0);
    assertThat(result.path("edges")).hasSize(1);
    assertThat(edge.path("before").asText()).isEqualTo("KVM_SET_VCPU_EVENTS");
    assertThat(edge.path("after").asText()).isEqualTo("KVM_SET_NESTED_STATE");
    assertThat(edge.path("because").asText()).contains("NESTED_SMM_MODE");
  }

  @Test
  void counts_of_all_classes_make_up_all_orders() throws IOException {
    JsonNode result = json("--from", "seq:1333", "--until", "run");
    BigInteger sum = BigInteger.ZERO;
    for (JsonNode each : result.path("classes")) {
      sum = sum.add(new BigInteger(each.path("orders").asText()));
      assertThat(each.path("witness")).hasSize(result.path("ioctls").size());
      assertThat(each.path("fewest").isBoolean()).isTrue();
    }
    assertThat(sum.toString()).isEqualTo(result.path("orders").asText());
    assertThat(result.path("covered").asText()).isEqualTo(result.path("orders").asText());
    assertThat(result.path("classes").path(0).path("works").asBoolean()).isTrue();
    assertThat(result.path("classes").path(0).path("recorded").asBoolean()).isTrue();
  }

  @Test
  void a_pinned_call_stays_in_its_place() throws IOException {
    JsonNode result =
        json("--from", "seq:1333", "--to", "seq:1338", "--pin", "seq:1333", "--pin", "seq:1336");
    assertThat(result.path("orders").asText()).isEqualTo("24");
    for (JsonNode each : result.path("classes")) {
      assertThat(each.path("witness").path(0).asInt()).isEqualTo(1333);
      assertThat(each.path("witness").path(3).asInt()).isEqualTo(1336);
    }
  }

  @Test
  void without_memory_for_all_it_says_which_orders_it_looked_at() throws IOException {
    JsonNode result = json("--from", "seq:1333", "--to", "seq:1343", "--memory", "0");
    assertThat(result.path("orders").asText()).isEqualTo("39916800");
    assertThat(result.path("fixed").asInt()).isPositive();
    BigInteger sum = BigInteger.ZERO;
    for (JsonNode each : result.path("classes")) {
      sum = sum.add(new BigInteger(each.path("orders").asText()));
      assertThat(each.path("witness").path(0).asInt()).isEqualTo(1333);
    }
    assertThat(sum.toString()).isEqualTo(result.path("covered").asText());
    assertThat(reorder("--from", "seq:1333", "--to", "seq:1343", "--memory", "0").out())
        .contains("orders were looked at");
  }

  @Test
  void where_the_recorded_order_faults_it_names_the_point_of_no_return() {
    CommandLines.Ended ended =
        CommandLines.run(
            "reorder", CommandLines.timeline("vmx_invalid_nested_guest_state"), "--from", "seq:30");
    assertThat(ended.status()).isEqualTo(1);
    assertThat(ended.out())
        .contains("No order works.")
        .contains("the point of no return lies before them")
        .contains("tr.unusable was last written by KVM_SET_SREGS (seq 31)");
  }

  @Test
  void the_edges_are_drawn() throws IOException {
    Path dot = folder.resolve("orders.dot");
    Path svg = folder.resolve("orders.svg");
    reorder("--from", "seq:1334", "--to", "seq:1343", "--dot", dot, "--svg", svg);
    assertThat(Files.readString(dot)).contains("seq1336 -> seq1337 [label=\"NESTED_SMM_MODE\"]");
    assertThat(Files.readString(svg)).contains("<svg").contains("NESTED_SMM_MODE");
  }

  @ParameterizedTest
  @CsvSource({
    "seq:1333, seq:1354, a moment before KVM_RUN",
    "seq:1354, seq:1354, KVM_RUN (seq 1354) first",
    "seq:99999999, seq:99999999, a sequence number from",
    "seq:1333, 1x, a moment",
  })
  void a_window_that_cannot_be_taken_is_told(String from, String to, String expected) {
    CommandLines.Ended ended = reorder("--from", from, "--to", to);
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains(expected);
    assertThat(ended.out()).isEmpty();
  }

  @Test
  void a_pin_outside_the_window_is_told() {
    CommandLines.Ended ended =
        reorder("--from", "seq:1333", "--to", "seq:1338", "--pin", "seq:1343");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--pin: expected a call in the window, found seq:1343");
  }
}
