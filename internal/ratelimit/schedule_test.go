package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

// A schedule says what happens next wherever something could: which caller starts, whose call reaches the store, what
// becomes of it, and when time passes. It is a list of choices; beyond its end the first choice is taken.
type schedule struct {
	choices []int
	options []int // how many there were at each point
}

func (s *schedule) choose(n int) int {
	i := len(s.options)
	s.options = append(s.options, n)
	if i < len(s.choices) {
		return s.choices[i]
	}
	return 0
}

// next is the schedule after this one, in the order of a depth-first search; nil after the last.
func (s *schedule) next() *schedule {
	choices := append([]int{}, s.choices...)
	for len(choices) < len(s.options) {
		choices = append(choices, 0)
	}
	for i := len(s.options) - 1; i >= 0; i-- {
		if choices[i]+1 < s.options[i] {
			choices[i]++
			return &schedule{choices: choices[:i+1]}
		}
	}
	return nil
}

// universe is callers whose calls reach the store one at a time as a schedule says. Caller i is of sandbox i modulo the
// number of sandboxes.
type universe struct {
	clock    *clock
	limiters []*ratelimit.Limiter
	store    store.Updater
	pending  []*pendingCall // by caller; nil: not waiting
	arrived  chan int
	started  []time.Time
	verdicts []bool
}

type pendingCall struct {
	in     *dynamodb.UpdateItemInput
	answer chan reply
}

type reply struct {
	out *dynamodb.UpdateItemOutput
	err error
}

// gate holds the calls of a caller until the schedule lets them through.
type gate struct {
	store.Updater
	u *universe
}

type callerKey struct{}

func (g gate) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	call := &pendingCall{in, make(chan reply)}
	caller := ctx.Value(callerKey{}).(int)
	g.u.pending[caller] = call
	g.u.arrived <- caller
	r := <-call.answer
	return r.out, r.err
}

var errCut = errors.New("cut off")

// run plays a schedule to its end and tells when the admitted read their clocks.
func run(t testing.TB, s *schedule, callers, limit, jumps, faults int, skews []time.Duration) []time.Time {
	_, updater := memory()
	u := &universe{clock: newClock(), store: updater, pending: make([]*pendingCall, callers), arrived: make(chan int),
		started: make([]time.Time, callers), verdicts: make([]bool, callers)}
	for _, skew := range skews {
		l, err := ratelimit.New(gate{u: u}, service.Function{Routes: function.Routes[:1]},
			map[service.Limit]environ.Limit{service.LimitAPI: {Max: limit, Per: window}},
			ratelimit.Options{Now: u.clock.skewed(skew), Budget: time.Minute, Random: func() float64 { return 0 }})
		require.NoError(t, err)
		u.limiters = append(u.limiters, l)
	}
	next := 0 // callers are alike but for their clocks: they start in order
	for {
		var waiting []int
		for i, p := range u.pending {
			if p != nil {
				waiting = append(waiting, i)
			}
		}
		starts, passes := 0, 0
		if next < callers {
			starts = 1
		}
		if jumps > 0 && (len(waiting) > 0 || next > 0 && next < callers) {
			passes = len(leaps)
		}
		if starts+len(waiting) == 0 {
			break
		}
		switch choice := s.choose(starts + len(waiting) + passes); {
		case choice < starts:
			u.start(next)
			next++
		case choice < starts+len(waiting):
			faults -= u.pass(s, waiting[choice-starts], faults)
		default:
			jumps--
			u.clock.advance(leaps[choice-starts-len(waiting)])
		}
	}
	var admitted []time.Time
	for i, v := range u.verdicts {
		if v {
			admitted = append(admitted, u.started[i])
		}
	}
	return admitted
}

// leaps are the times that pass: to where the first slot is the oldest that counts, and to where it no longer does.
var leaps = []time.Duration{window - slot, 2 * slot}

func (u *universe) start(i int) {
	u.started[i] = u.clock.now()
	go func() {
		ctx := context.WithValue(testContext, callerKey{}, i)
		v, err := u.limiters[i%len(u.limiters)].Count(ctx, []rest.Count{api("ada")})
		u.verdicts[i] = err == nil && v.Allowed
		u.arrived <- i
	}()
	<-u.arrived // waits for its call, or is done
}

// pass lets a call of a caller through. What becomes of it is up to the schedule while there are faults left: it is done,
// done and its answer lost, or not done. A call that comes later than a slot after its caller's start has no caller any
// more: its answer is lost in any case. It returns how many faults it took.
func (u *universe) pass(s *schedule, i, faults int) int {
	call := u.pending[i]
	u.pending[i] = nil
	fate, took := 0, 0
	if faults > 0 {
		if fate = s.choose(3); fate != 0 {
			took = 1
		}
	}
	r := reply{err: errCut}
	if fate != 2 {
		r.out, r.err = u.store.UpdateItem(testContext, call.in)
	}
	if fate == 1 || u.clock.now().Sub(u.started[i]) > slot {
		r = reply{err: errCut}
	}
	call.answer <- r
	<-u.arrived
	return took
}

// Every schedule of a few callers: in whatever order their counts and refunds reach the store, whatever time passes
// between, and whichever call fails or loses its answer, no window admits more than the limit.
func TestEverySmallSchedule(t *testing.T) {
	t.Parallel()
	const skew = slot / 5
	cases := map[string]struct {
		callers, limit, jumps, faults int
		skews                         []time.Duration
	}{
		"three_for_one":            {3, 1, 1, 0, []time.Duration{0, 0, 0}},
		"three_for_one_with_skew":  {3, 1, 1, 0, []time.Duration{-skew, skew, 0}},
		"three_for_one_two_leaps":  {3, 1, 2, 0, []time.Duration{0, 0, 0}},
		"three_for_one_with_fault": {3, 1, 1, 1, []time.Duration{0, 0, 0}},
		"four_for_two":             {4, 2, 1, 0, []time.Duration{0, 0, 0, 0}},
		"of_one_sandbox":           {3, 1, 2, 0, []time.Duration{0}},
		"of_two_sandboxes":         {4, 2, 1, 0, []time.Duration{skew, -skew}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			allowed := 2 * slices.Max(c.skews)
			n, most := 0, 0
			for s := (&schedule{}); s != nil; s = s.next() {
				got := densest(run(t, s, c.callers, c.limit, c.jumps, c.faults, c.skews), window-allowed)
				require.LessOrEqual(t, got, c.limit, fmt.Sprint("schedule ", s.choices))
				most = max(most, got)
				n++
			}
			require.Equal(t, c.limit, most)
			t.Logf("%d schedules", n)
		})
	}
}
