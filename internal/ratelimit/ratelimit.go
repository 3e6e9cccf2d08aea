// Package ratelimit admits a caller at most so often in any window of time, over all sandboxes of all functions.
//
// A counter is one DynamoDB item with a ring of named slots, ten for a window, that every sandbox adds to with one
// UpdateItem and reads back in the same call. A request is admitted when all that counts, its own
// addition included, is within the limit; so while the store answers, never more than the limit is admitted in any window
// less twice the clock skew (of up to half a slot), however many sandboxes ask at once. The price is that a request
// counts for up to a slot longer than the window: the rate that can be kept up is 10/11 of the limit.
package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

const (
	// Budget is how long counting a request may take unless Options say otherwise.
	Budget = 60 * time.Millisecond
	// coldBudgets is how many budgets a call may take until the store has answered the first: a sandbox that starts has
	// to resolve, connect and shake hands first, and a closed class would greet its first caller with 503.
	coldBudgets = 10
)

// Options tune a limiter. The zero value is the strict one.
type Options struct {
	// Open lists the classes that go on being admitted while the store does not answer: each sandbox admits by itself while
	// it has admitted less than the limit in the window. All others are closed then: Count fails and nobody is admitted.
	Open   []service.Limit
	Budget time.Duration    // for all calls of one Count; 0: the constant Budget. Ten times as much until the first answer
	Now    func() time.Time // nil: time.Now
	Random func() float64   // in [0, 1), for concurrent use: spreads Retry-After; nil: math/rand/v2
}

// Limiter counts requests. It is safe for concurrent use.
type Limiter struct {
	table    store.Updater
	policies map[service.Limit]policy
	o        Options
	memory   memory
}

var _ rest.Limiter = (*Limiter)(nil)

// New makes a limiter on the table rate-limits with the numbers of each class that its function counts. The error lists
// every class whose numbers cannot be used. A store.Table is used without retries: a failed call is answered by the
// fallback, and one that was applied twice could give a permit back twice.
func New(table store.Updater, limits map[service.Limit]environ.Limit, o Options) (*Limiter, error) {
	if t, ok := table.(store.Table); ok {
		table = t.With(store.Once)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	o.Budget = cmp.Or(o.Budget, Budget)
	l := &Limiter{table: table, policies: map[service.Limit]policy{}, o: o}
	var problems []error
	for _, class := range slices.Sorted(maps.Keys(limits)) {
		n := limits[class]
		if n.Max < 1 || n.Per < time.Second {
			problems = append(problems, fmt.Errorf("class %q: %d in %s: a limit is at least 1 in at least 1s", class, n.Max, n.Per))
		}
		l.policies[class] = newPolicy(class, n)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("ratelimit: %w", errors.Join(problems...))
	}
	return l, nil
}

// check is one count of a request.
type check struct {
	policy
	key  string
	now  time.Time
	k    int64 // the slot of now
	open bool
}

// result is what became of a check. Without err, counted is the requests that count, this one included if it is allowed,
// and room is the slot in which there are fewer.
type result struct {
	allowed bool
	counted int64
	room    int64
	err     error
}

// Count counts a request against all counts at once and refuses it when one of them is full. What the others counted
// stays counted: an attempt is an attempt. A caller that is known to be refused costs no call. The error is for a class
// without numbers, and for a closed class whose counter did not answer, unless another count refuses anyway.
func (l *Limiter) Count(ctx context.Context, counts []rest.Count) (rest.Verdict, error) {
	checks, err := l.checks(counts)
	if err != nil {
		return rest.Verdict{}, err
	}
	for _, c := range checks {
		if r, known := l.memory.blocked(c); known {
			return l.verdict([]check{c}, []result{r})
		}
	}
	return l.verdict(checks, l.ask(ctx, checks))
}

func (l *Limiter) checks(counts []rest.Count) ([]check, error) {
	now := l.o.Now()
	var all []check
	for _, c := range counts {
		p, ok := l.policies[c.Class]
		if !ok {
			return nil, fmt.Errorf("ratelimit: the class %q has no numbers", c.Class)
		}
		all = append(all, check{policy: p, key: p.key(c.Route, c.Subject), now: now, k: p.at(now), open: slices.Contains(l.o.Open, c.Class)})
	}
	return all, nil
}

// ask runs the checks at the same time, within one budget, and returns when all are done: a sandbox may be frozen after.
func (l *Limiter) ask(ctx context.Context, checks []check) []result {
	budget := l.o.Budget
	if !l.memory.warm() {
		budget *= coldBudgets
	}
	results := make([]result, len(checks))
	inTime, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil { // in a goroutine of its own it would end the process
					results[i] = result{err: fmt.Errorf("ratelimit: panic: %v", p)}
				}
			}()
			results[i] = l.one(ctx, inTime, c)
		})
	}
	wg.Wait()
	return results
}

// errPaused is why the store was not asked.
var errPaused = errors.New("the store failed too often and is left alone for a moment")

// one decides one check. ctx is the request's own, inTime ends with the budget.
func (l *Limiter) one(ctx, inTime context.Context, c check) result {
	r, err := result{}, errPaused
	if !l.memory.paused(c.now) {
		r, err = l.count(inTime, c)
		if err != nil && ctx.Err() != nil { // it is the request that ended, not the store that failed
			return result{err: fmt.Errorf("ratelimit: class %s: %w", c.class, err)}
		}
		l.memory.learn(c, r, err)
	}
	switch {
	case err == nil:
		return r
	case !c.open:
		return result{err: fmt.Errorf("ratelimit: class %s: %w", c.class, err)}
	}
	r = l.memory.count(c)
	telemetry.Count(ctx, telemetry.LimiterFallback, 1)
	telemetry.From(ctx).WarnContext(ctx, "caller limit without its store", "class", string(c.class), "allowed", r.allowed, telemetry.FieldError, err)
	return r
}

// count adds the request to its counter. The counter may be absent, in use, blocked or idle; only an idle one takes a
// second call.
func (l *Limiter) count(ctx context.Context, c check) (result, error) {
	out, err := l.table.UpdateItem(ctx, c.count(c.key, c.k))
	var refused *store.ConditionFailedError
	if errors.As(err, &refused) {
		old, err := parse(refused.Old)
		if err != nil {
			return result{}, err
		}
		if old.last >= c.k-slots-1 {
			return c.blockedBy(old)
		}
		out, err = l.table.UpdateItem(ctx, c.restart(c.key, c.k, old))
		if err != nil {
			return result{}, err
		}
	} else if err != nil {
		return result{}, err
	}
	n, err := parse(out.Attributes)
	if err != nil {
		return result{}, err
	}
	return l.settle(ctx, c, n.ring), nil
}

// blockedBy reads the refusal of a counter in use.
func (c check) blockedBy(old counter) (result, error) {
	if old.blocked <= c.k {
		return result{}, errors.New("the counter refuses for no reason that it tells")
	}
	return result{counted: old.ring.total(c.k), room: old.blocked}, nil
}

// settle decides by what was read back. A request that found no room is taken out again, so that refusals do not count;
// when that fails, it counts until its slot goes, which is only stricter.
func (l *Limiter) settle(ctx context.Context, c check, n ring) result {
	r := result{allowed: true, counted: n.total(c.k), room: n.room(c.k)}
	if r.counted <= int64(c.Max) {
		return r
	}
	r.allowed = false
	if _, err := l.table.UpdateItem(ctx, refund(c.key, c.k, r.room)); err != nil {
		telemetry.From(ctx).WarnContext(ctx, "caller limit keeps a refused request", "class", string(c.class), telemetry.FieldError, err)
	}
	return r
}
