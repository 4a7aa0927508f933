package dev.faultline;

/**
 * The stable codes of errors, {@code FL-nnn}: a user can search for one. A number is never given to
 * another meaning.
 *
 * <p><i>Shape</i>: 1xx traces and recordings, line by line; 2xx formats; 3xx the store; 4xx usage;
 * 9xx bugs.
 */
public enum ErrorCode {
  TRACE_SYNTAX(100, "A line of a trace cannot be read."),
  TRACE_LINE_TOO_LONG(101, "A line of a trace is longer than any recorder writes."),
  TRACE_PAYLOAD_TOO_LONG(102, "A payload in a trace is longer than any KVM struct."),
  TRACE_CUT_OFF(103, "A trace ends in the middle of a line."),
  TRACE_KEY_MISSING(104, "A line of a recording lacks a key that its kind of line must have."),
  TRACE_VALUE(105, "A value in a line of a recording is not of the type or range of its key."),
  TRACE_PAYLOAD_ENCODING(106, "A payload in a trace is not in the encoding that it claims."),
  TRACE_EVENT_SYNTAX(107, "The text of a kvm tracepoint cannot be read."),
  TRACE_ORDER(108, "The lines of a trace are in an order that no recorder writes."),
  TRACE_CLOCK(109, "Traces that should be merged have no clock in common."),

  STRUCT_SIZE(200, "A payload is not of the size of its struct."),
  STRUCT_VALUE(201, "A payload holds a count that its size contradicts."),
  RECORDING_CORRUPT(210, "A recording is damaged."),
  RECORDING_TOO_OLD(211, "A recording is of a format that is read no more."),
  RECORDING_TOO_NEW(212, "A recording is of a format that a later Faultline writes."),
  RECORDING_FACTS(213, "The facts beside a recording cannot be read."),
  INPUT_FORMAT_UNKNOWN(214, "A file is in none of the formats that Faultline reads."),
  INPUT_COMPRESSION(215, "A compressed file is damaged or cut off."),
  EVENT_CORRUPT(220, "A stored event is damaged."),
  EVENT_TOO_OLD(221, "A stored event is of a version that is read no more."),
  EVENT_TOO_NEW(222, "A stored event is of a version that a later Faultline writes."),
  CHECKPOINT_CORRUPT(223, "A checkpoint is damaged; it may be deleted."),
  PLAN_CORRUPT(230, "A migration plan cannot be read."),
  PLAN_TOO_NEW(231, "A migration plan is of a version that a later Faultline writes."),

  STORE_UNREACHABLE(300, "The store cannot be opened."),
  STORE_IO(301, "The store cannot be read or written."),
  STORE_LOCKED(302, "The store is in use by another process."),
  STORE_DAMAGED(303, "The store holds what its own hash contradicts."),
  STORE_SCHEMA_TOO_OLD(304, "The schema of the store is older than can be brought up to date."),
  STORE_SCHEMA_TOO_NEW(305, "The schema of the store is newer than this Faultline."),
  STORE_CONFLICT(306, "Another writer appended to the same stream."),
  IMPORT_DIFFERS(307, "A timeline already holds another input under this name."),
  FILE_UNREADABLE(310, "A file cannot be read."),
  FILE_UNWRITABLE(311, "A file cannot be written."),

  USAGE(400, "The command line cannot be understood."),
  INPUT_NOT_FOUND(401, "There is neither a timeline nor a file of this name."),
  MOMENT_UNKNOWN(402, "The timeline has no such moment."),
  VCPU_UNKNOWN(403, "The timeline has no such vCPU."),
  KERNEL_UNKNOWN(404, "There is no model of this kernel version."),
  PLAN_UNKNOWN(405, "There is no migration plan of this name."),
  POLICY_UNKNOWN(406, "There is no policy of this name."),
  RULE_UNKNOWN(407, "There is no rule of this name."),
  TIMELINE_EXISTS(408, "A timeline of this name is there already."),
  WINDOW_TOO_LARGE(409, "The window holds more calls than can be reordered."),
  WINDOW_EMPTY(410, "The window holds no call that can be reordered."),
  CANNOT_RECORD(411, "This machine or program cannot be recorded."),
  ANSWER_UNKNOWN(420, "KVM's rules do not tell what a call that nobody made returns."),
  INPUTS_UNMERGEABLE(421, "Inputs cannot be merged into one timeline."),

  BUG(900, "Faultline itself is wrong.");

  private final int number;
  private final String sentence;

  ErrorCode(int number, String sentence) {
    this.number = number;
    this.sentence = sentence;
  }

  /** The number in {@code FL-nnn}. */
  public int number() {
    return number;
  }

  /** The code as printed, {@code FL-200}. */
  public String id() {
    return "FL-" + number;
  }

  /** What the code means, in one sentence. */
  public String sentence() {
    return sentence;
  }
}
