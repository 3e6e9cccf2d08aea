package lambda

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
)

func deployed(functions map[string]map[string]any, aliases ...map[string]any) *deployment.Deployment {
	d := &deployment.Deployment{}
	for name, outputs := range functions {
		d.Resources = append(d.Resources, deployment.Resource{Type: "aws:lambda/function:Function", Name: name, Outputs: outputs})
	}
	for _, outputs := range aliases {
		d.Resources = append(d.Resources, deployment.Resource{Type: "aws:lambda/alias:Alias", Outputs: outputs})
	}
	return d
}

func TestFromDeployment(t *testing.T) {
	t.Parallel()
	functions, err := FromDeployment(deployed(map[string]map[string]any{"f": {
		"arn": functionARN, "version": "3", "runtime": "provided.al2023", "handler": "bootstrap", "role": "r",
		"memorySize": 512.0, "timeout": 10.0, "reservedConcurrentExecutions": 5.0,
		"code":          deployment.Archive{Path: "build/echo.zip"},
		"environment":   map[string]any{"variables": map[string]any{"A": "1"}},
		"loggingConfig": map[string]any{"logGroup": "/expenzez/echo"},
	}},
		map[string]any{"functionName": functionARN, "name": "live"},
		map[string]any{"functionName": "echo", "name": "beta"},
		map[string]any{"functionName": "other", "name": "gone"},
	), "/checkout")
	require.NoError(t, err)
	five := 5
	require.Equal(t, []Function{{
		ARN: functionARN, Version: "3", Aliases: []string{"beta", "live"}, Code: "/checkout/build/echo.zip",
		Runtime: "provided.al2023", Handler: "bootstrap", Environment: map[string]string{"A": "1"},
		MemoryMB: 512, Timeout: 10 * time.Second, RoleARN: "r", LogGroup: "/expenzez/echo", ReservedConcurrency: &five,
	}}, functions)
}

func TestFromDeploymentDefaults(t *testing.T) {
	t.Parallel()
	functions, err := FromDeployment(deployed(map[string]map[string]any{"f": {
		"arn": functionARN, "code": deployment.Archive{Path: "/abs/echo.zip"}, "reservedConcurrentExecutions": -1.0,
	}}), "/checkout")
	require.NoError(t, err)
	require.Equal(t, []Function{{ARN: functionARN, Code: "/abs/echo.zip"}}, functions, "-1 is no reservation")
}

func TestFromDeploymentRefuses(t *testing.T) {
	t.Parallel()
	code := deployment.Archive{Path: "x.zip"}
	_, err := FromDeployment(deployed(map[string]map[string]any{
		"image":        {"arn": functionARN, "imageUri": "x"},
		"remote":       {"arn": functionARN, "code": deployment.Archive{URI: "https://x"}},
		"all-hidden":   {"arn": functionARN, "code": code, "environment": map[string]any{"variables": deployment.Secret{}}},
		"value-hidden": {"arn": functionARN, "code": code, "environment": map[string]any{"variables": map[string]any{"K": deployment.Secret{}}}},
	}), "")
	for _, want := range []string{`"image": its code is not a local file`, `"remote": its code`, `"all-hidden": its environment is [secret]`,
		`"value-hidden": its environment variable K is [secret]`} {
		require.ErrorContains(t, err, want)
	}
}
