package breaker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/breaker"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// A circuit that opens, rejects, lets a call try, opens again, and closes by two that succeed.
func TestMetrics(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	ctx := telemetry.Begin(t.Context(), telemetry.New(&b, telemetry.Options{}))
	now := time.Now()
	c := breaker.New("openai", breaker.Options{Watcher: breaker.Metrics(telemetry.OpenAIBreaker),
		Now: func() time.Time { return now }, Random: func() float64 { return 0.5 }})
	call := func(err error) {
		_, _ = breaker.Do(ctx, c, func(context.Context) (int, error) { return 0, err })
	}
	down := &breaker.StatusError{Status: 503}
	for range 5 {
		call(down)
	}
	call(nil)
	call(nil)
	now = now.Add(2 * time.Minute)
	call(down)
	now = now.Add(2 * time.Minute)
	call(nil)
	call(nil)
	telemetry.End(ctx, slog.LevelInfo, "request")
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	for metric, want := range map[telemetry.Metric]float64{telemetry.OpenAIBreaker.Opened(): 2, telemetry.OpenAIBreaker.HalfOpened(): 2,
		telemetry.OpenAIBreaker.Closed(): 1, telemetry.OpenAIBreaker.Rejected(): 2} {
		require.Equal(t, want, line[string(metric)], metric)
	}
}
