package dev.faultline.timeline;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * What was read last from each vCPU while L2 was active, so that a vCPU into which the same bytes
 * are written is known as its copy.
 */
final class SavedStates {
  /** Copies are made soon after; older ones are dropped. */
  private static final int MOST = 64;

  private final SequencedMap<String, Saved> byVcpu = new LinkedHashMap<>();

  /** The saved state of one vCPU, with what policies remembered of it when it was read last. */
  static final class Saved {
    private final Map<Ioctl, Bytes> payloads = new EnumMap<>(Ioctl.class);
    private List<Memory> memories = List.of();
    private Culprit culprit = Culprit.USER;

    Memory memory(int policy) {
      return memories.get(policy);
    }

    /** Who made the saved state invalid; userspace if it is valid. */
    Culprit culprit() {
      return culprit;
    }

    /** Whether the command writes the very bytes that were read. */
    boolean holds(VcpuCommand command, Bytes payload) {
      Ioctl read = readBy(command);
      return read != null && payload.equals(payloads.get(read));
    }

    /** Whether the command writes other bytes than were read. */
    boolean differs(VcpuCommand command, Bytes payload) {
      Ioctl read = readBy(command);
      Bytes held = read == null ? null : payloads.get(read);
      return held != null && !held.equals(payload);
    }
  }

  /** A KVM_GET_* of a vCPU in L2. */
  void read(String vcpu, Ioctl ioctl, Bytes payload, List<Memory> memories, Culprit culprit) {
    Saved saved = byVcpu.remove(vcpu);
    if (saved == null) {
      saved = new Saved();
    }
    byVcpu.putLast(vcpu, saved);
    saved.payloads.put(ioctl, payload);
    saved.memories = memories;
    saved.culprit = culprit;
    if (byVcpu.size() > MOST) {
      byVcpu.pollFirstEntry();
    }
  }

  /** The vCPU whose state the command writes into another one. */
  @Nullable Saved find(String vcpu, VcpuCommand command, Bytes payload) {
    if (readBy(command) == null) {
      return null;
    }
    for (Map.Entry<String, Saved> entry : byVcpu.reversed().entrySet()) {
      if (!entry.getKey().equals(vcpu) && entry.getValue().holds(command, payload)) {
        Saved found = entry.getValue();
        // It may be restored again: keep it longer than those that are not.
        byVcpu.putLast(entry.getKey(), found);
        return found;
      }
    }
    return null;
  }

  /** The ioctl that reads what the command writes; only those whose bytes tell vCPUs apart. */
  private static @Nullable Ioctl readBy(VcpuCommand command) {
    return switch (VcpuModel.ioctl(command)) {
      case SET_SREGS -> Ioctl.GET_SREGS;
      case SET_SREGS2 -> Ioctl.GET_SREGS2;
      case SET_NESTED_STATE -> Ioctl.GET_NESTED_STATE;
      case SET_REGS -> Ioctl.GET_REGS;
      default -> null;
    };
  }

  /** Whether a read of this kind is kept. */
  static boolean keeps(Ioctl ioctl) {
    return switch (ioctl) {
      case GET_SREGS, GET_SREGS2, GET_NESTED_STATE, GET_REGS -> true;
      default -> false;
    };
  }
}
