package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

func protected() m { return operation(m{"security": []any{m{"user": []any{}}}}) }

func secured() *stack {
	return newStack().path("/v1/items", m{"get": protected(), "post": protected()}).path("/v1/items/{id}", m{"get": protected()})
}

const bearer = "Authorization: Bearer abc"

// Page "Input to an API Gateway Lambda authorizer".
func TestAuthorizerInput(t *testing.T) {
	t.Parallel()
	b := serve(t, secured())
	b.requireAnswer(b.do("GET", "/v1/items/a%20b/?x=1", "", bearer), 200, "ok")
	require.Equal(t, m{"type": "TOKEN", "authorizationToken": "Bearer abc", "methodArn": executeARN + "/live/GET/v1/items/a%20b/"}, b.fn.last(t, authARN))
}

// Page "Use API Gateway Lambda authorizers": without a valid token the function is not asked.
func TestTokenIsCheckedBeforeTheAuthorizer(t *testing.T) {
	t.Parallel()
	b := serve(t, secured())
	for name, headers := range map[string][]string{
		"missing":          nil,
		"empty":            {"Authorization: "},
		"no match":         {"Authorization: Basic abc"},
		"match in middle":  {"Authorization: x Bearer abc"},
		"other characters": {"Authorization: Bearer ABC"},
		"another header":   {"X-Authorization: Bearer abc"},
	} {
		t.Run(name, func(t *testing.T) {
			w := b.do("GET", "/v1/items", "", headers...)
			b.requireAnswer(w, 401, `{"message":"Unauthorized"}`)
			require.Equal(t, "UnauthorizedException", w.Header().Get("x-amzn-ErrorType"))
		})
	}
	require.Zero(t, b.fn.count(authARN))
	require.Zero(t, b.fn.count(itemsARN))
}

func policy(statements string) string {
	return `{"principalId":"u","policyDocument":{"Version":"2012-10-17","Statement":` + statements + `}}`
}

// Page "Output from an API Gateway Lambda authorizer"; messages: AWS re:Post on 403 of a Lambda authorizer.
func TestAuthorizerOutput(t *testing.T) {
	t.Parallel()
	const (
		implicit = `{"message":"User is not authorized to access this resource"}`
		explicit = `{"message":"User is not authorized to access this resource with an explicit deny"}`
		broken   = `{"message":null}`
	)
	all, this := `"`+executeARN+`/*"`, `"`+executeARN+`/live/GET/v1/items"`
	answers := func(payload string) func(*fake) { return func(f *fake) { f.answer(authARN, payload) } }
	for name, test := range map[string]struct {
		arrange func(*fake)
		status  int
		body    string
		kind    string
	}{
		"allow all":              {answers(allow(all)), 200, "ok", ""},
		"allow exactly this":     {answers(allow(this)), 200, "ok", ""},
		"allow by list":          {answers(allow(`["arn:aws:execute-api:*:*:other/*",` + this + `]`)), 200, "ok", ""},
		"allow by question mark": {answers(allow(`"` + executeARN + `/li?e/GET/*"`)), 200, "ok", ""},
		"one statement, no list": {answers(policy(`{"Effect":"Allow","Action":"*","Resource":"*"}`)), 200, "ok", ""},
		"action in other case":   {answers(policy(`[{"Effect":"Allow","Action":["Execute-API:INVOKE"],"Resource":"*"}]`)), 200, "ok", ""},
		"allow another method":   {answers(allow(`"` + executeARN + `/live/POST/v1/items"`)), 403, implicit, "ACCESS_DENIED"},
		"allow another path":     {answers(allow(`"` + executeARN + `/live/GET/v1/item"`)), 403, implicit, "ACCESS_DENIED"},
		"allow another API":      {answers(allow(`"arn:aws:execute-api:eu-west-1:123456789012:other/*"`)), 403, implicit, "ACCESS_DENIED"},
		"allow another action":   {answers(policy(`[{"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"*"}]`)), 403, implicit, "ACCESS_DENIED"},
		"deny":                   {answers(policy(`[{"Effect":"Deny","Action":"*","Resource":"*"}]`)), 403, explicit, "ACCESS_DENIED"},
		"deny wins over allow":   {answers(policy(`[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":` + this + `}]`)), 403, explicit, "ACCESS_DENIED"},
		"deny of another path":   {answers(policy(`[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*/DELETE/*"}]`)), 200, "ok", ""},

		"throws Unauthorized":  {func(f *fake) { f.fail(authARN, `{"errorMessage":"Unauthorized","errorType":"errorString"}`) }, 401, `{"message":"Unauthorized"}`, "UNAUTHORIZED"},
		"throws unauthorized":  {func(f *fake) { f.fail(authARN, `{"errorMessage":"unauthorized"}`) }, 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"throws anything else": {func(f *fake) { f.fail(authARN, `{"errorMessage":"bad token abc"}`) }, 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"throws no JSON":       {func(f *fake) { f.fail(authARN, `boom`) }, 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"throttled":            {func(f *fake) { f.err(authARN, lambda.ErrThrottled) }, 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"gone":                 {func(f *fake) { f.err(authARN, errors.New("gone")) }, 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},

		"no object":               {answers(`"ok"`), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"null":                    {answers(`null`), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"no principal":            {answers(strings.Replace(allow(all), `"principalId":"user-1",`, "", 1)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"empty principal":         {answers(strings.Replace(allow(all), "user-1", "", 1)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"principal is a number":   {answers(strings.Replace(allow(all), `"user-1"`, "1", 1)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"no policy":               {answers(`{"principalId":"u"}`), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"no statement":            {answers(policy(`[]`)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"unknown effect":          {answers(policy(`[{"Effect":"allow","Action":"*","Resource":"*"}]`)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"no action":               {answers(policy(`[{"Effect":"Allow","Resource":"*"}]`)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"no resource":             {answers(policy(`[{"Effect":"Allow","Action":"*"}]`)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"condition":               {answers(policy(`[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":"b"}}}]`)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"not-resource":            {answers(policy(`[{"Effect":"Allow","Action":"*","Resource":"*","NotResource":"x"}]`)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"context holds a list":    {answers(strings.Replace(allow(all), `"s1"`, `["s1"]`, 1)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"context holds an object": {answers(strings.Replace(allow(all), `"s1"`, `{}`, 1)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"context holds null":      {answers(strings.Replace(allow(all), `"s1"`, `null`, 1)), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
		"context is a list":       {answers(`{"principalId":"u","policyDocument":{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]},"context":[]}`), 500, broken, "AUTHORIZER_CONFIGURATION_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, secured())
			test.arrange(b.fn)
			b.requireAnswer(b.do("GET", "/v1/items", "", bearer), test.status, test.body)
			require.Equal(t, test.kind, b.requests[0].Response)
			require.Equal(t, test.status == 200, b.fn.count(itemsARN) == 1)
			require.NotContains(t, b.log.String(), "Bearer", "a token never reaches the log")
			require.NotContains(t, b.log.String(), "bad token", "nor does what the authorizer says of it")
		})
	}
}

func TestAuthorizerNeedsPermission(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*stack){
		"none":               func(s *stack) { delete(s.resources, "permission-authorizer") },
		"for the stage only": func(s *stack) { s.permit("authorizer", "authorizer", executeARN+"/live/*") },
	} {
		t.Run(name, func(t *testing.T) {
			s := secured()
			edit(s)
			b := serve(t, s)
			b.requireAnswer(b.do("GET", "/v1/items", "", bearer), 500, `{"message":null}`)
			require.Zero(t, b.fn.count(authARN))
			require.Contains(t, b.log.String(), "no Lambda permission")
		})
	}
}

// Page "Use API Gateway Lambda authorizers": the policy is cached by token, across methods, and judged for each.
func TestAuthorizerCache(t *testing.T) {
	t.Parallel()
	b := serve(t, secured())
	b.fn.answer(authARN, allow(`"`+executeARN+`/live/GET/v1/items"`))
	require.Equal(t, 200, b.do("GET", "/v1/items", "", bearer).Code)
	require.Equal(t, 200, b.do("GET", "/v1/items", "", bearer).Code)
	require.Equal(t, 1, b.fn.count(authARN))
	require.Equal(t, 403, b.do("GET", "/v1/items/7", "", bearer).Code, "a policy for one path denies the others while it is cached")
	require.Equal(t, 403, b.do("POST", "/v1/items", "", bearer).Code)
	require.Equal(t, 1, b.fn.count(authARN))

	require.Equal(t, 200, b.do("GET", "/v1/items", "", "Authorization: Bearer other").Code)
	require.Equal(t, 2, b.fn.count(authARN), "another token")

	b.clock.pass(60*time.Second - 1)
	b.do("GET", "/v1/items", "", bearer)
	require.Equal(t, 2, b.fn.count(authARN))
	b.clock.pass(1)
	b.do("GET", "/v1/items", "", bearer)
	require.Equal(t, 3, b.fn.count(authARN), "expired")
	require.Len(t, b.cache.entries, 1, "what expired is forgotten")
}

func TestDenialIsCachedAndFailureIsNot(t *testing.T) {
	t.Parallel()
	b := serve(t, secured())
	for name, test := range map[string]struct {
		arrange func()
		asked   int
	}{
		"explicit deny":  {func() { b.fn.answer(authARN, policy(`[{"Effect":"Deny","Action":"*","Resource":"*"}]`)) }, 1},
		"unauthorized":   {func() { b.fn.fail(authARN, `{"errorMessage":"Unauthorized"}`) }, 2},
		"function error": {func() { b.fn.fail(authARN, `{}`) }, 2},
		"malformed":      {func() { b.fn.answer(authARN, `{}`) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			test.arrange()
			token := "Authorization: Bearer " + strings.ReplaceAll(name, " ", ".")
			before := b.fn.count(authARN)
			first, second := b.do("GET", "/v1/items", "", token).Code, b.do("GET", "/v1/items", "", token).Code
			require.Equal(t, first, second)
			require.Equal(t, test.asked, b.fn.count(authARN)-before)
		})
	}
}

func TestAuthorizerWithoutCache(t *testing.T) {
	t.Parallel()
	s := secured()
	authorizer := s.body["components"].(m)["securitySchemes"].(m)["user"].(m)["x-amazon-apigateway-authorizer"].(m)
	authorizer["authorizerResultTtlInSeconds"] = 0.0
	delete(authorizer, "identityValidationExpression")
	delete(authorizer, "identitySource")
	b := serve(t, s)
	for i := range 3 {
		require.Equal(t, 200, b.do("GET", "/v1/items", "", "Authorization: anything").Code)
		require.Equal(t, i+1, b.fn.count(authARN))
	}
}

func TestMethodARNTooLong(t *testing.T) {
	t.Parallel()
	b := serve(t, secured())
	b.requireAnswer(b.do("GET", "/v1/items/"+strings.Repeat("x", 1600), "", bearer), 414, `{"message":"Request URI too long"}`)
	require.Zero(t, b.fn.count(authARN))
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"*", "", true}, {"*", "a/b:c", true}, {"a", "a", true}, {"a", "A", false}, {"a", "ab", false}, {"?", "", false},
		{"?", "a", true}, {"a*c", "abbc", true}, {"a*c", "abb", false}, {"*a*b*", "xaxbx", true}, {"*a*b", "ab", true}, {"a**", "a", true},
		{"*aab", "aaab", true}, {"a?c*", "abcd", true}, {"[a]", "a", false}, {"a.c", "abc", false},
	} {
		t.Run(fmt.Sprintf("%q %q", test.pattern, test.text), func(t *testing.T) {
			require.Equal(t, test.want, glob(test.pattern, test.text))
		})
	}
}
