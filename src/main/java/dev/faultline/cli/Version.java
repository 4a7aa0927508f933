package dev.faultline.cli;

import java.util.Objects;
import picocli.CommandLine.IVersionProvider;

/** The version of this program, as {@code --version} and the written reports give it. */
final class Version implements IVersionProvider {
  /**
   * The version in the jar's manifest; {@code unpackaged} when the classes were not started from
   * the jar.
   */
  static String number() {
    return Objects.requireNonNullElse(
        Version.class.getPackage().getImplementationVersion(), "unpackaged");
  }

  @Override
  public String[] getVersion() {
    return new String[] {
      "faultline " + number() + " (Java " + System.getProperty("java.version") + ")"
    };
  }
}
