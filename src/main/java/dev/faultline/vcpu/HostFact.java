package dev.faultline.vcpu;

import dev.faultline.kvm.KvmCpuid2;
import java.util.List;

/** What a question to the kernel taught about the machine. */
public sealed interface HostFact {
  /** KVM_GET_SUPPORTED_CPUID. */
  record SupportedCpuid(KvmCpuid2 table) implements HostFact {}

  /** KVM_GET_MSR_INDEX_LIST. */
  record MsrIndexList(List<Integer> indexes) implements HostFact {}

  /** KVM_GET_MSRS on {@code /dev/kvm}: values of feature MSRs. */
  record FeatureMsrs(List<Integer> indexes, List<Long> values) implements HostFact {}

  /** KVM_CHECK_EXTENSION. */
  record Extension(int capability, long answer) implements HostFact {}

  /** Nothing that the model uses. */
  record Nothing() implements HostFact {}

  /** The host as it is known with this fact. */
  default Host learn(Host host) {
    return switch (this) {
      case SupportedCpuid f -> host.withSupportedCpuid(f.table());
      case MsrIndexList f -> {
        MsrState.Edit edit = MsrState.empty().edit();
        for (int index : f.indexes()) {
          edit.learn(index, 1);
        }
        yield host.withMsrIndexes(edit.done());
      }
      case FeatureMsrs f -> {
        MsrState.Edit edit = host.featureMsrs().edit();
        for (int i = 0; i < f.indexes().size(); i++) {
          edit.learn(f.indexes().get(i), f.values().get(i));
        }
        yield host.withFeatureMsrs(edit.done());
      }
      case Extension f -> host.withExtension(f.capability(), f.answer());
      case Nothing _ -> host;
    };
  }
}
