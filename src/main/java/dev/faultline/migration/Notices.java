package dev.faultline.migration;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/** What a guest notices when a field is lost, in a sentence. */
public final class Notices {
  private static final SequencedMap<String, String> SENTENCES = sentences();

  private Notices() {}

  private static SequencedMap<String, String> sentences() {
    SequencedMap<String, String> s = new LinkedHashMap<>();
    s.put("nested.guest_mode", "L2 is not there any more: what should be L2 goes on as L1");
    s.put("nested.vmxon", "L1 is out of VMX operation: its next VMX instruction faults");
    s.put(
        "nested.smm.vmxon",
        "RSM returns to an L1 that is out of VMX operation: its next VMX instruction faults");
    s.put("nested.smm.guest_mode", "RSM loads the registers of L2 into L1: its code runs as L1's");
    s.put("nested.gif", "interrupts that L1 has switched off arrive, or those it awaits do not");
    s.put("nested.run_pending", "an event that L2's entry should inject may be lost or come twice");
    s.put("nested.mtf_pending", "L1 misses a monitor trap flag exit");
    s.put("nested.", "L1 and L2 go on with other nested state");
    s.put("vmcs12.", "L1 reads another VMCS than it wrote");
    s.put("vmcb.", "L1 and L2 go on with another VMCB");
    s.put("shadow_vmcs12.", "L2 reads another shadow VMCS than it wrote");
    s.put("events.smi.smm", "the SMI handler goes on outside SMM, or the guest inside it");
    s.put("events.smi.", "an SMI is lost, or what it interrupted is");
    s.put(
        "events.interrupt.shadow",
        "an interrupt may arrive right after STI or MOV SS, where none can");
    s.put("events.interrupt.", "an interrupt that was being delivered is lost");
    s.put("events.nmi.masked", "an NMI may interrupt the NMI handler, or none arrives any more");
    s.put("events.nmi.", "an NMI is lost");
    s.put("events.exception.", "an exception is lost, or is delivered in another way");
    s.put("events.exception_", "an exception arrives with another CR2 or DR6");
    s.put("events.triple_fault", "a triple fault that KVM owes the guest does not happen");
    s.put("debugregs.", "hardware breakpoints and watchpoints are gone or others");
    s.put("lapic.", "interrupts and timers of the local APIC are others");
    s.put("mp_state", "the vCPU runs where it should wait, or waits where it should run");
    s.put("xcrs", "XSAVE and AVX instructions fault, or save other components");
    s.put("xsave.", "floating-point and vector registers are others");
    s.put("sregs.", "control and segment registers are others");
    s.put("regs.", "general-purpose registers are others");
    s.put("msr.IA32_TSC_DEADLINE", "a timer that was armed never fires");
    s.put("msr.IA32_TSC", "the time-stamp counter jumps");
    s.put("msr.IA32_VMX_", "L1 is offered other VMX capabilities than it has seen");
    s.put("msr.IA32_FEATURE_CONTROL", "VMXON faults where it did not");
    s.put("msr.IA32_MTRR_", "the types of memory are others, which firmware and kernels check");
    s.put("msr.IA32_MC", "machine-check banks are others");
    s.put("msr.KVM_", "a paravirtual feature that the guest switched on is off");
    s.put("msr.HV_", "a Hyper-V feature that the guest switched on is off");
    s.put("msr.", "the MSR reads as another value");
    s.put("kvmclock", "the guest's clock jumps");
    s.put("cpuid", "features that the guest has found are others");
    s.put("run.completion", "the instruction that accessed the device is executed once more");
    return s;
  }

  /** What losing a field means. */
  public static String of(String field) {
    for (Map.Entry<String, String> entry : SENTENCES.entrySet()) {
      if (field.startsWith(entry.getKey())) {
        return entry.getValue();
      }
    }
    return "the vCPU goes on with another value";
  }

  /** The sentences for some fields, each once, in the order of the fields. */
  public static List<String> of(List<Difference> lost) {
    return lost.stream().map(d -> of(d.field())).distinct().toList();
  }
}
