package dev.faultline.migration;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Nested;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vmx.Vmcs12;
import java.util.List;

/**
 * Nested state of which the recording shows that it is there, and not where: L1's VMXON region and
 * VMCS lie at addresses that nobody has read yet. Any two pages stand for them.
 */
final class UnseenVmcs {
  private static final StructLayout HEADER = KvmNestedState.HEADER_LAYOUT;
  private static final int FLAGS = HEADER.indexOf("flags");
  private static final int SMM_FLAGS = HEADER.indexOf("vmx.smm.flags");
  private static final int VMXON_PA = HEADER.indexOf("vmx.vmxon_pa");
  private static final int VMCS12_PA = HEADER.indexOf("vmx.vmcs12_pa");
  private static final int SIZE = HEADER.indexOf("size");
  private static final long ANY_PAGE = 0x1000;
  private static final long ANY_OTHER_PAGE = 0x2000;

  /** The fields of the header that may stand for what was not seen. */
  static final FieldSet PLACES = HEADER.of("vmx.vmxon_pa", "vmx.vmcs12_pa", "size");

  private UnseenVmcs() {}

  /** A read with pages for what was not seen; the read itself if it needs none. */
  static Reply completed(Vcpu v, Reply reply) {
    if (!v.kernel().isVmx() || !(reply instanceof Reply.Parts p)) {
      return reply;
    }
    Reply.Struct header = p.parts().getFirst();
    boolean seen = header.known(VMXON_PA) && header.known(VMCS12_PA) && header.known(SIZE);
    Nested.Mode mode = v.nested().mode();
    Answer current = mode.guestMode().or(mode.smmGuestMode().and(mode.smmVmxon()));
    boolean has = current.isYes() || p.parts().size() > 1;
    if (seen
        || !mode.vmxonAnywhere().isYes()
        || !header.known(FLAGS)
        || !header.known(SMM_FLAGS)
        || !has) {
      return reply;
    }
    Bytes.Builder bytes = header.bytes().toBuilder();
    place(bytes, header, VMXON_PA, ANY_PAGE);
    place(bytes, header, VMCS12_PA, ANY_OTHER_PAGE);
    place(bytes, header, SIZE, KvmNestedState.VMX_SIZE);
    Reply.Struct filled = new Reply.Struct("", 0, HEADER, bytes.build(), header.knownFields());
    Reply.Struct vmcs12 = p.parts().size() > 1 ? p.parts().get(1) : vmcs12(v.nested().vmcs12());
    return new Reply.Parts(List.of(filled, vmcs12));
  }

  private static void place(Bytes.Builder bytes, Reply.Struct header, int field, long value) {
    if (!header.known(field)) {
      bytes.put(HEADER.field(field).offset(), HEADER.field(field).width(), value);
    }
  }

  private static Reply.Struct vmcs12(Tracked kept) {
    Bytes bytes = kept.bytes().with(0, Integer.BYTES, Vmcs12.REVISION);
    return new Reply.Struct("", KvmNestedState.HEADER_SIZE, Vmcs12.LAYOUT, bytes, kept.known());
  }

  /** The migrated vCPU with the addresses that a later read shows of the one that stayed. */
  static Nested learned(Nested mine, Nested reference, Nested stayed) {
    FieldSet shown = stayed.header().known().minus(reference.header().known()).intersect(PLACES);
    boolean both = mine.mode().vmxonAnywhere().isYes() && stayed.mode().vmxonAnywhere().isYes();
    return shown.isEmpty() || !both
        ? mine
        : mine.withHeader(mine.header().learn(stayed.header().bytes(), shown));
  }
}
