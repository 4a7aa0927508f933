package dev.faultline.store;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;

/**
 * A PostgreSQL of Debian's package, started once for all tests on the loopback address, in a folder
 * of its own, as a user that is not root; stopped when the tests end.
 *
 * <p>Where the package is not installed, tests are skipped and say so, unless {@code
 * FAULTLINE_POSTGRES=required} is set.
 */
public final class PostgresServer {
  private static final Path PACKAGES = Path.of("/usr/lib/postgresql");
  private static final PostgresServer ONLY = new PostgresServer();

  private @Nullable String base;
  private @Nullable String missing;
  private int databases;

  private PostgresServer() {}

  /** The URL of a database that nobody used yet; skips the test where there is no server. */
  public static String freshDatabase() {
    return ONLY.fresh();
  }

  private synchronized String fresh() {
    if (base == null && missing == null) {
      start();
    }
    if (base == null) {
      if ("required".equals(System.getenv("FAULTLINE_POSTGRES"))) {
        throw new AssertionError("PostgreSQL is required here: " + missing);
      }
      System.err.println("SKIPPED without PostgreSQL: " + missing);
      Assumptions.abort("no PostgreSQL: " + missing);
    }
    String name = "faultline" + ++databases;
    try (Connection connection = DriverManager.getConnection(base + "postgres?user=postgres");
        Statement statement = connection.createStatement()) {
      statement.execute("CREATE DATABASE " + name);
    } catch (SQLException e) {
      throw new AssertionError("PostgreSQL does not make a database", e);
    }
    return base + name + "?user=postgres";
  }

  private void start() {
    Path bin = bin();
    if (bin == null) {
      missing = "install Debian's package postgresql";
      return;
    }
    try {
      Path folder = Files.createTempDirectory("faultline-postgres");
      Path data = folder.resolve("data");
      List<String> as = new ArrayList<>();
      if (System.getProperty("user.name").equals("root")) {
        run(folder, List.of("chown", "postgres", folder.toString()));
        as.addAll(List.of("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"));
      }
      List<String> init = new ArrayList<>(as);
      init.addAll(
          List.of(
              bin.resolve("initdb").toString(),
              "-D",
              data.toString(),
              "-U",
              "postgres",
              "-A",
              "trust",
              "-N",
              "--locale=C.UTF-8"));
      run(folder, init);
      int port = freePort();
      List<String> serve = new ArrayList<>(as);
      serve.addAll(
          List.of(
              bin.resolve("postgres").toString(),
              "-D",
              data.toString(),
              "-p",
              Integer.toString(port),
              "-k",
              "",
              "-c",
              "listen_addresses=127.0.0.1",
              "-c",
              "max_connections=60"));
      Process server =
          new ProcessBuilder(serve)
              .directory(folder.toFile())
              .redirectErrorStream(true)
              .redirectOutput(folder.resolve("log").toFile())
              .start();
      Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server, folder)));
      base = "jdbc:postgresql://127.0.0.1:" + port + "/";
      await(server, base + "postgres?user=postgres", folder.resolve("log"));
    } catch (IOException e) {
      throw new AssertionError("PostgreSQL does not start", e);
    }
  }

  private static @Nullable Path bin() {
    if (!Files.isDirectory(PACKAGES)) {
      return null;
    }
    try (Stream<Path> versions = Files.list(PACKAGES)) {
      return versions
          .map(version -> version.resolve("bin"))
          .filter(bin -> Files.isExecutable(bin.resolve("initdb")))
          .sorted()
          .reduce((_, last) -> last)
          .orElse(null);
    } catch (IOException _) {
      return null;
    }
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  private static void run(Path folder, List<String> command) throws IOException {
    Process process =
        new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      if (process.waitFor() != 0) {
        throw new IOException(String.join(" ", command) + ": " + said);
      }
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  private static void await(Process server, String url, Path log) throws IOException {
    long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (true) {
      try (Connection _ = DriverManager.getConnection(url)) {
        return;
      } catch (SQLException e) {
        if (!server.isAlive() || System.nanoTime() > until) {
          throw new IOException(Files.readString(log), e);
        }
        Thread.onSpinWait();
      }
    }
  }

  private static void stop(Process server, Path folder) {
    server.destroy();
    try {
      server.waitFor(20, TimeUnit.SECONDS);
      try (Stream<Path> files = Files.walk(folder)) {
        List<Path> all = new ArrayList<>(files.toList());
        for (Path each : all.reversed()) {
          Files.deleteIfExists(each);
        }
      }
    } catch (IOException | InterruptedException e) {
      System.err.println("left behind: " + folder + " (" + e + ")");
    }
  }
}
