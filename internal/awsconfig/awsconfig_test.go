package awsconfig

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"
)

func TestWaitsAreJitteredAndBounded(t *testing.T) {
	t.Parallel()
	for attempt, most := range map[int]time.Duration{0: 50, 1: 50, 2: 100, 3: 200, 5: 800, 6: 1000, 60: 1000} {
		got, err := retryer(func() float64 { return 1 }).RetryDelay(attempt, nil)
		require.NoError(t, err)
		require.Equal(t, most*time.Millisecond, got, attempt)
		got, err = retryer(func() float64 { return 0 }).RetryDelay(attempt, nil)
		require.NoError(t, err)
		require.Zero(t, got)
	}
}

func TestAThrottledCallIsTriedThreeTimes(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("X-Amzn-ErrorType", "ThrottlingException")
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	client := secretsmanager.NewFromConfig(aws.Config{
		Region: "eu-west-2", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
		Retryer: func() aws.Retryer { return retryer(func() float64 { return 0 }) },
	})
	_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")})
	require.Error(t, err)
	require.EqualValues(t, Attempts, calls.Load())
}

func TestRetriesHaveABudget(t *testing.T) {
	t.Parallel()
	r := retryer(func() float64 { return 0 })
	spent := 0
	for ; ; spent++ {
		if _, err := r.GetRetryToken(context.Background(), errors.New("x")); err != nil {
			break
		}
	}
	require.Equal(t, 50, spent)
}
