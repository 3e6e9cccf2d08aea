package rest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
)

// traced is a handler with a span of its own, inside that of the invocation.
func traced(id string, h Handler) Handler {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, r *Request) (response Response, err error) {
		ctx, span := telemetry.StartSpan(ctx, "handler "+id)
		if !span.IsRecording() {
			return h(ctx, r)
		}
		returned := false
		defer func() {
			if !returned {
				err = errPanicked
			}
			endSpan(span, err)
		}()
		response, err = h(ctx, r)
		returned = true
		return response, err
	}
}

// errPanicked is what the span of a handler that panicked says. The panic goes on.
var errPanicked = errors.New("rest: panic")

// endSpan ends a span by what the caller is told: a refusal is no fault of ours.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetAttributes(telemetry.AttrStatus.Int(apperr.From(err).Kind.Status()))
	}
	telemetry.EndSpan(span, err)
}

// tracedLimiter is a limiter with spans. A refusal is an answer, not a failure.
func tracedLimiter(l Limiter) Limiter {
	if l == nil {
		return nil
	}
	return spanLimiter{l}
}

type spanLimiter struct{ Limiter }

// Count is the limiter's own, inside a span.
func (l spanLimiter) Count(ctx context.Context, counts []Count) (verdict Verdict, err error) {
	ctx, span := telemetry.StartSpan(ctx, "limiter")
	defer func() { telemetry.EndSpan(span, err) }()
	return l.Limiter.Count(ctx, counts)
}

// event is the error event of a request that failed by our fault; none when the sandbox has made enough of them.
func (a *API) event(ctx context.Context, ev event, o outcome) []slog.Attr {
	attr, ok := a.report.Event(report.Failure{
		Err: cmp.Or(errors.Unwrap(o.err), error(o.err)), Panic: len(o.stack) > 0, Stack: o.stack,
		Route: ev.Method + " " + ev.Resource, Code: o.err.Problem("").Code, RequestID: ev.Context.RequestID,
	})
	if !ok {
		telemetry.Count(ctx, telemetry.EventsDropped, 1)
		return nil
	}
	return []slog.Attr{attr}
}
