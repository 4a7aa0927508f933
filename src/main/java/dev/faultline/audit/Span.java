package dev.faultline.audit;

/** The first and the last of several calls of one kind. */
record Span(Call first, Call last, int count) {
  Span(Call call) {
    this(call, call, 1);
  }

  Span with(Call later) {
    return new Span(first, later, count + 1);
  }
}
