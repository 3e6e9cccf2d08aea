package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// BenchmarkLog compares a line with the same line of slog's own handler, which redacts nothing.
func BenchmarkLog(b *testing.B) {
	attrs := []slog.Attr{slog.Int("status", 200), slog.Float64("dur_ms", 12.345), slog.Bool("cold_start", false), slog.String("class", "api"),
		slog.String("detail", "the counter was read and kept"), slog.Any("error", errors.New("store: update: the condition did not hold"))}
	for name, log := range map[string]*slog.Logger{
		"ours": telemetry.New(io.Discard, telemetry.Options{Environment: "prod", Service: "auth", Function: "auth-api", Version: "7"}),
		"slog": slog.New(slog.NewJSONHandler(io.Discard, nil)).With("environment", "prod", "service", "auth", "function", "auth-api", "version", "7"),
	} {
		log = log.With("request_id", "6f1c2f6e-0000-4000-8000-000000000001", "route", "/transactions/{id}")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
			}
		})
	}
}

// BenchmarkRequest is what a request's telemetry costs: its beginning, three debug lines, four metrics, its line.
func BenchmarkRequest(b *testing.B) {
	log := telemetry.New(io.Discard, telemetry.Options{Environment: "prod", Service: "auth", Function: "auth-api", Version: "7"})
	b.ReportAllocs()
	for b.Loop() {
		ctx := telemetry.Begin(context.Background(), log, slog.String("request_id", "6f1c2f6e-0000-4000-8000-000000000001"))
		for range 3 {
			telemetry.From(ctx).LogAttrs(ctx, slog.LevelDebug, "looked", slog.Int("n", 1))
		}
		telemetry.Count(ctx, telemetry.Requests, 1)
		telemetry.Count(ctx, telemetry.Duration, 12.5)
		telemetry.KeysetCache.Count(ctx, true)
		telemetry.Count(ctx, telemetry.SecretCache.Hit(), 1)
		telemetry.End(ctx, slog.LevelInfo, "request", slog.Int("status", 200))
	}
}
