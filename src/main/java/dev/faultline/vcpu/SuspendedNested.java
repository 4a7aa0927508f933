package dev.faultline.vcpu;

import dev.faultline.Check;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.vmx.CheckResult;
import dev.faultline.vmx.VmEntryChecks;
import dev.faultline.vmx.Vmcs12;
import org.jspecify.annotations.Nullable;

/**
 * Nested state that an SMI put aside. KVM_SET_NESTED_STATE takes its vmcs12 without the checks of a
 * VM-Enter, and RSM enters it.
 */
public final class SuspendedNested {
  private SuspendedNested() {}

  /**
   * The check of controls or host state that the vmcs12 is known to fail; null if none is.
   *
   * @param v the vCPU that the state is given to
   */
  public static @Nullable Check failure(Vcpu v, KvmNestedState state) {
    Vmcs12 vmcs12 = state.vmcs12();
    if (vmcs12 == null) {
      return null;
    }
    CheckResult controls =
        VmEntryChecks.controlsFailure(
            vmcs12, NestedRules.capabilities(v), NestedRules.context(v, false));
    CheckResult host =
        VmEntryChecks.hostStateFailure(
            vmcs12, NestedRules.capabilities(v), NestedRules.context(v, false));
    return controls.then(host) instanceof CheckResult.Failed failed ? failed.check() : null;
  }
}
