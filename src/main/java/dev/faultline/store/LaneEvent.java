package dev.faultline.store;

/**
 * A stored event and where it stands.
 *
 * @param timeline the timeline's name
 * @param lane the lane
 * @param sequence its number in the lane
 */
public record LaneEvent(String timeline, String lane, long sequence, StoredEvent event) {
  /** The lane of whatever belongs to no VM. */
  public static final String HOST = "host";

  private static final char SEPARATOR = ':';
  private static final int MOST_DIGITS = 10;

  /** The stream's name, as Axon calls aggregates. */
  String stream() {
    return stream(timeline, lane);
  }

  static String stream(String timeline, String lane) {
    return timeline + SEPARATOR + lane;
  }

  /** The timeline in the name of a stream. */
  static String timelineOf(String stream) {
    return stream.substring(0, Math.max(0, stream.indexOf(SEPARATOR)));
  }

  /** The lane in the name of a stream. */
  static String laneOf(String stream) {
    return stream.substring(stream.indexOf(SEPARATOR) + 1);
  }

  /** The lane of what is called {@code obj} in a recording: a vCPU, a VM, or the host. */
  public static String laneOfObject(String obj) {
    int end = digitsFrom(obj, "vm", 0);
    if (end < 0) {
      return HOST;
    }
    int vcpu = digitsFrom(obj, "/vcpu", end);
    return obj.substring(0, vcpu < 0 ? end : vcpu);
  }

  /** The end of a word and its digits from {@code at} on, or -1. */
  private static int digitsFrom(String text, String word, int at) {
    if (!text.startsWith(word, at)) {
      return -1;
    }
    int from = at + word.length();
    int end = from;
    while (end < text.length() && Character.isDigit(text.charAt(end))) {
      end++;
    }
    return end == from || end - from > MOST_DIGITS ? -1 : end;
  }
}
