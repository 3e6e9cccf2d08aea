package transactions_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions"
	"github.com/expenzez/aws-backend/lambda/transactions/meter"
)

// metered is the function on a store that counts units.
func metered(t testing.TB) (*world, *meter.DB) {
	t.Helper()
	db := meter.New(storetest.Schemas(catalog.Backend().Tables), "rate-limits", "revoked-tokens")
	w := &world{now: start, mem: db.DB}
	w.build(t, transactions.Deps{Values: values(generous), Tables: transactions.Bind(db, values(generous)), Tx: db,
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})
	w.account(t, ada, "active")
	return w, db
}

// fill records n transactions at once.
func (w *world) fill(t testing.TB, n int, description string) {
	t.Helper()
	for from := 0; from < n; from += 15 {
		var all []body
		for i := from; i < min(from+15, n); i++ {
			all = append(all, row(body{"description": description, "date": fmt.Sprintf("2026-11-%02d", i%30+1), "amount": fmt.Sprintf("-%d", i+1)}))
		}
		w.imports(t, ada, all...)
	}
}

// What each operation costs, for a transaction of everyday size and for the largest there can be. UNITS.md is what it is.
func TestUnits(t *testing.T) {
	t.Parallel()
	type cost struct {
		read  float64
		write int
	}
	costs := map[string][]cost{}
	order := []string{}
	for _, description := range []string{"Lunch with Bob", strings.Repeat("\U0001F35D", 200)} {
		w, db := metered(t)
		measure := func(what string, do func()) {
			db.Reset()
			do()
			read, write := db.Reset()
			if costs[what] == nil {
				order = append(order, what)
			}
			costs[what] = append(costs[what], cost{read, write})
		}
		w.fill(t, 200, description)
		var made shown
		measure("createTransaction", func() { made = w.create(t, ada, body{"description": description}) })
		repeated := w.repeating(ada, fmt.Sprintf("key-%08d", w.keys), fields(body{"description": description}))
		measure("createTransaction, repeated", func() { require.Equal(t, 201, w.Do(t, "createTransaction", repeated).Status) })
		measure("importTransactions, 250 rows", func() { w.import250(t, description) })
		measure("getTransaction", func() { w.get(t, ada, made.ID) })
		measure("listTransactions, page of 50", func() { w.list(t, ada) })
		measure("listTransactions, page of 50 of a month and category", func() { w.list(t, ada, "category", "food", "month", "2026-11") })
		measure("listTransactions, page of 50 by amount", func() { w.list(t, ada, "currency", "GBP", "maxAmount", "0") })
		measure("listTransactions, page of 50 by description", func() { w.list(t, ada, "description", string([]rune(description)[:5])) })
		change := func(version int, changes body) func() {
			changes["version"] = version
			return func() { require.Equal(t, 200, w.do(t, "changeTransaction", ada, made.ID, changes).Status) }
		}
		measure("changeTransaction, its amount", change(1, body{"amount": "-1"}))
		measure("changeTransaction, its date", change(2, body{"date": "2026-10-01"}))
		measure("deleteTransaction", func() { require.Equal(t, 204, w.do(t, "deleteTransaction", ada, made.ID, nil).Status) })
		measure("createCategory", func() { w.category(t, ada, "mine", "Mine") })
		for i := range 199 {
			w.category(t, ada, fmt.Sprint("c", i), strings.Repeat("x", 60))
		}
		measure("listCategories, the most there are, not in memory", func() { require.Len(t, w.categories(t, ada), 215) })
		measure("listCategories, in memory", func() { w.categories(t, ada) })
		measure("getCategory", func() { w.do(t, "getCategory", ada, "mine", nil) })
		measure("changeCategory", func() { w.do(t, "changeCategory", ada, "mine", body{"version": 1, "name": "x"}) })
		measure("deleteCategory", func() { w.do(t, "deleteCategory", ada, "mine", nil) })
		measure("createBudget", func() { w.budget(t, ada, "food", "GBP", "5") })
		measure("getBudget", func() { w.do(t, "getBudget", ada, "food.GBP", nil) })
		measure("changeBudget", func() { w.do(t, "changeBudget", ada, "food.GBP", body{"version": 1, "limit": "6"}) })
		measure("deleteBudget", func() { w.do(t, "deleteBudget", ada, "food.GBP", nil) })
		for i := range 60 {
			w.budget(t, ada, fmt.Sprint("c", i), "GBP", "5")
			w.summary(t, ada, fmt.Sprintf("2026-11#GBP#c%d", i), 5, number(math.MaxInt64), number(math.MaxInt64))
		}
		measure("listBudgets, page of 50", func() { w.Do(t, "listBudgets", w.listing(ada)) })
		measure("listSummaries, page of 50", func() { w.Do(t, "listSummaries", w.listing(ada)) })
		largest := 0
		for _, item := range recorded(w) {
			largest = max(largest, store.Size(item))
		}
		require.Less(t, largest, 2<<10, "no transaction is above two write units")
	}
	var b strings.Builder
	b.WriteString(`# What the operations of transactions-api cost

Read and write units of DynamoDB, computed from the sizes of items (package meter) and compared on every test run: for
transactions of everyday size, and for the largest there can be. A read that may be stale costs half. Each write of a
transaction pays its four indexes. Not in it: what every request costs, its caller limit and the look at its session.
A list costs what its page holds, however many transactions there are.

| operation | reads | writes | largest: reads | writes |
| --- | ---: | ---: | ---: | ---: |
`)
	for _, what := range order {
		c := costs[what]
		fmt.Fprintf(&b, "| %s | %g | %d | %g | %d |\n", what, c[0].read, c[0].write, c[1].read, c[1].write)
	}
	golden.Compare(t, "UNITS.md", []byte(b.String()))
}

func (w *world) import250(t testing.TB, description string) {
	t.Helper()
	var all []body
	for i := range 250 {
		all = append(all, row(body{"description": description, "amount": fmt.Sprintf("-%d", i+1)}))
	}
	w.imports(t, ada, all...)
}

// A page costs the same of a table that is ten times as large.
func TestPagesCostWhatTheyShow(t *testing.T) {
	t.Parallel()
	lists := [][]string{nil, {"month", "2026-11"}, {"category", "food"}, {"category", "food", "month", "2026-11"}, {"currency", "GBP"},
		{"currency", "GBP", "minAmount", "-100"}, {"description", "lun"}}
	cost := func(n int) (all []float64) {
		w, db := metered(t)
		w.fill(t, n, "Lunch with Bob")
		for _, query := range lists {
			db.Reset()
			require.Len(t, w.list(t, ada, append([]string{"limit", "20"}, query...)...).Items, 20)
			read, write := db.Reset()
			require.Zero(t, write)
			all = append(all, read)
		}
		return all
	}
	require.InDeltaSlice(t, cost(100), cost(1000), 0.5)
}
