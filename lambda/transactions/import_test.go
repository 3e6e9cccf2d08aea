package transactions_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	outage "github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions"
)

type rowFault struct{ Pointer, Code string }

type rowResult struct {
	Status, ID string
	Errors     []rowFault
}

type imported struct{ Rows []rowResult }

// row is a transaction's members as a row, changed as given.
func row(changes body) body { return fields(changes) }

func rows(n int) []body {
	all := make([]body, n)
	for i := range all {
		all[i] = row(body{"amount": fmt.Sprintf("-%d.00", i+1), "date": fmt.Sprintf("2026-11-%02d", i%30+1)})
	}
	return all
}

func (w *world) imports(t testing.TB, who string, all ...body) imported {
	t.Helper()
	var got imported
	w.Do(t, "importTransactions", w.creating(who, body{"rows": all})).Decode(t, &got)
	require.Len(t, got.Rows, len(all))
	return got
}

func statuses(got imported) string {
	var b strings.Builder
	for _, r := range got.Rows {
		b.WriteByte(r.Status[0])
	}
	return b.String()
}

// recorded are the transactions of a table, without the marks of imports.
func recorded(w *world) []store.Item {
	return slices.DeleteFunc(w.mem.Items("transactions"), func(item store.Item) bool { return strings.HasPrefix(store.Read(item).S("sk"), "IMP#") })
}

func TestImportedRowsAreTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.imports(t, ada, rows(60)...)
	require.Equal(t, strings.Repeat("c", 60), statuses(got))
	require.Len(t, recorded(w), 60)
	for i, r := range got.Rows {
		s := w.get(t, ada, r.ID)
		require.Equal(t, fmt.Sprintf("-%d.00", i+1), s.Amount)
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, s.ID)
		w.do(t, "getTransaction", bob, r.ID, nil).Refused(t, 404, "not_found")
	}
	require.Len(t, w.list(t, ada, "limit", "100").Items, 60)
	var made shown
	w.do(t, "changeTransaction", ada, got.Rows[0].ID, body{"version": 1, "amount": "7"}).Decode(t, &made)
	require.Equal(t, "7.00", made.Amount)
	for _, item := range w.mem.Items("transactions") {
		_, expires := item["ttl"]
		require.Equal(t, strings.HasPrefix(store.Read(item).S("sk"), "IMP#"), expires, "what people record never expires")
	}
}

// One row that is wrong does not refuse the others, and all that is wrong with it is said.
func TestRowsThatAreInvalid(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change body
		want   []rowFault
	}{
		"empty":                {body{"amount": nil, "currency": nil, "category": nil, "date": nil, "description": nil}, []rowFault{{"/amount", "required"}, {"/currency", "required"}, {"/category", "required"}, {"/date", "required"}}},
		"amount":               {body{"amount": "1e3"}, []rowFault{{"/amount", "pattern"}}},
		"decimals":             {body{"amount": "1.234"}, []rowFault{{"/amount", "decimals"}}},
		"currency":             {body{"currency": "ABC"}, []rowFault{{"/currency", "currency"}}},
		"category":             {body{"category": "Food"}, []rowFault{{"/category", "pattern"}}},
		"day":                  {body{"date": "2026-02-30"}, []rowFault{{"/date", "date"}}},
		"description":          {body{"description": "\u0000"}, []rowFault{{"/description", "control_character"}}},
		"description_long":     {body{"description": strings.Repeat("x", 201)}, []rowFault{{"/description", "too_long"}}},
		"reference_empty":      {body{"reference": ""}, []rowFault{{"/reference", "too_short"}}},
		"reference_long":       {body{"reference": strings.Repeat("x", 65)}, []rowFault{{"/reference", "too_long"}}},
		"reference_blank":      {body{"reference": "a b"}, []rowFault{{"/reference", "pattern"}}},
		"members_of_many":      {body{"amount": "1.001", "date": "2026-02-30", "description": "\u0007"}, []rowFault{{"/amount", "decimals"}, {"/date", "date"}, {"/description", "control_character"}}},
		"form_before_contents": {body{"amount": "x", "date": "2026-02-30"}, []rowFault{{"/amount", "pattern"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got := w.imports(t, ada, row(nil), row(c.change), row(body{"amount": "5"}))
			require.Equal(t, "cic", statuses(got))
			for i := range c.want {
				c.want[i].Pointer = "/rows/1" + c.want[i].Pointer
			}
			require.Equal(t, c.want, got.Rows[1].Errors)
			require.Len(t, recorded(w), 2)
		})
	}
}

func TestDuplicatesAreFoundByReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.imports(t, ada, row(body{"reference": "bank-1"}), row(body{"reference": "bank-2"}), row(nil), row(nil))
	require.Equal(t, "cccc", statuses(first), "rows without a reference may be alike")
	second := w.imports(t, ada, row(body{"reference": "bank-2", "amount": "9"}), row(body{"reference": "bank-3"}), row(body{"reference": "bank-3"}), row(nil))
	require.Equal(t, "dcdc", statuses(second))
	require.Equal(t, first.Rows[1].ID, second.Rows[0].ID)
	require.Equal(t, second.Rows[1].ID, second.Rows[2].ID)
	require.Equal(t, "-12.50", w.get(t, ada, first.Rows[1].ID).Amount, "the first stays as it is")
	require.Equal(t, "c", statuses(w.imports(t, bob, row(body{"reference": "bank-1"}))), "another person's reference is another")
	require.Equal(t, 204, w.do(t, "deleteTransaction", ada, first.Rows[0].ID, nil).Status)
	require.Equal(t, "c", statuses(w.imports(t, ada, row(body{"reference": "bank-1"}))), "what was deleted can be imported again")
	require.Equal(t, "ic", statuses(w.imports(t, ada, row(body{"reference": "bank-9", "amount": "x"}), row(body{"reference": "bank-9"}))), "an invalid row takes no reference")

	many := make([]body, 60)
	for i := range many {
		many[i] = row(body{"reference": fmt.Sprint("r", i%40)})
	}
	require.Equal(t, strings.Repeat("c", 40)+strings.Repeat("d", 20), statuses(w.imports(t, ada, many...)), "also over chunks")
	require.Equal(t, strings.Repeat("d", 60), statuses(w.imports(t, ada, many...)))
}

func TestImportsThatAreRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		body any
		want []fault
	}{
		"no_rows":     {body{}, []fault{{"/rows", "required"}}},
		"empty":       {body{"rows": []body{}}, []fault{{"/rows", "too_short"}}},
		"no_list":     {body{"rows": "x"}, []fault{{"/rows", "type"}}},
		"number":      {body{"rows": []body{row(nil), row(body{"amount": 5})}}, []fault{{"/rows/1/amount", "type"}}},
		"unknown":     {body{"rows": []body{row(body{"id": "x"})}}, []fault{{"/rows/0/id", "unknown"}}},
		"row_no_obj":  {body{"rows": []any{1}}, []fault{{"/rows/0", "type"}}},
		"too_many":    {`{"rows":[` + strings.Repeat("{},", 500) + `{}]}`, []fault{{"/rows", "too_long"}}},
		"other_field": {body{"rows": []body{row(nil)}, "dry": true}, []fault{{"/dry", "unknown"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			require.Equal(t, c.want, faults(t, w.Do(t, "importTransactions", w.creating(ada, c.body))))
			nothing(t, w)
		})
	}
	w := newWorld(t)
	r := w.creating(ada, body{"rows": rows(1)})
	r.Headers = nil
	w.Do(t, "importTransactions", r).Refused(t, 400, "idempotency_key_required")
}

func TestAnInactiveAccountImportsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account(t, ada, "suspended")
	r := w.creating(ada, body{"rows": rows(30)})
	w.Do(t, "importTransactions", r).Refused(t, 403, "account_inactive")
	require.Empty(t, w.mem.Items("transactions"))
	w.account(t, ada, "active")
	require.Equal(t, 200, w.Do(t, "importTransactions", r).Status, "the key is still new")

	w = newWorld(t)
	w.db.onCall = func(call string, n int) {
		if call == "TransactWriteItems" && n == 2 {
			w.account(t, ada, "suspended")
		}
	}
	r = w.creating(ada, body{"rows": rows(60)})
	w.Do(t, "importTransactions", r).Refused(t, 403, "account_inactive")
	require.Len(t, recorded(w), 25, "what was recorded before stays")
	w.account(t, ada, "active")
	w.db.onCall = nil
	var got imported
	w.Do(t, "importTransactions", r).Decode(t, &got)
	require.Equal(t, strings.Repeat("c", 60), statuses(got))
	require.Len(t, recorded(w), 60)
}

func TestARepeatedImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.creating(ada, body{"rows": append(rows(30), row(body{"amount": "x"}))})
	first := w.Do(t, "importTransactions", r)
	require.Equal(t, 200, first.Status)
	for _, item := range recorded(w) {
		w.do(t, "deleteTransaction", ada, strings.TrimPrefix(store.Read(item).S("sk"), "TX#"), nil)
	}
	again := w.Do(t, "importTransactions", r)
	require.Equal(t, first.Body, again.Body)
	require.Equal(t, "true", again.Headers["Idempotency-Replayed"])
	require.Empty(t, recorded(w), "what was deleted stays so")
	r.Body = body{"rows": rows(1)}
	w.Do(t, "importTransactions", r).Refused(t, 422, "idempotency_key_reused")
	w.now = w.now.Add(25 * time.Hour)
	r.User = w.user(ada)
	require.Equal(t, 200, w.Do(t, "importTransactions", r).Status, "a day later the key is new")
	require.Len(t, recorded(w), 1)
}

// The parts of an import's answer that must be the same whatever happened before it: all but nothing is left out.
func crashed(t *testing.T, plan func(int, outage.Kind) outage.Plan) {
	// 60 rows are three chunks; some rows are invalid, some duplicates of what was there, and some of each other.
	all := rows(60)
	all[3]["amount"] = "x"
	all[10]["reference"], all[55]["reference"], all[56]["reference"] = "old", "new", "new"
	want := strings.Split(strings.Repeat("c", 60), "")
	want[3], want[10], want[56] = "i", "d", "d"
	for _, kind := range outage.Kinds() {
		for n := range 14 {
			t.Run(fmt.Sprintf("%s/%d", kind, n), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.imports(t, ada, row(body{"reference": "old"}))
				before := len(recorded(w))
				faulty := outage.NewDB(w.db, plan(n, kind))
				broken := &world{now: w.now, mem: w.mem, view: w.view, db: w.db}
				broken.build(t, transactions.Deps{Values: values(generous), Tables: transactions.Bind(faulty, values(generous)), Tx: faulty,
					Log: telemetry.New(&broken.log, telemetry.Options{}), Now: func() time.Time { return broken.now }})
				r := w.repeating(ada, "key-of-the-crash", body{"rows": all})
				reply := broken.Do(t, "importTransactions", r)
				written := maps.Collect(ids(w))
				// One of what was recorded is deleted, another changed, before the request comes again.
				var deleted, changed string
				for _, id := range slices.Sorted(maps.Keys(written)) {
					if written[id] == "-5.00" || written[id] == "-50.00" {
						require.Equal(t, 204, w.do(t, "deleteTransaction", ada, id, nil).Status)
						deleted += id
					}
					if written[id] == "-7.00" {
						require.Equal(t, 200, w.do(t, "changeTransaction", ada, id, body{"version": 1, "amount": "77"}).Status)
						changed = id
					}
				}
				w.now = w.now.Add(time.Minute) // the lease has ended
				r.User = w.user(ada)
				var got imported
				again := w.Do(t, "importTransactions", r)
				again.Decode(t, &got)
				require.Equal(t, strings.Join(want, ""), statuses(got))
				if reply.Status == 200 {
					require.Equal(t, reply.Body, again.Body)
				}
				gone := len(deleted) / 36
				require.Len(t, recorded(w), before+57-gone, "each row once, and what was deleted stays so")
				now := maps.Collect(ids(w))
				for i, result := range got.Rows {
					switch {
					case result.Status != "created" || strings.Contains(deleted, result.ID):
					case result.ID == changed:
						require.Equal(t, "77.00", now[result.ID])
					default:
						require.Equal(t, fmt.Sprintf("-%d.00", i+1), now[result.ID])
					}
				}
			})
		}
	}
}

// ids are the amounts of all transactions by identifier.
func ids(w *world) func(func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for _, item := range recorded(w) {
			f := store.Read(item)
			amount := fmt.Sprintf("%.2f", float64(f.N("amount"))/100)
			if !yield(strings.TrimPrefix(f.S("sk"), "TX#"), amount) {
				return
			}
		}
	}
}

// The sandbox is gone at any call: nothing of it is done from then on, or only its answer is lost.
func TestAnImportThatCrashesAnywhere(t *testing.T) {
	t.Parallel()
	crashed(t, func(n int, kind outage.Kind) outage.Plan {
		return func(number int, _ string) outage.Fault {
			switch {
			case number == n:
				return outage.Fault{Kind: kind}
			case number > n:
				return outage.Fault{Kind: outage.Unsent}
			}
			return outage.Fault{}
		}
	})
}

// One call fails, and the sandbox goes on.
func TestAnImportWithAnyCallThatFails(t *testing.T) {
	t.Parallel()
	crashed(t, func(n int, kind outage.Kind) outage.Plan { return outage.At(n, outage.Fault{Kind: kind}) })
}

// Two sandboxes at the same request, the lease of one of which has ended early: the rows are written once all the same.
func TestImportsThatOvertakeEachOther(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 4; n++ {
		w := newWorld(t)
		r := w.creating(ada, body{"rows": rows(60)})
		var inner imported
		w.db.onCall = func(call string, count int) {
			if call == "TransactWriteItems" && count == n {
				w.db.onCall = nil
				w.now = w.now.Add(time.Minute)
				r.User = w.user(ada)
				w.Do(t, "importTransactions", r).Decode(t, &inner)
			}
		}
		var outer imported
		w.Do(t, "importTransactions", r).Decode(t, &outer)
		require.Equal(t, strings.Repeat("c", 60), statuses(outer))
		if n <= 3 {
			require.Equal(t, outer, inner)
		}
		require.Len(t, recorded(w), 60)
	}
}

func TestImportsOfOneKeyAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.creating(ada, body{"rows": rows(60)})
	for _, reply := range together(6, func(int) resttest.Reply { return w.Do(t, "importTransactions", r) }) {
		if reply.Status != 200 {
			reply.Refused(t, 409, "request_in_progress")
		}
	}
	require.Len(t, recorded(w), 60)
}

func TestAMarkThatIsDamaged(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(store.Item){
		"no_outcome": func(item store.Item) { delete(item, "outcome") },
		"shorter":    func(item store.Item) { item["outcome"] = store.S("c") },
		"other":      func(item store.Item) { item["outcome"] = store.S("iiiii") },
	} {
		w := newWorld(t)
		r := w.creating(ada, body{"rows": rows(5)})
		w.db.fails = map[string]error{"UpdateItem idempotency": operation(fmt.Errorf("down"))} // the answer is not recorded
		require.Equal(t, 200, w.Do(t, "importTransactions", r).Status)
		w.fail("", nil)
		for _, item := range w.mem.Items("transactions") {
			if strings.HasPrefix(store.Read(item).S("sk"), "IMP#") {
				spoil(item)
				w.put(t, "transactions", item)
			}
		}
		w.now = w.now.Add(time.Minute)
		r.User = w.user(ada)
		w.Do(t, "importTransactions", r).Refused(t, 500, "internal")
		require.Len(t, recorded(w), 5, name)
	}
}

func TestImportsLogNothingPrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imports(t, ada, row(body{"description": "Divorce lawyer", "reference": "bank-secret"}), row(body{"amount": "x", "description": "Divorce"}))
	w.list(t, ada, "description", "divorce l")
	w.fail("TransactWriteItems", operation(fmt.Errorf("down")))
	w.Do(t, "importTransactions", w.creating(ada, body{"rows": []body{row(body{"description": "Divorce", "reference": "bank-secret"})}})).Refused(t, 503, "unavailable")
	for _, private := range []string{"Divorce", "divorce", "bank-secret", ada} {
		require.NotContains(t, w.log.String(), private)
	}
}

// The same request in another notation is the same import.
func TestAnImportInAnotherNotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.db.fails = map[string]error{"UpdateItem idempotency": operation(fmt.Errorf("down"))}
	text, err := json.Marshal(body{"rows": rows(5)})
	require.NoError(t, err)
	r := w.creating(ada, string(text))
	r.Headers["Content-Type"] = "application/json"
	require.Equal(t, 200, w.Do(t, "importTransactions", r).Status)
	w.fail("", nil)
	w.now = w.now.Add(time.Minute)
	r.User, r.Body = w.user(ada), strings.ReplaceAll(string(text), ",", " , ")
	require.Equal(t, 200, w.Do(t, "importTransactions", r).Status)
	require.Len(t, recorded(w), 5)
}

// A key that comes again after its day with the same rows is the same import; what was deleted stays so.
func TestAnImportThatComesAgainAfterItsDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.creating(ada, body{"rows": rows(30)})
	var first, again imported
	w.Do(t, "importTransactions", r).Decode(t, &first)
	require.Equal(t, 204, w.do(t, "deleteTransaction", ada, first.Rows[3].ID, nil).Status)
	for _, later := range []struct {
		after time.Duration
		want  string
		rows  int
	}{{25 * time.Hour, strings.Repeat("c", 30), 29}, {8 * 24 * time.Hour, "dddc" + strings.Repeat("d", 26), 30}} {
		w.now = w.now.Add(later.after)
		r.User = w.user(ada)
		w.Do(t, "importTransactions", r).Decode(t, &again)
		require.Equal(t, later.want, statuses(again))
		require.Len(t, recorded(w), later.rows)
	}
}

// Whatever fails, and however often a request is sent again meanwhile: in the end each row that is valid, and named only
// once, is one transaction, and the answer says which.
func TestImportsUnderFaults(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		faulty := outage.NewDB(w.db, nil)
		w.build(t, transactions.Deps{Values: values(generous), Tables: transactions.Bind(faulty, values(generous)), Tx: faulty,
			Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})
		want := map[string]int{} // how many transactions are of an amount
		named := map[string]bool{}
		number := 0
		for range rapid.IntRange(1, 3).Draw(r, "imports") {
			var all []body
			expected := ""
			for range rapid.IntRange(1, 60).Draw(r, "rows") {
				number++
				one := row(body{"amount": strconv.Itoa(number)})
				status := "c"
				switch rapid.IntRange(0, 5).Draw(r, "kind") {
				case 0:
					one["date"], status = "2026-02-30", "i"
				case 1:
					reference := fmt.Sprint("r", rapid.IntRange(0, 9).Draw(r, "reference"))
					if one["reference"] = reference; named[reference] {
						status = "d"
					}
					named[reference] = true
				}
				if status == "c" {
					want[fmt.Sprintf("%d.00", number)]++
				}
				all, expected = append(all, one), expected+status
			}
			request := w.creating(ada, body{"rows": all})
			faulty.Follow(outage.Sometimes(rapid.Uint64().Draw(r, "seed"), 0.2, outage.Fault{Kind: outage.Unsent}, outage.Fault{Kind: outage.Lost},
				outage.Fault{Kind: outage.Throttled}, outage.Fault{Kind: outage.Broken}))
			for range 5 {
				w.Do(t, "importTransactions", request)
				w.now = w.now.Add(time.Minute)
				request.User = w.user(ada)
			}
			faulty.Follow(nil)
			var got imported
			w.Do(t, "importTransactions", request).Decode(t, &got)
			require.Equal(t, expected, statuses(got))
		}
		have := map[string]int{}
		for _, amount := range ids(w) {
			have[amount]++
		}
		require.Equal(t, want, have)
	})
}
