package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.vmx.VmEntryCheckScenario.Row;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What holds of {@link VmEntryChecks} whatever the vmcs12 and whatever is known. */
class VmEntryCheckProperty {
  private static final int VMCS12S = 20_000;

  /** Everything that a check may read. */
  private record Known(VmxCapabilities capabilities, EntryContext context) {
    CheckResult evaluate(Vmcs12 vmcs12) {
      return VmEntryChecks.firstFailure(vmcs12, capabilities, context)
          .then(VmEntryChecks.guestLoadFailure(vmcs12, capabilities, context));
    }
  }

  /** One thing less is known; the rest stays. */
  private static List<Known> withoutOne(VmxCapabilities caps, EntryContext context) {
    List<Known> less = new ArrayList<>();
    for (int missing = Msr.IA32_VMX_BASIC; missing <= Msr.IA32_VMX_VMFUNC; missing++) {
      less.add(new Known(caps.without(missing), context));
    }
    GuestLimits l = context.limits();
    List<GuestLimits> limits =
        List.of(
            new GuestLimits(
                OptionalInt.empty(),
                l.cr4Reserved(),
                l.eferAllowed(),
                l.perfGlobalCtrlReserved(),
                l.debugctlSupported(),
                false),
            new GuestLimits(
                l.maxPhyAddr(),
                OptionalLong.empty(),
                l.eferAllowed(),
                l.perfGlobalCtrlReserved(),
                l.debugctlSupported(),
                false),
            new GuestLimits(
                l.maxPhyAddr(),
                l.cr4Reserved(),
                OptionalLong.empty(),
                l.perfGlobalCtrlReserved(),
                l.debugctlSupported(),
                false),
            new GuestLimits(
                l.maxPhyAddr(),
                l.cr4Reserved(),
                l.eferAllowed(),
                OptionalLong.empty(),
                l.debugctlSupported(),
                false),
            new GuestLimits(
                l.maxPhyAddr(),
                l.cr4Reserved(),
                l.eferAllowed(),
                l.perfGlobalCtrlReserved(),
                OptionalLong.empty(),
                false));
    limits.forEach(limit -> less.add(new Known(caps, context.withLimits(limit))));
    less.add(new Known(caps, context.withLinkTarget(new LinkTarget.Unknown())));
    less.add(
        new Known(
            caps,
            new EntryContext(
                l,
                OptionalInt.empty(),
                context.efer(),
                context.linkTarget(),
                context.runPending(),
                context.fromVmentry())));
    less.add(
        new Known(
            caps,
            new EntryContext(
                l,
                context.virtualAddressBits(),
                OptionalLong.empty(),
                context.linkTarget(),
                context.runPending(),
                context.fromVmentry())));
    return less;
  }

  private static void holds(Vmcs12 vmcs12, VmxCapabilities caps, EntryContext context) {
    CheckResult all = new Known(caps, context).evaluate(vmcs12);
    for (Known less : withoutOne(caps, context)) {
      CheckResult some = less.evaluate(vmcs12);
      switch (some) {
        case CheckResult.Passed _ -> assertThat(all.isPassed()).isTrue();
        case CheckResult.Failed failed -> {
          assertThat(all.isFailed()).isTrue();
          if (failed.certainlyFirst()) {
            assertThat(some).isEqualTo(all);
          }
        }
        case CheckResult.CannotTell cannotTell ->
            assertThat(all)
                .satisfiesAnyOf(
                    result -> assertThat(result).isNotInstanceOf(CheckResult.Failed.class),
                    result ->
                        assertThat(((CheckResult.Failed) result).check())
                            .isGreaterThanOrEqualTo(cannotTell.check()));
      }
    }
  }

  @Test
  void to_know_less_never_turns_an_answer_into_another() {
    for (Row row : VmEntryCheckScenario.ROWS) {
      holds(row.valid(), row.capabilities(), row.context());
      holds(row.changed(), row.capabilities(), row.context());
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void to_know_less_never_turns_an_answer_about_a_random_vmcs12_into_another(long seed) {
    Random random = new Random(seed);
    for (int i = 0;
        i < VMCS12S / withoutOne(EntryStates.CAPABILITIES, EntryStates.ENTRY).size();
        i++) {
      holds(random(random), EntryStates.CAPABILITIES, EntryStates.ENTRY);
    }
  }

  @Test
  void a_text_of_the_kernel_leads_back_to_the_check_that_prints_it() {
    for (VmEntryCheck check : VmEntryCheck.values()) {
      List<String> texts = VmEntryTexts.printedBy(check);
      if (!texts.isEmpty()) {
        assertThat(VmEntryTexts.printing(texts)).contains(check).isSorted();
        for (String text : texts) {
          assertThat(VmEntryTexts.printing(text)).contains(check).isSorted();
        }
      }
    }
  }

  @Test
  void capabilities_are_read_from_the_true_msrs() {
    VmxCapabilities caps = VmxCapabilities.of(Map.of(0x481, 1L, 0x48d, 2L, 0x491, 3L));

    assertThat(caps.pinbased()).hasValue(2);
    assertThat(caps.vmfunc()).hasValue(3);
    assertThat(caps.procbased()).isEmpty();
  }

  /** A valid vmcs12 with up to three random fields changed: a bit flipped, or a random value. */
  private static Vmcs12 random(Random random) {
    Vmcs12 vmcs12 = EntryStates.FULL;
    int changes = random.nextInt(4);
    for (int i = 0; i < changes; i++) {
      VmcsField field = VmcsField.at(random.nextInt(VmcsField.count()));
      long value =
          random.nextBoolean()
              ? vmcs12.get(field) ^ 1L << random.nextInt(field.size() * Byte.SIZE)
              : random.nextLong();
      vmcs12 = vmcs12.with(field, value);
    }
    return vmcs12;
  }
}
