package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.GoldenFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the verbs print about shipped timelines, to the letter. */
final class VerbsGolden {

  @ParameterizedTest
  @CsvSource({
    "verify, triple_fault_event_test, verify",
    "verify-json, vmx_invalid_nested_guest_state, verify --format json",
    "verify-several, set_sregs_test, verify --format json ../cr4_cpuid_sync_test",
    "verify-other-kernel, vmx_invalid_nested_guest_state, verify --kernel 5.10",
    "verify-predicted-kernel, triple_fault_event_test, verify --kernel 6.18 --vcpu vm1/vcpu0",
    "state-invalid-l2, vmx_invalid_nested_guest_state, state --at seq:31",
    "state-fresh, set_sregs_test, state --at seq:20",
    "state-difference, vmx_invalid_nested_guest_state, state --at seq:30 --diff seq:31",
    "state-difference-json, vmx_invalid_nested_guest_state,"
        + " state --at seq:30 --diff seq:31 --format json",
    "show-refused, set_sregs_test, show",
    "show-synthesized, vmx_invalid_nested_guest_state, show --from seq:30",
    "show-json, vmx_invalid_nested_guest_state, show --from seq:30 --format json",
    "show-other-kernel, vmx_invalid_nested_guest_state,"
        + " show --from seq:31 --to seq:33 --kernel 5.10",
    "policies, vmx_invalid_nested_guest_state, policies",
    "policies-json, vmx_invalid_nested_guest_state, policies --format json",
    "policies-rsm, scn_d, policies --kernel 7.3",
    "policies-kernels, scn_a, policies --kernels",
    "policies-kernels-json, scn_d, policies --kernels --format json",
    "migrate, smm_test, migrate --plan cloud-hypervisor --at seq:239",
    "migrate-json, smm_test, migrate --plan openvmm --at seq:479 --format json",
    "migrate-plans, smm_test, migrate --compare-plans"
  })
  void a_verb_prints_its_golden(String golden, String timeline, String words) throws IOException {
    List<Object> line = new ArrayList<>(List.of(words.split(" ")));
    line.replaceAll(word ->
        word instanceof String path && path.startsWith("../")
            ? CommandLines.timeline(path.substring("../".length()))
            : word);
    line.add(1, CommandLines.timeline(timeline));
    CommandLines.Ended ended = CommandLines.run(line.toArray());
    assertThat(ended.err()).isEmpty();
    GoldenFile.check("golden/" + golden + ".txt", ended.out());
  }
}
