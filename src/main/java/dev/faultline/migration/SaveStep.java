package dev.faultline.migration;

import dev.faultline.kvm.Ioctl;

/**
 * A call by which a VMM reads a part of the source's state.
 *
 * @param ioctl the call; {@code KVM_RUN} stands for one with immediate_exit, which completes an
 *     access that the VMM has carried out
 * @param msrs which MSRs, if it reads MSRs
 * @param source where the step was read: file and function
 * @param because why it stands where it stands, or empty
 */
public record SaveStep(Ioctl ioctl, MsrSet msrs, String source, String because) {}
