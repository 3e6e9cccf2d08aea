package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

func object(t testing.TB, line []byte) map[string]any {
	t.Helper()
	var got map[string]any
	require.NoError(t, json.Unmarshal(line, &got), "%s", line)
	return got
}

// slog's own suite, with our names of its members.
func TestIsASlogHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		b.Reset()
		return telemetry.New(&b, telemetry.Options{}).Handler()
	}, func(t *testing.T) map[string]any {
		got := object(t, b.Bytes())
		for ours, its := range map[string]string{telemetry.FieldTimestamp: slog.TimeKey, telemetry.FieldMessage: slog.MessageKey} {
			if v, ok := got[ours]; ok {
				got[its] = v
				delete(got, ours)
			}
		}
		return got
	})
}

func TestIDsStayAtTheRoot(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.New(&b, telemetry.Options{Function: "f"}).With(telemetry.FieldRequestID, "r1").WithGroup("g").With("a", 1, telemetry.FieldTraceID, "t1")
	log.WithGroup("h").Info("m", telemetry.FieldRoute, "/x", "b", 2)
	got := object(t, b.Bytes())
	delete(got, telemetry.FieldTimestamp)
	require.Equal(t, map[string]any{"level": "INFO", "message": "m", "function": "f", "request_id": "r1", "trace_id": "t1", "route": "/x",
		"g": map[string]any{"a": 1.0, "h": map[string]any{"b": 2.0}}}, got)
}

func TestAnIDIsThereOnce(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	base := telemetry.New(&b, telemetry.Options{}).With(telemetry.FieldRoute, "/a")
	derived := base.WithGroup("g").With(telemetry.FieldRoute, "/b")
	derived.Info("m", telemetry.FieldRoute, "/c")
	require.Equal(t, 1, strings.Count(b.String(), `"route"`))
	require.Equal(t, "/c", object(t, b.Bytes())["route"])
	b.Reset()
	derived.Info("m")
	require.Equal(t, "/b", object(t, b.Bytes())["route"])
	b.Reset()
	base.Info("m")
	require.Equal(t, "/a", object(t, b.Bytes())["route"], "loggers do not change each other")
}

func TestOwnNamesCannotBeTaken(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"timestamp", "level", "message", "debug", "_aws", "Requests", "KeysetCacheHit"} {
		var b bytes.Buffer
		log := telemetry.New(&b, telemetry.Options{})
		log.With(key, "x").Error("m")
		require.Equal(t, "x", object(t, b.Bytes())[key+"_"])
		require.Equal(t, 1, strings.Count(b.String(), `"level"`))
		b.Reset()
		log.Error("m", slog.Group("g", slog.String(key, "x")))
		require.Equal(t, map[string]any{key: "x"}, object(t, b.Bytes())["g"], "inside a group they mean nothing")
	}
}

type writes struct{ lines []string }

func (w *writes) Write(p []byte) (int, error) {
	w.lines = append(w.lines, string(p))
	return len(p), nil
}

func TestALineIsOneWrite(t *testing.T) {
	t.Parallel()
	var w writes
	log := telemetry.New(&w, telemetry.Options{})
	ctx := telemetry.Begin(t.Context(), log)
	telemetry.From(ctx).Debug("kept")
	telemetry.From(ctx).Error("a\nb", "x", "c\nd")
	telemetry.Count(ctx, telemetry.Requests, 1)
	telemetry.End(ctx, slog.LevelInfo, "request")
	require.Len(t, w.lines, 2)
	for _, line := range w.lines {
		require.Equal(t, len(line)-1, strings.Index(line, "\n"))
	}
}

func TestALineIsBounded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.New(&b, telemetry.Options{})
	var attrs []any
	for i := range 200 {
		attrs = append(attrs, slog.String(fmt.Sprint("a", i), strings.Repeat("\x01", telemetry.MaxField)))
	}
	list := make([]string, 200)
	for i := range list {
		list[i] = strings.Repeat("\x01", telemetry.MaxField)
	}
	for name, write := range map[string]func(){
		"attributes": func() { log.Error("m", attrs...) },
		"with":       func() { log.With(attrs...).Error("m", attrs...) },
		"group":      func() { log.Error("m", slog.Group("g", attrs...)) },
		"list":       func() { log.Error("m", "l", list) },
	} {
		b.Reset()
		write()
		require.True(t, json.Valid(b.Bytes()), name)
		require.LessOrEqual(t, b.Len(), 256_000, name)
	}
}

type nested struct{}

func (nested) LogValue() slog.Value { return slog.GroupValue(slog.Any("x", nested{})) }

type broken struct{}

func (*broken) Error() string { return []string{}[1] }

type fuse struct{}

func (fuse) LogValue() slog.Value { panic("hunter2 blew") }

func TestValuesThatMisbehave(t *testing.T) {
	t.Parallel()
	deep := slog.StringValue("hunter2")
	for range 40 {
		deep = slog.GroupValue(slog.Attr{Key: "g", Value: deep})
	}
	lists := telemetry.List{slog.StringValue("hunter2")}
	for range 40 {
		lists = telemetry.List{slog.AnyValue(lists)}
	}
	for name, v := range map[string]any{"endless": nested{}, "error_panics": (*broken)(nil), "valuer_panics": fuse{}, "deep": deep, "lists": lists} {
		got := line(t, func(l *slog.Logger) { l.Info("m", "x", v) })
		require.Contains(t, got, "x", name)
		if name != "valuer_panics" {
			require.NotContains(t, fmt.Sprint(got), "hunter2", name)
		}
	}
}

func TestListsAreRedactedLikeEverything(t *testing.T) {
	t.Parallel()
	got := line(t, func(l *slog.Logger) {
		l.Info("m", "x", telemetry.List{slog.StringValue("ada@example.com"), slog.AnyValue(secret.NewValue("hunter2")), slog.IntValue(1),
			slog.GroupValue(slog.String("password", "hunter2"), slog.String("a", "b"))}, "secrets", telemetry.List{slog.IntValue(1)})
	})
	require.Equal(t, []any{"[redacted]", "[redacted]", 1.0, map[string]any{"password": "[redacted]", "a": "b"}}, got["x"])
	require.Equal(t, "[redacted]", got["secrets"])
}

func TestNumbersAndTimes(t *testing.T) {
	t.Parallel()
	got := line(t, func(l *slog.Logger) {
		l.Info("m", "nan", nan(), "big", 1e300, "small", 1e-9, "u", uint64(1<<63), "d", time.Second, "t", time.Unix(0, 5).UTC())
	})
	require.Equal(t, []any{"NaN", 1e300, 1e-9, float64(1 << 63), 1e9, "1970-01-01T00:00:00.000000005Z"},
		[]any{got["nan"], got["big"], got["small"], got["u"], got["d"], got["t"]})
}

func TestLevelsHaveNamesThatLambdaKnows(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]string{-8: "DEBUG", -4: "DEBUG", 0: "INFO", 2: "INFO", 4: "WARN", 8: "ERROR", 12: "ERROR"} {
		var b bytes.Buffer
		telemetry.New(&b, telemetry.Options{Level: slog.Level(-8)}).Log(t.Context(), level, "m")
		require.Equal(t, want, object(t, b.Bytes())["level"])
	}
}

// A request: lines below the level are kept, and written when something fails.

func TestDebugLinesAreWrittenOnlyWithAnError(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.New(&b, telemetry.Options{})
	ctx := telemetry.Begin(t.Context(), log, slog.String(telemetry.FieldRequestID, "r1"))
	telemetry.From(ctx).With("a", 1).WithGroup("g").Debug("first", "b", 2, "password", "hunter2")
	telemetry.From(ctx).Info("seen")
	telemetry.From(ctx).Warn("seen")
	require.NotContains(t, b.String(), "first")
	b.Reset()
	telemetry.From(ctx).Error("failed")
	got := object(t, b.Bytes())
	require.Len(t, got["debug"], 1)
	entry := got["debug"].([]any)[0].(map[string]any)
	require.NotEmpty(t, entry["timestamp"])
	delete(entry, "timestamp")
	require.Equal(t, map[string]any{"level": "DEBUG", "message": "first", "a": 1.0, "g": map[string]any{"b": 2.0, "password": "[redacted]"}}, entry)

	b.Reset()
	telemetry.From(ctx).Error("failed again")
	require.NotContains(t, b.String(), "first", "they are written once")
	b.Reset()
	telemetry.From(ctx).Debug("second")
	telemetry.End(ctx, slog.LevelInfo, "request")
	telemetry.From(ctx).Debug("too late")
	telemetry.From(ctx).Error("afterwards")
	require.NotContains(t, b.String(), "second")
	require.NotContains(t, b.String(), "too late")
	other := telemetry.Begin(t.Context(), log)
	telemetry.From(other).Error("x")
	require.NotContains(t, b.String(), `"debug"`, "requests do not see each other's")
}

func TestTheLineThatEndsARequestHasItsDebugLines(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	ctx := telemetry.Begin(t.Context(), telemetry.New(&b, telemetry.Options{}))
	telemetry.From(ctx).Debug("why")
	telemetry.End(ctx, slog.LevelError, "request")
	require.Equal(t, "why", object(t, b.Bytes())["debug"].([]any)[0].(map[string]any)["message"])
}

func TestDebugLinesAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		most int
	}{"many": {"x", telemetry.MaxDebug}, "long": {strings.Repeat("x ", 1000), 32}, "longest": {strings.Repeat("\x01", telemetry.MaxField), telemetry.MaxDebug}} {
		var b bytes.Buffer
		ctx := telemetry.Begin(t.Context(), telemetry.New(&b, telemetry.Options{}))
		for i := range 1000 {
			telemetry.From(ctx).With("y", c.text).Debug(fmt.Sprint(i), "x", c.text)
		}
		telemetry.From(ctx).Error("failed")
		require.Less(t, b.Len(), 34<<10, name)
		lines := object(t, b.Bytes())["debug"].([]any)
		require.LessOrEqual(t, len(lines), c.most, name)
		require.NotEmpty(t, lines, name)
		require.Equal(t, "999", lines[len(lines)-1].(map[string]any)["message"], "the last ones are kept: %s", name)
	}
}

func TestARequestOfAnotherLoggerStillLogs(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	ctx := telemetry.Begin(t.Context(), slog.New(slog.NewJSONHandler(&b, nil)), slog.String("request_id", "r1"))
	telemetry.Count(ctx, telemetry.Requests, 1)
	telemetry.From(ctx).Info("a")
	telemetry.End(ctx, slog.LevelInfo, "b")
	require.Equal(t, 2, strings.Count(b.String(), `"request_id":"r1"`))
	telemetry.End(context.Background(), slog.LevelInfo, "goes nowhere")
	require.Equal(t, telemetry.Options{}, telemetry.OptionsOf(slog.Default()))
	require.Equal(t, "f", telemetry.OptionsOf(telemetry.New(&b, telemetry.Options{Function: "f"})).Function)
}

func TestARequestIsUsedByManyAtOnce(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	ctx := telemetry.Begin(t.Context(), telemetry.New(&b, telemetry.Options{}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				telemetry.From(ctx).With("a", 1).Debug("d")
				telemetry.From(ctx).Error("e", "error", errors.New("x"))
				telemetry.Count(ctx, telemetry.Requests, 1)
			}
		})
	}
	wg.Wait()
	telemetry.End(ctx, slog.LevelInfo, "request")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	require.Len(t, lines, 401)
	debug := 0
	for _, l := range lines {
		list, _ := object(t, []byte(l))["debug"].([]any)
		debug += len(list)
	}
	require.LessOrEqual(t, debug, 400)
	require.EqualValues(t, 400, object(t, []byte(lines[400]))["Requests"])
}
