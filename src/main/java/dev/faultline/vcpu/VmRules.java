package dev.faultline.vcpu;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Ioctls of a VM: those that its vCPUs' answers depend on, and the common case of the others.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_arch_vm_ioctl(), kvm_vm_ioctl_enable_cap()};
 * {@code virt/kvm/kvm_main.c, kvm_vm_ioctl_create_vcpu()}, v6.1.
 */
public final class VmRules {
  private static final int MAX_VCPU_IDS = 4096;
  private static final int SLOT_BITS = 16;
  private static final int SLOT_MASK = 0xffff;
  private static final int MAX_SLOTS = 32_764;
  private static final int ADDRESS_SPACES = 2;
  private static final long PAGE_MASK = 0xfff;
  private static final int REGION_FLAGS =
      KvmUserspaceMemoryRegion.KVM_MEM_LOG_DIRTY_PAGES | KvmUserspaceMemoryRegion.KVM_MEM_READONLY;
  private static final String VCPUS = "which vCPUs exist";

  private VmRules() {}

  /** What a VM ioctl answers, and the VM after it. */
  public record Result(Outcome outcome, Vm after) {}

  /** Decides the call on this VM. */
  public static Result decide(Vm vm, VmCommand command) {
    if (vm.dead().isYes()) {
      return new Result(new Outcome.Refused(Errno.EIO, CallCheck.VM_DEAD), vm);
    }
    return switch (command) {
      case VmCommand.CreateVcpu c -> createVcpu(vm, c.id());
      case VmCommand.CreateIrqchip _ -> createIrqchip(vm);
      case VmCommand.SetBootCpuId c -> setBootCpu(vm, c.id());
      case VmCommand.EnableCap c -> enableCap(vm, c);
      case VmCommand.SetMemoryRegion c -> setRegion(vm, c.region());
      case VmCommand.BadPointer _ -> refused(vm, Errno.EFAULT, CallCheck.ARGUMENT_UNREADABLE);
      case VmCommand.Unseen u ->
          new Result(
              new Outcome.Undecided("a payload that was not recorded"), unseen(vm, u.ioctl()));
      case VmCommand.Other o -> other(vm, o);
    };
  }

  /**
   * The VM after a call whose recorded result contradicts the model: nobody knows whether it was
   * carried out.
   */
  public static Vm doubted(Vm vm, VmCommand command) {
    Vm.Settings settings = vm.settings();
    return switch (command) {
      case VmCommand.CreateVcpu c ->
          vm.vcpuIds().contains(c.id()) ? vm : vm.withSettings(settings.withVcpusUncertain());
      case VmCommand.CreateIrqchip _ -> vm.withIrqchip(Vm.Irqchip.UNKNOWN);
      case VmCommand.SetBootCpuId _ ->
          vm.withSettings(settings.withBootCpuId(Vm.Settings.UNKNOWN_ID));
      case VmCommand.EnableCap c ->
          doubtedCap(vm, KvmCap.of(Integer.toUnsignedLong(c.cap().cap())));
      case VmCommand.SetMemoryRegion _ -> vm.withSlots(null);
      case VmCommand.Unseen u -> unseen(vm, u.ioctl());
      case VmCommand.BadPointer _, VmCommand.Other _ -> vm;
    };
  }

  /** The VM after a call that nobody knows the payload of. */
  private static Vm unseen(Vm vm, Ioctl ioctl) {
    return switch (ioctl) {
      case ENABLE_CAP -> {
        Vm.Settings s = vm.settings();
        Vm.Irqchip chip = vm.irqchip() == Vm.Irqchip.NONE ? Vm.Irqchip.UNKNOWN : vm.irqchip();
        yield vm.withIrqchip(chip)
            .withSettings(
                s.withTripleFaultEvent(Answer.CANNOT_TELL)
                    .withExceptionPayload(Answer.CANNOT_TELL)
                    .withX2apicApi(Answer.CANNOT_TELL)
                    .withMaxVcpuId(Vm.Settings.UNKNOWN_LIMIT));
      }
      case SET_USER_MEMORY_REGION, SET_USER_MEMORY_REGION2 -> vm.withSlots(null);
      default -> vm;
    };
  }

  private static Vm doubtedCap(Vm vm, @Nullable KvmCap cap) {
    if (cap == null) {
      return vm;
    }
    Vm.Settings settings = vm.settings();
    return switch (cap) {
      case KVM_CAP_X86_TRIPLE_FAULT_EVENT ->
          vm.withSettings(settings.withTripleFaultEvent(Answer.CANNOT_TELL));
      case KVM_CAP_EXCEPTION_PAYLOAD ->
          vm.withSettings(settings.withExceptionPayload(Answer.CANNOT_TELL));
      case KVM_CAP_X2APIC_API -> vm.withSettings(settings.withX2apicApi(Answer.CANNOT_TELL));
      case KVM_CAP_MAX_VCPU_ID ->
          vm.withSettings(settings.withMaxVcpuId(Vm.Settings.UNKNOWN_LIMIT));
      case KVM_CAP_SPLIT_IRQCHIP -> vm.withIrqchip(Vm.Irqchip.UNKNOWN);
      default -> vm;
    };
  }

  private static Vm withVcpu(Vm vm, int id) {
    List<Integer> ids = new ArrayList<>(vm.vcpuIds());
    ids.add(id);
    return vm.withVcpuIds(List.copyOf(ids));
  }

  /**
   * A slot that KVM certainly takes. What it refuses hangs on the mapping behind it, too, so of
   * others nobody tells.
   *
   * <p><em>Source:</em> {@code virt/kvm/kvm_main.c, __kvm_set_memory_region()}, v6.1.
   */
  private static Result setRegion(Vm vm, KvmUserspaceMemoryRegion r) {
    Vm after = withSlot(vm, r);
    boolean sound =
        (r.flags() & ~REGION_FLAGS) == 0
            && ((r.memorySize() | r.guestPhysAddr() | r.userspaceAddr()) & PAGE_MASK) == 0
            && r.addressSpace() < ADDRESS_SPACES
            && (r.slot() & SLOT_MASK) < MAX_SLOTS
            && Long.compareUnsigned(r.guestPhysAddr() + r.memorySize(), r.guestPhysAddr()) >= 0
            && (r.addressSpace() != 0 || fits(vm.slots(), r));
    return sound
        ? new Result(Outcome.ZERO, after)
        : new Result(new Outcome.Undecided("whether KVM takes this memory slot"), after);
  }

  /** Whether the slot is new and free of others, or is changed without another size. */
  private static boolean fits(@Nullable List<Vm.Slot> slots, KvmUserspaceMemoryRegion r) {
    if (slots == null) {
      return false;
    }
    boolean deletes = r.memorySize() == 0;
    boolean known = false;
    for (Vm.Slot slot : slots) {
      if (slot.id() == r.slot()) {
        known = true;
        if (!deletes && slot.size() != r.memorySize()) {
          return false;
        }
      } else if (!deletes
          && (slot.holds(r.guestPhysAddr())
              || Long.compareUnsigned(slot.base() - r.guestPhysAddr(), r.memorySize()) < 0)) {
        return false;
      }
    }
    return known || !deletes;
  }

  /** The upper half of the slot number is the address space; only the ordinary one is kept. */
  private static Vm withSlot(Vm vm, KvmUserspaceMemoryRegion region) {
    List<Vm.Slot> before = vm.slots();
    int id = region.slot();
    if (before == null || id >>> SLOT_BITS != 0) {
      return vm;
    }
    List<Vm.Slot> slots = new ArrayList<>(before);
    slots.removeIf(slot -> slot.id() == id);
    if (region.memorySize() != 0) {
      slots.add(new Vm.Slot(id, region.guestPhysAddr(), region.memorySize()));
    }
    return vm.withSlots(List.copyOf(slots));
  }

  private static Result refused(Vm vm, Errno errno, CallCheck check) {
    return new Result(new Outcome.Refused(errno, check), vm);
  }

  private static Result createVcpu(Vm vm, int id) {
    Vm.Settings settings = vm.settings();
    int limit = settings.maxVcpuId() >= 0 ? settings.maxVcpuId() : MAX_VCPU_IDS;
    if (id < 0 || id >= limit) {
      return refused(vm, Errno.EINVAL, CallCheck.VCPU_ID);
    }
    if (settings.maxVcpuId() == Vm.Settings.UNKNOWN_LIMIT) {
      return new Result(new Outcome.Undecided("the limit of identifiers"), withVcpu(vm, id));
    }
    if (vm.vcpuIds().contains(id)) {
      return refused(vm, Errno.EEXIST, CallCheck.VCPU_EXISTS);
    }
    return settings.vcpusCertain()
        ? new Result(new Outcome.Succeeds(), withVcpu(vm, id))
        : new Result(new Outcome.Undecided(VCPUS), withVcpu(vm, id));
  }

  private static Result createIrqchip(Vm vm) {
    return switch (vm.irqchip()) {
      case KERNEL, SPLIT -> refused(vm, Errno.EEXIST, CallCheck.IRQCHIP_EXISTS);
      case NONE -> {
        if (!vm.vcpuIds().isEmpty()) {
          yield refused(vm, Errno.EINVAL, CallCheck.IRQCHIP_AFTER_VCPU);
        }
        yield vm.settings().vcpusCertain()
            ? new Result(Outcome.ZERO, vm.withIrqchip(Vm.Irqchip.KERNEL))
            : new Result(new Outcome.Undecided(VCPUS), vm.withIrqchip(Vm.Irqchip.UNKNOWN));
      }
      case UNKNOWN ->
          new Result(
              new Outcome.Undecided("whether an interrupt controller exists"),
              vm.withIrqchip(Vm.Irqchip.KERNEL));
    };
  }

  private static Result setBootCpu(Vm vm, int id) {
    if (!vm.vcpuIds().isEmpty()) {
      return refused(vm, Errno.EBUSY, CallCheck.BOOT_CPU_AFTER_VCPU);
    }
    Vm chosen = vm.withSettings(vm.settings().withBootCpuId(id));
    return vm.settings().vcpusCertain()
        ? new Result(Outcome.ZERO, chosen)
        : new Result(new Outcome.Undecided(VCPUS), chosen);
  }

  private static Result enableCap(Vm vm, VmCommand.EnableCap c) {
    if (c.cap().flags() != 0) {
      return refused(vm, Errno.EINVAL, CallCheck.ENABLE_CAP_FLAGS);
    }
    KvmCap cap = KvmCap.of(Integer.toUnsignedLong(c.cap().cap()));
    if (cap == null) {
      return new Result(new Outcome.Undecided("a capability unknown to the model"), vm);
    }
    return switch (cap) {
      case KVM_CAP_X86_TRIPLE_FAULT_EVENT ->
          vm.kernel().version().tripleFaultEvent()
              ? new Result(Outcome.ZERO, applyCap(vm, c))
              : refused(vm, Errno.EINVAL, CallCheck.ENABLE_CAP_UNKNOWN);
      case KVM_CAP_EXCEPTION_PAYLOAD -> new Result(Outcome.ZERO, applyCap(vm, c));
      case KVM_CAP_MAX_VCPU_ID -> maxVcpuId(vm, c);
      case KVM_CAP_SPLIT_IRQCHIP ->
          vm.irqchip() == Vm.Irqchip.NONE && vm.settings().vcpusCertain()
              ? vm.vcpuIds().isEmpty()
                  ? new Result(Outcome.ZERO, applyCap(vm, c))
                  : refused(vm, Errno.EEXIST, CallCheck.IRQCHIP_AFTER_VCPU)
              : new Result(new Outcome.Undecided("the interrupt controller"), applyCap(vm, c));
      default -> listed(vm, c, cap);
    };
  }

  private static Result maxVcpuId(Vm vm, VmCommand.EnableCap c) {
    long limit = c.cap().args(0);
    boolean taken = vm.settings().maxVcpuId() >= 0 && vm.settings().maxVcpuId() != limit;
    if (vm.settings().maxVcpuId() == Vm.Settings.UNKNOWN_LIMIT) {
      return new Result(new Outcome.Undecided("the limit of identifiers"), vm);
    }
    if (Long.compareUnsigned(limit, MAX_VCPU_IDS) > 0 || taken) {
      return refused(vm, Errno.EINVAL, CallCheck.VCPU_ID);
    }
    return new Result(Outcome.ZERO, applyCap(vm, c));
  }

  /** A capability that the host was asked for and has can be enabled; of others nobody knows. */
  private static Result listed(Vm vm, VmCommand.EnableCap c, KvmCap cap) {
    MsrState extensions = vm.host().extensions();
    boolean asked = extensions.knows(cap.number());
    if (asked && extensions.value(cap.number()) > 0) {
      return new Result(Outcome.ZERO, applyCap(vm, c));
    }
    return new Result(new Outcome.Undecided("whether the host has " + cap.name()), applyCap(vm, c));
  }

  private static Vm applyCap(Vm vm, VmCommand.EnableCap c) {
    KvmCap cap = KvmCap.of(Integer.toUnsignedLong(c.cap().cap()));
    if (cap == null) {
      return vm;
    }
    Vm.Settings settings = vm.settings();
    Answer on = Answer.of(c.cap().args(0) != 0);
    return switch (cap) {
      case KVM_CAP_X86_TRIPLE_FAULT_EVENT -> vm.withSettings(settings.withTripleFaultEvent(on));
      case KVM_CAP_EXCEPTION_PAYLOAD -> vm.withSettings(settings.withExceptionPayload(on));
      case KVM_CAP_X2APIC_API ->
          vm.withSettings(settings.withX2apicApi(Answer.of((c.cap().args(0) & 1) != 0)));
      case KVM_CAP_MAX_VCPU_ID -> vm.withSettings(settings.withMaxVcpuId((int) c.cap().args(0)));
      case KVM_CAP_SPLIT_IRQCHIP -> vm.withIrqchip(Vm.Irqchip.SPLIT);
      default -> vm;
    };
  }

  private static Result other(Vm vm, VmCommand.Other o) {
    boolean inKernel = vm.irqchip() == Vm.Irqchip.KERNEL;
    boolean done =
        switch (o.ioctl()) {
          case SET_TSS_ADDR,
              GET_CLOCK,
              SET_CLOCK,
              GET_DIRTY_LOG,
              CLEAR_DIRTY_LOG,
              IOEVENTFD,
              REGISTER_COALESCED_MMIO,
              UNREGISTER_COALESCED_MMIO,
              X86_SET_MSR_FILTER ->
              true;
          case SET_IDENTITY_MAP_ADDR -> vm.vcpuIds().isEmpty() && vm.settings().vcpusCertain();
          case CREATE_PIT2,
              GET_IRQCHIP,
              SET_IRQCHIP,
              GET_PIT2,
              SET_PIT2,
              IRQ_LINE,
              IRQ_LINE_STATUS ->
              inKernel;
          case IRQFD, SET_GSI_ROUTING -> vm.irqchip().lapicInKernel().isYes();
          default -> false;
        };
    return new Result(
        done ? Outcome.ZERO : new Outcome.Undecided("an ioctl that is not modelled"), vm);
  }
}
