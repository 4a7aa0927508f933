package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmGsiRouting;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmSegment;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbField;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/**
 * Compares Faultline's tables with facts that were read off the headers of the kernel by other
 * means.
 */
final class UapiFactsTest {
  private static final String FACTS = "/uapi/facts.txt";

  /**
   * Made after the headers that the facts were read off; numbers as in
   * Documentation/virt/kvm/api.rst of later kernels.
   */
  private static final Map<String, Integer> LATER_IOCTLS =
      new TreeMap<>(
          Map.of(
              "KVM_SET_USER_MEMORY_REGION2", 0x40a0_ae49,
              "KVM_SET_MEMORY_ATTRIBUTES", 0x4020_aed2,
              "KVM_CREATE_GUEST_MEMFD", 0xc040_aed4,
              "KVM_PRE_FAULT_MEMORY", 0xc040_aed5));

  /**
   * Names that stand for bytes without inner structure in the headers, or that the headers name
   * only in part.
   */
  private static final String NOT_IN_HEADERS =
      "(chip|exit|internal|sw_reserved|ext|data|target|sigset)\\[\\d+\\]|(isr|tmr|irr)\\[[1-7]\\]"
          + "|ftw|xcomp_bv|mcg_cap|addr|shadow_.*";

  private record Fact(String kind, List<String> words) {
    String name() {
      return words.get(0);
    }

    long number(int word) {
      return Long.decode(words.get(word));
    }
  }

  @Test
  void every_ioctl_has_the_number_of_the_header() throws IOException {
    Map<String, Integer> numbers = new TreeMap<>(LATER_IOCTLS);
    for (Fact fact : facts("ioctl")) {
      numbers.put(fact.name(), (int) fact.number(1));
    }

    for (Ioctl ioctl : Ioctl.values()) {
      assertThat(numbers).as(ioctl.uapiName()).containsEntry(ioctl.uapiName(), ioctl.number());
      assertThat(Ioctl.of(ioctl.number())).isEqualTo(ioctl);
    }
    assertThat(numbers).hasSize(Ioctl.values().length);
  }

  @Test
  void every_constant_has_the_value_of_the_header() throws Exception {
    Map<String, Long> constants = Vocabulary.constants();
    for (Fact fact : facts("const")) {
      Long ours = constants.get(fact.name());
      assertThat(ours).as(fact.name()).isNotNull();
      long expected = fact.number(1);
      assertThat(ours)
          .as(fact.name())
          .matches(
              value -> value == expected || value == (int) expected,
              "0x" + Long.toHexString(expected));
    }
  }

  @Test
  void every_enum_constant_has_the_number_of_the_header() throws IOException {
    Map<String, Integer> numbers = Vocabulary.numbers();
    Set<String> told = new TreeSet<>();
    for (Fact fact : facts("number")) {
      assertThat(numbers).containsEntry(fact.name(), (int) fact.number(1));
      told.add(fact.name());
    }
    List<String> later = new ArrayList<>(numbers.keySet());
    later.removeAll(told);
    later.removeIf(name -> name.startsWith("vmx."));

    assertThat(later).as("numbers that only later kernels have").allMatch(UapiFactsTest::isLater);
  }

  private static boolean isLater(String name) {
    String last = name.substring(name.lastIndexOf('.') + 1);
    return name.startsWith("kvm.KvmCap.")
        ? KvmCap.valueOf(last).number() > KvmCap.KVM_CAP_DIRTY_LOG_RING_ACQ_REL.number()
        : KvmExit.valueOf(last).number() > KvmExit.KVM_EXIT_NOTIFY.number();
  }

  @Test
  void every_struct_has_the_size_of_the_header() throws Exception {
    Map<String, Integer> sizes = new TreeMap<>();
    for (StructLayout layout : Vocabulary.layouts()) {
      sizes.putIfAbsent(layout.name(), layout.size());
    }
    sizes.put("kvm_msr_entry", KvmMsrs.ENTRY_SIZE);
    sizes.put("kvm_cpuid_entry2", KvmCpuid2.ENTRY_SIZE);
    sizes.put("kvm_irq_routing_entry", KvmGsiRouting.ENTRY_SIZE);
    sizes.put("kvm_segment", KvmSegment.SIZE);
    sizes.put("kvm_dtable", KvmSegment.DTABLE_SIZE);
    for (Fact fact : facts("size")) {
      assertThat(sizes).containsEntry(fact.name(), (int) fact.number(1));
    }
  }

  @Test
  void every_field_lies_where_the_header_says() throws Exception {
    Set<String> told = new TreeSet<>();
    List<StructLayout> all = allLayouts();
    for (Fact fact : facts("field")) {
      String struct = fact.name();
      String name = fact.words().get(1);
      long offset = fact.number(2);
      long width = fact.number(3);
      List<StructLayout> layouts = layoutsWith(all, struct, name);
      assertThat(layouts).as("layouts with %s.%s", struct, name).isNotEmpty();
      for (StructLayout layout : layouts) {
        assertThat(layout.field(name).offset()).as("%s.%s", struct, name).isEqualTo((int) offset);
        assertThat(layout.field(name).width()).as("%s.%s", struct, name).isEqualTo((int) width);
      }
      told.add(struct + " " + name);
    }
    for (StructLayout layout : all) {
      for (StructField field : layout.fields()) {
        if (field.isValue() && isInHeaders(layout, field)) {
          assertThat(told).contains(layout.name() + " " + field.name());
        }
      }
    }
  }

  private static boolean isInHeaders(StructLayout layout, StructField field) {
    return layout.name().startsWith("kvm_")
        && !layout.name().matches("kvm_segment|kvm_dtable|kvm_sregs_common")
        && !field.name().startsWith("vmcs12.")
        && !field.name().startsWith("vmcb.")
        && !field.name().matches(NOT_IN_HEADERS);
  }

  @Test
  void every_vmcb_field_lies_where_the_kernel_has_it() throws IOException {
    Set<String> told = new LinkedHashSet<>();
    for (Fact fact : facts("vmcb")) {
      StructField field = Vmcb.LAYOUT.field(Vmcb.PREFIX + fact.name());
      assertThat(field.offset()).as(fact.name()).isEqualTo((int) fact.number(1));
      assertThat(field.width()).as(fact.name()).isEqualTo((int) fact.number(2));
      told.add(fact.name());
    }
    for (VmcbField field : VmcbField.values()) {
      assertThat(told).contains(field.vmcbName());
    }
  }

  @Test
  void every_vmcs_field_lies_where_the_kernel_has_it() throws IOException {
    Set<String> told = new LinkedHashSet<>();
    for (Fact fact : facts("vmcs12")) {
      StructField field = Vmcs12.LAYOUT.field(Vmcs12.PREFIX + fact.name());
      assertThat(field.offset()).as(fact.name()).isEqualTo((int) fact.number(1));
      assertThat(field.width()).as(fact.name()).isEqualTo((int) fact.number(2));
      told.add(fact.name());
    }
    for (VmcsField field : VmcsField.values()) {
      assertThat(told).contains(field.vmcs12Name());
    }
  }

  @Test
  void every_vmcs_field_has_the_encoding_of_the_header() throws IOException {
    Map<String, Long> encodings = new TreeMap<>();
    for (Fact fact : facts("encoding")) {
      encodings.put(fact.name(), fact.number(1));
    }
    for (VmcsField field : VmcsField.values()) {
      assertThat(encodings).containsEntry(field.vmcs12Name(), (long) field.encoding());
    }
    assertThat(encodings).hasSize(VmcsField.count());
  }

  private static List<StructLayout> allLayouts() throws IllegalAccessException {
    List<StructLayout> layouts = new ArrayList<>(Vocabulary.layouts());
    layouts.addAll(Vocabulary.layoutsOfInstances());
    return layouts;
  }

  private static List<StructLayout> layoutsWith(
      List<StructLayout> all, String struct, String field) {
    return all.stream()
        .filter(layout -> layout.name().equals(struct) && layout.has(field))
        .toList();
  }

  private static List<Fact> facts(String kind) throws IOException {
    List<Fact> facts = new ArrayList<>();
    try (InputStream in = UapiFactsTest.class.getResourceAsStream(FACTS)) {
      assertThat(in).isNotNull();
      BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        if (line.startsWith(kind + " ")) {
          List<String> words = List.of(line.substring(kind.length() + 1).split(" "));
          facts.add(new Fact(kind, words));
        }
      }
    }
    assertThat(facts).as("facts of kind %s", kind).isNotEmpty();
    return facts;
  }
}
