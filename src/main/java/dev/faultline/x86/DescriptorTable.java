package dev.faultline.x86;

/**
 * A descriptor table register, GDTR or IDTR.
 *
 * @param base linear address
 * @param limit bytes, less one; a u16
 */
public record DescriptorTable(long base, int limit) {}
