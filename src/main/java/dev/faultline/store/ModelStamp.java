package dev.faultline.store;

import dev.faultline.InvariantViolation;
import dev.faultline.timeline.Reexecution;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/**
 * Which program a checkpoint was made by: a hash over its classes. A state fits only the program
 * that made it, since the next one may know other rules.
 */
final class ModelStamp {
  private static final ClassValue<String> OF_PROGRAM =
      new ClassValue<>() {
        @Override
        protected String computeValue(Class<?> type) {
          return compute(type);
        }
      };

  private ModelStamp() {}

  static String current() {
    return OF_PROGRAM.get(Reexecution.class);
  }

  private static String compute(Class<?> type) {
    CodeSource source = type.getProtectionDomain().getCodeSource();
    MessageDigest digest = Hashes.sha256();
    try {
      Path path = Path.of(source.getLocation().toURI());
      if (Files.isDirectory(path)) {
        List<Path> classes;
        try (Stream<Path> walk = Files.walk(path)) {
          classes = walk.filter(file -> file.toString().endsWith(".class")).sorted().toList();
        }
        for (Path each : classes) {
          digest.update(Files.readAllBytes(each));
        }
      } else {
        try (InputStream in = Files.newInputStream(path)) {
          byte[] buffer = new byte[1 << 16];
          for (int got = in.read(buffer); got > 0; got = in.read(buffer)) {
            digest.update(buffer, 0, got);
          }
        }
      }
    } catch (IOException | URISyntaxException e) {
      throw new InvariantViolation("the program cannot read its own classes: " + e);
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
