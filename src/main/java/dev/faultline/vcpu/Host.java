package dev.faultline.vcpu;

import dev.faultline.kvm.KvmCpuid2;
import org.jspecify.annotations.Nullable;

/**
 * What the recorded questions to {@code /dev/kvm} told about the machine. Nothing of it changes
 * while a recording runs.
 *
 * @param supportedCpuid the answer to KVM_GET_SUPPORTED_CPUID, if it was asked
 * @param msrIndexes the answer to KVM_GET_MSR_INDEX_LIST as an MSR state whose entries are the
 *     listed indexes, if it was asked
 * @param featureMsrs values that KVM_GET_MSRS on {@code /dev/kvm} returned
 * @param extensions the answers to KVM_CHECK_EXTENSION, by capability number
 */
public record Host(
    @Nullable KvmCpuid2 supportedCpuid,
    @Nullable MsrState msrIndexes,
    MsrState featureMsrs,
    MsrState extensions) {

  /** A host of which nothing is known. */
  public static final Host UNKNOWN = new Host(null, null, MsrState.empty(), MsrState.empty());

  public Host withSupportedCpuid(KvmCpuid2 table) {
    return new Host(table, msrIndexes, featureMsrs, extensions);
  }

  public Host withMsrIndexes(MsrState list) {
    return new Host(supportedCpuid, list, featureMsrs, extensions);
  }

  public Host withFeatureMsrs(MsrState values) {
    return new Host(supportedCpuid, msrIndexes, values, extensions);
  }

  public Host withExtension(int capability, long answer) {
    MsrState known = extensions;
    if (known.knows(capability) && known.value(capability) == answer) {
      return this;
    }
    return new Host(
        supportedCpuid, msrIndexes, featureMsrs, known.edit().learn(capability, answer).done());
  }

  /** Whether KVM lists the MSR as one to be saved. */
  public Answer listsMsr(int index) {
    return msrIndexes == null ? Answer.CANNOT_TELL : Answer.of(msrIndexes.holds(index));
  }
}
