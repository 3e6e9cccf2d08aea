package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/service"
)

func TestBuildNamesEveryMissingVariable(t *testing.T) {
	t.Parallel()
	f, _ := catalog.Transactions().Function("transactions-stream")
	_, err := build(func(string) (string, bool) { return "", false })
	for _, v := range service.Environment(f) {
		require.ErrorContains(t, err, v.Name+" is missing")
	}
	require.ErrorContains(t, err, "EXPENZEZ_ENVIRONMENT is missing")
}

// Nothing is called while starting, nor for a batch of nothing.
func TestBuildCallsNothing(t *testing.T) {
	t.Parallel()
	h, err := build(func(name string) (string, bool) { return "x-" + name, name != "LIMITER_BUDGET_MS" })
	require.NoError(t, err)
	out, err := h.Invoke(t.Context(), []byte(`{"Records":[]}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"batchItemFailures":[]}`, string(out))
}

// Events are sent where the declaration says so, and else there is no sender.
func TestTheSender(t *testing.T) {
	t.Parallel()
	none, err := sender(aws.Config{}, "")
	require.NoError(t, err)
	require.Nil(t, none)
	some, err := sender(aws.Config{Region: "eu-west-2"}, "https://sqs.eu-west-2.amazonaws.com/111122223333/notifications")
	require.NoError(t, err)
	require.NotNil(t, some)
}
