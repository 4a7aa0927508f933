package dev.faultline.record;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The machine that a recording is made on.
 *
 * @param kernel release and version, as {@code uname -r} and {@code uname -v} print them
 * @param cpu the processor's name
 * @param params the parameters of KVM's modules, {@code kvm_intel.ept} to {@code Y}
 * @param capabilities what KVM_CHECK_EXTENSION answers, where it is not 0
 * @param cpuid the entries that KVM supports, as KVM_GET_SUPPORTED_CPUID returns them
 */
record HostFacts(
    String kernel,
    String cpu,
    SortedMap<String, String> params,
    SortedMap<String, Integer> capabilities,
    Bytes cpuid) {

  private static final int CPUID_MOST = 256;
  private static final int O_RDWR_CLOEXEC = 2 | 0x80000;

  /** Of this machine; what it does not tell is left out. */
  static HostFacts read(LibC libc, Arena arena) {
    SortedMap<String, Integer> capabilities = new TreeMap<>();
    Bytes cpuid = Bytes.EMPTY;
    int kvm = libc.open(arena.allocateFrom("/dev/kvm"), O_RDWR_CLOEXEC);
    if (kvm >= 0) {
      for (KvmCap cap : KvmCap.values()) {
        int answer = libc.ioctl(kvm, Ioctl.CHECK_EXTENSION.number(), cap.number());
        if (answer > 0) {
          capabilities.put(cap.name(), answer);
        }
      }
      cpuid = readCpuid(libc, arena, kvm);
      libc.close(kvm);
    }
    return new HostFacts(
        line("/proc/sys/kernel/osrelease") + " " + line("/proc/sys/kernel/version"),
        readCpu(),
        readParams(),
        capabilities,
        cpuid);
  }

  private static Bytes readCpuid(LibC libc, Arena arena, int kvm) {
    long size = KvmCpuid2.HEADER_SIZE + (long) CPUID_MOST * KvmCpuid2.ENTRY_SIZE;
    MemorySegment list = arena.allocate(size, Long.BYTES);
    list.set(ValueLayout.JAVA_INT, 0, CPUID_MOST);
    long request = Integer.toUnsignedLong(Ioctl.GET_SUPPORTED_CPUID.number());
    if (libc.ioctl(kvm, request, list.address()) != 0) {
      return Bytes.EMPTY;
    }
    int count = Math.min(list.get(ValueLayout.JAVA_INT, 0), CPUID_MOST);
    long held = KvmCpuid2.HEADER_SIZE + (long) count * KvmCpuid2.ENTRY_SIZE;
    return Bytes.wrap(list.asSlice(0, held).toArray(ValueLayout.JAVA_BYTE));
  }

  private static String line(String file) {
    try {
      return Files.readString(Path.of(file), StandardCharsets.ISO_8859_1).strip();
    } catch (IOException e) {
      return "";
    }
  }

  private static String readCpu() {
    try (var lines = Files.lines(Path.of("/proc/cpuinfo"), StandardCharsets.ISO_8859_1)) {
      return lines
          .filter(text -> text.startsWith("model name"))
          .findFirst()
          .map(text -> text.substring(text.indexOf(':') + 1).strip())
          .orElse("");
    } catch (IOException e) {
      return "";
    }
  }

  private static SortedMap<String, String> readParams() {
    SortedMap<String, String> params = new TreeMap<>();
    try (DirectoryStream<Path> modules = Files.newDirectoryStream(Path.of("/sys/module"), "kvm*")) {
      for (Path module : modules) {
        params(module, params);
      }
    } catch (IOException e) {
      return params;
    }
    return params;
  }

  private static void params(Path module, SortedMap<String, String> into) throws IOException {
    Path folder = module.resolve("parameters");
    if (!Files.isDirectory(folder)) {
      return;
    }
    try (DirectoryStream<Path> found = Files.newDirectoryStream(folder)) {
      for (Path param : found) {
        if (Files.isReadable(param)) {
          into.put(module.getFileName() + "." + param.getFileName(), line(param.toString()));
        }
      }
    }
  }
}
