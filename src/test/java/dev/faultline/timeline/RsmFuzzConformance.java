package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.faultline.Bytes;
import dev.faultline.trace.Observation;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.x86.Msr;
import dev.faultline.x86.SmramMap;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Randomized SMRAM: each case restores a vCPU in SMM, changes the save map and lets RSM load it.
 * The map is in the case's outcome; given to the model as a recorder would capture it, it tells how
 * the KVM_RUN ends.
 */
final class RsmFuzzConformance {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int HIGH_PART = 0x100;

  static Stream<Timelines.Timeline> recordings() {
    return Timelines.collectedAll("fuzz", "Z6[a-z]?-[0-9]+").stream();
  }

  @ParameterizedTest(allowZeroInvocations = true)
  @MethodSource("recordings")
  void every_rsm_ends_as_its_save_map_demands(Timelines.Timeline timeline) {
    List<RsmVerdict> verdicts = new ArrayList<>();
    TimelineListener listener =
        new TimelineListener() {
          @Override
          public void rsm(int moment, Recorded.VcpuCall run, RsmVerdict verdict) {
            verdicts.add(verdict);
          }
        };
    Reexecution run = new Reexecution(timeline.name(), timeline.kernel(), listener);
    int cases = 0;
    boolean fed = true;
    for (int i = 0; i < timeline.observations().size(); i++) {
      Observation o = timeline.observations().get(i);
      if (o instanceof Observation.Mark mark && mark.text().contains("\"begin\"")) {
        fed = false;
      }
      if (!fed && o instanceof Observation.Call call && call.name().equals("KVM_RUN")) {
        Bytes map = mapOf(timeline, i);
        if (map.size() == SmramMap.SIZE) {
          capture(run, call, map);
          cases++;
        }
        fed = true;
      }
      Timelines.tell(run, o);
    }
    Verification result = run.result();
    assertThat(result.divergences().stream().filter(d -> !isGeneralRegister(d)).toList()).isEmpty();
    assertThat(cases).isGreaterThan(0);
    assertThat(verdicts.size()).isGreaterThanOrEqualTo(cases - cases / 1000);
  }

  /** The outcome leaves out the general registers, which decide nothing. */
  private static boolean isGeneralRegister(Divergence d) {
    String field = d.field();
    return field != null && field.matches("r([a-ds][xip]|[0-9]+|bp)");
  }

  private static void capture(Reexecution run, Observation.Call call, Bytes map) {
    Vcpu v = run.vcpus().get(call.obj());
    assertThat(v).isNotNull();
    long smbase = v.platform().msrs().value(Msr.IA32_SMBASE);
    String vm = call.obj().substring(0, call.obj().indexOf('/'));
    run.accept(
        new Recorded.SmramCapture(
            call.seq(), call.enterNs(), call.where(), vm, call.obj(), smbase, map));
  }

  /** The map in the mark that ends the case. */
  private static Bytes mapOf(Timelines.Timeline timeline, int from) {
    for (int i = from; i < timeline.observations().size(); i++) {
      if (timeline.observations().get(i) instanceof Observation.Mark mark) {
        String[] parts = parse(mark.text()).path("smram").asText().split("\\|", -1);
        return parts.length < 2
            ? Bytes.EMPTY
            : Bytes.builder(SmramMap.SIZE)
                .putBytes(0, bytes(parts[0]), 0, parts[0].length() / 2)
                .putBytes(HIGH_PART, bytes(parts[1]), 0, parts[1].length() / 2)
                .build();
      }
    }
    return Bytes.EMPTY;
  }

  private static Bytes bytes(String hex) {
    return Bytes.fromHex(hex);
  }

  private static JsonNode parse(String text) {
    try {
      return JSON.readTree(text);
    } catch (JsonProcessingException e) {
      throw new AssertionError(text, e);
    }
  }
}
