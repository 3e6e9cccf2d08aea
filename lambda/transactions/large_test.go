package transactions_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
)

// As many rows, and as large a body, as there may be.
func TestTheLargestImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := make([]body, catalog.ImportRows)
	for i := range all {
		all[i] = row(body{"description": strings.Repeat("\U0001F35D", 80), "reference": strings.Repeat("r", 60) + strings.Repeat("x", i%4)})
		if i%2 == 0 {
			delete(all[i], "reference")
		}
	}
	text := encoded(t, body{"rows": all})
	require.LessOrEqual(t, len(text), catalog.ImportBody)
	text += strings.Repeat(" ", catalog.ImportBody-len(text))
	var got imported
	w.Do(t, "importTransactions", w.creating(ada, text)).Decode(t, &got)
	require.Equal(t, 252, strings.Count(statuses(got), "c"))
	require.Equal(t, 248, strings.Count(statuses(got), "d"))
	require.Len(t, recorded(w), 252)
	w.Do(t, "importTransactions", w.creating(ada, text+" ")).Refused(t, 413, "too_large")
	w.Do(t, "createTransaction", w.creating(ada, text)).Refused(t, 413, "too_large")
}

// The longest answer there can be is recorded and replayed: every row with a fault of every member.
func TestTheLongestAnswerOfAnImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := make([]body, catalog.ImportRows)
	for i := range all {
		all[i] = body{"amount": "x", "currency": "x", "category": "X", "date": "x", "description": strings.Repeat("x", 201), "reference": " "}
	}
	r := w.creating(ada, body{"rows": all})
	reply := w.handle(t, "importTransactions", r)
	require.Equal(t, 200, reply.Status)
	require.Equal(t, 500*6, strings.Count(reply.Body, `"pointer"`))
	again := w.handle(t, "importTransactions", r)
	require.Equal(t, reply.Body, again.Body)
	require.Equal(t, "true", again.Headers["Idempotency-Replayed"])
}
