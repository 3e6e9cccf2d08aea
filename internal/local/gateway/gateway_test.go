package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// Page "Set up a proxy integration with a proxy resource" and "Amazon API Gateway important notes".
func TestRouting(t *testing.T) {
	t.Parallel()
	s := newStack()
	for path, methods := range map[string][]string{
		"/": {"get"}, "/v1/items/{id}": {"get", "delete"}, "/v1/items/latest": {"get"}, "/v1/{kind}/latest": {"put"},
		"/files/{path+}": {anyMethod}, "/files/{path+}/": nil, "/any": {anyMethod, "get"},
	} {
		item := m{}
		for _, method := range methods {
			item[method] = operation(m{"operationId": method + path})
		}
		if methods != nil {
			s.path(path, item)
		}
	}
	b := serve(t, s)
	for _, test := range []struct {
		method, target, resource string
		params                   m
	}{
		{"GET", "/", "/", nil},
		{"GET", "/v1/items", "/v1/items", nil},
		{"GET", "/v1/items/", "/v1/items", nil},
		{"GET", "/v1/items/42", "/v1/items/{id}", m{"id": "42"}},
		{"DELETE", "/v1/items/42", "/v1/items/{id}", m{"id": "42"}},
		{"GET", "/v1/items/latest", "/v1/items/latest", nil},
		{"PUT", "/v1/users/latest", "/v1/{kind}/latest", m{"kind": "users"}},
		{"GET", "/v1/items/a%2Fb%20c%C3%A9", "/v1/items/{id}", m{"id": "a/b cé"}},
		{"GET", "/v1/items/LATEST", "/v1/items/{id}", m{"id": "LATEST"}},
		{"PATCH", "/files/a/b/c", "/files/{path+}", m{"path": "a/b/c"}},
		{"GET", "/any", "/any", nil},
		{"HEAD", "/any", "/any", nil},
	} {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			b.requireAnswer(b.do(test.method, test.target, ""), 200, "ok")
			event := b.fn.last(t, itemsARN)
			require.Equal(t, test.resource, event["resource"])
			require.Equal(t, test.method, event["httpMethod"])
			if test.params == nil {
				require.Nil(t, event["pathParameters"])
			} else {
				require.Equal(t, test.params, event["pathParameters"])
			}
		})
	}
}

// Page "Gateway response types": a method that a resource lacks is answered as an unknown resource is.
func TestUnknownPathAndMethodAreAlike(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack().path("/v1/items/{id}", m{"get": operation(nil)}).path("/files/{path+}", m{anyMethod: operation(nil)}))
	for _, test := range []struct{ name, method, target string }{
		{"unknown path", "GET", "/v2/items"},
		{"shorter path", "GET", "/v1"},
		{"longer path", "GET", "/v1/items/1/2"},
		{"root", "GET", "/"},
		{"other case", "GET", "/V1/items"},
		{"stage in the path", "GET", "/live/v1/items"},
		{"unknown method", "POST", "/v1/items"},
		{"HEAD is not GET", "HEAD", "/v1/items"},
		{"no preflight", "OPTIONS", "/v1/items"},
		{"method unknown to ANY", "TRACE", "/files/a"},
		{"nothing for the greedy one", "GET", "/files/"},
		{"empty segment", "GET", "/v1//items"},
		{"empty parameter", "GET", "/v1/items//"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := b.do(test.method, test.target, "")
			b.requireAnswer(w, 403, `{"message":"Missing Authentication Token"}`)
			require.Equal(t, "MissingAuthenticationTokenException", w.Header().Get("x-amzn-ErrorType"))
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Equal(t, "MISSING_AUTHENTICATION_TOKEN", b.requests[len(b.requests)-1].Response)
		})
	}
	require.Zero(t, b.fn.count(itemsARN))
}

func TestMethodOverrideHeaderOverrides(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack().path("/v1/items", m{"delete": operation(nil), "get": operation(nil)}))
	b.requireAnswer(b.do("GET", "/v1/items", "", "X-HTTP-Method-Override: DELETE"), 200, "ok")
	require.Equal(t, "DELETE", b.fn.last(t, itemsARN)["httpMethod"])
	require.Equal(t, 403, b.do("GET", "/v1/items", "", "X-HTTP-Method-Override: PUT").Code)
}

// Page "Lambda proxy integrations in API Gateway", input format.
func TestProxyEvent(t *testing.T) {
	t.Parallel()
	s := newStack().path("/v1/items/{id}", m{"post": operation(m{"security": []any{m{"user": []any{}}}})})
	s.set("stage", "variables", m{"color": "blue"})
	b := serve(t, s)
	r := httptest.NewRequest("POST", "https://api.example.com:8080/v1/items/a%20b?q=1&q=2&empty=&e%3D=%26&plus=a+b", strings.NewReader(`{"a":"é"}`))
	r.RemoteAddr = "203.0.113.9:4711"
	r.Header = http.Header{
		"Authorization": {"Bearer abc"}, "User-Agent": {"test/1"}, "X-Two": {"one", "two"}, "X-Forwarded-For": {"10.0.0.1"},
		"X-Forwarded-Proto": {"http"}, "Content-Type": {"application/json"}, "Connection": {"keep-alive"}, "Te": {"trailers"},
		"Expect": {"100-continue"}, "Content-Md5": {"x"}, "Www-Authenticate": {"x"}, "Upgrade": {"h2c"}, "Via": {"1.1 proxy"},
		"X-Amzn-Trace-Id": {"Self=1-2-3;Root=1-67891233-abcdef012345678912345678"},
	}
	b.requireAnswer(b.send(r), 200, "ok")
	event := b.fn.last(t, itemsARN)
	context := event["requestContext"].(m)
	requestID, extendedID := context["requestId"], context["extendedRequestId"]
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, requestID)
	require.NotEmpty(t, extendedID)
	require.Equal(t, m{
		"resource": "/v1/items/{id}", "path": "/v1/items/a%20b", "httpMethod": "POST",
		"headers": m{"Authorization": "Bearer abc", "User-Agent": "test/1", "X-Two": "two", "Content-Type": "application/json", "Via": "1.1 proxy",
			"Host": "api.example.com:8080", "X-Forwarded-For": "10.0.0.1, 203.0.113.9", "X-Forwarded-Port": "443", "X-Forwarded-Proto": "https",
			"X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678"},
		"multiValueHeaders": m{"Authorization": []any{"Bearer abc"}, "User-Agent": []any{"test/1"}, "X-Two": []any{"one", "two"},
			"Content-Type": []any{"application/json"}, "Via": []any{"1.1 proxy"}, "Host": []any{"api.example.com:8080"},
			"X-Forwarded-For": []any{"10.0.0.1, 203.0.113.9"}, "X-Forwarded-Port": []any{"443"}, "X-Forwarded-Proto": []any{"https"},
			"X-Amzn-Trace-Id": []any{"Root=1-67891233-abcdef012345678912345678"}},
		"queryStringParameters":           m{"q": "2", "empty": "", "e=": "&", "plus": "a b"},
		"multiValueQueryStringParameters": m{"q": []any{"1", "2"}, "empty": []any{""}, "e=": []any{"&"}, "plus": []any{"a b"}},
		"pathParameters":                  m{"id": "a b"},
		"stageVariables":                  m{"color": "blue"},
		"requestContext": m{"accountId": "123456789012", "apiId": apiID, "stage": "live", "domainName": "api.example.com", "domainPrefix": "api",
			"requestId": requestID, "extendedRequestId": extendedID, "httpMethod": "POST", "path": "/v1/items/a%20b", "protocol": "HTTP/1.1",
			"resourcePath": "/v1/items/{id}", "resourceId": resourceID("/v1/items/{id}"),
			"requestTime": "03/Feb/2026:04:05:06 +0000", "requestTimeEpoch": float64(1770091506789),
			"authorizer": m{"principalId": "user-1", "sid": "s1", "level": "2", "admin": "true", "integrationLatency": 0.0},
			"identity": m{"sourceIp": "203.0.113.9", "userAgent": "test/1", "accessKey": nil, "accountId": nil, "apiKey": nil, "apiKeyId": nil,
				"caller": nil, "cognitoAuthenticationProvider": nil, "cognitoAuthenticationType": nil, "cognitoIdentityId": nil,
				"cognitoIdentityPoolId": nil, "principalOrgId": nil, "user": nil, "userArn": nil}},
		"body": `{"a":"é"}`, "isBase64Encoded": false,
	}, event)
}

func TestProxyEventIsNullWhereEmpty(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack())
	b.do("GET", "/v1/items", "")
	event := b.fn.last(t, itemsARN)
	for _, name := range []string{"queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"} {
		value, there := event[name]
		require.True(t, there, name)
		require.Nil(t, value, name)
	}
	require.NotContains(t, event["requestContext"], "authorizer")
	require.Regexp(t, `^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$`, event["headers"].(m)["X-Amzn-Trace-Id"])
}

// Page "Content type conversions in API Gateway".
func TestBinaryBodies(t *testing.T) {
	t.Parallel()
	s := newStack().path("/v1/items", m{"post": operation(nil)})
	s.body["x-amazon-apigateway-binary-media-types"] = []any{"application/octet-stream"}
	s.set("api", "binaryMediaTypes", []any{"image/*"})
	b := serve(t, s)
	raw := "\xff\xfe"
	for name, test := range map[string]struct {
		contentType, body string
		encoded           bool
	}{
		"binary type":    {"application/octet-stream", base64.StdEncoding.EncodeToString([]byte(raw)), true},
		"its parameters": {"Image/PNG; q=1", base64.StdEncoding.EncodeToString([]byte(raw)), true},
		"text type":      {"text/plain", "\uFFFD", false},
	} {
		t.Run(name, func(t *testing.T) {
			b.do("POST", "/v1/items", raw, "Content-Type: "+test.contentType)
			event := b.fn.last(t, itemsARN)
			require.Equal(t, test.body, event["body"])
			require.Equal(t, test.encoded, event["isBase64Encoded"])
		})
	}
	b.fn.answer(itemsARN, `{"isBase64Encoded":true,"body":"aGVsbG8="}`)
	b.requireAnswer(b.do("POST", "/v1/items", "", "Accept: image/webp,*/*"), 200, "hello")
	b.requireAnswer(b.do("POST", "/v1/items", "", "Accept: */*, image/webp"), 200, "aGVsbG8=")
	b.fn.answer(itemsARN, `{"isBase64Encoded":true,"body":"%%"}`)
	b.requireAnswer(b.do("POST", "/v1/items", "", "Accept: image/webp"), 500, `{"message":"Internal server error"}`)
}

// Same page as the event, output format; headers: page "Amazon API Gateway important notes", table.
func TestProxyAnswer(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack())
	for name, test := range map[string]struct {
		payload string
		status  int
		body    string
		header  http.Header
	}{
		"empty object":      {`{}`, 200, "", http.Header{"Content-Type": {"application/json"}}},
		"nulls as Go sends": {`{"statusCode":201,"headers":null,"multiValueHeaders":null,"body":"x"}`, 201, "x", http.Header{"Content-Type": {"application/json"}}},
		"status as text":    {`{"statusCode":"404"}`, 404, "", http.Header{"Content-Type": {"application/json"}}},
		"headers merged": {`{"headers":{"X-A":"1","x-b":"2","Content-Type":"text/html"},"multiValueHeaders":{"X-A":["1","3"],"Set-Cookie":["a=1","b=2"]}}`, 200, "",
			http.Header{"X-A": {"1", "3"}, "X-B": {"2"}, "Content-Type": {"text/html"}, "Set-Cookie": {"a=1", "b=2"}}},
		"boolean header": {`{"headers":{"X-A":true}}`, 200, "", http.Header{"X-A": {"true"}}},
		"renamed": {`{"headers":{"WWW-Authenticate":"Basic","date":"d","Server":"s","Connection":"close","Content-Length":"5","Authorization":"a"}}`, 200, "",
			http.Header{"X-Amzn-Remapped-Www-Authenticate": {"Basic"}, "X-Amzn-Remapped-Date": {"d"}, "X-Amzn-Remapped-Server": {"s"},
				"X-Amzn-Remapped-Connection": {"close"}, "X-Amzn-Remapped-Content-Length": {"5"}, "X-Amzn-Remapped-Authorization": {"a"},
				"Www-Authenticate": nil, "Server": nil, "Connection": nil, "Authorization": nil}},
		"dropped": {`{"headers":{"Transfer-Encoding":"chunked","Via":"v","Host":"h","Trailer":"t","Upgrade":"u"}}`, 200, "",
			http.Header{"Transfer-Encoding": nil, "Via": nil, "Host": nil, "Trailer": nil, "Upgrade": nil}},
		"base64 without binary types": {`{"isBase64Encoded":true,"body":"aGk="}`, 200, "aGk=", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b.fn.answer(itemsARN, test.payload)
			w := b.do("GET", "/v1/items", "")
			b.requireAnswer(w, test.status, test.body)
			for name, values := range test.header {
				require.Equal(t, values, w.Header()[name], name)
			}
			require.NotEmpty(t, w.Header().Get("x-amzn-RequestId"))
			require.NotEmpty(t, w.Header().Get("x-amz-apigw-id"))
			require.Contains(t, w.Header().Get("X-Amzn-Trace-Id"), "Root=1-")
			require.Empty(t, w.Header().Get("x-amzn-ErrorType"))
		})
	}
}

func TestIntegrationFailures(t *testing.T) {
	t.Parallel()
	const internal = `{"message":"Internal server error"}`
	answers := func(payload string) func(*fake) { return func(f *fake) { f.answer(itemsARN, payload) } }
	fails := func(err error) func(*fake) { return func(f *fake) { f.err(itemsARN, err) } }
	for name, test := range map[string]struct {
		arrange func(*fake)
		status  int
		body    string
		kind    string
		reason  string
	}{
		"function error":         {func(f *fake) { f.fail(itemsARN, `{"errorMessage":"secret"}`) }, 502, internal, "DEFAULT_5XX", "customer function error"},
		"timeout":                {func(f *fake) { f.hang(itemsARN) }, 504, `{"message":"Endpoint request timed out"}`, "INTEGRATION_TIMEOUT", "longer than"},
		"throttled function":     {fails(fmt.Errorf("%w: one", lambda.ErrThrottled)), 500, internal, "INTEGRATION_FAILURE", "rate exceeded"},
		"function gone":          {fails(lambda.ErrNotFound), 500, internal, "INTEGRATION_FAILURE", "not found"},
		"event over 6 MB":        {fails(lambda.ErrTooLarge), 413, `{"message":"Request Too Long"}`, "REQUEST_TOO_LARGE", "6 MB"},
		"answer is text":         {answers(`"ok"`), 502, internal, "DEFAULT_5XX", "Malformed Lambda proxy response"},
		"answer is null":         {answers(`null`), 502, internal, "DEFAULT_5XX", "Malformed"},
		"answer is a list":       {answers(`[]`), 502, internal, "DEFAULT_5XX", "Malformed"},
		"answer is not JSON":     {answers(`{`), 502, internal, "DEFAULT_5XX", "Malformed"},
		"answer is empty":        {answers(``), 502, internal, "DEFAULT_5XX", "Malformed"},
		"unknown field":          {answers(`{"statusCode":200,"cookies":[]}`), 502, internal, "DEFAULT_5XX", "cookies"},
		"body is an object":      {answers(`{"statusCode":200,"body":{"a":1}}`), 502, internal, "DEFAULT_5XX", "Malformed"},
		"status is no number":    {answers(`{"statusCode":"ok"}`), 502, internal, "DEFAULT_5XX", "no final HTTP status"},
		"status is informal":     {answers(`{"statusCode":100}`), 502, internal, "DEFAULT_5XX", "no final HTTP status"},
		"status is out of range": {answers(`{"statusCode":600}`), 502, internal, "DEFAULT_5XX", "no final HTTP status"},
		"header is a number":     {answers(`{"headers":{"X-A":1}}`), 502, internal, "DEFAULT_5XX", "X-A"},
		"header is null":         {answers(`{"headers":{"X-A":null}}`), 502, internal, "DEFAULT_5XX", "X-A"},
		"headers are a list":     {answers(`{"headers":[]}`), 502, internal, "DEFAULT_5XX", "Malformed"},
		"one of many not a list": {answers(`{"multiValueHeaders":{"X-A":"1"}}`), 502, internal, "DEFAULT_5XX", "Malformed"},
		"encoded is text":        {answers(`{"isBase64Encoded":"yes"}`), 502, internal, "DEFAULT_5XX", "Malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack()
			s.body["paths"].(m)["/v1/items"].(m)["get"].(m)["x-amazon-apigateway-integration"].(m)["timeoutInMillis"] = 50.0
			b := serve(t, s)
			test.arrange(b.fn)
			w := b.do("GET", "/v1/items", "")
			b.requireAnswer(w, test.status, test.body)
			require.Equal(t, test.kind, b.requests[0].Response)
			require.Equal(t, itemsARN, b.requests[0].Function)
			require.Contains(t, b.log.String(), test.reason)
			require.NotContains(t, b.log.String()+w.Body.String(), "secret")
		})
	}
}

func TestFunctionRunsOnWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack())
	b.fn.answers[itemsARN] = func(ctx context.Context, _ []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(`{}`)}, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, 200, b.send(httptest.NewRequest("GET", "/v1/items", nil).WithContext(ctx)).Code)
}

// Lambda Developer Guide, "Viewing resource-based IAM policies in Lambda"; API Gateway's source ARN has * for parameters.
func TestInvokePermission(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit    func(*stack)
		allowed bool
	}{
		"this stage":               {func(s *stack) { s.permit("items", "items", executeARN+"/live/*") }, true},
		"this route":               {func(s *stack) { s.permit("items", "items", executeARN+"/live/GET/v1/items/*") }, true},
		"function by ARN":          {func(s *stack) { s.permit("items", functions+"items", executeARN+"/*") }, true},
		"no source given":          {func(s *stack) { s.permit("items", "items", "") }, true},
		"own account":              {func(s *stack) { s.set("permission-items", "sourceAccount", "123456789012") }, true},
		"none":                     {func(s *stack) { delete(s.resources, "permission-items") }, false},
		"other method":             {func(s *stack) { s.permit("items", "items", executeARN+"/live/POST/v1/items/*") }, false},
		"other stage":              {func(s *stack) { s.permit("items", "items", executeARN+"/test/*") }, false},
		"other API":                {func(s *stack) { s.permit("items", "items", "arn:aws:execute-api:eu-west-1:123456789012:other/*") }, false},
		"other function":           {func(s *stack) { s.permit("items", "item", executeARN+"/*") }, false},
		"without the alias":        {func(s *stack) { s.set("permission-items", "qualifier", "") }, false},
		"another alias":            {func(s *stack) { s.set("permission-items", "qualifier", "blue") }, false},
		"another service":          {func(s *stack) { s.set("permission-items", "principal", "events.amazonaws.com") }, false},
		"another action":           {func(s *stack) { s.set("permission-items", "action", "lambda:GetFunction") }, false},
		"another account":          {func(s *stack) { s.set("permission-items", "sourceAccount", "999999999999") }, false},
		"literal in place of {id}": {func(s *stack) { s.permit("items", "items", executeARN+"/live/GET/v1/items/7") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack().path("/v1/items/{id}", m{"get": operation(nil)})
			test.edit(s)
			b := serve(t, s)
			w := b.do("GET", "/v1/items/7", "")
			if test.allowed {
				b.requireAnswer(w, 200, "ok")
				return
			}
			b.requireAnswer(w, 500, `{"message":"Internal server error"}`)
			require.Contains(t, b.log.String(), "Invalid permissions on Lambda function")
			require.Zero(t, b.fn.count(itemsARN))
		})
	}
}

// Pages "Quotas for configuring and running a REST API" and "Amazon API Gateway important notes".
func TestRequestLimits(t *testing.T) {
	t.Parallel()
	s := newStack().path("/v1/items", m{"post": operation(nil), "get": operation(nil)})
	s.body["x-amazon-apigateway-gateway-responses"] = m{"REQUEST_TOO_LARGE": m{"statusCode": "499"}, "DEFAULT_4XX": m{"responseParameters": m{"gatewayresponse.header.X-Custom": "'yes'"}}}
	b := serve(t, s)
	for name, test := range map[string]struct {
		target, body, header string
		status               int
		message              string
	}{
		"largest body":          {"/v1/items", strings.Repeat("x", 10<<20), "", 200, ""},
		"larger body":           {"/v1/items", strings.Repeat("x", 10<<20+1), "", 413, "Request Too Long"},
		"headers too large":     {"/v1/items", "", "X-Big: " + strings.Repeat("x", 10240), 431, "Request Header Fields Too Large"},
		"URL too long":          {"/v1/items?q=" + strings.Repeat("x", 10240), "", "", 414, "Request URI too long"},
		"plain pipe in query":   {"/v1/items?q=a|b", "", "", 400, "Bad Request"},
		"plain braces in query": {"/v1/items?q={}", "", "", 400, "Bad Request"},
		"broken percent":        {"/v1/items?q=%zz", "", "", 400, "Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{}
			if test.header != "" {
				headers = append(headers, test.header)
			}
			w := b.do("POST", test.target, test.body, headers...)
			require.Equal(t, test.status, w.Code)
			if test.message != "" {
				require.Equal(t, `{"message":"`+test.message+`"}`, w.Body.String())
			}
			custom := test.status >= 400 && test.status != 413 // which cannot be customized
			require.Equal(t, custom, w.Header().Get("X-Custom") == "yes")
		})
	}
	b.do("GET", "/v1/items?a=1;b=2", "")
	require.Equal(t, m{"a": "1", "b": "2"}, b.fn.last(t, itemsARN)["queryStringParameters"], "a semicolon splits")
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("reset") }

func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack())
	w := b.send(httptest.NewRequest("GET", "/v1/items", brokenBody{}))
	b.requireAnswer(w, 400, `{"message":"Bad Request"}`)
}

// Page "Throttle requests to your REST APIs": a token bucket for each method of the stage.
func TestThrottle(t *testing.T) {
	t.Parallel()
	s := newStack().path("/v1/slow/{id}", m{"get": operation(nil), "post": operation(nil)}).path("/v1/off", m{"get": operation(nil)})
	s.settings("*/*", 10, 2).settings("v1/slow/{id}/GET", 1, 1).settings("v1/off/GET", 0, 0)
	b := serve(t, s)
	statuses := func(method, target string, n int) (all []int) {
		for range n {
			all = append(all, b.do(method, target, "").Code)
		}
		return all
	}
	require.Equal(t, []int{200, 200, 429}, statuses("GET", "/v1/items", 3), "burst")
	require.Equal(t, []int{200, 429}, statuses("GET", "/v1/slow/1", 2), "its own, stricter one")
	require.Equal(t, []int{429}, statuses("GET", "/v1/slow/2", 1), "the method counts, not the path")
	require.Equal(t, []int{200, 200, 429}, statuses("POST", "/v1/slow/1", 3), "each method has its own bucket")
	require.Equal(t, []int{429}, statuses("GET", "/v1/off", 1))

	b.clock.pass(100 * time.Millisecond)
	require.Equal(t, []int{200, 429}, statuses("GET", "/v1/items", 2), "refilled at the rate")
	require.Equal(t, []int{429}, statuses("GET", "/v1/slow/1", 1))
	b.clock.pass(time.Hour)
	require.Equal(t, []int{200, 200, 429}, statuses("GET", "/v1/items", 3), "never more than the burst")

	w := b.do("GET", "/v1/off", "")
	b.requireAnswer(w, 429, `{"message":"Too Many Requests"}`)
	require.Equal(t, "THROTTLED", b.requests[len(b.requests)-1].Response)
}

func TestThrottleComesBeforeTheAuthorizer(t *testing.T) {
	t.Parallel()
	s := newStack().path("/v1/items", m{"get": operation(m{"security": []any{m{"user": []any{}}}})}).settings("*/*", 0, 0)
	b := serve(t, s)
	require.Equal(t, 429, b.do("GET", "/v1/items", "", "Authorization: Bearer abc").Code)
	require.Zero(t, b.fn.count(authARN))
}

func TestUnlimitedWithoutSettings(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack().settings("*/*", -1, -1))
	for range 50 {
		require.Equal(t, 200, b.do("GET", "/v1/items", "").Code)
	}
}

func TestRoutesAndNotEmulated(t *testing.T) {
	t.Parallel()
	s := newStack().path("/v1/items", m{"get": operation(m{"operationId": "list", "security": []any{m{"user": []any{}}}}), "options": preflight()})
	s.set("api", "policy", "{}").set("stage", "webAclArn", "arn").set("stage", "xrayTracingEnabled", true).set("api", "minimumCompressionSize", "0")
	b := serve(t, s)
	require.Equal(t, []Route{
		{Method: "GET", Path: "/v1/items", OperationID: "list", Function: itemsARN, Authorized: true},
		{Method: "OPTIONS", Path: "/v1/items"},
	}, b.Routes())
	require.Len(t, b.NotEmulated(), 4)
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack())
	w := b.do("GET", "/v1/items?token=secret", "")
	require.Equal(t, []RequestLog{{
		Time: b.clock.Now(), RequestID: w.Header().Get("x-amzn-RequestId"), Method: "GET", Path: "/v1/items", SourceIP: "192.0.2.1",
		Resource: "/v1/items", Status: 200, Function: itemsARN, Cold: true,
	}}, b.requests)
}

func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	s := newStack().path("/v1/items", m{"get": operation(m{"security": []any{m{"user": []any{}}}})}).settings("*/*", 1e6, 1e6)
	fn := newFake()
	g, err := New(Config{Deployment: s.deployment(t), Invoker: fn})
	require.NoError(t, err)
	server := httptest.NewServer(g)
	defer server.Close()
	results := make(chan error, 32)
	for range 32 {
		go func() {
			req, _ := http.NewRequest("GET", server.URL+"/v1/items", nil)
			req.Header.Set("Authorization", "Bearer abc")
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				err = resp.Body.Close()
				if resp.StatusCode != 200 {
					err = fmt.Errorf("status %d", resp.StatusCode)
				}
			}
			results <- err
		}()
	}
	for range 32 {
		require.NoError(t, <-results)
	}
	require.Equal(t, 32, fn.count(itemsARN))
}
