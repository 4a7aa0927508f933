package dev.faultline.trace;

import dev.faultline.FaultlineException;
import java.util.Iterator;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * Gives what an input holds as observations, in the order in which the calls returned, whatever the
 * format of the input.
 *
 * <p>Streams: what it keeps in memory does not grow with the input.
 */
public interface ObservationReader extends Iterator<Observation>, AutoCloseable {
  /**
   * True if there is another observation.
   *
   * @throws FaultlineException if the input cannot be read on
   */
  @Override
  boolean hasNext();

  /**
   * The next observation.
   *
   * @throws NoSuchElementException if there is none
   */
  @Override
  Observation next();

  /**
   * How the trace beside the input was merged up to now; null if there is none. Complete once
   * {@link #hasNext()} is false.
   */
  @Nullable MergeReport mergeReport();

  /** The format of the input, which tells what it can hold. */
  InputFormat format();

  /** What could not be read and was left out, up to now. */
  default LeftOut leftOut() {
    return LeftOut.NOTHING;
  }

  /** How several inputs became one; null for one alone. */
  default @Nullable Merged merged() {
    return null;
  }

  /** Closes what it reads. */
  @Override
  void close();
}
