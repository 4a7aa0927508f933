package dev.faultline;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmGsiRouting;
import dev.faultline.kvm.KvmMsrList;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSegment;
import dev.faultline.kvm.KvmSignalMask;
import dev.faultline.kvm.KvmSregsCommon;
import dev.faultline.kvm.KvmStruct;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbBits;
import dev.faultline.vmx.AccessRights;
import dev.faultline.vmx.ActivityState;
import dev.faultline.vmx.EntryControls;
import dev.faultline.vmx.ExitControls;
import dev.faultline.vmx.ExitReason;
import dev.faultline.vmx.InterruptibilityInfo;
import dev.faultline.vmx.PinControls;
import dev.faultline.vmx.PrimaryControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Dr6;
import dev.faultline.x86.Dr7;
import dev.faultline.x86.Efer;
import dev.faultline.x86.FeatureControl;
import dev.faultline.x86.Gpa;
import dev.faultline.x86.Msr;
import dev.faultline.x86.Rflags;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SmramMap;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * All that the vocabulary packages name: constants, layouts, and an instance of each struct of
 * variable size.
 */
final class Vocabulary {
  private static final List<Class<?>> CLASSES_OF_CONSTANTS =
      List.of(
          ApicBase.class,
          Cpuid.class,
          Cr0.class,
          Cr4.class,
          Dr6.class,
          Dr7.class,
          Efer.class,
          FeatureControl.class,
          Gpa.class,
          Msr.class,
          Rflags.class,
          Segment.class,
          SmramMap.class,
          AccessRights.class,
          ActivityState.class,
          EntryControls.class,
          ExitControls.class,
          ExitReason.class,
          InterruptibilityInfo.class,
          PinControls.class,
          PrimaryControls.class,
          SecondaryControls.class,
          Vmcs12.class,
          Vmcb.class,
          VmcbBits.class,
          CpuidEntry.class,
          Ioctl.class,
          KvmSegment.class,
          NestedStateFlags.class,
          VcpuEventFlags.class);

  private Vocabulary() {}

  /** The records that the uapi's structs become. */
  static List<Class<?>> structs() {
    List<Class<?>> structs = new ArrayList<>();
    for (Class<?> type : KvmStruct.class.getPermittedSubclasses()) {
      if (type == KvmSregsCommon.class) {
        structs.addAll(List.of(KvmSregsCommon.class.getPermittedSubclasses()));
      } else {
        structs.add(type);
      }
    }
    structs.sort(Comparator.comparing(Class::getSimpleName));
    return structs;
  }

  /** Constants by {@code package.Class.NAME}, without {@code dev.faultline.}. */
  static Map<String, Long> constants() throws IllegalAccessException {
    Map<String, Long> constants = new TreeMap<>();
    List<Class<?>> classes = new ArrayList<>(CLASSES_OF_CONSTANTS);
    classes.addAll(structs());
    for (Class<?> type : classes) {
      for (Field field : type.getDeclaredFields()) {
        boolean number = field.getType() == int.class || field.getType() == long.class;
        if (number
            && Modifier.isStatic(field.getModifiers())
            && Modifier.isPublic(field.getModifiers())) {
          constants.put(
              shortName(type) + "." + field.getName(), ((Number) field.get(null)).longValue());
        }
      }
    }
    return constants;
  }

  /** Numbers of enum constants by {@code package.Enum.NAME}, in the order of the enum. */
  static Map<String, Integer> numbers() {
    Map<String, Integer> numbers = new TreeMap<>();
    for (KvmCap cap : KvmCap.values()) {
      numbers.put("kvm.KvmCap." + cap, cap.number());
    }
    for (KvmExit exit : KvmExit.values()) {
      numbers.put("kvm.KvmExit." + exit, exit.number());
    }
    for (MpState state : MpState.values()) {
      numbers.put("kvm.MpState." + state, state.number());
    }
    for (Errno errno : Errno.values()) {
      numbers.put("kvm.Errno." + errno, errno.number());
    }
    for (ExitReason reason : ExitReason.values()) {
      numbers.put("vmx.ExitReason." + reason, reason.number());
    }
    for (VmcsField field : VmcsField.values()) {
      numbers.put("vmx.VmcsField." + field, field.encoding());
    }
    return numbers;
  }

  /** The layouts of structs of one size. */
  static List<StructLayout> layouts() throws IllegalAccessException {
    List<StructLayout> layouts = new ArrayList<>();
    List<Class<?>> classes = new ArrayList<>(structs());
    classes.add(KvmSegment.class);
    classes.add(Vmcs12.class);
    classes.add(SmramMap.class);
    for (Class<?> type : classes) {
      for (Field field : type.getDeclaredFields()) {
        if (field.getType() == StructLayout.class && Modifier.isPublic(field.getModifiers())) {
          layouts.add((StructLayout) field.get(null));
        }
      }
    }
    return layouts;
  }

  /**
   * The layouts that depend on the payload: two entries of each list, each exit reason of kvm_run.
   */
  static List<StructLayout> layoutsOfInstances() {
    MsrEntry msr = new MsrEntry(0, 0);
    CpuidEntry cpuid = new CpuidEntry(0, 0, 0, 0, 0, 0, 0);
    Bytes two = Bytes.zero(KvmGsiRouting.HEADER_SIZE + 2 * KvmGsiRouting.ENTRY_SIZE).with(0, 4, 2);
    List<StructLayout> layouts = new ArrayList<>();
    layouts.add(KvmMsrs.of(List.of(msr, msr)).layout());
    layouts.add(KvmCpuid2.of(List.of(cpuid, cpuid)).layout());
    layouts.add(new KvmMsrList(two.slice(0, 12)).layout());
    layouts.add(new KvmGsiRouting(two).layout());
    layouts.add(new KvmSignalMask(Bytes.zero(12)).layout());
    for (KvmExit exit : KvmExit.values()) {
      layouts.add(KvmRun.zero().withExitReason(exit.number()).layout());
    }
    KvmRun internalError = KvmRun.zero().withExitReason(KvmExit.KVM_EXIT_INTERNAL_ERROR.number());
    layouts.add(new KvmRun(internalError.raw().with(32, 4, 1)).layout());
    return layouts;
  }

  private static String shortName(Class<?> type) {
    return type.getName().substring("dev.faultline.".length());
  }
}
