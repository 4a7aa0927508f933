package dev.faultline.ingest;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.UsageException;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmInterrupt;
import dev.faultline.kvm.KvmMceSetup;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.trace.Observation;
import dev.faultline.vcpu.CommandPayload;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * Makes the payload of a call that nobody made from words: {@code tr.unusable=1}.
 *
 * <p>What a KVM_SET does not name is as the matching KVM_GET would return it now, as a VMM reads
 * state, changes some of it and writes it back. What is not known is not made up.
 */
public final class CallDraft {
  private static final long NESTED_BUFFER = 1 << 16;
  private static final int MOST_TOLD = 4;

  private CallDraft() {}

  /**
   * Argument and payload of a call.
   *
   * @param arg where the argument is no pointer
   * @param in what it points to, or the page of kvm_run
   */
  public record Drafted(long arg, Bytes in) {}

  /** A field in a payload. */
  private record Place(int offset, int width, boolean known) {}

  /**
   * The call in words.
   *
   * @param vcpu the vCPU as it is now; null for a call on a VM
   * @param words {@code FIELD=VALUE}; MSRs by name or number; {@code arg=VALUE}
   * @param like a recorded call whose payload is taken where words name nothing else, or null
   */
  public static Drafted of(
      Ioctl ioctl, @Nullable Vcpu vcpu, List<String> words, Observation.@Nullable Call like) {
    SequencedMap<String, Long> given = given(ioctl, words);
    Long asked = given.remove("arg");
    long arg = asked != null ? asked : like == null ? 0 : scalar(ioctl, like);
    if (ioctl == Ioctl.SET_MSRS || ioctl == Ioctl.GET_MSRS) {
      return new Drafted(0, given.isEmpty() && like != null ? like.in() : msrs(given));
    }
    Bytes recorded = like == null ? null : ioctl == Ioctl.RUN ? like.runIn() : like.in();
    StructLayout layout = layout(ioctl);
    if (layout != null) {
      Bytes base = recorded == null ? Bytes.zero(layout.size()) : recorded;
      return new Drafted(arg, set(ioctl, base, places(layout), given));
    }
    Reply reply = vcpu == null ? null : reply(ioctl, vcpu);
    if (reply == null) {
      demandNone(ioctl, given);
      return new Drafted(arg, recorded == null ? Bytes.EMPTY : recorded);
    }
    SequencedMap<String, Place> places = places(reply);
    if (recorded == null) {
      demandKnown(ioctl, places, given);
      recorded = bytes(reply, places);
    }
    return new Drafted(arg, set(ioctl, recorded, places, given));
  }

  /** An argument that is no pointer. */
  private static long scalar(Ioctl ioctl, Observation.Call like) {
    return ioctl.direction() == Ioctl.Direction.NONE ? like.arg() : 0;
  }

  private static SequencedMap<String, Long> given(Ioctl ioctl, List<String> words) {
    SequencedMap<String, Long> given = new LinkedHashMap<>();
    for (String word : words) {
      int equals = word.indexOf('=');
      Long value = equals <= 0 ? null : value(word.substring(equals + 1));
      if (value == null) {
        throw new UsageException(
            ErrorCode.USAGE,
            ioctl.uapiName() + ": expected FIELD=NUMBER (0x… or decimal), found '" + word + "'");
      }
      given.put(word.substring(0, equals), value);
    }
    return given;
  }

  private static @Nullable Long value(String text) {
    try {
      return text.startsWith("0x")
          ? Long.parseUnsignedLong(text.substring(2), 16)
          : Long.parseLong(text);
    } catch (NumberFormatException _) {
      return null;
    }
  }

  private static Bytes msrs(SequencedMap<String, Long> given) {
    List<MsrEntry> entries = new ArrayList<>();
    given.forEach((name, value) -> entries.add(new MsrEntry(msr(name), value)));
    return KvmMsrs.of(entries).raw();
  }

  private static int msr(String name) {
    Long number = value(name);
    if (number != null && number >>> Integer.SIZE == 0) {
      return number.intValue();
    }
    return Msr.ofName(name)
        .orElseThrow(() ->
            new UsageException(
                ErrorCode.USAGE,
                "expected an MSR by its number (0x6e0) or name (IA32_TSC_DEADLINE), found '"
                    + name
                    + "'"));
  }

  /** The struct of an ioctl that starts from zero. */
  private static @Nullable StructLayout layout(Ioctl ioctl) {
    return switch (ioctl) {
      case RUN -> KvmRun.LAYOUT;
      case ENABLE_CAP -> KvmEnableCap.LAYOUT;
      case SET_USER_MEMORY_REGION -> KvmUserspaceMemoryRegion.LAYOUT;
      case INTERRUPT -> KvmInterrupt.LAYOUT;
      case X86_SETUP_MCE -> KvmMceSetup.LAYOUT;
      default -> null;
    };
  }

  /** What the KVM_GET that belongs to a KVM_SET would return; null for other ioctls. */
  private static @Nullable Reply reply(Ioctl ioctl, Vcpu vcpu) {
    Ioctl get =
        switch (ioctl) {
          case SET_REGS -> Ioctl.GET_REGS;
          case SET_SREGS -> Ioctl.GET_SREGS;
          case SET_SREGS2 -> Ioctl.GET_SREGS2;
          case SET_VCPU_EVENTS -> Ioctl.GET_VCPU_EVENTS;
          case SET_NESTED_STATE -> Ioctl.GET_NESTED_STATE;
          case SET_MP_STATE -> Ioctl.GET_MP_STATE;
          case SET_DEBUGREGS -> Ioctl.GET_DEBUGREGS;
          case SET_XCRS -> Ioctl.GET_XCRS;
          case SET_XSAVE -> Ioctl.GET_XSAVE;
          case SET_LAPIC -> Ioctl.GET_LAPIC;
          default -> null;
        };
    if (get == null) {
      return null;
    }
    Bytes buffer =
        get == Ioctl.GET_NESTED_STATE
            ? Bytes.builder(Long.BYTES).put(Integer.BYTES, Integer.BYTES, NESTED_BUFFER).build()
            : Bytes.EMPTY;
    return VcpuModel.decide(vcpu, CommandPayload.vcpu(0, get, 0, buffer, buffer)).reply();
  }

  private static SequencedMap<String, Place> places(StructLayout layout) {
    SequencedMap<String, Place> places = new LinkedHashMap<>();
    for (StructField field : layout.fields()) {
      places.put(field.name(), new Place(field.offset(), field.width(), true));
    }
    return places;
  }

  private static SequencedMap<String, Place> places(Reply reply) {
    SequencedMap<String, Place> places = new LinkedHashMap<>();
    switch (reply) {
      case Reply.Struct s -> add(places, s);
      case Reply.Parts p -> p.parts().forEach(part -> add(places, part));
      case Reply.Msrs _, Reply.Cpuid _ -> {}
    }
    return places;
  }

  private static void add(SequencedMap<String, Place> places, Reply.Struct s) {
    for (int f = 0; f < s.count(); f++) {
      StructField field = s.layout().field(f);
      boolean known = s.known(f) || !field.isValue();
      places.put(s.name(f), new Place(s.offset() + field.offset(), field.width(), known));
    }
  }

  private static Bytes bytes(Reply reply, SequencedMap<String, Place> places) {
    int size = 0;
    for (Place place : places.values()) {
      size = Math.max(size, place.offset() + place.width());
    }
    Bytes.Builder bytes = Bytes.builder(size);
    for (int f = 0; f < reply.count(); f++) {
      Place place = places.get(reply.name(f));
      if (place != null && reply.known(f)) {
        bytes.put(place.offset(), place.width(), reply.predicted(f));
      }
    }
    return bytes.build();
  }

  private static Bytes set(
      Ioctl ioctl, Bytes base, Map<String, Place> places, Map<String, Long> given) {
    Bytes.Builder bytes = Bytes.builder(base.size()).putBytes(0, base);
    given.forEach((name, value) -> {
      Place place = places.get(name);
      if (place == null || place.offset() + place.width() > base.size()) {
        throw new UsageException(
            ErrorCode.USAGE,
            ioctl.uapiName() + ": expected one of its fields, found '" + name + "'");
      }
      bytes.put(place.offset(), place.width(), value);
    });
    return bytes.build();
  }

  private static void demandNone(Ioctl ioctl, Map<String, Long> given) {
    if (!given.isEmpty()) {
      throw new UsageException(
          ErrorCode.USAGE,
          ioctl.uapiName()
              + ": expected no FIELD=VALUE but arg=VALUE, found "
              + String.join(", ", given.keySet())
              + "; --like seq:N takes the payload of a recorded call");
    }
  }

  private static void demandKnown(
      Ioctl ioctl, SequencedMap<String, Place> places, Map<String, Long> given) {
    List<String> open = new ArrayList<>();
    places.forEach((name, place) -> {
      if (!place.known() && !given.containsKey(name)) {
        open.add(name);
      }
    });
    if (!open.isEmpty()) {
      int more = open.size() - MOST_TOLD;
      throw new UsageException(
          ErrorCode.ANSWER_UNKNOWN,
          ioctl.uapiName()
              + ": expected every field to be known at this moment or given, found that "
              + String.join(", ", open.subList(0, Math.min(MOST_TOLD, open.size())))
              + (more > 0 ? " and " + more + " more are not" : " is not")
              + "; give FIELD=VALUE, or take the payload of a recorded call by --like seq:N");
    }
  }
}
