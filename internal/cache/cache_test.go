package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/cache"
	"github.com/expenzez/aws-backend/internal/fault"
)

var start = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// world is a cache of numbers, the clock it reads and the loads it made.
type world struct {
	*cache.Cache[string, int]
	clock  *fault.Clock
	mu     sync.Mutex
	loads  []string
	answer func(key string) (int, error)
	hits   []bool
}

func newWorld(o cache.Options[string, int]) *world {
	w := &world{clock: fault.NewClock(start), answer: func(string) (int, error) { return 1, nil }}
	o.Now = w.clock.Now
	if o.Rand == nil {
		o.Rand = func() float64 { return 0.5 } // neither shorter nor longer
	}
	o.Observe = func(hit bool) { w.hits = append(w.hits, hit) }
	w.Cache = cache.New(o)
	return w
}

func (w *world) load(_ context.Context, key string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads = append(w.loads, key)
	return w.answer(key)
}

func (w *world) get(t testing.TB, key string) (int, error) {
	t.Helper()
	return w.GetOrLoad(t.Context(), key, w.load)
}

var errDown = errors.New("the source is down")

func TestAges(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		options cache.Options[string, int]
		age     time.Duration
		down    bool // the source fails at that age
		loads   int
		want    int // 1 is the value loaded first, 2 the second; 0 an error
	}{
		"fresh":                      {age: time.Minute - 1, loads: 1, want: 1},
		"fresh_and_down":             {age: time.Minute - 1, down: true, loads: 1, want: 1},
		"soft":                       {age: time.Minute, loads: 2, want: 2},
		"soft_and_down":              {age: time.Minute, down: true, loads: 2, want: 1},
		"before_hard_and_down":       {age: 72*time.Second - 1, down: true, loads: 2, want: 1},
		"hard_and_down":              {age: 72 * time.Second, down: true, loads: 2, want: 0},
		"hard":                       {age: 72 * time.Second, loads: 2, want: 2},
		"frozen_for_a_day":           {age: 24 * time.Hour, down: true, loads: 2, want: 0},
		"soft_is_set":                {options: cache.Options[string, int]{Soft: time.Second}, age: time.Second, loads: 2, want: 2},
		"hard_is_set":                {options: cache.Options[string, int]{Hard: time.Hour}, age: time.Hour - 1, down: true, loads: 2, want: 1},
		"hard_is_set_and_over":       {options: cache.Options[string, int]{Hard: time.Hour}, age: time.Hour, down: true, loads: 2, want: 0},
		"hard_is_soft_and_down":      {options: cache.Options[string, int]{Hard: time.Minute}, age: time.Minute, down: true, loads: 2, want: 0},
		"hard_is_below_soft":         {options: cache.Options[string, int]{Hard: time.Second}, age: time.Second, down: true, loads: 2, want: 0},
		"a_clock_that_went_back":     {age: -1, loads: 2, want: 2},
		"a_clock_far_back_and_down":  {age: -24 * time.Hour, down: true, loads: 2, want: 0},
		"a_clock_that_stands_still":  {age: 0, down: true, loads: 1, want: 1},
		"shortened_by_a_fifth":       {options: cache.Options[string, int]{Rand: func() float64 { return 0 }}, age: 48 * time.Second, loads: 2, want: 2},
		"shortened_by_no_more":       {options: cache.Options[string, int]{Rand: func() float64 { return 0 }}, age: 48*time.Second - 1, loads: 1, want: 1},
		"lengthened_by_a_fifth":      {options: cache.Options[string, int]{Rand: func() float64 { return 0.999999 }, Hard: time.Hour}, age: 71 * time.Second, loads: 1, want: 1},
		"lengthened_by_no_more":      {options: cache.Options[string, int]{Rand: func() float64 { return 0.999999 }, Hard: time.Hour}, age: 72 * time.Second, loads: 2, want: 2},
		"lengthened_never_past_hard": {options: cache.Options[string, int]{Rand: func() float64 { return 0.999999 }, Hard: time.Minute}, age: time.Minute, down: true, loads: 2, want: 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(c.options)
			_, err := w.get(t, "k")
			require.NoError(t, err)
			w.clock.Jump(c.age)
			w.answer = func(string) (int, error) { return 2, nil }
			if c.down {
				w.answer = func(string) (int, error) { return 2, errDown }
			}
			got, err := w.get(t, "k")
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == 0, errors.Is(err, errDown))
			require.Len(t, w.loads, c.loads)
			require.Equal(t, []bool{false, c.loads == 1}, w.hits)
		})
	}
}

// A failed renewal is not tried again at once, and a source that is back is asked again.
func TestRenewalIsRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(cache.Options[string, int]{Hard: time.Hour})
	_, err := w.get(t, "k")
	require.NoError(t, err)
	w.clock.Jump(time.Minute)
	w.answer = func(string) (int, error) { return 0, errDown }
	for range 3 {
		got, err := w.get(t, "k")
		require.NoError(t, err)
		require.Equal(t, 1, got)
	}
	require.Len(t, w.loads, 2, "the failure is waited out")
	w.clock.Jump(5 * time.Second)
	w.answer = func(string) (int, error) { return 2, nil }
	got, err := w.get(t, "k")
	require.NoError(t, err)
	require.Equal(t, 2, got)
}

func TestErrorsAreNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(cache.Options[string, int]{Negative: time.Hour})
	w.answer = func(string) (int, error) { return 7, errDown }
	for range 2 {
		got, err := w.get(t, "k")
		require.ErrorIs(t, err, errDown)
		require.Zero(t, got)
	}
	require.Len(t, w.loads, 2)
	require.Zero(t, w.Len())
}

func TestAbsence(t *testing.T) {
	t.Parallel()
	absent := fmt.Errorf("no such user: %w", cache.ErrAbsent)
	cases := map[string]struct {
		negative, age time.Duration
		draw          float64
		loads         int
	}{
		"not_remembered":   {0, 0, 0.5, 2},
		"remembered":       {10 * time.Second, 10*time.Second - 1, 0.5, 1},
		"over":             {10 * time.Second, 10 * time.Second, 0.5, 2},
		"shortened":        {10 * time.Second, 8 * time.Second, 0, 2},
		"shortened_enough": {10 * time.Second, 8*time.Second - 1, 0, 1},
		"lengthened":       {10 * time.Second, 11 * time.Second, 0.999, 1},
		"clock_went_back":  {10 * time.Second, -1, 0.5, 2},
		"frozen_for_a_day": {10 * time.Second, 24 * time.Hour, 0.5, 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(cache.Options[string, int]{Negative: c.negative, Rand: func() float64 { return c.draw }})
			w.answer = func(string) (int, error) { return 7, absent }
			for range 2 {
				got, err := w.get(t, "k")
				require.ErrorIs(t, err, absent)
				require.Zero(t, got)
				w.clock.Jump(c.age)
			}
			require.Len(t, w.loads, c.loads)
			_, ok := w.Get("k")
			require.False(t, ok, "an absence is no value")
		})
	}
}

// What was there and is no more replaces the old value, which does not stand in.
func TestAbsenceIsAnAnswer(t *testing.T) {
	t.Parallel()
	for _, negative := range []time.Duration{0, time.Hour} {
		w := newWorld(cache.Options[string, int]{Hard: time.Hour, Negative: negative})
		_, err := w.get(t, "k")
		require.NoError(t, err)
		w.clock.Jump(time.Minute)
		w.answer = func(string) (int, error) { return 0, cache.ErrAbsent }
		_, err = w.get(t, "k")
		require.ErrorIs(t, err, cache.ErrAbsent)
		w.answer = func(string) (int, error) { return 0, errDown }
		_, err = w.get(t, "k")
		require.Error(t, err)
		require.Equal(t, negative > 0, errors.Is(err, cache.ErrAbsent))
	}
}

func TestLeastRecentlyUsedLeaves(t *testing.T) {
	t.Parallel()
	size := func(key string, value int) int { return value }
	cases := map[string]struct {
		options cache.Options[string, int]
		fill    func(w *world)
		want    []string
	}{
		"entries":              {cache.Options[string, int]{Entries: 2}, func(w *world) { w.Put("a", 1); w.Put("b", 1); w.Put("c", 1) }, []string{"b", "c"}},
		"entries_used":         {cache.Options[string, int]{Entries: 2}, func(w *world) { w.Put("a", 1); w.Put("b", 1); w.Get("a"); w.Put("c", 1) }, []string{"a", "c"}},
		"entries_replaced":     {cache.Options[string, int]{Entries: 2}, func(w *world) { w.Put("a", 1); w.Put("b", 1); w.Put("a", 2); w.Put("c", 1) }, []string{"a", "c"}},
		"one_entry":            {cache.Options[string, int]{Entries: 1}, func(w *world) { w.Put("a", 1); w.Put("b", 1) }, []string{"b"}},
		"bytes":                {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 5); w.Put("b", 5); w.Put("c", 1) }, []string{"b", "c"}},
		"bytes_of_one_for_all": {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 1); w.Put("b", 1); w.Put("c", 10) }, []string{"c"}},
		"too_large":            {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 5); w.Put("b", 11) }, []string{"a"}},
		"grows_too_large":      {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 5); w.Put("b", 1); w.Put("a", 11) }, []string{"b"}},
		"shrinks":              {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 10); w.Put("a", 1); w.Put("b", 9) }, []string{"a", "b"}},
		"freed":                {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 10); w.Invalidate("a"); w.Put("b", 10) }, []string{"b"}},
		"expired":              {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 9); w.clock.Jump(time.Hour); w.Get("a"); w.Put("b", 10) }, []string{"b"}},
		"forgotten":            {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", 9); w.clock.Jump(-1); w.Put("b", 10) }, []string{"b"}},
		"negative_size":        {cache.Options[string, int]{Bytes: 10, Size: size}, func(w *world) { w.Put("a", -9); w.Put("b", 10); w.Put("c", 9) }, []string{"c"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(c.options)
			c.fill(w)
			var got []string
			for _, key := range []string{"a", "b", "c"} {
				if _, ok := w.Get(key); ok {
					got = append(got, key)
				}
			}
			require.Equal(t, c.want, got)
			require.Equal(t, len(got), w.Len())
		})
	}
}

func TestGetDoesNotRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(cache.Options[string, int]{Hard: time.Hour})
	w.Put("k", 1)
	w.clock.Jump(time.Minute)
	_, ok := w.Get("k")
	require.False(t, ok, "an old value is for those who can renew it")
	require.Equal(t, 1, w.Len())
	require.Empty(t, w.loads)
}

func TestInvalidate(t *testing.T) {
	t.Parallel()
	w := newWorld(cache.Options[string, int]{Hard: time.Hour})
	w.Invalidate("k")
	w.Put("k", 1)
	w.Invalidate("k")
	w.answer = func(string) (int, error) { return 0, errDown }
	_, err := w.get(t, "k")
	require.ErrorIs(t, err, errDown, "nothing stands in")
}

// ---- concurrency: each test is a bubble in which time passes only when all goroutines wait

// slow is a load that takes a second, if its context lets it.
func slow(value int) func(context.Context, string) (int, error) {
	return func(ctx context.Context, _ string) (int, error) {
		select {
		case <-time.After(time.Second):
			return value, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func counted(n *int, load func(context.Context, string) (int, error)) func(context.Context, string) (int, error) {
	return func(ctx context.Context, key string) (int, error) {
		*n++
		return load(ctx, key)
	}
}

func TestOneLoadForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, loads := cache.New(cache.Options[string, int]{}), 0
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				got, err := c.GetOrLoad(t.Context(), "k", counted(&loads, slow(1)))
				require.NoError(t, err)
				require.Equal(t, 1, got)
			})
		}
		other := 0
		all.Go(func() {
			_, err := c.GetOrLoad(t.Context(), "other", counted(&other, slow(2)))
			require.NoError(t, err)
		})
		begun := time.Now()
		all.Wait()
		require.Equal(t, time.Second, time.Since(begun), "nobody waits for another key")
		require.Equal(t, []int{1, 1}, []int{loads, other})
	})
}

func TestWhoBeganMayGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, loads := cache.New(cache.Options[string, int]{}), 0
		first, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			_, err := c.GetOrLoad(first, "k", counted(&loads, slow(1)))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		for range 3 {
			all.Go(func() {
				got, err := c.GetOrLoad(t.Context(), "k", counted(&loads, slow(1)))
				require.NoError(t, err)
				require.Equal(t, 1, got)
			})
		}
		all.Wait()
		require.Equal(t, 1, loads)
	})
}

func TestTheLastWhoGivesUpEndsTheLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(cache.Options[string, int]{})
		ended := make(chan error, 1)
		load := func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return 5, nil // an answer after all, that nobody waits for
		}
		var all sync.WaitGroup
		for _, patience := range []time.Duration{time.Millisecond, 2 * time.Millisecond} {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := c.GetOrLoad(ctx, "k", load)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		begun := time.Now()
		all.Wait()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Equal(t, 2*time.Millisecond, time.Since(begun))
		synctest.Wait()
		got, err := c.GetOrLoad(t.Context(), "k", slow(1))
		require.NoError(t, err)
		require.Equal(t, 1, got, "the next caller begins anew")
	})
}

func TestBudgetEndsALoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(cache.Options[string, int]{Budget: 10 * time.Millisecond})
		begun := time.Now()
		_, err := c.GetOrLoad(t.Context(), "k", slow(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10*time.Millisecond, time.Since(begun))
	})
}

// A renewal that hangs costs the caller who makes it no more than its own time, and the others nothing.
func TestOldValuesStandInWhileRenewing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, loads := cache.New(cache.Options[string, int]{Hard: time.Hour}), 0
		c.Put("k", 1)
		time.Sleep(2 * time.Minute)
		var all sync.WaitGroup
		all.Go(func() {
			got, err := c.GetOrLoad(t.Context(), "k", counted(&loads, slow(2)))
			require.NoError(t, err)
			require.Equal(t, 2, got)
		})
		synctest.Wait()
		begun := time.Now()
		got, err := c.GetOrLoad(t.Context(), "k", counted(&loads, slow(2)))
		require.NoError(t, err)
		require.Equal(t, 1, got)
		require.Zero(t, time.Since(begun))
		all.Wait()
		require.Equal(t, 1, loads)

		time.Sleep(2 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		got, err = c.GetOrLoad(ctx, "k", slow(3))
		require.NoError(t, err, "an old value is better than none")
		require.Equal(t, 2, got)
	})
}

func TestPanicReachesAll(t *testing.T) {
	t.Parallel()
	cases := map[string]func(context.Context, string) (int, error){
		"panic": func(context.Context, string) (int, error) { time.Sleep(time.Second); panic("boom") },
		"error": func(context.Context, string) (int, error) { time.Sleep(time.Second); panic(errDown) },
		"nil":   func(context.Context, string) (int, error) { time.Sleep(time.Second); panic(nil) },
	}
	for name, load := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := cache.New(cache.Options[string, int]{})
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						_, err := c.GetOrLoad(t.Context(), "k", load)
						var p *cache.PanicError
						require.ErrorAs(t, err, &p)
						require.Contains(t, string(p.Stack), "TestPanicReachesAll")
					})
				}
				all.Wait()
				got, err := c.GetOrLoad(t.Context(), "k", slow(1))
				require.NoError(t, err)
				require.Equal(t, 1, got)
			})
		})
	}
}

func TestPanicIsAFailureLikeAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(cache.Options[string, int]{Hard: time.Hour, Size: func(_ string, v int) int {
		if v == 2 {
			panic("no size")
		}
		return 1
	}})
	_, err := w.get(t, "k")
	require.NoError(t, err)
	w.clock.Jump(time.Minute)
	w.answer = func(string) (int, error) { return 2, nil }
	got, err := w.get(t, "k")
	require.NoError(t, err)
	require.Equal(t, 1, got, "the old value stands in")
	w.Invalidate("k")
	_, err = w.get(t, "k")
	require.ErrorContains(t, err, "no size")
}

func TestGoexitIsAFailure(t *testing.T) {
	t.Parallel()
	c := cache.New(cache.Options[string, int]{})
	_, err := c.GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) { runtime.Goexit(); return 1, nil })
	require.ErrorContains(t, err, "ended")
	require.Zero(t, c.Len())
}

// What changes a key while it is being loaded wins over the load, whose answer may be from before.
func TestChangesDuringALoad(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*cache.Cache[string, int], *fault.Clock)
		kept   int // afterwards; 0: nothing
	}{
		"nothing":           {func(*cache.Cache[string, int], *fault.Clock) {}, 1},
		"invalidate":        {func(c *cache.Cache[string, int], _ *fault.Clock) { c.Invalidate("k") }, 0},
		"invalidate_other":  {func(c *cache.Cache[string, int], _ *fault.Clock) { c.Invalidate("x") }, 1},
		"put":               {func(c *cache.Cache[string, int], _ *fault.Clock) { c.Put("k", 9) }, 9},
		"clock_back":        {func(_ *cache.Cache[string, int], clock *fault.Clock) { clock.Jump(-time.Second) }, 0},
		"frozen_short":      {func(_ *cache.Cache[string, int], clock *fault.Clock) { clock.Jump(59 * time.Second) }, 1},
		"frozen_for_longer": {func(_ *cache.Cache[string, int], clock *fault.Clock) { clock.Jump(time.Hour) }, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clock := fault.NewClock(start)
				o := cache.Options[string, int]{Now: clock.Now, Rand: func() float64 { return 0.5 }}
				m := cache.New(o)
				go func() {
					got, err := m.GetOrLoad(t.Context(), "k", slow(1))
					require.NoError(t, err)
					require.Equal(t, 1, got, "who waits is given what was loaded")
				}()
				synctest.Wait()
				c.change(m, clock)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				got, ok := m.Get("k")
				require.Equal(t, c.kept != 0, ok)
				require.Equal(t, c.kept, got)
			})
		})
	}
}

// Who comes after an Invalidate is not given what was asked before it.
func TestInvalidateParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New(cache.Options[string, int]{})
		var all sync.WaitGroup
		all.Go(func() {
			got, err := c.GetOrLoad(t.Context(), "k", slow(1))
			require.NoError(t, err)
			require.Equal(t, 1, got)
		})
		synctest.Wait()
		time.Sleep(time.Millisecond)
		c.Invalidate("k")
		got, err := c.GetOrLoad(t.Context(), "k", slow(2))
		require.NoError(t, err)
		require.Equal(t, 2, got)
		all.Wait()
		got, ok := c.Get("k")
		require.True(t, ok)
		require.Equal(t, 2, got)
	})
}

// Who gives up on a load that was parted from its key leaves the next one alone.
func TestGivingUpIsForOneLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, loads := cache.New(cache.Options[string, int]{}), 0
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			_, err := c.GetOrLoad(ctx, "k", slow(1))
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		c.Invalidate("k")
		for range 2 {
			all.Go(func() {
				got, err := c.GetOrLoad(t.Context(), "k", counted(&loads, slow(2)))
				require.NoError(t, err)
				require.Equal(t, 2, got)
			})
			time.Sleep(3 * time.Millisecond) // the first gives up
		}
		all.Wait()
		require.Equal(t, 1, loads)
	})
}

func TestLoadHasTheValuesOfTheContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "trace"))
	cancel()
	c := cache.New(cache.Options[string, int]{})
	seen := make(chan any, 1)
	_, err := c.GetOrLoad(ctx, "k", func(ctx context.Context, _ string) (int, error) {
		seen <- ctx.Value(key{})
		return 1, nil
	})
	require.Equal(t, "trace", <-seen)
	if err != nil { // the context was over: either may be noticed first
		require.ErrorIs(t, err, context.Canceled)
	}
	c.Put("k", 2)
	got, err := c.GetOrLoad(ctx, "k", nil)
	require.NoError(t, err, "memory answers whoever asks")
	require.Equal(t, 2, got)
}

// Everything at once, for the race detector. A value always belongs to its key.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	clock := fault.NewClock(start)
	c := cache.New(cache.Options[int, int]{Now: clock.Now, Entries: 8, Bytes: 64, Size: func(k, _ int) int { return k }, Negative: time.Second,
		Observe: func(bool) {}})
	load := func(_ context.Context, key int) (int, error) {
		switch key % 5 {
		case 3:
			return 0, cache.ErrAbsent
		case 4:
			panic("no")
		}
		return 100 * key, nil
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 500 {
				key := (g*31 + i*7) % 16
				switch i % 8 {
				case 0:
					c.Put(key, 100*key)
				case 1:
					c.Invalidate(key)
				case 2:
					clock.Jump(time.Duration(i%90-10) * time.Second)
				default:
					ctx, cancel := context.WithCancel(t.Context())
					if i%16 == 3 {
						cancel()
					}
					if got, err := c.GetOrLoad(ctx, key, load); err == nil && got != 100*key {
						t.Errorf("%d has the value %d", key, got)
					}
					cancel()
				}
				if n := c.Len(); n > 8 {
					t.Errorf("there are %d entries", n)
				}
			}
		})
	}
	all.Wait()
}

func TestHitAllocatesNothing(t *testing.T) {
	c := cache.New(cache.Options[string, int]{Observe: func(bool) {}})
	ctx := t.Context()
	c.Put("a-user-of-ours", 1)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = c.GetOrLoad(ctx, "a-user-of-ours", one) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = c.Get("a-user-of-ours") }))
}

func one(context.Context, string) (int, error) { return 1, nil }

func BenchmarkHit(b *testing.B) {
	c := cache.New(cache.Options[string, int]{})
	keys := make([]string, 512)
	for i := range keys {
		keys[i] = fmt.Sprintf("user-%08d", i)
		c.Put(keys[i], i)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.GetOrLoad(ctx, keys[i%len(keys)], one); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMiss(b *testing.B) {
	c := cache.New(cache.Options[string, int]{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		c.Invalidate("k")
		if _, err := c.GetOrLoad(ctx, "k", one); err != nil {
			b.Fatal(err)
		}
	}
}
