package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/breaker"
)

const (
	slow    = 100 * time.Millisecond
	timeout = 5 * time.Second
	tick    = time.Millisecond
)

var (
	errDown    = &breaker.StatusError{Status: 503}
	errRefused = &breaker.StatusError{Status: 404}
)

// world is one breaker in the time of a synctest bubble, whose wall clock runs ahead by what the sandbox was frozen.
type world struct {
	*testing.T
	*breaker.Breaker
	random float64
	froze  time.Duration

	mu     sync.Mutex
	events []string
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, random: 0.5}
	w.Breaker = breaker.New("openai", breaker.Options{Timeout: timeout, Slow: slow, Watcher: w, Random: func() float64 { return w.random },
		Now: func() time.Time { return time.Now().Add(w.froze) }})
	return w
}

func (w *world) StateChanged(_ context.Context, dependency string, from, to breaker.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf("%s: %s, %s", dependency, from, to))
}

func (w *world) Rejected(_ context.Context, dependency string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, dependency+": rejected")
}

func (w *world) allow() func(error) {
	w.Helper()
	done, err := w.Allow(context.Background())
	require.NoError(w, err)
	return done
}

// rejected is a rejection, whose promise it returns.
func (w *world) rejected() time.Duration {
	w.Helper()
	_, err := w.Allow(context.Background())
	require.ErrorIs(w, err, breaker.ErrOpen)
	var e *apperr.Error
	require.ErrorAs(w, err, &e)
	return e.RetryAfter
}

// call makes a call that takes some time.
func (w *world) call(d time.Duration, err error) {
	w.Helper()
	done := w.allow()
	time.Sleep(d)
	done(err)
}

// calls makes one call a letter, or waits.
func (w *world) calls(steps string) {
	w.Helper()
	for _, step := range steps {
		switch step {
		case '.': // success
			w.call(0, nil)
		case 'F': // failure
			w.call(0, errDown)
		case 'r': // refused, and no matter how slowly
			w.call(2*slow, errRefused)
		case 'S': // slow success
			w.call(slow+1, nil)
		case 'X': // slow failure
			w.call(slow+1, errDown)
		case 'p': // success, nearly slow
			w.call(slow, nil)
		case 'L': // failure that takes longer than the window
			w.call(30*time.Second, errDown)
		case ' ':
			time.Sleep(time.Second)
		case 'm':
			time.Sleep(time.Minute)
		default:
			w.Fatalf("step %c", step)
		}
	}
}

func (w *world) trip() {
	w.Helper()
	w.calls("FFFFF")
	require.Equal(w, breaker.Open, w.State())
}

// halfOpen trips and waits until probes are let pass.
func (w *world) halfOpen() {
	w.Helper()
	w.trip()
	time.Sleep(2 * time.Minute)
	require.Equal(w, breaker.HalfOpen, w.State())
}

func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

func TestTrips(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps string
		want  breaker.State
	}{
		"nothing":                                {"", breaker.Closed},
		"healthy":                                {"....................", breaker.Closed},
		"five in a row":                          {"FFFFF", breaker.Open},
		"four in a row":                          {"FFFF", breaker.Closed},
		"five in a row after successes":          {"..........FFFFF", breaker.Open},
		"a success ends a row":                   {"FFFF.FFFF", breaker.Closed},
		"a refusal does not end a row":           {"FFrFrFrrF", breaker.Open},
		"a row over more than the window":        {"F   F   F   F   F", breaker.Open},
		"a row with a gap of a minute":           {"FFFFmF", breaker.Open},
		"a row with a gap too long":              {"FFFFmm F", breaker.Closed},
		"a row of long timeouts":                 {"LLLLL", breaker.Open},
		"half of ten":                            {".F.F.F.F.F", breaker.Open},
		"half of nine":                           {"F.F.F.F.F", breaker.Closed},
		"less than half":                         {"..F.F.F.F.F", breaker.Closed},
		"refusals are not calls":                 {".F.F.F.FrrrrrrF", breaker.Closed},
		"refusals only":                          {"rrrrrrrrrrrrrrrrrrrr", breaker.Closed},
		"half over the whole window":             {".F .F .F .F      .F", breaker.Open},
		"half, in part out of the window":        {".F .F .F .F        .F", breaker.Closed},
		"half, all out of the window":            {".F.F.F.F           .F", breaker.Closed},
		"a success opens nothing":                {"F.F.F.F.F.", breaker.Closed},
		"four in five slow":                      {"..SSSSSSSS", breaker.Open},
		"slow, but only nine":                    {"SSSSSSSSS", breaker.Closed},
		"less than four in five slow":            {"...SSSSSSSS", breaker.Closed},
		"as long as slow is not slow":            {"pppppppppp", breaker.Closed},
		"slow failures are slow":                 {".X.XSSSSSS", breaker.Open},
		"slow calls leave the window":            {"SSSSSSSS           ..SS", breaker.Closed},
		"slow calls have left when one fails":    {"SSSSSSSS           .........F", breaker.Closed},
		"fast calls have left before a slow one": {".........     SSSSSSSSS      S", breaker.Open},
		"a failure sees that all is slow":        {"SSSSSSSS.F", breaker.Open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.calls(c.steps)
				require.Equal(t, c.want, w.State())
			})
		})
	}
}

// The same row of timeouts leaves the library alone closed: it files results under the second in which calls began.
func TestTheLibraryForgetsLongCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		raw := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
		for range 100 {
			_, err := raw.Execute(func() (struct{}, error) { time.Sleep(30 * time.Second); return struct{}{}, errDown })
			require.ErrorIs(t, err, errDown)
		}
		require.Equal(t, breaker.Closed, raw.State())
	})
}

// Each time it opens it is open for longer, within the jitter's bounds and the longest, and says for how long.
func TestOpenForLongerEachTime(t *testing.T) {
	t.Parallel()
	for random, want := range map[float64][]float64{
		0:                     {12, 24, 48, 80, 80, 80},
		0.5:                   {15, 30, 60, 100, 100, 100},
		math.Nextafter(1, -1): {18, 36, 72, 120, 120, 120},
	} {
		t.Run(fmt.Sprint(random), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.random = random
				w.trip()
				for _, seconds := range want {
					length := w.rejected()
					require.InDelta(t, seconds, length.Seconds(), 1e-6)
					require.LessOrEqual(t, length, 2*time.Minute)
					time.Sleep(length - tick)
					require.Equal(t, breaker.Open, w.State())
					require.Equal(t, time.Second, w.rejected(), "no Retry-After of 0")
					time.Sleep(tick)
					require.Equal(t, breaker.HalfOpen, w.State())
					w.calls("F")
					require.Equal(t, breaker.Open, w.State())
				}
			})
		})
	}
}

func TestTheSeriesEndsWithAStableClose(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		closed time.Duration
		want   time.Duration
	}{
		"opens at once again": {0, 60 * time.Second},
		"not stable yet":      {2*time.Minute - tick, 60 * time.Second},
		"stable":              {2 * time.Minute, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.trip()
				time.Sleep(15 * time.Second)
				w.calls("F")
				time.Sleep(30 * time.Second)
				w.calls("..")
				require.Equal(t, breaker.Closed, w.State())
				time.Sleep(c.closed)
				w.trip()
				require.Equal(t, c.want, w.rejected())
			})
		})
	}
}

func TestHalfOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps string
		want  breaker.State
	}{
		"one success is not enough":       {".", breaker.HalfOpen},
		"two close":                       {"..", breaker.Closed},
		"refusals between do not matter":  {"r.rr.", breaker.Closed},
		"refusals do not close":           {"rrrrrrrr", breaker.HalfOpen},
		"a failure opens":                 {"F", breaker.Open},
		"a failure after a success opens": {".F", breaker.Open},
		"a slow success opens":            {"S", breaker.Open},
		"nearly slow is good":             {"pp", breaker.Closed},
		"closed with an empty window":     {"..FFFF.FFFF", breaker.Closed},
		"closed, it opens as ever":        {"..FFFFF", breaker.Open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.halfOpen()
				w.calls(c.steps)
				require.Equal(t, c.want, w.State())
			})
		})
	}
}

func TestOneProbeAtATime(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.halfOpen()
		first := w.allow()
		require.Equal(t, timeout+2*time.Second, w.rejected(), "until the probe is taken for lost")
		time.Sleep(slow)
		w.rejected()
		first(nil)
		second := w.allow()
		w.rejected()
		first(nil)
		require.Equal(t, breaker.HalfOpen, w.State(), "a result counts once")
		w.rejected()
		second(nil)
		require.Equal(t, breaker.Closed, w.State())
		second(errDown)
		w.calls("FFF")
		last := w.allow()
		for range 10 {
			last(errDown)
		}
		require.Equal(t, breaker.Closed, w.State())
	})
}

func TestALostProbeFreesItself(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]error{"success": nil, "failure": errDown, "refusal": errRefused} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				w.halfOpen()
				lost := w.allow()
				time.Sleep(timeout + 2*time.Second - tick)
				w.rejected()
				time.Sleep(tick)
				next := w.allow()
				w.rejected()
				lost(late)
				require.Equal(t, breaker.HalfOpen, w.State(), "what comes too late is not looked at")
				w.rejected()
				next(nil)
				w.calls(".")
				require.Equal(t, breaker.Closed, w.State())
			})
		})
	}
}

// However many probes are lost, the next is let pass.
func TestLostProbesDoNotAddUp(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.halfOpen()
		for range 1000 {
			w.allow()
			w.rejected()
			time.Sleep(timeout + 2*time.Second)
		}
		w.calls("..")
		require.Equal(t, breaker.Closed, w.State())
	})
}

// Results of calls that began before the circuit changed neither close, open nor count.
func TestStaleResults(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]error{"success": nil, "failure": errDown} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				stale := make([]func(error), 40)
				for i := range stale {
					stale[i] = w.allow()
				}
				report := func() {
					for _, done := range stale[:10] {
						done(result)
					}
					stale = stale[10:]
				}
				w.trip()
				length := w.rejected()
				time.Sleep(time.Second)
				report()
				require.Equal(t, length-time.Second, w.rejected(), "open for as long as before")

				time.Sleep(length - time.Second)
				probe := w.allow()
				report()
				require.Equal(t, breaker.HalfOpen, w.State())
				w.rejected()
				probe(nil)
				report()
				require.Equal(t, breaker.HalfOpen, w.State())
				w.calls(".")
				require.Equal(t, breaker.Closed, w.State())
				report()
				w.calls("FFFF")
				require.Equal(t, breaker.Closed, w.State(), "the stale ones are not in the window, nor in the row")
			})
		})
	}
}

// A probe of a half-open circuit that opened and is half open again is stale, too.
func TestStaleProbes(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.halfOpen()
		lost := w.allow()
		time.Sleep(timeout + 2*time.Second)
		w.calls("F")
		time.Sleep(2 * time.Minute)
		probe := w.allow()
		lost(errDown)
		require.Equal(t, breaker.HalfOpen, w.State())
		probe(nil)
		lost(nil)
		require.Equal(t, breaker.HalfOpen, w.State())
	})
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(t *testing.T, w *world){
		"empties the window": func(t *testing.T, w *world) {
			w.calls(".F.F.F.F.")
			w.froze += time.Hour
			w.calls("F")
			require.Equal(t, breaker.Closed, w.State())
			w.calls(".F.F.F.FF")
			require.Equal(t, breaker.Open, w.State(), "and a new one is there")
		},
		"empties the window of slow calls": func(t *testing.T, w *world) {
			w.calls("SSSSSSSSS")
			w.froze += time.Hour
			w.calls("S")
			require.Equal(t, breaker.Closed, w.State())
		},
		"ends a row": func(t *testing.T, w *world) {
			w.calls("FFFF")
			w.froze += time.Hour
			w.calls("F")
			require.Equal(t, breaker.Closed, w.State())
		},
		"many short ones empty the window": func(t *testing.T, w *world) {
			w.calls(".F.F.F.F")
			for range 10 {
				w.froze += time.Second
				w.calls(".")
			}
			w.calls("F.F")
			require.Equal(t, breaker.Closed, w.State())
		},
		"a short one does not": func(t *testing.T, w *world) {
			w.calls(".F.F.F.F")
			w.froze += time.Second
			w.calls(".F")
			require.Equal(t, breaker.Open, w.State())
		},
		"an open circuit is half open after it": func(t *testing.T, w *world) {
			w.trip()
			time.Sleep(time.Second)
			w.froze += time.Hour
			require.Equal(t, breaker.HalfOpen, w.State())
			w.calls("..")
			require.Equal(t, breaker.Closed, w.State())
		},
		"an open circuit stays so for the rest": func(t *testing.T, w *world) {
			w.trip()
			w.froze += 10 * time.Second
			require.Equal(t, 5*time.Second, w.rejected())
		},
		"the runtime's clock has not moved at all": func(t *testing.T, w *world) {
			w.trip()
			w.froze += time.Hour
			require.Equal(t, time.Second, w.rejected(), "nobody passes an open circuit")
			time.Sleep(tick)
			w.calls("..")
			require.Equal(t, breaker.Closed, w.State())
		},
		"its probe is lost": func(t *testing.T, w *world) {
			w.halfOpen()
			lost := w.allow()
			w.froze += time.Hour
			next := w.allow()
			lost(errDown)
			next(nil)
			w.calls(".")
			require.Equal(t, breaker.Closed, w.State())
		},
		"its probe comes back and says nothing": func(t *testing.T, w *world) {
			w.halfOpen()
			lost := w.allow()
			w.froze += time.Hour
			lost(errDown)
			require.Equal(t, breaker.HalfOpen, w.State())
			w.calls("..")
			require.Equal(t, breaker.Closed, w.State())
		},
		"calls that were cut off say nothing": func(t *testing.T, w *world) {
			var calls []func(error)
			for range 20 {
				calls = append(calls, w.allow())
			}
			w.froze += time.Second
			for _, done := range calls {
				done(errDown)
			}
			require.Equal(t, breaker.Closed, w.State())
		},
		"a closed circuit is stable after it": func(t *testing.T, w *world) {
			w.halfOpen()
			w.calls("..")
			w.froze += time.Hour
			w.trip()
			require.Equal(t, 15*time.Second, w.rejected())
		},
		"the clock is set back": func(t *testing.T, w *world) {
			w.trip()
			w.froze -= time.Hour
			require.Equal(t, 15*time.Second, w.rejected())
			time.Sleep(15 * time.Second)
			w.calls("..")
			require.Equal(t, breaker.Closed, w.State())
			w.trip()
		},
		"it hides behind a clock that was set back": func(t *testing.T, w *world) {
			w.calls(".F.F.F.F")
			w.froze -= time.Hour
			w.calls(".F.F.F.F.")
			w.froze += 50 * time.Minute
			w.calls("F")
			require.Equal(t, breaker.Closed, w.State())
		},
		"the clock is set back during a probe": func(t *testing.T, w *world) {
			w.halfOpen()
			w.allow()
			w.froze -= time.Hour
			time.Sleep(timeout + 2*time.Second)
			w.calls("..")
			require.Equal(t, breaker.Closed, w.State())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) { run(w.T, w) })
		})
	}
}

// The library alone knows only the runtime's clock: an hour of freeze is nothing to it.
func TestTheLibraryStaysOpenThroughAFreeze(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		raw := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Timeout: 15 * time.Second,
			ReadyToTrip: func(gobreaker.Counts) bool { return true }})
		_, err := raw.Execute(func() (struct{}, error) { return struct{}{}, errDown })
		require.ErrorIs(t, err, errDown)
		w.trip()
		time.Sleep(time.Second)
		w.froze += time.Hour
		require.Equal(t, breaker.Open, raw.State())
		require.Equal(t, breaker.HalfOpen, w.State())
	})
}

func TestARejectionIsAProblem(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.trip()
		_, err := breaker.Do(w.Context(), w.Breaker, func(context.Context) (int, error) {
			t.Error("called")
			return 1, nil
		})
		require.ErrorIs(t, err, breaker.ErrOpen)
		e := apperr.From(fmt.Errorf("chat: %w", err))
		require.Equal(t, apperr.Unavailable, e.Kind)
		require.Equal(t, 15*time.Second, e.RetryAfter)
		p := e.Problem("r1")
		require.Equal(t, 503, p.Status)
		require.Equal(t, "openai_unavailable", p.Code)
		require.True(t, p.Retryable)

		named := breaker.New("openai", breaker.Options{Code: "ai_unavailable", Random: func() float64 { return 0 }})
		for range 5 {
			_, err = breaker.Do(w.Context(), named, func(context.Context) (int, error) { return 0, errDown })
			require.Equal(t, errDown, err, "the call's own error, as it is")
		}
		_, err = breaker.Do(w.Context(), named, func(context.Context) (int, error) { return 0, nil })
		require.Equal(t, "ai_unavailable", apperr.From(err).Code)
	})
}

func TestTheWatcherSeesAllInOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.calls(".r")
		require.Empty(t, w.events)
		w.trip()
		w.rejected()
		time.Sleep(15 * time.Second)
		probe := w.allow()
		w.rejected()
		probe(errDown)
		time.Sleep(30 * time.Second)
		w.calls("..")
		require.Equal(t, strings.Split("closed, open|rejected|open, half-open|rejected|half-open, open|open, half-open|half-open, closed", "|"),
			strings.Split(strings.ReplaceAll(strings.Join(w.events, "|"), "openai: ", ""), "|"))
	})
}

func TestDo(t *testing.T) {
	t.Parallel()
	type key struct{}
	for name, run := range map[string]func(t *testing.T, w *world){
		"returns what the call returned": func(t *testing.T, w *world) {
			v, err := breaker.Do(context.WithValue(t.Context(), key{}, "x"), w.Breaker, func(ctx context.Context) (string, error) {
				return ctx.Value(key{}).(string), errDown
			})
			require.Equal(t, "x", v)
			require.Equal(t, errDown, err)
		},
		"a caller that hangs up says nothing, whatever the error": func(t *testing.T, w *world) {
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := breaker.Do(ctx, w.Breaker, func(context.Context) (int, error) { cancel(); return 0, errDown })
				require.ErrorIs(t, err, errDown)
			}
			require.Equal(t, breaker.Closed, w.State())
		},
		"a success whose caller has hung up is one": func(t *testing.T, w *world) {
			w.halfOpen()
			for range 2 {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := breaker.Do(ctx, w.Breaker, func(context.Context) (int, error) { cancel(); return 0, nil })
				require.NoError(t, err)
			}
			require.Equal(t, breaker.Closed, w.State())
		},
		"timeouts are failures": func(t *testing.T, w *world) {
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := breaker.Do(ctx, w.Breaker, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			require.Equal(t, breaker.Open, w.State())
		},
		"timeouts are failures, whatever the client calls them": func(t *testing.T, w *world) {
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := breaker.Do(ctx, w.Breaker, func(ctx context.Context) (int, error) {
					<-ctx.Done()
					return 0, errors.New("request canceled")
				})
				cancel()
				require.EqualError(t, err, "request canceled")
			}
			require.Equal(t, breaker.Open, w.State())
		},
		"a refusal at the last moment is one": func(t *testing.T, w *world) {
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), slow)
				_, err := breaker.Do(ctx, w.Breaker, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, errRefused })
				cancel()
				require.Equal(t, errRefused, err)
			}
			require.Equal(t, breaker.Closed, w.State())
		},
		"a panic goes on and frees the probe": func(t *testing.T, w *world) {
			w.halfOpen()
			require.PanicsWithValue(t, "ours", func() {
				_, _ = breaker.Do(t.Context(), w.Breaker, func(context.Context) (int, error) { panic("ours") })
			})
			w.calls(".")
			require.Equal(t, breaker.HalfOpen, w.State(), "a panic is no success")
			w.calls(".")
			require.Equal(t, breaker.Closed, w.State())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) { run(w.T, w) })
		})
	}
}

// The zero Options: Timeout 10 s and Slow 5 s.
func TestDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New("x", breaker.Options{})
		call := func(d time.Duration, err error) error {
			_, got := breaker.Do(t.Context(), b, func(context.Context) (int, error) { time.Sleep(d); return 0, err })
			return got
		}
		for range 5 {
			require.ErrorIs(t, call(0, errDown), errDown)
		}
		var e *apperr.Error
		require.ErrorAs(t, call(0, nil), &e)
		require.InDelta(t, 15, e.RetryAfter.Seconds(), 3)
		time.Sleep(18 * time.Second)
		require.NoError(t, call(5*time.Second, nil))
		require.NoError(t, call(5*time.Second+1, nil), "slow")
		require.Equal(t, breaker.Open, b.State())
		time.Sleep(36 * time.Second)
		_, err := b.Allow(t.Context())
		require.NoError(t, err)
		require.ErrorAs(t, call(0, nil), &e)
		require.Equal(t, 12*time.Second, e.RetryAfter)
	})
}

func TestClassifyOfOnesOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours := errors.New("ours")
		b := breaker.New("x", breaker.Options{Classify: func(err error) breaker.Outcome {
			if errors.Is(err, ours) {
				return breaker.Failure
			}
			return breaker.Classify(err)
		}})
		for range 5 {
			_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) { return 0, ours })
			require.ErrorIs(t, err, ours)
		}
		require.Equal(t, breaker.Open, b.State())
	})
}
