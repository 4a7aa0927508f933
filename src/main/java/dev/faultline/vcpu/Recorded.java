package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A recorded fact, in the model's terms: a command and what the kernel answered to it. The model
 * never overrules it.
 */
public sealed interface Recorded {
  /** The recording's own sequence number. */
  long seq();

  /** CLOCK_MONOTONIC at the call, in ns. */
  long ns();

  /** Where it stands: {@code file:line}. */
  String where();

  /**
   * An event inside a KVM_RUN whose moment is not yet assigned.
   *
   * @see Run
   */
  @FunctionalInterface
  interface Inner {
    TimelineEvent at(int moment);
  }

  /**
   * What was recorded of the inside of a KVM_RUN.
   *
   * @param result how it ended
   * @param inner VM-Enters, exits, SMIs and RSMs, in order, as far as tracepoints show them
   * @param firstExitInjected the first thing that happened at all to the nested guest is an exit to
   *     L1 with reason TRIPLE_FAULT that no hardware exit asked for
   * @param tracedExit how the tracepoint kvm_userspace_exit says the call ended: a negative errno,
   *     an exit reason, or null when there is none
   */
  record Run(
      RunResult result,
      List<Inner> inner,
      boolean firstExitInjected,
      @Nullable Integer tracedExit) {}

  /**
   * An ioctl on a vCPU.
   *
   * @param vm name of the VM
   * @param vcpu name of the vCPU, e.g. {@code vm1/vcpu0}
   * @param fd the descriptor through which it was called
   * @param command the call; its moment is the one at which the conversion was asked for
   * @param ret the return value
   * @param errno the error number, or 0
   * @param reply the payload that the kernel wrote, or {@link Bytes#EMPTY}
   * @param replyShown the fields of the reply that the input holds, or null when it holds all
   * @param failedChecks what the tracepoint kvm_nested_vmenter_failed printed during the call
   * @param run for KVM_RUN only
   * @param decided true if the call was not recorded, and KVM's rules told the answer
   */
  record VcpuCall(
      long seq,
      long ns,
      String where,
      String vm,
      String vcpu,
      int fd,
      VcpuCommand command,
      int ret,
      int errno,
      Bytes reply,
      @Nullable FieldSet replyShown,
      List<String> failedChecks,
      @Nullable Run run,
      boolean decided)
      implements Recorded {}

  /**
   * An ioctl on a VM.
   *
   * @param decided true if the call was not recorded, and KVM's rules told the answer
   */
  record VmCall(
      long seq,
      long ns,
      String where,
      String vm,
      int fd,
      VmCommand command,
      int ret,
      int errno,
      Bytes reply,
      boolean decided)
      implements Recorded {}

  /** KVM_CREATE_VM. */
  record VmCreation(long seq, long ns, String where, int ret, int errno) implements Recorded {}

  /** A question to {@code /dev/kvm} or a VM about the host, with what it teaches. */
  record HostQuestion(
      long seq, long ns, String where, String name, HostFact fact, int ret, int errno)
      implements Recorded {}

  /**
   * An ioctl whose number or payload nobody here understands. It is carried, not judged.
   *
   * @param lane what it was called on
   * @param name the ioctl's name or number
   * @param why what is not understood
   */
  record Unreadable(
      long seq, long ns, String where, String lane, String name, String why, int ret, int errno)
      implements Recorded {}

  /**
   * The save map in SMRAM of a vCPU in SMM, read by the recorder as the vCPU enters KVM_RUN.
   *
   * @param smbase where the vCPU's SMRAM begins
   * @param map {@link dev.faultline.x86.SmramMap#SIZE} bytes from {@code smbase + 0xfe00}
   */
  record SmramCapture(
      long seq, long ns, String where, String vm, String vcpu, long smbase, Bytes map)
      implements Recorded {}

  /** Something that is no ioctl: a mark of the recorded program, a mapping, a closed descriptor. */
  record Note(long seq, long ns, String where, String lane, String kind, String text, int fd)
      implements Recorded {}
}
