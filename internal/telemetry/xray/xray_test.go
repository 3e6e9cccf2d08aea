package xray_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
)

const (
	header  = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	traceID = "1-5759e988-bd862e3fe1be46a994272793"
)

type handler func(context.Context) ([]byte, error)

func (h handler) Invoke(ctx context.Context, _ []byte) ([]byte, error) { return h(ctx) }

func within(ctx context.Context, header string) context.Context {
	return context.WithValue(ctx, "x-amzn-trace-id", header) //nolint:staticcheck // the runtime's own key
}

// wire keeps datagrams, and fails when it is told to.
type wire struct {
	mu        sync.Mutex
	datagrams [][]byte
	err       error
	deadlines []time.Time
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.datagrams = append(w.datagrams, bytes.Clone(p))
	return len(p), nil
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return nil
}

// documents reads datagrams as the agent does, and holds each to the schema.
func documents(t testing.TB, datagrams [][]byte) []map[string]any {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("testdata/subsegment.schema.json")
	require.NoError(t, err)
	var all []map[string]any
	for _, d := range datagrams {
		require.LessOrEqual(t, len(d), xray.MaxDatagram)
		first, rest, ok := bytes.Cut(d, []byte("\n"))
		require.True(t, ok)
		require.JSONEq(t, `{"format":"json","version":1}`, string(first))
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(rest))
		require.NoError(t, err, "%s", rest)
		require.NoError(t, schema.Validate(doc), "%s", rest)
		var got map[string]any
		require.NoError(t, json.Unmarshal(rest, &got))
		all = append(all, got)
	}
	return all
}

// counter makes the ids 1, 2, 3 …
type counter struct{ n uint64 }

func (c *counter) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	return trace.TraceID{1}, c.NewSpanID(ctx, trace.TraceID{})
}

func (c *counter) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	c.n++
	binary.BigEndian.PutUint64(id[:], c.n)
	return id
}

func TestAnInvocationArrivesAtTheAgent(t *testing.T) {
	t.Parallel()
	agent, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = agent.Close() })
	lookup := func(name string) (string, bool) { return agent.LocalAddr().String(), name == "AWS_XRAY_DAEMON_ADDRESS" }
	h := xray.Trace(handler(func(ctx context.Context) ([]byte, error) {
		ctx, span := telemetry.StartSpan(ctx, "handler list")
		_, call := telemetry.StartSpan(ctx, "DynamoDB", trace.WithSpanKind(trace.SpanKindClient))
		call.SetAttributes(telemetry.AttrAWSService.String("DynamoDB"), telemetry.AttrOperation.String("Query"))
		telemetry.EndSpan(call, nil)
		telemetry.EndSpan(span, nil)
		return []byte("answer"), nil
	}), "transactions-api", lookup, slog.New(slog.DiscardHandler))
	out, err := h.Invoke(within(t.Context(), header), nil)
	require.NoError(t, err)
	require.Equal(t, "answer", string(out))

	buffer := make([]byte, 1<<16)
	require.NoError(t, agent.SetReadDeadline(time.Now().Add(10*time.Second)))
	n, err := agent.Read(buffer)
	require.NoError(t, err)
	root := documents(t, [][]byte{buffer[:n]})[0]
	require.Equal(t, "transactions-api", root["name"])
	require.Equal(t, traceID, root["trace_id"])
	require.Equal(t, "53995c3f42cd8ad8", root["parent_id"])
	inner := root["subsegments"].([]any)[0].(map[string]any)
	require.Equal(t, "handler list", inner["name"])
	call := inner["subsegments"].([]any)[0].(map[string]any)
	require.Equal(t, "aws", call["namespace"])
	require.Equal(t, map[string]any{"operation": "Query"}, call["aws"])
	require.LessOrEqual(t, root["start_time"], inner["start_time"])
	require.GreaterOrEqual(t, root["end_time"], inner["end_time"])
}

func TestWhatIsNotSampledMakesNothing(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{"unsampled": strings.Replace(header, "Sampled=1", "Sampled=0", 1), "undecided": strings.Replace(header, ";Sampled=1", "", 1),
		"none": "", "malformed": "Root=1-x;Parent=53995c3f42cd8ad8;Sampled=1", "no_parent": "Root=" + traceID + ";Sampled=1",
		"zero_parent": strings.Replace(header, "53995c3f42cd8ad8", "0000000000000000", 1)} {
		w := &wire{}
		ctx := within(t.Context(), header)
		h := xray.Wrap(handler(func(inner context.Context) ([]byte, error) {
			require.Equal(t, ctx, inner, "the context is handed on as it is: %s", name)
			under, span := telemetry.StartSpan(inner, "x")
			require.Equal(t, inner, under)
			require.False(t, span.IsRecording())
			telemetry.EndSpan(span, io.EOF)
			return nil, nil
		}), "f", xray.Options{Exporter: xray.NewExporter(w)})
		_, err := h.Invoke(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, w.datagrams, name)
		require.Empty(t, w.deadlines, name)
	}
}

func TestTracesAreOffWithoutAnAgent(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	for address, lines := range map[string]int{"": 0, "localhost:2000": 1, "127.0.0.1": 1, "x": 1} {
		log.Reset()
		h := xray.Trace(handler(func(ctx context.Context) ([]byte, error) {
			require.False(t, trace.SpanFromContext(ctx).IsRecording())
			return []byte("a"), nil
		}), "f", func(string) (string, bool) { return address, address != "" }, telemetry.New(&log, telemetry.Options{}))
		out, err := h.Invoke(within(t.Context(), header), nil)
		require.NoError(t, err)
		require.Equal(t, "a", string(out))
		require.Equal(t, lines, strings.Count(log.String(), "there are no traces"), address)
	}
}

// exports is an exporter that does what it is told.
type exports func([]sdktrace.ReadOnlySpan) error

func (e exports) ExportSpans(_ context.Context, s []sdktrace.ReadOnlySpan) error { return e(s) }
func (exports) Shutdown(context.Context) error                                   { return nil }

func TestTheAnswerDoesNotDependOnTheAgent(t *testing.T) {
	t.Parallel()
	for name, exporter := range map[string]sdktrace.SpanExporter{
		"refused": xray.NewExporter(&wire{err: errors.New("connection refused")}),
		"timeout": xray.NewExporter(&wire{err: os.ErrDeadlineExceeded}),
		"fails":   exports(func([]sdktrace.ReadOnlySpan) error { return errors.New("x") }),
		"panics":  exports(func([]sdktrace.ReadOnlySpan) error { panic("x") }),
	} {
		var log bytes.Buffer
		h := xray.Wrap(handler(func(context.Context) ([]byte, error) { return []byte("a"), io.EOF }), "f",
			xray.Options{Exporter: exporter, Log: telemetry.New(&log, telemetry.Options{})})
		for range 3 {
			out, err := h.Invoke(within(t.Context(), header), nil)
			require.Equal(t, io.EOF, err, name)
			require.Equal(t, "a", string(out), name)
		}
		require.Equal(t, 1, strings.Count(log.String(), "traces are not delivered"), "%s: it is said once", name)
	}
}

func TestWritingIsBounded(t *testing.T) {
	t.Parallel()
	w := &wire{}
	before := time.Now()
	require.NoError(t, xray.NewExporter(w).ExportSpans(t.Context(), stubs()))
	require.Len(t, w.deadlines, 1)
	require.WithinRange(t, w.deadlines[0], before.Add(xray.Bound), time.Now().Add(xray.Bound))
}

func TestAPanicGoesOnAndIsAFault(t *testing.T) {
	t.Parallel()
	w := &wire{}
	h := xray.Wrap(handler(func(context.Context) ([]byte, error) { panic("boom") }), "f", xray.Options{Exporter: xray.NewExporter(w)})
	require.PanicsWithValue(t, "boom", func() { _, _ = h.Invoke(within(t.Context(), header), nil) })
	root := documents(t, w.datagrams)[0]
	require.Equal(t, true, root["fault"])
	require.NotContains(t, string(w.datagrams[0]), "boom")
}

func TestSpansOfWorkLeftBehindAreInProgress(t *testing.T) {
	t.Parallel()
	w := &wire{}
	var left trace.Span
	var leftCtx context.Context
	h := xray.Wrap(handler(func(ctx context.Context) ([]byte, error) {
		leftCtx, left = telemetry.StartSpan(ctx, "slow")
		left.SetAttributes(telemetry.AttrModel.String("m"))
		return nil, nil
	}), "f", xray.Options{Exporter: xray.NewExporter(w)})
	_, err := h.Invoke(within(t.Context(), header), nil)
	require.NoError(t, err)
	_, late := telemetry.StartSpan(leftCtx, "late")
	late.End()
	left.End()
	_, err = h.Invoke(within(t.Context(), header), nil)
	require.NoError(t, err)
	docs := documents(t, w.datagrams)
	require.Len(t, docs, 2)
	slow := docs[0]["subsegments"].([]any)[0].(map[string]any)
	require.Equal(t, true, slow["in_progress"])
	require.NotContains(t, slow, "end_time")
	require.NotContains(t, string(w.datagrams[1]), "late", "what ends after its invocation is no part of the next")
}

func TestConcurrentInvocationsKeepTheirSpans(t *testing.T) {
	t.Parallel()
	w := &wire{}
	h := xray.Wrap(handler(func(ctx context.Context) ([]byte, error) {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, span := telemetry.StartSpan(ctx, "limiter")
				telemetry.EndSpan(span, io.EOF)
			})
		}
		wg.Wait()
		return nil, nil
	}), "f", xray.Options{Exporter: &locked{next: xray.NewExporter(w)}})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { _, _ = h.Invoke(within(t.Context(), header), nil) }) // one trace for all of them
	}
	wg.Wait()
	docs := documents(t, w.datagrams)
	require.Len(t, docs, 16)
	for _, d := range docs {
		require.Len(t, d["subsegments"], 3)
	}
}

type locked struct {
	next sdktrace.SpanExporter
	mu   sync.Mutex
}

func (l *locked) ExportSpans(ctx context.Context, s []sdktrace.ReadOnlySpan) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next.ExportSpans(ctx, s)
}
func (l *locked) Shutdown(context.Context) error { return nil }

// A sandbox is frozen as soon as it has answered: nothing may be left that wants to run. The bubble ends only when all
// goroutines that were begun in it have.
func TestNothingRunsAfterAnInvocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := telemetry.New(io.Discard, telemetry.Options{})
		reporter := report.New(report.Options{})
		w := &wire{}
		h := xray.Wrap(handler(func(ctx context.Context) ([]byte, error) {
			ctx = telemetry.Begin(ctx, log)
			_, span := telemetry.StartSpan(ctx, "work")
			telemetry.Counter(log, telemetry.Requests)(1)
			telemetry.EndSpan(span, io.EOF)
			event, _ := reporter.Event(report.Failure{Err: io.EOF})
			telemetry.End(ctx, slog.LevelError, "request", event)
			return nil, nil
		}), "f", xray.Options{Exporter: xray.NewExporter(w), Log: log})
		begun := time.Now()
		_, err := h.Invoke(within(t.Context(), header), nil)
		require.NoError(t, err)
		require.Len(t, w.datagrams, 1, "they are written before the answer is given")
		synctest.Wait()
		require.Equal(t, begun, time.Now(), "nobody waited")
	})
}

func TestSpansBeyondTheLimitAreCounted(t *testing.T) {
	t.Parallel()
	w := &wire{}
	h := xray.Wrap(handler(func(ctx context.Context) ([]byte, error) {
		for range xray.MaxSpans + 4 {
			var span trace.Span
			ctx, span = telemetry.StartSpan(ctx, "deeper") // each is the parent of the next
			defer span.End()
		}
		return nil, nil
	}), "f", xray.Options{Exporter: xray.NewExporter(w)})
	_, err := h.Invoke(within(t.Context(), header), nil)
	require.NoError(t, err)
	docs := documents(t, w.datagrams)
	require.EqualValues(t, 5, docs[0]["annotations"].(map[string]any)["dropped_spans"])
	require.Equal(t, xray.MaxSpans, spansIn(docs))
}

func spansIn(docs []map[string]any) int {
	n := 0
	for _, d := range docs {
		n++
		list, _ := d["subsegments"].([]any)
		for _, s := range list {
			n += spansIn([]map[string]any{s.(map[string]any)})
		}
	}
	return n
}

// stub is a span at fixed times.
func stub(name string, id, parent byte, kind trace.SpanKind, attrs ...attribute.KeyValue) tracetest.SpanStub {
	c := func(id byte, remote bool) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{0x57, 0x59, 0xe9, 0x88, 15: 7}, SpanID: trace.SpanID{7: id},
			TraceFlags: trace.FlagsSampled, Remote: remote})
	}
	start := time.Unix(1_800_000_000, int64(id)*1_000_000)
	status := sdktrace.Status{}
	if slices.ContainsFunc(attrs, func(kv attribute.KeyValue) bool { return kv.Key == telemetry.AttrError }) {
		status.Code = codes.Error // as EndSpan does
	}
	return tracetest.SpanStub{Name: name, SpanContext: c(id, false), Parent: c(parent, parent == 0xff), SpanKind: kind,
		StartTime: start, EndTime: start.Add(5500 * time.Microsecond), Attributes: attrs, Status: status}
}

// stubs are an invocation with a span of every kind there is.
func stubs() []sdktrace.ReadOnlySpan {
	client := trace.SpanKindClient
	call := func(id byte, service, operation string, status int, more ...attribute.KeyValue) tracetest.SpanStub {
		return stub(service, id, 3, client, append(more, telemetry.AttrAWSService.String(service), telemetry.AttrOperation.String(operation),
			telemetry.AttrRegion.String("eu-west-2"), telemetry.AttrStatus.Int(status), telemetry.AttrAWSRequest.String("R1"))...)
	}
	return tracetest.SpanStubs{
		stub("limiter", 2, 1, trace.SpanKindInternal),
		call(4, "DynamoDB", "Query", 200, telemetry.AttrTables.StringSlice([]string{"expenzez-dev-users"}), telemetry.AttrAttempts.Int(2)),
		call(5, "DynamoDB", "TransactWriteItems", 400, telemetry.AttrTables.StringSlice([]string{"expenzez-dev-a", "expenzez-dev-b"}),
			telemetry.AttrError.String("ConditionalCheckFailedException"), telemetry.AttrThrottled.Bool(false)),
		call(6, "KMS", "Decrypt", 400, telemetry.AttrError.String("ThrottlingException"), telemetry.AttrThrottled.Bool(true)),
		call(7, "Secrets Manager", "GetSecretValue", 500, telemetry.AttrError.String("InternalServiceError")),
		call(8, "Cognito Identity Provider", "AdminInitiateAuth", 0, telemetry.AttrError.String("*net.OpError")),
		stub("api.openai.com", 9, 3, client, telemetry.AttrMethod.String("POST"), telemetry.AttrHost.String("api.openai.com"), telemetry.AttrStatus.Int(429),
			telemetry.AttrModel.String("gpt"), telemetry.AttrInputTokens.Int(12), telemetry.AttrOutputTokens.Int(3)),
		stub("handler ask <>", 3, 1, trace.SpanKindInternal, attribute.String("statement", "SELECT hunter2"), attribute.String("user", "hunter2")),
		stub("orphan", 10, 99, trace.SpanKindInternal),
		stub("ai-api", 1, 0xff, trace.SpanKindServer, telemetry.AttrRoute.String("POST /chat"), telemetry.AttrStatus.Int(503),
			telemetry.AttrRequestID.String("6f1c2f6e-0000-4000-8000-000000000001"), telemetry.AttrColdStart.Bool(true)),
	}.Snapshots()
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	w := &wire{}
	require.NoError(t, xray.NewExporter(w).ExportSpans(t.Context(), stubs()))
	require.Len(t, w.datagrams, 1)
	documents(t, w.datagrams)
	require.NotContains(t, string(w.datagrams[0]), "hunter2")
	_, doc, _ := bytes.Cut(w.datagrams[0], []byte("\n"))
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, doc, "", "  "))
	golden.Compare(t, "testdata/invocation.golden.json", append(pretty.Bytes(), '\n'))
}

func TestWhatDoesNotFitIsSentByItself(t *testing.T) {
	t.Parallel()
	var spans tracetest.SpanStubs
	tables := make([]string, 20)
	for i := range tables {
		tables[i] = strings.Repeat("t", 300)
	}
	const n = 60
	for id := byte(2); id < n; id++ {
		parent := byte(1)
		if id%3 == 0 {
			parent = id - 1
		}
		spans = append(spans, stub("DynamoDB", id, parent, trace.SpanKindClient, telemetry.AttrAWSService.String("DynamoDB"), telemetry.AttrTables.StringSlice(tables)))
	}
	spans = append(spans, stub("f", 1, 0xff, trace.SpanKindServer))
	w := &wire{}
	require.NoError(t, xray.NewExporter(w).ExportSpans(t.Context(), spans.Snapshots()))
	docs := documents(t, w.datagrams)
	require.Greater(t, len(docs), 1)
	require.Equal(t, n-1, spansIn(docs), "every span arrives once")
	root := docs[len(docs)-1]
	require.Equal(t, "f", root["name"])
	for _, d := range docs[:len(docs)-1] {
		require.Equal(t, root["id"], d["parent_id"], "it is sent as a child of where it belongs")
		require.Equal(t, root["trace_id"], d["trace_id"])
	}
}

func TestNothingIsSentForNothing(t *testing.T) {
	t.Parallel()
	w := &wire{}
	e := xray.NewExporter(w)
	require.NoError(t, e.ExportSpans(t.Context(), nil))
	require.NoError(t, e.ExportSpans(t.Context(), tracetest.SpanStubs{stub("a", 1, 2, 0), stub("b", 2, 1, 0)}.Snapshots()), "a circle")
	require.Empty(t, w.datagrams)
	require.NoError(t, e.Shutdown(t.Context()))
}

// trip is a server's answer without a server.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRemoteCalls(t *testing.T) {
	t.Parallel()
	w := &wire{}
	h := xray.Wrap(handler(func(ctx context.Context) ([]byte, error) {
		for _, answer := range []trip{
			func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 500}, nil },
			func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		} {
			req, err := http.NewRequestWithContext(ctx, "POST", "https://api.openai.com/v1/users/hunter2?q=hunter2", nil)
			require.NoError(t, err)
			_, _ = telemetry.Remote(answer).RoundTrip(req) //nolint:bodyclose // there is no body
		}
		return nil, nil
	}), "f", xray.Options{Exporter: xray.NewExporter(w), IDs: &counter{}})
	_, err := h.Invoke(within(t.Context(), header), nil)
	require.NoError(t, err)
	require.NotContains(t, string(w.datagrams[0]), "hunter2")
	calls := documents(t, w.datagrams)[0]["subsegments"].([]any)
	require.Len(t, calls, 2)
	for i, c := range calls {
		call := c.(map[string]any)
		require.Equal(t, "remote", call["namespace"])
		require.Equal(t, "api.openai.com", call["name"])
		require.Equal(t, true, call["fault"])
		require.Equal(t, map[string]any{"method": "POST", "url": "https://api.openai.com/"}, call["http"].(map[string]any)["request"])
		if i == 1 {
			require.Equal(t, "errors.errorString", call["cause"].(map[string]any)["exceptions"].([]any)[0].(map[string]any)["type"])
		}
	}
}

func FuzzDocuments(f *testing.F) {
	f.Add("DynamoDB", "Query", "table", "route", int64(200), []byte{1, 2, 3})
	f.Add("\xff\x00<>", "\"", "ada@example.com", "\u2028", int64(-1), []byte{9, 1, 1, 0})
	f.Fuzz(func(t *testing.T, name, operation, table, route string, status int64, parents []byte) {
		if len(parents) > 200 {
			parents = parents[:200]
		}
		spans := tracetest.SpanStubs{stub(name, 1, 0xff, trace.SpanKindServer, telemetry.AttrRoute.String(route), telemetry.AttrRequestID.String(table))}
		for i, p := range parents {
			kind := trace.SpanKind(p % 6)
			spans = append(spans, stub(name, byte(i+2), p%0xff, kind, telemetry.AttrAWSService.String(operation), telemetry.AttrOperation.String(operation),
				telemetry.AttrTables.StringSlice([]string{table, name}), telemetry.AttrStatus.Int64(status), telemetry.AttrError.String(route), telemetry.AttrHost.String(name),
				attribute.String(name, "hunter2")))
		}
		w := &wire{}
		require.NoError(t, xray.NewExporter(w).ExportSpans(t.Context(), spans.Snapshots()))
		documents(t, w.datagrams)
		for _, d := range w.datagrams {
			require.NotContains(t, string(d), "hunter2")
			require.NotContains(t, string(d), "@example")
		}
	})
}

func BenchmarkInvocation(b *testing.B) {
	next := handler(func(ctx context.Context) ([]byte, error) {
		for range 4 {
			_, span := telemetry.StartSpan(ctx, "call")
			telemetry.EndSpan(span, nil)
		}
		return nil, nil
	})
	h := xray.Wrap(next, "f", xray.Options{Exporter: xray.NewExporter(&sink{})})
	for name, handle := range map[string]struct {
		h      xray.Handler
		header string
	}{"bare": {next, header}, "unsampled": {h, strings.Replace(header, "Sampled=1", "Sampled=0", 1)}, "sampled": {h, header}} {
		ctx := within(context.Background(), handle.header)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = handle.h.Invoke(ctx, nil)
			}
		})
	}
}

type sink struct{}

func (sink) Write(p []byte) (int, error)      { return len(p), nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }
