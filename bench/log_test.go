package bench

import (
	"io"
	"log/slog"
	"testing"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

func BenchmarkLog(b *testing.B) {
	line := func(b *testing.B, log *slog.Logger) {
		log = log.With("request_id", "342c290a-a970-4db4-810c-27636efa92c4")
		b.ReportAllocs()
		for b.Loop() {
			log.LogAttrs(b.Context(), slog.LevelInfo, "request", slog.String("method", "POST"), slog.String("route", "/v1/transactions"),
				slog.Int("status", 201), slog.Float64("dur_ms", 16.141), slog.Bool("cold_start", false))
		}
	}
	b.Run("ours", func(b *testing.B) {
		line(b, telemetry.New(io.Discard, telemetry.Options{Environment: "dev", Function: "transactions-api", Version: "1"}))
	})
	b.Run("slog", func(b *testing.B) {
		line(b, slog.New(slog.NewJSONHandler(io.Discard, nil)).With("environment", "dev", "function", "transactions-api", "version", "1"))
	})
}
