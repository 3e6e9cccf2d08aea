package transactions_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/store"
)

// There are three operations on one transaction. Each is refused alike what is not there for the caller.
func each() map[string]body {
	return map[string]body{"getTransaction": nil, "changeTransaction": {"version": 1, "amount": "1"}, "deleteTransaction": nil}
}

func (w *world) do(t testing.TB, id, who, transaction string, b body) resttest.Reply {
	t.Helper()
	r := w.at(who, transaction, nil)
	if b != nil {
		r.Body = b
	}
	return w.Do(t, id, r)
}

const never = "01a3185c-5000-7000-8000-000000000000" // an identifier that was never given

// malformed are texts that are no identifiers of ours.
func malformed() map[string]string {
	const id = "01a3185c-5000-7abc-8def-000000000000"
	return map[string]string{
		"upper_case":   strings.ToUpper(id),
		"version_4":    "0b6e2f6e-0000-4000-8000-00000000000a",
		"variant":      id[:19] + "c" + id[20:],
		"other_layout": strings.ReplaceAll(id, "-", ""),
		"longer":       id + "0",
		"shorter":      id[:35],
		"letter":       id[:35] + "g",
		"extra_dash":   id[:9] + "-" + id[10:],
		"no_dash":      id[:8] + "0" + id[9:],
		"slash":        id[:35] + "/",
		"key":          "TX#" + id,
		"empty":        "",
		"wildcard":     "*",
		"path":         "../" + id,
		"huge":         strings.Repeat("a", 5000),
		"not_utf8":     "\xff\xfe",
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	for operation, b := range each() {
		w := newWorld(t)
		made := w.create(t, ada, nil)
		p := w.do(t, operation, ada, never, b).Refused(t, 404, "not_found")
		require.Equal(t, "There is no such transaction.", p.Detail)
		require.Equal(t, made, w.get(t, ada, made.ID))
		for name, id := range malformed() {
			t.Run(operation+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				require.Equal(t, p, w.do(t, operation, ada, id, b).Refused(t, 404, "not_found"))
				for _, used := range w.view.Used() {
					require.NotEqual(t, "transactions", used.Table, "it is not even looked for")
				}
			})
		}
	}
}

// The same answer, to the last byte, for what is another's as for what is not there.
func TestAnothersTransactionIsNotThere(t *testing.T) {
	t.Parallel()
	for operation, b := range each() {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made := w.create(t, ada, nil)
			theirs, none := w.do(t, operation, bob, made.ID, b), w.do(t, operation, bob, never, b)
			theirs.Refused(t, 404, "not_found")
			require.Equal(t, none.Body, theirs.Body)
			for name := range none.Headers {
				if !strings.HasPrefix(name, "RateLimit") { // which says that one more was asked for
					require.Equal(t, none.Headers[name], theirs.Headers[name])
				}
			}
			require.Equal(t, made, w.get(t, ada, made.ID))
			require.Empty(t, w.list(t, bob).Items)
		})
	}
}

func TestWhoIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil  func(t *testing.T, w *world, r *resttest.Request)
		status int
		code   string
	}{
		"nobody":  {func(_ *testing.T, _ *world, r *resttest.Request) { r.User = nil }, 401, "unauthenticated"},
		"expired": {func(_ *testing.T, w *world, r *resttest.Request) { r.User.Expires = w.now.Add(-time.Hour) }, 401, "token_expired"},
		"session_ended": {func(t *testing.T, w *world, r *resttest.Request) {
			tables := revoke.Tables{Revoked: store.NewTable(w.mem, "revoked-tokens"), Counters: store.NewTable(w.mem, "rate-limits")}
			require.NoError(t, store.Transact(t.Context(), w.mem, "", tables.Session(r.User.Subject, r.User.Session, w.now)...))
		}, 401, "session_ended"},
	}
	for _, operation := range []string{"createTransaction", "listTransactions", "getTransaction", "changeTransaction", "deleteTransaction"} {
		for name, c := range cases {
			t.Run(operation+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				made := w.create(t, ada, nil)
				r := w.at(ada, made.ID, nil)
				if b := each()[operation]; b != nil {
					r.Body = b
				}
				if operation == "createTransaction" {
					r = w.creating(ada, fields(nil))
				}
				c.spoil(t, w, &r)
				w.Do(t, operation, r).Refused(t, c.status, c.code)
				require.Len(t, w.mem.Items("transactions"), 1)
				require.EqualValues(t, 1, store.Read(w.mem.Items("transactions")[0]).N("version"))
			})
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		from, change body
		want         func(*shown)
	}{
		"nothing":            {nil, body{}, func(*shown) {}},
		"amount":             {nil, body{"amount": "7"}, func(s *shown) { s.Amount = "7.00" }},
		"currency":           {nil, body{"currency": "USD"}, func(s *shown) { s.Currency = "USD" }},
		"amount_and_cur":     {nil, body{"amount": "1200", "currency": "JPY"}, func(s *shown) { s.Amount, s.Currency = "1200", "JPY" }},
		"more_decimals":      {nil, body{"currency": "KWD"}, func(s *shown) { s.Amount, s.Currency = "-12.500", "KWD" }},
		"yen_to_pounds":      {body{"amount": "1200", "currency": "JPY"}, body{"currency": "GBP"}, func(s *shown) { s.Amount, s.Currency = "1200.00", "GBP" }},
		"amount_of_yen":      {body{"amount": "1200", "currency": "JPY"}, body{"amount": "5"}, func(s *shown) { s.Amount, s.Currency = "5", "JPY" }},
		"category":           {nil, body{"category": "eating-out"}, func(s *shown) { s.Category = "eating-out" }},
		"date":               {nil, body{"date": "2024-02-29"}, func(s *shown) { s.Date = "2024-02-29" }},
		"description":        {nil, body{"description": " Dinner\t"}, func(s *shown) { s.Description = "Dinner" }},
		"description_gone":   {nil, body{"description": ""}, func(s *shown) { s.Description = "" }},
		"description_blank":  {nil, body{"description": " \n"}, func(s *shown) { s.Description = "" }},
		"description_comes":  {body{"description": nil}, body{"description": "x"}, func(s *shown) { s.Description = "x" }},
		"description_absent": {body{"description": nil}, body{"amount": "1"}, func(s *shown) { s.Description, s.Amount = "", "1.00" }},
		"everything": {nil, body{"amount": "1", "currency": "EUR", "category": "rent", "date": "2026-01-01", "description": "x"},
			func(s *shown) {
				s.Amount, s.Currency, s.Category, s.Date, s.Description = "1.00", "EUR", "rent", "2026-01-01", "x"
			}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			want := w.create(t, ada, c.from)
			w.now = w.now.Add(time.Hour)
			c.change["version"] = 1
			var got shown
			w.Do(t, "changeTransaction", w.at(ada, want.ID, c.change)).Decode(t, &got)
			c.want(&want)
			want.Version, want.UpdatedAt = 2, "2027-01-15T09:00:00Z"
			require.Equal(t, want, got)
			require.Equal(t, want, w.get(t, ada, want.ID))
			require.Equal(t, page{Items: []shown{want}}, w.list(t, ada, "month", want.Date[:7], "category", want.Category), "the indexes follow")
			require.Equal(t, page{Items: []shown{want}}, w.list(t, ada))
			if want.Category != "food" {
				require.Empty(t, w.list(t, ada, "category", "food").Items)
			}
		})
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change body
		want   []fault
	}{
		"no_version":            {body{"version": nil, "amount": "1"}, []fault{{"/version", "required"}}},
		"version_zero":          {body{"version": 0}, []fault{{"/version", "too_small"}}},
		"version_text":          {body{"version": "1"}, []fault{{"/version", "type"}}},
		"version_fraction":      {body{"version": 1.5}, []fault{{"/version", "type"}}},
		"null":                  {body{"amount": (*string)(nil)}, []fault{{"/amount", "type"}}},
		"id":                    {body{"id": "x"}, []fault{{"/id", "unknown"}}},
		"created_at":            {body{"createdAt": "2020-01-01T00:00:00Z"}, []fault{{"/createdAt", "unknown"}}},
		"decimals":              {body{"amount": "1.234"}, []fault{{"/amount", "decimals"}}},
		"currency_alone":        {body{"currency": "JPY"}, []fault{{"/currency", "decimals"}}},
		"amount_for_new":        {body{"amount": "1.5", "currency": "JPY"}, []fault{{"/amount", "decimals"}}},
		"unknown_currency":      {body{"currency": "ABC"}, []fault{{"/currency", "currency"}}},
		"no_such_day":           {body{"date": "2026-02-30"}, []fault{{"/date", "date"}}},
		"control":               {body{"description": "\u0000"}, []fault{{"/description", "control_character"}}},
		"category":              {body{"category": "A"}, []fault{{"/category", "pattern"}}},
		"category_empty":        {body{"category": ""}, []fault{{"/category", "too_short"}}},
		"several":               {body{"currency": "JPY", "date": "2026-02-30"}, []fault{{"/currency", "decimals"}, {"/date", "date"}}},
		"large_in_new_currency": {body{"amount": "999999999999999.9", "currency": "CLF"}, []fault{{"/amount", "too_large"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made := w.create(t, ada, nil)
			b := body{"version": 1}
			for name, value := range c.change {
				b[name] = value
				if value == nil {
					delete(b, name)
				}
			}
			require.Equal(t, c.want, faults(t, w.Do(t, "changeTransaction", w.at(ada, made.ID, b))))
			require.Equal(t, made, w.get(t, ada, made.ID))
		})
	}
}

func TestAChangeIsMadeFromTheLatestVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	change := func(version int, amount string) resttest.Reply {
		return w.Do(t, "changeTransaction", w.at(ada, made.ID, body{"version": version, "amount": amount}))
	}
	change(2, "1").Refused(t, 409, "version_conflict")
	require.Equal(t, 200, change(1, "2").Status)
	change(1, "3").Refused(t, 409, "version_conflict")
	change(1, "2").Refused(t, 409, "version_conflict")
	require.Equal(t, 200, change(2, "4").Status)
	require.Equal(t, 3, w.get(t, ada, made.ID).Version)
	require.Equal(t, "4.00", w.get(t, ada, made.ID).Amount)
}

// One is made, also of those that say the same.
func TestOfChangesAtTheSameTimeOneIsMade(t *testing.T) {
	t.Parallel()
	for name, amount := range map[string]func(i int) string{"different": strconv.Itoa, "equal": func(int) string { return "7" }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made := w.create(t, ada, nil)
			replies := together(16, func(i int) resttest.Reply {
				return w.Do(t, "changeTransaction", w.at(ada, made.ID, body{"version": 1, "amount": amount(i)}))
			})
			var won shown
			for _, reply := range replies {
				if reply.Status == 200 {
					require.Empty(t, won.ID, "a second one")
					reply.Decode(t, &won)
					continue
				}
				reply.Refused(t, 409, "version_conflict")
			}
			require.Equal(t, 2, won.Version)
			require.Equal(t, won, w.get(t, ada, made.ID))
		})
	}
}

// What happens to the transaction between our reading it and our writing it.
func TestAChangeThatIsOvertaken(t *testing.T) {
	t.Parallel()
	table := "transactions"
	cases := map[string]struct {
		meanwhile func(t *testing.T, w *world, item store.Item)
		status    int
		code      string
	}{
		"changed": {func(t *testing.T, w *world, item store.Item) {
			item["version"] = store.N(2)
			w.put(t, table, item)
		}, 409, "version_conflict"},
		"changed_to_the_same": {func(t *testing.T, w *world, item store.Item) {
			item["version"], item["writeId"] = store.N(2), store.S("another's")
			w.put(t, table, item)
		}, 409, "version_conflict"},
		"deleted": {func(t *testing.T, w *world, item store.Item) {
			_, err := w.mem.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: store.Item{"pk": item["pk"], "sk": item["sk"]}})
			require.NoError(t, err)
		}, 404, "not_found"},
		"damaged": {func(t *testing.T, w *world, item store.Item) {
			delete(item, "version")
			w.put(t, table, item)
		}, 500, "internal"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made := w.create(t, ada, nil)
			w.db.meanwhile = map[string]func(){"UpdateItem transactions": func() { c.meanwhile(t, w, w.mem.Items(table)[0]) }}
			w.Do(t, "changeTransaction", w.at(ada, made.ID, body{"version": 1, "amount": "99"})).Refused(t, c.status, c.code)
			for _, item := range w.mem.Items(table) {
				require.Equal(t, store.N(-1250), item["amount"])
			}
		})
	}
}

func TestAChangeWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	w.db.lost = "UpdateItem transactions"
	var got shown
	w.Do(t, "changeTransaction", w.at(ada, made.ID, body{"version": 1, "amount": "7"})).Decode(t, &got)
	require.Equal(t, 2, got.Version)
	require.Equal(t, got, w.get(t, ada, made.ID))
}

func TestWhatIsDeletedIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made, kept := w.create(t, ada, nil), w.create(t, ada, nil)
	replies := together(8, func(int) resttest.Reply { return w.do(t, "deleteTransaction", ada, made.ID, nil) })
	deleted := 0
	for _, reply := range replies {
		if reply.Status == 204 {
			deleted++
			continue
		}
		reply.Refused(t, 404, "not_found")
	}
	require.Equal(t, 1, deleted)
	for operation, b := range each() {
		w.do(t, operation, ada, made.ID, b).Refused(t, 404, "not_found")
	}
	require.Equal(t, page{Items: []shown{kept}}, w.list(t, ada))
}

func TestBodiesWhereNoneBelongs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	for _, operation := range []string{"getTransaction", "deleteTransaction", "listTransactions"} {
		w.do(t, operation, ada, made.ID, body{"version": 1}).Refused(t, 400, "body_not_expected")
	}
	require.Equal(t, made, w.get(t, ada, made.ID))
}
