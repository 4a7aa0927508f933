package dev.faultline.kvm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class KvmStructTest {
  private static final Segment CODE =
      new Segment(1, 0xffff_ffffL, 0x10, 11, 1, 3, 1, 1, 1, 1, 1, 0);

  @Test
  void a_payload_of_another_size_is_refused_with_both_sizes() {
    assertThatThrownBy(() -> new KvmSregs(Bytes.zero(300)))
        .isInstanceOf(FormatException.class)
        .hasMessage("FL-200 kvm_sregs is 312 bytes, found 300");
    assertThatThrownBy(() -> new KvmXsave(Bytes.zero(4095)))
        .hasMessage("FL-200 kvm_xsave is at least 4096 bytes, found 4095");
    assertThatThrownBy(() -> new KvmNestedState(Bytes.zero(127)))
        .hasMessage("FL-200 kvm_nested_state is at least 128 bytes, found 127");
    assertThatThrownBy(() -> new KvmMsrs(Bytes.zero(7)))
        .hasMessage("FL-200 kvm_msrs is at least 8 bytes, found 7");
  }

  @ParameterizedTest
  @EnumSource(Ioctl.class)
  void the_payload_size_in_the_number_is_accepted_by_the_struct(Ioctl ioctl) {
    if (ioctl.size() > 0) {
      Bytes zeros = Bytes.zero(ioctl.size());
      KvmStruct struct = KvmStruct.decode(ioctl, zeros);
      if (struct != null) {
        assertThat(struct.raw()).isEqualTo(zeros);
        assertThat(struct.layout().size()).isEqualTo(ioctl.size());
        assertThatThrownBy(() -> KvmStruct.decode(ioctl, zeros.slice(0, ioctl.size() - 1)))
            .isInstanceOf(FormatException.class);
      }
    }
  }

  @Test
  void an_ioctl_without_a_known_payload_is_not_decoded() {
    assertThat(KvmStruct.decode(Ioctl.RUN, Bytes.EMPTY)).isNull();
    assertThat(KvmStruct.decode(Ioctl.XEN_HVM_CONFIG, Bytes.zero(56))).isNull();
  }

  @ParameterizedTest
  @EnumSource(SegmentRegister.class)
  void a_segment_is_written_where_it_is_read(SegmentRegister register) {
    Bytes padded = Bytes.zero(312).with(KvmSregsCommon.offsetOf(register) + 23, 1, 0xaa);

    KvmSregs sregs = new KvmSregs(padded).withSegment(register, CODE);

    assertThat(sregs.segment(register)).isEqualTo(CODE);
    assertThat(changedBeside(KvmSregs.LAYOUT, padded, sregs.raw(), register.uapiName() + "."))
        .isEmpty();
    assertThat(sregs.raw().u8(KvmSregsCommon.offsetOf(register) + 23)).isEqualTo(0xaa);
  }

  @Test
  void the_segments_of_sregs_have_names() {
    KvmSregs sregs = KvmSregs.zero();
    int selector = 0;
    for (SegmentRegister register : SegmentRegister.values()) {
      selector++;
      sregs = sregs.withSegment(register, CODE.withSelector(selector));
    }

    assertThat(
            List.of(
                sregs.cs().selector(),
                sregs.ds().selector(),
                sregs.es().selector(),
                sregs.fs().selector(),
                sregs.gs().selector(),
                sregs.ss().selector(),
                sregs.tr().selector(),
                sregs.ldt().selector()))
        .containsExactly(1, 2, 3, 4, 5, 6, 7, 8);
    assertThat(sregs.csL()).isEqualTo(1);
  }

  @Test
  void control_registers_and_tables_are_written_where_they_are_read() {
    KvmSregs sregs =
        KvmSregs.zero()
            .withCr0(Cr0.PG)
            .withCr2(2)
            .withCr3(3)
            .withCr4(4)
            .withCr8(8)
            .withEfer(0xe)
            .withApicBase(0xfee0_0000L)
            .withGdt(new DescriptorTable(-1, 0xffff))
            .withIdt(new DescriptorTable(5, 6))
            .withInterruptBitmap(1, 1L << 63);

    assertThat(sregs.cr0()).isEqualTo(Cr0.PG);
    assertThat(sregs.cr2()).isEqualTo(2);
    assertThat(sregs.cr3()).isEqualTo(3);
    assertThat(sregs.cr4()).isEqualTo(4);
    assertThat(sregs.cr8()).isEqualTo(8);
    assertThat(sregs.efer()).isEqualTo(0xe);
    assertThat(sregs.apicBase()).isEqualTo(0xfee0_0000L);
    assertThat(sregs.gdt()).isEqualTo(new DescriptorTable(-1, 0xffff));
    assertThat(sregs.idt()).isEqualTo(new DescriptorTable(5, 6));
    assertThat(sregs.lowestInterrupt()).isEqualTo(127);
    assertThat(KvmSregs.zero().lowestInterrupt()).isEqualTo(-1);
  }

  @Test
  void sregs_and_sregs2_share_their_first_280_bytes() {
    KvmSregs sregs = KvmSregs.zero().withSegment(SegmentRegister.SS, CODE).withEfer(7);
    KvmSregs2 same =
        new KvmSregs2(Bytes.builder(KvmSregs2.SIZE).putBytes(0, sregs.common()).build());

    assertThat(same.ss()).isEqualTo(CODE);
    assertThat(same.efer()).isEqualTo(7);
    assertThat(same.common()).isEqualTo(sregs.common());
    assertThat(same.withPdptrs(3, 9).pdptrs(3)).isEqualTo(9);
    assertThat(same.withFlags(KvmSregs2.KVM_SREGS2_FLAGS_PDPTRS_VALID).flags()).isEqualTo(1);
  }

  @Test
  void events_are_read_by_name() {
    KvmVcpuEvents events =
        KvmVcpuEvents.zero()
            .withExceptionPending(1)
            .withExceptionNr(14)
            .withExceptionErrorCode(-1)
            .withSmiSmm(1)
            .withTripleFaultPending(1)
            .withExceptionPayload(-2)
            .withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM);

    assertThat(events.exceptionPending()).isEqualTo(1);
    assertThat(events.exceptionNr()).isEqualTo(14);
    assertThat(events.exceptionErrorCode()).isEqualTo(-1);
    assertThat(events.smiSmm()).isEqualTo(1);
    assertThat(events.tripleFaultPending()).isEqualTo(1);
    assertThat(events.exceptionPayload()).isEqualTo(-2);
    assertThat(VcpuEventFlags.describe(events.flags())).isEqualTo("KVM_VCPUEVENT_VALID_SMM");
    assertThat(KvmVcpuEvents.LAYOUT.differing(Bytes.zero(64), events.raw()))
        .isEqualTo(
            KvmVcpuEvents.LAYOUT.of(
                "exception.pending",
                "exception.nr",
                "exception.error_code",
                "smi.smm",
                "triple_fault.pending",
                "exception_payload",
                "flags"));
  }

  @Test
  void a_list_of_msrs_is_read_by_entry() {
    KvmMsrs msrs = KvmMsrs.of(List.of(new MsrEntry(0x10, 1), new MsrEntry(0xc000_0080, -1)));

    assertThat(msrs.raw().size()).isEqualTo(40);
    assertThat(msrs.count()).isEqualTo(2);
    assertThat(msrs.held()).isEqualTo(2);
    assertThat(msrs.index(1)).isEqualTo(0xc000_0080);
    assertThat(msrs.data(1)).isEqualTo(-1);
    assertThat(msrs.reserved(1)).isZero();
    assertThat(msrs.find(0xc000_0080)).isEqualTo(1);
    assertThat(msrs.find(0x11)).isEqualTo(-1);
    assertThat(msrs.withData(0, 5).data(0)).isEqualTo(5);
    assertThatThrownBy(() -> msrs.data(2)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void a_list_shorter_than_its_count_is_refused() {
    Bytes three = KvmMsrs.of(0x10, 1).raw().with(0, 4, 3);

    assertThatThrownBy(() -> new KvmMsrs(three))
        .isInstanceOf(FormatException.class)
        .hasMessage("FL-201 kvm_msrs with 3 entries is 56 bytes, found 24");
    assertThatThrownBy(() -> new KvmCpuid2(Bytes.zero(40).with(0, 4, 0xffff_ffffL)))
        .hasMessage("FL-201 kvm_cpuid2 with 4294967295 entries is 171798691808 bytes, found 40");
  }

  @Test
  void a_header_alone_is_a_question() {
    KvmCpuid2 question = new KvmCpuid2(Bytes.zero(8).with(0, 4, 100));

    assertThat(question.count()).isEqualTo(100);
    assertThat(question.held()).isZero();
    assertThat(question.entries()).isEmpty();
    assertThat(question.find(1, 0)).isNull();
    assertThat(new KvmMsrList(Bytes.zero(4).with(0, 4, -1)).held()).isZero();
  }

  @Test
  void a_list_longer_than_its_count_is_the_buffer_of_a_vmm() {
    Bytes buffer = Bytes.builder(100).putBytes(0, KvmMsrs.of(0x10, 7).raw()).build();

    KvmMsrs msrs = new KvmMsrs(buffer);

    assertThat(msrs.held()).isEqualTo(1);
    assertThat(msrs.data(0)).isEqualTo(7);
    assertThat(msrs.raw()).isEqualTo(buffer);
    assertThat(msrs.layout().size()).isEqualTo(100);
  }

  @Test
  void cpuid_is_found_by_leaf_and_by_subleaf_where_it_counts() {
    CpuidEntry one = new CpuidEntry(1, 0, 0, 11, 12, 13, 14);
    CpuidEntry seven0 =
        new CpuidEntry(7, 0, CpuidEntry.KVM_CPUID_FLAG_SIGNIFCANT_INDEX, 1, 2, 3, 4);
    CpuidEntry seven1 =
        new CpuidEntry(7, 1, CpuidEntry.KVM_CPUID_FLAG_SIGNIFCANT_INDEX, 5, 6, 7, 8);
    KvmCpuid2 cpuid = KvmCpuid2.of(List.of(one, seven0, seven1));

    assertThat(cpuid.entries()).containsExactly(one, seven0, seven1);
    assertThat(cpuid.find(1, 5)).isEqualTo(one);
    assertThat(cpuid.find(7, 1)).isEqualTo(seven1);
    assertThat(cpuid.find(7, 2)).isNull();
  }

  @Test
  void xcr0_is_the_first_entry() {
    KvmXcrs xcrs = KvmXcrs.zero().withXcr0(7);

    assertThat(xcrs.nrXcrs()).isEqualTo(1);
    assertThat(xcrs.xcr(0)).isZero();
    assertThat(xcrs.value(0)).isEqualTo(7);
    assertThatThrownBy(() -> xcrs.value(16)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void apic_registers_are_four_bytes_every_sixteen() {
    Bytes.Builder page = Bytes.builder(KvmLapicState.SIZE);
    for (int i = 0; i < KvmLapicState.SIZE / 16; i++) {
      page.put(i * 16, 4, i);
    }
    KvmLapicState lapic = new KvmLapicState(page.build());

    assertThat(lapic.id()).isEqualTo(2);
    assertThat(lapic.isr(7)).isEqualTo(0x17);
    assertThat(lapic.tmr(0)).isEqualTo(0x18);
    assertThat(lapic.irr(7)).isEqualTo(0x27);
    assertThat(lapic.lvtTimer()).isEqualTo(0x32);
    assertThat(lapic.tdcr()).isEqualTo(0x3e);
    assertThat(lapic.withTpr(0x20).tpr()).isEqualTo(0x20);
  }

  @Test
  void a_larger_xsave_area_is_kept_whole() {
    KvmXsave large = new KvmXsave(Bytes.zero(11008).with(11000, 8, 5).with(512, 8, 7));

    assertThat(large.xstateBv()).isEqualTo(7);
    assertThat(large.layout().field("ext[11000]").get(large.raw())).isEqualTo(5);
  }

  @Test
  void an_mp_state_has_a_name() {
    assertThat(KvmMpState.of(MpState.HALTED).mpState()).isEqualTo(3);
    assertThat(KvmMpState.of(MpState.HALTED).state()).isEqualTo(MpState.HALTED);
    assertThat(KvmMpState.zero().withMpState(5).state()).isNull();
    assertThat(MpState.HALTED.uapiName()).isEqualTo("KVM_MP_STATE_HALTED");
  }

  @Test
  void a_capability_is_turned_on_with_its_argument() {
    KvmEnableCap call = KvmEnableCap.of(KvmCap.KVM_CAP_EXCEPTION_PAYLOAD, 1);

    assertThat(call.cap()).isEqualTo(164);
    assertThat(call.args(0)).isEqualTo(1);
    assertThat(call.flags()).isZero();
  }

  @Test
  void the_other_structs_are_read_by_name() {
    KvmUserspaceMemoryRegion slot =
        KvmUserspaceMemoryRegion.zero().withSlot(0x1_0002).withMemorySize(4096);
    Bytes filter = Bytes.zero(KvmMsrFilter.SIZE).with(8 + 24 + 8, 4, 0x174).with(8 + 24, 4, 3);

    assertThat(slot.addressSpace()).isEqualTo(1);
    assertThat(slot.memorySize()).isEqualTo(4096);
    assertThat(new KvmMsrFilter(filter).rangeBase(1)).isEqualTo(0x174);
    assertThat(new KvmMsrFilter(filter).rangeFlags(1)).isEqualTo(3);
    assertThat(new KvmSignalMask(Bytes.fromHex("080000000102")).sigset())
        .isEqualTo(Bytes.fromHex("0102"));
    assertThat(KvmDebugregs.zero().withDr7(0x400).dr7()).isEqualTo(0x400);
    assertThat(KvmIrqchip.zero().chip().size()).isEqualTo(512);
  }

  private static List<String> changedBeside(
      StructLayout layout, Bytes before, Bytes after, String prefix) {
    return layout.fields().stream()
        .filter(field -> field.get(before) != field.get(after))
        .map(StructField::name)
        .filter(name -> !name.startsWith(prefix))
        .toList();
  }
}
