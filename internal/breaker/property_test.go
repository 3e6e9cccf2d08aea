package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/breaker"
)

// clocks is a time as both clocks tell it, since the start.
type clocks struct{ run, wall time.Duration }

func (c clocks) after(other clocks) time.Duration { return max(c.run-other.run, c.wall-other.wall) }

type ended struct {
	second       int // since the windows began
	failed, slow bool
}

type pending struct {
	done  func(error)
	began clocks
	stale bool
}

// model is the package comment as a program that keeps every call.
type model struct {
	state   breaker.State
	since   clocks
	length  time.Duration
	opened  int
	windows clocks
	calls   []ended
	row     int
	rowLast clocks
	probe   *pending
	pending []*pending
}

func (m *model) become(s breaker.State, now clocks) {
	if s == breaker.Open {
		if m.state == breaker.Closed && now.after(m.since) >= 2*time.Minute {
			m.opened = 0
		}
		m.length = []time.Duration{15 * time.Second, 30 * time.Second, 60 * time.Second, 100 * time.Second}[min(m.opened, 3)]
		m.opened++
	}
	if s == breaker.Closed {
		m.calls, m.windows, m.row = nil, now, 0
	}
	m.state, m.since, m.probe = s, now, nil
	m.allStale()
}

func (m *model) allStale() {
	for _, p := range m.pending {
		p.stale = true
	}
}

// wait is for how long a call is rejected now.
func (m *model) wait(now clocks) time.Duration {
	switch {
	case m.state == breaker.Open:
		return m.length - now.after(m.since)
	case m.state == breaker.HalfOpen && m.probe != nil:
		return timeout + 2*time.Second - now.after(m.probe.began)
	default:
		return 0
	}
}

func (m *model) begin(now clocks, done func(error)) {
	if m.state == breaker.Open {
		m.become(breaker.HalfOpen, now)
		m.calls = nil
	}
	p := &pending{done: done, began: now}
	if m.state == breaker.HalfOpen {
		m.allStale()
		m.probe = p
	}
	m.pending = append(m.pending, p)
}

func (m *model) end(now clocks, p *pending, err error) {
	if p.stale {
		return
	}
	p.stale = true
	if m.probe == p {
		m.probe = nil
	}
	frozen := (now.wall - p.began.wall) - (now.run - p.began.run)
	if frozen >= time.Second || errors.Is(err, errRefused) {
		return
	}
	e := ended{second: int((now.run - m.windows.run) / time.Second), failed: err != nil, slow: now.run-p.began.run > slow}
	if m.state == breaker.HalfOpen {
		m.calls = append(m.calls, e)
		switch {
		case e.failed || e.slow:
			m.become(breaker.Open, now)
		case len(m.calls) == 2:
			m.become(breaker.Closed, now)
		}
		return
	}
	if drift := (now.wall - m.windows.wall) - (now.run - m.windows.run); drift.Abs() >= 10*time.Second {
		m.calls, m.windows, e.second = nil, now, 0
	}
	m.calls = append(m.calls, e)
	if !e.failed || now.after(m.rowLast) > 2*time.Minute {
		m.row = 0
	}
	if e.failed {
		m.row++
		m.rowLast = now
	}
	n, failures, slowOnes := 0, 0, 0
	for _, c := range m.calls {
		if c.second <= e.second-10 {
			continue
		}
		n++
		if c.failed {
			failures++
		}
		if c.slow {
			slowOnes++
		}
	}
	tooSlow := n >= 10 && float64(slowOnes)/float64(n) >= 0.8
	if e.failed && (m.row >= 5 || n >= 10 && float64(failures)/float64(n) >= 0.5) || (e.failed || e.slow) && tooSlow {
		m.become(breaker.Open, now)
	}
}

// check is rapid.Check with a bubble for each case: what a property reports, or panics with, leaves it first.
func check(t *testing.T, property func(t *testing.T, r *rapid.T)) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		var end any
		synctest.Test(t, func(t *testing.T) {
			defer func() { end = recover() }()
			property(t, r)
		})
		if found, ok := end.(wrong); ok {
			r.Fatal(string(found))
		}
		if end != nil {
			panic(end)
		}
	})
}

// wrong is what a property found.
type wrong string

func fail(format string, args ...any) { panic(wrong(fmt.Sprintf(format, args...))) }

// Random sequences of calls, results that come late or never, time and freezes: each decision is the model's.
func TestDecisionsAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	check(t, func(t *testing.T, r *rapid.T) {
		w, m := newWorld(t), &model{}
		start := time.Now()
		now := func() clocks { return clocks{time.Since(start), time.Since(start) + w.froze} }
		begin := func() {
			done, err := w.Allow(context.Background())
			wait := m.wait(now())
			if (err != nil) != (wait > 0) {
				fail("error %v, the model waits %s", err, wait)
			}
			if err == nil {
				m.begin(now(), done)
			} else if got := apperr.From(err).RetryAfter; got != max(wait, time.Second) {
				fail("Retry-After %s, the model's %s", got, wait)
			}
		}
		end := func(p *pending, err error) {
			p.done(err)
			m.end(now(), p, err)
		}
		result := rapid.SampledFrom([]error{nil, nil, errDown, errDown, errRefused})
		mostly := rapid.SampledFrom([]error{nil, errDown, errRefused}).Draw(r, "mostly")
		result = rapid.OneOf(result, rapid.Just(mostly))
		short := rapid.SampledFrom([]time.Duration{0, 0, 0, tick, slow, slow + 1, time.Second, 3 * time.Second})
		long := rapid.SampledFrom([]time.Duration{tick, 500 * time.Millisecond, time.Second, 7 * time.Second, 9 * time.Second, 10 * time.Second,
			15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, time.Hour})
		call := func(r *rapid.T) {
			n := len(m.pending)
			begin()
			if len(m.pending) > n {
				time.Sleep(short.Draw(r, "took"))
				end(m.pending[n], result.Draw(r, "result"))
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"call":  call,
			"calls": func(r *rapid.T) { call(r); call(r); call(r) },
			"down": func(*rapid.T) {
				for n := len(m.pending); len(m.pending) < n+5 && m.wait(now()) <= 0; {
					begin()
					end(m.pending[len(m.pending)-1], errDown)
				}
			},
			"begin": func(*rapid.T) { begin() },
			"end": func(r *rapid.T) {
				if len(m.pending) > 0 {
					end(rapid.SampledFrom(m.pending).Draw(r, "call"), result.Draw(r, "result"))
				}
			},
			"wait": func(r *rapid.T) { time.Sleep(long.Draw(r, "for")) },
			"freeze": func(r *rapid.T) {
				w.froze += long.Draw(r, "for")
				time.Sleep(tick) // the runtime's clock never stands still for a whole thaw
			},
			"": func(r *rapid.T) {
				want := m.state
				if want == breaker.Open && m.wait(now()) <= 0 {
					want = breaker.HalfOpen
				}
				if got := w.State(); got != want {
					fail("it is %s, the model %s", got, want)
				}
			},
		})
	})
}

// However many callers come at once and whatever their calls do: at most one probe is in flight, and an open circuit
// lets nothing pass.
func TestNoHerd(t *testing.T) {
	t.Parallel()
	check(t, func(_ *testing.T, r *rapid.T) {
		var (
			callers  = rapid.IntRange(2, 100).Draw(r, "callers")
			failing  = rapid.Float64Range(0, 1).Draw(r, "failing")
			step     = rapid.SampledFrom([]time.Duration{tick, 50 * time.Millisecond, time.Second}).Draw(r, "step")
			seed     = rapid.Uint64().Draw(r, "seed")
			inFlight atomic.Int64
			most     atomic.Int64
			probes   atomic.Int64
			all      sync.WaitGroup
		)
		b := breaker.New("x", breaker.Options{Timeout: time.Hour, Slow: time.Hour, Random: func() float64 { return 0 }})
		for i := range callers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				for range 20 {
					_, _ = breaker.Do(context.Background(), b, func(context.Context) (int, error) {
						if b.State() == breaker.HalfOpen {
							probes.Add(1)
							n := inFlight.Add(1)
							for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
							}
							defer inFlight.Add(-1)
						}
						time.Sleep(time.Duration(random.IntN(3)) * step)
						switch {
						case random.Float64() < failing:
							return 0, errDown
						case random.Float64() < 0.1:
							return 0, errRefused
						default:
							return 0, nil
						}
					})
					time.Sleep(time.Duration(random.IntN(3)) * 12 * time.Second) // in step with the shortest time that it is open
				}
			})
		}
		all.Wait()
		if most.Load() > 1 {
			fail("%d probes at once of %d", most.Load(), probes.Load())
		}
	})
}

// All callers wait for the same moment: one passes, and one more for each probe that ends.
func TestTheHerdThatWaits(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.trip()
		time.Sleep(15 * time.Second)
		var passed, rejected atomic.Int64
		for range 1000 {
			go func() {
				if _, err := w.Allow(context.Background()); err == nil { // and never settles
					passed.Add(1)
				} else {
					rejected.Add(1)
				}
			}()
		}
		synctest.Wait()
		require.EqualValues(t, 1, passed.Load())
		require.EqualValues(t, 999, rejected.Load())
	})
}
