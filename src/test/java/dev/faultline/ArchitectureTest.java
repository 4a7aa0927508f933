package dev.faultline;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaAccess.Predicates.target;
import static com.tngtech.archunit.core.domain.JavaAccess.Predicates.targetOwner;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.assignableTo;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.equivalentTo;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.nameMatching;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.domain.JavaPackage;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.UUID;
import java.util.stream.Stream;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What may depend on what, and what the functional core may never do. */
final class ArchitectureTest {
  private static final String ROOT = "dev.faultline";

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .withImportOption(location -> !location.contains("/test-classes/"))
          .importPackages(ROOT);

  /** A package and those it may use directly; what these may use, it may use as well. */
  record Arrow(String from, List<String> to) {}

  /** From the facts of the architecture up to the terminal. The root package is the empty name. */
  private static final List<Arrow> ARROWS =
      List.of(
          new Arrow("", List.of()),
          new Arrow("x86", List.of("")),
          new Arrow("vmx", List.of("x86")),
          new Arrow("svm", List.of("x86")),
          new Arrow("kvm", List.of("x86", "vmx", "svm")),
          new Arrow("vcpu", List.of("x86", "vmx", "svm", "kvm")),
          new Arrow("timeline", List.of("vcpu")),
          new Arrow("audit", List.of("timeline")),
          new Arrow("reorder", List.of("audit")),
          new Arrow("migration", List.of("reorder")),
          new Arrow("trace", List.of("vcpu")),
          new Arrow("record", List.of("trace")),
          new Arrow("store", List.of("timeline")),
          new Arrow("ingest", List.of("trace", "store", "migration")),
          new Arrow("report", List.of("audit", "reorder", "migration")),
          new Arrow("fleet", List.of("trace", "audit")),
          new Arrow("junit", List.of("migration", "ingest", "report")),
          new Arrow("web", List.of("store", "report")),
          new Arrow(
              "cli", List.of("record", "ingest", "store", "report", "fleet", "junit", "web")));

  private static final List<String> PURE =
      List.of("", "x86", "vmx", "svm", "kvm", "vcpu", "timeline", "audit", "reorder", "migration");

  private static final DescribedPredicate<JavaClass> IN_CORE =
      resideInAnyPackage(packages(PURE)).as("in the core");

  private static final DescribedPredicate<JavaClass> IN_CORE_OR_TRACE =
      IN_CORE.or(resideInAPackage(name("trace") + "..")).as("in the core or in trace");

  private static final DescribedPredicate<JavaClass> PURE_JDK =
      resideInAPackage("java.lang..")
          .or(
              resideInAnyPackage(
                  "java.util",
                  "java.util.function",
                  "java.util.stream",
                  "java.util.zip",
                  "java.math",
                  "java.nio",
                  "java.nio.charset"))
          .and(not(resideInAPackage("java.lang.reflect..")));

  private static final DescribedPredicate<JavaClass> OURS_OR_ANNOTATIONS =
      resideInAnyPackage(ROOT + "..", "org.jspecify.annotations");

  static final ArchRule CORE_IS_PURE =
      classes()
          .that(IN_CORE)
          .should()
          .onlyDependOnClassesThat(PURE_JDK.or(OURS_OR_ANNOTATIONS).or(isArrayOfPrimitives()))
          .because("the core decides and evolves: no files, clocks, threads, sockets, frameworks");

  static final ArchRule TRACE_READS_TEXT_AND_NO_FILES =
      classes()
          .that()
          .resideInAPackage(name("trace") + "..")
          .should()
          .onlyDependOnClassesThat(
              PURE_JDK
                  .or(OURS_OR_ANNOTATIONS)
                  .or(isArrayOfPrimitives())
                  .or(
                      resideInAPackage("java.io")
                          .and(not(nameMatching("java\\.io\\.(File|RandomAccessFile|Console).*"))))
                  .or(resideInAPackage("com.fasterxml.jackson.core..")))
          .allowEmptyShould(true)
          .because(
              "a trace comes as a stream of text or JSON; who opened it is not trace's concern");

  static final ArchRule PACKAGES_ARE_FREE_OF_CYCLES =
      slices()
          .matching(ROOT + ".(*)..")
          .should()
          .beFreeOfCycles()
          .because("the way of the data is one direction, no way back");

  static final ArchRule CORE_READS_NO_CLOCK_ENTROPY_OR_ENVIRONMENT =
      noClasses()
          .that(IN_CORE_OR_TRACE)
          .should()
          .accessTargetWhere(
              owner(System.class)
                  .and(not(target(nameMatching("arraycopy|lineSeparator"))))
                  .or(owner(Math.class).and(target(nameMatching("random"))))
                  .or(owner(UUID.class).and(target(nameMatching("randomUUID"))))
                  .or(owner(Random.class))
                  .or(owner(SplittableRandom.class))
                  .or(targetOwner(assignableTo(Thread.class)))
                  .or(owner(Runtime.class))
                  .or(owner(ProcessBuilder.class)))
          .because(
              "the same timeline gives the same bytes; time, TSC and entropy come in commands");

  static final ArchRule CORE_MAKES_NO_COLLECTION_OF_CHANGING_ORDER =
      noClasses()
          .that(IN_CORE_OR_TRACE)
          .should()
          .accessTargetWhere(
              owner(Set.class)
                  .or(owner(Map.class))
                  .and(target(nameMatching("of|ofEntries|copyOf"))))
          .because("Set.of and Map.of iterate in another order in each run of the JVM");

  static final ArchRule ONLY_CLI_SPEAKS_TO_THE_TERMINAL =
      noClasses()
          .that()
          .resideOutsideOfPackage(name("cli") + "..")
          .should()
          .accessTargetWhere(
              owner(System.class)
                  .and(target(nameMatching("out|err|in|exit|console|setOut|setErr|setIn")))
                  .or(target(nameMatching("printStackTrace"))))
          .orShould()
          .dependOnClassesThat()
          .resideInAPackage("picocli..")
          .because("one package prints and exits, so that all others can be called from a test");

  static final ArchRule ONLY_STORE_KNOWS_AXON_AND_DATABASES =
      noClasses()
          .that()
          .resideOutsideOfPackage(name("store") + "..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "org.axonframework..",
              "io.axoniq..",
              "jakarta.persistence..",
              "java.sql..",
              "javax.sql..",
              "org.h2..",
              "org.postgresql..")
          .because("how events are stored is the concern of one package");

  static final ArchRule ONLY_FLEET_KNOWS_SPARK =
      noClasses()
          .that()
          .resideOutsideOfPackage(name("fleet") + "..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage("org.apache.spark..", "scala..")
          .because("everything that judges one recording runs without a cluster");

  static final ArchRule STATIC_FIELDS_ARE_CONSTANTS =
      fields()
          .that()
          .areStatic()
          .should(beConstant())
          .allowEmptyShould(true)
          .because("state is passed as an argument, and what is shared cannot change");

  static Stream<ArchRule> rules() {
    return Stream.of(
        CORE_IS_PURE,
        TRACE_READS_TEXT_AND_NO_FILES,
        PACKAGES_ARE_FREE_OF_CYCLES,
        CORE_READS_NO_CLOCK_ENTROPY_OR_ENVIRONMENT,
        CORE_MAKES_NO_COLLECTION_OF_CHANGING_ORDER,
        ONLY_CLI_SPEAKS_TO_THE_TERMINAL,
        ONLY_STORE_KNOWS_AXON_AND_DATABASES,
        ONLY_FLEET_KNOWS_SPARK,
        STATIC_FIELDS_ARE_CONSTANTS);
  }

  @ParameterizedTest
  @MethodSource("rules")
  void the_rule_holds(ArchRule rule) {
    rule.check(CLASSES);
  }

  static List<Arrow> arrows() {
    return ARROWS;
  }

  @ParameterizedTest
  @MethodSource("arrows")
  void a_package_uses_only_what_its_arrows_reach(Arrow arrow) {
    Set<String> reached = reached(arrow.from());
    List<String> others =
        ARROWS.stream().map(Arrow::from).filter(other -> !reached.contains(other)).toList();
    noClasses()
        .that(resideInAnyPackage(packages(List.of(arrow.from()))))
        .should()
        .dependOnClassesThat(resideInAnyPackage(packages(others)))
        .allowEmptyShould(true)
        .because("the arrows go from the shell to the core and from the judge to the judged")
        .check(CLASSES);
  }

  @Test
  void arrows_point_only_to_packages_named_before() {
    List<String> before = new ArrayList<>();
    for (Arrow arrow : ARROWS) {
      assertThat(before).containsAll(arrow.to());
      before.add(arrow.from());
    }
    assertThat(before).doesNotHaveDuplicates().containsAll(PURE);
  }

  @Test
  void every_package_has_its_arrow() {
    Set<String> named = new TreeSet<>();
    for (JavaClass type : CLASSES) {
      named.add(top(type.getPackageName()));
    }
    assertThat(ARROWS.stream().map(Arrow::from)).containsAll(named);
  }

  @Test
  void every_package_is_null_marked_and_says_what_it_is_in_a_sentence() throws IOException {
    for (JavaPackage each : ourPackages()) {
      assertThat(each.isAnnotatedWith(NullMarked.class)).as(each.getName()).isTrue();
      Path source = Path.of("src/main/java", each.getName().replace('.', '/'), "package-info.java");
      assertThat(Files.readString(source)).as(source.toString()).matches("(?s)/\\*\\*.*\\w\\..*");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"dev.faultline.vcpu.TimelineEvent", "dev.faultline.vcpu.VcpuCommand"})
  void events_and_commands_are_records_only(String family) throws ClassNotFoundException {
    Assumptions.assumeTrue(CLASSES.contain(family));
    Class<?> sealed = Class.forName(family);
    assertThat(sealed.isSealed()).isTrue();
    assertThat(notRecords(sealed)).isEmpty();
  }

  /** An import that finds little would let every rule above hold. */
  @Test
  void the_rules_see_the_whole_program() {
    assertThat(CLASSES.size()).isGreaterThan(50);
  }

  private static List<Class<?>> notRecords(Class<?> sealed) {
    List<Class<?>> found = new ArrayList<>();
    for (Class<?> each : sealed.getPermittedSubclasses()) {
      if (each.isSealed() && each.isInterface()) {
        found.addAll(notRecords(each));
      } else if (!each.isRecord()) {
        found.add(each);
      }
    }
    return found;
  }

  private static List<JavaPackage> ourPackages() {
    LinkedHashMap<String, JavaPackage> found = new LinkedHashMap<>();
    for (JavaClass type : CLASSES) {
      found.put(type.getPackageName(), type.getPackage());
    }
    return List.copyOf(found.values());
  }

  private static Set<String> reached(String from) {
    Set<String> reached = new TreeSet<>(List.of(from));
    for (Arrow arrow : ARROWS) {
      if (arrow.from().equals(from)) {
        arrow.to().forEach(to -> reached.addAll(reached(to)));
      }
    }
    return reached;
  }

  private static String name(String part) {
    return part.isEmpty() ? ROOT : ROOT + "." + part;
  }

  /** The root package without, every other with its subpackages. */
  private static String[] packages(List<String> parts) {
    return parts.stream()
        .map(part -> part.isEmpty() ? ROOT : name(part) + "..")
        .toArray(String[]::new);
  }

  private static String top(String packageName) {
    return packageName.equals(ROOT)
        ? ""
        : packageName.substring(ROOT.length() + 1).split("\\.", 2)[0];
  }

  private static DescribedPredicate<JavaAccess<?>> owner(Class<?> type) {
    return targetOwner(equivalentTo(type));
  }

  private static DescribedPredicate<JavaClass> isArrayOfPrimitives() {
    return DescribedPredicate.describe(
        "primitives", type -> type.getBaseComponentType().isPrimitive());
  }

  private static ArchCondition<JavaField> beConstant() {
    return new ArchCondition<>("be final, and private where they are arrays") {
      @Override
      public void check(JavaField field, ConditionEvents events) {
        Set<JavaModifier> modifiers = field.getModifiers();
        boolean constant =
            modifiers.contains(JavaModifier.FINAL)
                && (!field.getRawType().isArray() || modifiers.contains(JavaModifier.PRIVATE));
        boolean generated = modifiers.contains(JavaModifier.SYNTHETIC);
        if (!constant && !generated) {
          events.add(SimpleConditionEvent.violated(field, field.getFullName() + " can change"));
        }
      }
    };
  }
}
