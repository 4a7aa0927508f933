package dev.faultline.store;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The kinds of stored events, each with a name, a version and its fields.
 *
 * <p><i>Shape</i>: an event has numbers, texts and byte strings, in this order, each field known by
 * its place. A kind whose last text or byte string ends in {@code *} may have any number of them.
 *
 * <p>{@link #code()} stands in the stored bytes for name and version. A code, a name and the
 * meaning of a field are never changed and never used again: an event that changes gets the next
 * version under a new code, and the old one stays readable.
 *
 * <p>Facts are what was recorded. What {@link #isDecided() was decided} nobody recorded: it follows
 * in a fork of a timeline, and is carried out again as its rules say. {@link #isJudgement()
 * Judgements} are what the model concluded when the event was stored; re-execution passes them over
 * and concludes again.
 */
// Lists and the array are filled once, by List.of and by the constructor.
@SuppressWarnings("ImmutableEnumChecker")
public enum EventType {
  /** The recording that the timeline is made of, and what is known of its machine. */
  RECORDING_OPENED(
      1,
      "RecordingOpened",
      "hasTrace format",
      "source name command kernel insmodParams params*",
      ""),
  /** The recording came to its end, with how its trace was merged. */
  RECORDING_ENDED(
      2,
      "RecordingEnded",
      "merged lines events damaged unread lost gaps overwritten enters exits attached outside"
          + " overwrittenEvents mismatched tracePlaces leftDamaged leftUnreturned",
      "places*",
      ""),
  /** The recording cannot be read further. */
  RECORDING_DAMAGED(3, "RecordingDamaged", "", "sentence", ""),
  /** The timeline is made of several inputs, merged by clock. */
  INPUTS_MERGED(4, "InputsMerged", "uncertaintyNs near", "clock sources*", ""),
  /** An ioctl, with its payload before and after; {@code traced} events of its trace follow. */
  IOCTL_RETURNED(
      10,
      "IoctlReturned",
      "seq enterNs exitNs line pid tid fd req arg ret errno coverage traced held",
      "name fdKind obj file",
      "in out runIn runOut bitmap attrData shown msrFilter*"),
  /** KVM_RUN began; {@code traced} events of its trace and {@link #RUN_RETURNED} follow. */
  RUN_ENTERED(
      11,
      "RunEntered",
      "seq enterNs line pid tid fd req arg traced held",
      "name fdKind obj file",
      "in runIn shown"),
  /** KVM_RUN returned. */
  RUN_RETURNED(12, "RunReturned", "exitNs ret errno coverage", "", "out runOut"),
  /** A vCPU's kvm_run page was mapped. */
  KVM_RUN_MAPPED(
      13, "KvmRunMapped", "seq enterNs line tid fd length offset address", "obj file", ""),
  /** A KVM descriptor was closed. */
  DESCRIPTOR_CLOSED(14, "DescriptorClosed", "seq enterNs line tid fd ret", "fdKind obj file", ""),
  /** What the recorded program wanted to have noted. */
  MARKED(15, "Marked", "seq enterNs line tid", "text file", ""),
  /** The recorded program was started. */
  PROGRAM_STARTED(16, "ProgramStarted", "seq enterNs line pid", "recorder file argv*", ""),
  /** A thread ended. */
  THREAD_EXITED(17, "ThreadExited", "seq enterNs line tid tgid code signal", "file", ""),
  /** The recorder's time was over. */
  RECORDER_TIMED_OUT(18, "RecorderTimedOut", "seq enterNs line", "file", ""),
  /** A line of a kind that the importing version did not know. */
  LINE_NOT_UNDERSTOOD(19, "LineNotUnderstood", "seq enterNs line", "kind text file", ""),

  /** The save map in SMRAM, as the recorder read it. */
  SMRAM_CAPTURED(20, "SmramCaptured", "seq enterNs line tid smbase", "obj file", "map"),

  /** KVM entered the guest. */
  VM_ENTERED(30, "VmEntered", "ns vcpu rip intrInfo errorCode immediateExit", "", ""),
  /** The guest left to KVM. */
  VM_EXITED(
      31, "VmExited", "ns vcpu rip info1 info2 intrInfo errorCode requests", "reason flags", ""),
  /** L2 left. */
  L2_EXITED(
      32, "L2Exited", "ns vcpu rip info1 info2 intrInfo errorCode requests", "reason flags", ""),
  /** The vCPU went from L1 to L2. */
  NESTED_VM_ENTERED(
      33,
      "NestedVmEntered",
      "ns svm rip vmcs nestedRip intCtl eventInj nestedPaging root",
      "rootName",
      ""),
  /** What L1 intercepts of L2, on SVM. */
  INTERCEPTS_SHOWN(34, "InterceptsShown", "ns crRead crWrite exceptions word3 word4 word5", "", ""),
  /** A nested VM-Enter failed a check. */
  NESTED_VM_ENTRY_FAILED(35, "NestedVmEntryFailed", "ns", "message", ""),
  /** L1 received an exit of L2. */
  NESTED_VM_EXITED(36, "NestedVmExited", "ns info1 info2 intrInfo errorCode", "reason flags", ""),
  /** An SMI put the vCPU into system management mode. */
  SMM_ENTERED(37, "SmmEntered", "ns vcpu smbase", "", ""),
  /** RSM took the vCPU out of system management mode. */
  SMM_LEFT(38, "SmmLeft", "ns vcpu smbase", "", ""),
  /** KVM traced how KVM_RUN returns. */
  USERSPACE_EXIT_TRACED(39, "UserspaceExitTraced", "ns number", "reason", ""),
  /** KVM injected an exception. */
  EXCEPTION_INJECTED(40, "ExceptionInjected", "ns errorCode reinjected", "exception", ""),
  /** KVM injected an interrupt. */
  INTERRUPT_INJECTED(41, "InterruptInjected", "ns vector soft reinjected", "", ""),
  /** The guest read or wrote an MSR. */
  MSR_ACCESSED(42, "MsrAccessed", "ns write index value faulted", "", ""),
  /** The guest read or wrote a control register. */
  CR_ACCESSED(43, "CrAccessed", "ns write register value", "", ""),
  /** Port I/O of the guest. */
  PIO_DONE(44, "PioDone", "ns write port size count value", "", ""),
  /** Memory-mapped I/O of the guest. */
  MMIO_DONE(45, "MmioDone", "ns size gpa value", "kind", ""),
  /** KVM emulated an instruction. */
  INSTRUCTION_EMULATED(46, "InstructionEmulated", "ns csBase rip failed", "mode", "insn"),
  /** A page fault or an EPT violation. */
  PAGE_FAULTED(47, "PageFaulted", "ns vcpu rip address errorCode", "", ""),
  /** What a program wrote into the trace. */
  TRACE_MARKED(48, "TraceMarked", "ns", "text", ""),
  /** Any other event of the trace. */
  TRACED_OTHERWISE(49, "TracedOtherwise", "ns", "name text", ""),
  /** A thread entered ioctl(2). */
  SYSCALL_ENTERED(50, "SyscallEntered", "ns fd cmd arg", "", ""),
  /** A thread returned from ioctl(2). */
  SYSCALL_RETURNED(51, "SyscallReturned", "ns ret", "", ""),

  /** KVM makes an exit of L2 to L1 with TRIPLE_FAULT; the VM-Enter it belongs to is next to it. */
  TRIPLE_FAULT_SYNTHESIZED(60, "TripleFaultSynthesized", "seq", "cause check", ""),
  /** The recording differs from the model. */
  DIVERGENCE_FOUND(
      61,
      "DivergenceFound",
      "seq at",
      "lane ioctl what field recorded predicted because where",
      ""),

  /** An ioctl that nobody made, other than KVM_RUN, with what KVM's rules answer. */
  CALL_DECIDED(
      70, "CallDecided", "seq ns fd req arg ret errno", "name fdKind obj outcome check", "in"),
  /** A KVM_RUN that nobody made; {@link #RUN_ANSWERED} follows. */
  RUN_DECIDED(71, "RunDecided", "seq ns fd req arg", "name fdKind obj", "runIn"),
  /** Such a KVM_RUN comes to the VM-Enter, at which L2 is judged. */
  VM_ENTRY_DECIDED(72, "VmEntryDecided", "seq", "", ""),
  /** Such a KVM_RUN comes back, as far as the rules tell. */
  RUN_ANSWERED(73, "RunAnswered", "ret errno exit", "outcome check", "");

  /** Numbers that follow one another over all kinds: sequence number, time, line. */
  static final int CLOCKS = 3;

  private static final EventType[] BY_CODE = byCode();

  private final int code;
  private final String storedName;
  private final int version;
  private final List<String> numbers;
  private final List<String> texts;
  private final List<String> blobs;
  private final int[] clocks;

  EventType(int code, String storedName, String numbers, String texts, String blobs) {
    this.code = code;
    this.storedName = storedName;
    this.version = 1;
    this.numbers = words(numbers);
    this.texts = words(texts);
    this.blobs = words(blobs);
    this.clocks = this.numbers.stream().mapToInt(EventType::clockOf).toArray();
  }

  private static List<String> words(String words) {
    return words.isEmpty() ? List.of() : List.of(words.split(" ", -1));
  }

  private static int clockOf(String number) {
    return switch (number) {
      case "seq" -> 0;
      case "enterNs", "exitNs", "ns" -> 1;
      case "line" -> 2;
      default -> -1;
    };
  }

  private static EventType[] byCode() {
    int most = Arrays.stream(values()).mapToInt(EventType::code).max().orElse(0);
    EventType[] types = new EventType[most + 1];
    for (EventType type : values()) {
      types[type.code] = type;
    }
    return types;
  }

  /** The kind with this code, or null if this version knows none. */
  static @Nullable EventType ofCode(int code) {
    return code >= 0 && code < BY_CODE.length ? BY_CODE[code] : null;
  }

  /** What stands for name and version in stored bytes. */
  public int code() {
    return code;
  }

  /** The event's name. */
  public String storedName() {
    return storedName;
  }

  /** The version of the event's fields. */
  public int version() {
    return version;
  }

  /** The names of the fields, in order: numbers, texts, byte strings. */
  public List<String> fields() {
    List<String> all = new ArrayList<>(numbers);
    all.addAll(texts);
    all.addAll(blobs);
    return List.copyOf(all);
  }

  /** True for what the model concluded; all others are facts. */
  public boolean isJudgement() {
    return this == TRIPLE_FAULT_SYNTHESIZED || this == DIVERGENCE_FOUND || this == VM_ENTRY_DECIDED;
  }

  /** True for what belongs to a call that nobody made. */
  public boolean isDecided() {
    return code >= CALL_DECIDED.code && code <= RUN_ANSWERED.code;
  }

  /** True for an event that begins what one line of a recording tells. */
  public boolean isFirstOfLine() {
    return this == CALL_DECIDED
        || this == RUN_DECIDED
        || (code >= IOCTL_RETURNED.code && code <= SMRAM_CAPTURED.code && this != RUN_RETURNED);
  }

  /** True for an event behind everything else of its moment. */
  boolean isLastOfMoment() {
    return this == RECORDING_ENDED || this == RECORDING_DAMAGED || this == INPUTS_MERGED;
  }

  /** True for an event of the kernel's trace. */
  public boolean isTraced() {
    return code >= VM_ENTERED.code && code <= SYSCALL_RETURNED.code;
  }

  /** The place of a number by its name. */
  int numberAt(String name) {
    return numbers.indexOf(name);
  }

  int numberCount() {
    return numbers.size();
  }

  int textCount() {
    return texts.size();
  }

  int blobCount() {
    return blobs.size();
  }

  /** True if there may be more texts, or none for the last name. */
  boolean hasManyTexts() {
    return !texts.isEmpty() && texts.getLast().endsWith("*");
  }

  boolean hasManyBlobs() {
    return !blobs.isEmpty() && blobs.getLast().endsWith("*");
  }

  /** Which clock a number follows, or -1. */
  int clock(int number) {
    return clocks[number];
  }

  /** Whether payloads and numbers resemble the last event of the same ioctl. */
  boolean isByName() {
    return this == IOCTL_RETURNED;
  }
}
