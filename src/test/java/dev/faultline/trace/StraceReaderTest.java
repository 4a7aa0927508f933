package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.faultline.FormatException;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Closed;
import dev.faultline.vcpu.PageShown;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every form in which strace prints a KVM ioctl. */
final class StraceReaderTest {
  private static final String CREATED =
      "ioctl(3, KVM_CREATE_VM, 0) = 8\nioctl(8, KVM_CREATE_VCPU, 0) = 9\n";

  private record Read(List<Observation> observations, LeftOut leftOut) {
    List<Call> calls() {
      return observations.stream().filter(Call.class::isInstance).map(Call.class::cast).toList();
    }

    Call last() {
      return calls().getLast();
    }
  }

  private static Read read(String text) {
    List<Observation> all = new ArrayList<>();
    try (StraceReader reader = new StraceReader("vmm.strace", Lines.stream(text))) {
      reader.forEachRemaining(all::add);
      return new Read(all, reader.leftOut());
    }
  }

  private static Call one(String line) {
    return read(CREATED + line + "\n").last();
  }

  @Test
  void descriptors_are_followed_from_the_calls_that_make_them() {
    List<Call> calls = read(CREATED + "ioctl(9, KVM_RUN, 0) = 0\n").calls();

    assertThat(calls).extracting(Call::obj).containsExactly("kvm", "vm1", "vm1/vcpu0");
    assertThat(calls).extracting(Call::fdKind).containsExactly("system", "vm", "vcpu");
    assertThat(calls).extracting(Call::seq).containsExactly(0L, 1L, 2L);
    assertThat(calls.getLast().where()).isEqualTo("vmm.strace:3");
  }

  @Test
  void a_trace_that_begins_in_the_middle_names_vcpus_by_descriptor() {
    assertThat(read("ioctl(15, KVM_RUN, 0) = 0\n").last().obj()).isEqualTo("vm1/fd15");
  }

  @ParameterizedTest
  @ValueSource(strings = {"anon_inode:kvm-vcpu:3", "anon_inode:[kvm-vcpu:3]"})
  void the_label_of_a_descriptor_tells_the_vcpu(String label) {
    Call call = read("ioctl(15<" + label + ">, KVM_RUN, 0) = 0\n").last();

    assertThat(call.obj()).isEqualTo("vm1/vcpu3");
    assertThat(call.fd()).isEqualTo(15);
  }

  @Test
  void labels_may_hold_brackets_of_their_own() {
    Call call =
        read("ioctl(3</dev/kvm<char 10:232>>, KVM_CREATE_VM, 0) = 8<anon_inode:kvm-vm>\n").last();

    assertThat(call.obj()).isEqualTo("kvm");
    assertThat(call.ret()).isEqualTo(8);
  }

  @ParameterizedTest
  @CsvSource({
    "'',-1,0",
    "'4711 ',-1,4711",
    "'4711  1700000000.123456 ',1700000000123456000,4711",
    "'[pid  4711] 1700000000.123456 ',1700000000123456000,4711",
    "'[pid 4711<CPU 0/KVM>] ',-1,4711",
    "'12:34:56.789012 ',45296789012000,0",
    "'4711 12:34:56 ',45296000000000,4711",
    "'     0.000123 ',123000,0",
    "'1700000000.5 (+     0.000123) ',1700000000500000000,0",
    "'[00007f0000000000] ',-1,0",
    "'[  16] ',-1,0",
  })
  void who_and_when_stand_before_the_call(String head, long ns, long tid) {
    Call call = read(head + "ioctl(15, KVM_RUN, 0) = 0\n").last();

    assertThat(call.enterNs()).isEqualTo(ns);
    assertThat(call.tid()).isEqualTo(tid);
  }

  @Test
  void a_time_of_day_goes_on_past_midnight_and_relative_times_add_up() {
    List<Call> day =
        read("23:59:59.9 ioctl(15, KVM_RUN, 0) = 0\n00:00:00.1 ioctl(15, KVM_RUN, 0) = 0\n")
            .calls();
    assertThat(day.get(1).enterNs() - day.get(0).enterNs()).isEqualTo(200_000_000L);

    List<Call> relative =
        read("     0.000000 ioctl(15, KVM_RUN, 0) = 0\n     0.000250 ioctl(15, KVM_RUN, 0) = 0\n")
            .calls();
    assertThat(relative.get(1).enterNs() - relative.get(0).enterNs()).isEqualTo(250_000L);
  }

  @Test
  void the_duration_tells_when_a_call_returned() {
    Call call = read("1700000000.000000 ioctl(15, KVM_RUN, 0) = 0 <0.000015>\n").last();

    assertThat(call.exitNs() - call.enterNs()).isEqualTo(15_000);
  }

  @Test
  void a_call_that_another_thread_came_into_is_joined_and_numbered_when_it_began() {
    Read read =
        read(
            """
            10 1.000000 ioctl(15<anon_inode:kvm-vcpu:0>, KVM_RUN, 0 <unfinished ...>
            11 1.000010 ioctl(16<anon_inode:kvm-vcpu:1>, KVM_GET_REGS <unfinished ...>
            11 1.000020 <... ioctl resumed>, {rax=0x1, ..., rip=0xfff0, rflags=0x2}) = 0
            10 1.000030 <... ioctl resumed>) = -1 EINTR (Interrupted system call)
            """);

    assertThat(read.calls()).extracting(Call::obj).containsExactly("vm1/vcpu1", "vm1/vcpu0");
    assertThat(read.calls()).extracting(Call::seq).containsExactly(1L, 0L);
    assertThat(read.last().errno()).isEqualTo(4);
    assertThat(read.last().where()).isEqualTo("vmm.strace:1");
    assertThat(read.leftOut().isNothing()).isTrue();
  }

  @Test
  void a_call_that_never_returns_is_counted_and_not_made_up() {
    Read read =
        read(
            CREATED
                + "10 ioctl(9, KVM_RUN, 0 <unfinished ...>\n"
                + "11 ioctl(9, KVM_RUN, 0) = ?\n"
                + "11 ioctl(9, KVM_SET_REGS, 0x7ffc) = 0 (INJECTED)\n");

    assertThat(read.calls()).hasSize(2);
    assertThat(read.leftOut().unreturned()).isEqualTo(3);
  }

  @Test
  void an_address_is_an_unknown_payload_and_not_an_empty_one() {
    Call call = one("ioctl(9, KVM_SET_VCPU_EVENTS, 0x7ffd0010) = 0");

    assertThat(call.payload().seen()).isFalse();
    assertThat(call.in().isEmpty()).isTrue();
  }

  @Test
  void what_the_program_says_is_kept_and_costs_no_line() {
    Read read =
        read(
            CREATED
                + "ioctl(9, KVM_SET_MSRS, 0x7f1a) = 0\n"
                + "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x16d\n"
                + "12 1795798596.270514 write(2</dev/pts/0>, \"failed to set MSR 0x48\\\"\"..., 39)"
                + " = 39\n"
                + "write(1, \"not on the error output\", 23) = 23\n"
                + "VM_RUN, 0) = 0\n");

    assertThat(read.observations())
        .filteredOn(Observation.Mark.class::isInstance)
        .extracting(o -> ((Observation.Mark) o).text(), Observation::where)
        .containsExactly(
            tuple("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x16d", "vmm.strace:4"),
            tuple("failed to set MSR 0x48\"", "vmm.strace:5"));
    assertThat(read.leftOut().damaged()).isEqualTo(1);
    assertThat(read.calls()).extracting(Call::seq).containsExactly(0L, 1L, 2L);
  }

  @Test
  void registers_that_are_printed_whole_are_a_whole_payload() {
    Call call =
        one(
            "ioctl(9, KVM_SET_REGS, {rax=0x1, rbx=0, rcx=0, rdx=0xa0671, rsi=0, rdi=0, rsp=0,"
                + " rbp=0, r8=0, r9=0, r10=0, r11=0, r12=0, r13=0, r14=0, r15=0xffffffffffffffff,"
                + " rip=0xfff0, rflags=0x2}) = 0");

    assertThat(call.payload().seen()).isTrue();
    KvmRegs regs = new KvmRegs(call.in());
    assertThat(regs.rip()).isEqualTo(0xfff0);
    assertThat(regs.r15()).isEqualTo(-1L);
  }

  @Test
  void registers_that_are_abbreviated_show_what_they_show() {
    Call call =
        one(
            "ioctl(9, KVM_GET_REGS, {rax=0x5, ..., rsp=0x10, rbp=0, ..., rip=0x7, rflags=0x2}) ="
                + " 0");

    assertThat(call.payload().holding().fields())
        .isEqualTo(KvmRegs.LAYOUT.of("rax", "rsp", "rbp", "rip", "rflags"));
    assertThat(new KvmRegs(call.out()).rip()).isEqualTo(7);
  }

  @Test
  void special_registers_never_show_unusable() {
    Call call =
        one(
            "ioctl(9, KVM_SET_SREGS, {cs={base=0xffff0000, limit=65535, selector=61440, type=11,"
                + " present=1, dpl=0, db=0, s=1, l=0, g=0, avl=0}, gdt={base=0, limit=65535},"
                + " cr0=1610612752, efer=0, apic_base=0xfee00900, interrupt_bitmap=[0, 0x10, 0,"
                + " 0]}) = 0");

    KvmSregs sregs = new KvmSregs(call.in());
    assertThat(sregs.segment(SegmentRegister.CS).selector()).isEqualTo(0xf000);
    assertThat(sregs.interruptBitmap(1)).isEqualTo(0x10);
    assertThat(call.payload().holding().fields())
        .isNotNull()
        .matches(f -> !f.has(KvmSregs.LAYOUT.indexOf("cs.unusable")))
        .matches(f -> f.has(KvmSregs.LAYOUT.indexOf("interrupt_bitmap[1]")));
  }

  @Test
  void a_cpuid_table_is_whole_or_unknown() {
    String entry =
        "{function=0x1, index=0, flags=KVM_CPUID_FLAG_SIGNIFCANT_INDEX, eax=0x306c3, ebx=0x1,"
            + " ecx=0x2, edx=0x3}";

    Call whole = one("ioctl(9, KVM_SET_CPUID2, {nent=1, entries=[" + entry + "]}) = 0");
    assertThat(new KvmCpuid2(whole.in()).entry(0))
        .isEqualTo(new CpuidEntry(1, 0, 1, 0x306c3, 1, 2, 3));

    Call cut = one("ioctl(9, KVM_SET_CPUID2, {nent=2, entries=[" + entry + ", ...]}) = 0");
    assertThat(cut.payload().seen()).isFalse();
    assertThat(one("ioctl(9, KVM_SET_CPUID2, {nent=99, entries=[...]}) = 0").payload().seen())
        .isFalse();
  }

  @Test
  void a_memory_region_is_read_with_its_flags() {
    Call call =
        one(
            "ioctl(8, KVM_SET_USER_MEMORY_REGION, {slot=1,"
                + " flags=KVM_MEM_LOG_DIRTY_PAGES|KVM_MEM_READONLY, guest_phys_addr=0xfffc0000,"
                + " memory_size=262144, userspace_addr=0x7f7680600000}) = 0");

    KvmUserspaceMemoryRegion region = new KvmUserspaceMemoryRegion(call.in());
    assertThat(region.flags()).isEqualTo(3);
    assertThat(region.memorySize()).isEqualTo(0x40000);
  }

  @Test
  void the_exit_reason_behind_the_result_is_all_that_is_known_of_kvm_run() {
    Call call = one("ioctl(9, KVM_RUN, 0) = 0 (KVM_EXIT_SHUTDOWN)");

    assertThat(call.payload().holding().page()).isEqualTo(PageShown.EXIT_REASON);
    assertThat(new KvmRun(call.runOut()).exit()).isEqualTo(KvmExit.KVM_EXIT_SHUTDOWN);
    assertThat(one("ioctl(9, KVM_RUN, 0) = 0 (KVM_EXIT_???)").payload().holding().page())
        .isEqualTo(PageShown.NOTHING);
  }

  @ParameterizedTest
  @CsvSource({
    "'KVM_RUN',KVM_RUN",
    "'0xae80',KVM_RUN",
    "'0xae80 /* KVM_RUN */',KVM_RUN",
    "'_IOC(_IOC_NONE, 0xae, 0x80, 0)',KVM_RUN",
    "'_IOC(_IOC_WRITE, 0xae, 0x8a, 0x4090)',unknown",
    "'KVM_PPC_ALLOCATE_HTAB or KVM_SET_XCRS',KVM_SET_XCRS",
    "'KVM_OF_THE_FUTURE',KVM_OF_THE_FUTURE",
  })
  void requests_are_told_by_name_or_number(String request, String name) {
    Call call = one("ioctl(9, " + request + ", 0) = 0");

    if (name.equals("unknown")) {
      assertThat(call.req() >>> 8 & 0xff).isEqualTo(0xae);
    } else {
      assertThat(call.name()).isEqualTo(name);
    }
  }

  @Test
  void ioctls_on_other_things_and_other_system_calls_are_passed_over() {
    Read read =
        read(
            CREATED
                + """
                ioctl(0, TCGETS, {B38400 opost isig icanon echo ...}) = 0
                read(7, "ioctl(9, KVM_RUN, 0) = 0\\n", 64) = 25
                --- SIGALRM {si_signo=SIGALRM, si_code=SI_KERNEL} ---
                strace: Process 99 attached
                [ Process PID=99 runs in 32 bit mode. ]
                +++ exited with 0 +++
                """);

    assertThat(read.calls()).hasSize(2);
    assertThat(read.leftOut().isNothing()).isTrue();
  }

  @Test
  void a_closed_descriptor_ends_what_it_stood_for() {
    Read read = read(CREATED + "close(9<anon_inode:kvm-vcpu:0>) = 0\nclose(4) = 0\n");

    assertThat(read.observations().getLast())
        .isInstanceOfSatisfying(
            Closed.class, closed -> assertThat(closed.obj()).isEqualTo("vm1/vcpu0"));
    assertThat(read.observations()).hasSize(3);
  }

  @Test
  void a_forked_process_has_descriptors_of_its_own_and_a_thread_has_not() {
    Read read =
        read(
            """
            10 ioctl(3, KVM_CREATE_VM, 0) = 8
            10 fork() = 20
            10 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 11
            20 ioctl(3, KVM_CREATE_VM, 0) = 8
            20 ioctl(8, KVM_CREATE_VCPU, 0) = 9
            10 ioctl(8, KVM_CREATE_VCPU, 0) = 9
            11 ioctl(9, KVM_RUN, 0) = 0
            20 ioctl(9, KVM_RUN, 0) = 0
            """);

    assertThat(read.calls().subList(4, 6))
        .extracting(Call::obj)
        .containsExactly("vm1/vcpu0", "vm2/vcpu0");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "ioctl(9, KVM_RUN",
        "ioctl(9, KVM_SET_REGS, {rax=0x1, rbx=",
        "ioctl(, KVM_RUN, 0) = 0",
        "ioctl(9, KVM_RUN, 0)",
        "ioctl(9, KVM_RUN, 0) = what",
        "\u0000\u0001garbage",
        "<... nothing",
      })
  void a_damaged_line_costs_that_line(String line) {
    Read read = read(CREATED + line + "\nioctl(9, KVM_RUN, 0) = 0\n");

    assertThat(read.calls()).hasSize(3);
    assertThat(read.leftOut().damaged()).isEqualTo(1);
    assertThat(read.leftOut().places().getFirst()).startsWith("vmm.strace:3 ");
  }

  @Test
  void a_struct_of_no_known_shape_is_an_unknown_payload() {
    Call call = one("ioctl(9, KVM_SET_REGS, {rax=0x1, [[1]]}) = 0");

    assertThat(call.name()).isEqualTo("KVM_SET_REGS");
    assertThat(call.payload().seen()).isFalse();
  }

  @Test
  void a_trace_without_kvm_is_told_so() {
    assertThatThrownBy(() -> read("openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY) = 3\n"))
        .isInstanceOf(FormatException.class)
        .hasMessageContaining(
            "vmm.strace: expected KVM ioctls as strace prints them, found none in 1")
        .hasMessageContaining("strace -f -ttt -e trace=ioctl");
  }

  @Test
  void a_very_long_line_costs_itself() {
    Read read =
        read(
            CREATED
                + "write(1, \""
                + "x".repeat(StraceReader.MAX_LINE_SIZE)
                + "\", 1) = 1\n"
                + "ioctl(9, KVM_RUN, 0) = 0\n");

    assertThat(read.calls()).hasSize(3);
    assertThat(read.leftOut().damaged()).isEqualTo(1);
  }
}
