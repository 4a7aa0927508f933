package dev.faultline.audit;

import dev.faultline.Bytes;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmClockData;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmDeviceAttr;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.MsrEntry;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Writes a small recording call by call, as the VMM of a bug report makes them, with what KVM
 * answered. It knows payloads and numbers, and nothing of the rules.
 */
final class CaseScript {
  /** The order in which Firecracker restores a vCPU. */
  static final String RESTORE =
      "CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS LAPIC MSRS VCPU_EVENTS";

  /** What a VMM saves, complete and in a right order. */
  static final String SAVE = "MP_STATE VCPU_EVENTS REGS SREGS XSAVE XCRS DEBUGREGS LAPIC MSRS";

  static final long DEADLINE = 0x6e0;
  static final long TSC = 0x10;
  static final long KVMCLOCK = 0x4b564d01L;

  private static final int ATTR_SIZE = 24;
  private static final long STEP_NS = 20_000;

  private final StringBuilder lines = new StringBuilder();
  private final Map<String, Integer> fds = new TreeMap<>();
  private long seq;
  private long ns = 1_000_000_000L;
  private int nextFd = 4;
  private String vm = "vm0";
  private int vms;
  private String vcpu = "";
  private String kernel = "6.1.0";
  private String module = "";

  KvmCpuid2 cpuid = CaseStates.cpuid();
  KvmRegs regs = KvmRegs.zero().withRip(0x1000).withRflags(0x202);
  KvmSregs sregs = CaseStates.longMode();
  KvmVcpuEvents events = KvmVcpuEvents.zero().withFlags(0xd);
  KvmLapicState lapic = CaseStates.lapic();
  KvmMpState mpState = KvmMpState.of(MpState.RUNNABLE);
  KvmXsave xsave = KvmXsave.zero().withXstateBv(3).withMxcsr(0x1f80);
  KvmXcrs xcrs = KvmXcrs.zero().withXcr0(1);
  KvmDebugregs debugregs = KvmDebugregs.zero().withDr6(0xffff0ff0L).withDr7(0x400);
  KvmNestedState nested = KvmNestedState.vmxOff();
  final LinkedHashMap<Long, Long> msrs = new LinkedHashMap<>();

  CaseScript() {
    line("\"ev\":\"start\",\"pid\":7,\"argv\":[\"vmm\"]");
    msr(0x174, 0).msr(0xc0000081L, 0x23001000000000L).msr(0xc0000102L, 0).msr(TSC, 0x5000000);
  }

  /** The kernel and the vendor's module that the facts beside the recording name. */
  CaseScript on(String version, String vendorModule) {
    kernel = version;
    module = vendorModule;
    return this;
  }

  /** The facts as a file. */
  String facts(String name) {
    String params = module.isEmpty() ? "" : "\"" + module + ".nested\":\"Y\"";
    if (module.equals("kvm_intel")) {
      params +=
          ",\"kvm_intel.unrestricted_guest\":\"Y\",\"kvm_intel.ept\":\"Y\","
              + "\"kvm_intel.emulate_invalid_guest_state\":\"Y\"";
    }
    return "{\"name\":\""
        + name
        + "\",\"kernel\":\""
        + kernel
        + "\",\"params\":{"
        + params
        + "}}\n";
  }

  /** The recording. */
  String text() {
    return lines.toString();
  }

  CaseScript msr(long index, long value) {
    msrs.put(index, value);
    return this;
  }

  private void line(String rest) {
    lines.append("{\"seq\":").append(seq).append(",\"t_enter\":").append(ns).append(',');
    lines.append(rest).append("}\n");
    seq++;
    ns += STEP_NS;
  }

  /** Time passes. */
  CaseScript after(long milliseconds) {
    ns += milliseconds * 1_000_000;
    return this;
  }

  private CaseScript call(
      FdKind kind, String obj, int fd, int req, String name, long arg, int ret, String rest) {
    String errno = ret < 0 ? ",\"ret\":-1,\"errno\":" + -ret + ",\"err\":\"\"" : ",\"ret\":" + ret;
    line(
        "\"ev\":\"ioctl\",\"t_exit\":"
            + (ns + STEP_NS / 2)
            + ",\"pid\":7,\"tid\":7,\"fd\":"
            + fd
            + ",\"fd_kind\":\""
            + kind.name().toLowerCase(Locale.ROOT)
            + "\",\"obj\":\""
            + obj
            + "\",\"req\":\""
            + String.format(Locale.ROOT, "0x%08x", req)
            + "\",\"name\":\""
            + name
            + "\",\"arg\":\"0x"
            + Long.toHexString(arg)
            + "\""
            + errno
            + rest);
    return this;
  }

  private static String payload(String key, @Nullable Bytes bytes) {
    if (bytes == null || bytes.isEmpty()) {
      return "";
    }
    return ",\""
        + key
        + "_len\":"
        + bytes.size()
        + ",\""
        + key
        + "\":\""
        + Base64.getEncoder().encodeToString(bytes.toArray())
        + "\"";
  }

  /** An ioctl on /dev/kvm. */
  CaseScript system(Ioctl ioctl, long arg, int ret, @Nullable Bytes in, @Nullable Bytes out) {
    return call(
        FdKind.SYSTEM,
        "kvm",
        3,
        ioctl.number(),
        ioctl.uapiName(),
        arg,
        ret,
        payload("in", in) + payload("out", out));
  }

  CaseScript extension(int cap, int answer) {
    return system(Ioctl.CHECK_EXTENSION, cap, answer, null, null);
  }

  /** KVM_CREATE_VM alone. */
  CaseScript bareVm() {
    vms++;
    vm = "vm" + vms;
    int fd = nextFd++;
    fds.put(vm, fd);
    return system(Ioctl.CREATE_VM, 0, fd, null, null);
  }

  /** A VM with memory and interrupt controllers. */
  CaseScript vm() {
    return bareVm().memory().vmCall(Ioctl.CREATE_IRQCHIP, 0, 0);
  }

  CaseScript memory() {
    return vmCall(
        Ioctl.SET_USER_MEMORY_REGION,
        0x7000,
        0,
        KvmUserspaceMemoryRegion.zero()
            .withMemorySize(1L << 30)
            .withUserspaceAddr(0x7f0000000000L)
            .raw());
  }

  /** An ioctl on the VM; a negative result is an errno. */
  CaseScript vmCall(Ioctl ioctl, long arg, int ret) {
    return vmCall(ioctl, arg, ret, null);
  }

  CaseScript vmCall(Ioctl ioctl, long arg, int ret, @Nullable Bytes in) {
    boolean reads = ioctl.direction() == Ioctl.Direction.READ;
    return vmCall(ioctl, arg, ret, reads ? null : in, reads ? in : null);
  }

  CaseScript vmCall(Ioctl ioctl, long arg, int ret, @Nullable Bytes in, @Nullable Bytes out) {
    return call(
        FdKind.VM,
        vm,
        fd(vm),
        ioctl.number(),
        ioctl.uapiName(),
        arg,
        ret,
        payload("in", in) + payload("out", out));
  }

  private int fd(String obj) {
    return fds.computeIfAbsent(obj, _ -> nextFd++);
  }

  /** KVM_CREATE_VCPU, and the calls that follow are on it. */
  CaseScript vcpu(int id) {
    vcpu = vm + "/vcpu" + id;
    return vmCall(Ioctl.CREATE_VCPU, id, fd(vcpu));
  }

  /** A VM with one vCPU. */
  CaseScript fresh() {
    return vm().vcpu(0);
  }

  /** The calls that follow are on this vCPU. */
  CaseScript on(int id) {
    vcpu = vm + "/vcpu" + id;
    return this;
  }

  /** The calls that follow are on this VM. */
  CaseScript back(int number) {
    vm = "vm" + number;
    return on(0);
  }

  CaseScript vcpuCall(Ioctl ioctl, long arg, int ret, @Nullable Bytes in, @Nullable Bytes out) {
    return call(
        FdKind.VCPU,
        vcpu,
        fd(vcpu),
        ioctl.number(),
        ioctl.uapiName(),
        arg,
        ret,
        payload("in", in) + payload("out", out));
  }

  /** An ioctl of another architecture on the vCPU. */
  CaseScript foreign(int req, String name) {
    return call(FdKind.VCPU, vcpu, fd(vcpu), req, name, 0x7000, 0, "");
  }

  /** KVM_SET_… of each of these groups, in this order, accepted. */
  CaseScript set(String groups) {
    for (String group : groups.split(" ", -1)) {
      set(group, 0);
    }
    return this;
  }

  /** KVM_SET_… of one group; a negative result is an errno. */
  CaseScript set(String group, int ret) {
    return switch (group) {
      case "TSC_KHZ" -> vcpuCall(Ioctl.SET_TSC_KHZ, 2_500_000, ret, null, null);
      case "KVMCLOCK_CTRL" -> vcpuCall(Ioctl.KVMCLOCK_CTRL, 0, ret, null, null);
      case "MSRS" -> setMsrs(ret == 0 ? msrs.size() : ret, list());
      default -> vcpuCall(ioctl("SET_" + group), 0x7000, ret, state(group), null);
    };
  }

  CaseScript refused(String group, Errno errno) {
    return set(group, -errno.number());
  }

  private static Ioctl ioctl(String name) {
    return Ioctl.valueOf(name);
  }

  private Bytes state(String group) {
    return switch (group) {
      case "CPUID2" -> cpuid.raw();
      case "REGS" -> regs.raw();
      case "SREGS" -> sregs.raw();
      case "VCPU_EVENTS" -> events.raw();
      case "LAPIC" -> lapic.raw();
      case "MP_STATE" -> mpState.raw();
      case "XSAVE" -> xsave.raw();
      case "XCRS" -> xcrs.raw();
      case "DEBUGREGS" -> debugregs.raw();
      case "NESTED_STATE" -> nested.raw();
      default -> throw new IllegalArgumentException(group);
    };
  }

  private long[] list() {
    long[] pairs = new long[msrs.size() * 2];
    int i = 0;
    for (Map.Entry<Long, Long> msr : msrs.entrySet()) {
      pairs[i++] = msr.getKey();
      pairs[i++] = msr.getValue();
    }
    return pairs;
  }

  private static KvmMsrs struct(long... pairs) {
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = 0; i < pairs.length; i += 2) {
      entries.add(new MsrEntry((int) pairs[i], pairs[i + 1]));
    }
    return KvmMsrs.of(entries);
  }

  /** KVM_SET_MSRS of these numbers and values, of which so many are processed. */
  CaseScript setMsrs(int ret, long... pairs) {
    return vcpuCall(Ioctl.SET_MSRS, 0x7000, ret, struct(pairs).raw(), null);
  }

  CaseScript getMsrs(int ret, long... pairs) {
    Bytes struct = struct(pairs).raw();
    return vcpuCall(Ioctl.GET_MSRS, 0x7000, ret, struct, struct);
  }

  /** KVM_GET_… of each of these groups, in this order. */
  CaseScript get(String groups) {
    for (String group : groups.split(" ", -1)) {
      switch (group) {
        case "MSRS" -> getMsrs(msrs.size(), list());
        case "TSC_KHZ" -> vcpuCall(Ioctl.GET_TSC_KHZ, 0, 2_500_000, null, null);
        case "NESTED_STATE" ->
            vcpuCall(
                Ioctl.GET_NESTED_STATE,
                0x7000,
                0,
                nested.raw().slice(0, KvmNestedState.HEADER_SIZE),
                nested.raw());
        case "CPUID2" ->
            vcpuCall(Ioctl.GET_CPUID2, 0x7000, 0, cpuid.raw().slice(0, Long.BYTES), cpuid.raw());
        case "XSAVE2" -> vcpuCall(Ioctl.GET_XSAVE2, 0x7000, 0, null, xsave.raw());
        default -> vcpuCall(ioctl("GET_" + group), 0x7000, 0, null, state(group));
      }
    }
    return this;
  }

  /** KVM_RUN that comes back for this reason. */
  CaseScript run(KvmExit exit) {
    return run(0, exit.number(), 0);
  }

  CaseScript run() {
    return run(KvmExit.KVM_EXIT_HLT);
  }

  /** KVM_RUN with immediate_exit. */
  CaseScript immediate() {
    return run(-Errno.EINTR.number(), KvmExit.KVM_EXIT_INTR.number(), 1);
  }

  CaseScript runFails(Errno errno) {
    return run(-errno.number(), 0, 0);
  }

  private CaseScript run(int ret, int reason, int immediateExit) {
    Bytes in = KvmRun.zero().raw().with(1, 1, immediateExit);
    // What KVM tells of the vCPU in every return: its APIC's base, and RFLAGS.IF.
    Bytes out =
        in.with(8, 4, reason).with(24, 8, sregs.apicBase()).with(13, 1, regs.rflags() >> 9 & 1);
    if (reason == KvmExit.KVM_EXIT_FAIL_ENTRY.number()) {
      out = out.with(32, 8, 0x8000_0021L);
    }
    if (reason == KvmExit.KVM_EXIT_INTERNAL_ERROR.number()) {
      out = out.with(32, 4, KvmRun.KVM_INTERNAL_ERROR_EMULATION);
    }
    return call(
        FdKind.VCPU,
        vcpu,
        fd(vcpu),
        Ioctl.RUN.number(),
        Ioctl.RUN.uapiName(),
        0,
        ret,
        payload("run_in", in) + payload("run_out", out) + ",\"exit_reason\":" + reason);
  }

  CaseScript setClock(int flags, int ret) {
    return vmCall(
        Ioctl.SET_CLOCK, 0x7000, ret, KvmClockData.zero().withClock(77).withFlags(flags).raw());
  }

  CaseScript getClock() {
    return vmCall(Ioctl.GET_CLOCK, 0x7000, 0, KvmClockData.zero().withClock(77).withFlags(2).raw());
  }

  /** The TSC offset as a device attribute of the vCPU. */
  CaseScript offset(Ioctl ioctl, long value) {
    Bytes attr = new KvmDeviceAttr(Bytes.builder(ATTR_SIZE).put(16, 8, 0x7100).build()).raw();
    Bytes data = Bytes.builder(Long.BYTES).put(0, Long.BYTES, value).build();
    String behind = ",\"attr_data\":\"" + Base64.getEncoder().encodeToString(data.toArray()) + "\"";
    return call(
        FdKind.VCPU,
        vcpu,
        fd(vcpu),
        ioctl.number(),
        ioctl.uapiName(),
        0x7000,
        0,
        payload("in", attr) + behind);
  }

  CaseScript mark(String text) {
    line("\"ev\":\"mark\",\"tid\":7,\"text\":\"" + text + "\"");
    return this;
  }

  /** All of a VM's descriptors are closed. */
  CaseScript close() {
    line(
        "\"ev\":\"close\",\"tid\":7,\"fd\":"
            + fd(vm)
            + ",\"fd_kind\":\"vm\",\"obj\":\""
            + vm
            + "\",\"ret\":0");
    return this;
  }

  /** A restored vCPU on a fresh VM, in the given order. */
  CaseScript restored(String order) {
    return fresh().set(order);
  }

  /** The whole of a source: it runs and is saved. */
  CaseScript saved(String order) {
    return fresh().set("CPUID2").set("SREGS REGS").run().get(order);
  }

  CaseScript with(CpuidEntry... entries) {
    cpuid = CaseStates.with(cpuid, entries);
    return this;
  }
}
