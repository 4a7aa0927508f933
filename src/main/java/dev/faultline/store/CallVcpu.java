package dev.faultline.store;

import org.axonframework.modelling.command.TargetAggregateIdentifier;

/**
 * Command: an ioctl on a vCPU.
 *
 * @param stream the vCPU's lane
 * @param moment the timeline's next moment as whoever commands knows it
 * @param seq the number that the call gets
 */
record CallVcpu(@TargetAggregateIdentifier String stream, int moment, long seq, WhatIf.Call call) {}
