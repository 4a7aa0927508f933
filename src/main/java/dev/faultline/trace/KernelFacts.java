package dev.faultline.trace;

import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelModel.Vendor;
import dev.faultline.vcpu.KernelVersion;
import java.util.SortedMap;
import org.jspecify.annotations.Nullable;

/**
 * Which kernel a recording was made on, from its facts: the kernel's own text where there is one,
 * else from module parameters that only some versions have.
 */
public final class KernelFacts {
  private KernelFacts() {}

  /** The kernel of a recording; parameters that it does not tell are unknown. */
  public static KernelModel model(RecordingFacts facts) {
    SortedMap<String, String> params = facts.params();
    Vendor vendor = vendor(params);
    String module = vendor == Vendor.SVM ? "kvm_amd." : "kvm_intel.";
    KernelVersion told = facts.kernel().isEmpty() ? null : KernelVersion.of(facts.kernel().strip());
    KernelVersion version = told != null ? told : byParameters(params);
    return new KernelModel(
        version == null ? KernelVersion.V6_1 : version,
        version != null && (told != null || version != KernelVersion.V7_2),
        vendor,
        flag(params, "kvm_intel.unrestricted_guest"),
        flag(params, vendor == Vendor.SVM ? "kvm_amd.npt" : "kvm_intel.ept"),
        flag(params, module + "nested"),
        flag(params, "kvm_intel.emulate_invalid_guest_state"),
        flag(params, "kvm.ignore_msrs"));
  }

  private static Vendor vendor(SortedMap<String, String> params) {
    boolean intel = !params.subMap("kvm_intel.", "kvm_intel/").isEmpty();
    boolean amd = !params.subMap("kvm_amd.", "kvm_amd/").isEmpty();
    if (intel == amd) {
      return Vendor.UNKNOWN;
    }
    return intel ? Vendor.VMX : Vendor.SVM;
  }

  private static Answer flag(SortedMap<String, String> params, String name) {
    String value = params.get(name);
    if (value == null) {
      return Answer.CANNOT_TELL;
    }
    return switch (value) {
      case "Y", "1" -> Answer.YES;
      case "N", "0" -> Answer.NO;
      default -> Answer.CANNOT_TELL;
    };
  }

  /**
   * The recorded kernel with the same set of module parameters.
   *
   * <p>7.2 and 7.3 have the same set; the older of the two is assumed, and not taken as certain.
   */
  private static @Nullable KernelVersion byParameters(SortedMap<String, String> params) {
    if (params.isEmpty()) {
      return null;
    }
    if (!params.containsKey("kvm.eager_page_split")) {
      return KernelVersion.V5_10;
    }
    if (params.containsKey("kvm.lapic_timer_advance_ns")) {
      return KernelVersion.V6_1;
    }
    return params.containsKey("kvm.allow_unsafe_mappings")
        ? KernelVersion.V7_2
        : KernelVersion.V6_12;
  }
}
