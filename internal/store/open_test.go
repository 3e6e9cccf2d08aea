package store_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

// served answers attempt n (from 1) with the n-th answer, and with the last one from then on.
func served(t *testing.T, answers ...http.HandlerFunc) (aws.Config, *atomic.Int64) {
	t.Helper()
	var attempts atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(attempts.Add(1))
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	return aws.Config{Region: "eu-west-2", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "test", "")}, &attempts
}

func refuse(status int, code string, more string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s"%s}`, code, more)
	}
}

func accept(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }

// hang answers nothing until the caller goes away. It reads the body first: only then does the server notice.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func never() float64 { return 0 } // no wait between attempts

func TestTheClientTriesAgainWhereItHelps(t *testing.T) {
	t.Parallel()
	conflict := refuse(400, "TransactionCanceledException", `,"CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]`)
	condition := refuse(400, "TransactionCanceledException", `,"CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"ConditionalCheckFailed"}]`)
	cases := map[string]struct {
		answers  []http.HandlerFunc
		attempts int64
		wrong    string
	}{
		"at once":                     {[]http.HandlerFunc{accept}, 1, ""},
		"throttled twice":             {[]http.HandlerFunc{refuse(400, "ThrottlingException", ""), refuse(400, "ProvisionedThroughputExceededException", ""), accept}, 3, ""},
		"throttled always":            {[]http.HandlerFunc{refuse(400, "ThrottlingException", "")}, 3, "ThrottlingException"},
		"broken server":               {[]http.HandlerFunc{refuse(500, "InternalServerError", ""), accept}, 2, ""},
		"conflict of the transaction": {[]http.HandlerFunc{conflict, conflict, accept}, 3, ""},
		"conflict always":             {[]http.HandlerFunc{conflict}, 3, "TransactionCanceledException"},
		"conflict and condition":      {[]http.HandlerFunc{condition}, 1, "TransactionCanceledException"},
		"refused condition":           {[]http.HandlerFunc{refuse(400, "ConditionalCheckFailedException", "")}, 1, "ConditionalCheckFailedException"},
		"bad input":                   {[]http.HandlerFunc{refuse(400, "ValidationException", "")}, 1, "ValidationException"},
		"denied":                      {[]http.HandlerFunc{refuse(400, "AccessDeniedException", "")}, 1, "AccessDeniedException"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, attempts := served(t, c.answers...)
			db := store.Open(cfg, store.Options{Random: never, AttemptTimeout: time.Minute})
			_, err := db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{}}})
			assert.Equal(t, c.attempts, attempts.Load())
			if c.wrong == "" {
				require.NoError(t, err)
				return
			}
			var coded smithy.APIError
			require.ErrorAs(t, err, &coded)
			assert.Equal(t, c.wrong, coded.ErrorCode())
		})
	}
}

func TestAttemptsAreWhatTheCallerSays(t *testing.T) {
	t.Parallel()
	cfg, attempts := served(t, refuse(500, "InternalServerError", ""))
	cfg.RetryMaxAttempts = 9
	db := store.Open(cfg, store.Options{Attempts: 2, Random: never, AttemptTimeout: time.Minute})
	_, err := db.GetItem(t.Context(), get())
	require.Error(t, err)
	assert.Equal(t, int64(2), attempts.Load(), "the configuration's own count does not matter")

	_, err = store.NewTable(db, "orders").With(store.Once).GetItem(t.Context(), get())
	require.Error(t, err)
	assert.Equal(t, int64(3), attempts.Load(), "once is once")
}

func TestAHungAttemptEndsAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	cfg, attempts := served(t, hang, accept)
	db := store.Open(cfg, store.Options{Random: never, AttemptTimeout: 200 * time.Millisecond})
	_, err := db.GetItem(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, int64(2), attempts.Load())
}

func TestTheCallersDeadlineEndsTheCall(t *testing.T) {
	t.Parallel()
	cfg, attempts := served(t, hang)
	db := store.Open(cfg, store.Options{Random: never, AttemptTimeout: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := db.GetItem(ctx, get())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.LessOrEqual(t, attempts.Load(), int64(1), "it is not tried again")
}

// ownClient is an HTTP client of the caller's own.
type ownClient struct{ calls atomic.Int64 }

func (c *ownClient) Do(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

func TestAnHTTPClientOfTheCallersIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	cfg, _ := served(t, accept)
	own := &ownClient{}
	cfg.HTTPClient = own
	_, err := store.Open(cfg, store.Options{Random: never}).GetItem(t.Context(), get())
	require.NoError(t, err)
	assert.Equal(t, int64(1), own.calls.Load())
}

func get() *dynamodb.GetItemInput {
	return &dynamodb.GetItemInput{TableName: aws.String("orders"), Key: store.Item{"pk": store.S("a")}}
}
