package dev.faultline.junit;

import java.util.Objects;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/** Gives a test the {@link RecordedMigration} that its parameter's {@link Migrating} asks for. */
public final class FaultlineExtension implements ParameterResolver {

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext test) {
    return parameter.isAnnotated(Migrating.class)
        && parameter.getParameter().getType() == RecordedMigration.class;
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext test) {
    Migrating asked =
        Objects.requireNonNull(parameter.findAnnotation(Migrating.class).orElse(null));
    return RecordedMigration.of(asked.recording(), asked.plan(), asked.toKernel());
  }
}
