package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import java.util.Collection;
import java.util.List;

/**
 * Which vCPUs the user wants to hear of: all, those of a number in every VM, or one by its name.
 *
 * @param asked the number, the name, or empty for all
 */
record VcpuFilter(String asked) {
  static final VcpuFilter ALL = new VcpuFilter("");

  private static final int MOST_NAMED = 8;

  /** What the user wrote after {@code --vcpu}. */
  static VcpuFilter of(String text) {
    if (!text.matches("[0-9]{1,9}|[^/\\s]+/vcpu[0-9]{1,9}")) {
      throw new UsageException(
          ErrorCode.VCPU_UNKNOWN,
          "--vcpu: expected a number or a name as in vm1/vcpu0, found '" + text + "'");
    }
    return new VcpuFilter(text);
  }

  boolean isAll() {
    return asked.isEmpty();
  }

  /** True for the name of a vCPU that the user wants to hear of. */
  boolean takes(String lane) {
    return isAll() || lane.equals(asked) || lane.endsWith("/vcpu" + asked);
  }

  /**
   * Demands that one of these is meant.
   *
   * @param where the recording, for the sentence
   */
  void demand(Collection<String> vcpus, String where) {
    if (isAll() || vcpus.stream().anyMatch(this::takes)) {
      return;
    }
    List<String> named = vcpus.stream().limit(MOST_NAMED).toList();
    String some =
        named.isEmpty()
            ? "no vCPU at all"
            : String.join(", ", named) + (vcpus.size() > MOST_NAMED ? ", …" : "");
    throw new UsageException(
        ErrorCode.VCPU_UNKNOWN,
        "--vcpu: expected a vCPU of " + where + ", which has " + some + ", found '" + asked + "'");
  }
}
