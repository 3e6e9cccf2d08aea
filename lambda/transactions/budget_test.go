package transactions_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
)

type shownBudget struct {
	ID, Category, Currency, Limit, CreatedAt, UpdatedAt string
	Version                                             int
}

type budgets struct {
	Items      []shownBudget
	NextCursor string
}

func (w *world) budget(t testing.TB, who, category, currency, limit string) shownBudget {
	t.Helper()
	var b shownBudget
	w.Do(t, "createBudget", w.creating(who, body{"category": category, "currency": currency, "limit": limit})).Decode(t, &b)
	return b
}

func TestTheLifeOfABudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.budget(t, ada, "food", "GBP", "200")
	require.Equal(t, shownBudget{ID: "food.GBP", Category: "food", Currency: "GBP", Limit: "200.00", Version: 1,
		CreatedAt: "2027-01-15T08:00:00Z", UpdatedAt: "2027-01-15T08:00:00Z"}, made)
	var got shownBudget
	w.do(t, "getBudget", ada, made.ID, nil).Decode(t, &got)
	require.Equal(t, made, got)
	w.Do(t, "createBudget", w.creating(ada, body{"category": "food", "currency": "GBP", "limit": "9"})).Refused(t, 409, "budget_exists")
	w.budget(t, ada, "food", "EUR", "9")
	w.budget(t, bob, "food", "GBP", "1")

	w.now = w.now.Add(time.Hour)
	w.do(t, "changeBudget", ada, made.ID, body{"version": 1, "limit": "250.5"}).Decode(t, &got)
	require.Equal(t, "250.50", got.Limit)
	require.Equal(t, 2, got.Version)
	require.Equal(t, "2027-01-15T09:00:00Z", got.UpdatedAt)
	w.do(t, "changeBudget", ada, made.ID, body{"version": 1, "limit": "1"}).Refused(t, 409, "version_conflict")

	stale := w.at(ada, made.ID, nil)
	stale.Query = map[string][]string{"version": {"1"}}
	w.Do(t, "deleteBudget", stale).Refused(t, 409, "version_conflict")
	stale.Query = map[string][]string{"version": {"2"}}
	require.Equal(t, 204, w.Do(t, "deleteBudget", stale).Status)
	for operation, b := range eachBudget() {
		w.do(t, operation, ada, made.ID, b).Refused(t, 404, "not_found")
	}
	w.do(t, "getBudget", bob, "food.GBP", nil).Decode(t, &got)
	require.Equal(t, "1.00", got.Limit)
}

func eachBudget() map[string]body {
	return map[string]body{"getBudget": nil, "changeBudget": {"version": 1, "limit": "1"}, "deleteBudget": nil}
}

func TestBudgetsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		change body
		want   fault
	}{
		"zero":       {body{"limit": "0.00"}, fault{"/limit", "too_small"}},
		"negative":   {body{"limit": "-5"}, fault{"/limit", "pattern"}},
		"decimals":   {body{"limit": "5.001"}, fault{"/limit", "decimals"}},
		"large":      {body{"limit": "999999999999999.9999", "currency": "CLF"}, fault{"/limit", "too_large"}},
		"currency":   {body{"currency": "ABC"}, fault{"/currency", "currency"}},
		"category":   {body{"category": "a.b"}, fault{"/category", "pattern"}},
		"no_limit":   {body{"limit": nil}, fault{"/limit", "required"}},
		"of_its_own": {body{"uid": "x"}, fault{"/uid", "unknown"}},
	} {
		b := body{"category": "food", "currency": "GBP", "limit": "5"}
		for key, value := range c.change {
			if b[key] = value; value == nil {
				delete(b, key)
			}
		}
		require.Equal(t, []fault{c.want}, faults(t, w.Do(t, "createBudget", w.creating(ada, b))), name)
	}
	w.budget(t, ada, "food", "JPY", "500")
	require.Equal(t, []fault{{"/limit", "decimals"}}, faults(t, w.do(t, "changeBudget", ada, "food.JPY", body{"version": 1, "limit": "5.5"})))
	for _, id := range []string{"food.GBP", "food", "food.jpy", "food.JPY.", "food#JPY", ".JPY", "food.", "Food.JPY", "BUD#food.JPY", "food.ABC", "", strings.Repeat("a", 41) + ".JPY"} {
		for operation, b := range eachBudget() {
			require.Equal(t, "There is no such budget.", w.do(t, operation, ada, id, b).Refused(t, 404, "not_found").Detail)
		}
	}
	for operation, b := range eachBudget() {
		theirs, none := w.do(t, operation, bob, "food.JPY", b), w.do(t, operation, bob, "rent.JPY", b)
		theirs.Refused(t, 404, "not_found")
		require.Equal(t, none.Body, theirs.Body, "another's is not there")
	}
	w.account(t, ada, "suspended")
	w.Do(t, "createBudget", w.creating(ada, body{"category": "rent", "currency": "GBP", "limit": "5"})).Refused(t, 403, "account_inactive")
}

func TestBudgetsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []string
	for i := range 7 {
		want = append(want, w.budget(t, ada, fmt.Sprint("c", i), "GBP", "1").ID)
		w.budget(t, bob, fmt.Sprint("c", i), "GBP", "1")
		w.category(t, ada, fmt.Sprint("c", i), "Not a budget")
	}
	var got []string
	next := ""
	for {
		query := []string{"limit", "3"}
		if next != "" {
			query = append(query, "cursor", next)
		}
		var p budgets
		w.Do(t, "listBudgets", w.listing(ada, query...)).Decode(t, &p)
		require.LessOrEqual(t, len(p.Items), 3)
		for _, b := range p.Items {
			got = append(got, b.ID)
		}
		if next = p.NextCursor; next == "" {
			break
		}
		require.Equal(t, []fault{{"cursor", "cursor"}}, faults(t, w.Do(t, "listBudgets", w.listing(bob, "cursor", next))))
		require.Equal(t, []fault{{"cursor", "cursor"}}, faults(t, w.Do(t, "listSummaries", w.listing(ada, "cursor", next))))
		require.Equal(t, []fault{{"cursor", "cursor"}}, faults(t, w.Do(t, "listTransactions", w.listing(ada, "cursor", next))))
	}
	require.Equal(t, want, got)
}

func TestOfBudgetsAtTheSameTimeOneIsSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := 0
	requests := []resttest.Request{}
	for range 8 {
		requests = append(requests, w.creating(ada, body{"category": "food", "currency": "GBP", "limit": "5"}))
	}
	for _, reply := range together(8, func(i int) resttest.Reply { return w.Do(t, "createBudget", requests[i]) }) {
		if reply.Status == 201 {
			made++
			continue
		}
		reply.Refused(t, 409, "budget_exists")
	}
	require.Equal(t, 1, made)
}

type summaries struct {
	Items []struct {
		Month, Currency, Category, Spent, Received string
		Count                                      int
	}
	NextCursor string
}

// summary puts what the stream's function would have added up.
func (w *world) summary(t testing.TB, who, slot string, count int64, spent, received store.Item) {
	t.Helper()
	w.put(t, "monthly-summaries", store.Item{"pk": store.S("USER#" + who), "sk": store.S("SUM#" + slot), "count": store.N(count), "spent": spent["n"], "received": received["n"]})
}

func number(n int64) store.Item { return store.Item{"n": store.N(n)} }

func TestSummariesAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.JSONEq(t, `{"items":[]}`, w.Do(t, "listSummaries", w.listing(ada)).Body)
	w.summary(t, ada, "2026-11#GBP#food", 3, number(1250), number(0))
	w.summary(t, ada, "2026-11#EUR#food", 2, number(0), number(7))
	w.summary(t, ada, "2026-11#GBP#rent", 0, number(0), number(0)) // all have left it
	w.summary(t, ada, "2026-12#GBP#food", 1, number(5), number(0))
	w.summary(t, bob, "2026-11#GBP#food", 9, number(9), number(9))
	w.put(t, "monthly-summaries", store.Item{"pk": store.S("USER#" + ada), "sk": store.S("TOLD#2026-11#x#80")})
	show := func(query ...string) (all []string) {
		next := ""
		for {
			page := slices.Concat(query, []string{"limit", "1"})
			if next != "" {
				page = append(page, "cursor", next)
			}
			var p summaries
			w.Do(t, "listSummaries", w.listing(ada, page...)).Decode(t, &p)
			for _, s := range p.Items {
				all = append(all, fmt.Sprint(s.Month, " ", s.Currency, " ", s.Category, " ", s.Count, " ", s.Spent, " ", s.Received))
			}
			if next = p.NextCursor; next == "" {
				return all
			}
		}
	}
	november := []string{"2026-11 GBP food 3 1250 0", "2026-11 EUR food 2 0 7"}
	require.Equal(t, november, show("month", "2026-11"))
	require.Equal(t, append([]string{"2026-12 GBP food 1 5 0"}, november...), show())
	require.Empty(t, show("month", "2027-01"))
	require.Equal(t, []fault{{"month", "pattern"}}, faults(t, w.Do(t, "listSummaries", w.listing(ada, "month", "2026"))))
}

func TestSummariesThatAreDamaged(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]store.Item{
		"no_count": {"spent": store.N(1), "received": store.N(1)}, "text": {"count": store.N(1), "spent": store.S("1"), "received": store.N(1)},
		"no_received": {"count": store.N(1), "spent": store.N(1)},
	} {
		w := newWorld(t)
		bad["pk"], bad["sk"] = store.S("USER#"+ada), store.S("SUM#2026-11#GBP#food")
		w.put(t, "monthly-summaries", bad)
		require.Equal(t, 500, w.Do(t, "listSummaries", w.listing(ada)).Status, name)
	}
}
