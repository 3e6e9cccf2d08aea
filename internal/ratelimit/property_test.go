package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

var fraction types.AttributeValue = &types.AttributeValueMemberN{Value: "0.5"}

func slotSum(t testing.TB, item store.Item) (sum int64) {
	t.Helper()
	r := store.Read(item)
	for name := range item {
		if strings.HasPrefix(name, "s") {
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
}

// window is the window of fleets; its slots are one second.
const window = 10 * time.Second

func newFleet(t require.TestingT, updater store.Updater, limit int, skews ...time.Duration) *fleet {
	return fleetOf(t, updater, limit, nil, skews...)
}

func fleetOf(t require.TestingT, updater store.Updater, limit int, open []service.Limit, skews ...time.Duration) *fleet {
	f := &fleet{clock: newClock()}
	for _, skew := range skews {
		l, err := ratelimit.New(updater, map[service.Limit]environ.Limit{service.LimitAPI: {Max: limit, Per: window}},
			ratelimit.Options{Now: f.skewed(skew), Budget: time.Minute, Open: open})
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
		require.NoError(t, errs[i])
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
			k := f.now().UnixNano() / int64(window/10)
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

// Whatever the times between requests, a counter holds no slot that is out of use: two sandboxes whose clocks are a slot
// apart leave at most the eleven that count and one on each side.
func TestTheItemHoldsOnlySlotsInUse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		db, updater := memory()
		f := newFleet(t, updater, 5, 499*time.Millisecond, -499*time.Millisecond)
		for _, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(t, "steps") {
			f.advance(step.after)
			if _, err := f.sandboxes[step.callers%2].Count(testContext, []rest.Count{api("ada")}); err != nil {
				t.Fatal(err)
			}
			item := db.Items(tableName)[0]
			last := store.Read(item).N("lk")
			for name := range item {
				slot, err := strconv.ParseInt(strings.TrimPrefix(name, "s"), 10, 64)
				if err == nil && (slot < last-11 || slot > last+1) {
					t.Fatalf("slot %d is %d from the last", slot, slot-last)
				}
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
		rapid.Map(rapid.Int64Range(0, int64(2*time.Second)), func(n int64) time.Duration { return time.Duration(n) }),
		rapid.Map(rapid.Int64Range(-1000, 1000), func(n int64) time.Duration { return time.Second + time.Duration(n) }),
		rapid.Map(rapid.Int64Range(0, int64(2*window)), func(n int64) time.Duration { return time.Duration(n) }),
		rapid.SampledFrom([]time.Duration{window - 1, window, window + 1, window + time.Second - 1, window + time.Second, 12 * time.Second, 13 * time.Second, time.Hour}),
	).Draw(t, "after")
	return step{after, rapid.IntRange(1, 64).Draw(t, "callers")}
}

// The limiter's promise: however many ask at once, from sandboxes whose clocks are up to half a slot off, no window of
// time less twice the skew admits more than the limit. And it is not kept by admitting nobody: after silence the whole
// limit is there.
func TestNeverMoreThanTheLimitInAnyWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		skew := rapid.SampledFrom([]time.Duration{0, time.Millisecond, 200 * time.Millisecond, 499 * time.Millisecond}).Draw(t, "skew")
		_, updater := memory()
		f := newFleet(t, updater, limit, -skew, skew, 0, skew/2, -skew)
		w := witness{limit: limit, window: window - 2*skew}
		for _, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 25).Draw(t, "steps") {
			f.advance(step.after)
			w.admit(t, f.now(), f.burst(t, step.callers))
		}
		f.advance(window + time.Second + 2*skew)
		passed := f.burst(t, 64)
		if passed != limit {
			t.Fatalf("after silence %d of %d were admitted", passed, limit)
		}
	})
}

// Nor do failures admit more: calls that are not done, and calls that are done and whose answer is lost, of counts and
// of refunds alike.
func TestFailuresNeverAdmitMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		faults := rapid.Float64Range(0, 0.5).Draw(t, "faults")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		broken := func(context.Context, *dynamodb.UpdateItemInput) error {
			if random.Float64() < faults/2 {
				return errors.New("broken")
			}
			return nil
		}
		_, updater := memory()
		f := newFleet(t, &table{Updater: updater, before: broken, after: broken}, limit, 0, 100*time.Millisecond, -100*time.Millisecond)
		w := witness{limit: limit, window: window - 200*time.Millisecond}
		for _, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 30).Draw(t, "steps") {
			f.advance(step.after)
			for i := range step.callers {
				v, err := f.sandboxes[i%len(f.sandboxes)].Count(testContext, []rest.Count{api("ada")})
				if err == nil && v.Allowed {
					w.admit(t, f.now(), 1)
				}
			}
		}
	})
}

// A class that is open admits, while its store comes and goes, at most the limit by the store and the limit by each
// sandbox for itself.
func TestTheFallbackIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		var down bool
		_, updater := memory()
		u := &table{Updater: updater, before: func(context.Context, *dynamodb.UpdateItemInput) error {
			if down {
				return errors.New("down")
			}
			return nil
		}}
		f := fleetOf(t, u, limit, []service.Limit{service.LimitAPI}, 0, 0, 0)
		w := witness{limit: 4 * limit, window: window}
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
		f.advance(250 * time.Millisecond)
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
