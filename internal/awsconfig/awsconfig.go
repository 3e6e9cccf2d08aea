// Package awsconfig prepares the AWS clients of a function from what Lambda puts into its environment. It calls nothing,
// and leaves out the SDK's own search for credentials (files, single sign-on, instance metadata): a function has none of
// those, and the search would link six more services.
package awsconfig

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/expenzez/aws-backend/internal/retry"
)

// AttemptTimeout bounds one attempt of every client that does not say otherwise.
const AttemptTimeout = 2 * time.Second

// Load reads region and credentials of the function's role, which Lambda sets for the life of a sandbox (AWS Lambda
// Developer Guide, "Defined runtime environment variables"), and AWS_ENDPOINT_URL, which stands in for AWS in the local
// cloud. Each call of a client leaves one span under a traced context, and counts its retries for the request. The error
// names every variable that is missing. Retries are ours on purpose: the SDK's own wait a second after a throttle, which
// outlasts a request.
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
		Retryer:     func() aws.Retryer { return retry.Retryer(retry.Policy{}) }, // one retryer is one client's
	}
	if url, _ := lookup("AWS_ENDPOINT_URL"); url != "" {
		cfg.BaseEndpoint = &url
	}
	traceCalls(&cfg)
	return cfg, nil
}
