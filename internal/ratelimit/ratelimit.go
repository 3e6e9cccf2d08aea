// Package ratelimit admits a caller at most so often in any window of time, over all sandboxes of all functions, and
// learns on the way whether the caller's access token was revoked.
//
// All counters of a subject are in one DynamoDB item: for each class and route a ring of named slots, ten for a window,
// that every sandbox adds to with one UpdateItem and reads back in the same call. A request is admitted when all that
// counts, its own addition included, is within the limit.
//
// What a caller may rely on:
//   - While the store answers, never more than the limit is admitted in any window less twice the clock skew (of up to half
//     a slot), however many sandboxes ask at once, whatever is lost on the way, and whatever is given back. The time of a
//     request is when its sandbox read its clock; a count that takes longer than a slot fails.
//   - A refused request counts nowhere in the item of its refusal. One that another item refuses stays counted in the first.
//   - The answer to a count holds the revocations of package revoke: a token that was revoked before the count is refused
//     by it, with no call more. Where the item cannot know, because it is younger than the token, the verdict says so, and
//     the table of revoked tokens is to be asked once (Live).
//   - The item stays small: what is out of use is removed by the next write (see item.go).
//
// Its limits: a request counts for up to a slot longer than the window, so that the rate which can be kept up is 10/11 of
// the limit. Failures, and costly requests that are refused while a cheap one asks, make it stricter, for up to a window.
// A call that fails admits nobody of a closed class, and each sandbox up to the limit of an open one. After five failures in
// a row a sandbox leaves the store alone for two seconds, and up to a quarter of the limit of a closed class is admitted
// by it. So any window admits at most the limit by the store and, in each sandbox that it fails, the limit once more, or a
// quarter. Whether a token was revoked must then be asked of the table of revoked tokens.
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

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

const (
	// Budget is how long counting a request may take unless Options say otherwise, and less than a slot in any case.
	Budget = 60 * time.Millisecond
	// coldBudgets is how many budgets a call may take until the store has answered the first: a sandbox that starts has
	// to resolve, connect and shake hands first, and a closed class would greet its first caller with 503.
	coldBudgets = 10
	// longest is the longest window: items are kept for two.
	longest = revoke.Kept / 2
)

// Options tune a limiter. The zero value is the strict one.
type Options struct {
	// Open lists the classes that go on being admitted while the store does not answer: each sandbox admits by itself while
	// it has admitted less than the limit in the window, and refuses then. All others are closed: Count fails. Only while
	// the store is left alone, after several failures in a row, a sandbox admits by itself what makes a quarter of the
	// limit, rounded down, with all that it has admitted in the window.
	Open   []service.Limit
	Budget time.Duration    // for all calls of one Count; 0: the constant Budget. Ten times as much until the first answer
	Now    func() time.Time // nil: time.Now
	Random func() float64   // in [0, 1), for concurrent use: spreads Retry-After; nil: math/rand/v2
	// Fallback is told of every count that was decided without the store, as a metric is; for concurrent use. nil: nobody.
	Fallback func(ctx context.Context, class service.Limit, allowed bool)
}

// quarter is what part of a closed class's limit a sandbox admits while the store does not answer.
const quarter = 4

// Limiter counts requests. It is safe for concurrent use.
type Limiter struct {
	table    store.Updater
	policies map[counter]policy
	o        Options
	memory   memory
}

// counter is what has numbers of its own.
type counter struct {
	class service.Limit
	route string
}

var _ rest.Limiter = (*Limiter)(nil)

// New makes a limiter on the table rate-limits for the routes of a function, and for each class over all routes. limits
// are the numbers of each class. The error lists every class whose numbers cannot be used, every route whose class has
// none, and counters that cannot be told apart. A store.Table is used without retries: a failed call is answered by the
// fallback, and a refund that was applied twice would give a permit back twice.
func New(table store.Updater, f service.Function, limits map[service.Limit]environ.Limit, o Options) (*Limiter, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Fallback == nil {
		o.Fallback = func(context.Context, service.Limit, bool) {}
	}
	o.Budget = cmp.Or(o.Budget, Budget)
	l := &Limiter{table: once(table), policies: map[counter]policy{}, o: o}
	var problems []error
	names := map[string]counter{}
	add := func(c counter) {
		p := newPolicy(c.class, c.route, limits[c.class])
		if other, taken := names[p.name]; taken && other != c {
			problems = append(problems, fmt.Errorf("routes %q and %q have one name: rename one", other.route, c.route))
		}
		names[p.name], l.policies[c] = c, p
	}
	for _, class := range slices.Sorted(maps.Keys(limits)) {
		if err := usable(limits[class]); err != nil {
			problems = append(problems, fmt.Errorf("class %q: %w", class, err))
		}
		add(counter{class, ""})
	}
	for _, r := range f.Routes {
		if r.Limit == service.LimitNone {
			continue
		}
		if _, ok := limits[r.Limit]; !ok {
			problems = append(problems, fmt.Errorf("route %s: class %q has no numbers", r.ID, r.Limit))
		}
		add(counter{r.Limit, r.ID})
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("ratelimit: %w", errors.Join(problems...))
	}
	return l, nil
}

func usable(n environ.Limit) error {
	if n.Max < 1 || n.Per < time.Second || n.Per > longest || n.Per%time.Second != 0 {
		return fmt.Errorf("%d in %s: a limit is at least 1 in whole seconds, at most %s", n.Max, n.Per, longest)
	}
	return nil
}

func once(table store.Updater) store.Updater {
	if t, ok := table.(store.Table); ok {
		return t.With(store.Once)
	}
	return table
}

// check is one count of a request.
type check struct {
	policy
	cost int64
	k    int64 // the slot of the time of the request
	own  int   // what a sandbox admits by itself
	open bool
}

// group is the counts of a request that are in one item.
type group struct {
	key    string
	token  revoke.Token
	live   time.Time // when the token was last known not to be revoked
	now    time.Time
	checks []check
}

// result is what became of a check. Without err, counted is the requests that count, this one included if it is allowed,
// and room is the slot in which there is room, or there are fewer. full is the slot before which there is room for nobody,
// 0 while there is some.
type result struct {
	allowed bool
	counted int64
	room    int64
	full    int64
	local   bool // decided without the store
	err     error
}

// answer is what became of a group: the results of its checks, and what was read of its token.
type answer struct {
	results []result
	token   rest.TokenState
}

// Count counts a request against all counts at once and refuses it when one of them is full or its token has ended. What
// the items of other subjects counted stays counted: an attempt is an attempt. A caller that is known to be refused costs
// no call. The error is for a count without numbers, and for a closed class whose counter did not answer, unless another
// count refuses anyway. The verdict beside it says when to come again.
func (l *Limiter) Count(ctx context.Context, counts []rest.Count) (rest.Verdict, error) {
	groups, err := l.groups(counts)
	if err != nil {
		return rest.Verdict{}, err
	}
	if v, known := l.refused(groups); known {
		return v, nil
	}
	return l.verdict(groups, l.ask(ctx, groups))
}

// Refused is the verdict on a caller that this sandbox knows to be refused: its counter is full or its token has ended.
// It costs no call and counts nothing.
func (l *Limiter) Refused(counts []rest.Count) (rest.Verdict, bool) {
	groups, err := l.groups(counts)
	if err != nil {
		return rest.Verdict{}, false
	}
	return l.refused(groups)
}

func (l *Limiter) refused(groups []group) (rest.Verdict, bool) {
	for _, g := range groups {
		if l.memory.ended(g) {
			return rest.Verdict{Token: rest.TokenEnded}, true
		}
	}
	for _, g := range groups {
		for _, c := range g.checks {
			if r, known := l.memory.blocked(g.key, c); known {
				v, err := l.verdict([]group{{now: g.now, checks: []check{c}}}, []answer{{results: []result{r}}})
				return v, err == nil
			}
		}
	}
	return rest.Verdict{}, false
}

// groups sorts the counts by item, in the order in which they come.
func (l *Limiter) groups(counts []rest.Count) ([]group, error) {
	now := l.o.Now()
	var all []group
	for _, c := range counts {
		p, ok := l.policies[counter{c.Class, c.Route}]
		if !ok {
			return nil, fmt.Errorf("ratelimit: the class %q has no numbers for route %q", c.Class, c.Route)
		}
		if c.Cost < 0 || c.Token != (revoke.Token{}) && c.Subject != revoke.Subject(c.Token.User) {
			return nil, fmt.Errorf("ratelimit: class %q: a cost below 0, or a token of another subject", c.Class)
		}
		key := revoke.CounterKey(c.Subject)
		i := slices.IndexFunc(all, func(g group) bool { return g.key == key })
		if i < 0 {
			i, all = len(all), append(all, group{key: key, now: now})
		}
		g := &all[i]
		if slices.ContainsFunc(g.checks, func(x check) bool { return x.name == p.name }) {
			return nil, fmt.Errorf("ratelimit: class %q: one count twice", c.Class)
		}
		if c.Token != (revoke.Token{}) {
			g.token, g.live = c.Token, l.memory.live(key, c.Token)
		}
		x := check{policy: p, cost: int64(cmp.Or(c.Cost, 1)), k: p.at(now), own: p.Max / quarter, open: slices.Contains(l.o.Open, c.Class)}
		if x.open {
			x.own = p.Max
		}
		g.checks = append(g.checks, x)
	}
	return all, nil
}

// ask counts the groups at the same time, within one budget, and returns when all are done: a sandbox may be frozen after.
func (l *Limiter) ask(ctx context.Context, groups []group) []answer {
	budget := l.o.Budget
	if !l.memory.warm() {
		budget *= coldBudgets
	}
	for _, g := range groups {
		for _, c := range g.checks { // later, what was read could be out of use already
			budget = min(budget, c.slot)
		}
	}
	answers := make([]answer, len(groups))
	inTime, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil { // in a goroutine of its own it would end the process
					answers[i] = failed(g, fmt.Errorf("ratelimit: panic: %v", p))
				}
			}()
			answers[i] = l.one(ctx, inTime, g)
		})
	}
	wg.Wait()
	return answers
}

func failed(g group, err error) answer {
	a := answer{results: make([]result, len(g.checks))}
	for i := range a.results {
		a.results[i].err = err
	}
	return a
}

// errPaused is why the store was not asked.
var errPaused = errors.New("the store failed too often and is left alone for a moment")

// one decides one group. ctx is the request's own, inTime ends with the budget.
func (l *Limiter) one(ctx, inTime context.Context, g group) answer {
	a, err := answer{}, errPaused
	if !l.memory.paused(g.now) {
		a, err = l.count(inTime, g)
		if err != nil && ctx.Err() != nil { // it is the request that ended, not the store that failed
			return failed(g, fmt.Errorf("ratelimit: %w", err))
		}
		if err != nil {
			l.memory.failed(g.now)
		}
	}
	if err == nil {
		return a
	}
	a = answer{results: make([]result, len(g.checks))}
	for i, c := range g.checks {
		var r result
		if c.open || errors.Is(err, errPaused) {
			r = l.memory.count(g.key, c)
		}
		l.o.Fallback(ctx, c.class, r.allowed)
		telemetry.Count(ctx, telemetry.LimiterFallback, 1)
		telemetry.From(ctx).WarnContext(ctx, "caller limit without its store", "class", string(c.class), "allowed", r.allowed, telemetry.FieldError, err)
		if !r.allowed && !c.open {
			r.err = fmt.Errorf("ratelimit: class %s: %w", c.class, err)
		}
		a.results[i] = r
	}
	return a
}

// count adds the request to its counters: one call, and a second one only for a request that is refused by what it read
// and must be taken out again, or where an item has grown.
func (l *Limiter) count(ctx context.Context, g group) (answer, error) {
	out, err := update(ctx, l.table, charge(g.key, g.now, g.checks, l.memory.litter(g.key)))
	var blocked *store.ConditionFailedError
	if errors.As(err, &blocked) {
		return l.blocked(g, blocked.Old)
	}
	if err != nil {
		return answer{}, err
	}
	it, err := parse(out.Attributes, g.now)
	if err != nil {
		return answer{}, err
	}
	a, err := settle(g, it)
	if err != nil {
		return answer{}, err
	}
	if !a.admitted() {
		if _, err := update(ctx, l.table, refund(g.key, g.checks, a.results)); err != nil { // it counts until its slot goes, which is only stricter
			telemetry.From(ctx).WarnContext(ctx, "caller limit keeps a refused request", "class", string(g.checks[0].class), telemetry.FieldError, err)
		}
	}
	l.memory.learn(g, it, a)
	tidy(ctx, l.table, g.key, it)
	if n := len(it.marks); n > revoke.MaxMarks {
		if _, err := update(ctx, l.table, forget(g.key, it.marks, g.now)); err != nil && !errors.Is(err, store.ErrConditionFailed) {
			telemetry.From(ctx).WarnContext(ctx, "caller limit keeps many revocations", "attributes", n, telemetry.FieldError, err)
		}
	}
	return a, nil
}

// tidy removes what is out of use at once when it is much. Failing to only leaves it there.
func tidy(ctx context.Context, table store.Updater, key string, it item) {
	n := len(it.litter)
	if n <= litterKept {
		return
	}
	if _, err := update(ctx, table, clean(key, it.litter[:min(n, litterRemoved)])); err != nil {
		telemetry.From(ctx).WarnContext(ctx, "caller limit keeps what is out of use", "attributes", n, telemetry.FieldError, err)
	}
}

// Live takes note that the table of revoked tokens, asked at that time or later, did not refuse a token. While it is
// remembered, an item that is complete since before that time tells all that there is to know.
func (l *Limiter) Live(t revoke.Token, at time.Time) {
	l.memory.vouch(revoke.CounterKey(revoke.Subject(t.User)), t, at)
}

// conflicts is how often a write is made that transactions on the same item cancel; a revocation is one. Nothing was done
// then, so that it is safe for refunds too.
const conflicts = 3

func update(ctx context.Context, table store.Updater, in *dynamodb.UpdateItemInput) (out *dynamodb.UpdateItemOutput, err error) {
	for range conflicts {
		out, err = table.UpdateItem(ctx, in)
		var conflict *types.TransactionConflictException
		if !errors.As(err, &conflict) {
			break
		}
	}
	return out, err
}

// blocked reads the refusal of an item with a block.
func (l *Limiter) blocked(g group, old store.Item) (answer, error) {
	it, err := parse(old, g.now)
	if err != nil {
		return answer{}, err
	}
	a := answer{results: make([]result, len(g.checks)), token: state(g, it)}
	refused := false
	for i, c := range g.checks {
		a.results[i] = c.within(it.rings[c.name])
		if room := it.blocks[c.name]; room > c.k {
			a.results[i] = result{counted: a.results[i].counted, room: room, full: room}
			refused = true
		}
	}
	if !refused {
		return answer{}, errors.New("the counter refuses for no reason that it tells")
	}
	l.memory.learn(g, it, a)
	return a, nil
}

// within is the result of a check that this ring counts.
func (c check) within(n ring) result {
	r := result{allowed: true, counted: n.total(c.k), room: n.room(c.k, 1)}
	if r.counted >= int64(c.Max) {
		r.full = r.room
	}
	return r
}

// settle decides by what was read back. A group that is not admitted is to be taken out again.
func settle(g group, it item) (answer, error) {
	a := answer{results: make([]result, len(g.checks)), token: state(g, it)}
	admitted := a.token != rest.TokenEnded
	for i, c := range g.checks {
		n := it.rings[c.name]
		if n[c.k] < c.cost {
			return answer{}, errors.New("the counter answers without what was added")
		}
		a.results[i] = c.within(n)
		admitted = admitted && a.results[i].counted <= int64(c.Max)
	}
	if admitted {
		return a, nil
	}
	for i, c := range g.checks {
		n := it.rings[c.name]
		n[c.k] -= c.cost
		a.results[i] = c.within(n)
		// Others that will be refused may be among what counts: more than the limit is not taken for granted.
		if free := int64(c.Max) - min(a.results[i].counted, int64(c.Max)); c.cost > free {
			a.results[i].allowed, a.results[i].room = false, n.room(c.k, c.cost-free)
		}
	}
	return a, nil
}

// state is what an item tells of the group's token. Without a mark it is live if it was when the marks began to be
// complete; else the table of revoked tokens knows.
func state(g group, it item) rest.TokenState {
	switch {
	case g.token == (revoke.Token{}):
		return rest.TokenUnknown
	case slices.ContainsFunc(it.marks, func(m revoke.Mark) bool { return m.Ends(g.token, g.now) }):
		return rest.TokenEnded
	case g.live.Unix() > it.since:
		return rest.TokenLive
	default:
		return rest.TokenUnknown
	}
}
