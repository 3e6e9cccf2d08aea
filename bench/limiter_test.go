package bench

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/stretchr/testify/require"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// same answers every update as the first one was answered, at once: what is left is the limiter's own work.
type same struct {
	store.Updater
	out *dynamodb.UpdateItemOutput
}

func (s *same) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	if s.out != nil {
		return s.out, nil
	}
	out, err := s.Updater.UpdateItem(ctx, in)
	s.out = out
	return out, err
}

// The others count in memory of one process. Ours counts for all sandboxes together; its store is left out here.
func BenchmarkLimit(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		now := time.Now()
		table := &same{Updater: store.NewTable(mem.New(mem.Schema{Name: "rate-limits", Hash: "pk"}), "rate-limits")}
		l, err := ratelimit.New(table, service.Function{Routes: []service.Route{{ID: "listTransactions", Limit: service.LimitAPI}}}, map[service.Limit]environ.Limit{service.LimitAPI: {Max: 120, Per: time.Minute}},
			ratelimit.Options{Now: func() time.Time { return now }})
		require.NoError(b, err)
		counts := []rest.Count{{Class: service.LimitAPI, Route: "listTransactions", Subject: "user:0b6e2f6e-0000-4000-8000-00000000000a"}}
		b.ReportAllocs()
		for b.Loop() {
			if v, err := l.Count(b.Context(), counts); err != nil || !v.Allowed {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("throttled", func(b *testing.B) {
		s, err := memstore.NewCtx(4096)
		require.NoError(b, err)
		l, err := throttled.NewGCRARateLimiterCtx(s, throttled.RateQuota{MaxRate: throttled.PerSec(1_000_000_000), MaxBurst: 1_000_000})
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if limited, _, err := l.RateLimitCtx(b.Context(), "user:0b6e2f6e-0000-4000-8000-00000000000a", 1); err != nil || limited {
				b.Fatal(limited, err)
			}
		}
	})
	b.Run("go-limiter", func(b *testing.B) {
		s, err := memorystore.New(&memorystore.Config{Tokens: 1 << 62, Interval: time.Minute})
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, ok, err := s.Take(b.Context(), "user:0b6e2f6e-0000-4000-8000-00000000000a"); err != nil || !ok {
				b.Fatal(ok, err)
			}
		}
		require.NoError(b, s.Close(context.Background()))
	})
}
