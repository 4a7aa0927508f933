package dev.faultline.record;

import dev.faultline.kvm.Errno;
import dev.faultline.trace.Observation;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** KVM's ioctls thread by thread, {@code KVM_RUN = -1}: of a recording, and of strace's text. */
public final class StraceCalls {
  private static final Pattern LINE = Pattern.compile("(\\d+) +(.*)");
  private static final Pattern CALL =
      Pattern.compile("ioctl\\(\\d+, (KVM_\\w+)(?: or \\w+)?[,)].* = (-?\\w+)(?: (E\\w+).*)?");
  private static final String UNFINISHED = " <unfinished ...>";
  private static final String RESUMED = "<... ioctl resumed>";

  private StraceCalls() {}

  /** Of strace's text; threads in an order that does not depend on their numbers. */
  public static List<List<String>> of(String text) {
    Map<String, List<String>> threads = new TreeMap<>();
    Map<String, String> begun = new TreeMap<>();
    for (String line : text.lines().toList()) {
      Matcher parts = LINE.matcher(line);
      if (!parts.matches()) {
        continue;
      }
      String thread = parts.group(1);
      String call = parts.group(2);
      if (call.startsWith(RESUMED)) {
        call = begun.remove(thread) + call.substring(RESUMED.length());
      } else if (call.endsWith(UNFINISHED)) {
        begun.put(thread, call.substring(0, call.length() - UNFINISHED.length()));
        continue;
      }
      Matcher ioctl = CALL.matcher(call);
      if (ioctl.matches()) {
        String ret = Integer.decode(ioctl.group(2)).toString();
        String errno = ioctl.group(3) == null ? "" : " " + ioctl.group(3);
        threads
            .computeIfAbsent(thread, _ -> new ArrayList<>())
            .add(ioctl.group(1) + " = " + ret + errno);
      }
    }
    return sorted(threads.values());
  }

  /** Of a recording. */
  public static List<List<String>> of(List<Observation> recording) {
    Map<Long, TreeMap<Long, String>> threads = new TreeMap<>();
    for (Observation observation : recording) {
      if (observation instanceof Observation.Call call) {
        String errno = call.errno() == 0 ? "" : " " + errno(call.errno());
        threads
            .computeIfAbsent(call.tid(), _ -> new TreeMap<>())
            .put(call.seq(), call.name() + " = " + call.ret() + errno);
      }
    }
    List<List<String>> calls = new ArrayList<>();
    threads.values().forEach(thread -> calls.add(List.copyOf(thread.values())));
    return sorted(calls);
  }

  private static String errno(int number) {
    Errno errno = Errno.of(number);
    return errno == null ? "E" + number : errno.name();
  }

  private static List<List<String>> sorted(Iterable<List<String>> threads) {
    List<List<String>> sorted = new ArrayList<>();
    threads.forEach(sorted::add);
    sorted.sort(Comparator.<List<String>>comparingInt(List::size).thenComparing(Object::toString));
    return sorted;
  }
}
