package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.MomentIndex;

/** Keeps states and reads them back, for tests of other packages. */
public final class CheckpointProbe {
  private CheckpointProbe() {}

  /** The bytes of a state. */
  public static Bytes keep(ReplayState state) {
    return CheckpointCodec.write(state);
  }

  /** The state of these bytes. */
  public static ReplayState readBack(Bytes bytes, MomentIndex index, ClosedVms closed) {
    if (CheckpointCodec.read(bytes, earlier(index), closed) instanceof ReplayState state) {
      return state;
    }
    throw new AssertionError("a state is not read back");
  }

  /** A closed VM, read back from its bytes. */
  public static ClosedVm keepAndReadBack(ClosedVm vm) {
    MomentIndex none = MomentIndex.after(0, earlier(null));
    if (CheckpointCodec.read(CheckpointCodec.write(vm), earlier(none), ClosedVms.NONE)
        instanceof ClosedVm closed) {
      return closed;
    }
    throw new AssertionError("a closed VM is not read back");
  }

  private static MomentIndex.Earlier earlier(@org.jspecify.annotations.Nullable MomentIndex index) {
    return new MomentIndex.Earlier() {
      @Override
      public long seq(int moment) {
        return index == null ? -1 : index.seq(moment);
      }

      @Override
      public String name(int moment) {
        return index == null ? "" : index.name(moment);
      }
    };
  }
}
