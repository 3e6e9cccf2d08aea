package transactionsstream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/lambda/transactions/meter"
)

// What each kind of record costs. UNITS.md is what it is.
func TestUnits(t *testing.T) {
	t.Parallel()
	db := meter.New(storetest.Schemas(catalog.Backend().Tables), "rate-limits", "revoked-tokens")
	w := newWorldOn(t, db, db)
	var b strings.Builder
	b.WriteString(`# What records cost transactions-stream

Read and write units of DynamoDB for one record, computed from the sizes of items (package meter) and compared on every
test run. They are the same however many transactions there are.

| record | reads | writes |
| --- | ---: | ---: |
`)
	measure := func(what string) {
		t.Helper()
		db.Reset()
		w.drain(t)
		read, write := db.Reset()
		fmt.Fprintf(&b, "| %s | %g | %d |\n", what, read, write)
	}
	id := w.create(t, ada, "-5", "GBP", "food", "2027-01-10")
	measure("a new transaction, money spent, no budget")
	w.create(t, ada, "5", "GBP", "food", "2027-01-10")
	measure("a new transaction, money received or of a month that is over")
	w.shards[ada].at--
	measure("the same again")
	change := func(version int, changes body) {
		changes["version"] = version
		require.Equal(t, 200, w.do(t, "changeTransaction", ada, id, changes).Status)
	}
	change(1, body{"description": "x"})
	measure("a change of what does not count")
	change(2, body{"amount": "-6"})
	measure("a change of the amount, more spent")
	change(3, body{"category": "rent"})
	measure("a change of the month, currency or category")
	w.do(t, "deleteTransaction", ada, id, nil)
	measure("a deletion")
	w.budget(t, ada, "food", "GBP", "100")
	w.create(t, ada, "-50", "GBP", "food", "2027-01-10")
	measure("a new transaction, below the thresholds of its budget")
	w.create(t, ada, "-30", "GBP", "food", "2027-01-10")
	measure("a new transaction that reaches a threshold")
	w.create(t, ada, "-1", "GBP", "food", "2027-01-10")
	measure("a new transaction, where one threshold was told")
	w.exact(t)
	golden.Compare(t, "UNITS.md", []byte(b.String()))
}
