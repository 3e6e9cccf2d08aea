package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	runtimeclient "github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// TestMain lets the test binary be the deployed functions too.
func TestMain(m *testing.M) {
	switch os.Getenv("AWS_LAMBDA_FUNCTION_NAME") {
	case "items":
		runtimeclient.Start(handleItem)
	case "authorizer":
		runtimeclient.Start(authorizeItem)
	default:
		os.Exit(m.Run())
	}
}

func handleItem(_ context.Context, r events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	if r.PathParameters["id"] == "broken" {
		return events.APIGatewayProxyResponse{}, errors.New("deliberate")
	}
	who, _ := r.RequestContext.Authorizer["principalId"].(string)
	return events.APIGatewayProxyResponse{StatusCode: http.StatusCreated, Body: who + " " + r.PathParameters["id"] + " " + r.Body}, nil
}

func authorizeItem(_ context.Context, r events.APIGatewayCustomAuthorizerRequest) (events.APIGatewayCustomAuthorizerResponse, error) {
	if r.AuthorizationToken == "Bearer bad" {
		return events.APIGatewayCustomAuthorizerResponse{}, errors.New("Unauthorized")
	}
	return events.APIGatewayCustomAuthorizerResponse{PrincipalID: "user-1", PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{
		Version:   "2012-10-17",
		Statement: []events.IAMPolicyStatement{{Action: []string{"execute-api:Invoke"}, Effect: "Allow", Resource: []string{r.MethodArn}}},
	}}, nil
}

// TestRealFunctions serves a deployment whose functions run as processes.
func TestRealFunctions(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	code := t.TempDir()
	require.NoError(t, os.Symlink(self, filepath.Join(code, "bootstrap")))

	s := newStack().path("/v1/items/{id}", m{"put": protected()})
	s.body["paths"].(m)["/v1/items/{id}"].(m)["put"].(m)["x-amazon-apigateway-integration"].(m)["timeoutInMillis"] = 29000.0
	for _, name := range []string{"items", "authorizer"} {
		s.add("function-"+name, "aws:lambda/function:Function", name, m{"arn": functions + name, "version": "1", "runtime": "provided.al2023",
			"handler": "bootstrap", "timeout": 20.0, "memorySize": 128.0, "role": "arn:aws:iam::123456789012:role/" + name, "code": deployment.Archive{Path: code}})
		s.add("alias-"+name, "aws:lambda/alias:Alias", name, m{"functionName": name, "name": "live", "functionVersion": "1"})
	}
	d := s.deployment(t)
	list, err := lambda.FromDeployment(d, "")
	require.NoError(t, err)
	runtime, err := lambda.New(t.Context(), lambda.Config{Functions: list, Dir: t.TempDir(),
		Credentials: func(context.Context, string) (string, string, string, error) { return "id", "secret", "token", nil }})
	require.NoError(t, err)
	defer func() { require.NoError(t, runtime.Close()) }()
	g, err := New(Config{Deployment: d, Invoker: runtime})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	defer server.Close()

	for _, test := range []struct {
		name, path, token string
		status            int
		body              string
	}{
		{"allowed", "/v1/items/7", "Bearer good", 201, "user-1 7 hello"},
		{"refused by the authorizer", "/v1/items/7", "Bearer bad", 401, `{"message":"Unauthorized"}`},
		{"policy cached for another path", "/v1/items/8", "Bearer good", 403, `{"message":"User is not authorized to access this resource"}`},
		{"failed function", "/v1/items/broken", "Bearer fresh", 502, `{"message":"Internal server error"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := put(t, server.URL+test.path, test.token)
			require.Equal(t, test.status, status, body)
			require.Equal(t, test.body, body)
		})
	}
}

func put(t *testing.T, url, token string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader("hello"))
	require.NoError(t, err)
	req.Header.Set("Authorization", token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}
