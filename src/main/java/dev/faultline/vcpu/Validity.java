package dev.faultline.vcpu;

import dev.faultline.kvm.KvmSregs;
import dev.faultline.vcpu.Vcpu.Emulation;
import dev.faultline.vmx.GuestState;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.vmx.GuestStateChecks;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Rflags;
import org.jspecify.annotations.Nullable;

/**
 * KVM's cached answer to "can hardware run this state?", and the points at which KVM asks again.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/vmx.c, vmx_emulation_required()}; {@code
 * arch/x86/kvm/vmx/vmx.h, is_unrestricted_guest()}, v6.1.
 */
public final class Validity {
  private Validity() {}

  /** Whether hardware runs the current level without KVM checking segments first. */
  static Answer unrestricted(Vcpu v) {
    Answer kernel = v.kernel().unrestrictedGuest();
    Answer restrictedL2 = v.inGuestMode().and(v.nested().mode().restricted());
    return kernel.and(restrictedL2.not());
  }

  /** The flag computed anew, as after every segment or CR0 write. */
  static Vcpu recompute(Vcpu v) {
    Emulation now = judge(v);
    return now.equals(v.registers().emulation())
        ? v
        : v.withRegisters(v.registers().withEmulation(now));
  }

  /** What the flag would be for the state as it stands. */
  static Emulation judge(Vcpu v) {
    if (!v.kernel().isVmx() || v.kernel().emulateInvalidGuestState().isNo()) {
      return v.kernel().isSvm() || v.kernel().isVmx() ? Emulation.NO : Emulation.CANNOT_TELL;
    }
    Answer unrestricted = unrestricted(v);
    if (unrestricted.isYes()) {
      return Emulation.NO;
    }
    Emulation subset = judgeSegments(v);
    if (unrestricted.isNo() || subset.required().isNo()) {
      return subset;
    }
    return new Emulation(Answer.CANNOT_TELL, subset.failed());
  }

  private static Emulation judgeSegments(Vcpu v) {
    Tracked sregs = v.registers().sregs();
    if (!sregs.knowsAll(SregsFields.JUDGED)) {
      return Emulation.CANNOT_TELL;
    }
    Tracked regs = v.registers().regs();
    if (regs.knows(RegsFields.RFLAGS)) {
      return judge(sregs, regs.value(RegsFields.RFLAGS));
    }
    Emulation plain = judge(sregs, 0);
    if (longMode(sregs) && (regs.value(RegsFields.RFLAGS) & Rflags.VM) == 0) {
      // The guest ran since RFLAGS was known, and hardware runs no virtual-8086 code here.
      return plain;
    }
    Emulation virtual8086 = judge(sregs, Rflags.VM);
    return plain.required() == virtual8086.required()
        ? plain
        : new Emulation(Answer.CANNOT_TELL, plain.failed());
  }

  private static boolean longMode(Tracked sregs) {
    return sregs.knows(SregsFields.EFER) && (sregs.value(SregsFields.EFER) & Efer.LMA) != 0;
  }

  private static Emulation judge(Tracked sregs, long rflags) {
    GuestStateCheck failed = GuestStateChecks.firstFailure(guestState(sregs, rflags));
    return failed == null ? Emulation.NO : Emulation.because(failed);
  }

  static GuestState guestState(Tracked sregs, long rflags) {
    KvmSregs s = new KvmSregs(sregs.bytes());
    return new GuestState(
        s.cr0(), rflags, s.cs(), s.ds(), s.es(), s.fs(), s.gs(), s.ss(), s.tr(), s.ldt());
  }

  /** The fields of struct kvm_sregs that a failing check looks at, for naming their last writer. */
  public static @Nullable String blamedField(GuestStateCheck check) {
    String name = check.name();
    for (String register : new String[] {"CS", "SS", "DS", "ES", "FS", "GS", "TR", "LDTR"}) {
      if (name.startsWith(register + "_") || name.startsWith("RMODE_" + register + "_")) {
        String uapi = register.equals("LDTR") ? "ldt" : register.toLowerCase(java.util.Locale.ROOT);
        return uapi + "." + attribute(name);
      }
    }
    return null;
  }

  private static String attribute(String check) {
    String last = check.substring(check.lastIndexOf('_') + 1);
    return switch (last) {
      case "UNUSABLE" -> "unusable";
      case "TI", "RPL" -> "selector";
      case "TYPE", "AR" -> "type";
      case "DPL" -> "dpl";
      case "S" -> "s";
      case "P" -> "present";
      case "BASE" -> "base";
      case "LIMIT" -> "limit";
      default -> "selector";
    };
  }
}
