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
		return "5/300", true
	case name == "LIMITER_BUDGET_MS":
		return "", false
	}
	return "x-" + name, true
}

func TestBuildNamesEveryMissingVariable(t *testing.T) {
	t.Parallel()
	f, _ := catalog.Auth().Function("auth-api")
	_, err := build(func(string) (string, bool) { return "", false })
	for _, v := range service.Environment(f) {
		require.ErrorContains(t, err, v.Name+" is missing")
	}
	for _, name := range []string{"EXPENZEZ_ENVIRONMENT", "TOKEN_ISSUER", "ALLOWED_ORIGINS"} {
		require.ErrorContains(t, err, name+" is missing")
	}
}

func TestBuildRefusesNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	_, err := build(func(name string) (string, bool) {
		if name == "LIMIT_AUTH" {
			return "many", true
		}
		return deployed(name)
	})
	require.ErrorContains(t, err, "LIMIT_AUTH")
}

// Nothing is called while starting: health answers in an environment where nothing that was named exists.
func TestBuildCallsNothing(t *testing.T) {
	t.Parallel()
	f, _ := catalog.Auth().Function("auth-api")
	h, err := build(deployed)
	require.NoError(t, err)
	reply := resttest.Client{Handler: h, Function: f}.Do(t, "health", resttest.Request{})
	require.JSONEq(t, `{"status":"ok"}`, reply.Body)
}
