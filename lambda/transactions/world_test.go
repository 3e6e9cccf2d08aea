package transactions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/lambda/transactions"
)

const (
	ada = "0b6e2f6e-0000-4000-8000-00000000000a"
	bob = "0b6e2f6e-0000-4000-8000-00000000000b"
)

var start = time.Unix(1_800_000_000, 0) // 2027-01-15T08:00:00Z

// function is the declaration that the function under test answers for.
func function() service.Function {
	f, _ := catalog.Transactions().Function("transactions-api")
	return f
}

// values is what the deployment tells the function: every table is named after its key.
func values(limit string) environ.Values {
	v, err := environ.Read(function(), func(name string) (string, bool) {
		switch name {
		case service.LimitVariable(service.LimitAPI):
			return limit, true
		case environ.OriginsVariable:
			return "https://app.example.com", true
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

const generous = "10000/60" // a limit that no test reaches

// world is the function with everything around it, in memory. A test moves its clock and breaks its parts.
type world struct {
	resttest.Client
	now  time.Time
	mem  *mem.DB
	view *mem.View
	db   *breakable
	log  bytes.Buffer
	keys int
	deps transactions.Deps
}

type options struct {
	limit  string
	random io.Reader
}

func newWorld(t testing.TB) *world { return newWorldWith(t, options{limit: generous}) }

// newWorldWith is a sandbox of the function, which may do what is declared for it and must try nothing else, and two
// people who may record.
func newWorldWith(t testing.TB, o options) *world {
	t.Helper()
	w := &world{now: start, mem: mem.New(storetest.Schemas(catalog.Backend().Tables)...)}
	w.view = w.mem.As(storetest.Grants(function().Tables)...)
	t.Cleanup(func() { require.Empty(t, w.view.Denied(), "something undeclared was tried") })
	w.db = &breakable{DB: w.view}
	w.build(t, transactions.Deps{Values: values(o.limit), Tables: transactions.Bind(w.db, values(o.limit)), Tx: w.db, Random: o.random,
		Log: telemetry.New(&w.log, telemetry.Options{Function: "transactions-api"}), Now: func() time.Time { return w.now }})
	w.account(t, ada, "active")
	w.account(t, bob, "active")
	return w
}

// another is one more sandbox over the same tables.
func (w *world) another(t testing.TB, o options) *world {
	t.Helper()
	a := &world{now: w.now, mem: w.mem, view: w.view, db: &breakable{DB: w.view}}
	a.build(t, transactions.Deps{Values: values(o.limit), Tables: transactions.Bind(a.db, values(o.limit)), Tx: a.db, Random: o.random,
		Log: telemetry.New(&a.log, telemetry.Options{Function: "transactions-api"}), Now: func() time.Time { return a.now }})
	return a
}

func (w *world) build(t testing.TB, d transactions.Deps) {
	t.Helper()
	h, err := transactions.New(d)
	require.NoError(t, err)
	w.deps = d
	w.Client = resttest.Client{Handler: h, Function: function()}
}

// account sets the status of a person's account.
func (w *world) account(t testing.TB, who, status string) {
	t.Helper()
	w.put(t, "users", store.Item{"pk": store.S("USER#" + who), "status": store.S(status)})
}

func (w *world) put(t testing.TB, table string, item store.Item) {
	t.Helper()
	_, err := w.mem.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item})
	require.NoError(t, err)
}

// user is who the authorizer found: a person in a session that has just begun.
func (w *world) user(who string) *resttest.User {
	return &resttest.User{Subject: who, Session: "session-of-" + who, IssuedAt: w.now, Expires: w.now.Add(15 * time.Minute)}
}

type body = map[string]any

// fields are a transaction's members, changed as given; a nil value takes a member away.
func fields(changes body) body {
	b := body{"amount": "-12.50", "currency": "GBP", "category": "food", "date": "2026-11-24", "description": "Lunch"}
	for name, value := range changes {
		b[name] = value
		if value == nil {
			delete(b, name)
		}
	}
	return b
}

// creating is the request of a person under a key of its own.
func (w *world) creating(who string, b any) resttest.Request {
	w.keys++
	return w.repeating(who, fmt.Sprintf("key-%08d", w.keys), b)
}

func (w *world) repeating(who, key string, b any) resttest.Request {
	return resttest.Request{User: w.user(who), Body: b, Headers: map[string]string{"Idempotency-Key": key}}
}

func (w *world) at(who, id string, b any) resttest.Request {
	return resttest.Request{User: w.user(who), Path: map[string]string{"id": id}, Body: b}
}

func (w *world) listing(who string, query ...string) resttest.Request {
	q := map[string][]string{}
	for i := 0; i < len(query); i += 2 {
		q[query[i]] = []string{query[i+1]}
	}
	return resttest.Request{User: w.user(who), Query: q}
}

type shown struct {
	ID, Amount, Currency, Category, Date, Description, CreatedAt, UpdatedAt string
	Version                                                                 int
}

type page struct {
	Items      []shown
	NextCursor string
}

func (w *world) create(t testing.TB, who string, changes body) shown {
	t.Helper()
	var s shown
	w.Do(t, "createTransaction", w.creating(who, fields(changes))).Decode(t, &s)
	return s
}

func (w *world) get(t testing.TB, who, id string) shown {
	t.Helper()
	var s shown
	w.Do(t, "getTransaction", w.at(who, id, nil)).Decode(t, &s)
	return s
}

func (w *world) list(t testing.TB, who string, query ...string) page {
	t.Helper()
	var p page
	w.Do(t, "listTransactions", w.listing(who, query...)).Decode(t, &p)
	return p
}

// breakable is a store whose calls a test can break, each under its action and table ("GetItem transactions"; without a
// table for those of many): fails before anything is done, lost after it was done once, so that the client does it again.
// meanwhile runs once, before the call.
type breakable struct {
	store.DB
	mu        sync.Mutex
	fails     map[string]error
	lost      string
	short     int32 // at most so many items are in a page; 0: as many as asked for
	told      bool  // a refusal brought an item that the function may only check
	meanwhile map[string]func()
	calls     []string
	delay     time.Duration            // how long a call takes
	onCall    func(call string, n int) // before each call; n counts those of its name from 1
	counts    map[string]int
}

// on prepares a call, and tells whether its answer is to be lost.
func (b *breakable) on(call string) (lost bool, err error) {
	time.Sleep(b.delay)
	b.mu.Lock()
	if b.counts == nil {
		b.counts = map[string]int{}
	}
	b.counts[call]++
	n, before := b.counts[call], b.onCall
	b.mu.Unlock()
	if before != nil {
		before(call, n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, call)
	if f := b.meanwhile[call]; f != nil {
		delete(b.meanwhile, call)
		f()
	}
	return b.lost == call, b.fails[call]
}

// fail breaks a call, or mends it with a nil error.
func (w *world) fail(call string, err error) {
	w.db.mu.Lock()
	defer w.db.mu.Unlock()
	w.db.fails = map[string]error{call: err}
}

// operation is an error as the SDK's client gives it.
func operation(err error) error { return &smithy.OperationError{ServiceID: "DynamoDB", Err: err} }

func (b *breakable) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if _, err := b.on("GetItem " + *in.TableName); err != nil {
		return nil, err
	}
	if !aws.ToBool(in.ConsistentRead) {
		return nil, errors.New("a read that may show what was before the caller's own write")
	}
	return b.DB.GetItem(ctx, in, o...)
}

func (b *breakable) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	lost, err := b.on("PutItem " + *in.TableName)
	if err != nil {
		return nil, err
	}
	out, err := b.DB.PutItem(ctx, in, o...)
	if lost && err == nil {
		return b.DB.PutItem(ctx, in, o...)
	}
	return out, err
}

func (b *breakable) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	lost, err := b.on("UpdateItem " + *in.TableName)
	if err != nil {
		return nil, err
	}
	out, err := b.DB.UpdateItem(ctx, in, o...)
	if lost && err == nil {
		return b.DB.UpdateItem(ctx, in, o...)
	}
	return out, err
}

func (b *breakable) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	if _, err := b.on("DeleteItem " + *in.TableName); err != nil {
		return nil, err
	}
	return b.DB.DeleteItem(ctx, in, o...)
}

func (b *breakable) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	if _, err := b.on("Query " + *in.TableName); err != nil {
		return nil, err
	}
	if in.ProjectionExpression == nil {
		return nil, errors.New("a list that reads more than it shows")
	}
	if b.short > 0 {
		call := *in
		call.Limit = aws.Int32(min(*in.Limit, b.short))
		in = &call
	}
	return b.DB.Query(ctx, in, o...)
}

func (b *breakable) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	if _, err := b.on("BatchGetItem"); err != nil {
		return nil, err
	}
	return b.DB.BatchGetItem(ctx, in, o...)
}

func (b *breakable) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	lost, err := b.on("TransactWriteItems")
	if err != nil {
		return nil, err
	}
	out, err := b.DB.TransactWriteItems(ctx, in, o...)
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i, reason := range canceled.CancellationReasons {
			b.told = b.told || reason.Item != nil && in.TransactItems[i].ConditionCheck != nil
		}
	}
	if lost && err == nil {
		return b.DB.TransactWriteItems(ctx, in, o...)
	}
	return out, err
}

// handle calls an operation without holding the answer to its model: the guard of bodies takes fewer items than an answer
// may have.
func (w *world) handle(t testing.TB, id string, r resttest.Request) (reply resttest.Reply) {
	t.Helper()
	for _, route := range function().Routes {
		if route.ID == id {
			out, err := w.Handler.Invoke(t.Context(), resttest.Event(t, route.Method, route.Path, r))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(out, &reply))
		}
	}
	return reply
}

func encoded(t testing.TB, b any) string {
	t.Helper()
	text, err := json.Marshal(b)
	require.NoError(t, err)
	return string(text)
}
