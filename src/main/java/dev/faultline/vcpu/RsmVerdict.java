package dev.faultline.vcpu;

import org.jspecify.annotations.Nullable;

/**
 * What RSM makes of the save map.
 *
 * @param end how the KVM_RUN that executes RSM goes on: it fails, it exits, or the guest runs
 * @param failed what RSM demands and the map does not hold, or null
 * @param loaded the vCPU with everything loaded; the vCPU without its registers where loading
 *     failed or is not known
 * @param emulates whether KVM emulates the level that RSM returned to, so that its end hangs on its
 *     code
 */
public record RsmVerdict(Outcome end, @Nullable RsmCheck failed, Vcpu loaded, Answer emulates) {}
