package rest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// metrics are what CloudWatch reads from a line.
func metrics(t *testing.T, line map[string]any) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	directive := line["_aws"].(map[string]any)["CloudWatchMetrics"].([]any)[0].(map[string]any)
	for _, m := range directive["Metrics"].([]any) {
		name := m.(map[string]any)["Name"].(string)
		all[name] = line[name].(float64)
	}
	return all
}

func TestMetricsAndEventsOfARequest(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		world func(*world)
		want  []string // metrics beside Requests and Duration
		event bool
	}{
		"success":     {nil, nil, false},
		"refused":     {func(w *world) { w.handler = failing(apperr.New(apperr.NotFound, "", "")) }, nil, false},
		"limited":     {func(w *world) { w.verdict.Allowed = false }, []string{"Limited"}, false},
		"internal":    {func(w *world) { w.handler = failing(errors.New("boom")) }, []string{"Errors5xx"}, true},
		"unavailable": {func(w *world) { w.limitErr = errors.New("down") }, []string{"Errors5xx"}, true},
		"panic": {func(w *world) {
			w.handler = func(context.Context, *rest.Request) (rest.Response, error) { panic("boom") }
		}, []string{"Errors5xx"}, true},
		"limiter_panic": {func(w *world) { w.panics = "limiter" }, []string{"Errors5xx"}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			if c.world != nil {
				c.world(w)
			}
			client.Do(t, "list", resttest.Request{User: ada})
			line := w.line(t)
			want := map[string]float64{"Requests": 1, "Duration": 0, "ColdStart": 1}
			for _, m := range c.want {
				want[m] = 1
			}
			require.Equal(t, want, metrics(t, line))
			event, ok := line["event"].(map[string]any)
			require.Equal(t, c.event, ok)
			if !ok {
				return
			}
			require.Equal(t, "ERROR", line["level"])
			tags := event["tags"].(map[string]any)
			require.Equal(t, "GET /things", tags["route"])
			require.Equal(t, "shop", tags["function"])
			require.Equal(t, resttest.RequestID, tags["request_id"])
			values := event["exception"].(map[string]any)["values"].([]any)
			last := values[len(values)-1].(map[string]any)
			if !strings.Contains(name, "panic") {
				require.NotContains(t, last, "stacktrace")
				return
			}
			frames := last["stacktrace"].(map[string]any)["frames"].([]any)
			innermost := frames[len(frames)-1].(map[string]any)
			require.Equal(t, "github.com/expenzez/aws-backend/internal/rest_test", innermost["module"])
			require.Equal(t, true, innermost["in_app"])
			require.Equal(t, "fatal", event["level"])
		})
	}
}

func TestOneEventOfAKindInAMinute(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	w.handler = failing(errors.New("boom"))
	for i, want := range []bool{true, false, true} {
		w.log.Reset()
		if i == 2 {
			w.now = w.now.Add(time.Minute)
		}
		client.Do(t, "list", resttest.Request{User: ada})
		line := w.line(t)
		_, ok := line["event"]
		require.Equal(t, want, ok, i)
		require.Equal(t, "boom", line["error"], "the line tells of the failure all the same")
		require.Equal(t, want, metrics(t, line)["ErrorEventsDropped"] == 0)
	}
}

func TestDebugLinesOfAFailure(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	err := errors.New("boom")
	w.handler = func(ctx context.Context, _ *rest.Request) (rest.Response, error) {
		telemetry.From(ctx).Debug("looked")
		return rest.Response{Body: map[string]string{"name": "x"}}, err
	}
	client.Do(t, "list", resttest.Request{User: ada})
	require.Equal(t, "looked", w.line(t)["debug"].([]any)[0].(map[string]any)["message"])
	w.log.Reset()
	err = nil
	client.Do(t, "list", resttest.Request{User: ada})
	require.NotContains(t, w.log.String(), "looked")
}

func TestSpansOfARequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		world   func(*world)
		status  int64 // of the handler's span; 0: none
		failed  bool
		handled bool
	}{
		"success": {nil, 0, false, true},
		"refused": {func(w *world) { w.handler = failing(apperr.New(apperr.NotFound, "", "")) }, 404, true, true},
		"panic": {func(w *world) {
			w.handler = func(context.Context, *rest.Request) (rest.Response, error) { panic("boom") }
		}, 500, true, true},
		"limited": {func(w *world) { w.verdict.Allowed = false }, 0, false, true}, // it was read meanwhile; the answer is thrown away
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			if c.world != nil {
				c.world(w)
			}
			recorder := tracetest.NewSpanRecorder()
			ctx, invocation := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("").Start(t.Context(), "shop")
			reply := client.DoContext(ctx, t, "list", resttest.Request{User: ada})
			invocation.End()
			spans := map[string]tracetest.SpanStub{}
			for _, s := range tracetest.SpanStubsFromReadOnlySpans(recorder.Ended()) {
				spans[s.Name] = s
			}
			require.Contains(t, spans, "limiter")
			require.Equal(t, codes.Unset, spans["limiter"].Status.Code)
			require.Contains(t, spans["shop"].Attributes, telemetry.AttrRoute.String("GET /things"))
			require.Contains(t, spans["shop"].Attributes, telemetry.AttrStatus.Int(reply.Status))
			handler, ok := spans["handler list"]
			require.Equal(t, c.handled, ok)
			require.Equal(t, c.failed, handler.Status.Code == codes.Error)
			status := int64(0)
			for _, kv := range handler.Attributes {
				if kv.Key == telemetry.AttrStatus {
					status = kv.Value.AsInt64()
				}
			}
			require.Equal(t, c.status, status)
		})
	}
}
