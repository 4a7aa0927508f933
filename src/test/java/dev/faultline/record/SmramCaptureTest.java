package dev.faultline.record;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmRun;
import dev.faultline.trace.Observation;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The save map that RSM will load, as far as it can be shown without a processor in SMM: the
 * recorder reads this process for a VMM, whose page says SMM and whose probe was answered.
 */
final class SmramCaptureTest {
  private static final int SMBASE = 0x9e;
  private static final int FD = 1000;
  private static final long SMBASE_VALUE = 0xa0000;
  private static final int MAP_AT = 0xfe00;
  private static final int SLOT_SIZE = 0x20000;
  private static final int FLAGS_AT = 14;

  @TempDir private static Path folder;

  /** What comes of a KVM_RUN that begins after a probe was answered. */
  private static String recorded(boolean smm, boolean answered, int space) {
    ByteArrayOutputStream lines = new ByteArrayOutputStream();
    int pid = (int) ProcessHandle.current().pid();
    try (Arena arena = Arena.ofConfined()) {
      LibC libc = new LibC(arena);
      LineQueue queue =
          LineQueue.to(
              List.of((piece, _) -> {
                lines.writeBytes(piece);
                return null;
              }));
      CallRecorder calls = new CallRecorder(new TraceeMemory(libc, arena), libc, queue, null);
      MemorySegment slot = arena.allocate(SLOT_SIZE);
      for (int i = 0; i < SLOT_SIZE; i++) {
        slot.set(ValueLayout.JAVA_BYTE, i, (byte) (i % 251));
      }
      MemorySegment page = arena.allocate(KvmRun.SIZE);
      page.set(ValueLayout.JAVA_SHORT, FLAGS_AT, (short) (smm ? 1 : 0));
      TracedProcess process = new TracedProcess(pid);
      KvmObject vm = new KvmObject(FdKind.VM, "vm1", null);
      // The guest's own memory has other bytes at the same place, which SMM does not see.
      vm.slots().put(0, new KvmObject.Slot(SMBASE_VALUE, SLOT_SIZE, page.address()));
      vm.slots().put(space << 16 | 1, new KvmObject.Slot(SMBASE_VALUE, SLOT_SIZE, slot.address()));
      if (space == 0) {
        vm.slots().remove(0);
      }
      KvmObject vcpu = new KvmObject(FdKind.VCPU, "vm1/vcpu0", vm);
      process.descriptors().put(FD, vcpu);
      process.pages().put("vm1/vcpu0", page.address());
      Tracee thread = new Tracee(pid, process);
      probed(calls, thread, arena, answered);
      call(thread, Ioctl.RUN, 0);
      calls.entered(thread);
      assertThat(calls.returned(thread, 0)).isNull();
      calls.wentOn(thread);
      queue.close();
    }
    return lines.toString(StandardCharsets.US_ASCII);
  }

  private static void call(Tracee thread, Ioctl ioctl, long argument) {
    thread.args[0] = FD;
    thread.args[1] = Integer.toUnsignedLong(ioctl.number());
    thread.args[2] = argument;
  }

  /** The KVM_GET_MSRS that the recorder sent the thread into. */
  private static void probed(CallRecorder calls, Tracee thread, Arena arena, boolean answered) {
    MemorySegment msrs = arena.allocate(24, Long.BYTES);
    msrs.set(ValueLayout.JAVA_INT, 0, 1);
    msrs.set(ValueLayout.JAVA_INT, 8, SMBASE);
    call(thread, Ioctl.GET_MSRS, msrs.address());
    thread.probe = true;
    calls.entered(thread);
    msrs.set(ValueLayout.JAVA_LONG, 16, answered ? SMBASE_VALUE : 0);
    assertThat(calls.returned(thread, answered ? 1 : 0)).isNull();
    thread.probe = false;
  }

  private static String map() {
    byte[] map = new byte[512];
    for (int i = 0; i < map.length; i++) {
      map[i] = (byte) ((MAP_AT + i) % 251);
    }
    return Base64.getEncoder().encodeToString(map);
  }

  @Test
  void the_map_is_read_where_the_slots_of_smm_have_it_and_stands_before_the_run() {
    for (int space : new int[] {0, 1}) {
      String lines = recorded(true, true, space);

      assertThat(lines)
          .contains("\"ev\":\"smram\"", "\"smbase\":\"0xa0000\"", "\"map\":\"" + map() + "\"");
      assertThat(lines.indexOf("\"ev\":\"smram\"")).isLessThan(lines.indexOf("\"KVM_RUN\""));
    }
  }

  @Test
  void outside_smm_or_where_kvm_does_not_tell_smbase_there_is_none() {
    assertThat(recorded(false, true, 1)).contains("\"KVM_RUN\"").doesNotContain("smram");
    assertThat(recorded(true, false, 1)).contains("\"KVM_RUN\"").doesNotContain("smram");
  }

  /** A second thread of the VMM pretends in the page that the vCPU is in SMM. */
  @Test
  void a_vcpu_whose_page_says_smm_is_asked_for_smbase_and_its_answer_is_followed() {
    Path vmm = Program.vmm(folder);
    Path recording = folder.resolve("smm.jsonl.gz");
    Path told = folder.resolve("smm");

    assertThat(
            Program.ended(
                Program.start(
                    Program.recorder("--probe", "-o", recording, "--", vmm, "smm"), told)))
        .isEqualTo(5);

    assertThat(Program.text(told)).isEqualTo("seen 1\n");
    List<Observation> all = Program.read(recording);
    List<Observation.Call> asked =
        all.stream()
            .filter(o -> o instanceof Observation.Call call && call.name().equals("KVM_GET_MSRS"))
            .map(Observation.Call.class::cast)
            .toList();
    assertThat(asked).isNotEmpty().allSatisfy(call -> assertThat(msr(call.in())).isEqualTo(SMBASE));
    if (asked.stream().noneMatch(call -> call.ret() == 1)) {
      System.err.println(
          "NOT SHOWN: this host's KVM has no SMM and does not tell IA32_SMBASE; the map of a live"
              + " vCPU was not read");
      return;
    }
    assertThat(all)
        .filteredOn(Observation.SmramCaptured.class::isInstance)
        .isNotEmpty()
        .allSatisfy(
            o -> assertThat(((Observation.SmramCaptured) o).map().toBase64()).isEqualTo(map()));
  }

  private static int msr(Bytes payload) {
    return (int) payload.u32(8);
  }
}
