// Package breaker stops calling a dependency that does not answer, and finds out when it does again. A Breaker is one
// dependency's; Do calls through it, Transport does for HTTP clients.
//
// Guarantees. A circuit opens when, of at least 10 calls that ended in a window of ten buckets of a second, half failed or
// four in five were slow, or when 5 failed in a row with no more than 2 minutes between two. A failure opens it, or a slow
// call when too many are; a good one does not. It stays open for 15 s, then twice as long each time it opens again up
// to 100 s, all ±20 %, so never over 2 minutes; after 2 minutes closed it begins at 15 s again. Then it is half open: one
// call at a time is a probe, 2 that succeed and are not slow close it, one that fails or is slow opens it. A probe that
// says nothing for Timeout and 2 s no longer holds the others up. What a call reports after the circuit changed is not
// looked at. Only the dependency's failures count (Classify): neither the caller's cancellation nor a refusal of what was
// asked says anything about its health. A sandbox that was frozen wakes with no window, and with its open circuits half
// open once their time has passed.
//
// Limits. Nothing is shared: each sandbox finds out for itself, by 5 failures in a row at the latest, and sends a probe of
// its own. A shared state costs a read of a table where a healthy call now costs none, and is one more thing to be down;
// until a measurement says that it saves more, there is none, and one would be another Circuit around a Breaker. A breaker
// ends no call: deadlines are the caller's, and one that is too short counts as a timeout of the dependency. Freezes of
// less than 10 s together may go unnoticed, so that a call may count for up to 20 s. Traffic that is only refused (4xx)
// neither closes nor opens a half-open circuit.
//
// Order. Breaker inside, retry outside: each attempt passes the breaker and counts, and ErrOpen is for good, since the
// circuit is open for longer than a request can wait (example of Do; the AWS SDK does so when Transport is below it). A
// breaker around retries would count three failures as one and see a call as slow because of its waits.
//
// States and windows are sony/gobreaker's, one for failures and one for slowness. Around it is what it does not have:
// slowness, a wait that grows, one probe at a time (it lets as many in as must succeed), a lease, and a wall clock. It
// reads the runtime's clock, which stands still while a machine is suspended (golang/go#24595): alone, it would stay open
// for the rest of its timeout after an hour of freeze. It also files a result under the second in which the call began and
// drops it when that has left the window, so that no timeout over 10 s would count, and forgets a run of failures that is
// spread over more than the window. Therefore it is told of a call when the call ends, and runs are counted here.
package breaker

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/expenzez/aws-backend/internal/apperr"
)

// The numbers of the package comment.
const (
	window   = 10 * time.Second
	bucket   = time.Second
	enough   = 10 // calls, before a share of them means anything
	inARow   = 5
	probes   = 2 // that have to succeed
	shortest = 15 * time.Second
	longest  = 2 * time.Minute // that a circuit is open, that a run of failures is remembered, and until closed is stable
	jitter   = 0.2
	grace    = 2 * time.Second // of a probe, over its timeout
	thaw     = time.Second     // frozen for so long during a call, a sandbox learns nothing from its result
)

// State is what a circuit does with calls; its String is closed, open or half-open.
type State = gobreaker.State

// The states of a circuit.
const (
	Closed   = gobreaker.StateClosed   // lets calls pass
	Open     = gobreaker.StateOpen     // rejects them
	HalfOpen = gobreaker.StateHalfOpen // lets one at a time pass
)

// ErrOpen is the cause of every rejection, for errors.Is. The rejection itself is an *apperr.Error of the kind
// Unavailable that says when to try again.
var ErrOpen error = rejection{}

type rejection struct{}

func (rejection) Error() string { return "the circuit is open" }

// RetryableError keeps the AWS SDK from taking a rejection by a Transport below it for a connection that failed.
func (rejection) RetryableError() bool { return false }

// Circuit decides whether a call may be made. A Breaker is one; one that shares its state would be another.
type Circuit interface {
	// Allow lets a call pass or rejects it with an error that is ErrOpen. done has to be told how the call ended, nil for a
	// success; only the first time counts.
	Allow(ctx context.Context) (done func(error), err error)
}

// Watcher is told what circuits do, with the context of the call that made them do it.
type Watcher interface {
	// StateChanged is called in the order of the changes and while the circuit is locked: it has to be quick, and must not
	// use the circuit.
	StateChanged(ctx context.Context, dependency string, from, to State)
	// Rejected is called for each call that was not made.
	Rejected(ctx context.Context, dependency string)
}

// Options tune a breaker. The zero value is for a dependency that answers well within 5 s.
type Options struct {
	Code    string        // public code of a rejection; empty: the dependency's name and "_unavailable"
	Timeout time.Duration // the longest that a caller waits for one call; 0: 10 s. The breaker itself ends none
	Slow    time.Duration // a call that takes longer is slow, whatever its result; 0: half of Timeout

	Classify func(error) Outcome // of a call's error; nil: the function Classify. For concurrent use
	Watcher  Watcher             // nil: nobody

	// Now is the wall clock; nil: time.Now. How long a call took is of the runtime's clock whatever Now says: the difference
	// between the two is how long the sandbox was frozen.
	Now    func() time.Time
	Random func() float64 // in [0, 1): spreads how long circuits are open; nil: math/rand/v2
}

// Breaker is the circuit to one dependency, of one sandbox. It is safe for concurrent use.
type Breaker struct {
	name string
	o    Options

	mu    sync.Mutex
	state State  // as the library told last; an open one is asked only when its time has passed
	since moment // when the state began
	turns uint64 // changes of state and probes so far: a result of an earlier turn is stale

	failures *gobreaker.CircuitBreaker[struct{}] // has the state and the window of failures
	slowness *gobreaker.CircuitBreaker[struct{}] // has the window of slow calls alone, as failures, and never opens
	windows  moment                              // when both windows began

	run     int    // failures in a row
	runLast moment // when the last of them was

	opened int           // times in this series that the circuit opened
	length time.Duration // for which it is open

	probing bool
	probed  moment // when the probe began
}

var _ Circuit = (*Breaker)(nil)

// New makes a closed circuit. The dependency's name is for codes and metrics, as in "openai".
func New(dependency string, o Options) *Breaker {
	o.Code = cmp.Or(o.Code, dependency+"_unavailable")
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Slow = cmp.Or(o.Slow, o.Timeout/2)
	if o.Classify == nil {
		o.Classify = Classify
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	b := &Breaker{name: dependency, o: o}
	b.since = b.now()
	b.clear(b.since)
	return b
}

// State is what the circuit would do with a call now: HalfOpen once the time that it is open has passed.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Open && b.now().after(b.since) >= b.length {
		return HalfOpen
	}
	return b.state
}

// errPanicked is how a call ended that panicked: what Classify knows nothing of.
var errPanicked = errors.New("the call panicked")

// Do makes a call through a circuit. It returns what the call returned, or a rejection if it was not made. The call
// gets the context as it is, and has to end with it.
func Do[T any](ctx context.Context, c Circuit, call func(context.Context) (T, error)) (T, error) {
	done, err := c.Allow(ctx)
	if err != nil {
		var none T
		return none, err
	}
	end := errPanicked
	defer func() { done(end) }()
	v, err := call(ctx)
	end = err
	return v, err
}

// Allow lets a call pass or rejects it. A probe whose done is never called is taken for lost after Timeout and 2 s.
func (b *Breaker) Allow(ctx context.Context) (func(error), error) {
	began, turn, wait := b.enter(ctx)
	if wait > 0 {
		if b.o.Watcher != nil {
			b.o.Watcher.Rejected(ctx, b.name)
		}
		return nil, apperr.New(apperr.Unavailable, b.o.Code, "").After(max(wait, time.Second)).Because(ErrOpen)
	}
	told := false
	return func(err error) {
		outcome := b.outcome(ctx, err)
		b.mu.Lock()
		defer b.mu.Unlock()
		if !told && turn == b.turns {
			b.settle(ctx, began, outcome)
		}
		told = true
	}, nil
}

// outcome is Classify's with what the context knows better: that the caller hung up, and that the time was over, for
// which clients have words of their own (http.Client's Timeout around a Transport: request canceled).
func (b *Breaker) outcome(ctx context.Context, err error) Outcome {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return Ignored
	}
	if deadline, ok := ctx.Deadline(); ok && err != nil && !time.Now().Before(deadline) {
		err = errors.Join(err, context.DeadlineExceeded)
	}
	return b.o.Classify(err)
}

// enter admits a call and says in which turn, or for how long it has to wait.
func (b *Breaker) enter(ctx context.Context) (began moment, turn uint64, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.state == Open {
		if left := b.length - now.after(b.since); left > 0 {
			return now, 0, left
		}
		if b.failures.State() == Open { // its own timeout is over at once, so that asking makes it half open
			return now, 0, time.Nanosecond // unless the runtime's clock stands still
		}
		b.changed(ctx, now, Open)
	}
	if b.state == HalfOpen {
		if left := b.o.Timeout + grace - now.after(b.probed); b.probing && left > 0 {
			return now, 0, left
		}
		b.probing, b.probed = true, now
		b.turns++
	}
	return now, b.turns, 0
}

// settle counts a call of this turn.
func (b *Breaker) settle(ctx context.Context, began moment, outcome Outcome) {
	now := b.now()
	b.probing = false
	if outcome == Ignored || now.frozen(began) >= thaw {
		return
	}
	before := b.state
	if before == Closed && now.frozen(b.windows).Abs() >= window { // the library knows nothing of it
		b.clear(now)
	}
	failed := outcome == Failure
	if before == Closed {
		b.follow(now, outcome)
	}
	if now.run.Sub(began.run) > b.o.Slow {
		count(b.slowness, true)
		failed = failed || before == HalfOpen || b.tooSlow(b.withSuccess())
	}
	count(b.failures, failed)
	b.changed(ctx, now, before)
}

// follow counts failures in a row.
func (b *Breaker) follow(now moment, outcome Outcome) {
	if outcome == Success || now.after(b.runLast) > longest {
		b.run = 0
	}
	if outcome == Failure {
		b.run++
		b.runLast = now
	}
}

var errCounts = errors.New("counts as a failure")

// count tells a breaker of the library of a call that has ended.
func count(c *gobreaker.CircuitBreaker[struct{}], failed bool) {
	_, _ = c.Execute(func() (struct{}, error) {
		if failed {
			return struct{}{}, errCounts
		}
		return struct{}{}, nil
	})
}

// withSuccess is the window after one more success. Asking for the state drops what has left the window.
func (b *Breaker) withSuccess() gobreaker.Counts {
	b.failures.State()
	c := b.failures.Counts()
	c.TotalSuccesses++
	return c
}

// tooSlow tells whether too many of the calls of a window were slow.
func (b *Breaker) tooSlow(c gobreaker.Counts) bool {
	b.slowness.State()
	calls := c.TotalSuccesses + c.TotalFailures
	return calls >= enough && 5*b.slowness.Counts().TotalFailures >= 4*calls
}

// trips is asked after each failure, with the window that it is in.
func (b *Breaker) trips(c gobreaker.Counts) bool {
	calls := c.TotalSuccesses + c.TotalFailures
	return b.run >= inARow || calls >= enough && 2*c.TotalFailures >= calls || b.tooSlow(c)
}

// clear begins both windows anew; the circuit is closed.
func (b *Breaker) clear(now moment) {
	o := gobreaker.Settings{Interval: window, BucketPeriod: bucket, ReadyToTrip: func(gobreaker.Counts) bool { return false }}
	b.slowness, b.windows = gobreaker.NewCircuitBreaker[struct{}](o), now
	o.MaxRequests, o.Timeout, o.ReadyToTrip = probes, 1, b.trips // how long it is open is decided here, by the wall clock
	o.OnStateChange = func(_ string, _, to State) { b.state = to }
	b.failures = gobreaker.NewCircuitBreaker[struct{}](o)
}

// changed does what a change of state entails, if the state is another than before.
func (b *Breaker) changed(ctx context.Context, now moment, before State) {
	if b.state == before {
		return
	}
	switch b.state {
	case Open:
		if before == Closed && now.after(b.since) >= longest {
			b.opened = 0
		}
		b.length = length(b.opened, b.o.Random())
		b.opened++
	case Closed:
		b.run = 0
		b.clear(now)
	}
	b.turns++
	b.since = now
	if b.o.Watcher != nil {
		b.o.Watcher.StateChanged(ctx, b.name, before, b.state)
	}
}

// length is how long a circuit is open that opened n times before, in a row. Its middle stops where the jitter would
// exceed the longest, so that the longest are spread as well.
func length(n int, random float64) time.Duration {
	most := float64(longest) / (1 + jitter)
	middle := float64(shortest)
	for ; n > 0 && middle < most; n-- {
		middle *= 2
	}
	return time.Duration(min(middle, most) * (1 - jitter + 2*jitter*random))
}

// moment is a time on both clocks: the wall's, which goes on while the sandbox is frozen but can be set, and the
// runtime's, which never goes back but may stand still.
type moment struct{ wall, run time.Time }

func (b *Breaker) now() moment {
	now := time.Now()
	if b.o.Now == nil {
		return moment{now.Round(0), now}
	}
	return moment{b.o.Now().Round(0), now}
}

// after is how long after another moment this is, by the clock that saw more.
func (m moment) after(other moment) time.Duration {
	return max(m.wall.Sub(other.wall), m.run.Sub(other.run))
}

// frozen is how long only the wall clock went on.
func (m moment) frozen(since moment) time.Duration {
	return m.wall.Sub(since.wall) - m.run.Sub(since.run)
}
