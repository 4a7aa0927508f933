package dev.faultline.cli;

import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelModel.Vendor;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Msr;
import java.util.Iterator;

/**
 * Which vendor module ran a recording whose facts do not tell: only one of them offers nested VMX,
 * or nested SVM, to a guest.
 */
final class VendorGuess {
  private static final int MOST_LINES = 20_000;

  private VendorGuess() {}

  /** The model with its vendor, if the first lines of the recording show it. */
  static KernelModel complete(KernelModel model, RecordingSource source) {
    if (model.vendor() != Vendor.UNKNOWN) {
      return model;
    }
    try (ObservationReader reader = source.open()) {
      return complete(model, reader);
    }
  }

  /** The same from the lines themselves. */
  static KernelModel complete(KernelModel model, Iterator<Observation> lines) {
    if (model.vendor() != Vendor.UNKNOWN) {
      return model;
    }
    Vendor found = Vendor.UNKNOWN;
    for (int i = 0; i < MOST_LINES && found == Vendor.UNKNOWN && lines.hasNext(); i++) {
      if (RecordedCalls.convert(lines.next(), i) instanceof Recorded.VcpuCall call
          && call.ret() >= 0) {
        found = shown(call);
      }
    }
    return found == Vendor.UNKNOWN
        ? model
        : new KernelModel(
            model.version(),
            model.versionCertain(),
            found,
            model.unrestrictedGuest(),
            model.ept(),
            model.nested(),
            model.emulateInvalidGuestState(),
            model.ignoreMsrs());
  }

  private static Vendor shown(Recorded.VcpuCall call) {
    return switch (call.command()) {
      case VcpuCommand.SetCpuid2 c -> shown(c.cpuid());
      case VcpuCommand.SetNestedState n when !n.state().isVmx() -> Vendor.SVM;
      case VcpuCommand.SetNestedState n
          when n.state().vmxonPa() != -1
              && n.state().format() == NestedStateFlags.KVM_STATE_NESTED_FORMAT_VMX ->
          Vendor.VMX;
      case VcpuCommand.SetMsrs m when call.ret() > 0 && Msr.isVmxCapability(m.msrs().index(0)) ->
          Vendor.VMX;
      default -> Vendor.UNKNOWN;
    };
  }

  private static Vendor shown(KvmCpuid2 table) {
    CpuidEntry features = table.find(Cpuid.LEAF_FEATURES, 0);
    if (features != null && (features.ecx() & Cpuid.LEAF1_ECX_VMX) != 0) {
      return Vendor.VMX;
    }
    CpuidEntry amd = table.find(Cpuid.LEAF_AMD_FEATURES, 0);
    return amd != null && (amd.ecx() & Cpuid.LEAF80000001_ECX_SVM) != 0
        ? Vendor.SVM
        : Vendor.UNKNOWN;
  }
}
