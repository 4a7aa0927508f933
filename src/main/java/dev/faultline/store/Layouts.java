package dev.faultline.store;

import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmFpu;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmSregsCommon;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.svm.Vmcb;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.x86.SmramMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The layouts that states are made of: a checkpoint names them and does not hold them. A test keeps
 * a checkpoint of every recording, so one that is missing shows.
 */
final class Layouts {
  private static final List<StructLayout> ALL =
      List.of(
          KvmRegs.LAYOUT,
          KvmSregs.LAYOUT,
          KvmSregs2.LAYOUT,
          KvmSregsCommon.COMMON_LAYOUT,
          KvmDebugregs.LAYOUT,
          KvmXcrs.LAYOUT,
          KvmXsave.LAYOUT,
          KvmFpu.LAYOUT,
          KvmVcpuEvents.LAYOUT,
          KvmLapicState.LAYOUT,
          KvmMpState.LAYOUT,
          KvmRun.LAYOUT,
          KvmNestedState.HEADER_LAYOUT,
          KvmNestedState.SVM_HEADER_LAYOUT,
          KvmNestedState.VMX_LAYOUT,
          KvmNestedState.VMX_LAYOUT_WITH_SHADOW,
          KvmNestedState.SVM_LAYOUT,
          Vmcs12.LAYOUT,
          Vmcb.LAYOUT,
          SmramMap.LAYOUT_64,
          SmramMap.LAYOUT_32);

  private Layouts() {}

  /** The place of a layout in the list, or -1. */
  static int place(StructLayout layout) {
    for (int i = 0; i < ALL.size(); i++) {
      if (isOne(ALL.get(i), layout)) {
        return i;
      }
    }
    return -1;
  }

  /** Layouts are constants: the same one, or none. */
  @SuppressWarnings("ReferenceEquality")
  private static boolean isOne(StructLayout a, StructLayout b) {
    return a == b;
  }

  static @Nullable StructLayout at(int place) {
    return place < ALL.size() ? ALL.get(place) : null;
  }
}
