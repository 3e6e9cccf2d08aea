// Package retry is the one layer of retries: full jitter between attempts, a budget so that retries cannot double the
// load of a service that is down, and no attempt that could not end before its deadline. Retryer is the policy for
// clients of the AWS SDK, Do for everything else. What is retried has to be safe to repeat; only the caller knows that.
//
// Guarantees: at most Attempts calls; a wait before attempt n+1 of at most min(Cap, Base × 2^(n-1)), each value below as
// likely (AWS Architecture Blog, "Exponential Backoff and Jitter"); in the long run at most one retry for ten calls that
// needed none, after a reserve of 50. Limits: the budget is one sandbox's, and starts full with it.
package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// The budget, in the tokens of the SDK's bucket.
const (
	tokens = 500
	spent  = 10 // by a retry
	earned = 1  // by a call that succeeded at once
)

// Policy says how to try again. The zero value is right for an AWS call that a request waits for.
type Policy struct {
	Attempts int           // of one call, the first included; 0: 3
	Base     time.Duration // longest wait before the second attempt; 0: 50 ms
	Cap      time.Duration // longest wait before any; 0: 1 s
	// Call is how long an attempt usually takes: with less left before the deadline, none is begun. 0: 20 ms.
	Call time.Duration
	// Random gives numbers in [0, 1), for concurrent use; nil: math/rand/v2.
	Random func() float64
	// Sleep waits, or returns the context's error; nil: a timer. Do's only: the SDK sleeps by itself.
	Sleep func(context.Context, time.Duration) error
}

func (p Policy) withDefaults() Policy {
	p.Attempts = cmp.Or(p.Attempts, 3)
	p.Base, p.Cap, p.Call = cmp.Or(p.Base, 50*time.Millisecond), cmp.Or(p.Cap, time.Second), cmp.Or(p.Call, 20*time.Millisecond)
	if p.Random == nil {
		p.Random = rand.Float64
	}
	if p.Sleep == nil {
		p.Sleep = Sleep
	}
	return p
}

// Wait is the wait after attempt n, counted from 1.
func (p Policy) Wait(n int) time.Duration {
	p = p.withDefaults()
	most := p.Base
	for ; n > 1 && most < p.Cap; n-- {
		most *= 2
	}
	return time.Duration(p.Random() * float64(min(most, p.Cap)))
}

// inTime tells whether an attempt begun after a wait could still end before the context's deadline.
func (p Policy) inTime(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) > wait+p.Call)
}

// Retrier tries calls again by a policy and within a budget of its own. It is safe for concurrent use.
type Retrier struct {
	p      Policy
	budget *ratelimit.TokenRateLimit
}

// New makes a retrier with a full budget: one for each service that is called.
func New(p Policy) *Retrier {
	return &Retrier{p: p.withDefaults(), budget: ratelimit.NewTokenRateLimit(tokens)}
}

// Verdict is what a failure means. The zero value is a failure for good.
type Verdict struct {
	Again bool          // another attempt may succeed, and is safe
	After time.Duration // not before; what a Retry-After asked for. It may be longer than Cap; past the deadline nothing is tried
}

// ErrBudget is why a failure that could be retried was not: too many others were.
var ErrBudget = errors.New("the budget of retries is spent")

// Do calls until a call succeeds, judge says that its failure is for good, or there is no attempt, time or budget left.
// n counts attempts from 1. The error is that of the last call, with ErrBudget where that was the reason to stop.
func (r *Retrier) Do(ctx context.Context, call func(ctx context.Context, n int) error, judge func(error) Verdict) error {
	for n := 1; ; n++ {
		err := call(ctx, n)
		if err == nil {
			if n == 1 {
				_ = r.budget.AddTokens(earned) // never fails
			}
			return nil
		}
		v := judge(err)
		wait := max(r.p.Wait(n), v.After)
		if !v.Again || n >= r.p.Attempts || !r.p.inTime(ctx, wait) {
			return err
		}
		if _, spentErr := r.budget.GetToken(ctx, spent); spentErr != nil {
			return fmt.Errorf("%w: %w", err, ErrBudget)
		}
		if r.p.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

// Sleep waits, unless the context ends first: then the error is the context's.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// retryer is the SDK's own classification of failures with the policy in place of its waits: the SDK waits a second after
// a throttle, which outlasts a request.
type retryer struct {
	*retry.Standard
	p Policy
}

var _ aws.RetryerV2 = retryer{}

// cutOff is an answer that ended in the middle, which the SDK takes for good: it is a lost answer like a connection reset.
func cutOff(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// Retryer is the policy for one client of the SDK. more adds failures that are retried beside those that the SDK knows
// and answers that were cut off.
func Retryer(p Policy, more ...retry.IsErrorRetryable) aws.RetryerV2 {
	p = p.withDefaults()
	return retryer{p: p, Standard: retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = p.Attempts
		o.RateLimiter = ratelimit.NewTokenRateLimit(tokens)
		o.RetryCost, o.ThrottlingRetryCost, o.NoRetryIncrement = spent, spent, earned
		o.Retryables = append(append(o.Retryables, retry.IsErrorRetryableFunc(cutOff)), more...)
		o.Backoff = retry.BackoffDelayerFunc(func(n int, _ error) (time.Duration, error) { return p.Wait(n), nil })
	})}
}

// errLate ends the SDK's attempts when the next could not end in time.
var errLate = errors.New("no time is left for another attempt")

// GetRetryToken refuses what could not end before the deadline, then asks the budget.
func (r retryer) GetRetryToken(ctx context.Context, failure error) (func(error) error, error) {
	if !r.p.inTime(ctx, 0) {
		return nil, errLate
	}
	return r.Standard.GetRetryToken(ctx, failure)
}
