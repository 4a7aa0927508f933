package dev.faultline.kvm;

import static dev.faultline.kvm.NestedStateFlags.KVM_STATE_NESTED_FORMAT_SVM;
import static dev.faultline.kvm.NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE;
import static dev.faultline.kvm.NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING;
import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.svm.Vmcb;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Gpa;
import org.junit.jupiter.api.Test;

final class KvmNestedStateTest {
  private static final Vmcs12 VMCS12 = Vmcs12.blank().with(VmcsField.GUEST_RIP, 0x1234);

  @Test
  void vmx_off_is_a_header_without_pointers() {
    KvmNestedState off = KvmNestedState.vmxOff();

    assertThat(off.raw().size()).isEqualTo(128);
    assertThat(off.sizeField()).isEqualTo(128);
    assertThat(off.isVmx()).isTrue();
    assertThat(off.vmxonPa()).isEqualTo(Gpa.INVALID);
    assertThat(off.vmcs12Pa()).isEqualTo(Gpa.INVALID);
    assertThat(off.vmcs12()).isNull();
    assertThat(off.data()).isSameAs(Bytes.EMPTY);
    assertThat(off.layout()).isSameAs(KvmNestedState.HEADER_LAYOUT);
  }

  @Test
  void header_fields_are_written_where_they_are_read() {
    KvmNestedState state =
        KvmNestedState.vmxOff()
            .withFlags(KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING)
            .withVmxonPa(0x1000)
            .withVmcs12Pa(0x2000)
            .withSmmFlags(3)
            .withVmxFlags(1)
            .withPreemptionTimerDeadline(-7);

    assertThat(state.flags()).isEqualTo(3);
    assertThat(state.hasFlags(KVM_STATE_NESTED_GUEST_MODE)).isTrue();
    assertThat(state.vmxonPa()).isEqualTo(0x1000);
    assertThat(state.vmcs12Pa()).isEqualTo(0x2000);
    assertThat(state.smmFlags()).isEqualTo(3);
    assertThat(state.vmxFlags()).isEqualTo(1);
    assertThat(state.preemptionTimerDeadline()).isEqualTo(-7);
    assertThat(NestedStateFlags.describe(state.flags()))
        .isEqualTo("KVM_STATE_NESTED_RUN_PENDING|KVM_STATE_NESTED_GUEST_MODE");
  }

  @Test
  void a_vmcs12_added_makes_room_for_itself() {
    KvmNestedState one = KvmNestedState.vmxOff().withVmcs12(VMCS12);
    KvmNestedState both = one.withShadowVmcs12(VMCS12.with(VmcsField.GUEST_RIP, 5));

    assertThat(one.sizeField()).isEqualTo(4224);
    assertThat(one.vmcs12()).isEqualTo(VMCS12);
    assertThat(one.shadowVmcs12()).isNull();
    assertThat(one.layout()).isSameAs(KvmNestedState.VMX_LAYOUT);
    assertThat(both.sizeField()).isEqualTo(8320);
    assertThat(both.vmcs12()).isEqualTo(VMCS12);
    assertThat(both.shadowVmcs12()).isEqualTo(VMCS12.with(VmcsField.GUEST_RIP, 5));
    assertThat(both.layout().field("shadow_vmcs12.guest_rip").get(both.raw())).isEqualTo(5);
  }

  @Test
  void a_packed_vmcs12_is_read_into_a_page() {
    KvmNestedState whole = KvmNestedState.vmxOff().withVmcs12(VMCS12);
    KvmNestedState packed = new KvmNestedState(whole.withSizeField(1126).raw().slice(0, 1126));

    assertThat(packed.vmcs12()).isEqualTo(VMCS12);
    assertThat(new KvmNestedState(packed.raw().slice(0, 1125)).vmcs12()).isNull();
    assertThat(packed.layout().size()).isEqualTo(1126);
  }

  @Test
  void data_counts_up_to_the_size_in_the_header() {
    KvmNestedState whole = KvmNestedState.vmxOff().withVmcs12(VMCS12);

    assertThat(whole.withSizeField(1125).vmcs12()).isNull();
    assertThat(whole.withSizeField(0).data()).isSameAs(Bytes.EMPTY);
    assertThat(whole.withSizeField(0xffff_ffffL).vmcs12()).isEqualTo(VMCS12);
    assertThat(KvmNestedState.vmxOff().withSizeField(8320).vmcs12()).isNull();
  }

  @Test
  void the_svm_format_has_a_vmcb_and_no_vmcs() {
    Bytes raw =
        Bytes.zero(4224)
            .with(2, 2, KVM_STATE_NESTED_FORMAT_SVM)
            .with(4, 4, 4224)
            .with(8, 8, 0x5000);
    KvmNestedState svm = new KvmNestedState(raw);

    assertThat(svm.isVmx()).isFalse();
    assertThat(svm.vmcbPa()).isEqualTo(0x5000);
    assertThat(svm.vmcs12()).isNull();
    assertThat(svm.vmcb()).isEqualTo(new Vmcb(raw.slice(128, 4096)));
    assertThat(svm.layout().field("vmcb.save.rip").offset()).isEqualTo(128 + 0x578);
    assertThat(svm.withSizeField(128).vmcb()).isNull();
  }
}
