package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/lambda"
)

const (
	apiID      = "abc123defg"
	functions  = "arn:aws:lambda:eu-west-1:123456789012:function:"
	itemsARN   = functions + "items:live"
	authARN    = functions + "authorizer:live"
	invokeURI  = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/"
	executeARN = "arn:aws:execute-api:eu-west-1:123456789012:" + apiID
)

type m = map[string]any

func uri(functionARN string) string { return invokeURI + functionARN + "/invocations" }

// proxy is an integration with the items function.
func proxy() m {
	return m{"type": "aws_proxy", "httpMethod": "POST", "uri": uri(itemsARN), "timeoutInMillis": 1000.0}
}

// operation merges fields into an operation with a proxy integration.
func operation(fields m) m {
	o := m{"responses": m{}, "x-amazon-apigateway-integration": proxy()}
	maps.Copy(o, fields)
	return o
}

// stack is a deployment under construction, changed by tests before it is read.
type stack struct {
	body      m
	resources map[string]*deployment.Resource
}

func newStack() *stack {
	s := &stack{
		body: m{"openapi": "3.0.1", "info": m{"title": "t", "version": "1"}, "paths": m{"/v1/items": m{"get": operation(nil)}},
			"components": m{"schemas": m{}, "securitySchemes": m{"user": m{"type": "apiKey", "name": "Authorization", "in": "header",
				"x-amazon-apigateway-authtype": "custom", "x-amazon-apigateway-authorizer": m{
					"type": "token", "authorizerUri": uri(authARN), "authorizerResultTtlInSeconds": 60.0,
					"identityValidationExpression": `^Bearer [a-z0-9.]+$`, "identitySource": "method.request.header.Authorization",
				}}}},
		},
		resources: map[string]*deployment.Resource{},
	}
	s.add("api", "aws:apigateway/restApi:RestApi", apiID, m{"executionArn": executeARN})
	s.add("deployment", "aws:apigateway/deployment:Deployment", "dep1", m{"restApi": apiID})
	s.add("stage", "aws:apigateway/stage:Stage", "stage1", m{"restApi": apiID, "deployment": "dep1", "stageName": "live"})
	s.permit("items", "items", executeARN+"/live/*")
	s.permit("authorizer", "authorizer", executeARN+"/authorizers/*")
	return s
}

func (s *stack) add(name, resourceType, id string, outputs m) {
	s.resources[name] = &deployment.Resource{Type: resourceType, Name: name, ID: id, Inputs: m{}, Outputs: outputs}
}

func (s *stack) permit(name, function, source string) {
	s.add("permission-"+name, "aws:lambda/permission:Permission", name, m{"principal": "apigateway.amazonaws.com",
		"action": "lambda:InvokeFunction", "function": function, "qualifier": "live", "sourceArn": source})
}

func (s *stack) path(path string, item m) *stack {
	s.body["paths"].(m)[path] = item
	return s
}

func (s *stack) set(name, key string, value any) *stack {
	s.resources[name].Outputs[key] = value
	return s
}

func (s *stack) settings(path string, rate, burst float64) *stack {
	s.add("settings-"+path, "aws:apigateway/methodSettings:MethodSettings", path, m{"restApi": apiID, "stageName": "live",
		"methodPath": path, "settings": m{"throttlingRateLimit": rate, "throttlingBurstLimit": burst}})
	return s
}

func (s *stack) deployment(t *testing.T) *deployment.Deployment {
	t.Helper()
	body, err := json.Marshal(s.body)
	require.NoError(t, err)
	if api := s.resources["api"]; api != nil && api.Outputs["body"] == nil {
		api.Outputs["body"] = string(body)
	}
	d := &deployment.Deployment{}
	for _, name := range sortedKeys(s.resources) {
		d.Resources = append(d.Resources, *s.resources[name])
	}
	return d
}

// fake is an Invoker that answers by function name and remembers what it was asked.
type fake struct {
	mu      sync.Mutex
	answers map[string]func(ctx context.Context, event []byte) (lambda.Result, error)
	events  map[string][]m
}

func newFake() *fake {
	f := &fake{events: map[string][]m{}, answers: map[string]func(context.Context, []byte) (lambda.Result, error){}}
	f.answer(itemsARN, `{"statusCode":200,"body":"ok"}`)
	f.answer(authARN, allow(`"`+executeARN+`/*"`))
	return f
}

func allow(resource string) string {
	return `{"principalId":"user-1","policyDocument":{"Version":"2012-10-17","Statement":[
	  {"Effect":"Allow","Action":"execute-api:Invoke","Resource":` + resource + `}]},"context":{"sid":"s1","level":2,"admin":true}}`
}

func (f *fake) answer(arn, payload string) {
	f.answers[arn] = func(context.Context, []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(payload), Cold: true}, nil
	}
}

func (f *fake) fail(arn, payload string) {
	f.answers[arn] = func(context.Context, []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(payload), FunctionError: "Unhandled"}, nil
	}
}

func (f *fake) err(arn string, err error) {
	f.answers[arn] = func(context.Context, []byte) (lambda.Result, error) { return lambda.Result{}, err }
}

func (f *fake) hang(arn string) {
	f.answers[arn] = func(ctx context.Context, _ []byte) (lambda.Result, error) {
		<-ctx.Done()
		return lambda.Result{}, ctx.Err()
	}
}

func (f *fake) Invoke(ctx context.Context, arn string, payload []byte) (lambda.Result, error) {
	f.mu.Lock()
	var event m
	if err := json.Unmarshal(payload, &event); err != nil {
		f.mu.Unlock()
		return lambda.Result{}, err
	}
	f.events[arn] = append(f.events[arn], event)
	answer := f.answers[arn]
	f.mu.Unlock()
	if answer == nil {
		return lambda.Result{}, errors.New("no such function " + arn)
	}
	return answer(ctx, payload)
}

func (f *fake) count(arn string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events[arn])
}

func (f *fake) last(t *testing.T, arn string) m {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NotEmpty(t, f.events[arn], "the function was not invoked")
	return f.events[arn][len(f.events[arn])-1]
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// bench is a gateway with everything around it.
type bench struct {
	*Gateway
	t        *testing.T
	fn       *fake
	clock    *clock
	requests []RequestLog
	access   []string
	log      *bytes.Buffer
}

func serve(t *testing.T, s *stack) *bench {
	t.Helper()
	b := &bench{t: t, fn: newFake(), clock: &clock{now: time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)}, log: &bytes.Buffer{}}
	g, err := New(Config{Deployment: s.deployment(t), Invoker: b.fn, Now: b.clock.Now,
		OnRequest: func(r RequestLog) { b.requests = append(b.requests, r) },
		AccessLog: func(group, line string) { b.access = append(b.access, group+" "+line) },
		Log:       slog.New(slog.NewTextHandler(b.log, nil)),
	})
	require.NoError(t, err)
	b.Gateway = g
	return b
}

// do sends one request; headers are "Name: value".
func (b *bench) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	return b.send(r)
}

func (b *bench) send(r *http.Request) *httptest.ResponseRecorder {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func (b *bench) requireAnswer(w *httptest.ResponseRecorder, status int, body string) {
	b.t.Helper()
	got, err := io.ReadAll(w.Result().Body)
	require.NoError(b.t, err)
	require.Equal(b.t, status, w.Code, "%s\n%s", got, b.log)
	require.Equal(b.t, body, string(got))
}
