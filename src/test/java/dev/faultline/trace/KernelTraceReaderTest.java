package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.FormatException;
import dev.faultline.trace.Observation.Call;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Kernel traces without a recording beside them, as tracefs, trace-cmd and perf print them. */
final class KernelTraceReaderTest {
  private static List<Call> read(String text) {
    List<Call> all = new ArrayList<>();
    try (KernelTraceReader reader =
        new KernelTraceReader("t", new FtraceReader("t", Lines.stream(text)))) {
      reader.forEachRemaining(o -> all.add((Call) o));
    }
    return all;
  }

  @Test
  void tracefs_brackets_ioctls_by_system_calls() {
    List<Call> calls =
        read(
            """
            # tracer: nop
             qemu-100   [000] .....  1.000001: sys_ioctl(fd: a, cmd: 0xae01, arg: 0)
             qemu-100   [000] .....  1.000002: sys_ioctl -> 0xb
             qemu-100   [000] .....  1.000003: sys_ioctl(fd: b, cmd: ae41, arg: 0)
             qemu-100   [000] .....  1.000004: sys_ioctl -> 0xc
             CPU 0/KVM-101   [000] .....  1.000005: sys_ioctl(fd: c, cmd: 0xae80, arg: 0)
             CPU 0/KVM-101   [000] d..1.  1.000006: kvm_entry: vcpu 0, rip 0xfff0
             CPU 0/KVM-101   [000] .....  1.000007: kvm_userspace_exit: reason restart (4)
             CPU 0/KVM-101   [000] .....  1.000008: sys_ioctl -> 0xfffffffffffffffc
            """);

    assertThat(calls)
        .extracting(Call::name)
        .containsExactly("KVM_CREATE_VM", "KVM_CREATE_VCPU", "KVM_RUN");
    Call run = calls.getLast();
    assertThat(run.obj()).isEqualTo("vm1/vcpu0");
    assertThat(run.errno()).isEqualTo(4);
    assertThat(run.trace()).hasSize(2);
    assertThat(run.payload().seen()).isFalse();
  }

  @Test
  void perf_prints_groups_and_trace_cmd_pads_names() {
    List<Call> perf =
        read(
            " qemu system 100 [001]  1.5: syscalls:sys_enter_ioctl: fd: 0x0000000c, cmd:"
                + " 0x0000ae80, arg: 0x00000000\n"
                + " qemu system 100 [001]  1.6:  kvm:kvm_pio: pio_read at 0x71 size 1 count 1 val"
                + " 0x0 \n"
                + " qemu system 100 [001]  1.7:  syscalls:sys_exit_ioctl: 0x0\n");
    assertThat(perf).hasSize(1);
    assertThat(perf.getFirst().trace().getFirst()).isInstanceOf(TraceEvent.Pio.class);

    List<Call> padded =
        read(
            "cpus=2\n"
                + "       CPU 0/KVM-12345 [003]  1.567890: kvm_entry:            vcpu 2, rip 0x10\n"
                + "       CPU 0/KVM-12345 [003]  1.567899: kvm_userspace_exit:   reason KVM_EXIT_IO"
                + " (2)\n");
    assertThat(padded.getFirst().obj()).isEqualTo("vm1/vcpu2");
    assertThat(padded.getFirst().ret()).isZero();
  }

  @Test
  void without_system_calls_what_a_thread_traced_between_two_exits_is_a_run() {
    List<Call> calls =
        read(
            """
             a-1 [000] ..... 1.1: kvm_entry: vcpu 0, rip 0x1
             b-2 [001] ..... 1.2: kvm_entry: vcpu 0, rip 0x2
             a-1 [000] ..... 1.3: kvm_userspace_exit: reason KVM_EXIT_HLT (5)
             b-2 [001] ..... 1.4: kvm_userspace_exit: reason error (5)
            """);

    assertThat(calls).extracting(Call::obj).containsExactly("vm1/vcpu0", "vm2/vcpu0");
    assertThat(calls.getLast().errno()).isEqualTo(5);
    assertThat(calls.getFirst().enterNs()).isEqualTo(1_100_000_000L);
  }

  @Test
  void a_failure_that_perf_prints_as_an_exit_reason_is_told_by_the_system_call() {
    Call run =
        read("""
         q 1 [001] 1.5: syscalls:sys_enter_ioctl: fd: 0xc, cmd: 0xae80, arg: 0x0
         q 1 [001] 1.6: kvm:kvm_userspace_exit: reason KVM_EXIT_UNKNOWN (0)
         q 1 [001] 1.7: syscalls:sys_exit_ioctl: 0xfffffffffffffff5
        """)
            .getFirst();

    assertThat(run.errno()).isEqualTo(11);
    assertThat(run.trace()).isEmpty();
  }

  @Test
  void a_trace_without_kvm_is_told_so() {
    assertThatThrownBy(() -> read(" a-1 [000] ..... 1.1: sched_switch: prev_comm=a\n"))
        .isInstanceOf(FormatException.class)
        .hasMessageContaining("trace-cmd record -e kvm");
  }
}
