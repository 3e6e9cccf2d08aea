package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

// Permits is how many permits a lease has unless LeaseOptions say otherwise.
const Permits = 32

// LeaseOptions tune leases.
type LeaseOptions struct {
	Permits int              // of one lease: at most 64, and no more than the limit; 0: the constant Permits, or the limit where that is less
	Budget  time.Duration    // for all calls of one Take or Close; 0: the constant Budget
	Now     func() time.Time // nil: time.Now
	Random  func() float64   // in [0, 1): spreads RetryAfter; nil: math/rand/v2
}

// Leases hand out permits of a limit that all callers share, such as what a provider allows us. A counter that every
// request writes to would wear out its partition; so a sandbox takes n permits with one write and spends them in memory.
//
// What a caller may rely on:
//   - Permits are counted when they are taken, and a lease that is older than a tenth of the window is not used. Taken
//     permits are counted for the window and that tenth: while the store answers, never more than the limit is spent in any
//     window less twice the clock skew.
//   - Without the store nothing is admitted but what is left of a lease.
//
// Its limits: each sandbox holds at most n permits that nobody else can spend, so that up to n times the sandboxes of the
// limit stay unused; a lost answer wastes n more until the window has passed, and so does a sandbox that ends without
// Close. The rate that can be kept up is the limit in 1.21 windows. It is safe for concurrent use.
type Leases struct {
	table  store.Updater
	policy policy // its window is the limit's and the life of a lease
	key    string
	life   time.Duration
	o      LeaseOptions
	turn   chan struct{} // whoever put something in may look at the fields below
	held   lease
	full   time.Time // no permits before
	litter []string
}

// lease is permits that were taken in a slot. Its zero value is none.
type lease struct {
	slot        int64
	left        int64
	from, until time.Time
}

// NewLeases makes leases of a class's limit, which counts everybody together.
func NewLeases(table store.Updater, class service.Limit, limit environ.Limit, o LeaseOptions) (*Leases, error) {
	life := (limit.Per/10 + time.Second - 1).Truncate(time.Second)
	whole := environ.Limit{Max: limit.Max, Per: limit.Per + life}
	if err := errors.Join(usable(limit), usable(whole)); err != nil {
		return nil, fmt.Errorf("ratelimit: class %q: %w", class, err)
	}
	o.Permits = cmp.Or(o.Permits, min(Permits, limit.Max))
	if o.Permits < 1 || o.Permits > 64 || o.Permits > limit.Max {
		return nil, fmt.Errorf("ratelimit: class %q: leases of %d permits", class, o.Permits)
	}
	o.Budget = cmp.Or(o.Budget, Budget)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &Leases{table: once(table), policy: newPolicy(class, "", whole), key: revoke.CounterKey("all"), life: life, o: o,
		turn: make(chan struct{}, 1)}, nil
}

// Take spends permits. A refusal says when to come again; an error means that the store did not answer, and nothing is
// admitted. Whoever waits for another's call leaves with its own context.
func (l *Leases) Take(ctx context.Context, cost int) (rest.Verdict, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return rest.Verdict{}, fmt.Errorf("ratelimit: leases: %w", ctx.Err())
	}
	now, need := l.o.Now(), int64(cost)
	if need < 1 {
		return rest.Verdict{}, errors.New("ratelimit: leases: a cost below 1")
	}
	if l.held.left >= need && !now.Before(l.held.from) && now.Before(l.held.until) {
		l.held.left -= need
		return rest.Verdict{Allowed: true}, nil
	}
	if now.Before(l.full) {
		return l.refuse(l.full.Sub(now)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(l.o.Budget, l.policy.slot))
	defer cancel()
	wait, err := l.renew(ctx, now, need)
	switch {
	case err != nil:
		return rest.Verdict{}, fmt.Errorf("ratelimit: leases: %w", err)
	case wait > 0:
		return l.refuse(wait), nil
	}
	l.held.left -= need
	return rest.Verdict{Allowed: true}, nil
}

func (l *Leases) refuse(wait time.Duration) rest.Verdict {
	return rest.Verdict{RetryAfter: wait + time.Duration(0.2*l.o.Random()*float64(wait))}
}

// renew takes a new lease and gives back what is left of the old one with the same write. The wait is how long there are
// fewer permits than needed; what could be had is held then.
func (l *Leases) renew(ctx context.Context, now time.Time, need int64) (wait time.Duration, err error) {
	k, n := l.policy.at(now), max(int64(l.o.Permits), need)
	out, err := update(ctx, l.table, l.exchange(k, n, now))
	var refused *store.ConditionFailedError
	if errors.As(err, &refused) {
		it, err := parse(refused.Old, now)
		if err != nil {
			return 0, err
		}
		if room := it.blocks[l.policy.name]; room > k {
			l.full = now.Add(l.policy.until(room, now))
			return l.full.Sub(now), nil
		}
		l.held = lease{} // its slot has gone, and its permits with it
		out, err = update(ctx, l.table, l.exchange(k, n, now))
		if err != nil {
			return 0, err
		}
	} else if err != nil {
		l.held = lease{} // it may have been given back
		return 0, err
	}
	it, err := parse(out.Attributes, now)
	l.held = lease{}
	if err != nil {
		return 0, err
	}
	l.litter = it.litter[:min(len(it.litter), litterRemoved)]
	r := it.rings[l.policy.name]
	if r[k] < n {
		return 0, errors.New("the counter answers without what was added")
	}
	wait = l.settle(ctx, now, k, n, need, r)
	tidy(ctx, l.table, l.key, it)
	return wait, nil
}

// exchange adds n permits to slot k and takes what is left of the lease out of its own.
func (l *Leases) exchange(k, n int64, now time.Time) *dynamodb.UpdateItemInput {
	back := check{policy: l.policy, cost: l.held.left, k: l.held.slot}
	if back.cost > 0 && back.k == k {
		n -= back.cost
	}
	in := charge(l.key, now, []check{{policy: l.policy, cost: n, k: k}}, l.litter)
	if back.cost == 0 {
		return in
	}
	slot := back.slotName(back.k)
	in.ExpressionAttributeValues[":left"] = store.N(back.cost)
	in.ConditionExpression = aws.String(*in.ConditionExpression + " AND " + slot + " >= :left")
	if back.k != k {
		in.ExpressionAttributeValues[":back"] = store.N(-back.cost)
		in.UpdateExpression = aws.String("ADD " + slot + " :back, " + (*in.UpdateExpression)[len("ADD "):])
	}
	in.ReturnValues = types.ReturnValueAllNew
	return in
}

// settle keeps as many of n permits as the limit leaves, and gives the rest back.
func (l *Leases) settle(ctx context.Context, now time.Time, k, n, need int64, r ring) time.Duration {
	others := r.total(k) - n
	keep := min(n, max(int64(l.policy.Max)-others, 0))
	l.held = lease{slot: k, left: keep, from: now, until: now.Add(l.life)}
	if keep == n {
		return 0
	}
	r[k] -= n - keep
	var blocked result
	if keep == 0 {
		blocked.full = r.room(k, 1)
		l.full = now.Add(l.policy.until(blocked.full, now))
	}
	// What cannot be given back stays counted until its slot goes, which is only stricter.
	_, _ = update(ctx, l.table, refund(l.key, []check{{policy: l.policy, cost: n - keep, k: k}}, []result{blocked}))
	if keep >= need {
		return 0
	}
	return l.policy.until(r.room(k, need-keep), now)
}

// Close gives back what is left of the lease: when a sandbox is told to end (SIGTERM), or will not be asked for long.
// Leases that were closed can be used again.
func (l *Leases) Close(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("ratelimit: leases: %w", ctx.Err())
	}
	held := l.held
	l.held = lease{}
	if held.left == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.Budget)
	defer cancel()
	_, err := update(ctx, l.table, correct(l.key, check{policy: l.policy, cost: held.left, k: held.slot}, -held.left))
	if err != nil && !errors.Is(err, store.ErrConditionFailed) {
		return fmt.Errorf("ratelimit: leases: %w", err)
	}
	return nil
}
