package transactions_test

import (
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
)

func TestWhatIsCreatedIsThereAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	require.Equal(t, shown{ID: made.ID, Amount: "-12.50", Currency: "GBP", Category: "food", Date: "2026-11-24", Description: "Lunch",
		CreatedAt: "2027-01-15T08:00:00Z", UpdatedAt: "2027-01-15T08:00:00Z", Version: 1}, made)
	require.Regexp(t, `^01a3185c-5000-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, made.ID, "the milliseconds of the clock, then randomness")
	require.Equal(t, made, w.get(t, ada, made.ID))
	require.Equal(t, page{Items: []shown{made}}, w.list(t, ada))

	require.Equal(t, []store.Item{{
		"pk": store.S("USER#" + ada), "sk": store.S("TX#" + made.ID), "amount": store.N(-1250), "currency": store.S("GBP"),
		"category": store.S("food"), "date": store.S("2026-11-24"), "description": store.S("Lunch"), "version": store.N(1),
		"byDate": store.S("2026-11-24#" + made.ID), "byCategory": store.S("food#2026-11-24#" + made.ID),
		"byAmount": store.S("GBP#7ffffffffffffb1e#" + made.ID), "byDescription": store.S("lunch\n2026-11-24#" + made.ID),
		"createdAt": store.N(start.Unix()), "updatedAt": store.N(start.Unix()),
	}}, w.mem.Items("transactions"))
}

func TestIdentifiersAreNewAndInOrderOfTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := ""
	for range 20 {
		id := w.create(t, ada, nil).ID
		require.Greater(t, id, last)
		last = id
		w.now = w.now.Add(time.Millisecond)
	}
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		amount, currency, shown string
		minor                   int64
	}{
		"two_decimals":  {"12.34", "GBP", "12.34", 1234},
		"one_decimal":   {"12.5", "GBP", "12.50", 1250},
		"none":          {"12", "EUR", "12.00", 1200},
		"minus_zero":    {"-0.00", "USD", "0.00", 0},
		"pennies":       {"-0.05", "GBP", "-0.05", -5},
		"yen":           {"1200", "JPY", "1200", 1200},
		"dinar":         {"1.234", "KWD", "1.234", 1234},
		"four_decimals": {"0.0001", "CLF", "0.0001", 1},
		"largest":       {"999999999999999.99", "GBP", "999999999999999.99", 99_999_999_999_999_999},
		"no_float":      {"90071992547409.93", "GBP", "90071992547409.93", 9_007_199_254_740_993},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made := w.create(t, ada, body{"amount": c.amount, "currency": c.currency})
			require.Equal(t, c.shown, made.Amount)
			require.Equal(t, c.minor, store.Read(w.mem.Items("transactions")[0]).N("amount"))
			require.Equal(t, made, w.get(t, ada, made.ID))
		})
	}
}

func TestDescriptionsAreCleaned(t *testing.T) {
	t.Parallel()
	for said, kept := range map[string]string{
		"  two\twords \n": "two words", "Cafe\u0301": "Caf\u00e9", " ": "", "": "", "<b>&\u2028": "<b>&", strings.Repeat("é", 200): strings.Repeat("é", 200),
	} {
		w := newWorld(t)
		made := w.create(t, ada, body{"description": said})
		require.Equal(t, kept, made.Description, "%q", said)
		_, stored := w.mem.Items("transactions")[0]["description"]
		require.Equal(t, kept != "", stored, "%q", said)
	}
}

// fault is where a request is wrong, and how.
type fault struct{ at, code string }

func faults(t testing.TB, reply resttest.Reply) []fault {
	t.Helper()
	var all []fault
	for _, f := range reply.Refused(t, 400, "validation_failed").Errors {
		all = append(all, fault{f.Pointer + f.Parameter, f.Code})
	}
	return all
}

func TestMembersThatAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change body
		want   []fault
	}{
		"amount_missing":        {body{"amount": nil}, []fault{{"/amount", "required"}}},
		"amount_number":         {body{"amount": 12.5}, []fault{{"/amount", "type"}}},
		"amount_empty":          {body{"amount": ""}, []fault{{"/amount", "pattern"}}},
		"amount_exponent":       {body{"amount": "1e3"}, []fault{{"/amount", "pattern"}}},
		"amount_plus":           {body{"amount": "+1"}, []fault{{"/amount", "pattern"}}},
		"amount_comma":          {body{"amount": "1,5"}, []fault{{"/amount", "pattern"}}},
		"amount_leading_zero":   {body{"amount": "01.5"}, []fault{{"/amount", "pattern"}}},
		"amount_dot_only":       {body{"amount": "1."}, []fault{{"/amount", "pattern"}}},
		"amount_newline":        {body{"amount": "1.50\n"}, []fault{{"/amount", "pattern"}}},
		"amount_other_digits":   {body{"amount": "١٢"}, []fault{{"/amount", "pattern"}}},
		"amount_long":           {body{"amount": strings.Repeat("9", 22)}, []fault{{"/amount", "too_long"}}},
		"amount_too_large":      {body{"amount": "999999999999999.9999", "currency": "CLF"}, []fault{{"/amount", "too_large"}}},
		"too_many_decimals":     {body{"amount": "1.234"}, []fault{{"/amount", "decimals"}}},
		"yen_with_decimals":     {body{"amount": "1.0", "currency": "JPY"}, []fault{{"/amount", "decimals"}}},
		"currency_missing":      {body{"currency": nil}, []fault{{"/currency", "required"}}},
		"currency_unknown":      {body{"currency": "ABC"}, []fault{{"/currency", "currency"}}},
		"currency_lower":        {body{"currency": "gbp"}, []fault{{"/currency", "pattern"}}},
		"currency_gold":         {body{"currency": "XAU"}, []fault{{"/currency", "currency"}}},
		"category_upper":        {body{"category": "Food"}, []fault{{"/category", "pattern"}}},
		"category_hash":         {body{"category": "food#2026"}, []fault{{"/category", "pattern"}}},
		"category_long":         {body{"category": strings.Repeat("a", 41)}, []fault{{"/category", "too_long"}}},
		"date_no_leap_year":     {body{"date": "2027-02-29"}, []fault{{"/date", "date"}}},
		"date_february_30":      {body{"date": "2026-02-30"}, []fault{{"/date", "date"}}},
		"date_april_31":         {body{"date": "2026-04-31"}, []fault{{"/date", "date"}}},
		"date_month_13":         {body{"date": "2026-13-01"}, []fault{{"/date", "pattern"}}},
		"date_with_time":        {body{"date": "2026-11-24T00:00:00Z"}, []fault{{"/date", "too_long"}}},
		"description_null":      {body{"description": (*string)(nil)}, []fault{{"/description", "type"}}},
		"description_control":   {body{"description": "a\u0000b"}, []fault{{"/description", "control_character"}}},
		"description_reordered": {body{"description": "a\u202eb"}, []fault{{"/description", "control_character"}}},
		"description_long":      {body{"description": strings.Repeat("a", 201)}, []fault{{"/description", "too_long"}}},
		"description_grows":     {body{"description": strings.Repeat("\u0958", 101)}, []fault{{"/description", "too_long"}}},
		"id_of_its_own":         {body{"id": "x"}, []fault{{"/id", "unknown"}}},
		"user_of_its_own":       {body{"userId": bob, "pk": "USER#" + bob}, []fault{{"/pk", "unknown"}, {"/userId", "unknown"}}},
		"everything_at_once": {body{"amount": "1.001", "date": "2026-02-30", "description": "\u0007"},
			[]fault{{"/amount", "decimals"}, {"/date", "date"}, {"/description", "control_character"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			require.Equal(t, c.want, faults(t, w.Do(t, "createTransaction", w.creating(ada, fields(c.change)))))
			nothing(t, w)
		})
	}
}

// nothing requires that nothing was recorded.
func nothing(t testing.TB, w *world) {
	t.Helper()
	require.Empty(t, w.mem.Items("transactions"))
	require.Empty(t, w.mem.Items("idempotency"))
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	with := func(name, value string) func(*resttest.Request) {
		return func(r *resttest.Request) { r.Headers[name] = value }
	}
	sent := func(body any) func(*resttest.Request) { return func(r *resttest.Request) { r.Body = body } }
	cases := map[string]struct {
		spoil  func(*resttest.Request)
		status int
		code   string
	}{
		"no_key":            {func(r *resttest.Request) { r.Headers = nil }, 400, "idempotency_key_required"},
		"short_key":         {with("Idempotency-Key", "1234567"), 400, "idempotency_key_invalid"},
		"long_key":          {with("Idempotency-Key", strings.Repeat("k", 65)), 400, "idempotency_key_invalid"},
		"blank_in_key":      {with("Idempotency-Key", "1234 5678"), 400, "idempotency_key_invalid"},
		"not_json":          {sent("amount=1"), 400, "malformed_json"},
		"twice":             {sent(`{"amount":"1","amount":"2"}`), 400, "duplicate_member"},
		"list":              {sent(`[]`), 400, "validation_failed"},
		"too_large":         {sent(`{"description":"` + strings.Repeat("a", 20<<10) + `"}`), 413, "too_large"},
		"form":              {with("Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type"},
		"nobody":            {func(r *resttest.Request) { r.User = nil }, 401, "unauthenticated"},
		"no_subject":        {func(r *resttest.Request) { r.User.Subject = "" }, 401, "unauthenticated"},
		"expired":           {func(r *resttest.Request) { r.User.Expires = start.Add(-time.Hour) }, 401, "token_expired"},
		"foreign_page":      {with("Origin", "https://evil.example"), 403, "origin_not_allowed"},
		"unknown_parameter": {func(r *resttest.Request) { r.Query = map[string][]string{"dry": {"1"}} }, 400, "validation_failed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.creating(ada, fields(nil))
			c.spoil(&r)
			w.Do(t, "createTransaction", r).Refused(t, c.status, c.code)
			nothing(t, w)
		})
	}
}

func TestOnlyActiveAccountsRecord(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]store.Item{
		"suspended":  {"status": store.S("suspended")},
		"erased":     {"status": store.S("erased")},
		"no_status":  {"email": store.B([]byte("x"))},
		"other_type": {"status": store.Bool(true)},
		"unknown":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const carol = "0b6e2f6e-0000-4000-8000-00000000000c"
			if user != nil {
				user["pk"] = store.S("USER#" + carol)
				w.put(t, "users", user)
			}
			r := w.creating(carol, fields(nil))
			w.Do(t, "createTransaction", r).Refused(t, 403, "account_inactive")
			nothing(t, w)
			require.False(t, w.db.told, "the account's item is none of this function's business")

			w.account(t, carol, "active")
			first := w.Do(t, "createTransaction", r)
			require.Equal(t, 201, first.Status, "the key is still new")
			require.NotContains(t, first.Headers, "Idempotency-Replayed")
		})
	}
}

func TestARepeatedRequestRecordsNothingTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.creating(ada, fields(body{"description": "Fish & <chips>"}))
	first := w.Do(t, "createTransaction", r)
	require.Equal(t, 201, first.Status)
	require.NotContains(t, first.Headers, "Idempotency-Replayed")
	require.Contains(t, first.Body, `"Fish & <chips>"`)
	var made shown
	first.Decode(t, &made)

	again := func(why string) {
		t.Helper()
		w.now = w.now.Add(time.Hour)
		r.User = w.user(ada)
		reply := w.Do(t, "createTransaction", r)
		require.Equal(t, 201, reply.Status, why)
		require.Equal(t, first.Body, reply.Body, why)
		require.Equal(t, "true", reply.Headers["Idempotency-Replayed"], why)
	}
	again("at once")
	require.Len(t, w.mem.Items("transactions"), 1)
	r.Body = `{ "description":"Fish & <chips>","date":"2026-11-24", "category":"food","currency":"GBP","amount":"-12.50"}`
	again("in another order")
	require.Equal(t, 200, w.Do(t, "changeTransaction", w.at(ada, made.ID, body{"version": 1, "amount": "1"})).Status)
	again("after a change")
	w.account(t, ada, "suspended")
	again("by an account that may not record any more: it did then")
	require.Equal(t, 204, w.Do(t, "deleteTransaction", w.at(ada, made.ID, nil)).Status)
	again("after it was deleted")
	require.Empty(t, w.mem.Items("transactions"))
}

func TestAKeyStandsForOneRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const key = "one-and-the-same"
	require.Equal(t, 201, w.Do(t, "createTransaction", w.repeating(ada, key, fields(nil))).Status)
	for name, change := range map[string]body{
		"amount": {"amount": "-12.51"}, "notation": {"amount": "-12.5"}, "less": {"description": nil}, "category": {"category": "rent"},
	} {
		w.Do(t, "createTransaction", w.repeating(ada, key, fields(change))).Refused(t, 422, "idempotency_key_reused")
		require.Len(t, w.mem.Items("transactions"), 1, name)
	}
	other := w.Do(t, "createTransaction", w.repeating(bob, key, fields(body{"amount": "5.00"})))
	require.Equal(t, 201, other.Status, "another person's key is another key")
	require.NotContains(t, other.Headers, "Idempotency-Replayed")

	w.now = w.now.Add(24*time.Hour + time.Second)
	later := w.Do(t, "createTransaction", w.repeating(ada, key, fields(body{"amount": "7.00"})))
	require.Equal(t, 201, later.Status, "a day later the key is new")
	require.NotContains(t, later.Headers, "Idempotency-Replayed")
	require.Len(t, w.mem.Items("transactions"), 3)
}

func TestOneOfManyAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.creating(ada, fields(nil))
	replies := together(32, func(int) resttest.Reply { return w.Do(t, "createTransaction", r) })
	require.Len(t, w.mem.Items("transactions"), 1)
	replayed := 0
	for _, reply := range replies {
		require.Equal(t, 201, reply.Status)
		require.Equal(t, replies[0].Body, reply.Body)
		if reply.Headers["Idempotency-Replayed"] == "true" {
			replayed++
		}
	}
	require.Equal(t, 31, replayed)
}

// together calls f n times at the same time.
func together(n int, f func(i int) resttest.Reply) []resttest.Reply {
	replies := make([]resttest.Reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { replies[i] = f(i) })
	}
	wg.Wait()
	return replies
}

// The store did it, but nobody heard: the client does it again by itself.
func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.db.lost = "TransactWriteItems"
	made := w.create(t, ada, nil)
	require.Equal(t, made, w.get(t, ada, made.ID))
	require.Len(t, w.mem.Items("transactions"), 1)
}

func TestWithoutRandomnessNothingIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{limit: generous, random: iotest.ErrReader(iotest.ErrTimeout)})
	w.Do(t, "createTransaction", w.creating(ada, fields(nil))).Refused(t, 500, "internal")
	nothing(t, w)
}

// Two identifiers that meet by a source of randomness that repeats itself do not put one transaction over another.
func TestAnIdentifierThatExists(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{limit: generous, random: zeros{}})
	made := w.create(t, ada, nil)
	w.Do(t, "createTransaction", w.creating(ada, fields(body{"amount": "99.00"}))).Refused(t, 500, "internal")
	require.Equal(t, made, w.get(t, ada, made.ID))
	w.now = w.now.Add(time.Millisecond)
	w.create(t, ada, body{"amount": "99.00"})
	w.create(t, bob, nil)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
