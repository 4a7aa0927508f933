package dev.faultline.audit;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.VmCommand;
import org.jspecify.annotations.Nullable;

/**
 * One ioctl as the rules see it.
 *
 * @param lane the vCPU, or the VM
 * @param command what was asked of a vCPU; null for a VM's ioctl
 * @param vmCommand what was asked of a VM; null for a vCPU's ioctl
 * @param reply what KVM wrote
 * @param exit why KVM_RUN came back; null if it failed, or if nobody knows
 */
record Call(
    int moment,
    long seq,
    long ns,
    String where,
    String lane,
    Ioctl ioctl,
    int ret,
    int errno,
    @Nullable VcpuCommand command,
    @Nullable VmCommand vmCommand,
    Bytes reply,
    @Nullable KvmExit exit) {

  static Call of(int moment, Recorded.VcpuCall fact) {
    VcpuCommand command = fact.command();
    KvmExit exit = null;
    if (fact.ret() == 0 && fact.run() != null) {
      exit = fact.run().result().exit();
    } else if (fact.ret() == 0 && command instanceof VcpuCommand.Unseen unseen) {
      exit = unseen.exit();
    }
    return new Call(
        moment,
        fact.seq(),
        fact.ns(),
        fact.where(),
        fact.vcpu(),
        VcpuModel.ioctl(command),
        fact.ret(),
        fact.errno(),
        command,
        null,
        fact.replyShown() == null ? fact.reply() : Bytes.EMPTY,
        exit);
  }

  static Call of(int moment, Recorded.VmCall fact, Ioctl ioctl) {
    return new Call(
        moment,
        fact.seq(),
        fact.ns(),
        fact.where(),
        fact.vm(),
        ioctl,
        fact.ret(),
        fact.errno(),
        null,
        fact.command(),
        fact.reply(),
        null);
  }

  boolean done() {
    return ret >= 0;
  }

  boolean failed(Errno with) {
    return ret < 0 && errno == with.number();
  }

  /** Whether the payload of what userspace wrote was not recorded. */
  boolean unseen() {
    // KVM cannot have accepted what it could not read: the recording lacks it.
    boolean lacking =
        done()
            && (command instanceof VcpuCommand.BadPointer
                || vmCommand instanceof VmCommand.BadPointer);
    return lacking
        || command instanceof VcpuCommand.Unseen
        || vmCommand instanceof VmCommand.Unseen;
  }

  /** The struct of an ioctl that the model does not know; empty if it was not recorded. */
  Bytes payload() {
    if (command instanceof VcpuCommand.Other other) {
      return other.payload();
    }
    if (vmCommand instanceof VmCommand.Other other) {
      return other.payload();
    }
    return Bytes.EMPTY;
  }

  /** The argument, where it is a number. */
  long arg() {
    if (command instanceof VcpuCommand.Other other) {
      return other.arg();
    }
    return vmCommand instanceof VmCommand.Other other ? other.arg() : 0;
  }

  String name() {
    return ioctl.uapiName();
  }

  /** What it returned, in words. */
  String result() {
    if (ret >= 0) {
      return Integer.toString(ret);
    }
    Errno known = Errno.of(errno);
    return known == null ? "errno " + errno : known.name();
  }

  Evidence as(String note) {
    return new Evidence(moment, seq, lane, name(), where, note);
  }
}
