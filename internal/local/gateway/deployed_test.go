package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/deployment"
)

func get(s *stack) m          { return s.body["paths"].(m)["/v1/items"].(m)["get"].(m) }
func integrate(s *stack) m    { return get(s)["x-amazon-apigateway-integration"].(m) }
func scheme(s *stack) m       { return s.body["components"].(m)["securitySchemes"].(m)["user"].(m) }
func authorizerOf(s *stack) m { return scheme(s)["x-amazon-apigateway-authorizer"].(m) }
func schemas(s *stack) m      { return s.body["components"].(m)["schemas"].(m) }

func responses(s *stack, value m) { s.body["x-amazon-apigateway-gateway-responses"] = value }

func mocked(s *stack, edit func(integration, response m)) {
	o := preflight()
	i := o["x-amazon-apigateway-integration"].(m)
	edit(i, i["responses"].(m)["default"].(m))
	s.path("/v1/items", m{"options": o})
}

// TestNewRefuses shows that nothing which is not emulated goes unnoticed.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit func(*stack)
		want string
	}{
		"no API":                {func(s *stack) { delete(s.resources, "api") }, "0 resources of type aws:apigateway/restApi:RestApi"},
		"two APIs":              {func(s *stack) { s.add("api2", "aws:apigateway/restApi:RestApi", "x", m{}) }, "2 resources of type"},
		"no stage":              {func(s *stack) { delete(s.resources, "stage") }, "0 resources of type aws:apigateway/stage:Stage"},
		"two stages":            {func(s *stack) { s.add("s2", "aws:apigateway/stage:Stage", "x", m{}) }, "2 resources of type"},
		"no deployment":         {func(s *stack) { delete(s.resources, "deployment") }, `its deployment "dep1" is no Deployment`},
		"deployment of another": {func(s *stack) { s.set("deployment", "restApi", "x") }, `is no Deployment of REST API`},
		"stage of another":      {func(s *stack) { s.set("stage", "restApi", "x") }, "it belongs to REST API"},
		"no execution ARN":      {func(s *stack) { s.set("api", "executionArn", nil) }, "its executionArn"},
		"stage cache":           {func(s *stack) { s.set("stage", "cacheClusterEnabled", true) }, "cache cluster is not emulated"},
		"canary":                {func(s *stack) { s.set("stage", "canarySettings", m{"percentTraffic": 5.0}) }, "canary settings are not emulated"},
		"method cache": {func(s *stack) {
			s.settings("*/*", 1, 1)
			s.resources["settings-*/*"].Outputs["settings"].(m)["cachingEnabled"] = true
		}, "caching is not emulated"},
		"settings of no method": {func(s *stack) { s.settings("v1/items/POST", 1, 1) }, "no method of the API has that path"},
		"settings with slash":   {func(s *stack) { s.settings("/v1/items/GET", 1, 1) }, "without leading slash"},
		"settings elsewhere":    {func(s *stack) { s.settings("*/*", 1, 1).set("settings-*/*", "stageName", "x") }, "another API or stage"},
		"log without id":        {func(s *stack) { s.set("stage", "accessLogSettings", m{"format": "$context.status"}) }, "it needs $context.requestId"},
		"log with unknown name": {func(s *stack) { s.set("stage", "accessLogSettings", m{"format": "$context.requestId $context.statsu"}) }, "$context.statsu is not emulated"},

		"empty body":         {func(s *stack) { s.set("api", "body", deployment.Secret{}) }, "it is empty or secret"},
		"body not JSON":      {func(s *stack) { s.set("api", "body", "openapi: 3") }, "it is not a JSON object"},
		"swagger":            {func(s *stack) { s.body["openapi"] = "2.0" }, `version "2.0" is not 3.0.x`},
		"top-level security": {func(s *stack) { s.body["security"] = []any{} }, "API Gateway does not use security at the top"},
		"policy in the body": {func(s *stack) { s.body["x-amazon-apigateway-policy"] = m{} }, "body.x-amazon-apigateway-policy: it is not emulated"},
		"compression":        {func(s *stack) { s.body["x-amazon-apigateway-minimum-compression-size"] = 0.0 }, "it is not emulated"},
		"unknown component":  {func(s *stack) { s.body["components"].(m)["parameters"] = m{} }, "body.components.parameters: it is not emulated"},
		"paths is a list":    {func(s *stack) { s.body["paths"] = []any{} }, "body.paths: it is not an object"},

		"reserved path":        {func(s *stack) { s.path("/ping", m{"get": operation(nil)}) }, "reserved for API Gateway's health check"},
		"odd segment":          {func(s *stack) { s.path("/a/b{c}", m{"get": operation(nil)}) }, `segment "b{c}"`},
		"greedy in the middle": {func(s *stack) { s.path("/{a+}/b", m{"get": operation(nil)}) }, "is not the last segment"},
		"sibling parameters":   {func(s *stack) { s.path("/x/{a}", m{}).path("/x/{b}/c", m{}) }, "only one parameter is allowed"},
		"trace method":         {func(s *stack) { s.path("/v1/items", m{"trace": operation(nil)}) }, "body.paths./v1/items.trace: it is not emulated"},
		"unknown extension":    {func(s *stack) { get(s)["x-amazon-apigateway-auth"] = m{} }, "x-amazon-apigateway-auth: it is not emulated"},
		"unknown field":        {func(s *stack) { get(s)["callbacks"] = m{} }, "get.callbacks: it is not emulated"},
		"cookie parameter":     {func(s *stack) { get(s)["parameters"] = []any{m{"name": "a", "in": "cookie"}} }, `a parameter in "cookie"`},
		"parameter reference":  {func(s *stack) { get(s)["parameters"] = []any{m{"$ref": "#/x"}} }, "$ref: it is not emulated"},
		"no integration":       {func(s *stack) { delete(get(s), "x-amazon-apigateway-integration") }, "it has no x-amazon-apigateway-integration"},
		"unknown validator":    {func(s *stack) { get(s)["x-amazon-apigateway-request-validator"] = "strict" }, `request validator "strict"`},
		"validator is no text": {func(s *stack) { get(s)["x-amazon-apigateway-request-validator"] = 1.0 }, "it is not text"},
		"validator's flag text": {func(s *stack) {
			s.body["x-amazon-apigateway-request-validators"] = m{"a": m{"validateRequestBody": "yes"}}
		}, "it is not true or false"},

		"other integration":    {func(s *stack) { integrate(s)["type"] = "http_proxy" }, `"http_proxy" is not emulated`},
		"not by POST":          {func(s *stack) { integrate(s)["httpMethod"] = "GET" }, "invoked by POST"},
		"role":                 {func(s *stack) { integrate(s)["credentials"] = "arn:aws:iam::1:role/x" }, "integration.credentials: it is not emulated"},
		"cache keys":           {func(s *stack) { integrate(s)["cacheKeyParameters"] = []any{} }, "cacheKeyParameters: it is not emulated"},
		"streamed":             {func(s *stack) { integrate(s)["responseTransferMode"] = "STREAM" }, "STREAM is not emulated"},
		"timeout too long":     {func(s *stack) { integrate(s)["timeoutInMillis"] = 29001.0 }, "29001 is not from 50 to 29000"},
		"timeout too short":    {func(s *stack) { integrate(s)["timeoutInMillis"] = 49.0 }, "49 is not from 50"},
		"timeout is text":      {func(s *stack) { integrate(s)["timeoutInMillis"] = "50" }, "it is not a number"},
		"not a function":       {func(s *stack) { integrate(s)["uri"] = "https://example.com" }, "is not the invoke URI of a Lambda function"},
		"stage variable in it": {func(s *stack) { integrate(s)["uri"] = invokeURI + "${stageVariables.f}/invocations" }, "is not the invoke URI"},

		"two schemes":          {func(s *stack) { get(s)["security"] = []any{m{"user": []any{}}, m{"b": []any{}}} }, "exactly one scheme"},
		"scopes":               {func(s *stack) { get(s)["security"] = []any{m{"user": []any{"x"}}} }, "scopes are not emulated"},
		"unknown scheme":       {func(s *stack) { get(s)["security"] = []any{m{"admin": []any{}}} }, `scheme "admin" is not in`},
		"oauth scheme":         {func(s *stack) { scheme(s)["type"] = "oauth2" }, "it must be of type apiKey"},
		"API key":              {func(s *stack) { delete(scheme(s), "x-amazon-apigateway-authorizer") }, "would ask for an API key"},
		"request authorizer":   {func(s *stack) { authorizerOf(s)["type"] = "request" }, `"request" is not emulated`},
		"authorizer's role":    {func(s *stack) { authorizerOf(s)["authorizerCredentials"] = "x" }, "authorizerCredentials: it is not emulated"},
		"authorizer's URI":     {func(s *stack) { authorizerOf(s)["authorizerUri"] = "x" }, "is not the invoke URI"},
		"token in the query":   {func(s *stack) { authorizerOf(s)["identitySource"] = "method.request.querystring.t" }, "is not method.request.header"},
		"ttl too long":         {func(s *stack) { authorizerOf(s)["authorizerResultTtlInSeconds"] = 3601.0 }, "3601 is not from 0 to 3600"},
		"pattern not anchored": {func(s *stack) { authorizerOf(s)["identityValidationExpression"] = "Bearer .*" }, "begin it with ^"},
		"pattern of Java":      {func(s *stack) { authorizerOf(s)["identityValidationExpression"] = "^(?=x)$" }, "it is not emulated"},

		"model's name":           {func(s *stack) { schemas(s)["My-Model"] = m{} }, "letters and digits only"},
		"nullable":               {func(s *stack) { schemas(s)["A"] = m{"properties": m{"x": m{"nullable": true}}} }, "A.properties.x.nullable: API Gateway's models do not support it"},
		"default in items":       {func(s *stack) { schemas(s)["A"] = m{"items": m{"default": 1.0}} }, "A.items.default: API"},
		"example in anyOf":       {func(s *stack) { schemas(s)["A"] = m{"anyOf": []any{m{}, m{"example": 1.0}}} }, "A.anyOf.1.example: API"},
		"readOnly in additional": {func(s *stack) { schemas(s)["A"] = m{"additionalProperties": m{"readOnly": true}} }, "readOnly: API"},
		"schema is a text":       {func(s *stack) { schemas(s)["A"] = m{"properties": m{"x": "y"}} }, "a schema is an object"},
		"reference to a file":    {func(s *stack) { schemas(s)["A"] = m{"$ref": "other.json#/A"} }, "is not #/components/schemas/<name>"},
		"reference to nothing": {func(s *stack) {
			get(s)["requestBody"] = m{"content": m{"application/json": m{"schema": m{"$ref": "#/components/schemas/Gone"}}}}
		}, "Gone"},
		"no JSON schema": {func(s *stack) {
			get(s)["requestBody"] = m{"content": m{"application/json": m{"schema": m{"type": 5.0}}}}
		}, "application/json.schema"},
		"pattern not of RE2": {func(s *stack) {
			get(s)["requestBody"] = m{"content": m{"application/json": m{"schema": m{"pattern": "(?=x)"}}}}
		}, "application/json.schema"},
		"multipart encoding": {func(s *stack) { get(s)["requestBody"] = m{"content": m{"a/b": m{"schema": m{}, "encoding": m{}}}} }, "encoding: it is not emulated"},

		"response type":   {func(s *stack) { responses(s, m{"TEAPOT": m{}}) }, "no such gateway response type"},
		"response status": {func(s *stack) { responses(s, m{"DEFAULT_4XX": m{"statusCode": "teapot"}}) }, `"teapot" is not a status`},
		"response field":  {func(s *stack) { responses(s, m{"DEFAULT_4XX": m{"headers": m{}}}) }, "headers: it is not emulated"},
		"response query mapping": {func(s *stack) {
			responses(s, m{"DEFAULT_4XX": m{"responseParameters": m{"gatewayresponse.querystring.a": "'b'"}}})
		}, "only gatewayresponse.header"},
		"unquoted literal": {func(s *stack) {
			responses(s, m{"DEFAULT_4XX": m{"responseParameters": m{"gatewayresponse.header.a": "b"}}})
		}, "neither a 'literal'"},
		"unknown mapping": {func(s *stack) {
			responses(s, m{"DEFAULT_4XX": m{"responseParameters": m{"gatewayresponse.header.a": "context.nothing"}}})
		}, "$context.nothing is not emulated"},
		"Velocity in response": {func(s *stack) {
			responses(s, m{"DEFAULT_4XX": m{"responseTemplates": m{"application/json": "#if($x)a#end"}}})
		}, "this is no Velocity template"},
		"$input in response": {func(s *stack) {
			responses(s, m{"DEFAULT_4XX": m{"responseTemplates": m{"application/json": "$input.params('x')"}}})
		}, "$input.params is not emulated"},
		"claims in response": {func(s *stack) {
			responses(s, m{"DEFAULT_4XX": m{"responseTemplates": m{"application/json": "$context.authorizer.claims.sub"}}})
		}, "is not emulated"},
		"log name in response": {func(s *stack) {
			responses(s, m{"DEFAULT_4XX": m{"responseTemplates": m{"application/json": "$context.responseLatency"}}})
		}, "$context.responseLatency is not emulated"},

		"mock without response":  {func(s *stack) { mocked(s, func(i, _ m) { i["responses"] = m{} }) }, "every request would fail"},
		"mock passthrough":       {func(s *stack) { mocked(s, func(i, _ m) { i["passthroughBehavior"] = "maybe" }) }, `"MAYBE" is not when_no_match`},
		"mock pattern":           {func(s *stack) { mocked(s, func(i, _ m) { i["responses"].(m)["(?=5)"] = m{"statusCode": "500"} }) }, "its pattern is not emulated"},
		"mock status":            {func(s *stack) { mocked(s, func(_, r m) { r["statusCode"] = "99" }) }, `"99" is not a status`},
		"mock status undeclared": {func(s *stack) { mocked(s, func(_, r m) { r["statusCode"] = "201" }) }, "status 201 is not among the operation's responses"},
		"mock header undeclared": {func(s *stack) {
			mocked(s, func(_, r m) { r["responseParameters"].(m)["method.response.header.X-A"] = "'1'" })
		}, "does not declare header X-A"},
		"mock header elsewhere": {func(s *stack) { mocked(s, func(_, r m) { r["responseParameters"] = m{"integration.x": "'1'"} }) }, "only method.response.header"},
		"mock header from header": {func(s *stack) {
			mocked(s, func(_, r m) {
				r["responseParameters"].(m)["method.response.header.Vary"] = "integration.response.header.V"
			})
		}, "neither a 'literal'"},
		"mock template": {func(s *stack) { mocked(s, func(i, _ m) { i["requestTemplates"] = m{"application/json": "$util.x"} }) }, "line 1: $util.x is not emulated"},
		"mock template's context": {func(s *stack) {
			mocked(s, func(_, r m) { r["responseTemplates"] = m{"application/json": "$context.nothing"} })
		}, "$context.nothing is not emulated"},
		"mock content handling": {func(s *stack) { mocked(s, func(i, _ m) { i["contentHandling"] = "CONVERT_TO_TEXT" }) }, "contentHandling: it is not emulated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack()
			test.edit(s)
			g, err := New(Config{Deployment: s.deployment(t), Invoker: newFake()})
			require.ErrorContains(t, err, test.want)
			require.Nil(t, g)
		})
	}
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	s := newStack()
	s.body["openapi"] = "3.1.0"
	get(s)["callbacks"] = m{}
	integrate(s)["httpMethod"] = "GET"
	s.set("stage", "cacheClusterEnabled", true)
	_, err := New(Config{Deployment: s.deployment(t), Invoker: newFake()})
	for _, want := range []string{"body.openapi", "body.paths./v1/items.get.callbacks", "httpMethod", "cache cluster"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(Config{Deployment: s.deployment(t)})
	require.ErrorContains(t, err, "Config.Deployment and Config.Invoker are required")
	_, err = New(Config{Invoker: newFake()})
	require.ErrorContains(t, err, "are required")
}

func TestForeignExtensionsAreIgnored(t *testing.T) {
	t.Parallel()
	s := newStack()
	s.body["x-company"] = m{}
	get(s)["x-limit-class"] = "api"
	require.Equal(t, 200, serve(t, s).do("GET", "/v1/items", "").Code)
}

// FuzzNew shows that no body makes the reader panic.
func FuzzNew(f *testing.F) {
	f.Add(`{"openapi":"3.0.1","paths":{"/a/{b}":{"get":{"parameters":[1],"security":[{}],"requestBody":{"content":{"a":{"schema":{"$ref":"#/components/schemas/A"}}}},"x-amazon-apigateway-integration":{"type":"mock","responses":{"default":{}}}}}},"components":{"schemas":{"A":{"allOf":[{"$ref":"#/components/schemas/A"}]}}}}`)
	f.Add(`{"x-amazon-apigateway-gateway-responses":{"DEFAULT_4XX":{"responseTemplates":{"a":"$context.${x"}}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := newStack()
		s.set("api", "body", body)
		g, err := New(Config{Deployment: s.deployment(t), Invoker: newFake()})
		if (g == nil) == (err == nil) {
			t.Fatal("exactly one of gateway and error")
		}
	})
}
