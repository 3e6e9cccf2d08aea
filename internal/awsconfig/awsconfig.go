// Package awsconfig prepares the AWS clients of a function from what Lambda puts into its environment. It calls nothing,
// and leaves out the SDK's own search for credentials (files, single sign-on, instance metadata): a function has none of
// those, and the search would link six more services.
package awsconfig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// What every client has unless it says otherwise.
const (
	Attempts       = 3 // of one call, the first included
	AttemptTimeout = 2 * time.Second
	base, longest  = 50 * time.Millisecond, time.Second // of the wait between attempts
)

// Load reads region and credentials of the function's role, which Lambda sets for the life of a sandbox (AWS Lambda
// Developer Guide, "Defined runtime environment variables"), and AWS_ENDPOINT_URL, which stands in for AWS in the local
// cloud. The error names every variable that is missing. Retries are ours on purpose: the SDK's own wait a second after a
// throttle, which outlasts a request.
func Load(lookup func(string) (string, bool)) (aws.Config, error) {
	var problems []error
	need := func(name string) string {
		text, _ := lookup(name)
		if text == "" {
			problems = append(problems, fmt.Errorf("%s is missing; Lambda sets it", name))
		}
		return text
	}
	region, id, secret := need("AWS_REGION"), need("AWS_ACCESS_KEY_ID"), need("AWS_SECRET_ACCESS_KEY")
	if len(problems) > 0 {
		return aws.Config{}, fmt.Errorf("awsconfig: %w", errors.Join(problems...))
	}
	session, _ := lookup("AWS_SESSION_TOKEN")
	cfg := aws.Config{
		Region:      region,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, session),
		HTTPClient:  awshttp.NewBuildableClient().WithTimeout(AttemptTimeout),
		Retryer:     func() aws.Retryer { return retryer(rand.Float64) },
	}
	if url, _ := lookup("AWS_ENDPOINT_URL"); url != "" {
		cfg.BaseEndpoint = &url
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
