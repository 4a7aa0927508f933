package dev.faultline.trace;

import dev.faultline.Bytes;
import org.jspecify.annotations.Nullable;

/**
 * Reads the texts of kvm tracepoints, those of all kernels that are known, into events.
 *
 * <p>Works on the bytes of the line with one position that moves on; a text that is of no known
 * shape becomes {@link TraceEvent.Other}, and is told by {@link #unread()}.
 *
 * <p>trace-cmd and perf print four of the events in words of their own, with less in them, and put
 * {@code [FAILED TO PARSE]} before the fields of one that they cannot print ({@link LibraryNames}).
 *
 * <p><i>Source</i>: the {@code print fmt} of each event in tracefs ({@code
 * events/kvm/NAME/format}), kernels 5.10, 6.1, 6.12, 7.2 and 7.3.
 */
final class EventText extends EventScan {
  private static final int MAX_INSN_SIZE = 15;

  private boolean unread;

  EventText(WordCache words) {
    super(words);
  }

  /** True if the last text was one of a known event but of no known shape. */
  boolean unread() {
    return unread;
  }

  /**
   * The event {@code name} that was printed as the bytes {@code from} to {@code to} of {@code
   * line}.
   */
  TraceEvent read(String name, byte[] line, int from, int to, long ns) {
    begin(line, from, to);
    unread = false;
    TraceEvent event =
        switch (name) {
          case "kvm_entry" -> entry(ns);
          case "kvm_exit" -> exit(ns, false);
          case "kvm_nested_vmexit" -> exit(ns, true);
          case "kvm_nested_vmenter" -> nestedEnter(ns);
          case "kvm_nested_vmrun" -> nestedRun(ns);
          case "kvm_nested_intercepts" -> nestedIntercepts(ns);
          case "kvm_nested_vmenter_failed" -> new TraceEvent.NestedVmEnterFailed(ns, wordTo(end));
          case "kvm_nested_vmexit_inject" -> nestedInject(ns);
          case "kvm_smm_transition", "kvm_enter_smm" -> smm(ns);
          case "kvm_userspace_exit" -> userspaceExit(ns);
          case "kvm_inj_exception" -> injectedException(ns);
          case "kvm_inj_virq" -> injectedIrq(ns);
          case "kvm_msr" -> msr(ns);
          case "kvm_cr" -> controlRegister(ns);
          case "kvm_pio" -> pio(ns);
          case "kvm_mmio" -> mmio(ns);
          case "kvm_emulate_insn" -> emulate(ns);
          case "kvm_page_fault" -> pageFault(ns);
          case "sys_ioctl" -> skip(" -> ") ? ioctlReturned(ns) : ioctlEntered(ns);
          case "sys_enter_ioctl" -> ioctlEntered(ns);
          case "sys_exit_ioctl" -> ioctlReturned(ns);
          case "tracing_mark_write", "print" -> new TraceEvent.Marker(ns, plain(from, to));
          default -> new TraceEvent.Other(ns, name, plain(from, to));
        };
    if (event == null || failed) {
      unread = true;
      return new TraceEvent.Other(ns, name, plain(from, to));
    }
    return event;
  }

  private TraceEvent ioctlEntered(long ns) {
    skip("(");
    literal("fd: ");
    int fd = (int) prefixedHex();
    literal(", cmd: ");
    int cmd = (int) prefixedHex();
    literal(", arg: ");
    return new TraceEvent.IoctlEntered(ns, fd, cmd, prefixedHex());
  }

  private TraceEvent ioctlReturned(long ns) {
    boolean negative = skip("-");
    long ret = prefixedHex();
    return new TraceEvent.IoctlReturned(ns, negative ? -ret : ret);
  }

  private TraceEvent entry(long ns) {
    literal("vcpu ");
    int vcpu = (int) decimal();
    long rip = TraceEvent.NOT_PRINTED;
    long intrInfo = TraceEvent.NOT_PRINTED;
    long errorCode = TraceEvent.NOT_PRINTED;
    if (skip(", rip 0x") || skip(" rip 0x")) {
      rip = hex();
    }
    if (skip(" intr_info 0x")) {
      intrInfo = hex();
      literal(" error_code 0x");
      errorCode = hex();
    }
    boolean immediate = skip("[immediate exit]");
    newTail();
    return new TraceEvent.VmEntry(ns, vcpu, rip, intrInfo, errorCode, immediate);
  }

  private @Nullable TraceEvent exit(long ns, boolean nested) {
    skip("<CANT FIND FIELD rip>");
    if (!startsWith(at, "vcpu ")) {
      return reprintedExit(ns, nested);
    }
    literal("vcpu ");
    int vcpu = (int) decimal();
    literal(" reason ");
    int reasonEnd = find(" rip 0x");
    if (reasonEnd < 0) {
      return null;
    }
    int split = flagsAt(reasonEnd);
    String reason = wordTo(split);
    String flags = flagsTo(reasonEnd);
    literal(" rip 0x");
    long rip = hex();
    literal(" info1 0x");
    long info1 = hex();
    literal(" info2 0x");
    long info2 = hex();
    literal(" intr_info 0x");
    long intrInfo = hex();
    literal(" error_code 0x");
    long errorCode = hex();
    long requests = skip(" requests 0x") ? hex() : TraceEvent.NOT_PRINTED;
    newTail();
    return nested
        ? new TraceEvent.NestedVmExit(
            ns, vcpu, reason, flags, rip, info1, info2, intrInfo, errorCode, requests)
        : new TraceEvent.VmExit(
            ns, vcpu, reason, flags, rip, info1, info2, intrInfo, errorCode, requests);
  }

  /** {@code reason EXTERNAL_INTERRUPT rip 0xffffffff81000000 info 0 800000fc}, without a vCPU. */
  private @Nullable TraceEvent reprintedExit(long ns, boolean nested) {
    long none = TraceEvent.NOT_PRINTED;
    literal("reason ");
    int reasonEnd = find(" rip 0x");
    if (reasonEnd < 0 || nested) {
      return null;
    }
    String reason = wordTo(reasonEnd);
    literal(" rip 0x");
    long rip = hex();
    boolean informed = skip(" info ");
    long info1 = informed ? hex() : none;
    long info2 = informed && skip(" ") ? hex() : none;
    newTail();
    return new TraceEvent.VmExit(
        ns,
        (int) none,
        LibraryNames.reason(reason),
        LibraryNames.flags(reason),
        rip,
        info1,
        info2,
        none,
        none,
        none);
  }

  /** {@code reason TRIPLE_FAULT info1 1 info2 2 int_info 3 int_info_err 4}. */
  private @Nullable TraceEvent reprintedInject(long ns) {
    literal("reason ");
    int reasonEnd = find(" info1 ");
    if (reasonEnd < 0) {
      return null;
    }
    String reason = wordTo(reasonEnd);
    literal(" info1 ");
    long info1 = hex();
    literal(" info2 ");
    long info2 = hex();
    literal(" int_info ");
    long intrInfo = hex();
    literal(" int_info_err ");
    long errorCode = hex();
    complete();
    return new TraceEvent.NestedVmExitInject(
        ns,
        LibraryNames.reason(reason),
        LibraryNames.flags(reason),
        info1,
        info2,
        intrInfo,
        errorCode);
  }

  /** {@code [FAILED TO PARSE] exception=14 has_error=1 error_code=2 reinjected=1}. */
  private TraceEvent unparsedException(long ns) {
    literal(" exception=");
    int vector = (int) decimal();
    literal(" has_error=");
    boolean hasCode = decimal() != 0;
    literal(" error_code=");
    long errorCode = decimal();
    boolean again = skip(" reinjected=") && decimal() != 0;
    newTail();
    return new TraceEvent.InjectedException(
        ns, LibraryNames.exception(vector), hasCode ? errorCode : TraceEvent.NOT_PRINTED, again);
  }

  /**
   * Where the reason's name ends and its flags begin: at the first blank, but for the exception
   * intercepts of SVM, whose names ({@code PF excp}) have one.
   */
  private int flagsAt(int reasonEnd) {
    for (int i = at; i < reasonEnd; i++) {
      if (text[i] == ' ') {
        return startsWith(i, " excp") ? i + " excp".length() : i;
      }
    }
    return reasonEnd;
  }

  private String flagsTo(int flagsEnd) {
    if (at < flagsEnd && text[at] == ' ') {
      at++;
    }
    return at == flagsEnd ? "" : wordTo(flagsEnd);
  }

  private TraceEvent nestedEnter(long ns) {
    literal("rip: 0x");
    long rip = hex();
    boolean svm = skip(" vmcb: 0x");
    if (!svm) {
      literal(" vmcs: 0x");
    }
    long vmcs = hex();
    literal(" nested_rip: 0x");
    long nestedRip = hex();
    literal(" int_ctl: 0x");
    long intCtl = hex();
    literal(" event_inj: 0x");
    long eventInj = hex();
    literal(svm ? " nested_npt=" : " nested_ept=");
    boolean paging = either("y ", "n ");
    int nameEnd = find(": 0x");
    if (nameEnd < 0) {
      failed = true;
      nameEnd = at;
    }
    String rootName = wordTo(nameEnd);
    literal(": 0x");
    long root = hex();
    complete();
    return new TraceEvent.NestedVmEnter(
        ns, svm, rip, vmcs, nestedRip, intCtl, eventInj, paging, rootName, root);
  }

  private TraceEvent nestedRun(long ns) {
    literal("rip: 0x");
    long rip = hex();
    literal(" vmcb: 0x");
    long vmcb = hex();
    literal(" nrip: 0x");
    long nestedRip = hex();
    literal(" int_ctl: 0x");
    long intCtl = hex();
    literal(" event_inj: 0x");
    long eventInj = hex();
    literal(" npt: ");
    boolean paging = either("on", "off");
    complete();
    return new TraceEvent.NestedVmEnter(
        ns, true, rip, vmcb, nestedRip, intCtl, eventInj, paging, "", TraceEvent.NOT_PRINTED);
  }

  private TraceEvent nestedIntercepts(long ns) {
    literal("cr_read: ");
    long crRead = hex();
    literal(" cr_write: ");
    long crWrite = hex();
    literal(" excp: ");
    long exceptions = hex();
    literal(" intercepts: ");
    long word3 = hex();
    literal(" ");
    long word4 = hex();
    literal(" ");
    long word5 = hex();
    complete();
    return new TraceEvent.NestedIntercepts(ns, crRead, crWrite, exceptions, word3, word4, word5);
  }

  private @Nullable TraceEvent nestedInject(long ns) {
    if (!startsWith(at, "reason: ")) {
      return reprintedInject(ns);
    }
    literal("reason: ");
    int reasonEnd = find(" ext_inf1: 0x");
    if (reasonEnd < 0) {
      return null;
    }
    int split = flagsAt(reasonEnd);
    String reason = wordTo(split);
    String flags = flagsTo(reasonEnd);
    literal(" ext_inf1: 0x");
    long info1 = hex();
    literal(" ext_inf2: 0x");
    long info2 = hex();
    literal(" ext_int: 0x");
    long intrInfo = hex();
    literal(" ext_int_err: 0x");
    long errorCode = hex();
    complete();
    return new TraceEvent.NestedVmExitInject(ns, reason, flags, info1, info2, intrInfo, errorCode);
  }

  private TraceEvent smm(long ns) {
    literal("vcpu ");
    int vcpu = (int) decimal();
    literal(": ");
    boolean entering = either("entering", "leaving");
    literal(" SMM, smbase 0x");
    long smbase = hex();
    complete();
    return new TraceEvent.SmmTransition(ns, vcpu, entering, smbase);
  }

  private @Nullable TraceEvent userspaceExit(long ns) {
    literal("reason ");
    int reasonEnd = find(" (");
    if (reasonEnd < 0) {
      return null;
    }
    String reason = wordTo(reasonEnd);
    literal(" (");
    int number = (int) decimal();
    literal(")");
    complete();
    return new TraceEvent.UserspaceExit(ns, reason, number);
  }

  private TraceEvent injectedException(long ns) {
    if (skip("[FAILED TO PARSE]")) {
      return unparsedException(ns);
    }
    int nameEnd = at;
    while (nameEnd < end && text[nameEnd] != ' ') {
      nameEnd++;
    }
    failed |= nameEnd == at;
    String name = wordTo(nameEnd);
    long errorCode = TraceEvent.NOT_PRINTED;
    if (skip(" (0x")) {
      errorCode = hex();
      literal(")");
    }
    boolean again = skip(" [reinjected]");
    complete();
    return new TraceEvent.InjectedException(ns, name, errorCode, again);
  }

  private TraceEvent injectedIrq(long ns) {
    if (skip("irq ")) {
      int vector = (int) decimal();
      complete();
      return new TraceEvent.InjectedIrq(ns, vector, false, false);
    }
    boolean soft = !either("IRQ", "Soft/INTn");
    literal(" 0x");
    int vector = (int) hex();
    boolean again = skip(" [reinjected]");
    complete();
    return new TraceEvent.InjectedIrq(ns, vector, soft, again);
  }

  private TraceEvent msr(long ns) {
    boolean write = either("msr_write ", "msr_read ");
    int index = (int) hex();
    literal(" = 0x");
    long value = hex();
    boolean faulted = skip(" (#GP)");
    complete();
    return new TraceEvent.MsrAccess(ns, write, index, value, faulted);
  }

  private TraceEvent controlRegister(long ns) {
    boolean write = either("cr_write ", "cr_read ");
    int register = (int) hex();
    literal(" = 0x");
    long value = hex();
    complete();
    return new TraceEvent.CrAccess(ns, write, register, value);
  }

  private TraceEvent pio(long ns) {
    boolean write = either("pio_write", "pio_read");
    literal(" at 0x");
    int port = (int) hex();
    literal(" size ");
    int size = (int) decimal();
    literal(" count ");
    long count = decimal();
    literal(" val 0x");
    long value = hex();
    skip(" (...)");
    complete();
    return new TraceEvent.Pio(ns, write, port, size, count, value);
  }

  private @Nullable TraceEvent mmio(long ns) {
    literal("mmio ");
    int kindEnd = find(" len ");
    if (kindEnd < 0) {
      return null;
    }
    String kind = wordTo(kindEnd);
    literal(" len ");
    int size = (int) decimal();
    literal(" gpa 0x");
    long gpa = hex();
    literal(" val 0x");
    long value = hex();
    complete();
    return new TraceEvent.Mmio(ns, kind, size, gpa, value);
  }

  private @Nullable TraceEvent emulate(long ns) {
    long csBase = hex();
    literal(":");
    long rip = hex();
    literal(":");
    if (!startsWith(at, " (") && skip(" ")) {
      return reprintedInsn(ns, csBase, rip);
    }
    int insnEnd = find(" (");
    if (insnEnd < 0) {
      return null;
    }
    Bytes insn = insn(insnEnd);
    literal(" (");
    int modeEnd = find(")");
    if (modeEnd < 0) {
      return null;
    }
    String mode = wordTo(modeEnd);
    literal(")");
    boolean failure = skip(" failed");
    complete();
    return new TraceEvent.EmulateInsn(ns, csBase, rip, insn, mode, failure);
  }

  /** {@code f0000:e05b: 2e 66 83 FAIL}; a library with a disassembler prints no bytes. */
  private TraceEvent reprintedInsn(long ns, long csBase, long rip) {
    int fail = find(" FAIL");
    boolean failure = fail >= 0 && fail + " FAIL".length() == end;
    int insnEnd = failure ? fail : end;
    boolean bytes = true;
    for (int i = at; i < insnEnd; i++) {
      bytes &=
          hexDigit(text[i]) >= 0 == ((i - at) % 3 != 2)
              && (text[i] == ' ' || hexDigit(text[i]) >= 0);
    }
    Bytes insn = bytes ? insn(insnEnd) : Bytes.EMPTY;
    return new TraceEvent.EmulateInsn(ns, csBase, rip, insn, "", failure);
  }

  /** The bytes of an instruction, two digits each with a blank between. */
  private Bytes insn(int insnEnd) {
    int size = (insnEnd - at + 1) / 3;
    if (insnEnd == at) {
      return Bytes.EMPTY;
    }
    if (size > MAX_INSN_SIZE || (insnEnd - at + 1) % 3 != 0) {
      failed = true;
      return Bytes.EMPTY;
    }
    byte[] insn = new byte[size];
    for (int i = 0; i < size; i++) {
      int high = Character.digit(text[at + 3 * i], 16);
      int low = Character.digit(text[at + 3 * i + 1], 16);
      failed |= high < 0 || low < 0;
      insn[i] = (byte) ((high << 4) | low);
    }
    at = insnEnd;
    return Bytes.wrap(insn);
  }

  private TraceEvent pageFault(long ns) {
    int vcpu = (int) TraceEvent.NOT_PRINTED;
    long rip = TraceEvent.NOT_PRINTED;
    if (skip("vcpu ")) {
      vcpu = (int) decimal();
      literal(" rip 0x");
      rip = hex();
      literal(" address 0x");
    } else {
      literal("address ");
    }
    long address = hex();
    literal(" error_code ");
    skip("0x");
    long errorCode = hex();
    complete();
    return new TraceEvent.PageFault(ns, vcpu, rip, address, errorCode);
  }
}
