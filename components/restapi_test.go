package components_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/components"
	"github.com/expenzez/aws-backend/components/componenttest"
)

const (
	apiType    = "aws:apigateway/restApi:RestApi"
	stageType  = "aws:apigateway/stage:Stage"
	methodType = "aws:apigateway/methodSettings:MethodSettings"
)

func openAPI() []byte {
	document, err := os.ReadFile("testdata/openapi.json")
	if err != nil {
		panic(err)
	}
	return document
}

// edit changes the document in one place: it replaces the first old by new.
func edit(old, with string) json.RawMessage {
	document := openAPI()
	if !bytes.Contains(document, []byte(old)) {
		panic("the document has no " + old)
	}
	return bytes.Replace(document, []byte(old), []byte(with), 1)
}

func apiArgs(ctx *pulumi.Context) (*components.RestApiArgs, error) {
	api, err := function(ctx, "transactions-api", 15)
	if err != nil {
		return nil, err
	}
	authorizer, err := function(ctx, "authorizer", 5)
	if err != nil {
		return nil, err
	}
	return &components.RestApiArgs{
		Place: place(), Name: "expenzez-test", Description: "Answers", Document: openAPI(), Stage: "test", Key: key(),
		Throttle: components.RestApiThrottle{Rate: 50, Burst: 100},
		Integrations: map[string]components.RestApiIntegration{
			"health": {Function: api}, "listTransactions": {Function: api}, "createTransaction": {Function: api}, "deleteTransaction": {Function: api},
		},
		Authorizers: map[string]components.RestApiAuthorizer{"authorizer": {Function: authorizer}},
		Public:      map[string]string{"health": "monitors call it"},
	}, nil
}

func apiBuild(change func(*components.RestApiArgs)) componenttest.Build {
	return func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		args, err := apiArgs(ctx)
		if err != nil {
			return nil, err
		}
		change(args)
		return components.NewRestApi(ctx, name, args, opts...)
	}
}

func TestRestApi(t *testing.T) {
	t.Parallel()
	bad := badBasics(func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
		return components.NewRestApi(ctx, name, nil, opts...)
	}, []string{"Description", "Document", "Key", "Name", "Stage", "Throttle.Burst", "Throttle.Rate"}, func(p components.Place, tags map[string]string) componenttest.Build {
		return apiBuild(func(a *components.RestApiArgs) { a.Place, a.Tags = p, tags })
	})
	for _, cases := range [][]badAPI{badAPIArguments(), badDocuments(), badSchemas()} {
		for _, c := range cases {
			bad = append(bad, componenttest.Bad{Name: c.name, Build: apiBuild(c.change), Arguments: c.arguments})
		}
	}
	componenttest.Run(t, componenttest.Case{
		Type: "RestApi", Outputs: []string{"bodySha256", "restApiId", "stageArn", "stageName", "url"}, Bad: bad,
		Least: apiBuild(func(*components.RestApiArgs) {}),
		Full: func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (pulumi.ComponentResource, error) {
			args, err := apiArgs(ctx)
			if err != nil {
				return nil, err
			}
			args.Account, err = components.NewApiGatewayAccount(ctx, componenttest.Needed+"-account", &components.ApiGatewayAccountArgs{
				Place: place(), Mode: components.ModeCreate, Name: "apigateway-logs",
			})
			if err != nil {
				return nil, err
			}
			args.Tags = componenttest.Tags()
			args.Origins, args.AllowHeaders, args.MaxAgeSeconds = []string{"https://app.expenzez.com", "http://localhost:3000"}, []string{"Authorization"}, 60
			args.RouteThrottles = map[string]components.RestApiThrottle{"createTransaction": {Rate: 5, Burst: 10}}
			args.SourceCIDRs, args.LogRetentionDays, args.CompressBytes, args.DisableExecuteAPI = []string{"203.0.113.0/24"}, 30, 1024, true
			args.Integrations["health"] = components.RestApiIntegration{Function: args.Integrations["health"].Function, TimeoutMillis: 5000}
			args.Authorizers["authorizer"] = components.RestApiAuthorizer{Function: args.Authorizers["authorizer"].Function, ResultTTLSeconds: 300}
			return components.NewRestApi(ctx, name, args, opts...)
		},
		Safe: []componenttest.Expect{
			{Type: apiType, Path: "failOnWarnings", Value: true},
			{Type: apiType, Path: "endpointConfiguration.types", Value: "REGIONAL"},
			{Type: apiType, Path: "policy"},
			{Type: apiType, Path: "minimumCompressionSize"},
			{Type: stageType, Path: "xrayTracingEnabled", Value: true},
			{Type: methodType, Path: "methodPath", Value: "*/*"},
			{Type: methodType, Path: "settings", Value: map[string]any{
				"dataTraceEnabled": false, "loggingLevel": "ERROR", "metricsEnabled": true, "throttlingBurstLimit": 100.0, "throttlingRateLimit": 50.0,
			}},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "retentionInDays", Value: 365.0},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "kmsKeyId", Value: keyARN},
		},
		Applied: []componenttest.Expect{
			{Type: apiType, Path: "policy", Value: `{"Statement":[{"Action":["execute-api:Invoke"],"Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24"]}},"Effect":"Allow","Principal":{"AWS":"*"},"Resource":["arn:aws:execute-api:eu-west-2:111122223333:*/test/*"]}],"Version":"2012-10-17"}`},
			{Type: apiType, Path: "minimumCompressionSize", Value: "1024"},
			{Type: apiType, Path: "disableExecuteApiEndpoint", Value: true},
			{Type: "aws:cloudwatch/logGroup:LogGroup", Path: "retentionInDays", Value: 30.0},
		},
	})
}

type badAPI struct {
	name      string
	change    func(*components.RestApiArgs)
	arguments []string
}

func badAPIArguments() []badAPI {
	cases := []badAPI{
		{"name", func(a *components.RestApiArgs) { a.Name = "a b" }, []string{"Name"}},
		{"description", func(a *components.RestApiArgs) { a.Description = long(1025) }, []string{"Description"}},
		{"stage", func(a *components.RestApiArgs) { a.Stage = "v1/test" }, []string{"Stage"}},
		{"stage like authorizers", func(a *components.RestApiArgs) { a.Stage = "authorizers" }, []string{"Stage"}},
		{"throttle", func(a *components.RestApiArgs) { a.Throttle = components.RestApiThrottle{} }, []string{"Throttle.Burst", "Throttle.Rate"}},
		{"throttle above the account", func(a *components.RestApiArgs) { a.Throttle = components.RestApiThrottle{Rate: 10001, Burst: 5001} },
			[]string{"Throttle.Burst", "Throttle.Rate"}},
		{"route throttle", func(a *components.RestApiArgs) {
			a.RouteThrottles = map[string]components.RestApiThrottle{"health": {Rate: -1, Burst: 1}, "none": {Rate: 1, Burst: 1}}
		}, []string{"RouteThrottles", `RouteThrottles["health"].Rate`}},
		{"compression", func(a *components.RestApiArgs) { a.CompressBytes = 10<<20 + 1 }, []string{"CompressBytes"}},
		{"retention", func(a *components.RestApiArgs) { a.LogRetentionDays = 8 }, []string{"LogRetentionDays"}},
		{"networks", func(a *components.RestApiArgs) {
			a.SourceCIDRs = []string{"0.0.0.0/0", "203.0.113.1/24", "here", "::/0"}
		},
			[]string{"SourceCIDRs[0]", "SourceCIDRs[1]", "SourceCIDRs[2]", "SourceCIDRs[3]"}},
		{"policy too large", func(a *components.RestApiArgs) {
			for i := range 500 {
				a.SourceCIDRs = append(a.SourceCIDRs, fmt.Sprintf("203.0.%d.%d/32", i/250, i%250))
			}
		}, []string{"SourceCIDRs"}},
		{"allow headers", func(a *components.RestApiArgs) { a.AllowHeaders = []string{"*", `X"y`} }, []string{"AllowHeaders[0]", "AllowHeaders[1]"}},
		{"max age", func(a *components.RestApiArgs) { a.MaxAgeSeconds = 86401 }, []string{"MaxAgeSeconds"}},
		{"integration missing", func(a *components.RestApiArgs) { delete(a.Integrations, "health") }, []string{"Integrations"}},
		{"integration of nothing", func(a *components.RestApiArgs) { a.Integrations["none"] = a.Integrations["health"] }, []string{"Integrations"}},
		{"integration without function", func(a *components.RestApiArgs) { a.Integrations["health"] = components.RestApiIntegration{} },
			[]string{`Integrations["health"].Function`}},
		{"authorizer without function", func(a *components.RestApiArgs) {
			a.Authorizers["authorizer"] = components.RestApiAuthorizer{ResultTTLSeconds: 3601}
		}, []string{`Authorizers["authorizer"].Function`, `Authorizers["authorizer"].ResultTTLSeconds`}},
		{"authorizer missing", func(a *components.RestApiArgs) { a.Authorizers = nil }, []string{
			"Document.paths./v1/transactions.get.security", "Document.paths./v1/transactions.post.security", "Document.paths./v1/transactions/{id}.delete.security",
		}},
		{"authorizer name", func(a *components.RestApiArgs) { a.Authorizers["a b"] = a.Authorizers["authorizer"] }, []string{`Authorizers["a b"]`}},
		{"too many authorizers", func(a *components.RestApiArgs) {
			for i := range 10 {
				a.Authorizers[fmt.Sprint("extra", i)] = a.Authorizers["authorizer"]
			}
		}, []string{"Authorizers"}},
		{"neither public nor authorized", func(a *components.RestApiArgs) { a.Public = nil }, []string{"Document.paths./v1/health.get.security"}},
		{"public without reason", func(a *components.RestApiArgs) { a.Public["health"] = " " }, []string{`Public["health"]`}},
		{"public and authorized", func(a *components.RestApiArgs) { a.Public["listTransactions"] = "why not" }, []string{"Document.paths./v1/transactions.get.security"}},
		{"public of nothing", func(a *components.RestApiArgs) { a.Public["none"] = "x" }, []string{"Public"}},
	}
	for _, origin := range []string{"*", "https://*.expenzez.com", "https://app.expenzez.com/", "http://app.expenzez.com", "http://localhost", "https://App.expenzez.com",
		"null", "", `https://x.com" || true || $x == "`, "https://user@x.com", "ftp://x.com", "http://127.0.0.1.evil.com:80"} {
		cases = append(cases, badAPI{"origin " + origin, func(a *components.RestApiArgs) { a.Origins = []string{origin} }, []string{"Origins[0]"}})
	}
	for _, millis := range []int{-1, 49, 29001} {
		cases = append(cases, badAPI{fmt.Sprint("integration timeout ", millis), func(a *components.RestApiArgs) {
			i := a.Integrations["health"]
			i.TimeoutMillis = millis
			a.Integrations["health"] = i
		}, []string{`Integrations["health"].TimeoutMillis`}})
	}
	return cases
}

func badDocuments() []badAPI {
	document := func(name, old, with string, arguments ...string) badAPI {
		return badAPI{"document/" + name, func(a *components.RestApiArgs) { a.Document = edit(old, with) }, arguments}
	}
	health := `"/v1/health": {`
	manyPaths := health
	for i := range 300 {
		manyPaths = fmt.Sprintf(`"/v1/extra%d": {"summary": "x"}, `, i) + manyPaths
	}
	return []badAPI{
		{"document/no JSON", func(a *components.RestApiArgs) { a.Document = json.RawMessage(`openapi: 3`) }, []string{"Document", "Integrations", "Public"}},
		{"document/a list", func(a *components.RestApiArgs) { a.Document = json.RawMessage(`[]`) }, []string{"Document", "Integrations", "Public"}},
		{"document/empty", func(a *components.RestApiArgs) { a.Document = json.RawMessage(`{}`) }, []string{
			"Document.info.title", "Document.info.version", "Document.openapi", "Document.paths", "Integrations", "Public"}},
		document("version", `"3.0.3"`, `"3.1.0"`, "Document.openapi"),
		document("no title", `"title": "Test", `, ``, "Document.info.title"),
		document("root security", `"openapi"`, `"security": [], "openapi"`, "Document.security"),
		document("servers", `"openapi"`, `"servers": [], "openapi"`, "Document.servers"),
		document("policy in the body", `"openapi"`, `"x-amazon-apigateway-policy": {}, "openapi"`, "Document.x-amazon-apigateway-policy"),
		document("extension in an operation", `"operationId": "health",`, `"operationId": "health", "x-amazon-apigateway-integration": {},`,
			"Document.paths./v1/health.get.x-amazon-apigateway-integration"),
		document("extension in a list", `"name": "limit",`, `"name": "limit", "x-amazon-apigateway-x": 1,`,
			"Document.paths./v1/transactions.get.parameters[0].x-amazon-apigateway-x"),
		document("security schemes", `"schemas": {`, `"securitySchemes": {}, "schemas": {`, "Document.components.securitySchemes"),
		document("model name", `"components": {
    "schemas": {
      "Transaction"`, `"components": {
    "schemas": {
      "New_Transaction": {"type": "object"}, "Transaction"`, "Document.components.schemas.New_Transaction"),
		document("path without slash", health, `"v1/health": {`, "Document.paths.v1/health"),
		document("path with slash at its end", health, `"/v1/health/": {`, "Document.paths./v1/health/"),
		document("path with an empty segment", health, `"/v1//health": {`, "Document.paths./v1//health"),
		document("half a parameter", health, `"/v1/health{id}": {`, "Document.paths./v1/health{id}"),
		document("greedy parameter inside", health, `"/v1/{rest+}/health": {`, "Document.paths./v1/{rest+}/health"),
		document("space in a path", health, `"/v1/he alth": {`, "Document.paths./v1/he alth"),
		document("too many resources", health, manyPaths, "Document.paths"),
		document("options", health, health+`"options": {},`, "Document.paths./v1/health.options"),
		document("trace", health, health+`"trace": {},`, "Document.paths./v1/health.trace"),
		document("no operation", health, health+`"put": 1,`, "Document.paths./v1/health.put"),
		document("no operationId", `"operationId": "health", `, ``, "Document.paths./v1/health.get.operationId", "Integrations", "Public"),
		document("bad operationId", `"operationId": "health"`, `"operationId": "he alth"`,
			"Document.paths./v1/health.get.operationId", "Document.paths./v1/health.get.security", "Integrations", "Public"),
		document("operationId twice", `"operationId": "deleteTransaction"`, `"operationId": "listTransactions"`, "Document operationId", "Integrations"),
		document("no responses", `, "responses": {"200": {"description": "It runs"}}`, ``, "Document.paths./v1/health.get.responses"),
		document("unknown scheme", `"authorizer": []`, `"cognito": []`, "Document.paths./v1/transactions.get.security"),
		document("scopes", `"authorizer": []`, `"authorizer": ["read"]`, "Document.paths./v1/transactions.get.security"),
		document("two schemes", `[{"authorizer": []}]`, `[{"authorizer": []}, {"authorizer": []}]`, "Document.paths./v1/transactions.get.security"),
		document("both schemes", `[{"authorizer": []}]`, `[{"authorizer": [], "other": []}]`, "Document.paths./v1/transactions.get.security"),
		document("security optional", `[{"authorizer": []}]`, `[{}]`, "Document.paths./v1/transactions.get.security"),
		document("security empty", `[{"authorizer": []}]`, `[]`, "Document.paths./v1/transactions.get.security"),
		document("body without type", `{"application/json": {"schema": {"$ref": "#/components/schemas/Transaction"}}}`, `{}`,
			"Document.paths./v1/transactions.post.requestBody.content"),
		document("body without schema", `{"schema": {"$ref": "#/components/schemas/Transaction"}}`, `{}`,
			"Document.paths./v1/transactions.post.requestBody.content.application/json.schema"),
	}
}

func badSchemas() []badAPI {
	const at = "Document.components.schemas.Transaction"
	schema := func(name, keyword, path string) badAPI {
		return badAPI{"schema/" + name, func(a *components.RestApiArgs) {
			a.Document = edit(`"required": ["amount"],`, `"required": ["amount"], `+keyword+`,`)
		}, []string{at + "." + path}}
	}
	return []badAPI{
		schema("nullable", `"nullable": true`, "nullable"),
		schema("example", `"example": {}`, "example"),
		schema("readOnly", `"readOnly": true`, "readOnly"),
		schema("discriminator", `"discriminator": {}`, "discriminator"),
		schema("const", `"const": 1`, "const"),
		schema("if", `"if": {}`, "if"),
		schema("typo", `"maxlength": 3`, "maxlength"),
		schema("numeric exclusiveMinimum", `"exclusiveMinimum": 3`, "exclusiveMinimum"),
		schema("unknown type", `"not": {"type": "decimal"}`, "not.type"),
		schema("unknown type in a list", `"not": {"type": ["string", "nil"]}`, "not.type"),
		schema("foreign reference", `"not": {"$ref": "https://example.com/schema.json"}`, "not.$ref"),
		schema("dangling reference", `"not": {"$ref": "#/components/schemas/None"}`, "not.$ref"),
		schema("in anyOf", `"anyOf": [{"type": "object"}, {"nullable": true}]`, "anyOf[1].nullable"),
		schema("in items", `"items": {"example": 1}`, "items.example"),
		schema("in additionalItems", `"additionalItems": {"example": 1}`, "additionalItems.example"),
		schema("in patternProperties", `"patternProperties": {"^x": {"example": 1}}`, "patternProperties.^x.example"),
		schema("true as a schema", `"not": true`, "not"),
		{"schema/nobody required", func(a *components.RestApiArgs) { a.Document = edit(`["amount"]`, `[]`) }, []string{at + ".required"}},
		{"schema/required of draft 3", func(a *components.RestApiArgs) { a.Document = edit(`["amount"]`, `true`) }, []string{at + ".required"}},
		{"schema/in a property", func(a *components.RestApiArgs) {
			a.Document = edit(`{"type": "string", "pattern"`, `{"type": "string", "nullable": true, "pattern"`)
		}, []string{at + ".properties.amount.nullable"}},
		{"schema/inline", func(a *components.RestApiArgs) {
			a.Document = edit(`{"$ref": "#/components/schemas/Transaction"}`, `{"type": "object", "nullable": true}`)
		}, []string{"Document.paths./v1/transactions.post.requestBody.content.application/json.schema.nullable"}},
	}
}

// A function that may outlive API Gateway's patience is refused before it is wired.
func TestRestApiRefusesASlowFunction(t *testing.T) {
	t.Parallel()
	_, err := componenttest.Record(func(ctx *pulumi.Context) error {
		args, err := apiArgs(ctx)
		if err != nil {
			return err
		}
		slow, err := function(ctx, "slow", 30)
		if err != nil {
			return err
		}
		args.Integrations["health"] = components.RestApiIntegration{Function: slow}
		_, err = components.NewRestApi(ctx, "api", args)
		return err
	})
	require.ErrorContains(t, err, "may run longer than the 29 seconds")
}

// body builds an API and gives its parsed body.
func body(t *testing.T, change func(*components.RestApiArgs)) map[string]any {
	t.Helper()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := apiBuild(change)(ctx, "api")
		return err
	})
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(only(t, r, apiType).Inputs["body"].(string)), &doc))
	return doc
}

func withOrigins(a *components.RestApiArgs) {
	a.Origins = []string{"https://app.expenzez.com", "http://localhost:3000"}
}

func TestRestApiBodyWiresEveryOperation(t *testing.T) {
	t.Parallel()
	doc := body(t, withOrigins)
	const uri = "arn:aws:apigateway:eu-west-2:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-2:111122223333:function:transactions-api:live/invocations"
	for _, path := range []string{"/v1/health", "/v1/transactions", "/v1/transactions/{id}"} {
		item := doc["paths"].(map[string]any)[path].(map[string]any)
		for method, operation := range item {
			integration := operation.(map[string]any)["x-amazon-apigateway-integration"]
			if method == "options" {
				assert.Equal(t, "mock", componenttest.At(integration.(map[string]any), "type"), path)
				continue
			}
			assert.Equal(t, map[string]any{
				"type": "aws_proxy", "httpMethod": "POST", "uri": uri, "passthroughBehavior": "when_no_match", "timeoutInMillis": 29000.0,
			}, integration, "%s %s", method, path)
		}
		assert.Contains(t, item, "options", path)
	}
	assert.Equal(t, "all", doc["x-amazon-apigateway-request-validator"])
	assert.Equal(t, map[string]any{"all": map[string]any{"validateRequestBody": true, "validateRequestParameters": true}}, doc["x-amazon-apigateway-request-validators"])
	assert.Equal(t, map[string]any{
		"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "custom",
		"x-amazon-apigateway-authorizer": map[string]any{
			"type": "token", "authorizerUri": strings.Replace(uri, "transactions-api", "authorizer", 1), "authorizerResultTtlInSeconds": 0.0,
			"identitySource":               "method.request.header.Authorization",
			"identityValidationExpression": `^Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`,
		},
	}, componenttest.At(doc, "components.securitySchemes.authorizer"))
}

// The template is written out: it decides which site may use a user's session.
func TestRestApiPreflight(t *testing.T) {
	t.Parallel()
	doc := body(t, withOrigins)
	options := doc["paths"].(map[string]any)["/v1/transactions"].(map[string]any)["options"].(map[string]any)
	assert.NotContains(t, options, "security")
	assert.Equal(t, map[string]any{
		"type": "mock", "passthroughBehavior": "never", "requestTemplates": map[string]any{"application/json": `{"statusCode": 204}`},
		"responses": map[string]any{"default": map[string]any{
			"statusCode": "204", "responseParameters": map[string]any{"method.response.header.Vary": "'Origin'"},
			"responseTemplates": map[string]any{"application/json": `#set($origin = $input.params('origin'))#if($origin == "")#set($origin = $input.params('Origin'))#end` +
				`#if($origin == "http://localhost:3000" || $origin == "https://app.expenzez.com")` +
				`#set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)` +
				`#set($context.responseOverride.header.Access-Control-Allow-Credentials = "true")` +
				`#set($context.responseOverride.header.Access-Control-Allow-Headers = "Authorization, Content-Type, Idempotency-Key")` +
				`#set($context.responseOverride.header.Access-Control-Allow-Methods = "GET, OPTIONS, POST")` +
				`#set($context.responseOverride.header.Access-Control-Max-Age = "600")#end`},
		}},
	}, options["x-amazon-apigateway-integration"])
	assert.Equal(t, "string", componenttest.At(options, "responses.204.headers.Vary.schema.type"), "a header is mapped only when it is declared")
}

func TestRestApiWithoutOriginsHasNoCORS(t *testing.T) {
	t.Parallel()
	doc := body(t, func(*components.RestApiArgs) {})
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "Access-Control")
	assert.NotContains(t, string(text), `"options"`)
}

// CORS is in the body: it adds no resource, however many routes there are.
func TestRestApiOriginsAddNoResource(t *testing.T) {
	t.Parallel()
	count := func(change func(*components.RestApiArgs)) int {
		return len(record(t, func(ctx *pulumi.Context) error {
			_, err := apiBuild(change)(ctx, "api")
			return err
		}).Resources)
	}
	assert.Equal(t, count(func(*components.RestApiArgs) {}), count(withOrigins))
}

func TestRestApiGatewayResponses(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		status      string
		title, code string
	}{
		"ACCESS_DENIED": {"403", "Forbidden", "forbidden"}, "API_CONFIGURATION_ERROR": {"500", "Internal Server Error", "internal"},
		"AUTHORIZER_CONFIGURATION_ERROR": {"500", "Internal Server Error", "internal"}, "AUTHORIZER_FAILURE": {"500", "Internal Server Error", "internal"},
		"BAD_REQUEST_BODY": {"400", "Bad Request", "invalid"}, "BAD_REQUEST_PARAMETERS": {"400", "Bad Request", "invalid"},
		"DEFAULT_4XX": {"", "Request refused", "refused"}, "DEFAULT_5XX": {"", "Internal Server Error", "internal"},
		"EXPIRED_TOKEN": {"401", "Unauthorized", "unauthenticated"}, "INTEGRATION_FAILURE": {"502", "Bad Gateway", "internal"},
		"INTEGRATION_TIMEOUT": {"504", "Gateway Timeout", "timeout"}, "INVALID_API_KEY": {"403", "Forbidden", "forbidden"},
		"INVALID_SIGNATURE": {"403", "Forbidden", "forbidden"}, "MISSING_AUTHENTICATION_TOKEN": {"404", "Not Found", "not_found"},
		"QUOTA_EXCEEDED": {"429", "Too Many Requests", "limited"}, "REQUEST_TOO_LARGE": {"413", "Content Too Large", "too_large"},
		"RESOURCE_NOT_FOUND": {"404", "Not Found", "not_found"}, "THROTTLED": {"429", "Too Many Requests", "limited"},
		"UNAUTHORIZED": {"401", "Unauthorized", "unauthenticated"}, "UNSUPPORTED_MEDIA_TYPE": {"415", "Unsupported Media Type", "unsupported_media_type"},
		"WAF_FILTERED": {"403", "Forbidden", "forbidden"},
	}
	responses := body(t, withOrigins)["x-amazon-apigateway-gateway-responses"].(map[string]any)
	require.Len(t, responses, len(want))
	for kind, w := range want {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			response := responses[kind].(map[string]any)
			status, _ := response["statusCode"].(string)
			assert.Equal(t, w.status, status)
			template := response["responseTemplates"].(map[string]any)["application/json"].(string)
			problem := map[string]any{"type": "about:blank", "title": w.title, "code": w.code, "instance": "urn:request:$context.requestId"}
			if w.status != "" {
				problem["status"] = json.RawMessage(w.status)
			}
			expected, err := json.Marshal(problem)
			require.NoError(t, err)
			assert.JSONEq(t, string(expected), template)
			headers := response["responseParameters"].(map[string]any)
			assert.Equal(t, "'application/problem+json'", headers["gatewayresponse.header.Content-Type"])
			assert.Equal(t, "method.request.header.origin", headers["gatewayresponse.header.Access-Control-Allow-Origin"])
			assert.Equal(t, "'Origin'", headers["gatewayresponse.header.Vary"])
			assert.Equal(t, "'nosniff'", headers["gatewayresponse.header.X-Content-Type-Options"])
			assert.Equal(t, "'no-store'", headers["gatewayresponse.header.Cache-Control"])
			assert.NotContains(t, headers, "gatewayresponse.header.Access-Control-Allow-Credentials")
			assert.Equal(t, w.status == "401", headers["gatewayresponse.header.WWW-Authenticate"] != nil)
			assert.Equal(t, w.status == "429", headers["gatewayresponse.header.Retry-After"] != nil)
		})
	}
}

// One permission for each function and use, bound to this stage of this API.
func TestRestApiPermissions(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := apiBuild(func(*components.RestApiArgs) {})(ctx, "api")
		return err
	})
	id := strings.Split(r.OfType(stageType)[0].Inputs["restApi"].(string), "/")[0]
	var got []string
	for _, p := range r.OfType("aws:lambda/permission:Permission") {
		got = append(got, fmt.Sprint(p.Inputs["function"], " ", p.Inputs["qualifier"], " ", p.Inputs["principal"], " ", p.Inputs["action"], " ", p.Inputs["sourceArn"]))
	}
	assert.ElementsMatch(t, []string{
		"transactions-api live apigateway.amazonaws.com lambda:InvokeFunction arn:aws:execute-api:eu-west-2:111122223333:" + id + "/test/*",
		"authorizer live apigateway.amazonaws.com lambda:InvokeFunction arn:aws:execute-api:eu-west-2:111122223333:" + id + "/authorizers/*",
	}, got)
}

func TestRestApiRedeploysWhenTheBodyOrThePolicyChanges(t *testing.T) {
	t.Parallel()
	triggers := func(change func(*components.RestApiArgs)) string {
		r := record(t, func(ctx *pulumi.Context) error {
			_, err := apiBuild(change)(ctx, "api")
			return err
		})
		return fmt.Sprint(only(t, r, "aws:apigateway/deployment:Deployment").Inputs["triggers"])
	}
	same := triggers(func(*components.RestApiArgs) {})
	assert.Equal(t, same, triggers(func(*components.RestApiArgs) {}))
	assert.Equal(t, same, triggers(func(a *components.RestApiArgs) { a.Throttle.Burst++ }), "settings of the stage need none")
	for name, change := range map[string]func(*components.RestApiArgs){
		"title":   func(a *components.RestApiArgs) { a.Document = edit(`"Test"`, `"Other"`) },
		"origins": withOrigins,
		"policy":  func(a *components.RestApiArgs) { a.SourceCIDRs = []string{"203.0.113.0/24"} },
		"cache": func(a *components.RestApiArgs) {
			a.Authorizers["authorizer"] = components.RestApiAuthorizer{Function: a.Authorizers["authorizer"].Function, ResultTTLSeconds: 1}
		},
	} {
		assert.NotEqual(t, same, triggers(change), name)
	}
}

// The order and spacing of the document mean nothing.
func TestRestApiBodyIsCanonical(t *testing.T) {
	t.Parallel()
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, openAPI()))
	text := func(document []byte) any {
		r := record(t, func(ctx *pulumi.Context) error {
			_, err := apiBuild(func(a *components.RestApiArgs) { a.Document = document })(ctx, "api")
			return err
		})
		return only(t, r, apiType).Inputs["body"]
	}
	assert.Equal(t, text(openAPI()), text(compact.Bytes()))
}

func TestRestApiLogs(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		args, err := apiArgs(ctx)
		if err != nil {
			return err
		}
		args.Account, err = components.NewApiGatewayAccount(ctx, "account", &components.ApiGatewayAccountArgs{Place: place(), Mode: components.ModeCreate, Name: "logs"})
		if err != nil {
			return err
		}
		_, err = components.NewRestApi(ctx, "api", args)
		return err
	})
	stage := only(t, r, stageType)
	var format map[string]string
	require.NoError(t, json.Unmarshal([]byte(componenttest.At(stage.Inputs, "accessLogSettings.format").(string)), &format))
	for _, field := range []string{"requestId", "ip", "method", "resourcePath", "status", "responseLatency", "principal", "error"} {
		assert.Contains(t, format, field)
	}
	for field, variable := range format {
		for _, private := range []string{"path", "querystring", "header", "body", "userAgent", "authorizer.claims"} {
			assert.False(t, strings.HasPrefix(strings.TrimPrefix(variable, "$context."), private), "%s logs %s", field, variable)
		}
	}
	var execution string
	for _, group := range r.OfType("aws:cloudwatch/logGroup:LogGroup") {
		if name := group.Inputs["name"].(string); strings.HasPrefix(name, "API-Gateway-Execution-Logs_") {
			assert.Equal(t, "API-Gateway-Execution-Logs_"+stage.Inputs["restApi"].(string)+"/test", name)
			execution = group.URN
		}
	}
	assert.Contains(t, stage.DependsOn, execution, "the group exists before API Gateway would make it")
	assert.Contains(t, stage.DependsOn, only(t, r, accountType).URN)
}

func TestRestApiRouteThrottleKeepsTheOtherSettings(t *testing.T) {
	t.Parallel()
	r := record(t, func(ctx *pulumi.Context) error {
		_, err := apiBuild(func(a *components.RestApiArgs) {
			a.RouteThrottles = map[string]components.RestApiThrottle{"deleteTransaction": {Rate: 0.5, Burst: 1}}
		})(ctx, "api")
		return err
	})
	settings := map[any]any{}
	for _, m := range r.OfType(methodType) {
		settings[m.Inputs["methodPath"]] = m.Inputs["settings"]
	}
	assert.Equal(t, map[string]any{
		"dataTraceEnabled": false, "loggingLevel": "ERROR", "metricsEnabled": true, "throttlingBurstLimit": 1.0, "throttlingRateLimit": 0.5,
	}, settings["v1/transactions/{id}/DELETE"])
	assert.Len(t, settings, 2)
}

func ExampleNewRestApi() {
	place := components.Place{Account: "111122223333", Region: "eu-west-2"}
	key := components.Known("arn:aws:kms:eu-west-2:111122223333:key/0a1b2c3d-0000-4000-8000-00000000abcd")
	_, err := componenttest.Record(func(ctx *pulumi.Context) error {
		hello, err := components.NewLambdaFunction(ctx, "hello", &components.LambdaFunctionArgs{
			Place: place, Name: "shop-prod-hello", Description: "Greets", Code: "testdata/function.zip", MemoryMB: 128, TimeoutSeconds: 5, Key: key,
		})
		if err != nil {
			return err
		}
		api, err := components.NewRestApi(ctx, "api", &components.RestApiArgs{
			Place: place, Name: "shop-prod", Description: "The shop", Stage: "prod", Key: key,
			Document: json.RawMessage(`{
				"openapi": "3.0.3", "info": {"title": "Shop", "version": "1"},
				"paths": {"/hello": {"get": {"operationId": "hello", "responses": {"200": {"description": "A greeting"}}}}}
			}`),
			Integrations: map[string]components.RestApiIntegration{"hello": {Function: hello}},
			Public:       map[string]string{"hello": "it greets everyone"},
			Throttle:     components.RestApiThrottle{Rate: 10, Burst: 20},
		})
		if err != nil {
			return err
		}
		fmt.Println(len(api.BodyHash()))
		return nil
	})
	fmt.Println(err)
	// Output:
	// 64
	// <nil>
}
