package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// The attributes that spans may have; exporters leave out all others, so that none tells about people. Names are
// OpenTelemetry's where it has one (Semantic Conventions 1.43).
const (
	AttrRoute        = attribute.Key("http.route")                // as declared, without its values
	AttrStatus       = attribute.Key("http.response.status_code") // of the answer
	AttrMethod       = attribute.Key("http.request.method")
	AttrHost         = attribute.Key("server.address")
	AttrAWSService   = attribute.Key("rpc.service") // as the SDK names it: DynamoDB, KMS
	AttrOperation    = attribute.Key("rpc.method")
	AttrRegion       = attribute.Key("cloud.region")
	AttrAWSRequest   = attribute.Key("aws.request_id")
	AttrTables       = attribute.Key("aws.dynamodb.table_names")
	AttrAttempts     = attribute.Key("aws.attempts") // of one call, the first included
	AttrThrottled    = attribute.Key("aws.throttled")
	AttrError        = attribute.Key("error.type") // a code or a Go type, never a text
	AttrRequestID    = attribute.Key("request_id")
	AttrColdStart    = attribute.Key("faas.coldstart")
	AttrModel        = attribute.Key("gen_ai.request.model")
	AttrInputTokens  = attribute.Key("gen_ai.usage.input_tokens")
	AttrOutputTokens = attribute.Key("gen_ai.usage.output_tokens")
)

// tracerName is the instrumentation scope of all spans.
const tracerName = "github.com/expenzez/aws-backend"

// StartSpan begins a span under the context's own, by whose tracer it is recorded. Under a context that is not sampled
// it does nothing and costs next to nothing: the span that it returns is not recording.
func StartSpan(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, trace.SpanFromContext(context.Background()) // ending it must not end the caller's
	}
	return parent.TracerProvider().Tracer(tracerName).Start(ctx, name, o...)
}

// EndSpan ends a span, as failed when err is not nil. Of the error it keeps the type, or the code if it has one.
func EndSpan(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetAttributes(AttrError.String(ErrorType(err)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// ErrorType is what an error is, without its text: the code of AWS, else the Go type of its innermost cause.
func ErrorType(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	for next := err; next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return fmt.Sprintf("%T", err)
}

// Remote traces the requests of an HTTP client that is none of AWS's. A span lasts until the response's headers are
// there. It holds method, host and status; path and query may name people.
func Remote(next http.RoundTripper) http.RoundTripper { return remote{next} }

type remote struct{ next http.RoundTripper }

// RoundTrip makes the request inside a span.
func (r remote) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := StartSpan(req.Context(), req.URL.Host, trace.WithSpanKind(trace.SpanKindClient))
	if !span.IsRecording() {
		return r.next.RoundTrip(req)
	}
	span.SetAttributes(AttrMethod.String(req.Method), AttrHost.String(req.URL.Host))
	res, err := r.next.RoundTrip(req.WithContext(ctx))
	if err == nil {
		span.SetAttributes(AttrStatus.Int(res.StatusCode))
	}
	EndSpan(span, err)
	return res, err
}
