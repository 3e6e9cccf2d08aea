package transactionsstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions"
	"github.com/expenzez/aws-backend/lambda/transactionsstream"
)

const (
	ada = "0b6e2f6e-0000-4000-8000-00000000000a"
	bob = "0b6e2f6e-0000-4000-8000-00000000000b"
)

var start = time.Unix(1_800_000_000, 0) // 2027-01-15T08:00:00Z

// values names every table after its key.
func values() environ.Values {
	v, err := environ.Read(apiFunction(), func(name string) (string, bool) {
		switch name {
		case service.LimitVariable(service.LimitAPI):
			return "1000000/60", true
		case environ.OriginsVariable:
			return "", true
		case environ.LimiterBudgetVariable:
			return "10000", true
		}
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "TABLE_"), "_", "-")), true
	})
	if err != nil {
		panic(err)
	}
	return v
}

func apiFunction() service.Function {
	f, _ := catalog.Transactions().Function("transactions-api")
	return f
}

// world is the API, the function, and between them the stream of the table, kept by the test: the records of each person
// in their order, as one shard keeps them.
type world struct {
	api     resttest.Client
	handler lambda.Handler
	db      store.DB // where the API and the test write and read
	faulty  *fault.DB
	sender  *flaky
	now     time.Time
	log     bytes.Buffer
	keys    int
	was     map[string]store.Item // the table as of the last record
	shards  map[string]*shard
	seq     int
}

type shard struct {
	records []events.DynamoDBEventRecord
	at      int // what comes next
}

// flaky is a queue that takes an event, refuses it, or takes it and says that it did not.
type flaky struct {
	transactionsstream.Memory
	plan func() fault.Kind
}

func (f *flaky) Send(ctx context.Context, e transactionsstream.Event) error {
	kind := fault.None
	if f.plan != nil {
		kind = f.plan()
	}
	if kind == fault.Unsent {
		return errors.New("refused")
	}
	if err := f.Memory.Send(ctx, e); err != nil || kind == fault.None {
		return err
	}
	return errors.New("no answer")
}

func newWorld(t testing.TB) *world {
	db := mem.New(storetest.Schemas(catalog.Backend().Tables)...)
	view := db.As(storetest.Grants(declared())...)
	t.Cleanup(func() { require.Empty(t, view.Denied(), "something undeclared was tried") })
	return newWorldOn(t, db, consistent{view})
}

// consistent refuses reads of summaries that may miss what was just added.
type consistent struct{ store.DB }

func (c consistent) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if *in.TableName == "monthly-summaries" && (in.ConsistentRead == nil || !*in.ConsistentRead) {
		return nil, errors.New("a read that may miss what was just added")
	}
	return c.DB.GetItem(ctx, in, o...)
}

// newWorldOn is a world on a store; the function works through another view of it.
func newWorldOn(t testing.TB, db, view store.DB) *world {
	t.Helper()
	w := &world{now: start, db: db, faulty: fault.NewDB(view, nil), sender: &flaky{}, was: map[string]store.Item{}, shards: map[string]*shard{}}
	api, err := transactions.New(transactions.Deps{Values: values(), Tables: transactions.Bind(db, values()), Tx: db,
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})
	require.NoError(t, err)
	w.api = resttest.Client{Handler: api, Function: apiFunction()}
	w.handler, err = transactionsstream.New(transactionsstream.Deps{Tables: transactionsstream.Bind(w.faulty, values()), Tx: w.faulty, Sender: w.sender,
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }})
	require.NoError(t, err)
	for _, who := range []string{ada, bob} {
		w.shards[who] = &shard{}
		w.put(t, "users", store.Item{"pk": store.S("USER#" + who), "status": store.S("active")})
	}
	return w
}

func (w *world) put(t testing.TB, table string, item store.Item) {
	t.Helper()
	_, err := w.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item})
	require.NoError(t, err)
}

// of are the items of a person in a table.
func (w *world) of(t testing.TB, table, pk string) []store.Item {
	t.Helper()
	out, err := w.db.Query(t.Context(), &dynamodb.QueryInput{TableName: &table, KeyConditionExpression: new("pk = :pk"),
		ConsistentRead: new(true), ExpressionAttributeValues: store.Item{":pk": store.S(pk)}})
	require.NoError(t, err)
	require.Empty(t, out.LastEvaluatedKey)
	return out.Items
}

type body = map[string]any

// do is a request of the API, whose changes are in the stream afterwards.
func (w *world) do(t testing.TB, operation, who, id string, b any, query ...string) resttest.Reply {
	t.Helper()
	w.keys++
	r := resttest.Request{User: &resttest.User{Subject: who, Session: "s", IssuedAt: w.now, Expires: w.now.Add(time.Minute)}, Body: b,
		Headers: map[string]string{"Idempotency-Key": fmt.Sprintf("key-%08d", w.keys)}, Query: map[string][]string{}}
	if id != "" {
		r.Path = map[string]string{"id": id}
	}
	for i := 0; i < len(query); i += 2 {
		r.Query[query[i]] = []string{query[i+1]}
	}
	reply := w.api.Do(t, operation, r)
	w.capture(t)
	return reply
}

func (w *world) create(t testing.TB, who, amount, currency, category, date string) string {
	t.Helper()
	reply := w.do(t, "createTransaction", who, "", body{"amount": amount, "currency": currency, "category": category, "date": date})
	require.Equal(t, 201, reply.Status, reply.Body)
	var made struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(reply.Body), &made))
	return made.ID
}

func (w *world) budget(t testing.TB, who, category, currency, limit string) {
	t.Helper()
	require.Equal(t, 201, w.do(t, "createBudget", who, "", body{"category": category, "currency": currency, "limit": limit}).Status)
}

// capture puts what the table has become since the last time into the stream.
func (w *world) capture(t testing.TB) {
	t.Helper()
	is := map[string]store.Item{}
	for _, who := range []string{ada, bob} {
		for _, item := range w.of(t, "transactions", "USER#"+who) {
			f := store.Read(item)
			is[f.S("pk")+" "+f.S("sk")] = item
		}
	}
	all := maps.Clone(w.was)
	maps.Copy(all, is)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		old, now := w.was[key], is[key]
		if fmt.Sprint(image(old)) == fmt.Sprint(image(now)) {
			continue
		}
		pk, sk, _ := strings.Cut(key, " ")
		w.seq++
		r := events.DynamoDBEventRecord{EventID: fmt.Sprintf("event-%06d", w.seq), EventName: "MODIFY", EventSourceArn: "arn:aws:dynamodb:stream",
			Change: events.DynamoDBStreamRecord{SequenceNumber: fmt.Sprint(w.seq), Keys: image(store.Item{"pk": store.S(pk), "sk": store.S(sk)}),
				OldImage: image(old), NewImage: image(now), ApproximateCreationDateTime: events.SecondsEpochTime{Time: w.now}}}
		switch {
		case old == nil:
			r.EventName = "INSERT"
		case now == nil:
			r.EventName = "REMOVE"
		}
		s := w.shards[strings.TrimPrefix(pk, "USER#")]
		s.records = append(s.records, r)
	}
	w.was = is
}

// image is an item as a stream shows it.
func image(item store.Item) map[string]events.DynamoDBAttributeValue {
	if item == nil {
		return nil
	}
	all := map[string]events.DynamoDBAttributeValue{}
	for name, value := range item {
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			all[name] = events.NewStringAttribute(v.Value)
		case *types.AttributeValueMemberN:
			all[name] = events.NewNumberAttribute(v.Value)
		}
	}
	return all
}

// payload is what Lambda hands to the function.
func payload(t testing.TB, records ...events.DynamoDBEventRecord) []byte {
	t.Helper()
	b, err := json.Marshal(events.DynamoDBEvent{Records: records})
	require.NoError(t, err)
	return b
}

// invoke hands records to the function and returns the sequence numbers of those that failed.
func (w *world) invoke(t testing.TB, records ...events.DynamoDBEventRecord) []string {
	t.Helper()
	out, err := w.handler.Invoke(t.Context(), payload(t, records...))
	require.NoError(t, err)
	var answer events.DynamoDBEventResponse
	require.NoError(t, json.Unmarshal(out, &answer))
	all := []string{}
	for _, f := range answer.BatchItemFailures {
		all = append(all, f.ItemIdentifier)
	}
	return all
}

// deliver brings the next records of a person, at most n, as Lambda does: it goes on from the first that failed.
func (w *world) deliver(t testing.TB, who string, n int) {
	t.Helper()
	s := w.shards[who]
	batch := s.records[s.at:min(s.at+n, len(s.records))]
	if len(batch) == 0 {
		return
	}
	failed := w.invoke(t, batch...)
	for _, r := range batch {
		if slices.Contains(failed, r.Change.SequenceNumber) {
			return
		}
		s.at++
	}
}

// drain brings all that is left.
func (w *world) drain(t testing.TB) {
	t.Helper()
	for _, who := range []string{ada, bob} {
		for s := w.shards[who]; s.at < len(s.records); {
			before := s.at
			w.deliver(t, who, 10)
			require.Greater(t, s.at, before, "it does not go on: %s", w.log.String())
		}
	}
}

// exact requires that the summaries are what the transactions add up to, computed anew, and nothing else.
func (w *world) exact(t testing.TB) {
	t.Helper()
	for _, who := range []string{ada, bob} {
		type sum struct {
			count           int64
			spent, received *big.Int
		}
		want, got := map[string]string{}, map[string]string{}
		sums := map[string]*sum{}
		for _, item := range w.of(t, "transactions", "USER#"+who) {
			f := store.Read(item)
			if !strings.HasPrefix(f.S("sk"), "TX#") {
				continue
			}
			slot := f.S("date")[:7] + "#" + f.S("currency") + "#" + f.S("category")
			if sums[slot] == nil {
				sums[slot] = &sum{0, new(big.Int), new(big.Int)}
			}
			s, amount := sums[slot], big.NewInt(f.N("amount"))
			s.count++
			if amount.Sign() < 0 {
				s.spent.Sub(s.spent, amount)
			} else {
				s.received.Add(s.received, amount)
			}
		}
		for slot, s := range sums {
			want[slot] = fmt.Sprint(s.count, " ", s.spent, " ", s.received)
		}
		for _, item := range w.of(t, "monthly-summaries", "USER#"+who) {
			f := store.Read(item)
			if slot, ok := strings.CutPrefix(f.S("sk"), "SUM#"); ok {
				number := func(name string) string { return item[name].(*types.AttributeValueMemberN).Value }
				got[slot] = number("count") + " " + number("spent") + " " + number("received")
			}
		}
		require.Equal(t, want, got)
	}
}

// told are the events so far, each once, in order.
func (w *world) told() []string {
	seen, all := map[string]bool{}, []string{}
	for _, e := range w.sender.Sent() {
		if !seen[e.ID] {
			seen[e.ID] = true
			all = append(all, fmt.Sprintf("%s %s %s %s %d", e.User[len(e.User)-1:], e.Data.Category, e.Data.Currency, e.Data.Month, e.Data.Threshold))
		}
	}
	return all
}

// declared is what the function may do.
func declared() []service.Access {
	f, _ := catalog.Transactions().Function("transactions-stream")
	return f.Tables
}

func example(records ...events.DynamoDBEventRecord) []byte {
	b, err := json.Marshal(events.DynamoDBEvent{Records: records})
	if err != nil {
		panic(err)
	}
	return b
}
