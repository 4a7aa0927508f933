package dev.faultline.junit;

import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * Gives a test what its parameters ask for: a {@link RecordedMigration} by {@link Migrating},
 * {@link Orders} by {@link InEveryOrder}.
 */
public final class FaultlineExtension implements ParameterResolver {

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext test) {
    Class<?> type = parameter.getParameter().getType();
    return (parameter.isAnnotated(Migrating.class) && type == RecordedMigration.class)
        || (parameter.isAnnotated(InEveryOrder.class) && type == Orders.class);
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext test) {
    return parameter
        .findAnnotation(Migrating.class)
        .<Object>map(m -> RecordedMigration.of(m.recording(), m.plan(), m.toKernel()))
        .orElseGet(() -> {
          InEveryOrder asked = parameter.findAnnotation(InEveryOrder.class).orElseThrow();
          return Orders.of(asked.recording(), asked.from(), asked.to(), asked.kernel());
        });
  }
}
