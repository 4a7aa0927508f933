package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every check of the model has a scenario in which it fails. The scenarios of {@code XCheck} stand
 * in {@code XCheckScenario} of the same package, whose static method {@code covered()} tells the
 * checks that its rows break.
 */
final class CheckCoverageTest {
  /** All enums that implement {@link Check}, wherever they are. */
  static Stream<Class<?>> checks() {
    return new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("dev.faultline")
            .stream()
            .filter(c -> c.isAssignableTo(Check.class) && !c.isInterface())
            .sorted(Comparator.comparing(JavaClass::getName))
            .<Class<?>>map(JavaClass::reflect)
            .filter(c -> !c.isAnonymousClass());
  }

  @Test
  void the_enums_of_checks_are_found() {
    assertThat(checks().map(Class::getSimpleName))
        .contains("CallCheck", "EventsCheck", "GuestStateCheck", "MsrCheck", "NestedStateCheck")
        .contains("SregsCheck", "SvmNestedCheck", "VmEntryCheck");
    assertThat(checks()).allMatch(Class::isEnum);
  }

  @ParameterizedTest
  @MethodSource("checks")
  void each_has_a_scenario(Class<?> checks) throws ReflectiveOperationException {
    Method covered = Class.forName(checks.getName() + "Scenario").getDeclaredMethod("covered");
    covered.setAccessible(true);
    List<Object> missing = new ArrayList<>(List.of(checks.getEnumConstants()));
    missing.removeAll((Collection<?>) covered.invoke(null));
    assertThat(missing).as("checks of %s without a scenario", checks.getSimpleName()).isEmpty();
  }

  @Test
  void identifiers_are_used_once() {
    List<String> ids =
        checks().flatMap(c -> Stream.of(c.getEnumConstants())).map(c -> ((Check) c).id()).toList();
    assertThat(ids).doesNotHaveDuplicates();
  }
}
