package dev.faultline.ingest;

import dev.faultline.FaultlineException;
import dev.faultline.InvariantViolation;
import dev.faultline.audit.Audit;
import dev.faultline.store.StoredBytes;
import dev.faultline.trace.Chunks;
import dev.faultline.trace.FtraceReader;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.KernelTraceReader;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.PairedReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.RecordingReader;
import dev.faultline.trace.StraceReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;

/**
 * What foreign bytes reach: every reader, every codec of stored bytes, and behind the readers the
 * model and the audit.
 *
 * <p>The one thing that may come of any input, but for a result, is a {@link FaultlineException}.
 */
enum FuzzTarget {
  /** Lines of a recording. */
  RECORDING(1 << 14) {
    @Override
    void take(byte[] input) {
      read(new RecordingReader(NAME, stream(input)));
    }
  },
  /** A recording and the kernel's trace beside it, a zero byte between them. */
  RECORDING_AND_TRACE(1 << 14) {
    @Override
    void take(byte[] input) {
      int cut = cut(input);
      read(
          new RecordingReader(
              NAME, stream(head(input, cut)), new FtraceReader(NAME, stream(tail(input, cut)))));
    }
  },
  /** Text of strace. */
  STRACE(1 << 12) {
    @Override
    void take(byte[] input) {
      read(new StraceReader(NAME, stream(input)));
    }
  },
  /** Text of strace and of ftrace of one run, a zero byte between them. */
  STRACE_AND_TRACE(1 << 13) {
    @Override
    void take(byte[] input) {
      int cut = cut(input);
      read(
          new PairedReader(
              new StraceReader(NAME, stream(head(input, cut))),
              new KernelTraceReader(NAME, new FtraceReader(NAME, stream(tail(input, cut))))));
    }
  },
  /** Text of ftrace, trace-cmd or perf. */
  KERNEL_TRACE(1 << 12) {
    @Override
    void take(byte[] input) {
      read(new KernelTraceReader(NAME, new FtraceReader(NAME, stream(input))));
    }
  },
  /** A recording or trace of any format, with the model and the rules of the audit behind it. */
  AUDIT(1 << 13) {
    @Override
    void take(byte[] input) {
      Audit audit = new Audit(NAME, KernelFacts.model(RecordingFacts.unknown(NAME)));
      try (ObservationReader reader = reader(input)) {
        while (reader.hasNext()) {
          audit.accept(RecordedCalls.convert(reader.next(), audit.nextMoment()));
        }
      }
      audit.result();
    }
  },
  /** The facts of a recording's machine. */
  FACTS(1 << 11) {
    @Override
    void take(byte[] input) {
      KernelFacts.model(RecordingFacts.read(NAME, NAME, stream(input)));
    }
  },
  /** A migration plan. */
  PLAN(1 << 12) {
    @Override
    void take(byte[] input) {
      Plans.read(NAME, input);
    }
  },
  /** The chunks of a recording, and the format of what is in them. */
  CHUNKS(1 << 12) {
    @Override
    void take(byte[] input) {
      InputFormat.of(input, input.length);
      Chunks.isStart(input);
      try (InputStream chunks = new Chunks.Input(stream(input))) {
        byte[] lines = chunks.readNBytes(1 << 20);
        InputFormat.of(lines, lines.length);
      } catch (IOException e) {
        // What a damaged stream is told by; RecordingReader makes a sentence of it.
        if (e.getMessage() == null) {
          throw new InvariantViolation("damage without a word on it");
        }
      }
    }
  },
  /** A run of stored events. */
  PART(1 << 12) {
    @Override
    void take(byte[] input) {
      StoredBytes.readPart(input);
    }
  },
  /** A kept state. */
  CHECKPOINT(1 << 11) {
    @Override
    void take(byte[] input) {
      StoredBytes.readCheckpoint(input);
    }
  };

  private static final String NAME = "input";
  private final int longest;

  FuzzTarget(int longest) {
    this.longest = longest;
  }

  /** No inputs of more bytes are made. */
  int longest() {
    return longest;
  }

  /** Takes an input in. */
  abstract void take(byte[] input);

  private static ObservationReader reader(byte[] input) {
    return switch (InputFormat.of(input, input.length)) {
      case STRACE -> new StraceReader(NAME, stream(input));
      case KERNEL_TRACE -> new KernelTraceReader(NAME, new FtraceReader(NAME, stream(input)));
      case RECORDING, UNKNOWN -> new RecordingReader(NAME, stream(input));
    };
  }

  private static void read(ObservationReader reader) {
    int moment = 0;
    try (reader) {
      while (reader.hasNext()) {
        RecordedCalls.convert(reader.next(), moment++);
      }
      reader.leftOut();
      reader.mergeReport();
    }
  }

  private static InputStream stream(byte[] input) {
    return new ByteArrayInputStream(input);
  }

  private static int cut(byte[] input) {
    int at = 0;
    while (at < input.length && input[at] != 0) {
      at++;
    }
    return at;
  }

  private static byte[] head(byte[] input, int cut) {
    return Arrays.copyOf(input, cut);
  }

  private static byte[] tail(byte[] input, int cut) {
    return Arrays.copyOfRange(input, Math.min(cut + 1, input.length), input.length);
  }
}
