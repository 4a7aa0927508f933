package dev.faultline.migration;

import dev.faultline.kvm.Ioctl;
import java.util.List;

/**
 * How a VMM migrates a vCPU: what it reads on the source and what it writes on the destination.
 *
 * <p><i>Order</i>: steps are carried out as listed. A call that the plan does not list is not made;
 * what the destination's vCPU is created and configured with ({@code KVM_CREATE_VCPU},
 * capabilities, {@code KVM_X86_SETUP_MCE}) is as on the source.
 *
 * @param name short, as a user types it
 * @param about what it is, in a sentence
 * @param project whose code it was read from
 * @param version the state of that code
 * @param saves what is read, in order
 * @param restores what is written, in order
 */
public record Plan(
    String name,
    String about,
    String project,
    String version,
    List<SaveStep> saves,
    List<RestoreStep> restores) {

  private static final List<Ioctl> OF_VM =
      List.of(Ioctl.SET_CLOCK, Ioctl.SET_IRQCHIP, Ioctl.SET_PIT2);

  public Plan {
    saves = List.copyOf(saves);
    restores = List.copyOf(restores);
  }

  /** Whether some step writes with this call. */
  public boolean writes(Ioctl ioctl) {
    return restores.stream().anyMatch(step -> step.ioctl() == ioctl);
  }

  /** Whether some step reads with this call. */
  public boolean reads(Ioctl ioctl) {
    return saves.stream().anyMatch(step -> step.ioctl() == ioctl);
  }

  /** The calls that are made once for the VM, however many vCPUs it has, in order. */
  public List<Ioctl> vmWrites() {
    return restores.stream().map(RestoreStep::ioctl).filter(OF_VM::contains).distinct().toList();
  }

  /** The position of the first step that writes with this call, or a negative number. */
  public int firstWrite(Ioctl ioctl) {
    for (int i = 0; i < restores.size(); i++) {
      if (restores.get(i).ioctl() == ioctl) {
        return i;
      }
    }
    return -1;
  }
}
