package transactions_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// dates are the dates of a page's transactions.
func dates(p page) []string {
	all := []string{}
	for _, s := range p.Items {
		all = append(all, s.Date)
	}
	return all
}

func TestListsAreOfTheNewestDateFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.JSONEq(t, `{"items":[]}`, w.Do(t, "listTransactions", w.listing(ada)).Body)
	for _, date := range []string{"2026-11-02", "2025-12-31", "2026-11-30", "2026-01-01", "2026-11-02"} {
		w.now = w.now.Add(time.Second)
		w.create(t, ada, body{"date": date})
		w.create(t, bob, body{"date": "2026-11-15"})
	}
	p := w.list(t, ada)
	require.Equal(t, []string{"2026-11-30", "2026-11-02", "2026-11-02", "2026-01-01", "2025-12-31"}, dates(p))
	require.Greater(t, p.Items[1].CreatedAt, p.Items[2].CreatedAt, "within a date, what was created last is first")
	require.Empty(t, p.NextCursor)
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, x := range [][2]string{{"2026-10-31", "food"}, {"2026-11-01", "food"}, {"2026-11-30", "food-out"}, {"2026-11-15", "foo"},
		{"2026-12-01", "food"}, {"2025-11-11", "food"}, {"2026-11-20", "food"}, {"2026-11-21", "z"}} {
		w.create(t, ada, body{"date": x[0], "category": x[1]})
		w.create(t, bob, body{"date": x[0], "category": x[1]})
	}
	cases := map[string]struct {
		query []string
		want  []string
	}{
		"month":              {[]string{"month", "2026-11"}, []string{"2026-11-30", "2026-11-21", "2026-11-20", "2026-11-15", "2026-11-01"}},
		"month_empty":        {[]string{"month", "2026-02"}, []string{}},
		"category":           {[]string{"category", "food"}, []string{"2026-12-01", "2026-11-20", "2026-11-01", "2026-10-31", "2025-11-11"}},
		"category_of_a_part": {[]string{"category", "foo"}, []string{"2026-11-15"}},
		"category_empty":     {[]string{"category", "rent"}, []string{}},
		"both":               {[]string{"category", "food", "month", "2026-11"}, []string{"2026-11-20", "2026-11-01"}},
		"both_empty":         {[]string{"category", "food-out", "month", "2026-12"}, []string{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, dates(w.list(t, ada, c.query...)))
			got := []string{}
			for cursor, first := "", true; first || cursor != ""; first = false {
				query := append(slices.Clone(c.query), "limit", "1")
				if !first {
					query = append(query, "cursor", cursor)
				}
				p := w.list(t, ada, query...)
				require.LessOrEqual(t, len(p.Items), 1)
				got, cursor = append(got, dates(p)...), p.NextCursor
			}
			require.Equal(t, c.want, got, "page by page")
		})
	}
}

func TestParametersThatAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		query []string
		want  fault
	}{
		"limit_zero":       {[]string{"limit", "0"}, fault{"limit", "too_small"}},
		"limit_negative":   {[]string{"limit", "-1"}, fault{"limit", "too_small"}},
		"limit_large":      {[]string{"limit", "101"}, fault{"limit", "too_large"}},
		"limit_text":       {[]string{"limit", "ten"}, fault{"limit", "type"}},
		"limit_empty":      {[]string{"limit", ""}, fault{"limit", "type"}},
		"limit_huge":       {[]string{"limit", "99999999999999999999"}, fault{"limit", "type"}},
		"month_13":         {[]string{"month", "2026-13"}, fault{"month", "pattern"}},
		"month_day":        {[]string{"month", "2026-11-01"}, fault{"month", "pattern"}},
		"month_empty":      {[]string{"month", ""}, fault{"month", "pattern"}},
		"category_upper":   {[]string{"category", "Food"}, fault{"category", "pattern"}},
		"category_hash":    {[]string{"category", "food#2026"}, fault{"category", "pattern"}},
		"category_empty":   {[]string{"category", ""}, fault{"category", "too_short"}},
		"unknown":          {[]string{"sort", "amount"}, fault{"sort", "unknown"}},
		"user":             {[]string{"userId", bob}, fault{"userId", "unknown"}},
		"cursor_empty":     {[]string{"cursor", ""}, fault{"cursor", "cursor"}},
		"cursor_nonsense":  {[]string{"cursor", "abc"}, fault{"cursor", "cursor"}},
		"cursor_no_base64": {[]string{"cursor", "%%%"}, fault{"cursor", "cursor"}},
		"cursor_long":      {[]string{"cursor", strings.Repeat("a", 513)}, fault{"cursor", "too_long"}},
		"cursor_zeros":     {[]string{"cursor", strings.Repeat("A", 84)}, fault{"cursor", "cursor"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			require.Equal(t, []fault{c.want}, faults(t, w.Do(t, "listTransactions", w.listing(ada, c.query...))))
		})
	}
	w := newWorld(t)
	r := w.listing(ada)
	r.Query["month"] = []string{"2026-11", "2026-12"}
	require.Equal(t, []fault{{"month", "repeated"}}, faults(t, w.Do(t, "listTransactions", r)))
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 101 {
		w.create(t, ada, body{"date": fmt.Sprintf("2026-11-%02d", i%30+1)})
	}
	for name, c := range map[string]struct {
		limit, want int
		more        bool
	}{"default": {0, 50, true}, "one": {1, 1, true}, "largest": {100, 100, true}} {
		query := []string{"limit", strconv.Itoa(c.limit)}
		if c.limit == 0 {
			query = nil
		}
		p := w.list(t, ada, query...)
		require.Len(t, p.Items, c.want, name)
		require.Equal(t, c.more, p.NextCursor != "", name)
	}
	rest := w.list(t, ada, "limit", "1", "cursor", w.list(t, ada, "limit", "100").NextCursor)
	require.Len(t, rest.Items, 1)
	require.Empty(t, rest.NextCursor, "a full last page knows that it is the last")
}

// Cursors that are real, but not of this list.
func TestCursorsOfAnotherList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.create(t, ada, nil)
		w.create(t, bob, nil)
	}
	month, category := []string{"month", "2026-11"}, []string{"category", "food"}
	both := slices.Concat(month, category)
	lists := map[string]struct {
		who   string
		query []string
	}{"all": {ada, nil}, "month": {ada, month}, "category": {ada, category}, "both": {ada, both}, "amount": {ada, []string{"currency", "GBP"}},
		"amounts": {ada, []string{"currency", "GBP", "minAmount", "-13"}}, "text": {ada, []string{"description", "Lunch"}}, "shorter": {ada, []string{"description", "Lun"}},
		"another's": {bob, nil}, "another's_month": {bob, month}}
	for from, a := range lists {
		cursor := w.list(t, a.who, slices.Concat(a.query, []string{"limit", "1"})...).NextCursor
		require.NotEmpty(t, cursor)
		for to, b := range lists {
			reply := w.Do(t, "listTransactions", w.listing(b.who, slices.Concat(b.query, []string{"cursor", cursor})...))
			if from == to {
				var p page
				reply.Decode(t, &p)
				require.Len(t, p.Items, 2)
				continue
			}
			require.Equal(t, []fault{{"cursor", "cursor"}}, faults(t, reply), "%s in %s", from, to)
		}
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		require.NoError(t, err)
		for i := range raw {
			changed := slices.Clone(raw)
			changed[i] ^= 1
			reply := w.Do(t, "listTransactions", w.listing(a.who, slices.Concat(a.query, []string{"cursor", base64.RawURLEncoding.EncodeToString(changed)})...))
			require.Equal(t, []fault{{"cursor", "cursor"}}, faults(t, reply), "byte %d", i)
			cut := base64.RawURLEncoding.EncodeToString(raw[:i])
			require.Equal(t, []fault{{"cursor", "cursor"}}, faults(t, w.Do(t, "listTransactions", w.listing(a.who, slices.Concat(a.query, []string{"cursor", cut})...))), "cut after %d", i)
		}
	}
}

// A cursor goes on where it was, though the transaction that it is named after is gone.
func TestACursorOutlivesItsTransaction(t *testing.T) {
	t.Parallel()
	for name, query := range map[string][]string{"all": nil, "month": {"month", "2026-11"}, "category": {"category", "food"}} {
		w := newWorld(t)
		for range 3 {
			w.now = w.now.Add(time.Second)
			w.create(t, ada, nil)
		}
		all := w.list(t, ada, query...).Items
		p := w.list(t, ada, slices.Concat(query, []string{"limit", "1"})...)
		require.Equal(t, 204, w.do(t, "deleteTransaction", ada, p.Items[0].ID, nil).Status)
		require.Equal(t, all[1:], w.list(t, ada, slices.Concat(query, []string{"cursor", p.NextCursor})...).Items, name)
	}
}

// A page of the store may hold less than was asked for (1 MB): ours then does too, and goes on after it.
func TestAPageThatTheStoreCutsShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.create(t, ada, nil)
	}
	all := w.list(t, ada).Items
	w.db.short = 2
	var got []shown
	p := w.list(t, ada)
	for len(p.Items) > 0 {
		require.LessOrEqual(t, len(p.Items), 2)
		got = append(got, p.Items...)
		if p.NextCursor == "" {
			break
		}
		p = w.list(t, ada, "cursor", p.NextCursor)
	}
	require.Equal(t, all, got)
}

// Whatever is recorded, changed and deleted between the pages: what was there all the time is shown exactly once, nothing
// is shown twice, and the order holds.
func TestPagingIsComplete(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		day := rapid.Custom(func(r *rapid.T) string {
			return fmt.Sprintf("2026-%02d-%02d", rapid.IntRange(10, 11).Draw(r, "month"), rapid.IntRange(1, 3).Draw(r, "day"))
		})
		category := rapid.SampledFrom([]string{"food", "food-out", "rent"})
		record := func() shown {
			w.now = w.now.Add(rapid.SampledFrom([]time.Duration{0, time.Millisecond}).Draw(r, "later")) // ties too
			return w.create(t, ada, body{"date": day.Draw(r, "date"), "category": category.Draw(r, "category")})
		}
		var query []string
		matches := func(s shown) bool { return true }
		switch rapid.IntRange(0, 3).Draw(r, "filter") {
		case 1:
			query = []string{"month", "2026-11"}
			matches = func(s shown) bool { return strings.HasPrefix(s.Date, "2026-11") }
		case 2:
			query = []string{"category", "food"}
			matches = func(s shown) bool { return s.Category == "food" }
		case 3:
			query = []string{"category", "food", "month", "2026-11"}
			matches = func(s shown) bool { return s.Category == "food" && strings.HasPrefix(s.Date, "2026-11") }
		}
		stays := map[string]bool{}
		var ids []string
		for range rapid.IntRange(0, 25).Draw(r, "before") {
			s := record()
			ids = append(ids, s.ID)
			if matches(s) {
				stays[s.ID] = true
			}
		}
		seen, last, cursor := map[string]bool{}, "~", ""
		for pages := 0; pages == 0 || cursor != ""; pages++ {
			at := append(slices.Clone(query), "limit", strconv.Itoa(rapid.IntRange(1, 7).Draw(r, "limit")))
			if cursor != "" {
				at = append(at, "cursor", cursor)
			}
			p := w.list(t, ada, at...)
			for _, s := range p.Items {
				require.True(t, matches(s))
				require.False(t, seen[s.ID], "shown twice")
				require.Less(t, s.Date+"#"+s.ID, last)
				seen[s.ID], last = true, s.Date+"#"+s.ID
			}
			cursor = p.NextCursor
			if pages > 60 {
				t.Fatal("paging does not end")
			}
			if pages < 8 && rapid.Bool().Draw(r, "insert") {
				record()
			}
			if len(ids) > 0 && rapid.Bool().Draw(r, "delete") {
				i := rapid.IntRange(0, len(ids)-1).Draw(r, "which")
				w.do(t, "deleteTransaction", ada, ids[i], nil)
				delete(stays, ids[i])
			}
		}
		for id := range stays {
			require.True(t, seen[id], "never shown")
		}
	})
}

// An index that holds what it should not: the list says that it is broken rather than showing part of it.
func TestItemsThatAreDamaged(t *testing.T) {
	t.Parallel()
	cases := map[string]func(item store.Item){
		"no_amount":        func(item store.Item) { delete(item, "amount") },
		"amount_text":      func(item store.Item) { item["amount"] = store.S("-12.50") },
		"no_currency":      func(item store.Item) { delete(item, "currency") },
		"unknown_currency": func(item store.Item) { item["currency"] = store.S("ABC") },
		"no_version":       func(item store.Item) { delete(item, "version") },
		"no_time":          func(item store.Item) { delete(item, "createdAt") },
		"description":      func(item store.Item) { item["description"] = store.N(1) },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made := w.create(t, ada, nil)
			item := w.mem.Items("transactions")[0]
			spoil(item)
			w.put(t, "transactions", item)
			w.Do(t, "listTransactions", w.listing(ada)).Refused(t, 500, "internal")
			w.do(t, "getTransaction", ada, made.ID, nil).Refused(t, 500, "internal")
			require.GreaterOrEqual(t, w.do(t, "changeTransaction", ada, made.ID, body{"version": 1}).Status, 409)
			require.Equal(t, []store.Item{item}, w.mem.Items("transactions"))
			require.Equal(t, 204, w.do(t, "deleteTransaction", ada, made.ID, nil).Status, "it can be deleted")
		})
	}
}

// amounts are the amounts of a page's transactions.
func amounts(p page) []string {
	all := []string{}
	for _, s := range p.Items {
		all = append(all, s.Amount)
	}
	return all
}

func TestFilterByAmount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, amount := range []string{"-12.50", "0", "7.99", "-0.01", "1000000", "7.99", "-999999999999999.99"} {
		w.create(t, ada, body{"amount": amount})
		w.create(t, ada, body{"amount": amount, "currency": "EUR"})
		w.create(t, bob, body{"amount": amount})
	}
	for name, c := range map[string]struct {
		query []string
		want  []string
	}{
		"all":         {[]string{}, []string{"1000000.00", "7.99", "7.99", "0.00", "-0.01", "-12.50", "-999999999999999.99"}},
		"at_least":    {[]string{"minAmount", "0"}, []string{"1000000.00", "7.99", "7.99", "0.00"}},
		"at_most":     {[]string{"maxAmount", "-0.01"}, []string{"-0.01", "-12.50", "-999999999999999.99"}},
		"between":     {[]string{"minAmount", "-12.5", "maxAmount", "7.98"}, []string{"0.00", "-0.01", "-12.50"}},
		"exactly":     {[]string{"minAmount", "7.99", "maxAmount", "7.99"}, []string{"7.99", "7.99"}},
		"nothing":     {[]string{"minAmount", "8", "maxAmount", "9"}, []string{}},
		"largest":     {[]string{"minAmount", "999999999999999.99"}, []string{}},
		"smallest":    {[]string{"maxAmount", "-999999999999999.99"}, []string{"-999999999999999.99"}},
		"of_nobody's": {[]string{"minAmount", "-0.00", "maxAmount", "0"}, []string{"0.00"}},
	} {
		query := append([]string{"currency", "GBP"}, c.query...)
		require.Equal(t, c.want, amounts(w.list(t, ada, query...)), name)
		require.Equal(t, c.want, w.pages(t, query, amounts), name)
	}
}

func TestFilterByDescription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, d := range []any{"Lunch", "LUNCH with Bob", "lunge", nil, "Übung", "übung macht", "a#b", strings.Repeat("x", 60), "Caf\u00e9"} {
		w.create(t, ada, body{"description": d})
		w.create(t, bob, body{"description": d})
	}
	describe := func(p page) []string {
		all := []string{}
		for _, s := range p.Items {
			all = append(all, s.Description)
		}
		return all
	}
	for text, want := range map[string][]string{
		"lun": {"Lunch", "LUNCH with Bob", "lunge"}, "LUNCH": {"Lunch", "LUNCH with Bob"}, "lunch w": {"LUNCH with Bob"}, "ÜBUNG": {"Übung", "übung macht"},
		"a#": {"a#b"}, "  lunge ": {"lunge"}, "unch": {}, "cafe\u0301": {"Caf\u00e9"}, strings.Repeat("X", 40): {strings.Repeat("x", 60)}, "lunch\t": {"Lunch", "LUNCH with Bob"},
	} {
		require.Equal(t, want, describe(w.list(t, ada, "description", text)), text)
		require.Equal(t, want, w.pages(t, []string{"description", text}, describe), text)
	}
	// The index follows what is changed.
	made := w.list(t, ada, "description", "lunge").Items[0]
	require.Equal(t, 200, w.do(t, "changeTransaction", ada, made.ID, body{"version": 1, "description": "Dinner", "amount": "5"}).Status)
	require.Empty(t, w.list(t, ada, "description", "lunge").Items)
	require.Len(t, w.list(t, ada, "description", "dinner").Items, 1)
	require.Len(t, w.list(t, ada, "currency", "GBP", "minAmount", "5").Items, 1)
	require.Equal(t, 200, w.do(t, "changeTransaction", ada, made.ID, body{"version": 2, "description": ""}).Status)
	require.Empty(t, w.list(t, ada, "description", "dinner").Items)
}

// pages is a list read one transaction at a time.
func (w *world) pages(t testing.TB, query []string, show func(page) []string) []string {
	t.Helper()
	all, next := []string{}, ""
	for {
		at := append(slices.Clone(query), "limit", "1")
		if next != "" {
			at = append(at, "cursor", next)
		}
		p := w.list(t, ada, at...)
		all = append(all, show(p)...)
		if next = p.NextCursor; next == "" {
			return all
		}
	}
}

func TestFiltersThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query []string
		want  []fault
	}{
		"amount_alone":        {[]string{"minAmount", "1", "maxAmount", "2"}, []fault{{"minAmount", "combination"}, {"maxAmount", "combination"}}},
		"currency_month":      {[]string{"currency", "GBP", "month", "2026-11"}, []fault{{"month", "combination"}}},
		"currency_category":   {[]string{"currency", "GBP", "category", "food"}, []fault{{"category", "combination"}}},
		"description_month":   {[]string{"description", "x", "month", "2026-11"}, []fault{{"month", "combination"}}},
		"description_all":     {[]string{"description", "x", "month", "2026-11", "category", "food", "currency", "GBP"}, []fault{{"month", "combination"}, {"category", "combination"}, {"currency", "combination"}}},
		"reversed":            {[]string{"currency", "GBP", "minAmount", "2", "maxAmount", "1"}, []fault{{"minAmount", "too_large"}}},
		"decimals":            {[]string{"currency", "JPY", "minAmount", "2.5"}, []fault{{"minAmount", "decimals"}}},
		"beyond":              {[]string{"currency", "CLF", "maxAmount", "999999999999999.9999"}, []fault{{"maxAmount", "too_large"}}},
		"no_currency":         {[]string{"currency", "ABC", "minAmount", "2"}, []fault{{"currency", "currency"}}},
		"no_amount":           {[]string{"currency", "GBP", "minAmount", "x"}, []fault{{"minAmount", "pattern"}}},
		"empty_amount":        {[]string{"currency", "GBP", "minAmount", ""}, []fault{{"minAmount", "pattern"}}},
		"description_empty":   {[]string{"description", ""}, []fault{{"description", "too_short"}}},
		"description_blank":   {[]string{"description", " "}, []fault{{"description", "too_short"}}},
		"description_long":    {[]string{"description", strings.Repeat("x", 41)}, []fault{{"description", "too_long"}}},
		"description_control": {[]string{"description", "a\u0000"}, []fault{{"description", "control_character"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			require.Equal(t, c.want, faults(t, w.Do(t, "listTransactions", w.listing(ada, c.query...))))
			require.Empty(t, slices.DeleteFunc(w.view.Used(), func(g mem.Grant) bool { return g.Table != "transactions" }), "nothing is read")
		})
	}
}

// Whatever was recorded and is asked for by amount or description: what a list shows, page by page, is what a look at each
// transaction finds, in its order.
func TestListsAreWhatTheySay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		amount := rapid.Map(rapid.IntRange(-3, 3), func(n int) string { return strconv.Itoa(n) })
		currency := rapid.SampledFrom([]string{"GBP", "EUR"})
		text := rapid.StringMatching(`[aAbB ]{0,3}`)
		var all []shown
		for range rapid.IntRange(0, 15).Draw(r, "n") {
			w.now = w.now.Add(rapid.SampledFrom([]time.Duration{0, time.Millisecond}).Draw(r, "later"))
			all = append(all, w.create(t, ada, body{"amount": amount.Draw(r, "amount"), "currency": currency.Draw(r, "currency"), "description": text.Draw(r, "description")}))
			w.create(t, bob, nil)
		}
		var query []string
		var matches func(shown) bool
		var order func(a, b shown) int
		whole := func(amount string) int {
			n, err := strconv.Atoi(strings.TrimSuffix(amount, ".00"))
			require.NoError(t, err)
			return n
		}
		if rapid.Bool().Draw(r, "by amount") {
			of, least, most := currency.Draw(r, "of"), rapid.IntRange(-4, 4).Draw(r, "least"), 4
			query = []string{"currency", of, "minAmount", strconv.Itoa(least)}
			if rapid.Bool().Draw(r, "bounded") {
				most = rapid.IntRange(least, 4).Draw(r, "most")
				query = append(query, "maxAmount", strconv.Itoa(most))
			}
			matches = func(s shown) bool { return s.Currency == of && whole(s.Amount) >= least && whole(s.Amount) <= most }
			order = func(a, b shown) int {
				return cmp.Or(cmp.Compare(whole(b.Amount), whole(a.Amount)), cmp.Compare(b.ID, a.ID))
			}
		} else {
			prefix := rapid.StringMatching(`[aAbB]{1,2}`).Draw(r, "prefix")
			query = []string{"description", prefix}
			matches = func(s shown) bool {
				return strings.HasPrefix(strings.ToLower(s.Description), strings.ToLower(prefix))
			}
			order = func(a, b shown) int {
				return cmp.Or(cmp.Compare(strings.ToLower(a.Description), strings.ToLower(b.Description)), cmp.Compare(a.Date+a.ID, b.Date+b.ID))
			}
		}
		want := []string{}
		for _, s := range slices.SortedFunc(slices.Values(all), order) {
			if matches(s) {
				want = append(want, s.ID)
			}
		}
		got, next := []string{}, ""
		for {
			at := append(slices.Clone(query), "limit", strconv.Itoa(rapid.IntRange(1, 5).Draw(r, "limit")))
			if next != "" {
				at = append(at, "cursor", next)
			}
			p := w.list(t, ada, at...)
			for _, s := range p.Items {
				got = append(got, s.ID)
			}
			if next = p.NextCursor; next == "" {
				break
			}
		}
		require.Equal(t, want, got)
	})
}
