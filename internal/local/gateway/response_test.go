package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func preflight() m {
	return m{
		"responses": m{"204": m{"description": "ok", "headers": m{"Access-Control-Allow-Methods": m{"schema": m{"type": "string"}}, "Vary": m{}}}, "500": m{}},
		"x-amazon-apigateway-integration": m{"type": "mock", "passthroughBehavior": "never",
			"requestTemplates": m{"application/json": `{"statusCode": 204}`},
			"responses": m{"default": m{"statusCode": "204",
				"responseParameters": m{"method.response.header.Access-Control-Allow-Methods": "'GET,POST'", "method.response.header.Vary": "'Origin'"},
				"responseTemplates": m{"application/json": `#set($origin = $input.params('Origin'))
#foreach($allowed in ['https://app.example', 'http://localhost:3000'])
#if($origin == $allowed)
#set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)
#set($context.responseOverride.header.Access-Control-Allow-Credentials = 'true')
#end
#end`}}}}}
}

// Page "Enable CORS for REST APIs in API Gateway" and "Override your API's request and response parameters".
func TestPreflight(t *testing.T) {
	t.Parallel()
	b := serve(t, newStack().path("/v1/items", m{"get": operation(nil), "options": preflight()}))
	for name, test := range map[string]struct {
		origin, allowed string
	}{
		"allowed":      {"https://app.example", "https://app.example"},
		"also allowed": {"http://localhost:3000", "http://localhost:3000"},
		"disallowed":   {"https://evil.example", ""},
		"longer":       {"https://app.example.evil", ""},
		"null":         {"null", ""},
		"none":         {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := b.do("OPTIONS", "/v1/items", "", "Origin: "+test.origin, "Access-Control-Request-Method: GET")
			require.Equal(t, 204, w.Code)
			require.Equal(t, test.allowed, w.Header().Get("Access-Control-Allow-Origin"))
			require.Equal(t, test.allowed != "", w.Header().Get("Access-Control-Allow-Credentials") == "true")
			require.Equal(t, "GET,POST", w.Header().Get("Access-Control-Allow-Methods"))
			require.Equal(t, "Origin", w.Header().Get("Vary"))
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		})
	}
	require.Zero(t, b.fn.count(itemsARN), "no function is invoked")
	require.Empty(t, b.requests[0].Function)
}

// Pages "Mock integrations for REST APIs" and "Method request behavior for payloads without mapping templates".
func TestMockIntegration(t *testing.T) {
	t.Parallel()
	templates := m{"application/json": `{"statusCode": #if($input.params('fail') == 'yes')500#{else}200#end}`}
	responses := m{
		"default": m{"statusCode": "200", "responseTemplates": m{"application/json": `{"id":"$context.requestId","stage":"$context.stage","v":"$stageVariables.color","q":"$input.params('fail')","p":"$input.params('id')"}`}},
		`5\d\d`:   m{"statusCode": "500", "responseParameters": m{"method.response.header.X-Stage": "context.stage"}, "responseTemplates": m{"text/plain": "#set($context.responseOverride.status = 503)failed"}},
	}
	mock := func(requests, responses m, passthrough string) m {
		return m{"responses": m{"200": m{}, "500": m{"headers": m{"X-Stage": m{}}}}, "x-amazon-apigateway-integration": m{
			"type": "MOCK", "requestTemplates": requests, "responses": responses, "passthroughBehavior": passthrough}}
	}
	onlyErrors := m{`5\d\d`: responses[`5\d\d`]}
	s := newStack().path("/mock/{id}", m{"get": mock(templates, responses, "")}).
		path("/never", m{"post": mock(templates, responses, "NEVER")}).
		path("/no-templates", m{"post": mock(templates, responses, "WHEN_NO_TEMPLATES")}).
		path("/no-match", m{"post": mock(m{}, responses, "WHEN_NO_MATCH")}).
		path("/text", m{"post": mock(m{"application/json": `{"statusCode":"200"}`}, responses, "")}).
		path("/broken", m{"post": mock(m{"application/json": `nothing`}, responses, "")}).
		path("/unmapped", m{"post": mock(templates, onlyErrors, "")})
	s.set("stage", "variables", m{"color": "blue"})
	b := serve(t, s)

	w := b.do("GET", "/mock/7", "")
	b.requireAnswer(w, 200, `{"id":"`+w.Header().Get("x-amzn-RequestId")+`","stage":"live","v":"blue","q":"","p":"7"}`)
	w = b.do("GET", "/mock/7?fail=yes", "")
	b.requireAnswer(w, 503, "failed")
	require.Equal(t, "live", w.Header().Get("X-Stage"))
	require.Equal(t, "text/plain", w.Header().Get("Content-Type"))

	for name, test := range map[string]struct {
		path, body, contentType string
		status                  int
		kind                    string
	}{
		"type without template, never":             {"/never", "x", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"},
		"type without template, when no templates": {"/no-templates", "x", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"},
		"passed through and understood":            {"/no-match", `{"statusCode":200}`, "text/plain", 200, ""},
		"passed through and not understood":        {"/no-match", `x`, "text/plain", 500, "DEFAULT_5XX"},
		"status is text":                           {"/text", "", "", 500, "DEFAULT_5XX"},
		"not JSON":                                 {"/broken", "", "", 500, "DEFAULT_5XX"},
		"no response for the status":               {"/unmapped", "", "", 500, "API_CONFIGURATION_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if test.contentType != "" {
				headers = []string{"Content-Type: " + test.contentType}
			}
			require.Equal(t, test.status, b.do("POST", test.path, test.body, headers...).Code)
			require.Equal(t, test.kind, b.requests[len(b.requests)-1].Response)
		})
	}
}

// Pages "Gateway responses for REST APIs" and "x-amazon-apigateway-gateway-responses".
func TestGatewayResponses(t *testing.T) {
	t.Parallel()
	s := secured().path("/v1/items/{id}", m{"get": protected()}).path("/fail", m{"get": operation(nil)})
	s.body["x-amazon-apigateway-gateway-responses"] = m{
		"DEFAULT_4XX": m{"responseParameters": m{"gatewayresponse.header.X-Default": "'4xx'"}},
		"DEFAULT_5XX": m{"statusCode": "503", "responseTemplates": m{"application/problem+json": `{"status":503,"was":"$context.error.responseType"}`}},
		"UNAUTHORIZED": m{"responseParameters": m{"gatewayresponse.header.WWW-Authenticate": `'Bearer realm="x"'`,
			"gatewayresponse.header.Access-Control-Allow-Origin": "method.request.header.origin", "gatewayresponse.header.X-Query": "method.request.querystring.q",
			"gatewayresponse.header.X-Id": "method.request.path.id", "gatewayresponse.header.X-Stage": "context.stage", "gatewayresponse.header.X-Color": "stageVariables.color"},
			"responseTemplates": m{"application/problem+json": `{"title":$context.error.messageString,"raw":"$context.error.message","status":401,"instance":"urn:request:$context.requestId","path":"${context.resourcePath}","color":"$stageVariables.color","who":"$context.authorizer.principalId","agent":"$method.request.header.User-Agent","price":"5$"}`}},
		"MISSING_AUTHENTICATION_TOKEN": m{"statusCode": "404", "responseTemplates": m{"text/html": "<p>", "application/json": "{}"}},
		"INTEGRATION_FAILURE":          m{"statusCode": "599"},
	}
	s.set("stage", "variables", m{"color": "blue"})
	b := serve(t, s)

	w := b.do("GET", "/v1/items/7?q=1", "", "Origin: https://app.example", "User-Agent: ua/1")
	b.requireAnswer(w, 401, `{"title":"Unauthorized","raw":"Unauthorized","status":401,"instance":"urn:request:`+w.Header().Get("x-amzn-RequestId")+
		`","path":"/v1/items/{id}","color":"blue","who":"","agent":"ua/1","price":"5$"}`)
	for name, want := range map[string]string{"Content-Type": "application/problem+json", "Www-Authenticate": `Bearer realm="x"`,
		"Access-Control-Allow-Origin": "https://app.example", "X-Query": "1", "X-Id": "7", "X-Stage": "live", "X-Color": "blue"} {
		require.Equal(t, want, w.Header().Get(name), name)
	}
	require.NotContains(t, w.Header(), "X-Default", "a type of its own does not inherit")

	w = b.do("GET", "/v1/items/7", "")
	require.NotContains(t, w.Header(), "Access-Control-Allow-Origin", "a mapping without value gives no header")
	require.NotContains(t, w.Header(), "X-Query")

	t.Run("status changed, template chosen by Accept", func(t *testing.T) {
		b.requireAnswer(b.do("GET", "/none", ""), 404, "{}")
		w := b.do("GET", "/none", "", "Accept: text/html;q=1, */*")
		b.requireAnswer(w, 404, "<p>")
		require.Equal(t, "text/html", w.Header().Get("Content-Type"))
		b.requireAnswer(b.do("GET", "/none", "", "Accept: image/png"), 404, "{}")
	})
	t.Run("default of 4XX keeps status and body", func(t *testing.T) {
		b.fn.answer(authARN, policy(`[{"Effect":"Deny","Action":"*","Resource":"*"}]`))
		w := b.do("GET", "/v1/items/7", "", bearer)
		b.requireAnswer(w, 403, `{"message":"User is not authorized to access this resource with an explicit deny"}`)
		require.Equal(t, "4xx", w.Header().Get("X-Default"))
	})
	t.Run("default of 5XX changes all", func(t *testing.T) {
		b.fn.fail(itemsARN, `{}`)
		w := b.do("GET", "/fail", "")
		b.requireAnswer(w, 503, `{"status":503,"was":"DEFAULT_5XX"}`)
		b.fn.hang(itemsARN)
		b.requireAnswer(b.do("GET", "/fail", ""), 503, `{"status":503,"was":"INTEGRATION_TIMEOUT"}`)
	})
	t.Run("status without template keeps the body", func(t *testing.T) {
		b.fn.err(itemsARN, http.ErrHandlerTimeout)
		b.requireAnswer(b.do("GET", "/fail", ""), 599, `{"message":"Internal server error"}`)
	})
}

// Page "Set up CloudWatch logging for REST APIs" and "Variables for access logging for API Gateway".
func TestAccessLog(t *testing.T) {
	t.Parallel()
	s := secured().path("/open", m{"get": operation(nil)})
	s.set("stage", "accessLogSettings", m{"destinationArn": "arn:aws:logs:eu-west-1:123456789012:log-group:access",
		"format": `{"id":"$context.requestId","ip":"$context.identity.sourceIp","m":"$context.httpMethod","r":"$context.resourcePath","s":$context.status,"l":$context.responseLength,"ms":$context.responseLatency,"who":"$context.authorizer.principalId","e":"$context.error.responseType","ie":"$context.integrationErrorMessage","is":"$context.integration.status","t":"$context.requestTime"}`})
	b := serve(t, s)
	id := b.do("GET", "/open?secret=1", "").Header().Get("x-amzn-RequestId")
	require.Equal(t, `arn:aws:logs:eu-west-1:123456789012:log-group:access {"id":"`+id+
		`","ip":"192.0.2.1","m":"GET","r":"/open","s":200,"l":2,"ms":0,"who":"-","e":"-","ie":"-","is":"200","t":"03/Feb/2026:04:05:06 +0000"}`, b.access[0])

	b.do("GET", "/v1/items", "", bearer)
	require.Contains(t, b.access[1], `"who":"user-1"`)
	b.do("GET", "/none", "")
	require.Contains(t, b.access[2], `"r":"-","s":403`)
	require.Contains(t, b.access[2], `"e":"MISSING_AUTHENTICATION_TOKEN"`)
	b.fn.answer(itemsARN, `1`)
	b.do("GET", "/open", "")
	require.Contains(t, b.access[3], `"s":502`)
	require.Contains(t, b.access[3], `"ie":"Malformed Lambda proxy response`)
}

// Page "Variables for data transformations for API Gateway".
func TestContextVariables(t *testing.T) {
	t.Parallel()
	names := []string{"accountId", "apiId", "stage", "domainName", "domainPrefix", "httpMethod", "path", "protocol", "requestTime", "requestTimeEpoch",
		"resourcePath", "identity.sourceIp", "identity.userAgent", "authorizer.principalId", "authorizer.level", "authorizer.admin", "authorizer.none",
		"identity.user", "wafResponseCode", "status", "responseLength", "responseLatency", "integrationLatency", "integrationStatus", "authorizer.latency",
		"authorizer.error", "error.message"}
	format := "$context.requestId $context.extendedRequestId $context.xrayTraceId $context.resourceId"
	for _, name := range names {
		format += "\t$context." + name
	}
	s := secured()
	s.set("stage", "accessLogSettings", m{"destinationArn": "arn", "format": format})
	b := serve(t, s)
	r := httptest.NewRequest("GET", "https://api.example.com:8080/v1/items/7", nil)
	r.Header = http.Header{"Authorization": {"Bearer abc"}, "User-Agent": {"ua/1"}}
	b.send(r)
	got := strings.Split(b.access[0], "\t")
	require.Regexp(t, `^arn [0-9a-f-]{36} \S{16} Root=1-[0-9a-f]{8}-[0-9a-f]{24} [0-9a-z]{6,7}$`, got[0])
	require.Equal(t, []string{"123456789012", apiID, "live", "api.example.com", "api", "GET", "/v1/items/7", "HTTP/1.1", "03/Feb/2026:04:05:06 +0000",
		"1770091506789", "/v1/items/{id}", "192.0.2.1", "ua/1", "user-1", "2", "true", "-", "-", "-", "200", "2", "0", "0", "200", "0", "-", "-"}, got[1:])
}
