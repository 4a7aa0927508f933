package dev.faultline.kvm;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class IoctlTest {
  @Test
  void ioctls_with_one_sequence_number_are_told_apart_by_all_32_bits() {
    assertThat(Ioctl.of(0x8070_ae9f)).isEqualTo(Ioctl.GET_PIT2);
    assertThat(Ioctl.of(0x8040_ae9f)).isEqualTo(Ioctl.GET_VCPU_EVENTS);
    assertThat(Ioctl.of(0x0000_aea3)).isEqualTo(Ioctl.GET_TSC_KHZ);
    assertThat(Ioctl.of(0x4068_aea3)).isEqualTo(Ioctl.ENABLE_CAP);
    assertThat(Ioctl.of(0x0000_aeff)).isNull();
  }

  @Test
  void an_ioctl_is_found_only_on_descriptors_that_take_it() {
    int setSregs = Ioctl.SET_SREGS.number();

    assertThat(Ioctl.of(setSregs, FdKind.VCPU)).isEqualTo(Ioctl.SET_SREGS);
    assertThat(Ioctl.of(setSregs, FdKind.VM)).isNull();
    assertThat(Ioctl.ENABLE_CAP.takenBy(FdKind.VM)).isTrue();
    assertThat(Ioctl.ENABLE_CAP.takenBy(FdKind.VCPU)).isTrue();
    assertThat(Ioctl.ENABLE_CAP.takenBy(FdKind.SYSTEM)).isFalse();
  }

  @Test
  void an_ioctl_has_the_name_of_the_uapi() {
    assertThat(Ioctl.SET_NESTED_STATE.uapiName()).isEqualTo("KVM_SET_NESTED_STATE");
    assertThat(Ioctl.ofName("KVM_SET_NESTED_STATE")).isEqualTo(Ioctl.SET_NESTED_STATE);
    assertThat(Ioctl.ofName("KVM_SET_NOTHING")).isNull();
  }

  @Test
  void a_number_of_type_0xae_is_kvms() {
    assertThat(Ioctl.isKvm(0x4fff_aeff)).isTrue();
    assertThat(Ioctl.isKvm(0x4000_5401)).isFalse();
    for (Ioctl ioctl : Ioctl.values()) {
      assertThat(Ioctl.isKvm(ioctl.number())).as(ioctl.uapiName()).isTrue();
    }
  }

  @Test
  void numbers_and_names_of_the_other_enums_are_found_again() {
    for (KvmCap cap : KvmCap.values()) {
      assertThat(KvmCap.of(cap.number())).isEqualTo(cap);
    }
    for (KvmExit exit : KvmExit.values()) {
      assertThat(KvmExit.of(exit.number())).isEqualTo(exit);
    }
    for (MpState state : MpState.values()) {
      assertThat(MpState.of(state.number())).isEqualTo(state);
    }
    for (Errno errno : Errno.values()) {
      assertThat(Errno.of(errno.number())).isEqualTo(errno);
      assertThat(Errno.ofName(errno.name())).isEqualTo(errno);
    }
    for (FdKind kind : FdKind.values()) {
      assertThat(FdKind.ofWord(kind.word())).isEqualTo(kind);
    }
    assertThat(KvmCap.of(1L << 32)).isNull();
    assertThat(FdKind.ofWord("stats")).isNull();
  }
}
