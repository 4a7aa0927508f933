package dev.faultline.junit;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * On a parameter of type {@link RecordedMigration}: the recording whose vCPUs are migrated, and
 * how.
 */
@Documented
@Target(ElementType.PARAMETER)
@Retention(RetentionPolicy.RUNTIME)
public @interface Migrating {
  /** The recording: a file, or the folder of one. */
  String recording();

  /** The plan: the name of a shipped one, or a file that ends in .yaml. */
  String plan();

  /** The kernel of the destination, as in {@code 6.12}; the recorded one if it is empty. */
  String toKernel() default "";
}
