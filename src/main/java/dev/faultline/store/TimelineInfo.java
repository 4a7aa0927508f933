package dev.faultline.store;

/**
 * What the projections tell of a timeline.
 *
 * @param firstNs the time of its first event, on the recording's clock, or -1
 * @param synthesized faults that KVM made by its own rules
 */
public record TimelineInfo(
    String name,
    long events,
    long vms,
    long vcpus,
    long firstNs,
    long lastNs,
    long synthesized,
    long divergences) {}
