package gateway

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// withModel has a validated POST with a model, a required query parameter and a required header.
func withModel(content m) *stack {
	s := newStack()
	s.body["x-amazon-apigateway-request-validators"] = m{"all": m{"validateRequestBody": true, "validateRequestParameters": true},
		"none": m{"validateRequestBody": false, "validateRequestParameters": false}}
	s.body["x-amazon-apigateway-request-validator"] = "all"
	s.body["components"].(m)["schemas"] = m{
		"Item": m{"type": "object", "required": []any{"name"}, "additionalProperties": false, "properties": m{
			"name": m{"type": "string", "minLength": 1.0, "maxLength": 5.0, "pattern": "^[a-z]+$"}, "count": m{"type": "integer", "minimum": 1.0, "maximum": 9.0},
			"kind": m{"type": "string", "enum": []any{"a", "b"}}, "tags": m{"type": "array", "items": m{"$ref": "#/components/schemas/Tag"}, "minItems": 1.0, "maxItems": 2.0},
			"email": m{"type": "string", "format": "email"}}},
		"Tag": m{"type": "string", "maxLength": 3.0},
	}
	return s.path("/v1/items", m{
		"post": operation(m{"requestBody": m{"content": content}}),
		"put":  operation(m{"requestBody": m{"content": content}, "x-amazon-apigateway-request-validator": "none"}),
		"get": operation(m{"parameters": []any{
			m{"name": "page", "in": "query", "required": true, "schema": m{"type": "integer"}}, m{"name": "size", "in": "query", "schema": m{"type": "integer"}},
			m{"name": "Idempotency-Key", "in": "header", "required": true, "schema": m{"type": "string"}}}}),
	})
}

func item() m { return m{"application/json": m{"schema": m{"$ref": "#/components/schemas/Item"}}} }

// Page "Data models for REST APIs in API Gateway" (JSON schema draft 4).
func TestBodyModel(t *testing.T) {
	t.Parallel()
	b := serve(t, withModel(item()))
	for _, test := range []struct {
		name, body string
		valid      bool
	}{
		{"complete", `{"name":"abc","count":9,"kind":"b","tags":["x"],"email":"a@b.example"}`, true},
		{"smallest", `{"name":"a"}`, true},
		{"integral float", `{"name":"a","count":2.0}`, true},
		{"more items than maxItems, which API Gateway does not check", `{"name":"a","tags":["x","y","z"]}`, true},
		{"fewer items than minItems, likewise", `{"name":"a","tags":[]}`, true},
		{"duplicate key, the last counts", `{"name":1,"name":"a"}`, true},
		{"empty body is {}", ``, false},
		{"not JSON", `{`, false},
		{"two values", `{"name":"a"}{}`, false},
		{"not an object", `[]`, false},
		{"null", `null`, false},
		{"missing", `{}`, false},
		{"unknown field", `{"name":"a","x":1}`, false},
		{"wrong type", `{"name":1}`, false},
		{"null field", `{"name":null}`, false},
		{"too short", `{"name":""}`, false},
		{"too long", `{"name":"abcdef"}`, false},
		{"pattern", `{"name":"A"}`, false},
		{"too small", `{"name":"a","count":0}`, false},
		{"too large", `{"name":"a","count":10}`, false},
		{"fraction", `{"name":"a","count":1.5}`, false},
		{"huge number", `{"name":"a","count":1e400}`, false},
		{"enum", `{"name":"a","kind":"c"}`, false},
		{"in a referenced model", `{"name":"a","tags":["long"]}`, false},
		{"format", `{"name":"a","email":"nobody"}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := b.fn.count(itemsARN)
			w := b.do("POST", "/v1/items", test.body, "Content-Type: application/json")
			if test.valid {
				b.requireAnswer(w, 200, "ok")
				return
			}
			b.requireAnswer(w, 400, `{"message":"Invalid request body"}`)
			require.Equal(t, "BAD_REQUEST_BODY", b.requests[len(b.requests)-1].Response)
			require.Equal(t, before, b.fn.count(itemsARN), "the function is not invoked")
		})
	}
}

// Page "Request validation for REST APIs": no model for the content type, no validation. Proxy integrations pass
// everything on: page "Method request behavior for payloads without mapping templates".
func TestModelIsChosenByContentType(t *testing.T) {
	t.Parallel()
	withDefault := item()
	withDefault["$default"] = m{"schema": m{"type": "object", "maxProperties": 0.0}}
	for _, test := range []struct {
		name, contentType string
		content           m
		status            int
	}{
		{"its type", "application/json", item(), 400},
		{"its type with parameters", "application/json; charset=utf-8", item(), 400},
		{"its type in other case", "Application/JSON", item(), 400},
		{"none is application/json", "", item(), 400},
		{"another type is not checked", "text/plain", item(), 200},
		{"a suffix is another type", "application/problem+json", item(), 200},
		{"$default checks the others", "text/plain", withDefault, 400},
		{"no model at all", "application/json", m{}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, withModel(test.content))
			var headers []string
			if test.contentType != "" {
				headers = append(headers, "Content-Type: "+test.contentType)
			}
			require.Equal(t, test.status, b.do("POST", "/v1/items", `{"bad":1}`, headers...).Code)
		})
	}
}

func TestRequiredParameters(t *testing.T) {
	t.Parallel()
	b := serve(t, withModel(item()))
	const key = "Idempotency-Key: k"
	for name, test := range map[string]struct {
		target  string
		headers []string
		message string
	}{
		"all there":           {"/v1/items?page=1", []string{key}, ""},
		"type not checked":    {"/v1/items?page=abc", []string{key}, ""},
		"query missing":       {"/v1/items", []string{key}, "Missing required request parameters: [page]"},
		"query empty":         {"/v1/items?page=", []string{key}, "Missing required request parameters: [page]"},
		"query blank":         {"/v1/items?page=%20", []string{key}, "Missing required request parameters: [page]"},
		"query in other case": {"/v1/items?Page=1", []string{key}, "Missing required request parameters: [page]"},
		"header missing":      {"/v1/items?page=1", nil, "Missing required request parameters: [Idempotency-Key]"},
		"header empty":        {"/v1/items?page=1", []string{"Idempotency-Key: "}, "Missing required request parameters: [Idempotency-Key]"},
		"both":                {"/v1/items", nil, "Missing required request parameters: [Idempotency-Key, page]"},
	} {
		t.Run(name, func(t *testing.T) {
			w := b.do("GET", test.target, "", test.headers...)
			if test.message == "" {
				b.requireAnswer(w, 200, "ok")
				return
			}
			b.requireAnswer(w, 400, `{"message":"`+test.message+`"}`)
			require.Equal(t, "BAD_REQUEST_PARAMETERS", b.requests[len(b.requests)-1].Response)
		})
	}
}

func TestValidatorOfTheMethodWins(t *testing.T) {
	t.Parallel()
	b := serve(t, withModel(item()))
	b.requireAnswer(b.do("PUT", "/v1/items", `not JSON`, "Content-Type: application/json"), 200, "ok")
}

func TestValidationComesAfterTheAuthorizer(t *testing.T) {
	t.Parallel()
	s := withModel(item())
	s.body["paths"].(m)["/v1/items"].(m)["post"].(m)["security"] = []any{m{"user": []any{}}}
	require.Equal(t, 401, serve(t, s).do("POST", "/v1/items", `bad`).Code)
}

func TestValidationErrorHoldsNoValues(t *testing.T) {
	t.Parallel()
	s := withModel(item())
	s.body["x-amazon-apigateway-gateway-responses"] = m{"BAD_REQUEST_BODY": m{"responseTemplates": m{"application/json": "$context.error.validationErrorString"}}}
	b := serve(t, s)
	w := b.do("POST", "/v1/items", `{"name":"SECRET","tags":["also-secret"]}`)
	require.Equal(t, 400, w.Code)
	for _, want := range []string{"/name", "/tags/0", "maxLength", "pattern"} {
		require.Contains(t, w.Body.String(), want)
	}
	require.NotContains(t, strings.ToLower(w.Body.String()+b.log.String()), "secret")
}
