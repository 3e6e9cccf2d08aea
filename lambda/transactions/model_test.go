package transactions

import (
	"cmp"
	"context"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/cursor"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
)

// The Go types of bodies and the declared models say the same, in both directions.
func TestBodiesAreAsDeclared(t *testing.T) {
	t.Parallel()
	bodies := map[string]struct{ request, response any }{
		"createTransaction": {newTransaction{}, transaction{}}, "listTransactions": {nil, transactionPage{}}, "getTransaction": {nil, transaction{}},
		"changeTransaction": {transactionChange{}, transaction{}}, "deleteTransaction": {}, "importTransactions": {importRequest{}, importResult{}},
		"createCategory": {newCategory{}, category{}}, "listCategories": {nil, categoryList{}}, "getCategory": {nil, category{}},
		"changeCategory": {categoryChange{}, category{}}, "deleteCategory": {},
		"createBudget": {newBudget{}, budget{}}, "listBudgets": {nil, budgetPage{}}, "getBudget": {nil, budget{}},
		"changeBudget": {budgetChange{}, budget{}}, "deleteBudget": {},
		"listSummaries": {nil, summaryPage{}},
	}
	f, ok := catalog.Transactions().Function("transactions-api")
	require.True(t, ok)
	require.Len(t, bodies, len(f.Routes))
	for _, r := range f.Routes {
		b, ok := bodies[r.ID]
		require.True(t, ok, r.ID)
		require.Equal(t, r.Request == nil, b.request == nil, r.ID)
		require.Equal(t, r.Response == nil, b.response == nil, r.ID)
		if r.Request != nil {
			resttest.Conforms(t, r.Request, reflect.TypeOf(b.request))
			for _, field := range r.Request.Fields {
				require.True(t, field.Name != "description" || field.Max == maxDescription)
				require.True(t, field.Name != "name" || field.Max == maxName)
			}
		}
		if r.Response != nil {
			resttest.Conforms(t, r.Response, reflect.TypeOf(b.response))
		}
	}
}

// opener is what opens cursors, as the function does.
func opener() *api { return &api{cursors: cursor.New(cursor.Config{Environment: "dev"})} }

// forged is a cursor with a tag that is right, of any position.
func forged(t testing.TB, f filter, position string) string {
	t.Helper()
	text, err := opener().cursors.Seal(context.Background(), f.scope(), position, time.Time{})
	require.NoError(t, err)
	return text
}

// Cursors with a tag that is right, of what we would never have given one for.
func TestForgedCursors(t *testing.T) {
	t.Parallel()
	const id = "01a3185c-5000-7000-8000-000000000000"
	now, low, high := time.Unix(1_800_000_000, 0), ordered(-500), ordered(500)
	lists := map[string]struct {
		filter
		real   string
		forged map[string]string
	}{
		"by_category": {filter{user: "u1", month: "2026-11", category: "food"}, "2026-11-24#" + id, map[string]string{
			"other_month": "2026-10-24#" + id, "no_such_day": "2026-11-31#" + id, "no_date": "#" + id, "no_id": "2026-11-24#",
			"only_date": "2026-11-24", "other_id": "2026-11-24#x", "more": "2026-11-24#" + id + "#", "category": "food#2026-11-24#" + id, "empty": ""}},
		"by_amount": {filter{user: "u1", currency: "GBP", least: low, most: high}, ordered(7) + "#" + id, map[string]string{
			"below": ordered(-501) + "#" + id, "above": ordered(501) + "#" + id, "no_number": strings.Repeat("g", 16) + "#" + id, "short": ordered(7)[1:] + "#" + id,
			"currency": "GBP#" + ordered(7) + "#" + id, "upper": strings.ToUpper(ordered(-7)) + "#" + id, "no_id": ordered(7) + "#", "other_id": ordered(7) + "#x", "empty": ""}},
		"by_description": {filter{user: "u1", text: "lun"}, "lunch\n2026-11-24#" + id, map[string]string{
			"other": "dinner\n2026-11-24#" + id, "case": "lunCH\n2026-11-24#" + id, "no_date": "lunch\n" + id, "no_line": "lunch2026-11-24#" + id,
			"long": "lun" + strings.Repeat("c", maxIndexed) + "\n2026-11-24#" + id, "no_such_day": "lunch\n2026-11-31#" + id, "two_lines": "lun\nch\n2026-11-24#" + id, "empty": ""}},
	}
	for name, l := range lists {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := opener().after(t.Context(), l.filter, forged(t, l.filter, l.real), now)
			require.NoError(t, err)
			for how, position := range l.forged {
				_, err := opener().after(t.Context(), l.filter, forged(t, l.filter, position), now)
				require.ErrorContains(t, err, "validation_failed", how)
			}
			_, err = opener().after(t.Context(), l.filter, forged(t, l.filter, l.real)+"\n", now)
			require.Error(t, err, "one position has one cursor")
			other := &api{cursors: cursor.New(cursor.Config{Environment: "prod"})}
			_, err = other.after(t.Context(), l.filter, forged(t, l.filter, l.real), now)
			require.Error(t, err, "another environment")
		})
	}
}

// Whatever a cursor holds, forged ones included, what comes of it is a key under the caller's own, within what is asked for.
func FuzzCursor(f *testing.F) {
	const id = "01a3185c-5000-7000-8000-000000000000"
	f.Add("2026-11-24#"+id, true, "u1", "2026-11", "food", "", "", "", "")
	f.Add("2026-11-24#"+id, true, "u1", "", "", "", "", "", "")
	f.Add("2026-12-24#"+id, true, "u1", "2026-11", "", "", "", "", "")
	f.Add(ordered(5)+"#"+id, true, "u1", "", "", "GBP", ordered(1), "g", "")
	f.Add("lunch\n2026-12-24#"+id, true, "u1", "", "", "", "", "", "lu")
	f.Add("AQ", false, "", "", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, position string, sealed bool, user, month, category, currency, least, most, said string) {
		list, text := filter{user, month, category, currency, least, most, folded(said)}, position
		if sealed && len(position) < 300 {
			text = forged(t, list, position)
		}
		start, err := opener().after(t.Context(), list, text, time.Unix(1_800_000_000, 0))
		if err != nil {
			require.Nil(t, start)
			return
		}
		ix := list.index()
		require.Len(t, start, 3)
		require.Equal(t, store.S("USER#"+user), start["pk"])
		require.True(t, wellFormed(strings.TrimPrefix(store.Read(start).S("sk"), "TX#")))
		sorted := store.Read(start).S(ix.attribute)
		require.True(t, strings.HasPrefix(sorted, ix.prefix), "%q is not within %q", sorted, ix.prefix)
		if list.text == "" && list.currency != "" {
			from, to := list.bounds()
			require.True(t, from <= sorted && sorted <= to)
		}
	})
}

// The order of amounts as texts is that of the numbers.
func FuzzOrdered(f *testing.F) {
	f.Add(int64(0), int64(-1))
	f.Add(int64(math.MaxInt64), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, a, b int64) {
		require.Equal(t, cmp.Compare(a, b), strings.Compare(ordered(a), ordered(b)))
	})
}

// What a description is found by is found by itself, in whatever case.
func FuzzFolded(f *testing.F) {
	for _, seed := range []string{"Lunch", "\u212aelvin", "Straße", "İstanbul", "ΣΊΣΥΦΟΣ", strings.Repeat("é", 50)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		got := folded(s)
		require.Equal(t, got, folded(got))
		require.LessOrEqual(t, utf8.RuneCountInString(got), maxIndexed)
		require.LessOrEqual(t, len(got), 4*maxIndexed)
		if n := utf8.RuneCountInString(s); n <= maxIndexed {
			require.Equal(t, n, utf8.RuneCountInString(got))
		}
	})
}
