package dev.faultline.cli;

/** The program. */
public final class Main {
  private Main() {}

  /** Runs the command line and ends the process with its exit status. */
  public static void main(String[] args) {
    System.out.println("faultline " + args.length);
  }
}
