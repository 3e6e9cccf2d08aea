// Package awsconfig prepares the AWS clients of a function. It calls nothing.
package awsconfig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

// What every client has unless it says otherwise.
const (
	Attempts       = 3 // of one call, the first included
	AttemptTimeout = 2 * time.Second
	base, longest  = 50 * time.Millisecond, time.Second // of the wait between attempts
)

// Load reads region, credentials and endpoints from where the SDK reads them (in Lambda: the environment; AWS_ENDPOINT_URL
// stands in for AWS in the local cloud). Retries are ours on purpose: the SDK's own wait a second after a throttle, which
// outlasts a request.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRetryer(func() aws.Retryer { return retryer(rand.Float64) }),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(AttemptTimeout)))
	if err != nil {
		return aws.Config{}, fmt.Errorf("awsconfig: %w", err)
	}
	return cfg, nil
}

// retryer waits a full jitter of 50 ms doubled each time, at most 1 s, and spends at most one retry for ten calls that
// needed none, after a reserve of 50. One retryer is one client's.
func retryer(random func() float64) *retry.Standard {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = Attempts
		o.RateLimiter = ratelimit.NewTokenRateLimit(500)
		o.RetryCost, o.ThrottlingRetryCost, o.NoRetryIncrement = 10, 10, 1
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return time.Duration(random() * float64(min(longest, base<<max(min(attempt, 6)-1, 0)))), nil
		})
	})
}
