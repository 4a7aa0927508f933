package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.trace.Observation;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.x86.Cr4;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The scenario in which SMRAM is changed before RSM, on every kernel that recorded it: the map is
 * put together from the vmcs12 that the SMI left, or from L1's registers, and from the name of the
 * variant, which says what was changed.
 */
final class RsmScenarioConformance {
  private static final Pattern VARIANT = Pattern.compile("\"var\":\"([^\"]*)\",\"step\":\"BEGIN\"");
  private static final long VM = 1 << 17;

  static Stream<Timelines.Timeline> recordings() {
    List<Timelines.Timeline> all = new ArrayList<>();
    all.add(Timelines.shipped("scn_d"));
    for (String kernel : List.of("5.10", "6.12", "7.2", "7.3")) {
      KernelVersion version = KernelVersion.of(kernel);
      assertThat(version).isNotNull();
      for (Timelines.Timeline t : Timelines.collectedAll("vmx-" + kernel, "scn_d")) {
        // Module parameters do not tell 7.2 from 7.3.
        all.add(
            new Timelines.Timeline(
                kernel + " " + t.name(), t.kernel().withVersion(version), t.observations()));
      }
    }
    all.addAll(Timelines.collectedAll("vmx", "(ug0|ept0)__scn_d"));
    return all.stream();
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void every_rsm_ends_as_the_variant_demands(Timelines.Timeline timeline) {
    Reexecution run = timeline.start();
    List<String> wrong = new ArrayList<>();
    String variant = "";
    Bytes l1 = Bytes.EMPTY;
    int judged = 0;
    for (Observation o : timeline.observations()) {
      variant = variant(o, variant);
      Recorded fact = RecordedCalls.convert(o, run.nextMoment());
      if (fact instanceof Recorded.VcpuCall call) {
        Vcpu v = run.vcpus().get(call.vcpu());
        l1 = registersOfL1(o, v, l1);
        Recorded.Run inside = call.run();
        if (inside != null && v != null && leavesSmm(inside) != null) {
          String difference = judge(variant, v, l1, inside, run.nextMoment());
          judged++;
          if (difference != null) {
            wrong.add(variant + ": " + difference);
          }
        }
      }
      run.accept(fact);
    }
    assertThat(wrong).isEmpty();
    assertThat(judged).isGreaterThan(35);
  }

  /** The variant that begins here, else the present one. */
  static String variant(Observation o, String present) {
    if (!(o instanceof Observation.Mark mark)) {
      return present;
    }
    Matcher begins = VARIANT.matcher(mark.text());
    return begins.find() ? begins.group(1) : present;
  }

  /** Where the SMRAM began that RSM read, or 0 without RSM. */
  static long smbase(Recorded.Run inside) {
    TimelineEvent.SmmLeft left = leavesSmm(inside);
    return left == null ? 0 : left.smbase();
  }

  private static Bytes registersOfL1(Observation o, @Nullable Vcpu v, Bytes before) {
    boolean reads =
        o instanceof Observation.Call c && c.name().equals("KVM_GET_SREGS") && c.ret() == 0;
    if (!reads || v == null || !v.inSmm().isNo() || !v.inGuestMode().isNo()) {
      return before;
    }
    Bytes read = ((Observation.Call) o).out();
    return (new KvmSregs(read).cr4() & Cr4.VMXE) != 0 ? read : before;
  }

  private static TimelineEvent.@Nullable SmmLeft leavesSmm(Recorded.Run inside) {
    for (Recorded.Inner inner : inside.inner()) {
      if (inner.at(0) instanceof TimelineEvent.SmmLeft left) {
        return left;
      }
    }
    return null;
  }

  private static @Nullable String judge(
      String variant, Vcpu v, Bytes l1, Recorded.Run inside, int moment) {
    boolean fromL2 = v.nested().mode().smmGuestMode().isYes();
    Bytes map = changed(fromL2 ? SavedMaps.ofL2(v.nested().vmcs12()) : SavedMaps.ofL1(l1), variant);
    long smbase = smbase(inside);
    Vcpu captured = VcpuModel.evolve(v, new TimelineEvent.SmramCaptured(moment, smbase, map));
    RsmJudge judge = new RsmJudge();
    for (Recorded.Inner inner : inside.inner()) {
      judge.hear(captured, inner.at(moment));
    }
    RsmVerdict verdict = judge.decisive();
    if (verdict == null) {
      RsmVerdict open = VcpuModel.rsm(captured, new TimelineEvent.SmmLeft(moment, smbase));
      return Words.outcome(open.end());
    }
    Answer agrees = judge.agrees(verdict, inside.result());
    boolean stopped = verdict.end() instanceof Outcome.Runs || agrees.isKnown();
    return agrees.isNo() || !stopped ? Words.outcome(verdict.end()) + " " + verdict.failed() : null;
  }

  /** The map with what the variant changes. */
  static Bytes changed(Bytes map, String variant) {
    return switch (variant.replaceAll("[,;+].*", "").replaceAll(" by host$", "").strip()) {
      case "tr attr=0 (unusable)", "tr attr=0" -> SavedMaps.with(map, "tr.attributes", 0);
      case "tr type=2" -> type(map, "tr", 2);
      case "tr type=9" -> type(map, "tr", 9);
      case "tr sel TI" ->
          SavedMaps.with(map, "tr.selector", SavedMaps.value(map, "tr.selector") | 4);
      case "ss sel RPL3" ->
          SavedMaps.with(map, "ss.selector", SavedMaps.value(map, "ss.selector") | 3);
      case "cs attr data" -> type(map, "cs", 3);
      case "cs attr=0" -> SavedMaps.with(map, "cs.attributes", 0);
      case "ldtr type=3 present" -> SavedMaps.with(map, "ldtr.attributes", 0x83);
      case "rflags lo|=VM(hi word)" ->
          SavedMaps.with(map, "rflags", SavedMaps.value(map, "rflags") | VM);
      case "cr0 lo word PE=0" -> SavedMaps.with(map, "cr0", SavedMaps.value(map, "cr0") & ~1L);
      case "efer lo word=0" -> SavedMaps.with(map, "efer", SavedMaps.value(map, "efer") & ~0xffffL);
      case "cr4 hi word junk" ->
          SavedMaps.with(map, "cr4", SavedMaps.value(map, "cr4") | 0xffff_0000L);
      case "dr7 hi junk" -> SavedMaps.with(map, "dr7", 1L << 32);
      case "L2 invalid (SREGS)" ->
          variant.contains("heals") ? SavedMaps.with(map, "tr.attributes", 0x8b) : map;
      default -> map;
    };
  }

  private static Bytes type(Bytes map, String register, int type) {
    String field = register + ".attributes";
    return SavedMaps.with(map, field, (SavedMaps.value(map, field) & ~15) | type);
  }
}
