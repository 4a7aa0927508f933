package dev.faultline.kvm;

/**
 * An MSR and its value, as {@code struct kvm_msr_entry} holds them.
 *
 * @param index the MSR's number
 * @param data its value
 */
public record MsrEntry(int index, long data) {}
