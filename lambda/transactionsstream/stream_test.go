package transactionsstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/queue"
	"github.com/expenzez/aws-backend/internal/retry"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactionsstream"
)

func TestSummariesFollowTheTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lunch := w.create(t, ada, "-12.50", "GBP", "food", "2027-01-10")
	w.create(t, ada, "-7.50", "GBP", "food", "2027-01-31")
	w.create(t, ada, "100", "GBP", "food", "2027-01-01")
	w.create(t, ada, "0", "JPY", "food", "2027-01-01")
	w.create(t, bob, "-1", "GBP", "food", "2027-01-01")
	w.drain(t)
	w.exact(t)
	require.JSONEq(t, `{"items":[{"month":"2027-01","currency":"JPY","category":"food","count":1,"spent":"0","received":"0"},
		{"month":"2027-01","currency":"GBP","category":"food","count":3,"spent":"2000","received":"10000"}]}`, w.do(t, "listSummaries", ada, "", nil).Body)

	for name, change := range map[string]body{"amount": {"amount": "5"}, "currency": {"currency": "EUR"}, "category": {"category": "rent"},
		"month": {"date": "2026-12-31"}, "day": {"date": "2026-12-30"}, "description": {"description": "x"}} {
		var made struct{ Version int }
		w.do(t, "getTransaction", ada, lunch, nil).Decode(t, &made)
		change["version"] = made.Version
		require.Equal(t, 200, w.do(t, "changeTransaction", ada, lunch, change).Status, name)
		w.drain(t)
		w.exact(t)
	}
	require.Equal(t, 204, w.do(t, "deleteTransaction", ada, lunch, nil).Status)
	w.drain(t)
	w.exact(t)
}

// Sums beyond 64 bits.
func TestSumsHaveNoBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 12 {
		w.create(t, ada, "-999999999999999.999", "KWD", "food", "2027-01-10")
	}
	for range 12 {
		w.create(t, ada, "999999999999999.999", "KWD", "food", "2027-01-10")
	}
	w.budget(t, ada, "food", "KWD", "900000000000000")
	w.drain(t)
	w.exact(t)
	require.Contains(t, w.do(t, "listSummaries", ada, "", nil).Body, `"spent":"11999999999999999988"`)
	require.Equal(t, []string{"a food KWD 2027-01 80", "a food KWD 2027-01 100"}, w.told())
}

func TestARecordCountsOnceHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.create(t, ada, "-12.50", "GBP", "food", "2027-01-10")
	w.do(t, "changeTransaction", ada, id, body{"version": 1, "amount": "-20"})
	w.do(t, "deleteTransaction", ada, id, nil)
	w.create(t, ada, "-3", "GBP", "food", "2027-01-10")
	w.drain(t)
	w.exact(t)
	all := w.shards[ada].records
	for range 3 {
		require.Empty(t, w.invoke(t, all...))
		w.exact(t)
	}
	w.now = w.now.Add(24*time.Hour + 15*time.Minute) // the last moment at which it can come
	require.Empty(t, w.invoke(t, all...))
	w.exact(t)
	for _, item := range w.of(t, "monthly-summaries", "SEEN#"+all[0].EventID) {
		require.EqualValues(t, start.Add(48*time.Hour).Unix(), store.Read(item).N("ttl"))
	}
}

// Other items of the table, and what says nothing that counts, cost nothing.
func TestRecordsThatAreNobodysBusiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	record := func(pk, sk string) events.DynamoDBEventRecord {
		return events.DynamoDBEventRecord{EventID: pk + sk, EventName: "INSERT", Change: events.DynamoDBStreamRecord{SequenceNumber: "1",
			Keys: image(store.Item{"pk": store.S(pk), "sk": store.S(sk)}), NewImage: image(store.Item{"pk": store.S(pk), "sk": store.S(sk)})}}
	}
	require.Empty(t, w.invoke(t, record("USER#"+ada, "IMP#x#000"), record("OTHER#x", "TX#1")))
	id := w.create(t, ada, "-3", "GBP", "food", "2027-01-10")
	w.drain(t)
	calls := len(w.faulty.Calls())
	w.do(t, "changeTransaction", ada, id, body{"version": 1, "description": "x", "date": "2027-01-11"})
	w.drain(t)
	require.Len(t, w.faulty.Calls(), calls, "a new day of the same month and a description change no sum")
}

// A record that cannot be read is named, and keeps being: it is not lost in silence. Those of other items go on.
func TestRecordsThatAreDamaged(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(r *events.DynamoDBEventRecord){
		"no_amount":   func(r *events.DynamoDBEventRecord) { delete(r.Change.NewImage, "amount") },
		"amount_text": func(r *events.DynamoDBEventRecord) { r.Change.NewImage["amount"] = events.NewStringAttribute("5") },
		"no_currency": func(r *events.DynamoDBEventRecord) { delete(r.Change.NewImage, "currency") },
		"short_date":  func(r *events.DynamoDBEventRecord) { r.Change.NewImage["date"] = events.NewStringAttribute("2027") },
		"no_images":   func(r *events.DynamoDBEventRecord) { r.Change.NewImage, r.Change.OldImage = nil, nil },
		"no_keys":     func(r *events.DynamoDBEventRecord) { r.Change.Keys = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(t, ada, "-3", "GBP", "food", "2027-01-10")
			w.create(t, bob, "-3", "GBP", "food", "2027-01-10")
			bad := w.shards[ada].records[0]
			spoil(&bad)
			require.Equal(t, []string{bad.Change.SequenceNumber}, w.invoke(t, bad, w.shards[bob].records[0]))
			require.Len(t, w.of(t, "monthly-summaries", "USER#"+bob), 1)
			require.Empty(t, w.of(t, "monthly-summaries", "USER#"+ada))
			require.NotContains(t, w.log.String(), ada)
		})
	}
	w := newWorld(t)
	_, err := w.handler.Invoke(t.Context(), []byte("[]"))
	require.Error(t, err)
	_, err = transactionsstream.New(transactionsstream.Deps{})
	require.Error(t, err)
}

// Each call of the handling of a record fails in each way; the record comes again, and all is as if it had not.
func TestEachCallThatFails(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		for n := range 9 {
			for _, crash := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%t", kind, n, crash), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					w.budget(t, ada, "food", "GBP", "10")
					id := w.create(t, ada, "-1", "GBP", "rent", "2027-01-10")
					w.drain(t)
					w.do(t, "changeTransaction", ada, id, body{"version": 1, "category": "food", "amount": "-10"})
					w.faulty.Follow(fault.At(n, fault.Fault{Kind: kind}))
					if crash {
						w.faulty.Follow(func(number int, _ string) fault.Fault {
							switch {
							case number == n:
								return fault.Fault{Kind: kind}
							case number > n:
								return fault.Fault{Kind: fault.Unsent}
							}
							return fault.Fault{}
						})
					}
					w.deliver(t, ada, 10)
					w.faulty.Follow(nil)
					w.shards[ada].at = 0 // everything comes again
					w.drain(t)
					w.exact(t)
					require.Equal(t, []string{"a food GBP 2027-01 80", "a food GBP 2027-01 100"}, w.told())
					w.create(t, ada, "-10", "GBP", "food", "2027-01-10")
					w.drain(t)
					require.Len(t, w.told(), 2, "each once")
				})
			}
		}
	}
}

func TestBudgetEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.budget(t, ada, "food", "GBP", "100")
	w.budget(t, ada, "food", "EUR", "1")
	w.budget(t, bob, "food", "GBP", "1000")
	spend := func(who, amount, date string, want ...string) string {
		t.Helper()
		before := len(w.sender.Sent())
		id := w.create(t, who, amount, "GBP", "food", date)
		w.drain(t)
		got := []string{}
		for _, e := range w.sender.Sent()[before:] {
			got = append(got, fmt.Sprintf("%s %d %s/%s", e.Data.Month, e.Data.Threshold, e.Data.Spent, e.Data.Limit))
		}
		require.Equal(t, append([]string{}, want...), got)
		return id
	}
	spend(ada, "-79.99", "2027-01-10")
	spend(ada, "500", "2027-01-10") // what is received does not count
	spend(bob, "-79.99", "2027-01-10")
	last := spend(ada, "-0.01", "2027-01-10", "2027-01 80 8000/10000")
	spend(ada, "-19.99", "2027-01-10")
	w.do(t, "deleteTransaction", ada, last, nil)
	spend(ada, "-0.01", "2027-01-10")
	spend(ada, "-0.01", "2027-01-10", "2027-01 100 10000/10000")
	spend(ada, "-500", "2027-01-10")
	spend(ada, "-500", "2027-02-01", "2027-02 80 50000/10000", "2027-02 100 50000/10000") // both at once, of a month to come
	spend(ada, "-500", "2026-12-31")                                                      // a month that is over
	w.now = time.Date(2027, 3, 1, 23, 59, 0, 0, time.UTC)
	spend(ada, "-80", "2027-02-28")
	spend(ada, "-80", "2027-03-01", "2027-03 80 8000/10000")
	// A new limit is not told again; a budget that is set anew is another one.
	require.Equal(t, 200, w.do(t, "changeBudget", ada, "food.GBP", body{"version": 1, "limit": "90"}).Status)
	spend(ada, "-1", "2027-03-01")
	require.Equal(t, 204, w.do(t, "deleteBudget", ada, "food.GBP", nil).Status)
	spend(ada, "-1000", "2027-03-01")
	w.budget(t, ada, "food", "GBP", "100")
	spend(ada, "-1", "2027-03-01", "2027-03 80 108200/10000", "2027-03 100 108200/10000")

	seen := map[string]bool{}
	for _, e := range w.sender.Sent() {
		require.False(t, seen[e.ID], "each has an ID of its own")
		seen[e.ID] = true
		require.Equal(t, ada, e.User)
		require.NotContains(t, e.ID, ada)
	}
	// The mark outlasts every moment at which the event can come about.
	for _, item := range w.of(t, "monthly-summaries", "USER#"+ada) {
		if f := store.Read(item); strings.HasPrefix(f.S("sk"), "TOLD#2027-03") {
			require.Greater(t, f.N("ttl"), time.Date(2027, 4, 2, 0, 0, 0, 0, time.UTC).Unix())
		}
	}
}

// Where nobody consumes events, nothing is told, and nothing counts as told.
func TestWithoutASender(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	silent, err := transactionsstream.New(transactionsstream.Deps{Tables: transactionsstream.Bind(w.db, values()), Tx: w.db,
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})
	require.NoError(t, err)
	w.budget(t, ada, "food", "GBP", "1")
	w.create(t, ada, "-5", "GBP", "food", "2027-01-31")
	loud := w.handler
	w.handler = silent
	w.drain(t)
	w.exact(t)
	require.Len(t, w.of(t, "monthly-summaries", "USER#"+ada), 1)
	w.handler = loud
	w.create(t, ada, "-5", "GBP", "food", "2027-01-31")
	w.drain(t)
	require.Len(t, w.told(), 2)
}

// A month goes on for a day: somewhere it has not ended.
func TestTheMonthThatRuns(t *testing.T) {
	t.Parallel()
	for at, want := range map[time.Time]int{
		time.Date(2027, 2, 1, 23, 59, 59, 0, time.UTC): 2, time.Date(2027, 2, 2, 0, 0, 0, 0, time.UTC): 0, start: 2,
	} {
		w := newWorld(t)
		w.now = at
		w.budget(t, ada, "food", "GBP", "1")
		w.create(t, ada, "-5", "GBP", "food", "2027-01-31")
		w.drain(t)
		require.Len(t, w.told(), want, at)
	}
}

// An event of which nobody knows whether it arrived is sent again, under its own ID.
func TestEventsArriveAtLeastOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Unsent, fault.Lost} {
		w := newWorld(t)
		w.budget(t, ada, "food", "GBP", "1")
		w.create(t, ada, "-0.80", "GBP", "food", "2027-01-10")
		left := 2
		w.sender.plan = func() fault.Kind {
			if left--; left >= 0 {
				return kind
			}
			return fault.None
		}
		for range 4 {
			w.deliver(t, ada, 10)
			w.exact(t)
		}
		require.Equal(t, []string{"a food GBP 2027-01 80"}, w.told())
		require.Len(t, w.sender.Sent(), map[fault.Kind]int{fault.Unsent: 1, fault.Lost: 3}[kind])
	}
}

// Events are messages of a queue: what is read from one is what was sent.
func TestEventsAreMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	memory := queue.NewMemory("notifications")
	sender, err := queue.New[transactionsstream.Event](memory, "notifications", retry.Policy{})
	require.NoError(t, err)
	w.handler, err = transactionsstream.New(transactionsstream.Deps{Tables: transactionsstream.Bind(w.faulty, values()), Tx: w.faulty, Sender: sender,
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})
	require.NoError(t, err)
	w.budget(t, ada, "food", "GBP", "10")
	w.create(t, ada, "-8.50", "GBP", "food", "2027-01-10")
	w.drain(t)
	messages := memory.Messages("notifications")
	require.Len(t, messages, 1)
	var e transactionsstream.Event
	require.NoError(t, json.Unmarshal([]byte(messages[0]), &e))
	require.Regexp(t, `^[A-Za-z0-9_-]{36}$`, e.ID)
	require.JSONEq(t, `{"v":1,"id":"`+e.ID+`","user":"`+ada+`","kind":"budget","data":{"category":"food","currency":"GBP","month":"2027-01","threshold":80,"limit":"1000","spent":"850"}}`, messages[0])
}

func TestItemsOfBudgetsThatAreDamaged(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]store.Item{
		"budget": {"sk": store.S("BUD#food.GBP"), "limit": store.N(0), "uid": store.S("x"), "version": store.N(1), "createdAt": store.N(1), "updatedAt": store.N(1)},
		"no_uid": {"sk": store.S("BUD#food.GBP"), "limit": store.N(1), "version": store.N(1), "createdAt": store.N(1), "updatedAt": store.N(1)},
	} {
		w := newWorld(t)
		spoil["pk"] = store.S("USER#" + ada)
		w.put(t, "budgets", spoil)
		w.create(t, ada, "-5", "GBP", "food", "2027-01-31")
		w.deliver(t, ada, 1)
		require.Zero(t, w.shards[ada].at, name)
		w.exact(t)
	}
}

// All that a person left is under their key, also when the stream lags behind the erasure, and afterwards nothing is.
func TestErasure(t *testing.T) {
	t.Parallel()
	for n := range 8 {
		db := mem.New(storetest.Schemas(catalog.Backend().Tables)...)
		w := newWorldOn(t, db, db)
		w.budget(t, ada, "food", "GBP", "1")
		w.do(t, "createCategory", ada, "", body{"id": "mine", "name": "Mine"})
		var all []string
		for i := range 4 {
			all = append(all, w.create(t, ada, "-5", "GBP", "food", fmt.Sprintf("2026-12-0%d", i+1)))
		}
		w.do(t, "importTransactions", ada, "", body{"rows": []body{{"amount": "-1", "currency": "GBP", "category": "food", "date": "2026-12-01"}}})
		w.do(t, "changeTransaction", ada, all[0], body{"version": 1, "category": "rent"})
		w.create(t, bob, "-5", "GBP", "food", "2026-12-01")
		w.deliver(t, ada, n) // so far the stream has come
		for _, table := range []string{"transactions", "monthly-summaries", "budgets"} {
			for _, item := range w.of(t, table, "USER#"+ada) {
				_, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: store.Item{"pk": item["pk"], "sk": item["sk"]}})
				require.NoError(t, err)
			}
		}
		w.capture(t)
		w.drain(t)
		for _, table := range []string{"transactions", "monthly-summaries", "budgets"} {
			for _, item := range db.Items(table) {
				text := fmt.Sprint(image(item))
				require.NotContains(t, text, ada, "after %d records: %s", n, table)
				if pk := store.Read(item).S("pk"); !strings.HasPrefix(pk, "SEEN#") {
					require.Equal(t, "USER#"+bob, pk, "every other item is somebody's")
				}
			}
		}
		w.exact(t)
	}
}

// Whatever is created, imported, changed and deleted, and however it comes: twice, in any order between people, in any
// batches, with failures of the store and the queue, and with sandboxes that are gone in the middle.
func TestSummariesAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		who := rapid.SampledFrom([]string{ada, bob})
		amount := rapid.SampledFrom([]string{"-1", "-2.50", "-40", "3", "0", "999999999999999.99", "-999999999999999.99"})
		currency, category := rapid.SampledFrom([]string{"GBP", "EUR"}), rapid.SampledFrom([]string{"food", "food-out"})
		date := rapid.SampledFrom([]string{"2026-12-31", "2027-01-01", "2027-01-31", "2027-02-01"})
		w.budget(t, ada, "food", "GBP", "50")
		w.budget(t, bob, "food-out", "EUR", "2")
		fields := func() body {
			return body{"amount": amount.Draw(r, "amount"), "currency": currency.Draw(r, "currency"), "category": category.Draw(r, "category"), "date": date.Draw(r, "date")}
		}
		any := func(user string) (id string, version int64) {
			var all []store.Item
			for _, item := range w.of(t, "transactions", "USER#"+user) {
				if strings.HasPrefix(store.Read(item).S("sk"), "TX#") {
					all = append(all, item)
				}
			}
			if len(all) == 0 {
				return "", 0
			}
			f := store.Read(all[rapid.IntRange(0, len(all)-1).Draw(r, "which")])
			return strings.TrimPrefix(f.S("sk"), "TX#"), f.N("version")
		}
		ways := []fault.Fault{{Kind: fault.Unsent}, {Kind: fault.Throttled}, {Kind: fault.Broken}, {Kind: fault.Lost}}
		r.Repeat(map[string]func(*rapid.T){
			"create": func(*rapid.T) {
				require.Equal(t, 201, w.do(t, "createTransaction", who.Draw(r, "who"), "", fields()).Status)
			},
			"import": func(*rapid.T) {
				var all []body
				for range rapid.IntRange(1, 4).Draw(r, "rows") {
					row := fields()
					if rapid.Bool().Draw(r, "named") {
						row["reference"] = fmt.Sprint("r", rapid.IntRange(0, 5).Draw(r, "reference"))
					}
					all = append(all, row)
				}
				require.Equal(t, 200, w.do(t, "importTransactions", who.Draw(r, "who"), "", body{"rows": all}).Status)
			},
			"change": func(*rapid.T) {
				user := who.Draw(r, "who")
				if id, version := any(user); id != "" {
					b := fields()
					b["version"] = version
					require.Equal(t, 200, w.do(t, "changeTransaction", user, id, b).Status)
				}
			},
			"delete": func(*rapid.T) {
				user := who.Draw(r, "who")
				if id, _ := any(user); id != "" {
					require.Equal(t, 204, w.do(t, "deleteTransaction", user, id, nil).Status)
				}
			},
			"deliver": func(*rapid.T) { w.deliver(t, who.Draw(r, "who"), rapid.IntRange(1, 6).Draw(r, "n")) },
			"fail": func(*rapid.T) {
				w.faulty.Follow(fault.Sometimes(rapid.Uint64().Draw(r, "seed"), 0.3, ways...))
				seed := rapid.IntRange(0, 3).Draw(r, "queue")
				w.sender.plan = func() fault.Kind {
					seed++
					return []fault.Kind{fault.None, fault.Unsent, fault.Lost}[seed%3]
				}
				w.deliver(t, who.Draw(r, "who"), rapid.IntRange(1, 6).Draw(r, "n"))
				w.faulty.Follow(nil)
				w.sender.plan = nil
			},
			"crash": func(*rapid.T) {
				s := w.shards[who.Draw(r, "who")]
				before := s.at
				w.faulty.Follow(fault.From(rapid.IntRange(0, 8).Draw(r, "call"), fault.Fault{Kind: fault.Unsent}))
				w.deliver(t, who.Draw(r, "who"), 6)
				w.faulty.Follow(nil)
				s.at = min(before, s.at)
			},
			"again": func(*rapid.T) { // a batch comes again from an earlier record
				s := w.shards[who.Draw(r, "who")]
				s.at -= rapid.IntRange(0, min(5, s.at)).Draw(r, "back")
			},
			"later": func(*rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(r, "seconds")) * time.Second)
			},
		})
		w.drain(t)
		w.exact(t)
		for _, e := range w.sender.Sent() {
			require.Contains(t, []int{80, 100}, e.Data.Threshold)
			require.NotEqual(t, "2026-12", e.Data.Month)
		}
		// A budget that is used up in the end was told of, and each telling is one budget, month and threshold.
		told := map[string]string{}
		for _, e := range w.sender.Sent() {
			what := fmt.Sprint(e.User, e.Data.Category, e.Data.Currency, e.Data.Month, e.Data.Threshold)
			require.True(t, told[what] == "" || told[what] == e.ID, "one ID for one thing that is told")
			told[what] = e.ID
		}
		for user, b := range map[string]struct {
			category, currency string
			limit              int64
		}{ada: {"food", "GBP", 5000}, bob: {"food-out", "EUR", 200}} {
			for _, item := range w.of(t, "monthly-summaries", "USER#"+user) {
				f := store.Read(item)
				month, ok := strings.CutSuffix(f.S("sk"), "#"+b.currency+"#"+b.category)
				month = strings.TrimPrefix(month, "SUM#")
				if !ok || month == "2026-12" || item["spent"] == nil {
					continue
				}
				for _, percent := range []int64{80, 100} {
					if f.N("spent")*100 >= b.limit*percent {
						require.NotEmpty(t, told[fmt.Sprint(user, b.category, b.currency, month, percent)], "%s %d", month, percent)
					}
				}
			}
		}
	})
}

// The sandbox's time ends in the middle of a batch: what was not begun comes again.
func TestADeadlineThatPasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, ada, "-5", "GBP", "food", "2027-01-31")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := w.handler.Invoke(ctx, payload(t, w.shards[ada].records...))
	require.NoError(t, err)
	require.JSONEq(t, `{"batchItemFailures":[{"itemIdentifier":"1"}]}`, string(out))
	w.drain(t)
	w.exact(t)
}
