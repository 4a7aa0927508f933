package dev.faultline.store;

import java.io.IOException;
import java.net.URL;
import java.net.URLConnection;
import java.net.URLStreamHandler;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.axonframework.config.DefaultConfigurer;
import org.axonframework.updates.UpdateChecker;

/**
 * A process of its own in which whoever wants to open a connection by URL is caught before any
 * socket is opened. It says {@code caught URL} or {@code quiet}.
 *
 * <p>It is none of JUnit: Axon asks nobody for updates where it sees a test.
 */
final class NetworkTrap {
  /** Axon asks a second after its start. */
  private static final long PATIENCE_S = 3;

  private static final CountDownLatch CAUGHT = new CountDownLatch(1);

  private NetworkTrap() {}

  /** Arguments: {@code axon} for Axon as it comes, or the store to open and to write into. */
  public static void main(String[] args) throws InterruptedException {
    URL.setURLStreamHandlerFactory(protocol ->
        protocol.startsWith("http") || protocol.equals("ftp") ? new Trap(protocol) : null);
    if (args[0].equals("axon")) {
      askForUpdates();
      tell();
      System.exit(0);
    }
    try (TimelineStore store = TimelineStore.open(StoreLocation.of(args[0]))) {
      store
          .machinery()
          .publish(List.of(new StoredEventMessage("t:vm1", 0, Samples.mark(0, "x"), null)));
      store.list();
      // With the switch that the store has set, not even this asks.
      askForUpdates();
      tell();
    }
    System.exit(0);
  }

  /** What starts Axon's question for updates wherever all of its modules are found. */
  private static void askForUpdates() {
    DefaultConfigurer.defaultConfiguration().start().getComponent(UpdateChecker.class).start();
  }

  private static void tell() throws InterruptedException {
    if (!CAUGHT.await(PATIENCE_S, TimeUnit.SECONDS)) {
      System.out.println("quiet");
    }
  }

  /** Opens nothing. */
  private static final class Trap extends URLStreamHandler {
    private final String protocol;

    Trap(String protocol) {
      this.protocol = protocol;
    }

    @Override
    protected URLConnection openConnection(URL url) throws IOException {
      System.out.println("caught " + protocol + "://" + url.getHost());
      CAUGHT.countDown();
      throw new IOException("caught");
    }
  }
}
