package idempotency_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/store"
)

// What one request costs beside the network, the table in memory included.
func BenchmarkOnce(b *testing.B) {
	w := newWorld(nil)
	answer := created(`{"id":"1"}`)
	req := request()
	write := w.things.PutWrite(types.Put{Item: store.Item{"pk": store.S("1")}})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		req.Key = strconv.Itoa(i)
		if _, err := w.records.Once(b.Context(), w.tx, req, answer, write); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	w := newWorld(nil)
	answer := created(`{"id":"1"}`)
	req := request()
	write := w.things.PutWrite(types.Put{Item: store.Item{"pk": store.S("1")}})
	_, err := w.records.Once(b.Context(), w.tx, req, answer, write)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := w.records.Once(b.Context(), w.tx, req, answer, write); err != nil || !got.Replayed {
			b.Fatal(got, err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	w := newWorld(nil)
	leases := idempotency.NewLeases(store.NewTable(w.db, "idempotency"), nil, idempotency.Options{})
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	effect := func(context.Context, string) (idempotency.Answer, error) { return created(`{"id":"1"}`), nil }
	req := request()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		req.Key = strconv.Itoa(i)
		if _, err := leases.Run(ctx, req, idempotency.Unknown, effect); err != nil {
			b.Fatal(err)
		}
	}
}
