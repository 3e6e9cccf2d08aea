package aws_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/aws"
	"github.com/expenzez/aws-backend/internal/local/localtest"
)

const (
	account = "111122223333"
	region  = "eu-west-2"
	role    = "arn:aws:iam::111122223333:role/expenzez-dev-auth-api"
)

var backend string // URL of the one moto of this package's tests

func TestMain(m *testing.M) { localtest.Main(m, &backend) }

var made atomic.Int64

// unique is a name that no other test has, also when tests run again on the same moto.
func unique(kind string) string { return fmt.Sprint(kind, "-", made.Add(1)) }

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// local is a front of a test's own before the shared moto.
type local struct {
	*aws.Front
	url string
	clock
}

func start(t *testing.T, change ...func(*aws.Config)) *local {
	t.Helper()
	l := &local{clock: clock{now: time.Now()}}
	config := aws.Config{Backend: backend, Account: account, Region: region, Now: l.Now}
	for _, c := range change {
		c(&config)
	}
	front, err := aws.New(config)
	require.NoError(t, err)
	server := httptest.NewServer(front)
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, front.Close())
	})
	l.Front, l.url = front, server.URL
	return l
}

// as is the SDK's configuration of a function with the role; the empty role is the operator.
func (l *local) as(t *testing.T, roleARN string) sdk.Config {
	t.Helper()
	id, secret := l.AdminCredentials()
	token := ""
	if roleARN != "" {
		var err error
		id, secret, token, err = l.Credentials(t.Context(), roleARN)
		require.NoError(t, err)
	}
	return sdk.Config{
		Region: region, BaseEndpoint: sdk.String(l.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, token),
	}
}

// signer signs with the SDK's own code, at the time of the test's clock.
type signer struct{ *clock }

func (s signer) SignHTTP(ctx context.Context, c sdk.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return v4.NewSigner().SignHTTP(ctx, c, r, hash, service, region, s.Now(), opts...)
}

func (l *local) dynamodb(t *testing.T) *dynamodb.Client {
	return dynamodb.NewFromConfig(l.as(t, role), func(o *dynamodb.Options) { o.HTTPSignerV4 = signer{&l.clock} })
}

func (l *local) kms(t *testing.T) *kms.Client {
	return kms.NewFromConfig(l.as(t, role), func(o *kms.Options) { o.HTTPSignerV4 = signer{&l.clock} })
}

func (l *local) sts(t *testing.T, roleARN string) *sts.Client {
	return sts.NewFromConfig(l.as(t, roleARN), func(o *sts.Options) { o.HTTPSignerV4 = signer{&l.clock} })
}

func (l *local) secrets(t *testing.T) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(l.as(t, role), func(o *secretsmanager.Options) { o.HTTPSignerV4 = signer{&l.clock} })
}

func (l *local) cognito(t *testing.T) *cognitoidentityprovider.Client {
	return cognitoidentityprovider.NewFromConfig(l.as(t, role), func(o *cognitoidentityprovider.Options) { o.HTTPSignerV4 = signer{&l.clock} })
}

// post sends a JSON request signed by the SDK's signer; change may spoil it afterwards.
func (l *local) post(t *testing.T, service, target string, body any, change ...func(*http.Request)) (status int, answer map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url, bytes.NewReader(raw))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", target)
	id, secret, token, err := l.Credentials(t.Context(), role)
	require.NoError(t, err)
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), sdk.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, r, hash(string(raw)), service, region, l.Now()))
	for _, c := range change {
		c(r)
	}
	return send(t, r)
}

func hash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func send(t *testing.T, r *http.Request) (status int, answer map[string]any) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	return resp.StatusCode, answer
}

// requireCode demands an error of AWS's by its name, with a part of its text.
func requireCode(t *testing.T, err error, code, message string) {
	t.Helper()
	var e smithy.APIError
	require.Truef(t, errors.As(err, &e), "want %s, got %v", code, err)
	require.Equal(t, code, e.ErrorCode(), e.ErrorMessage())
	assert.Contains(t, e.ErrorMessage(), message)
}
