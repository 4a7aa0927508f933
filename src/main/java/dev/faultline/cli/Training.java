package dev.faultline.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;

/**
 * Runs many command lines in one JVM, so that the build can keep the classes they load. No part of
 * the command line.
 *
 * <p><i>Shape</i> of standard input: one command line a line, words split at spaces; empty lines
 * and lines that begin with {@code #} are skipped. Output and exit status of the commands are
 * thrown away.
 */
final class Training {
  private Training() {}

  public static void main(String[] args) throws IOException {
    PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        if (!line.isBlank() && !line.startsWith("#")) {
          Main.run(Verbs.ALL, line.trim().split(" +", -1), nowhere, nowhere);
        }
      }
    }
  }
}
