package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPIRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, old, replacement, want string }{
		{"not JSON", `{"openapi"`, `"openapi"`, "body is not a JSON object"},
		{"OpenAPI 3.1", `"openapi":"3.0.1"`, `"openapi":"3.1.0"`, `body.openapi is "3.1.0"`},
		{"no title", `"title":"api"`, `"summary":"api"`, "body.info.title is required"},
		{"path without slash", `"/users/{id}"`, `"users/{id}"`, "does not begin with /"},
		{"parameter in a part", `"/users/{id}"`, `"/users/id-{id}"`, `has the part "id-{id}"`},
		{"greedy parameter before the end", `"/users/{id}"`, `"/{all+}/x"`, "a greedy parameter must come last"},
		{"two parameters of one parent", `"paths":{`, `"paths":{"/users/{name}":{},`, "one parent can have one parameter"},
		{"other key of a path", `{"get":`, `{"trace":{},"get":`, `has "trace", which API Gateway does not import`},
		{"operation id twice", `"operationId":"login"`, `"operationId":"getUser"`, `repeats the operationId "getUser"`},
		{"unknown scheme", `"security":[{"token":[]}]`, `"security":[{"key":[]}]`, `names "key", which components.securitySchemes`},
		{"scheme type", `"type":"apiKey"`, `"type":"http"`, `has type "http": API Gateway takes apiKey`},
		{"authorizer type", `{"type":"token"`, `{"type":"jwt"`, `has authorizer type "jwt"`},
		{"authorizer uri", `"authorizerUri":"arn:aws:apigateway`, `"authorizerUri":"arn:aws:lambda`, "has authorizerUri"},
		{"authorizer cache", `"authorizerResultTtlInSeconds":300`, `"authorizerResultTtlInSeconds":3601`, "AWS allows 0 to 3600"},
		{"identity source", `method.request.header.Authorization`, `header.Authorization`, "has identitySource"},
		{"identity expression", `"^Bearer .+$"`, `"("`, "is not a regular expression"},
		{"validator", `"x-amazon-apigateway-request-validator":"all"`, `"x-amazon-apigateway-request-validator":"some"`, `names "some", which`},
		{"validator setting", `"validateRequestParameters":true`, `"validateHeaders":true`, "may only have the booleans"},
		{"model name", `"schemas":{"Login":`, `"schemas":{"Log-in":{},"Login":`, "letters and digits"},
		{"model missing", `"#/components/schemas/Login"`, `"#/components/schemas/Logout"`, "and that must exist"},
		{"model elsewhere", `"#/components/schemas/Login"`, `"https://example.com/x.json"`, "API Gateway follows only #/components/schemas"},
		{"nullable", `"maxLength":254`, `"maxLength":254,"nullable":true`, "components.schemas.Login.properties.email has keyword nullable"},
		{"example", `"maxLength":254`, `"example":"a@b.c"`, "has keyword example"},
		{"const in anyOf", `"maxLength":254`, `"anyOf":[{"const":"x"}]`, "email.anyOf[0] has keyword const"},
		{"discriminator", `"required":["email"]`, `"discriminator":{"propertyName":"kind"}`, "has keyword discriminator"},
		{"numeric exclusive minimum", `"exclusiveMinimum":true`, `"exclusiveMinimum":0`, "in draft 4 it is a boolean"},
		{"keyword below items", `"maxLength":254`, `"items":{"readOnly":true}`, "email.items has keyword readOnly"},
		{"property is no schema", `{"type":"string","maxLength":254}`, `"string"`, "is not a schema object"},
		{"gateway response type", `"DEFAULT_4XX"`, `"NOT_FOUND"`, "is not a gateway response type"},
		{"gateway response status", `"DEFAULT_4XX":{`, `"DEFAULT_4XX":{"statusCode":"4xx",`, "has statusCode 4xx"},
		{"gateway response parameter", `gatewayresponse.header.Vary`, `method.response.header.Vary`, "a gateway response can only map"},
		{"gateway response value", `"'Origin'"}`, `"Origin"}`, "use a 'static' text"},
		{"gateway response template language", `$context.requestId\"}"`, `$context.requestId\"}#if(1)x#end"`, "have no template language"},
		{"no integration", `"x-amazon-apigateway-integration":{"type":"mock"`, `"x-integration":{"type":"mock"`, "No integration defined for method"},
		{"integration type", `{"type":"mock"`, `{"type":"lambda"`, `has type "lambda"`},
		{"integration that local cannot run", `{"type":"mock"`, `{"type":"http_proxy"`, "which the local cloud does not run"},
		{"integration method", `"httpMethod":"POST"`, `"httpMethod":"GET"`, "always called with POST"},
		{"integration timeout", `"timeoutInMillis":29000`, `"timeoutInMillis":29001`, "AWS allows 50 to 29000"},
		{"stream without its uri", `"timeoutInMillis":29000`, `"responseTransferMode":"STREAM"`, "must have responseTransferMode STREAM and"},
		{"passthrough", `{"type":"mock"`, `{"type":"mock","passthroughBehavior":"always"`, "has passthroughBehavior"},
		{"undeclared status", `"statusCode":"204"`, `"statusCode":"200"`, "answers with status 200"},
		{"undeclared header", `method.response.header.Vary`, `method.response.header.Allow`, "a header that response 204 does not declare"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := body(t, tc.old, tc.replacement)
			_, problems := resourceTypes()[typeRestAPI].checked(testCloud(t), &session{}, "api", []byte("seed"), nil, in)
			require.Contains(t, reasons(problems), tc.want)
		})
	}
}

func TestAPILimits(t *testing.T) {
	t.Parallel()
	require.Contains(t, reasons(parseAPI(strings.Repeat(" ", maxBody+1)).problems), "AWS allows 6291456")

	var paths, schemes strings.Builder
	for i := range 301 {
		fmt.Fprintf(&paths, `"/p%d":{},`, i)
	}
	for i := range 11 {
		fmt.Fprintf(&schemes, `"s%d":{"type":"apiKey","x-amazon-apigateway-authorizer":{"type":"token"}},`, i)
	}
	wide := strings.Replace(apiBody("auth:live"), `"paths":{`, `"paths":{`+paths.String(), 1)
	require.Contains(t, reasons(parseAPI(wide).problems), "AWS allows 300")
	guarded := strings.Replace(apiBody("auth:live"), `"securitySchemes":{`, `"securitySchemes":{`+schemes.String(), 1)
	require.Contains(t, reasons(parseAPI(guarded).problems), "have 12 authorizers: AWS allows 10")
	require.Contains(t, reasons(parseAPI(`{"openapi":"3.0.1","info":{"title":"x"}}`).problems), "has no path")
}

func TestAPIDefinition(t *testing.T) {
	t.Parallel()
	d := parseAPI(apiBody("auth:live"))
	require.Empty(t, d.problems)
	require.Len(t, d.authorizers, 1)
	require.Equal(t, "arn:aws:lambda:eu-central-1:210987654321:function:auth:live", functionOf(d.authorizers[0]))
	require.Len(t, d.routes, 3)
	require.True(t, hasMethod(d, "users/{id}/GET"))
	require.True(t, hasMethod(d, "~1users~1{id}/POST"))
	require.False(t, hasMethod(d, "users/{id}/PUT"))
	require.False(t, hasMethod(d, "users/GET"))
}

func TestStreamingURI(t *testing.T) {
	t.Parallel()
	arn := "arn:aws:lambda:eu-central-1:210987654321:function:ai:live"
	require.Equal(t, arn, functionOf("arn:aws:apigateway:eu-central-1:lambda:path/2021-11-15/functions/"+arn+"/response-streaming-invocations"))
	require.Empty(t, functionOf("arn:aws:apigateway:eu-central-1:lambda:path/2021-11-15/functions/"+arn+"/invocations"))
	require.Empty(t, functionOf(arn))
}
