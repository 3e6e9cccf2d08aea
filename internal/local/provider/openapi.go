package provider

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Limits of a REST API that is imported from OpenAPI (API Gateway Developer Guide, "Quotas for configuring and running a
// REST API" and "Amazon API Gateway important notes").
const (
	maxBody        = 6 << 20
	maxResources   = 300
	maxAuthorizers = 10
)

// apiRoute is one method of a REST API.
type apiRoute struct{ path, method, uri string }

// apiDefinition is an OpenAPI 3 document as API Gateway imports it, with all its problems.
type apiDefinition struct {
	root        map[string]any
	routes      []apiRoute
	authorizers []string // the URIs of the Lambda authorizers
	problems    []problem
}

func (d *apiDefinition) wrong(at, format string, args ...any) {
	d.problems = append(d.problems, problemf(join("body", at), format, args...))
}

// parseAPI reads a document and finds everything that makes an import fail or a keyword silently void: with
// failOnWarnings both are errors.
func parseAPI(body string) *apiDefinition {
	d := &apiDefinition{}
	if len(body) > maxBody {
		d.wrong("", "has %d bytes: AWS allows %d", len(body), maxBody)
		return d
	}
	if err := json.Unmarshal([]byte(body), &d.root); err != nil {
		d.wrong("", "is not a JSON object: %v", err)
		return d
	}
	if version, _ := d.root["openapi"].(string); !strings.HasPrefix(version, "3.0.") {
		d.wrong("openapi", "is %q: API Gateway imports OpenAPI 3.0", version)
	}
	if title, _ := child(d.root, "info")["title"].(string); title == "" {
		d.wrong("info.title", "is required: set it")
	}
	d.checkSchemes()
	d.checkValidators()
	d.checkModels()
	d.checkGatewayResponses()
	d.checkPaths()
	return d
}

// child is the object under key, nil when there is none.
func child(m map[string]any, key string) map[string]any {
	c, _ := m[key].(map[string]any)
	return c
}

func children(v any) []any {
	l, _ := v.([]any)
	return l
}

func (d *apiDefinition) component(kind string) map[string]any {
	return child(child(d.root, "components"), kind)
}

var (
	identityForm = regexp.MustCompile(`^(method\.request\.(header|querystring)\.[A-Za-z0-9_.-]+|context\.[A-Za-z0-9_.]+|stageVariables\.[A-Za-z0-9_]+)(,\s*(method\.request\.(header|querystring)\.[A-Za-z0-9_.-]+|context\.[A-Za-z0-9_.]+|stageVariables\.[A-Za-z0-9_]+))*$`)
	lambdaURI    = regexp.MustCompile(`^arn:[a-z-]+:apigateway:[a-z0-9-]+:lambda:path/(2015-03-31/functions/(arn:[^/]+)/invocations|2021-11-15/functions/(arn:[^/]+)/response-streaming-invocations)$`)
)

// functionOf is the ARN of the function that an integration or authorizer URI calls, "" when it calls none.
func functionOf(uri string) string {
	if m := lambdaURI.FindStringSubmatch(uri); m != nil {
		return m[2] + m[3]
	}
	return ""
}

func (d *apiDefinition) checkSchemes() {
	schemes := d.component("securitySchemes")
	for _, name := range sortedKeys(schemes) {
		scheme, at := child(schemes, name), "components.securitySchemes."+name
		if kind, _ := scheme["type"].(string); kind != "apiKey" {
			d.wrong(at, "has type %q: API Gateway takes apiKey, also for its authorizers", kind)
		}
		if authorizer := child(scheme, "x-amazon-apigateway-authorizer"); authorizer != nil {
			d.checkAuthorizer(at, authorizer)
		}
	}
	if len(d.authorizers) > maxAuthorizers {
		d.wrong("components.securitySchemes", "have %d authorizers: AWS allows %d", len(d.authorizers), maxAuthorizers)
	}
}

func (d *apiDefinition) checkAuthorizer(at string, a map[string]any) {
	kind, _ := a["type"].(string)
	if !slices.Contains([]string{"token", "request", "cognito_user_pools"}, kind) {
		d.wrong(at, "has authorizer type %q: use token, request or cognito_user_pools", kind)
	}
	uri, _ := a["authorizerUri"].(string)
	if kind != "cognito_user_pools" {
		d.authorizers = append(d.authorizers, uri)
		if functionOf(uri) == "" {
			d.wrong(at, "has authorizerUri %q, which is not the invoke ARN of a Lambda function", uri)
		}
	}
	if ttl, ok := a["authorizerResultTtlInSeconds"].(float64); ok && (ttl < 0 || ttl > 3600) {
		d.wrong(at, "has authorizerResultTtlInSeconds %g: AWS allows 0 to 3600", ttl)
	}
	if source, _ := a["identitySource"].(string); source != "" && !identityForm.MatchString(source) {
		d.wrong(at, "has identitySource %q: use method.request.header.NAME and the like", source)
	}
	if pattern, _ := a["identityValidationExpression"].(string); pattern != "" {
		if _, err := regexp.Compile(pattern); err != nil {
			d.wrong(at, "has an identityValidationExpression that is not a regular expression")
		}
	}
}

func (d *apiDefinition) checkValidators() {
	validators := child(d.root, "x-amazon-apigateway-request-validators")
	for _, name := range sortedKeys(validators) {
		for k, v := range child(validators, name) {
			if _, isBool := v.(bool); !isBool || (k != "validateRequestBody" && k != "validateRequestParameters") {
				d.wrong("x-amazon-apigateway-request-validators."+name, "may only have the booleans validateRequestBody and validateRequestParameters")
			}
		}
	}
	d.checkValidator("", d.root)
}

func (d *apiDefinition) checkValidator(at string, in map[string]any) {
	name, ok := in["x-amazon-apigateway-request-validator"].(string)
	if _, known := child(d.root, "x-amazon-apigateway-request-validators")[name]; ok && !known {
		d.wrong(join(at, "x-amazon-apigateway-request-validator"), "names %q, which x-amazon-apigateway-request-validators does not have", name)
	}
}

var modelName = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func (d *apiDefinition) checkModels() {
	models := d.component("schemas")
	for _, name := range sortedKeys(models) {
		at := "components.schemas." + name
		if !modelName.MatchString(name) {
			d.wrong(at, "has a name with other characters than letters and digits")
		}
		d.checkSchema(at, models[name])
	}
}

// unsupported is schema keywords that API Gateway's draft 4 models refuse or drop. Draft 4 also has exclusiveMinimum and
// exclusiveMaximum as booleans only.
func unsupported() []string {
	return []string{"discriminator", "nullable", "example", "examples", "readOnly", "writeOnly", "xml", "externalDocs", "deprecated",
		"const", "contains", "propertyNames", "if", "then", "else", "$id", "$comment", "$defs", "dependentRequired", "dependentSchemas",
		"unevaluatedProperties", "unevaluatedItems", "prefixItems", "contentEncoding", "contentMediaType"}
}

func (d *apiDefinition) checkSchema(at string, raw any) {
	schema, ok := raw.(map[string]any)
	if !ok {
		d.wrong(at, "is not a schema object")
		return
	}
	if ref, isRef := schema["$ref"].(string); isRef {
		name, local := strings.CutPrefix(ref, "#/components/schemas/")
		if _, exists := d.component("schemas")[name]; !local || !exists {
			d.wrong(at, "refers to %q: API Gateway follows only #/components/schemas/NAME, and that must exist", ref)
		}
	}
	for _, k := range unsupported() {
		if _, has := schema[k]; has {
			d.wrong(at, "has keyword %s, which API Gateway's models (JSON schema draft 4) do not support", k)
		}
	}
	for _, k := range []string{"exclusiveMinimum", "exclusiveMaximum"} {
		if v, has := schema[k]; has {
			if _, isBool := v.(bool); !isBool {
				d.wrong(at, "has %s as a number: in draft 4 it is a boolean beside minimum or maximum", k)
			}
		}
	}
	if pattern, isText := schema["pattern"].(string); isText && pattern == "" {
		d.wrong(at, "has an empty pattern")
	}
	d.checkSubschemas(at, schema)
}

func (d *apiDefinition) checkSubschemas(at string, schema map[string]any) {
	for _, name := range sortedKeys(child(schema, "properties")) {
		d.checkSchema(at+".properties."+name, child(schema, "properties")[name])
	}
	for _, k := range []string{"items", "not", "additionalProperties"} {
		if sub, isSchema := schema[k].(map[string]any); isSchema {
			d.checkSchema(at+"."+k, sub)
		}
	}
	for _, k := range []string{"allOf", "anyOf", "oneOf"} {
		for i, sub := range children(schema[k]) {
			d.checkSchema(fmt.Sprintf("%s.%s[%d]", at, k, i), sub)
		}
	}
}

// gatewayResponses is the types of response that API Gateway makes itself (API Gateway Developer Guide, "Gateway response
// types").
func gatewayResponses() []string {
	return []string{"ACCESS_DENIED", "API_CONFIGURATION_ERROR", "AUTHORIZER_CONFIGURATION_ERROR", "AUTHORIZER_FAILURE",
		"BAD_REQUEST_BODY", "BAD_REQUEST_PARAMETERS", "DEFAULT_4XX", "DEFAULT_5XX", "EXPIRED_TOKEN", "INTEGRATION_FAILURE",
		"INTEGRATION_TIMEOUT", "INVALID_API_KEY", "INVALID_SIGNATURE", "MISSING_AUTHENTICATION_TOKEN", "QUOTA_EXCEEDED",
		"REQUEST_TOO_LARGE", "RESOURCE_NOT_FOUND", "THROTTLED", "UNAUTHORIZED", "UNSUPPORTED_MEDIA_TYPE", "WAF_FILTERED"}
}

var (
	statusForm  = regexp.MustCompile(`^[1-5][0-9][0-9]$`)
	mappingForm = regexp.MustCompile(`^('[^']*'|method\.request\.(header|querystring|path|multivalueheader|multivaluequerystring)\.[^\s]+|context\.[A-Za-z0-9_.]+|stageVariables\.[A-Za-z0-9_]+)$`)
	vtlForm     = regexp.MustCompile(`#(set|if|foreach|else|elseif|end)\b`)
)

func (d *apiDefinition) checkGatewayResponses() {
	responses := child(d.root, "x-amazon-apigateway-gateway-responses")
	for _, kind := range sortedKeys(responses) {
		at, r := "x-amazon-apigateway-gateway-responses."+kind, child(responses, kind)
		if !slices.Contains(gatewayResponses(), kind) {
			d.wrong(at, "is not a gateway response type")
		}
		if code, has := r["statusCode"]; has && !statusForm.MatchString(fmt.Sprint(code)) {
			d.wrong(at, "has statusCode %v: use 100 to 599", code)
		}
		parameters := child(r, "responseParameters")
		for _, name := range sortedKeys(parameters) {
			expression, _ := parameters[name].(string)
			if !strings.HasPrefix(name, "gatewayresponse.header.") {
				d.wrong(at, "maps %q: a gateway response can only map gatewayresponse.header.NAME", name)
			}
			if !mappingForm.MatchString(expression) {
				d.wrong(at, "maps %q from %q: use a 'static' text, method.request, context or stageVariables", name, expression)
			}
		}
		for _, media := range sortedKeys(child(r, "responseTemplates")) {
			template, isText := child(r, "responseTemplates")[media].(string)
			if !isText || vtlForm.MatchString(template) {
				d.wrong(at, "has a template for %s that is not plain text with variables: gateway responses have no template language", media)
			}
		}
	}
}

var segmentForm = regexp.MustCompile(`^([A-Za-z0-9._:$~-]+|\{[A-Za-z0-9._-]+\+?\})$`)

func (d *apiDefinition) checkPaths() {
	paths := child(d.root, "paths")
	if len(paths) == 0 {
		d.wrong("paths", "has no path")
	}
	resources, operations := map[string]string{"": ""}, map[string]string{}
	for _, path := range sortedKeys(paths) {
		d.checkPath(path, resources)
		item := child(paths, path)
		for _, key := range sortedKeys(item) {
			method, isMethod := methods()[key]
			switch {
			case isMethod:
				d.checkOperation(path, key, method, child(item, key), operations)
			case !slices.Contains([]string{"parameters", "summary", "description"}, key) && !strings.HasPrefix(key, "x-"):
				d.wrong("paths."+path, "has %q, which API Gateway does not import", key)
			}
		}
	}
	if len(resources) > maxResources {
		d.wrong("paths", "make %d resources: AWS allows %d", len(resources), maxResources)
	}
}

func methods() map[string]string {
	return map[string]string{"get": "GET", "put": "PUT", "post": "POST", "delete": "DELETE", "options": "OPTIONS",
		"head": "HEAD", "patch": "PATCH", "x-amazon-apigateway-any-method": "ANY"}
}

// checkPath adds the path's resources to the tree: resources maps a parent and kind to what is there. One parent may have
// only one variable child.
func (d *apiDefinition) checkPath(path string, resources map[string]string) {
	if !strings.HasPrefix(path, "/") {
		d.wrong("paths."+path, "does not begin with /")
		return
	}
	if path == "/" {
		return
	}
	parent := ""
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		if !segmentForm.MatchString(segment) {
			d.wrong("paths."+path, "has the part %q: use letters, digits and . _ - or one whole {parameter}", segment)
		}
		if strings.HasSuffix(segment, "+}") && i < len(segments)-1 {
			d.wrong("paths."+path, "has %s before the end: a greedy parameter must come last", segment)
		}
		if strings.HasPrefix(segment, "{") {
			key := parent + "/{}"
			if sibling, taken := resources[key]; taken && sibling != segment {
				d.wrong("paths."+path, "has %s where another path has %s: one parent can have one parameter", segment, sibling)
			}
			resources[key] = segment
			parent = key
			continue
		}
		parent += "/" + segment
		resources[parent] = segment
	}
}

func (d *apiDefinition) checkOperation(path, key, method string, op map[string]any, operations map[string]string) {
	at := "paths." + path + "." + key
	if id, _ := op["operationId"].(string); id != "" {
		if other, taken := operations[id]; taken {
			d.wrong(at, "repeats the operationId %q of %s", id, other)
		}
		operations[id] = at
	}
	d.checkValidator(at, op)
	for i, requirement := range children(op["security"]) {
		schemes, _ := requirement.(map[string]any)
		for _, name := range sortedKeys(schemes) {
			if _, exists := d.component("securitySchemes")[name]; !exists {
				d.wrong(fmt.Sprintf("%s.security[%d]", at, i), "names %q, which components.securitySchemes does not have", name)
			}
		}
	}
	content := child(child(op, "requestBody"), "content")
	for _, media := range sortedKeys(content) {
		if schema, has := child(content, media)["schema"]; has {
			d.checkSchema(at+".requestBody.content."+media+".schema", schema)
		}
	}
	integration := child(op, "x-amazon-apigateway-integration")
	if integration == nil {
		d.wrong(at, "has no x-amazon-apigateway-integration: No integration defined for method")
		return
	}
	d.checkIntegration(at, op, integration)
	uri, _ := integration["uri"].(string)
	d.routes = append(d.routes, apiRoute{path, method, uri})
}

func (d *apiDefinition) checkIntegration(at string, op, i map[string]any) {
	at += ".x-amazon-apigateway-integration"
	kind, _ := i["type"].(string)
	switch strings.ToLower(kind) {
	case "aws_proxy":
		d.checkProxy(at, i)
	case "mock":
		d.checkIntegrationResponses(at, op, i)
	case "aws", "http", "http_proxy":
		d.wrong(at, "has type %s, which the local cloud does not run: use aws_proxy or mock", kind)
	default:
		d.wrong(at, "has type %q: use aws_proxy, aws, http_proxy, http or mock", kind)
	}
	if ms, ok := i["timeoutInMillis"].(float64); ok && (ms < 50 || ms > 29000) {
		d.wrong(at, "has timeoutInMillis %g: AWS allows 50 to 29000", ms)
	}
	if behavior, ok := i["passthroughBehavior"].(string); ok && !slices.Contains([]string{"when_no_match", "when_no_templates", "never"}, strings.ToLower(behavior)) {
		d.wrong(at, "has passthroughBehavior %q: use when_no_match, when_no_templates or never", behavior)
	}
}

func (d *apiDefinition) checkProxy(at string, i map[string]any) {
	uri, _ := i["uri"].(string)
	if functionOf(uri) == "" {
		d.wrong(at, "has uri %q, which is not the invoke ARN of a Lambda function", uri)
	}
	if method, _ := i["httpMethod"].(string); method != "POST" {
		d.wrong(at, "has httpMethod %q: Lambda is always called with POST", method)
	}
	stream := i["responseTransferMode"] == "STREAM"
	if streamURI := strings.HasSuffix(uri, "/response-streaming-invocations"); functionOf(uri) != "" && stream != streamURI {
		d.wrong(at, "must have responseTransferMode STREAM and a response-streaming-invocations uri, or neither")
	}
}

// checkIntegrationResponses wants every mapped status and header to be declared by the method.
func (d *apiDefinition) checkIntegrationResponses(at string, op, i map[string]any) {
	declared := child(op, "responses")
	for _, pattern := range sortedKeys(child(i, "responses")) {
		response := child(child(i, "responses"), pattern)
		status := fmt.Sprint(response["statusCode"])
		method := child(declared, status)
		if method == nil {
			d.wrong(at, "answers with status %s, which the method's responses do not declare", status)
			continue
		}
		parameters := child(response, "responseParameters")
		for _, name := range sortedKeys(parameters) {
			header, ok := strings.CutPrefix(name, "method.response.header.")
			if _, exists := child(method, "headers")[header]; !ok || !exists {
				d.wrong(at, "maps %q, a header that response %s does not declare", name, status)
			}
		}
	}
}
