package store

import (
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/retry"
)

// Options tune the client. The zero value is right for a function that answers mobile clients.
type Options struct {
	// Attempts of one call, the first included. 0 means 3.
	Attempts int
	// AttemptTimeout bounds one attempt, from the connection to the last byte. 0 means 1 s; a hung attempt then costs a
	// third of what an API route may take, not all of it.
	AttemptTimeout time.Duration
	// Random gives numbers in [0, 1) for the jitter between attempts, for concurrent use. nil means math/rand/v2.
	Random func() float64
}

// Open makes the client. Waits between attempts are a full jitter of 25 ms doubled each time, at most 1 s, for
// throttles too: the SDK's own second for those would outlast the request. Beside what the SDK retries, it retries
// transactions that only conflicts or throttles canceled: nothing was done, and the client token makes it safe.
func Open(cfg aws.Config, o Options) *dynamodb.Client {
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = time.Second
	}
	retryer := retry.Retryer(o.policy(), sdkretry.IsErrorRetryableFunc(transientCancellation)) // one for all calls: the budget of retries belongs to the client
	return dynamodb.NewFromConfig(cfg, func(c *dynamodb.Options) {
		c.Retryer = retryer
		c.RetryMaxAttempts = 0 // else the SDK wraps the retryer with the configuration's own count
		c.HTTPClient = withTimeout(cfg.HTTPClient, o.AttemptTimeout)
	})
}

// Once makes a call without retries, for callers that have a fallback of their own: Table.With(store.Once).
func Once(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

// policy is how the client, and a batch that was answered in part, waits and tries again.
func (o Options) policy() retry.Policy {
	return retry.Policy{Attempts: o.Attempts, Base: 25 * time.Millisecond, Random: o.Random}
}

// transientCancellation leaves everything but canceled transactions and conflicts to the SDK's own rules.
func transientCancellation(err error) aws.Ternary {
	var canceled *types.TransactionCanceledException
	var conflict *types.TransactionConflictException
	if errors.As(err, &canceled) || errors.As(err, &conflict) {
		return aws.BoolTernary(Transient(err))
	}
	return aws.UnknownTernary
}

// withTimeout bounds each request of the SDK's own HTTP client. Another client is the caller's: its timeouts hold.
func withTimeout(client aws.HTTPClient, timeout time.Duration) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	if buildable, ok := client.(*awshttp.BuildableClient); ok {
		return buildable.WithTimeout(timeout)
	}
	return client
}
