package aws_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/aws"
)

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := aws.New(aws.Config{Backend: "moto", Account: "12"})
	require.Error(t, err)
	for _, want := range []string{`backend "moto" is not the URL`, `account "12"`, "region is empty"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestAuthorizeDecides(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []aws.Call
	l := start(t, func(c *aws.Config) {
		c.Authorize = func(_ context.Context, call aws.Call) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, call)
			if call.Action == "ListTables" {
				return nil
			}
			return errors.New("User: " + call.Principal + " is not authorized to perform: dynamodb:" + call.Action)
		}
	})
	c := l.dynamodb(t)
	_, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{Limit: sdk.Int32(7)})
	require.NoError(t, err)
	_, err = c.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: sdk.String("table")})
	requireCode(t, err, "AccessDeniedException", "User: "+role+" is not authorized to perform: dynamodb:DeleteTable")
	_, err = dynamodb.NewFromConfig(l.as(t, "")).DescribeLimits(t.Context(), &dynamodb.DescribeLimitsInput{})
	require.NoError(t, err, "the operator is not asked about")

	require.Len(t, asked, 2)
	assert.Equal(t, role, asked[0].Principal)
	assert.Equal(t, "dynamodb", asked[0].Service)
	assert.Equal(t, "ListTables", asked[0].Action)
	assert.Equal(t, region, asked[0].Region)
	assert.Equal(t, "table", asked[1].Body["TableName"])
}

func TestCallsAreRecorded(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := l.dynamodb(t)
	_, err := c.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	require.NoError(t, err)
	_, err = c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: sdk.String("no-such-table"), Key: item{"pk": s("secret value")}})
	require.Error(t, err)
	calls := l.Calls()
	require.Len(t, calls, 2)
	assert.Equal(t, aws.Record{Time: l.Now(), Principal: role, Service: "dynamodb", Action: "ListTables", Status: 200}, calls[0])
	assert.Equal(t, 400, calls[1].Status)
	assert.Empty(t, calls[1].Error, "moto refused, not the front")
}

func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	l := start(t)
	for range 1005 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		l.ServeHTTP(httptest.NewRecorder(), r)
	}
	_, err := l.dynamodb(t).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	require.NoError(t, err)
	calls := l.Calls()
	require.Len(t, calls, 1000)
	assert.Equal(t, "ListTables", calls[999].Action, "newest last")
	assert.Equal(t, "MissingAuthenticationTokenException", calls[0].Error)
}

func TestBodiesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	l := start(t)
	for name, c := range map[string]struct {
		target, body, code string
	}{
		"no JSON":         {listTables, "{", "SerializationException"},
		"JSON of no kind": {listTables, "[1]", "SerializationException"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url, strings.NewReader(c.body))
		require.NoError(t, err, name)
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", c.target)
		status, answer := send(t, r)
		assert.Equal(t, http.StatusBadRequest, status, name)
		assert.Contains(t, answer["__type"], c.code, name)
	}
}

// Moto's own interface would let any function reset the store.
func TestMotoItselfIsOutOfReach(t *testing.T) {
	t.Parallel()
	l := start(t)
	for _, path := range []string{"/moto-api/reset", "/moto-api/data.json", "/moto-api"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url+path, nil)
		require.NoError(t, err)
		status, _ := send(t, r)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
}

// storage makes a signed request to S3, whose bodies are streamed.
func (l *local) storage(t *testing.T, method, path, body, signedHash string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, l.url+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Amz-Content-Sha256", signedHash)
	id, secret := l.AdminCredentials()
	sign := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	require.NoError(t, sign.SignHTTP(t.Context(), sdk.Credentials{AccessKeyID: id, SecretAccessKey: secret}, r, signedHash, "s3", region, l.Now()))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

func TestStorageIsPassedOn(t *testing.T) {
	t.Parallel()
	l := start(t)
	bucket := "/" + unique("bucket")
	location := `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>` + region + `</LocationConstraint></CreateBucketConfiguration>`
	status, answer := l.storage(t, http.MethodPut, bucket, location, hash(location))
	require.Equal(t, http.StatusOK, status, answer)
	large := strings.Repeat("0123456789abcdef", 1<<18) // 4 MB
	status, answer = l.storage(t, http.MethodPut, bucket+"/a%20b%2Bc", large, hash(large))
	require.Equal(t, http.StatusOK, status, answer)
	status, answer = l.storage(t, http.MethodGet, bucket+"/a%20b%2Bc", "", hash(""))
	require.Equal(t, http.StatusOK, status)
	assert.True(t, answer == large, "the object came back changed")
	status, _ = l.storage(t, http.MethodPut, bucket+"/unsigned", "abc", "UNSIGNED-PAYLOAD")
	assert.Equal(t, http.StatusOK, status)

	status, answer = l.storage(t, http.MethodPut, bucket+"/forged", "abc", hash("abd"))
	assert.NotEqual(t, http.StatusOK, status, answer)
	status, _ = l.storage(t, http.MethodGet, bucket+"/forged", "", hash(""))
	assert.Equal(t, http.StatusNotFound, status, "a body that was not signed is not stored")
	status, answer = l.storage(t, http.MethodGet, bucket+"/a", "", "")
	assert.Equal(t, http.StatusForbidden, status)
	assert.Contains(t, answer, "x-amz-content-sha256")
}

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := start(t, func(c *aws.Config) {
		c.Backend = "http://127.0.0.1:1"
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	_, err := l.dynamodb(t).ListTables(t.Context(), &dynamodb.ListTablesInput{})
	requireCode(t, err, "ServiceUnavailableException", "the local store does not answer")
	status, answer := l.storage(t, http.MethodGet, "/bucket/key", "", hash(""))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, answer, "<Code>ServiceUnavailableException</Code>")
	assert.Contains(t, log.String(), "moto does not answer")
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f, err := aws.New(aws.Config{Backend: backend, Account: account, Region: region})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String())
	require.NoError(t, err)
	_ = resp.Body.Close()
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, f.Close())
	_, err = net.Dial("tcp", ln.Addr().String())
	require.Error(t, err, "still listening")
}

func TestServeTellsWhyItCannot(t *testing.T) {
	t.Parallel()
	f, err := aws.New(aws.Config{Backend: backend, Account: account, Region: region})
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	require.ErrorContains(t, f.Serve(t.Context(), ln), "aws: serve")
}
