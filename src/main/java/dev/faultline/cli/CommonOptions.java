package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.report.Ink;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;
import java.util.List;
import java.util.stream.Collectors;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** The options that all verbs over recordings share, with what they mean. */
final class CommonOptions {
  /** How results are written. */
  enum Format {
    TEXT,
    JSON
  }

  private final List<String> formats;
  private final OptionSpec format;
  private final OptionSpec kernel =
      OptionSpec.builder("--kernel")
          .paramLabel("VERSION")
          .type(String.class)
          .description(
              "Judge by the rules of this kernel and not of the one recorded: " + known() + ".")
          .build();
  private final OptionSpec vcpu =
      OptionSpec.builder("--vcpu")
          .paramLabel("N")
          .type(String.class)
          .description("Only this vCPU: its number, or its name as in vm1/vcpu0.")
          .build();
  private final OptionSpec noColor =
      OptionSpec.builder("--no-color")
          .type(boolean.class)
          .defaultValue("false")
          .description("Plain text even on a terminal; so does the environment variable NO_COLOR.")
          .build();

  private final StoreOption store = new StoreOption();

  /** Text and JSON. */
  CommonOptions() {
    this(List.of("text", "json"));
  }

  /** These formats, of which the first is the default. */
  CommonOptions(List<String> formats) {
    this.formats = formats;
    this.format =
        OptionSpec.builder("--format")
            .paramLabel("FORMAT")
            .type(String.class)
            .defaultValue(formats.getFirst())
            .description(formats.getFirst() + " (the default)" + others() + ".")
            .build();
  }

  private String others() {
    StringBuilder words = new StringBuilder();
    for (int i = 1; i < formats.size(); i++) {
      words.append(i < formats.size() - 1 ? ", " : " or ").append(formats.get(i));
    }
    return words.toString();
  }

  /** Gives the verb these options, and help. */
  void addTo(CommandSpec spec) {
    spec.addOption(format)
        .addOption(kernel)
        .addOption(vcpu)
        .addOption(noColor)
        .addOption(store.option())
        .addOption(Faultline.help());
  }

  /** Finds what the user names as input: files, folders, timelines of the store. */
  InputFinder inputs() {
    return new InputFinder(store.location());
  }

  /** How to write the result. */
  Format format() {
    String asked = format.getValue();
    return switch (asked) {
      case "text" -> Format.TEXT;
      case "json" -> Format.JSON;
      default ->
          throw new UsageException(
              ErrorCode.USAGE, "--format: expected text or json, found '" + asked + "'");
    };
  }

  /** The format asked for, one of those that the verb has. */
  String formatAsked() {
    String asked = format.getValue();
    if (!formats.contains(asked)) {
      throw new UsageException(
          ErrorCode.USAGE,
          "--format: expected one of " + String.join(", ", formats) + ", found '" + asked + "'");
    }
    return asked;
  }

  /** True if the user chose the kernel. */
  boolean kernelAsked() {
    return kernel.getValue() != null;
  }

  /** The kernel to judge by, where {@code recorded} is what the recording tells. */
  KernelModel kernel(KernelModel recorded) {
    String asked = kernel.getValue();
    if (asked == null) {
      return recorded;
    }
    KernelVersion version = KernelVersion.of(asked);
    if (version == null) {
      throw new UsageException(
          ErrorCode.KERNEL_UNKNOWN,
          "--kernel: expected one of " + known() + ", found '" + asked + "'");
    }
    return recorded.withVersion(version);
  }

  /** The vCPUs that the user wants to hear of. */
  VcpuFilter vcpus() {
    String asked = vcpu.getValue();
    return asked == null ? VcpuFilter.ALL : VcpuFilter.of(asked);
  }

  /** Colour on a terminal, unless the user does not want it. */
  Ink ink() {
    boolean plain = noColor.getValue();
    return !plain && Ansi.AUTO.enabled() ? Ink.ANSI : Ink.PLAIN;
  }

  private static String known() {
    return List.of(KernelVersion.values()).stream()
        .map(KernelVersion::label)
        .collect(Collectors.joining(", "));
  }
}
