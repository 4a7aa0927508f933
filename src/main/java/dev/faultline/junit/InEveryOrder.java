package dev.faultline.junit;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** On a parameter of type {@link Orders}: the recorded calls that are put into every order. */
@Documented
@Target(ElementType.PARAMETER)
@Retention(RetentionPolicy.RUNTIME)
public @interface InEveryOrder {
  /** The recording: a file, or the folder of one. */
  String recording();

  /** The recording's number of the first call. */
  long from();

  /** The recording's number of the last call; without it, the one before the next KVM_RUN. */
  long to() default -1;

  /** The kernel by whose rules the orders are judged, as in {@code 6.12}; else the recorded one. */
  String kernel() default "";
}
