package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// How an effect ends: what it did downstream, and what it says about it.
const (
	does        = "does it"
	refuses     = "refuses"
	doesNothing = "says that nothing happened"
	breaks      = "breaks before it does it"
	doesBreaks  = "does it and breaks"
)

// caller is one request of a schedule.
type caller struct {
	at      time.Duration // since the start
	mode    int           // whose key it is: one key for each mode
	payload int
	takes   time.Duration // its effect
	how     string
	deaf    bool          // the effect does not end with its context, as in a sandbox that is frozen
	skew    time.Duration // of its sandbox's clock
}

func drawCaller(t *rapid.T) caller {
	return caller{
		at:      rapid.SampledFrom([]time.Duration{0, 0, time.Second, 5 * time.Second, 13 * time.Second, 30 * time.Second, time.Minute, time.Hour, 20 * time.Hour}).Draw(t, "at"),
		mode:    rapid.IntRange(0, len(modes)-1).Draw(t, "mode"),
		payload: rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "payload"),
		takes:   rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond, 3 * time.Second, 20 * time.Second}).Draw(t, "takes"),
		how:     rapid.SampledFrom([]string{does, does, does, refuses, doesNothing, breaks, doesBreaks}).Draw(t, "how"),
		deaf:    rapid.Bool().Draw(t, "deaf"),
		skew:    rapid.SampledFrom([]time.Duration{0, time.Second, -time.Second}).Draw(t, "skew"),
	}
}

// effect is one execution in the model.
type effect struct {
	from, to time.Time
	key      string // downstream
	done     bool
	nothing  bool // it said so
	lost     bool // it broke, or did not get to say anything
	deaf     bool
	payload  int
}

// town is where all callers meet, and the model of what happened there: one list of effects for each mode.
type town struct {
	db    *mem.DB
	calls *fault.DB

	mu       sync.Mutex
	effects  [3][]*effect
	answers  [3][]string // of those from the record
	problems []string
}

func (w *town) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// call sends a caller's request and looks at what it is told.
func (w *town) call(c caller, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	start := time.Now()
	clock := func() time.Time { return time.Now().Add(c.skew) }
	req := idempotency.Request{User: "u", Route: modes[c.mode].name, Key: "key-0001", Payload: fmt.Appendf(nil, `{"p":%d}`, c.payload), Now: clock()}
	table := store.NewTable(w.calls, "idempotency")
	mine := fmt.Sprintf(`{"p":%d,"n":%d}`, c.payload, n)
	var answer idempotency.Answer
	var err error
	if modes[c.mode].stored {
		answer, err = idempotency.New(table, &vault{}).Once(ctx, w.calls, req, created(mine),
			store.NewTable(w.calls, "things").PutWrite(types.Put{Item: store.Item{"pk": store.S("u"), "sk": store.S(fmt.Sprint(n))}}))
	} else {
		answer, err = idempotency.NewLeases(table, &vault{}, idempotency.Options{Now: clock}).
			Run(ctx, req, modes[c.mode].policy, w.effect(c, mine))
	}
	if took := time.Since(start); took > budget && !c.deaf {
		w.problem("caller %d was told after %s", n, took)
	}
	if err == nil {
		w.told(c, n, answer, mine)
	}
	return err
}

// told holds an answer against the payload that was asked with.
func (w *town) told(c caller, n int, answer idempotency.Answer, mine string) {
	body := string(answer.Body)
	if !strings.HasPrefix(body, fmt.Sprintf(`{"p":%d,`, c.payload)) {
		w.problem("caller %d with payload %d was told %s", n, c.payload, body)
	}
	if answer.Replayed == (body == mine) {
		w.problem("caller %d was told %s, replayed: %t", n, body, answer.Replayed)
	}
	if answer.Replayed {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.answers[c.mode] = append(w.answers[c.mode], body)
	}
}

func (w *town) effect(c caller, mine string) idempotency.Effect {
	return func(ctx context.Context, key string) (idempotency.Answer, error) {
		e := &effect{from: time.Now(), key: key, payload: c.payload, lost: true, deaf: c.deaf}
		w.mu.Lock()
		w.effects[c.mode] = append(w.effects[c.mode], e)
		w.mu.Unlock()
		ended := pass(ctx, c)
		w.mu.Lock()
		defer w.mu.Unlock()
		e.to = time.Now()
		if ended != nil {
			return idempotency.Answer{}, ended
		}
		e.done = c.how == does || c.how == doesBreaks
		e.nothing = c.how == doesNothing
		e.lost = c.how == breaks || c.how == doesBreaks
		switch c.how {
		case does:
			return created(mine), nil
		case refuses:
			return idempotency.Answer{}, apperr.New(apperr.Conflict, "refused", "")
		case doesNothing:
			return idempotency.Answer{}, idempotency.NothingHappened(errSoldOut)
		default:
			return idempotency.Answer{}, errSoldOut
		}
	}
}

// pass lets the time of an effect pass.
func pass(ctx context.Context, c caller) error {
	if c.deaf {
		time.Sleep(c.takes)
		return nil
	}
	timer := time.NewTimer(c.takes)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// settle sends one more request after another, until somebody knows.
func (w *town) settle(mode int) {
	for n := range 60 {
		for payload := range 2 { // one of them is the one that the key stands for
			err := w.call(caller{mode: mode, payload: payload, how: does}, 1000+2*n+payload)
			switch {
			case err == nil || errors.Is(err, idempotency.ErrUnknown) || apperr.From(err).Code == "refused":
				return
			case !errors.Is(err, idempotency.ErrInProgress) && !errors.Is(err, idempotency.ErrReused):
				w.problem("%s does not settle: %v", modes[mode].name, err)
				return
			}
		}
		time.Sleep(time.Second)
	}
	w.problem("%s is at work for ever", modes[mode].name)
}

// judge holds the model against the contract. All of it took less than a day.
func (w *town) judge() {
	if n := len(w.db.Items("things")); n != 1 {
		w.problem("the store has %d things: exactly one", n)
	}
	for mode, all := range w.effects {
		for i, e := range all {
			if e.key != all[0].key {
				w.problem("the downstream key is not stable")
			}
			if modes[mode].policy == idempotency.Unknown && i < len(all)-1 && !e.nothing {
				w.problem("an effect was done again: %+v", *e)
			}
			if i > 0 && e.from.Before(all[i-1].to) && !all[i-1].deaf {
				w.problem("two were at work at the same time")
			}
		}
		for _, a := range w.answers[mode] {
			if a != w.answers[mode][0] {
				w.problem("the record said %s, then %s", w.answers[mode][0], a)
			}
		}
	}
	settled := false
	for _, e := range w.effects[2] {
		settled = settled || e.done || !e.lost && !e.nothing
	}
	if !settled {
		w.problem("with the policy Retry the effect was lost")
	}
}

// Many callers at many times, with one key for each mode, on a store that fails and clocks that differ: the effect takes
// place once in the store, at most once under Unknown, at least once and under one key with Retry; nobody is told an answer
// to another request, and the record says one thing.
func TestAnySchedule(t *testing.T) {
	t.Parallel()
	var ways []fault.Fault
	for _, kind := range fault.Kinds() {
		ways = append(ways, fault.Fault{Kind: kind}, fault.Fault{Kind: kind, Delay: 2 * time.Second})
	}
	ways = append(ways, fault.Fault{Delay: time.Second}, fault.Fault{Delay: time.Minute})
	rapid.Check(t, func(rt *rapid.T) {
		callers := rapid.SliceOfN(rapid.Custom(drawCaller), 1, 16).Draw(rt, "callers")
		seed := rapid.Uint64().Draw(rt, "seed")
		often := rapid.SampledFrom([]float64{0, 0.1, 0.4, 0.8}).Draw(rt, "faults")
		var problems []string
		synctest.Test(t, func(*testing.T) {
			w := &town{db: mem.New(schemas()...)}
			w.calls = fault.NewDB(w.db, fault.Sometimes(seed, often, ways...))
			var wg sync.WaitGroup
			for n, c := range callers {
				wg.Go(func() { time.Sleep(c.at); _ = w.call(c, n) })
			}
			wg.Wait()
			w.calls.Follow(nil)
			for mode := range modes {
				w.settle(mode)
			}
			w.judge()
			problems = w.problems
		})
		if len(problems) > 0 {
			rt.Fatalf("%s", strings.Join(problems, "\n"))
		}
	})
}
