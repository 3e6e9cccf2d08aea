// Package fault makes calls fail as networks and AWS do, at the calls that a test chooses: late, throttled, refused by a
// broken server, never sent, answered after the caller had hung up, or cut off. One Plan works on HTTP (Transport, below
// the AWS SDK and its retries) and on the calls of a store in memory (DB, which has none). Clock is a time that jumps and
// stands still as a frozen sandbox's does. It is for tests; nothing that is deployed imports it.
package fault

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Kind is how a call fails. The zero value is a call that does not.
type Kind uint8

// The kinds of failure. Unsent, Throttled and Broken change nothing on the other side. After Lost and Truncated the other
// side has done what it was asked, and the caller does not know.
const (
	None      Kind = iota
	Unsent         // the connection is refused before a byte goes out
	Throttled      // refused with ThrottlingException, status 400
	Broken         // refused with InternalServerError, status 500
	Lost           // done; the connection is reset before the answer
	Truncated      // done; the answer ends in the middle
)

// Kinds are all ways to fail, for tests that try each.
func Kinds() []Kind { return []Kind{Unsent, Throttled, Broken, Lost, Truncated} }

// String names the kind, for the names of tests.
func (k Kind) String() string {
	return [...]string{"none", "unsent", "throttled", "broken", "lost", "truncated"}[k]
}

// Fault is what happens to one call: a wait that the call's context ends, then the failure.
type Fault struct {
	Kind  Kind
	Delay time.Duration
	// Unprocessed is how many keys or writes of a batch DB leaves out, as DynamoDB does for lack of capacity: the last
	// ones, and never all, since DynamoDB then refuses the call. Other calls, and Transport, have none to leave out.
	Unprocessed int
}

// Plan decides what happens to a call. number counts the calls from 0, operation is the action as AWS names it. A plan is
// asked once a call, one call at a time.
type Plan func(number int, operation string) Fault

// At lets only the call of that number fail.
func At(number int, f Fault) Plan {
	return func(n int, _ string) Fault { return f.when(n == number) }
}

// From lets every call from that number on fail.
func From(number int, f Fault) Plan {
	return func(n int, _ string) Fault { return f.when(n >= number) }
}

// First lets the first of an operation fail, whatever else is called.
func First(operation string, f Fault) Plan {
	done := false
	return func(_ int, op string) Fault {
		if done || op != operation {
			return Fault{}
		}
		done = true
		return f
	}
}

// Sometimes lets each call fail with a probability, in one of the ways given. The same seed fails the same calls when
// they come in the same order.
func Sometimes(seed uint64, probability float64, ways ...Fault) Plan {
	r := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // repeatable on purpose
	return func(int, string) Fault {
		if r.Float64() >= probability {
			return Fault{}
		}
		return ways[r.IntN(len(ways))]
	}
}

func (f Fault) when(on bool) Fault {
	if on {
		return f
	}
	return Fault{}
}

// counter asks a plan, one call at a time, and knows how many calls there were.
type counter struct {
	mu    sync.Mutex
	plan  Plan
	calls []string
}

func (c *counter) next(operation string) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.calls)
	c.calls = append(c.calls, operation)
	if c.plan == nil {
		return Fault{}
	}
	return c.plan(n, operation)
}

// Calls are the operations that were called so far, in order, those that failed included.
func (c *counter) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.calls...)
}

// Follow changes the plan and counts from 0 again.
func (c *counter) Follow(plan Plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plan, c.calls = plan, nil
}
