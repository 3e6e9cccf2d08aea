package components

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// apiOperation is one operation of the document.
type apiOperation struct {
	path, method, id string
	value            map[string]any
}

// methodPath names the operation as MethodSettings wants it.
func (o apiOperation) methodPath() string {
	return strings.TrimPrefix(o.path, "/") + "/" + strings.ToUpper(o.method)
}

// apiSpec is the parsed document.
type apiSpec struct {
	doc        map[string]any
	operations []apiOperation // by path and method
}

func (s apiSpec) find(id string) apiOperation {
	i := slices.IndexFunc(s.operations, func(o apiOperation) bool { return o.id == id })
	return s.operations[i]
}

// body adds to the document what API Gateway needs beside it (API Gateway
// Developer Guide, "OpenAPI extensions for API Gateway"). It changes the
// parsed document, which nothing else uses.
func (args *RestApiArgs) body(spec apiSpec) string {
	doc := spec.doc
	doc["x-amazon-apigateway-request-validators"] = map[string]any{
		"all": map[string]any{"validateRequestBody": true, "validateRequestParameters": true},
	}
	doc["x-amazon-apigateway-request-validator"] = "all"
	doc["x-amazon-apigateway-gateway-responses"] = gatewayResponses(len(args.Origins) > 0)
	if len(args.Authorizers) > 0 {
		schemas, _ := doc["components"].(map[string]any)
		if schemas == nil {
			schemas = map[string]any{}
		}
		schemas["securitySchemes"] = args.securitySchemes()
		doc["components"] = schemas
	}
	for _, o := range spec.operations {
		o.value["x-amazon-apigateway-integration"] = args.integration(o.id)
	}
	if len(args.Origins) > 0 {
		for path, methods := range spec.methods() {
			doc["paths"].(map[string]any)[path].(map[string]any)["options"] = args.preflight(methods)
		}
	}
	return canonicalJSON(doc)
}

// methods are the methods of each path, in capitals and sorted.
func (s apiSpec) methods() map[string][]string {
	methods := map[string][]string{}
	for _, o := range s.operations {
		methods[o.path] = append(methods[o.path], strings.ToUpper(o.method))
	}
	return methods
}

func (args *RestApiArgs) integration(id string) map[string]any {
	i := args.Integrations[id]
	return map[string]any{
		"type": "aws_proxy", "httpMethod": "POST", "uri": i.Function.invokeURI(),
		"passthroughBehavior": "when_no_match", "timeoutInMillis": orDefault(i.TimeoutMillis, maxIntegrationMillis),
	}
}

// authorizationPattern matches a bearer token of three base64url parts, as a signed JWT has them (RFC 7515).
const authorizationPattern = `^Bearer [A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`

func (args *RestApiArgs) securitySchemes() map[string]any {
	schemes := map[string]any{}
	for name, a := range args.Authorizers {
		schemes[name] = map[string]any{
			"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "custom",
			"x-amazon-apigateway-authorizer": map[string]any{
				"type": "token", "authorizerUri": a.Function.invokeURI(), "identitySource": "method.request.header.Authorization",
				"identityValidationExpression": authorizationPattern, "authorizerResultTtlInSeconds": a.ResultTTLSeconds,
			},
		}
	}
	return schemes
}

// preflight answers OPTIONS inside API Gateway. Only an allowed origin gets
// allow headers; Vary is there for all, so that caches keep the answers apart.
func (args *RestApiArgs) preflight(methods []string) map[string]any {
	return map[string]any{
		"summary": "CORS preflight",
		"responses": map[string]any{"204": map[string]any{
			"description": "The answer to a preflight", "headers": map[string]any{"Vary": map[string]any{"schema": map[string]any{"type": "string"}}},
		}},
		"x-amazon-apigateway-integration": map[string]any{
			"type": "mock", "passthroughBehavior": "never",
			"requestTemplates": map[string]any{"application/json": `{"statusCode": 204}`},
			"responses": map[string]any{"default": map[string]any{
				"statusCode": "204", "responseParameters": map[string]any{"method.response.header.Vary": "'Origin'"},
				"responseTemplates": map[string]any{"application/json": args.preflightTemplate(methods)},
			}},
		},
	}
}

// preflightTemplate is VTL. API Gateway knows headers by the case in which
// they were sent, and HTTP/2 sends them in lower case.
func (args *RestApiArgs) preflightTemplate(methods []string) string {
	var allowed []string
	for _, origin := range sortedUnique(args.Origins) {
		allowed = append(allowed, `$origin == "`+origin+`"`)
	}
	headers := args.AllowHeaders
	if len(headers) == 0 {
		headers = []string{"Authorization", "Content-Type", "Idempotency-Key"}
	}
	var b strings.Builder
	b.WriteString(`#set($origin = $input.params('origin'))#if($origin == "")#set($origin = $input.params('Origin'))#end`)
	fmt.Fprintf(&b, "#if(%s)", strings.Join(allowed, " || "))
	fmt.Fprint(&b, `#set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)`)
	for _, header := range [][2]string{
		{"Credentials", "true"},
		{"Headers", strings.Join(sortedUnique(headers), ", ")},
		{"Methods", strings.Join(sortedUnique(append(slices.Clone(methods), "OPTIONS")), ", ")},
	} {
		fmt.Fprintf(&b, `#set($context.responseOverride.header.Access-Control-Allow-%s = "%s")`, header[0], header[1])
	}
	fmt.Fprintf(&b, `#set($context.responseOverride.header.Access-Control-Max-Age = "%d")#end`, orDefault(args.MaxAgeSeconds, 600))
	return b.String()
}

// gatewayProblem is what a caller sees of an error that API Gateway makes.
type gatewayProblem struct {
	status int // 0 keeps API Gateway's own
	title  string
	code   string
	header map[string]string
}

var (
	internalProblem  = gatewayProblem{500, "Internal Server Error", "internal", nil}
	forbiddenProblem = gatewayProblem{403, "Forbidden", "forbidden", nil}
	limitedProblem   = gatewayProblem{429, "Too Many Requests", "limited", map[string]string{"Retry-After": "'1'"}}
	unauthenticated  = gatewayProblem{401, "Unauthorized", "unauthenticated", map[string]string{"WWW-Authenticate": "'Bearer'"}}
	timeoutProblem   = gatewayProblem{504, "Gateway Timeout", "timeout", nil}
)

// gatewayProblems has every type of gateway response (API Gateway Developer
// Guide, "Gateway response types"). API Gateway answers an unknown path and an
// unknown method of a known path alike, with MISSING_AUTHENTICATION_TOKEN.
var gatewayProblems = map[string]gatewayProblem{
	"ACCESS_DENIED":                  forbiddenProblem,
	"API_CONFIGURATION_ERROR":        internalProblem,
	"AUTHORIZER_CONFIGURATION_ERROR": internalProblem,
	"AUTHORIZER_FAILURE":             internalProblem,
	"BAD_REQUEST_BODY":               {400, "Bad Request", "invalid", nil},
	"BAD_REQUEST_PARAMETERS":         {400, "Bad Request", "invalid", nil},
	"DEFAULT_4XX":                    {0, "Request refused", "refused", nil},
	"DEFAULT_5XX":                    {0, "Internal Server Error", "internal", nil},
	"EXPIRED_TOKEN":                  unauthenticated,
	"INTEGRATION_FAILURE":            {502, "Bad Gateway", "internal", nil},
	"INTEGRATION_TIMEOUT":            timeoutProblem,
	"INVALID_API_KEY":                forbiddenProblem,
	"INVALID_SIGNATURE":              forbiddenProblem,
	"MISSING_AUTHENTICATION_TOKEN":   {404, "Not Found", "not_found", nil},
	"QUOTA_EXCEEDED":                 limitedProblem,
	"REQUEST_TOO_LARGE":              {413, "Content Too Large", "too_large", nil},
	"RESOURCE_NOT_FOUND":             {404, "Not Found", "not_found", nil},
	"THROTTLED":                      limitedProblem,
	"UNAUTHORIZED":                   unauthenticated,
	"UNSUPPORTED_MEDIA_TYPE":         {415, "Unsupported Media Type", "unsupported_media_type", nil},
	"WAF_FILTERED":                   forbiddenProblem,
}

func gatewayResponses(cors bool) map[string]any {
	responses := map[string]any{}
	for kind, problem := range gatewayProblems {
		responses[kind] = problem.response(cors)
	}
	return responses
}

// response renders the problem without API Gateway's own message, which tells
// of its inside and is not always valid JSON. The template is chosen by the
// content type that a caller accepts, of which application/json is the
// fallback; the header then says what it is.
func (p gatewayProblem) response(cors bool) map[string]any {
	headers := map[string]string{
		"Cache-Control": "'no-store'", "Content-Type": "'application/problem+json'", "X-Content-Type-Options": "'nosniff'",
	}
	if cors {
		// Without credentials: the caller may read why it was refused, no more.
		headers["Access-Control-Allow-Origin"], headers["Vary"] = "method.request.header.origin", "'Origin'"
	}
	maps.Copy(headers, p.header)
	parameters := map[string]any{}
	for name, value := range headers {
		parameters["gatewayresponse.header."+name] = value
	}
	body := map[string]any{"type": "about:blank", "title": p.title, "code": p.code, "instance": "urn:request:$context.requestId"}
	response := map[string]any{"responseParameters": parameters}
	if p.status != 0 {
		body["status"] = p.status
		response["statusCode"] = strconv.Itoa(p.status)
	}
	response["responseTemplates"] = map[string]any{"application/json": canonicalJSON(body)}
	return response
}
