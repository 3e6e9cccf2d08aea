// Package xray sends the spans of an invocation to X-Ray: as subsegment documents, by UDP, to the agent that Lambda runs
// beside each sandbox, with no collector in between.
//
// It works while an invocation runs and never between two: spans are gathered in memory, and one pass after the handler
// has answered writes them, without goroutines and timers, which a frozen sandbox would suspend. Writing takes Bound at
// most, and whatever goes wrong with it the answer stays what it was. An invocation that X-Ray did not choose to sample
// makes no span and no datagram.
//
// A document holds what the exporter knows to be free of personal data (see the attributes of package telemetry): names
// of operations, tables, routes and error types, numbers and statuses. Texts of errors, keys, statements, paths and
// everything else stay behind. UDP promises nothing: a datagram that is lost is lost.
package xray

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// Handler is a handler of Lambda's events, as aws-lambda-go declares it.
type Handler interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// Trace makes a handler whose invocations are traced, under the name of the function, with the agent that Lambda names
// in AWS_XRAY_DAEMON_ADDRESS. Without that variable it is the handler itself; with one that is no address it says so in
// the log and goes on without.
func Trace(h Handler, name string, lookup func(string) (string, bool), log *slog.Logger) Handler {
	address, _ := lookup("AWS_XRAY_DAEMON_ADDRESS")
	if address == "" {
		return h
	}
	exporter, err := Dial(address)
	if err != nil {
		log.Warn("there are no traces", telemetry.FieldError, err)
		return h
	}
	return Wrap(h, name, Options{Exporter: exporter, Log: log})
}

// Options say where spans go.
type Options struct {
	Exporter sdktrace.SpanExporter // called once after each sampled invocation, concurrently for concurrent ones
	Log      *slog.Logger          // hears of the first export that fails; nil: nobody does
	IDs      sdktrace.IDGenerator  // nil: random ones
}

// Wrap makes a handler whose invocations are traced. Under the context that it hands on, the span is that of the
// invocation, a child of the segment that the trace header names. The trace header is the context's: the environment's is
// another invocation's where a sandbox serves several at once.
func Wrap(h Handler, name string, o Options) Handler {
	c := &collector{open: map[trace.SpanID]*invocation{}}
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithSpanProcessor(c),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // X-Ray has decided; only sampled invocations come here
		sdktrace.WithResource(resource.Empty()),
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{AttributeCountLimit: 32, AttributeValueLengthLimit: maxText}),
	}
	if o.IDs != nil {
		options = append(options, sdktrace.WithIDGenerator(o.IDs))
	}
	return &traced{next: h, name: name, o: o, collector: c, tracer: sdktrace.NewTracerProvider(options...).Tracer("github.com/expenzez/aws-backend")}
}

type traced struct {
	next      Handler
	name      string
	o         Options
	collector *collector
	tracer    trace.Tracer
	failed    atomic.Bool // an export did, and the log has it
}

// Invoke hands the event on, and exports the invocation's spans before it returns.
func (t *traced) Invoke(ctx context.Context, payload []byte) (out []byte, err error) {
	parent, sampled := remote(telemetry.TraceID(ctx))
	if !sampled {
		return t.next.Invoke(ctx, payload)
	}
	i := &invocation{}
	ctx = context.WithValue(trace.ContextWithRemoteSpanContext(ctx, parent), invocationKey{}, i)
	ctx, span := t.tracer.Start(ctx, t.name, trace.WithSpanKind(trace.SpanKindServer))
	returned := false
	defer func() {
		if !returned || err != nil {
			span.SetStatus(codes.Error, "")
		}
		t.flush(ctx, span, i)
	}()
	out, err = t.next.Invoke(ctx, payload)
	returned = true
	return out, err
}

// flush ends the invocation's span and exports all of its spans. A panic of the exporter ends here.
func (t *traced) flush(ctx context.Context, span trace.Span, i *invocation) {
	defer func() {
		if p := recover(); p != nil {
			t.fail(ctx, fmt.Errorf("panic: %v", p))
		}
	}()
	if n := t.collector.dropped(i); n > 0 {
		span.SetAttributes(attrDropped.Int(n))
	}
	span.End()
	if err := t.o.Exporter.ExportSpans(context.WithoutCancel(ctx), t.collector.take(i)); err != nil {
		t.fail(ctx, err)
	}
}

func (t *traced) fail(ctx context.Context, err error) {
	if t.o.Log != nil && t.failed.CompareAndSwap(false, true) {
		t.o.Log.WarnContext(ctx, "traces are not delivered", telemetry.FieldError, err)
	}
}

// attrDropped is how many spans of an invocation were more than MaxSpans.
const attrDropped = attribute.Key("dropped_spans")

// remote is the segment that waits for the invocation, and whether it is sampled. Without a parent there is nothing that
// a subsegment could belong to.
func remote(header string) (trace.SpanContext, bool) {
	t, ok := telemetry.ParseTrace(header)
	if !ok || !t.Sampled || t.Parent == "" {
		return trace.SpanContext{}, false
	}
	var traceID trace.TraceID
	var spanID trace.SpanID
	_, err := hex.Decode(traceID[:], []byte(t.Root[2:10]+t.Root[11:]))
	_, err2 := hex.Decode(spanID[:], []byte(t.Parent))
	c := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true})
	return c, errors.Join(err, err2) == nil && c.IsValid()
}
