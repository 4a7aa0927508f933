package dev.faultline.migration;

/**
 * A migration of one vCPU at one moment.
 *
 * @param moment the moment, after which the vCPU is migrated
 * @param seq the recording's number of the call that ends there
 * @param vcpu its name
 * @param call the call that ends there
 * @param outcome what becomes of it
 */
public record MomentOutcome(
    int moment, long seq, String vcpu, String call, MigrationOutcome outcome) {}
