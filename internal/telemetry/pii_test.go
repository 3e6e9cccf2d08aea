package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/telemetry/report"
	"github.com/expenzez/aws-backend/internal/telemetry/xray"
)

type invoke func(context.Context)

func (f invoke) Invoke(ctx context.Context, _ []byte) ([]byte, error) { f(ctx); return nil, nil }

type valuer struct{ text string }

func (v valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("note", "of "+v.text), slog.String("email", v.text))
}

type typed struct{ text string }

func (e *typed) Error() string { return "user " + e.text + " is unknown" }

type offline struct{ text string }

func (o offline) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route for " + o.text)
}

// Whatever way personal data takes into the telemetry of a request, it is in no line, metric, span and event.
func TestNothingPersonalComesOut(t *testing.T) {
	t.Parallel()
	planted := []string{"ada.lovelace@example.com", "+447911123456", "+44 7911 123 456", "07911 123456", refresh,
		"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl", "sk-proj-" + refresh}
	for _, p := range planted {
		t.Run(p, func(t *testing.T) {
			t.Parallel()
			agent, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			require.NoError(t, err)
			t.Cleanup(func() { _ = agent.Close() })
			var b bytes.Buffer
			log := telemetry.New(&b, telemetry.Options{Environment: "dev", Service: "auth", Function: "auth-api"})
			reporter := report.New(report.Options{Source: telemetry.OptionsOf(log)})
			failure := fmt.Errorf("auth: %s: %w", p, errors.Join(&typed{p}, errors.New("call "+p)))
			h := xray.Trace(invoke(func(ctx context.Context) {
				ctx = telemetry.Begin(ctx, log.With("phone", p).WithGroup("user").With("email", p), slog.String(telemetry.FieldRequestID, "r1"))
				everyKind(telemetry.From(ctx), p, failure)
				telemetry.Count(ctx, telemetry.Metric(p), 1)
				telemetry.Count(ctx, telemetry.Requests, 1)
				everySpan(ctx, p, failure)
				event, ok := reporter.Event(report.Failure{Err: failure, Panic: true, Stack: report.Caught(), Route: "GET /" + p, Code: p, RequestID: p})
				require.True(t, ok)
				telemetry.End(ctx, slog.LevelError, "request for "+p, event, slog.Any("error", failure))
			}), "auth-api", func(string) (string, bool) { return agent.LocalAddr().String(), true }, log)
			ctx := context.WithValue(t.Context(), "x-amzn-trace-id", "Root="+root+";Parent=53995c3f42cd8ad8;Sampled=1;User="+p) //nolint:staticcheck // the runtime's own key
			_, err = h.Invoke(ctx, nil)
			require.NoError(t, err)

			spans := make([]byte, 1<<16)
			require.NoError(t, agent.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, err := agent.Read(spans)
			require.NoError(t, err)
			for name, out := range map[string]string{"spans": string(spans[:n]), "log": b.String()} {
				require.NotEmpty(t, out)
				require.NotContains(t, out, p, name)
				require.NotContains(t, out, strings.TrimPrefix(p, "+"), name)
				for _, part := range []string{"ada.lovelace", "7911", "eyJhbGciOiJFUzI1NiJ9", refresh} {
					require.NotContains(t, out, part, name)
				}
			}
			require.Contains(t, b.String(), `"event_id"`)
			require.Contains(t, b.String(), `"Requests":1`)
			require.Contains(t, b.String(), `"debug":[`)
		})
	}
}

// everyKind logs a text in every way in which a handler can be given one.
func everyKind(log *slog.Logger, p string, err error) {
	text := "it is " + p
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelError} {
		log.LogAttrs(context.Background(), level, "message "+p,
			slog.String("text", text), slog.String("phoneNumber", p), slog.Any("error", err), slog.Any("list", []string{p, text}),
			slog.Any("items", telemetry.List{slog.StringValue(text), slog.GroupValue(slog.String("text", p))}),
			slog.Any("secret", secret.NewValue(p)), slog.Any("value", secret.NewValue(p)), slog.Any("valuer", valuer{p}),
			slog.Any("struct", struct{ Email string }{p}), slog.Any("pointer", &p), slog.Any("map", map[string]string{p: p}), slog.Any("bytes", []byte(p)),
			slog.Group("address", slog.String("line", p), slog.Group("in", slog.String("deeper", p))), slog.Group("g", slog.String("text", text), slog.String(p, p)),
			slog.Any("token", 7), slog.String(telemetry.FieldRoute, "/users/"+p), slog.String(p, "name"))
		log.WithGroup(p).With("text", text).WithGroup("password").Log(context.Background(), level, text, "x", p)
	}
}

// everySpan puts a text into every place that a span has.
func everySpan(ctx context.Context, p string, err error) {
	ctx, span := telemetry.StartSpan(ctx, "call "+p, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("db.statement", p)))
	for _, key := range []attribute.Key{telemetry.AttrRoute, telemetry.AttrMethod, telemetry.AttrHost, telemetry.AttrAWSService, telemetry.AttrOperation, telemetry.AttrRegion,
		telemetry.AttrAWSRequest, telemetry.AttrError, telemetry.AttrRequestID, telemetry.AttrModel, "user.id", "enduser.id"} {
		span.SetAttributes(key.String(p))
	}
	span.SetAttributes(telemetry.AttrTables.StringSlice([]string{p}))
	span.AddEvent(p, trace.WithAttributes(attribute.String("text", p)))
	span.RecordError(err)
	telemetry.EndSpan(span, err)
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/users?q=x", http.NoBody)
	req.URL.Path, req.URL.RawQuery = "/"+p, p
	_, _ = telemetry.Remote(offline{p}).RoundTrip(req) //nolint:bodyclose // there is no body
}
