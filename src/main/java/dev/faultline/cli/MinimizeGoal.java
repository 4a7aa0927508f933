package dev.faultline.cli;

import dev.faultline.FaultlineException;
import dev.faultline.audit.Audit;
import dev.faultline.audit.AuditResult;
import dev.faultline.audit.Finding;
import dev.faultline.reorder.Symptom;
import dev.faultline.reorder.Symptoms;
import dev.faultline.timeline.Reexecution;
import dev.faultline.trace.Observation;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import java.util.List;
import java.util.function.UnaryOperator;

/** Whether some lines of a recording still show what is to be kept. */
sealed interface MinimizeGoal {
  /** What is to be kept. */
  Symptom symptom();

  /** Whether these lines show it. Lines that are no recording any more show nothing. */
  boolean shows(List<Observation> lines);

  /** Something that a re-execution shows. */
  record Shown(String name, KernelModel kernel, Symptom symptom) implements MinimizeGoal {
    @Override
    public boolean shows(List<Observation> lines) {
      Symptoms symptoms = new Symptoms();
      Reexecution reexecution = new Reexecution(name, kernel, symptoms);
      try {
        for (Observation line : lines) {
          reexecution.accept(RecordedCalls.convert(line, reexecution.nextMoment()));
        }
        reexecution.result();
      } catch (FaultlineException _) {
        return false;
      }
      return symptoms.all().contains(symptom);
    }
  }

  /**
   * A finding of the audit.
   *
   * @param told the kernel as the recording's facts have it
   * @param asked what the command line makes of the kernel
   */
  record Found(
      String name, KernelModel told, UnaryOperator<KernelModel> asked, Symptom.Finds symptom)
      implements MinimizeGoal {
    @Override
    public boolean shows(List<Observation> lines) {
      try {
        return audit(name, told, asked, lines).findings().stream()
            .anyMatch(f -> symptom(f).equals(symptom));
      } catch (FaultlineException _) {
        return false;
      }
    }

    /** What the verb audit finds in these lines. */
    static AuditResult audit(
        String name, KernelModel told, UnaryOperator<KernelModel> asked, List<Observation> lines) {
      Audit audit = new Audit(name, asked.apply(VendorGuess.complete(told, lines.iterator())));
      for (Observation line : lines) {
        audit.accept(RecordedCalls.convert(line, audit.nextMoment()));
      }
      return audit.result();
    }

    static Symptom.Finds symptom(Finding f) {
      return new Symptom.Finds(f.seq(), f.lane(), f.rule().id(), f.message());
    }
  }
}
