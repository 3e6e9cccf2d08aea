package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
)

func deployed(name string) (string, bool) {
	switch {
	case strings.HasPrefix(name, "LIMIT_"):
		return "120/60", true
	case name == "LIMITER_BUDGET_MS":
		return "", false
	}
	return "x-" + name, true
}

func TestBuildNamesEveryMissingVariable(t *testing.T) {
	t.Parallel()
	f, _ := catalog.Transactions().Function("transactions-api")
	_, err := build(func(string) (string, bool) { return "", false })
	for _, v := range service.Environment(f) {
		require.ErrorContains(t, err, v.Name+" is missing")
	}
	for _, name := range []string{"EXPENZEZ_ENVIRONMENT", "ALLOWED_ORIGINS"} {
		require.ErrorContains(t, err, name+" is missing")
	}
}

func TestBuildRefusesNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, numbers := range []string{"many", "0/60", "5", "5/0"} {
		_, err := build(func(name string) (string, bool) {
			if name == "LIMIT_API" {
				return numbers, true
			}
			return deployed(name)
		})
		require.ErrorContains(t, err, "LIMIT_API")
	}
}

// Nothing is called while starting, nor for a caller who is nobody.
func TestBuildCallsNothing(t *testing.T) {
	t.Parallel()
	f, _ := catalog.Transactions().Function("transactions-api")
	h, err := build(deployed)
	require.NoError(t, err)
	resttest.Client{Handler: h, Function: f}.Do(t, "listTransactions", resttest.Request{}).Refused(t, 401, "unauthenticated")
}
