package ratelimit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

const tableName = "rate-limits"

// start is the first moment of a slot of every window that tests use.
var start = time.Unix(1_800_000_000, 0)

// memory is an empty table, seen as a function's role sees it.
func memory() (*mem.DB, store.Table) {
	db := mem.New(mem.Schema{Name: tableName, Hash: "pk"}, mem.Schema{Name: "revoked-tokens", Hash: "pk"})
	return db, store.NewTable(db.As(mem.Grant{Table: tableName, Actions: []string{"UpdateItem"}}), tableName)
}

// clock is the true time; sandboxes may be off by their skew.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(start.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }
func (c *clock) skewed(d time.Duration) func() time.Time {
	return func() time.Time { return c.now().Add(d) }
}

// table counts the calls to a table and lets a test break them: before they take effect, or after.
type table struct {
	store.Updater
	calls         atomic.Int64
	before, after func(context.Context, *dynamodb.UpdateItemInput) error
}

func (u *table) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	u.calls.Add(1)
	if u.before != nil {
		if err := u.before(ctx, in); err != nil {
			return nil, err
		}
	}
	out, err := u.Updater.UpdateItem(ctx, in)
	if err == nil && u.after != nil {
		if err := u.after(ctx, in); err != nil {
			return nil, err
		}
	}
	return out, err
}

// numbers are small enough to reach: slots of the api class are 6 s long.
var numbers = map[service.Limit]environ.Limit{
	service.LimitAPI:    {Max: 3, Per: time.Minute},
	service.LimitAuth:   {Max: 2, Per: 5 * time.Minute},
	service.LimitAuthIP: {Max: 4, Per: 5 * time.Minute},
}

// function has the routes that tests count.
var function = service.Function{Key: "test", Routes: []service.Route{
	{ID: "list", Limit: service.LimitAPI}, {ID: "make", Limit: service.LimitAPI}, {ID: "drop", Limit: service.LimitAPI},
	{ID: "login", Limit: service.LimitAuth}, {ID: "register", Limit: service.LimitAuth}, {ID: "confirm", Limit: service.LimitAuth},
	{ID: "health"},
}}

func limiter(t testing.TB, table store.Updater, o ratelimit.Options) *ratelimit.Limiter {
	t.Helper()
	if o.Random == nil {
		o.Random = func() float64 { return 0 }
	}
	if o.Budget == 0 {
		o.Budget = time.Minute // of real time: these tests are not about it
	}
	l, err := ratelimit.New(table, function, numbers, o)
	require.NoError(t, err)
	return l
}

func api(subject string) rest.Count {
	return rest.Count{Class: service.LimitAPI, Route: "list", Subject: subject}
}

// admitted counts how many of n requests are let through.
func admitted(t testing.TB, l *ratelimit.Limiter, n int, counts ...rest.Count) int {
	t.Helper()
	passed := 0
	for range n {
		v, err := l.Count(t.Context(), counts)
		require.NoError(t, err)
		if v.Allowed {
			passed++
		}
	}
	return passed
}

// answering is a table that answers every update with an item.
func answering(item store.Item) store.Updater { return fixed{item: item} }

type fixed struct {
	store.Updater
	item store.Item
}

func (f fixed) UpdateItem(context.Context, *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	return &dynamodb.UpdateItemOutput{Attributes: f.item}, nil
}
