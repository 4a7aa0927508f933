package dev.faultline.ingest;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.trace.TraceCoverage;

/** The numbers that stand for trace coverages in stored events; none is ever given anew. */
final class Coverages {
  private Coverages() {}

  static long number(TraceCoverage coverage) {
    return switch (coverage) {
      case COMPLETE -> 1;
      case FILTERED -> 2;
      case PARTIAL -> 3;
      case ABSENT -> 0;
    };
  }

  static TraceCoverage of(long number) {
    return switch ((int) number) {
      case 0 -> TraceCoverage.ABSENT;
      case 1 -> TraceCoverage.COMPLETE;
      case 2 -> TraceCoverage.FILTERED;
      case 3 -> TraceCoverage.PARTIAL;
      default ->
          throw FormatException.corrupt(
              ErrorCode.EVENT_CORRUPT,
              "a stored call: expected a trace coverage from 0 to 3, found " + number);
    };
  }
}
