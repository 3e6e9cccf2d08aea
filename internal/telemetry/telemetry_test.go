package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

func line(t *testing.T, write func(*slog.Logger)) map[string]any {
	t.Helper()
	var b bytes.Buffer
	write(telemetry.New(&b, telemetry.Options{}))
	require.Equal(t, 1, strings.Count(b.String(), "\n"))
	var got map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	return got
}

type hidden struct{}

func (hidden) LogValue() slog.Value { return slog.StringValue("[hidden]") }

func TestAttributesThatAreNotWritten(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		attr slog.Attr
		want any
	}{
		"password":        {slog.String("password", "hunter2"), "[redacted]"},
		"camel":           {slog.String("newPassword", "hunter2"), "[redacted]"},
		"upper":           {slog.String("AUTHORIZATION", "hunter2"), "[redacted]"},
		"snake":           {slog.String("refresh_token", "hunter2"), "[redacted]"},
		"dashed":          {slog.String("x-api-key", "hunter2"), "[redacted]"},
		"number":          {slog.Int("phone_number", 441234567890), "[redacted]"},
		"bytes":           {slog.Any("private_key", []byte("hunter2")), "[redacted]"},
		"error_by_key":    {slog.Any("secret", errors.New("hunter2")), "[redacted]"},
		"body":            {slog.String("requestBody", "hunter2"), "[redacted]"},
		"by_type":         {slog.Any("x", hidden{}), "[hidden]"},
		"struct":          {slog.Any("x", struct{ Pin string }{"hunter2"}), "[omitted]"},
		"map":             {slog.Any("x", map[string]string{"pin": "hunter2"}), "[omitted]"},
		"raw_bytes":       {slog.Any("x", []byte("hunter2")), "[omitted]"},
		"pointer":         {slog.Any("x", new(int)), "[omitted]"},
		"mail_in_text":    {slog.String("x", "no user ada@example.com here"), "no user [redacted] here"},
		"mail_in_error":   {slog.Any("x", errors.New("user <ada@example.com>: nope")), "user [redacted] nope"},
		"jwt_in_error":    {slog.Any("x", errors.New("bad token eyJhbGciOi.eyJzdWIi.sig")), "bad token [redacted]"},
		"mail_in_list":    {slog.Any("x", []string{"a", "ada@example.com"}), []any{"a", "[redacted]"}},
		"long_text":       {slog.String("x", strings.Repeat("a", telemetry.MaxField+1)), strings.Repeat("a", telemetry.MaxField) + "…"},
		"plain_text":      {slog.String("x", "plain"), "plain"},
		"plain_number":    {slog.Int("status", 200), 200.0},
		"plain_bool":      {slog.Bool("cold_start", true), true},
		"plain_error":     {slog.Any("x", errors.New("plain")), "plain"},
		"plain_list":      {slog.Any("x", []string{"a"}), []any{"a"}},
		"nothing":         {slog.Any("x", nil), nil},
		"longest_allowed": {slog.String("x", strings.Repeat("a", telemetry.MaxField)), strings.Repeat("a", telemetry.MaxField)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := line(t, func(l *slog.Logger) { l.Info("m", c.attr) })
			require.Equal(t, c.want, got[c.attr.Key])
		})
	}
}

func TestGroupsHideToo(t *testing.T) {
	t.Parallel()
	got := line(t, func(l *slog.Logger) {
		l.WithGroup("credentials").With("id", "hunter2").Info("m", slog.Group("in", slog.String("x", "hunter2")))
	})
	require.Equal(t, map[string]any{"id": "[redacted]", "in": map[string]any{"x": "[redacted]"}}, got["credentials"])
	got = line(t, func(l *slog.Logger) {
		l.WithGroup("g").Info("m", slog.String("msg", "x"), slog.String("password", "hunter2"))
	})
	require.Equal(t, map[string]any{"msg": "x", "password": "[redacted]"}, got["g"])
}

func TestMessagesAreCleaned(t *testing.T) {
	t.Parallel()
	require.Equal(t, "mail to [redacted]", line(t, func(l *slog.Logger) { l.Info("mail to ada@example.com") })["message"])
}

func TestLongTextsAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for pad := range 4 {
		got := line(t, func(l *slog.Logger) {
			l.Info("m", "x", strings.Repeat("a", pad)+strings.Repeat("😀", telemetry.MaxField))
		})["x"].(string)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "\ufffd")
		require.InDelta(t, telemetry.MaxField, len(got), 6)
	}
}

func TestEveryLineSaysWhereItIsFrom(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	telemetry.New(&b, telemetry.Options{Environment: "dev", Function: "auth-api", Version: "7"}).Warn("m")
	var got map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	at, err := time.Parse(time.RFC3339, got["timestamp"].(string))
	require.NoError(t, err)
	require.Equal(t, time.UTC, at.Location())
	delete(got, "timestamp")
	require.Equal(t, map[string]any{"level": "WARN", "message": "m", "environment": "dev", "function": "auth-api", "version": "7"}, got)
}

func TestLevel(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	telemetry.New(&b, telemetry.Options{Level: slog.LevelWarn}).Info("m")
	telemetry.New(&b, telemetry.Options{}).Debug("m")
	require.Empty(t, b.String())
}

func TestContext(t *testing.T) {
	t.Parallel()
	telemetry.From(context.Background()).Error("goes nowhere")
	l := slog.New(slog.DiscardHandler)
	require.Same(t, l, telemetry.From(telemetry.Into(context.Background(), l)))
	require.Empty(t, telemetry.TraceID(context.Background()))
	require.Equal(t, "Root=1", telemetry.TraceID(context.WithValue(context.Background(), "x-amzn-trace-id", "Root=1"))) //nolint:staticcheck // the runtime's own key
}
