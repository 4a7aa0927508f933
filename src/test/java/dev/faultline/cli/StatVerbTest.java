package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Counts and times. */
final class StatVerbTest {
  @TempDir Path folder;

  private Path trace() throws IOException {
    Path file = folder.resolve("a.ftrace.txt");
    Files.writeString(
        file,
        """
         vmm-7 [000] ..... 1.000000: sys_ioctl(fd: 9, cmd: 0xae80, arg: 0)
         vmm-7 [000] ..... 1.000010: kvm_entry: vcpu 0, rip 0x1
         vmm-7 [000] ..... 1.000020: kvm_exit: vcpu 0 reason VMRESUME rip 0x1 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0
         vmm-7 [000] ..... 1.000022: kvm_nested_vmenter: rip: 0x1 vmcs: 0x2 nested_rip: 0x3 int_ctl: 0x0 event_inj: 0x0 nested_ept=n guest_cr3: 0x4
         vmm-7 [000] ..... 1.000025: kvm_entry: vcpu 0, rip 0x3
         vmm-7 [000] ..... 1.000040: kvm_exit: vcpu 0 reason HLT rip 0x3 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0
         vmm-7 [000] ..... 1.000041: kvm_nested_vmexit: vcpu 0 reason HLT rip 0x3 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0
         vmm-7 [000] ..... 1.000042: kvm_nested_vmexit_inject: reason: HLT ext_inf1: 0x0 ext_inf2: 0x0 ext_int: 0x0 ext_int_err: 0x0
         vmm-7 [000] ..... 1.000060: kvm_entry: vcpu 0, rip 0x5
         vmm-7 [000] ..... 1.000070: kvm_userspace_exit: reason restart (4)
         vmm-7 [000] ..... 1.000080: sys_ioctl -> 0xfffffffffffffffc
        """);
    return file;
  }

  @Test
  void exits_are_counted_by_level_with_the_time_until_the_next_entry() throws IOException {
    CommandLines.Ended ended = CommandLines.run("stat", "--format", "json", trace());
    JsonNode stat = new ObjectMapper().readTree(ended.out());

    JsonNode l2 = stat.get("exits").get(0);
    assertThat(l2.get("level").asText()).isEqualTo("L2");
    assertThat(l2.get("name").asText()).isEqualTo("HLT");
    assertThat(l2.get("totalNs").asLong()).isEqualTo(20_000);
    JsonNode l1 = stat.get("exits").get(1);
    assertThat(l1.get("level").asText()).isEqualTo("L1");
    assertThat(l1.get("totalNs").asLong()).isEqualTo(5_000);
    assertThat(stat.get("returns").get(0).get("name").asText()).isEqualTo("EINTR");
    assertThat(stat.get("ioctls").get(0).get("failed").asLong()).isEqualTo(1);
    assertThat(stat.get("ioctls").get(0).get("totalNs").asLong()).isEqualTo(80_000);
    assertThat(stat.get("spanNs").asLong()).isEqualTo(80_000);
  }

  @Test
  void the_tables_add_up_over_vcpus_unless_they_are_told_apart() {
    Path timeline = CommandLines.timelines().resolve("scn_d");

    String sums = CommandLines.run("stat", timeline).out();
    assertThat(sums.lines().filter(l -> l.contains("KVM_SMI")).toList()).hasSize(1);
    String apart = CommandLines.run("stat", "--by-vcpu", timeline).out();
    assertThat(apart.lines().filter(l -> l.contains("KVM_SMI")).count()).isGreaterThan(1);
  }

  @Test
  void a_vcpu_that_is_not_there_is_told() throws IOException {
    assertThat(CommandLines.run("stat", "--vcpu", "7", trace()).status()).isEqualTo(2);
  }
}
