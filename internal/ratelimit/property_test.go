package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

var fraction types.AttributeValue = &types.AttributeValueMemberN{Value: "0.5"}

func slotSum(t testing.TB, item store.Item) (sum int64) {
	t.Helper()
	r := store.Read(item)
	for name := range item {
		if strings.Contains(name, "S") {
			sum += r.N(name)
		}
	}
	require.NoError(t, r.Err())
	return sum
}

// fleet is sandboxes of one function over one table.
type fleet struct {
	*clock
	sandboxes []*ratelimit.Limiter
	local     atomic.Int64 // how many were admitted without the store
}

// window is the window of fleets. Its slots are long, so that no count takes longer than one however busy the machine is.
const (
	window = 1000 * time.Second
	slot   = window / 10
)

func newFleet(t require.TestingT, updater store.Updater, limit int, skews ...time.Duration) *fleet {
	return fleetOf(t, updater, environ.Limit{Max: limit, Per: window}, nil, skews...)
}

func fleetOf(t require.TestingT, updater store.Updater, limit environ.Limit, open []service.Limit, skews ...time.Duration) *fleet {
	f := &fleet{clock: newClock()}
	for _, skew := range skews {
		l, err := ratelimit.New(updater, service.Function{Routes: function.Routes[:3]}, map[service.Limit]environ.Limit{service.LimitAPI: limit},
			ratelimit.Options{Now: f.skewed(skew), Budget: time.Minute, Open: open, Fallback: func(_ context.Context, _ service.Limit, allowed bool) {
				if allowed {
					f.local.Add(1)
				}
			}})
		require.NoError(t, err)
		f.sandboxes = append(f.sandboxes, l)
	}
	return f
}

// burst sends n requests at the same time, spread over the sandboxes, and tells how many were admitted.
func (f *fleet) burst(t require.TestingT, n int) int {
	results := make([]rest.Verdict, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			results[i], errs[i] = f.sandboxes[i%len(f.sandboxes)].Count(testContext, []rest.Count{api("ada")})
		})
	}
	wg.Wait()
	passed := 0
	for i, r := range results {
		require.False(t, errs[i] != nil && r.Allowed)
		if r.Allowed {
			passed++
		}
	}
	return passed
}

// Sandboxes whose clocks agree decide, one request after another, exactly as a list of all admitted requests would: one
// is admitted while fewer than the limit were in its slot and the ten before.
func TestDecisionsAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		_, updater := memory()
		f := newFleet(t, updater, limit, 0, 0, 0)
		var log []int64
		for i, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(t, "steps") {
			f.advance(step.after)
			k := f.now().UnixNano() / int64(slot)
			counted := 0
			for _, slot := range log {
				if slot >= k-10 {
					counted++
				}
			}
			v, err := f.sandboxes[step.callers%len(f.sandboxes)].Count(testContext, []rest.Count{api("ada")})
			if err != nil {
				t.Fatal(err)
			}
			if v.Allowed != (counted < limit) {
				t.Fatalf("request %d: %d of %d counted, allowed %t", i, counted, limit, v.Allowed)
			}
			if v.Allowed {
				log = append(log, k)
			}
		}
	})
}

type step struct {
	after   time.Duration
	callers int
}

// drawStep prefers times around slots and windows, where mistakes would be.
func drawStep(t *rapid.T) step {
	after := rapid.OneOf(
		rapid.Just(time.Duration(0)),
		rapid.Map(rapid.Int64Range(0, int64(2*slot)), func(n int64) time.Duration { return time.Duration(n) }),
		rapid.Map(rapid.Int64Range(-1000, 1000), func(n int64) time.Duration { return slot + time.Duration(n) }),
		rapid.Map(rapid.Int64Range(0, int64(2*window)), func(n int64) time.Duration { return time.Duration(n) }),
		rapid.SampledFrom([]time.Duration{window - 1, window, window + 1, window + slot - 1, window + slot, 12 * slot, 13 * slot, 3 * window}),
	).Draw(t, "after")
	return step{after, rapid.IntRange(1, 96).Draw(t, "callers")}
}

// crowd is requests of one user that ask at the same time, each from a sandbox of its own choice, for one of three routes
// or for two at once, some with a token that has ended.
type crowd struct {
	*fleet
	user     string
	db       store.DB // where sessions are ended, and the table of revoked tokens is asked
	random   *rand.Rand
	revoked  []revoke.Token
	asked    atomic.Int64   // how often the table was
	admitted [3][]time.Time // by route, when their sandboxes read their clocks
}

func newCrowd(f *fleet, db store.DB, seed uint64) *crowd {
	return &crowd{fleet: f, user: user, db: db, random: rand.New(rand.NewPCG(seed, 0))}
}

// user is who a crowd asks for, and a burst too.
const user = "ada"

func counts(token revoke.Token, routes ...int) []rest.Count {
	var all []rest.Count
	for _, r := range routes {
		all = append(all, rest.Count{Class: service.LimitAPI, Route: function.Routes[r].ID, Subject: revoke.Subject(token.User), Token: token})
	}
	return all
}

// revoke ends a session now.
func (c *crowd) revoke(t require.TestingT, session string) {
	session = c.user + session
	tables := revoke.Tables{Revoked: store.NewTable(c.db, "revoked-tokens"), Counters: store.NewTable(c.db, tableName)}
	require.NoError(t, store.Transact(testContext, c.db, "", tables.Session(c.user, session, c.now())...))
	c.revoked = append(c.revoked, revoke.Token{User: c.user, Session: session, IssuedAt: c.now()})
}

// ask sends n requests at once. An error is allowed where faults are.
func (c *crowd) ask(t require.TestingT, n int, faults bool) { c.askFor(t, n, faults, nil) }

// askFor is ask for given routes; nil: as it comes.
func (c *crowd) askFor(t require.TestingT, n int, faults bool, routes []int) {
	type outcome struct {
		routes []int
		ended  bool
		v      rest.Verdict
		err    error
	}
	outcomes := make([]outcome, n)
	now := c.now()
	table := store.NewTable(c.db, "revoked-tokens")
	var wg sync.WaitGroup
	for i := range n {
		o := &outcomes[i]
		o.routes = []int{c.random.IntN(3)}
		if c.random.IntN(4) == 0 {
			o.routes = []int{0, 1 + c.random.IntN(2)}
		}
		if routes != nil {
			o.routes = routes
		}
		token := revoke.Token{User: c.user, Session: c.user + "live", IssuedAt: c.now()}
		if n := len(c.revoked); n > 0 && c.now().Sub(c.revoked[n-1].IssuedAt) < revoke.Window-2*slot && c.random.IntN(4) == 0 {
			token, o.ended = c.revoked[n-1], true
		}
		limiter := c.sandboxes[c.random.IntN(len(c.sandboxes))]
		wg.Go(func() {
			if o.v, o.err = limiter.Count(testContext, counts(token, o.routes...)); o.err != nil || !o.v.Allowed || o.v.Token != rest.TokenUnknown {
				return
			}
			// As package rest does. What was counted stays counted.
			c.asked.Add(1)
			ended, err := revoke.Ended(testContext, table, token, now)
			if o.err = err; err == nil && !ended {
				limiter.Live(token, now)
			}
			o.v.Allowed = !ended
		})
	}
	wg.Wait()
	for _, o := range outcomes {
		if !faults {
			require.NoError(t, o.err)
			if o.v.Token != rest.TokenUnknown {
				require.Equal(t, o.ended, o.v.Token == rest.TokenEnded)
			}
		}
		if o.err != nil || !o.v.Allowed {
			continue
		}
		require.False(t, o.ended, "a token that was revoked before")
		for _, r := range o.routes {
			c.admitted[r] = append(c.admitted[r], c.now())
		}
	}
}

// most is the most that was admitted for one route in any window.
func (c *crowd) most(window time.Duration) int {
	worst := 0
	for _, times := range c.admitted {
		worst = max(worst, densest(times, window))
	}
	return worst
}

// densest is how many of the times are in the fullest window.
func densest(times []time.Time, window time.Duration) int {
	times = slices.SortedFunc(slices.Values(times), time.Time.Compare)
	worst, first := 0, 0
	for i, last := range times {
		for last.Sub(times[first]) >= window {
			first++
		}
		worst = max(worst, i-first+1)
	}
	return worst
}

// The limiter's promise: however many ask at once, from sandboxes whose clocks are up to half a slot off, over several
// routes in one item, while sessions are ended, no window of time less twice the skew admits more than the limit for any
// route. And it is not kept by admitting nobody: after silence the whole limit is there.
func TestNeverMoreThanTheLimitInAnyWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		skew := rapid.SampledFrom([]time.Duration{0, time.Millisecond, slot / 5, slot * 499 / 1000}).Draw(t, "skew")
		db, updater := memory()
		c := newCrowd(newFleet(t, updater, limit, -skew, skew, 0, skew/2, -skew), db, rapid.Uint64().Draw(t, "seed"))
		for i, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 15).Draw(t, "steps") {
			c.advance(step.after)
			if step.callers%5 == 0 {
				c.revoke(t, fmt.Sprint("s", i))
			}
			c.ask(t, 63+step.callers, false)
			if n := c.most(window - 2*skew); n > limit {
				t.Fatalf("%d of %d were admitted", n, limit)
			}
		}
		c.advance(window + slot + 2*skew)
		passed := c.burst(t, 64)
		if passed != limit {
			t.Fatalf("after silence %d of %d were admitted", passed, limit)
		}
	})
}

// Nor do failures admit more: calls that are not done, calls that are done and whose answer is lost, counts that a client
// then makes again, and refunds that never arrive. Only a sandbox whose calls fail one after another takes the store for
// down, and admits up to a quarter by itself.
func TestFailuresNeverAdmitMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		seed := rapid.Uint64().Draw(t, "seed")
		db, _ := memory()
		var ways []fault.Fault
		for _, kind := range fault.Kinds() {
			ways = append(ways, fault.Fault{Kind: kind})
		}
		broken := fault.NewDB(db, fault.Sometimes(seed, rapid.Float64Range(0, 0.3).Draw(t, "faults"), ways...))
		updater := again{store.NewTable(broken, tableName)}
		c := newCrowd(newFleet(t, updater, limit, 0, slot/10, -slot/10), db, seed)
		for i, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 15).Draw(t, "steps") {
			c.advance(step.after)
			if step.callers%5 == 0 {
				c.revoke(t, fmt.Sprint("s", i))
			}
			c.ask(t, 63+step.callers, true)
			local := min(int(c.local.Load()), len(c.sandboxes)*(limit/4))
			if n := c.most(window - slot/5); n > limit+local {
				t.Fatalf("%d of %d were admitted, and %d without the store", n, limit, local)
			}
		}
	})
}

// again is a client that tries a charge again whose answer was lost, as the SDK does unless it is told otherwise.
type again struct{ store.Updater }

func (a again) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	out, err := a.Updater.UpdateItem(ctx, in)
	if err != nil && in.ReturnValues != "" && !errors.Is(err, store.ErrConditionFailed) {
		return a.Updater.UpdateItem(ctx, in)
	}
	return out, err
}

// While its store comes and goes, a class admits at most the limit by the store and, by each sandbox for itself, the limit
// if it is open and a quarter of it if it is closed.
func TestTheFallbackIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		own, open := limit/4, []service.Limit(nil)
		if rapid.Bool().Draw(t, "open") {
			own, open = limit, []service.Limit{service.LimitAPI}
		}
		var down bool
		_, updater := memory()
		u := &table{Updater: updater, before: func(context.Context, *dynamodb.UpdateItemInput) error {
			if down {
				return errors.New("down")
			}
			return nil
		}}
		f := fleetOf(t, u, environ.Limit{Max: limit, Per: window}, open, 0, 0, 0)
		w := witness{limit: limit + 3*own, window: window}
		for _, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 30).Draw(t, "steps") {
			f.advance(step.after)
			down = step.callers%2 == 0
			w.admit(t, f.now(), f.burst(t, step.callers))
		}
	})
}

// witness holds admitted requests against the true time.
type witness struct {
	limit  int
	window time.Duration
	times  []time.Time
}

func (w *witness) admit(t require.TestingT, now time.Time, n int) {
	for range n {
		w.times = append(w.times, now)
	}
	in := 0
	for _, at := range w.times {
		if now.Sub(at) < w.window {
			in++
		}
	}
	require.LessOrEqual(t, in, w.limit, "admitted within %s", w.window)
}

// Who asks without pause gets ten elevenths of the limit, which is what a request's longer life costs.
func TestTheRateThatCanBeKeptUp(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	f := newFleet(t, updater, 20, 0, 0, 0)
	passed := 0
	for range 11 * 10 * 4 { // forty windows of eleven slots in quarters of a slot
		passed += f.burst(t, 8)
		f.advance(slot / 4)
	}
	require.Equal(t, 20*10, passed)
}

// What counting costs. Users of a mobile client come in sessions of quick requests; a runaway client does not stop.
func TestCallsPerRequest(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		sandboxes, users int
		gap              func(*rand.Rand) time.Duration // of one user
		most             float64
	}{
		"sessions_on_one":    {1, 40, session, 1.1},
		"sessions_on_fifty":  {50, 40, session, 1.1},
		"ten_times_too_much": {50, 4, func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(window) / 600) }, 0.7},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			u := &table{Updater: updater}
			f := newFleet(t, u, 60, make([]time.Duration, c.sandboxes)...)
			random := rand.New(rand.NewPCG(1, 2))
			next := make([]time.Duration, c.users)
			requests := 0
			for elapsed := time.Duration(0); elapsed < 20*window; {
				user := 0
				for i := range next {
					if next[i] < next[user] {
						user = i
					}
				}
				f.advance(next[user] - elapsed)
				elapsed = next[user]
				next[user] += c.gap(random)
				_, err := f.sandboxes[random.IntN(c.sandboxes)].Count(testContext, []rest.Count{api(fmt.Sprint("user", user))})
				require.NoError(t, err)
				requests++
			}
			perRequest := float64(u.calls.Load()) / float64(requests)
			t.Logf("%d requests, %.3f calls each", requests, perRequest)
			require.LessOrEqual(t, perRequest, c.most)
			require.Greater(t, requests, 500)
		})
	}
}

// session is the time to a user's next request: mostly at once, sometimes after a pause.
func session(r *rand.Rand) time.Duration {
	if r.Float64() < 0.95 {
		return time.Duration(r.ExpFloat64() * float64(window) / 40)
	}
	return time.Duration(r.ExpFloat64() * float64(window) * 3)
}
