package dev.faultline.ingest;

import dev.faultline.trace.InputFormat;

/** The numbers that stand for formats of inputs in stored events; none is ever given anew. */
final class Formats {
  private Formats() {}

  static long number(InputFormat format) {
    return switch (format) {
      case RECORDING -> 0;
      case STRACE -> 1;
      case KERNEL_TRACE -> 2;
      case UNKNOWN -> 3;
    };
  }

  static InputFormat of(long number) {
    return switch ((int) number) {
      case 0 -> InputFormat.RECORDING;
      case 1 -> InputFormat.STRACE;
      case 2 -> InputFormat.KERNEL_TRACE;
      default -> InputFormat.UNKNOWN;
    };
  }
}
