package dev.faultline.trace;

/**
 * How the events of a trace were given to the calls of a recording.
 *
 * @param trace what was read of the trace
 * @param enters markers of the recorder that a call begins
 * @param exits markers of the recorder that a call has ended
 * @param attached events given to calls
 * @param outside events in no call: of other threads, or between two calls
 * @param overwritten events thrown away because more were waiting for the end of a call than fit
 *     into memory
 * @param mismatched calls whose marker in the trace names another ioctl; they get no events
 */
public record MergeReport(
    FtraceReport trace,
    long enters,
    long exits,
    long attached,
    long outside,
    long overwritten,
    long mismatched) {}
