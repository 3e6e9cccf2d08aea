package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/store"
)

func leases(t require.TestingT, table store.Updater, limit environ.Limit, o ratelimit.LeaseOptions) *ratelimit.Leases {
	if o.Random == nil {
		o.Random = func() float64 { return 0 }
	}
	o.Budget = time.Minute
	l, err := ratelimit.NewLeases(table, "ai", limit, o)
	require.NoError(t, err)
	return l
}

// spent is how many of n permits are to be had, one by one.
func spent(t require.TestingT, l *ratelimit.Leases, n int) (got int) {
	for range n {
		v, err := l.Take(testContext, 1)
		require.NoError(t, err)
		if v.Allowed {
			got++
		}
	}
	return got
}

func TestNewLeasesRefuses(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	cases := map[string]struct {
		limit   environ.Limit
		permits int
	}{
		"no_limit":              {environ.Limit{Max: 0, Per: time.Minute}, 0},
		"a_window_too_long":     {environ.Limit{Max: 100, Per: 24 * time.Hour}, 0},
		"a_part_of_a_second":    {environ.Limit{Max: 100, Per: 1500 * time.Millisecond}, 0},
		"too_many_permits":      {environ.Limit{Max: 1000, Per: time.Minute}, 65},
		"less_than_none":        {environ.Limit{Max: 1000, Per: time.Minute}, -1},
		"more_than_there_are":   {environ.Limit{Max: 20, Per: time.Minute}, 21},
		"more_than_a_day_whole": {environ.Limit{Max: 20, Per: 23 * time.Hour}, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ratelimit.NewLeases(updater, "ai", c.limit, ratelimit.LeaseOptions{Permits: c.permits})
			require.ErrorContains(t, err, `class "ai"`)
		})
	}
}

// A lease is one call for as many requests as it has permits, and refusals of a full limit cost nothing.
func TestALeaseIsOneCall(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater}
	c := newClock()
	l := leases(t, u, environ.Limit{Max: 100, Per: time.Minute}, ratelimit.LeaseOptions{Permits: 20, Now: c.now})
	require.Equal(t, 20, spent(t, l, 20))
	require.EqualValues(t, 1, u.calls.Load())
	require.Equal(t, 80, spent(t, l, 80))
	require.EqualValues(t, 5, u.calls.Load())
	require.Zero(t, spent(t, l, 1))
	require.EqualValues(t, 7, u.calls.Load(), "taken, and taken out again")
	require.Zero(t, spent(t, l, 50))
	require.EqualValues(t, 7, u.calls.Load())
	v, err := l.Take(testContext, 1)
	require.NoError(t, err)
	require.Greater(t, v.RetryAfter, time.Minute)
	require.LessOrEqual(t, v.RetryAfter, 73*time.Second, "permits count for a window and two tenths at most")
	another := leases(t, u, environ.Limit{Max: 100, Per: time.Minute}, ratelimit.LeaseOptions{Permits: 20, Now: c.now})
	require.Zero(t, spent(t, another, 9))
	require.EqualValues(t, 8, u.calls.Load(), "another sandbox learns it with one call")
	c.advance(v.RetryAfter)
	require.Equal(t, 100, spent(t, l, 200), "to come back then is not too early")
}

func TestLeases(t *testing.T) {
	t.Parallel()
	limit := environ.Limit{Max: 100, Per: time.Minute}
	type sandbox = *ratelimit.Leases
	cases := map[string]func(t *testing.T, c *clock, u *table, here, there sandbox){
		"what_is_left_is_given_back_on_close": func(t *testing.T, _ *clock, _ *table, here, there sandbox) {
			require.Equal(t, 5, spent(t, here, 5))
			require.NoError(t, here.Close(testContext))
			require.NoError(t, here.Close(testContext), "there is nothing left to give back")
			require.Equal(t, 95, spent(t, there, 200))
		},
		"what_is_not_given_back_is_the_error": func(t *testing.T, _ *clock, _ *table, here, there sandbox) {
			require.Equal(t, 5, spent(t, here, 5))
			require.Equal(t, 80, spent(t, there, 200), "15 of one lease are out of reach, which is less than a lease a sandbox")
		},
		"an_old_lease_is_given_back_with_the_next": func(t *testing.T, c *clock, _ *table, here, there sandbox) {
			require.Equal(t, 5, spent(t, here, 5))
			c.advance(6 * time.Second)
			require.Equal(t, 1, spent(t, here, 1))
			require.NoError(t, here.Close(testContext))
			require.Equal(t, 94, spent(t, there, 200))
		},
		"a_lease_is_not_used_for_longer_than_a_tenth_of_the_window": func(t *testing.T, c *clock, u *table, here, _ sandbox) {
			require.Equal(t, 1, spent(t, here, 1))
			c.advance(6*time.Second - 1)
			require.Equal(t, 1, spent(t, here, 1))
			require.EqualValues(t, 1, u.calls.Load())
			c.advance(1)
			require.Equal(t, 1, spent(t, here, 1))
			require.EqualValues(t, 2, u.calls.Load())
		},
		"nor_before_it_was_taken": func(t *testing.T, c *clock, u *table, here, _ sandbox) {
			require.Equal(t, 1, spent(t, here, 1))
			c.advance(-time.Second)
			require.Equal(t, 1, spent(t, here, 1))
			require.EqualValues(t, 2, u.calls.Load())
		},
		"more_at_once_than_a_lease": func(t *testing.T, _ *clock, u *table, here, _ sandbox) {
			v, err := here.Take(testContext, 70)
			require.NoError(t, err)
			require.True(t, v.Allowed)
			v, err = here.Take(testContext, 40)
			require.NoError(t, err)
			require.False(t, v.Allowed)
			require.Positive(t, v.RetryAfter)
			require.Equal(t, 30, spent(t, here, 50), "what could be had is held")
		},
		"more_than_there_can_be": func(t *testing.T, _ *clock, _ *table, here, there sandbox) {
			v, err := here.Take(testContext, 101)
			require.NoError(t, err)
			require.False(t, v.Allowed)
			require.NoError(t, here.Close(testContext))
			require.Equal(t, 100, spent(t, there, 200))
		},
		"no_cost": func(t *testing.T, _ *clock, u *table, here, _ sandbox) {
			_, err := here.Take(testContext, 0)
			require.ErrorContains(t, err, "below 1")
			require.Zero(t, u.calls.Load())
		},
		"without_the_store_what_is_left_is_spent": func(t *testing.T, _ *clock, u *table, here, _ sandbox) {
			require.Equal(t, 5, spent(t, here, 5))
			u.before = func(context.Context, *dynamodb.UpdateItemInput) error { return errors.New("down") }
			require.Equal(t, 15, spent(t, here, 15))
			v, err := here.Take(testContext, 1)
			require.ErrorContains(t, err, "down")
			require.False(t, v.Allowed)
			require.NoError(t, here.Close(testContext), "there is nothing left")
		},
		"a_lost_answer_wastes_a_lease": func(t *testing.T, _ *clock, u *table, here, there sandbox) {
			u.after = func(context.Context, *dynamodb.UpdateItemInput) error { return errors.New("reset") }
			_, err := here.Take(testContext, 1)
			require.ErrorContains(t, err, "reset")
			u.after = nil
			require.Equal(t, 80, spent(t, there, 200))
		},
		"a_lost_answer_gives_back_once": func(t *testing.T, _ *clock, u *table, here, there sandbox) {
			require.Equal(t, 5, spent(t, here, 5))
			u.after = func(context.Context, *dynamodb.UpdateItemInput) error { return errors.New("reset") }
			require.ErrorContains(t, here.Close(testContext), "reset")
			u.after = nil
			require.NoError(t, here.Close(testContext))
			require.Equal(t, 95, spent(t, there, 200))
		},
		"who_waits_leaves_with_the_own_context": func(t *testing.T, _ *clock, u *table, here, _ sandbox) {
			asked, answer := make(chan struct{}), make(chan struct{})
			u.before = func(context.Context, *dynamodb.UpdateItemInput) error { close(asked); <-answer; return nil }
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = here.Take(testContext, 1) })
			<-asked
			ended, cancel := context.WithCancel(testContext)
			cancel()
			_, err := here.Take(ended, 1)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, here.Close(ended), context.Canceled)
			close(answer)
			wg.Wait()
		},
		"an_answer_without_what_was_taken": func(t *testing.T, c *clock, _ *table, _, _ sandbox) {
			l := leases(t, answering(store.Item{"pk": store.S("RL#all")}), limit, ratelimit.LeaseOptions{Now: c.now})
			_, err := l.Take(testContext, 1)
			require.ErrorContains(t, err, "without what was added")
		},
	}
	for name, check := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			u, c := &table{Updater: updater}, newClock()
			o := ratelimit.LeaseOptions{Permits: 20, Now: c.now}
			check(t, c, u, leases(t, u, limit, o), leases(t, u, limit, o))
		})
	}
}

// Everybody shares a counter of a class that has leases with nobody: not with a subject, nor with another window.
func TestLeasesOfAnotherWindowAreApart(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	c := newClock()
	o := ratelimit.LeaseOptions{Now: c.now}
	require.Equal(t, 40, spent(t, leases(t, updater, environ.Limit{Max: 40, Per: time.Minute}, o), 50))
	require.Equal(t, 40, spent(t, leases(t, updater, environ.Limit{Max: 40, Per: time.Hour}, o), 50))
}

// The promise of leases: whatever sandboxes take and spend at once, however their clocks differ and whatever calls fail or
// lose their answers, no window less twice the skew spends more than the limit.
func TestLeasesNeverSpendMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 200).Draw(t, "limit")
		permits := rapid.IntRange(1, min(limit, 64)).Draw(t, "permits")
		skew := rapid.SampledFrom([]time.Duration{0, time.Millisecond, slot / 5, slot * 499 / 1000}).Draw(t, "skew")
		seed := rapid.Uint64().Draw(t, "seed")
		db, _ := memory()
		var ways []fault.Fault
		for _, kind := range fault.Kinds() {
			ways = append(ways, fault.Fault{Kind: kind})
		}
		broken := fault.NewDB(db, fault.Sometimes(seed, rapid.SampledFrom([]float64{0, 0, 0.3}).Draw(t, "faults"), ways...))
		c, random := newClock(), rand.New(rand.NewPCG(seed, 1))
		made := func(i int) *ratelimit.Leases {
			return leases(t, store.NewTable(broken, tableName), environ.Limit{Max: limit, Per: window},
				ratelimit.LeaseOptions{Permits: permits, Now: c.skewed([]time.Duration{-skew, 0, skew}[i%3])})
		}
		sandboxes := []*ratelimit.Leases{made(0), made(1), made(2), made(3)}
		var times []time.Time
		for _, step := range rapid.SliceOfN(rapid.Custom(drawStep), 1, 15).Draw(t, "steps") {
			c.advance(step.after)
			if step.callers%7 == 0 { // one ends, and another starts in its place
				_ = sandboxes[0].Close(testContext)
				sandboxes[0] = made(0)
			}
			got := make([]int, 63+step.callers)
			var wg sync.WaitGroup
			for i := range got {
				l, cost := sandboxes[random.IntN(len(sandboxes))], 1+random.IntN(3)
				wg.Go(func() {
					if v, err := l.Take(testContext, cost); err == nil && v.Allowed {
						got[i] = cost
					}
				})
			}
			wg.Wait()
			for _, cost := range got {
				for range cost {
					times = append(times, c.now())
				}
			}
			if n := densest(times, window-2*skew); n > limit {
				t.Fatalf("%d of %d were spent", n, limit)
			}
		}
	})
}

// What stays unused is less than a lease for each sandbox.
func TestLeasesWasteLessThanOneForEachSandbox(t *testing.T) {
	t.Parallel()
	for _, permits := range []int{16, 32, 64} {
		t.Run(fmt.Sprint(permits), func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			c := newClock()
			const limit, sandboxes = 1000, 8
			got := 0
			for range sandboxes {
				l := leases(t, updater, environ.Limit{Max: limit, Per: time.Minute}, ratelimit.LeaseOptions{Permits: permits, Now: c.now})
				got += spent(t, l, permits+1) // the next lease is hardly begun
			}
			last := leases(t, updater, environ.Limit{Max: limit, Per: time.Minute}, ratelimit.LeaseOptions{Permits: permits, Now: c.now})
			got += spent(t, last, 2*limit)
			require.Greater(t, got, limit-permits*sandboxes)
			require.LessOrEqual(t, got, limit)
		})
	}
}
