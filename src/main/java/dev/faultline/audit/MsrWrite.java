package dev.faultline.audit;

/**
 * One entry of a KVM_SET_MSRS or KVM_GET_MSRS.
 *
 * @param order grows from entry to entry, over all calls of the recording
 */
record MsrWrite(int index, long value, long order, Call call) {
  boolean after(MsrWrite other) {
    return order > other.order;
  }

  boolean after(Call other) {
    return call.moment() > other.moment();
  }
}
