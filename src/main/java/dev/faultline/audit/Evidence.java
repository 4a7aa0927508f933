package dev.faultline.audit;

/**
 * A call that a finding rests on.
 *
 * @param moment its position in the timeline
 * @param seq the recording's own number of it
 * @param lane the vCPU or VM
 * @param call the ioctl's name
 * @param where file and line
 * @param note what it has to do with the finding
 */
public record Evidence(int moment, long seq, String lane, String call, String where, String note) {}
