/**
 * Intel VMX as KVM nests it: the fields of vmcs12, controls, exit reasons, and the checks of VM
 * entry.
 */
@NullMarked
package dev.faultline.vmx;

import org.jspecify.annotations.NullMarked;
