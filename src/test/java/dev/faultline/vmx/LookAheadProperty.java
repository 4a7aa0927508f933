package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.vmx.VmEntryCheckScenario.Row;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Rflags;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/**
 * The lists of checks decide. What looks ahead to save the walk through a list says the same as the
 * walk, whatever the state, and is of use.
 */
class LookAheadProperty {
  private static final int STATES = 60_000;
  private static final VmcsField[] FIELDS = VmcsField.values();

  private static final int[] RIGHTS = {
    0xa09b, 0xa099, 0xc093, 0xc097, 0x8b, 0x83, 0x82, 0x89, 0xf3, 0xfb, 0x1_0000, 0x1_008b, 0
  };

  /** A vmcs12 as most hypervisors make it: what is rare in {@link EntryStates#FULL} is off. */
  private static final Vmcs12 USUAL = usual();

  private static Vmcs12 usual() {
    Vmcs12 v =
        EntryStates.clear(
            EntryStates.FULL,
            VmcsField.SECONDARY_VM_EXEC_CONTROL,
            SecondaryControls.VIRTUALIZE_APIC_ACCESSES
                | SecondaryControls.APIC_REGISTER_VIRT
                | SecondaryControls.VIRTUAL_INTR_DELIVERY
                | SecondaryControls.ENABLE_PML
                | SecondaryControls.MODE_BASED_EPT_EXEC
                | SecondaryControls.ENABLE_VMFUNC);
    v = EntryStates.clear(v, VmcsField.PIN_BASED_VM_EXEC_CONTROL, PinControls.POSTED_INTR);
    v = EntryStates.clear(v, VmcsField.VM_EXIT_CONTROLS, ExitControls.LOAD_IA32_PERF_GLOBAL_CTRL);
    v =
        EntryStates.clear(
            v,
            VmcsField.VM_ENTRY_CONTROLS,
            EntryControls.LOAD_IA32_PERF_GLOBAL_CTRL | EntryControls.LOAD_BNDCFGS);
    return v.with(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0)
        .with(VmcsField.VM_EXIT_MSR_LOAD_COUNT, 0)
        .with(VmcsField.VM_EXIT_MSR_STORE_COUNT, 0)
        .with(VmcsField.VM_ENTRY_MSR_LOAD_COUNT, 0)
        .with(VmcsField.EPT_POINTER, EntryStates.EPTP);
  }

  private static EntryContext restored(SplittableRandom random) {
    EntryContext context = EntryContext.restore(EntryStates.LIMITS, random.nextBoolean());
    return switch (random.nextInt(4)) {
      case 0 -> context.withLa57(random.nextBoolean());
      case 1 -> context.withLimits(GuestLimits.UNKNOWN.withMaxPhyAddr(40));
      case 2 -> context.withLinkTarget(EntryStates.ENTRY.linkTarget());
      default -> context;
    };
  }

  /** Up to three fields changed: a bit turned, a bit alone, or anything. */
  private static Vmcs12 changed(SplittableRandom random) {
    Vmcs12 v = random.nextInt(4) == 0 ? EntryStates.PLAIN_EPT : USUAL;
    if (random.nextBoolean()) {
      v = v.with(VmcsField.VMCS_LINK_POINTER, -1);
    }
    for (int n = random.nextInt(4); n > 0; n--) {
      VmcsField field = FIELDS[random.nextInt(FIELDS.length)];
      long bit = 1L << random.nextInt(field.size() * Byte.SIZE);
      long value =
          switch (random.nextInt(4)) {
            case 0 -> bit;
            case 1 -> random.nextLong();
            default -> v.get(field) ^ bit;
          };
      v = v.with(field, value);
    }
    return v;
  }

  private static VmxCapabilities capabilities(SplittableRandom random) {
    VmxCapabilities all = EntryStates.CAPABILITIES;
    return switch (random.nextInt(8)) {
      case 0 -> all.without(VmxCapabilities.msr(random.nextInt(VmxCapabilities.count())));
      case 1 -> all.withFixed0(random.nextLong(), Cr0.PE);
      default -> all;
    };
  }

  @Test
  void looking_ahead_at_a_vmcs12_says_what_the_list_of_entry_checks_says() {
    SplittableRandom random = new SplittableRandom(20261127);
    int passed = 0;
    int failed = 0;
    for (int i = 0; i < STATES; i++) {
      Vmcs12 v = changed(random);
      VmxCapabilities caps = capabilities(random);
      EntryContext context = restored(random);
      CheckResult walked = VmEntryChecks.walk(v, caps, context);

      assertThat(VmEntryChecks.firstFailure(v, caps, context)).isEqualTo(walked);
      passed += VmEntryFilter.passes(v, caps, context) ? 1 : 0;
      failed += walked.isFailed() ? 1 : 0;
    }
    assertThat(passed).isGreaterThan(STATES / 5);
    assertThat(failed).isGreaterThan(STATES / 5);
  }

  @Test
  void looking_ahead_never_hides_the_check_of_a_row_of_the_scenarios() {
    List<CheckResult> differing = new ArrayList<>();
    for (Row row : VmEntryCheckScenario.ROWS) {
      EntryContext restore =
          new EntryContext(
              row.context().limits(),
              OptionalInt.of(EntryContext.ADDRESS_BITS),
              row.context().efer(),
              row.context().linkTarget(),
              true,
              false);
      for (Vmcs12 v : List.of(row.valid(), row.changed())) {
        CheckResult walked = VmEntryChecks.walk(v, row.capabilities(), restore);
        CheckResult found = VmEntryChecks.firstFailure(v, row.capabilities(), restore);
        if (!found.equals(walked)) {
          differing.add(found);
        }
      }
    }
    assertThat(differing).isEmpty();
  }

  @Test
  void looking_ahead_at_a_guest_state_says_what_the_list_of_guest_state_checks_says() {
    SplittableRandom random = new SplittableRandom(7);
    int passed = 0;
    int failed = 0;
    for (int i = 0; i < STATES; i++) {
      GuestState state = GuestState.of(EntryStates.FULL);
      for (int n = random.nextInt(3); n > 0; n--) {
        SegmentRegister register =
            SegmentRegister.values()[random.nextInt(SegmentRegister.values().length)];
        state = state.withSegment(register, segment(random, state.segment(register)));
      }
      if (random.nextInt(16) == 0) {
        state = state.withCr0(0);
      } else if (random.nextInt(16) == 0) {
        state = state.withRflags(Rflags.VM);
      }
      GuestStateCheck walked = GuestStateChecks.walk(state);

      assertThat(GuestStateChecks.firstFailure(state)).isEqualTo(walked);
      passed += walked == null ? 1 : 0;
      failed += walked == null ? 0 : 1;
    }
    assertThat(passed).isGreaterThan(STATES / 5);
    assertThat(failed).isGreaterThan(STATES / 5);
  }

  private static Segment segment(SplittableRandom random, Segment given) {
    int selector = random.nextBoolean() ? given.selector() : random.nextInt(8);
    Segment changed =
        Segment.fromAccessRights(
            selector, given.base(), given.limit(), RIGHTS[random.nextInt(RIGHTS.length)]);
    return switch (random.nextInt(8)) {
      case 0 -> changed.withPresent(random.nextInt(2));
      case 1 -> changed.withS(random.nextInt(2));
      case 2 -> given.withSelector(selector);
      case 3 -> given.withDpl(random.nextInt(4));
      default -> changed;
    };
  }
}
