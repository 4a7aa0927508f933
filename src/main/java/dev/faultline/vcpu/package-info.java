/**
 * The functional core: what a vCPU of KVM is, what each ioctl, SMI, RSM and VM-Enter does to it,
 * and what happens to a nested guest whose state is invalid at VM-Enter.
 */
@NullMarked
package dev.faultline.vcpu;

import org.jspecify.annotations.NullMarked;
