package dev.faultline.reorder;

import dev.faultline.vcpu.Outcome;

/**
 * A call that does not answer as well as it does in other orders.
 *
 * @param call the call
 * @param answer what it answers
 */
public record Deviation(WindowCall call, Outcome answer) {}
