package dev.faultline.vcpu;

import static dev.faultline.vcpu.NestedPhase.DEAD;
import static dev.faultline.vcpu.NestedPhase.L2;
import static dev.faultline.vcpu.NestedPhase.L2_PENDING;
import static dev.faultline.vcpu.NestedPhase.OFF;
import static dev.faultline.vcpu.NestedPhase.ROOT;
import static dev.faultline.vcpu.NestedPhase.SMM_L2;
import static dev.faultline.vcpu.NestedPhase.SMM_OFF;
import static dev.faultline.vcpu.NestedPhase.SMM_ROOT;

import org.jspecify.annotations.Nullable;

/**
 * The transition table of KVM's nested VMX and SMM machine. The state diagram is drawn from it, and
 * recordings are measured against it.
 */
public enum NestedTransition {
  VMXON(OFF, ROOT, "VMXON", "handle_vmxon()"),
  VMXOFF(ROOT, OFF, "VMXOFF", "handle_vmxoff()"),
  RESTORE_ROOT(OFF, ROOT, "KVM_SET_NESTED_STATE", "vmx_set_nested_state()"),
  RESTORE_L2(OFF, L2, "KVM_SET_NESTED_STATE, GUEST_MODE", "vmx_set_nested_state()"),
  RESTORE_PENDING(OFF, L2_PENDING, "KVM_SET_NESTED_STATE, RUN_PENDING", "vmx_set_nested_state()"),
  REPLACE_ROOT_BY_L2(ROOT, L2, "KVM_SET_NESTED_STATE, GUEST_MODE", "vmx_set_nested_state()"),
  REPLACE_ROOT_BY_PENDING(
      ROOT, L2_PENDING, "KVM_SET_NESTED_STATE, RUN_PENDING", "vmx_set_nested_state()"),
  REPLACE_L2_BY_ROOT(L2, ROOT, "KVM_SET_NESTED_STATE", "vmx_set_nested_state()"),
  REPLACE_L2_BY_PENDING(
      L2, L2_PENDING, "KVM_SET_NESTED_STATE, RUN_PENDING", "vmx_set_nested_state()"),
  REPLACE_PENDING_BY_L2(
      L2_PENDING, L2, "KVM_SET_NESTED_STATE, GUEST_MODE", "vmx_set_nested_state()"),
  REPLACE_PENDING_BY_ROOT(L2_PENDING, ROOT, "KVM_SET_NESTED_STATE", "vmx_set_nested_state()"),
  LEAVE_ROOT(ROOT, OFF, "forced leave", "vmx_leave_nested()"),
  LEAVE_L2(L2, OFF, "forced leave", "vmx_leave_nested()"),
  LEAVE_PENDING(L2_PENDING, OFF, "forced leave", "vmx_leave_nested()"),
  VM_ENTER(ROOT, L2_PENDING, "VMLAUNCH, VMRESUME", "nested_vmx_run()"),
  HARDWARE_ENTER(L2_PENDING, L2, "VM-Enter by hardware", "vmx_vcpu_run()"),
  EXIT(L2, ROOT, "VM-exit to L1", "nested_vmx_vmexit()"),
  EXIT_OF_PENDING(L2_PENDING, ROOT, "failed VM-Enter, VM-exit", "nested_vmx_vmexit()"),
  PENDING_BUG(L2_PENDING, DEAD, "invalid state, KVM_BUG_ON", "__vmx_handle_exit()"),
  SMI_OFF(OFF, SMM_OFF, "SMI", "enter_smm()"),
  SMI_ROOT(ROOT, SMM_ROOT, "SMI", "vmx_enter_smm()"),
  SMI_L2(L2, SMM_L2, "SMI", "vmx_enter_smm()"),
  RSM_OFF(SMM_OFF, OFF, "RSM", "em_rsm()"),
  RSM_ROOT(SMM_ROOT, ROOT, "RSM", "vmx_leave_smm()"),
  RSM_L2(SMM_L2, L2_PENDING, "RSM", "vmx_leave_smm()"),
  SMM_BY_IOCTL(OFF, SMM_OFF, "KVM_SET_VCPU_EVENTS, smm=1", "kvm_smm_changed()"),
  SMM_BY_IOCTL_FROM_ROOT(ROOT, SMM_OFF, "KVM_SET_VCPU_EVENTS, smm=1", "kvm_leave_nested()"),
  SMM_BY_IOCTL_FROM_L2(L2, SMM_OFF, "KVM_SET_VCPU_EVENTS, smm=1", "kvm_leave_nested()"),
  UNSMM_BY_IOCTL(SMM_OFF, OFF, "KVM_SET_VCPU_EVENTS, smm=0", "kvm_smm_changed()"),
  UNSMM_ROOT_BY_IOCTL(SMM_ROOT, OFF, "KVM_SET_VCPU_EVENTS, smm=0", "kvm_leave_nested()"),
  UNSMM_L2_BY_IOCTL(SMM_L2, OFF, "KVM_SET_VCPU_EVENTS, smm=0", "kvm_leave_nested()"),
  RESTORE_SMM_ROOT(SMM_OFF, SMM_ROOT, "KVM_SET_NESTED_STATE, SMM_VMXON", "vmx_set_nested_state()"),
  RESTORE_SMM_L2(SMM_OFF, SMM_L2, "KVM_SET_NESTED_STATE, SMM_GUEST_MODE", "vmx_set_nested_state()"),
  LEAVE_SMM_ROOT(SMM_ROOT, SMM_OFF, "forced leave", "vmx_leave_nested()"),
  LEAVE_SMM_L2(SMM_L2, SMM_OFF, "forced leave", "vmx_leave_nested()"),
  RSM_L2_BUG(SMM_L2, DEAD, "RSM into invalid L2", "__vmx_handle_exit()"),
  RSM_L2_SHUTDOWN(SMM_L2, OFF, "RSM fails, forced leave", "emulator_leave_smm()"),
  ROOT_BUG(ROOT, DEAD, "KVM_BUG_ON after a failed RSM", "__vmx_handle_exit()"),
  SMM_FROM_PENDING_BY_IOCTL(
      L2_PENDING, SMM_OFF, "KVM_SET_VCPU_EVENTS, smm=1", "kvm_leave_nested()"),
  L2_BUG(L2, DEAD, "KVM_BUG_ON", "__vmx_handle_exit()");

  private final NestedPhase from;
  private final NestedPhase to;
  private final String trigger;
  private final String kernelFunction;

  NestedTransition(NestedPhase from, NestedPhase to, String trigger, String kernelFunction) {
    this.from = from;
    this.to = to;
    this.trigger = trigger;
    this.kernelFunction = kernelFunction;
  }

  public NestedPhase from() {
    return from;
  }

  public NestedPhase to() {
    return to;
  }

  /** What makes the vCPU take it. */
  public String trigger() {
    return trigger;
  }

  /** The kernel function that carries it out. */
  public String kernelFunction() {
    return kernelFunction;
  }

  /**
   * The row of the table for a change that was observed.
   *
   * @param byIoctl whether an ioctl other than KVM_RUN made the change
   * @return the row, or null when the table has none
   */
  public static @Nullable NestedTransition of(NestedPhase from, NestedPhase to, boolean byIoctl) {
    for (NestedTransition t : values()) {
      if (t.from == from && t.to == to && t.isByIoctl() == byIoctl) {
        return t;
      }
    }
    return null;
  }

  /** Whether an ioctl other than KVM_RUN makes the vCPU take it. */
  public boolean isByIoctl() {
    return trigger.startsWith("KVM_SET") || trigger.equals("forced leave");
  }
}
