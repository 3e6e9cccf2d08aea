package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuildNamesEveryMissingVariable(t *testing.T) {
	t.Parallel()
	_, err := build(func(string) (string, bool) { return "", false })
	for _, name := range []string{"EXPENZEZ_ENVIRONMENT", "TOKEN_ISSUER", "TABLE_SIGNING_KEYS"} {
		require.ErrorContains(t, err, name)
	}
}

func TestBuildCallsNothing(t *testing.T) {
	t.Parallel()
	h, err := build(func(name string) (string, bool) { return "x-" + name, name != "LIMITER_BUDGET_MS" })
	require.NoError(t, err)
	_, err = h.Invoke(t.Context(), []byte(`{"authorizationToken":"","methodArn":"arn:aws:execute-api:r:1:a/s/GET/x"}`))
	require.EqualError(t, err, "Unauthorized")
}
