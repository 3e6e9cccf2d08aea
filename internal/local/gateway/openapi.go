package gateway

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/expenzez/aws-backend/internal/local/gateway/vtl"
)

// route is one method of one resource.
type route struct {
	method      string // upper case, or ANY
	resource    string // with its {parameters}
	operationID string
	segments    []string
	authorizer  *authorizer
	required    []parameter                   // checked before the integration
	models      map[string]*jsonschema.Schema // by media type, checked before the integration
	throttle    *bucket
	integration integration
}

type parameter struct{ in, name string }

type integration struct {
	mock        bool
	functionARN string
	timeout     time.Duration
	request     map[string]*vtl.Template // by media type
	passthrough string
	responses   []mockResponse // the default one last
}

type mockResponse struct {
	pattern   *regexp.Regexp // nil for the default
	status    int
	headers   map[string]*substitution
	templates map[string]*vtl.Template // by media type
}

// bodyReader reads an OpenAPI body.
type bodyReader struct {
	api         *api
	root        object
	authorizers map[string]*authorizer
	validators  map[string]validator
	compiler    *jsonschema.Compiler
	children    map[string]string // {parameter} by its parent path
}

type validator struct{ body, parameters bool }

const documentURL = "file:///openapi.json"

func (a *api) readBody(body map[string]any, p *problems) {
	r := &bodyReader{children: map[string]string{}, api: a, root: object{"body", body, p}, compiler: newCompiler(body, p)}
	r.root.only("openapi", "info", "servers", "tags", "externalDocs", "paths", "components",
		"x-amazon-apigateway-request-validators", "x-amazon-apigateway-request-validator",
		"x-amazon-apigateway-gateway-responses", "x-amazon-apigateway-binary-media-types")
	if version := r.root.text("openapi"); !strings.HasPrefix(version, "3.0.") {
		p.add("body.openapi", "version %q is not 3.0.x", version)
	}
	if r.root.has("security") {
		p.add("body.security", "API Gateway does not use security at the top; put it on each operation")
	}
	for _, item := range r.root.list("x-amazon-apigateway-binary-media-types") {
		if text, ok := item.(string); ok {
			a.binaryTypes = append(a.binaryTypes, text)
		}
	}
	r.readValidators()
	r.readComponents()
	a.readGatewayResponses(r.root.object("x-amazon-apigateway-gateway-responses"))
	r.root.object("paths").each(r.readPath)
	slices.SortFunc(a.routes, func(x, y *route) int {
		return strings.Compare(x.resource+" "+x.method, y.resource+" "+y.method)
	})
}

func newCompiler(body map[string]any, p *problems) *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4) // page "Amazon API Gateway important notes"
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err := c.AddResource(documentURL, body); err != nil {
		p.add("body", "%v", err)
	}
	return c
}

func (r *bodyReader) readValidators() {
	r.validators = map[string]validator{}
	r.root.object("x-amazon-apigateway-request-validators").each(func(name string, o object) {
		o.only("validateRequestBody", "validateRequestParameters")
		r.validators[name] = validator{o.flag("validateRequestBody"), o.flag("validateRequestParameters")}
	})
}

var modelName = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func (r *bodyReader) readComponents() {
	components := r.root.object("components")
	components.only("schemas", "securitySchemes")
	components.object("schemas").each(func(name string, o object) {
		if !modelName.MatchString(name) {
			o.p.add(o.at, "a model's name has letters and digits only")
		}
		checkSchema(o.at, o.fields, o.p)
	})
	r.authorizers = map[string]*authorizer{}
	components.object("securitySchemes").each(func(name string, o object) {
		r.authorizers[name] = readAuthorizer(name, o)
	})
}

// unsupportedSchema are keywords that API Gateway's models do not have (page "Amazon API Gateway important notes").
var unsupportedSchema = []string{"discriminator", "example", "nullable", "readOnly", "exclusiveMinimum", "default"}

// checkSchema reports keywords that API Gateway refuses, wherever they are, and takes out minItems and maxItems, which
// an imported model does not check (same page).
func checkSchema(at string, value any, p *problems) {
	fields, ok := value.(map[string]any)
	if !ok {
		p.add(at, "a schema is an object")
		return
	}
	delete(fields, "minItems")
	delete(fields, "maxItems")
	for _, key := range sortedKeys(fields) {
		inner := fields[key]
		if slices.Contains(unsupportedSchema, key) {
			p.add(at+"."+key, "API Gateway's models do not support it")
			continue
		}
		if ref, isText := inner.(string); key == "$ref" && isText && !strings.HasPrefix(ref, "#/components/schemas/") {
			p.add(at+".$ref", "%q is not #/components/schemas/<name>", ref)
		}
		switch key {
		case "properties", "definitions", "patternProperties":
			for _, name := range sortedKeys(asObject(inner)) {
				checkSchema(at+"."+key+"."+name, asObject(inner)[name], p)
			}
		case "items", "additionalProperties", "not":
			if _, isFlag := inner.(bool); !isFlag {
				checkSchema(at+"."+key, inner, p)
			}
		case "allOf", "anyOf", "oneOf":
			list, _ := inner.([]any)
			for i, item := range list {
				checkSchema(at+"."+key+"."+strconv.Itoa(i), item, p)
			}
		}
	}
}

var httpMethods = []string{"delete", "get", "head", "options", "patch", "post", "put"}

var pathSegment = regexp.MustCompile(`^([A-Za-z0-9._,:-]+|\{[A-Za-z0-9._-]+\+?\})$`)

func (r *bodyReader) readPath(path string, item object) {
	item.only(append([]string{"summary", "description", "parameters", anyMethod}, httpMethods...)...)
	r.checkPath(path, item)
	for _, key := range append([]string{anyMethod}, httpMethods...) {
		if !item.has(key) {
			continue
		}
		method := strings.ToUpper(key)
		if key == anyMethod {
			method = "ANY"
		}
		route := r.readOperation(path, key, item.object(key), item.list("parameters"))
		route.method, route.resource, route.segments = method, path, segmentsOf(path)
		r.api.routes = append(r.api.routes, route)
	}
}

const anyMethod = "x-amazon-apigateway-any-method"

// checkPath applies page "Amazon API Gateway important notes".
func (r *bodyReader) checkPath(path string, item object) {
	if path == "/ping" || path == "/sping" {
		item.p.add(item.at, "the path is reserved for API Gateway's health check behind a custom domain")
	}
	segments := segmentsOf(path)
	for i, segment := range segments {
		if !pathSegment.MatchString(segment) {
			item.p.add(item.at, "segment %q is neither letters, digits and ._,:- nor one {parameter}", segment)
		}
		parent := strings.Join(segments[:i], "/")
		if sibling := r.children[parent]; isParameter(segment) && sibling != "" && sibling != segment {
			item.p.add(item.at, "%s has a sibling %s, and only one parameter is allowed at a place", segment, sibling)
		} else if isParameter(segment) {
			r.children[parent] = segment
		}
		if isGreedy(segment) && i != len(segments)-1 {
			item.p.add(item.at, "%s is not the last segment", segment)
		}
	}
}

func (r *bodyReader) readOperation(path, key string, o object, shared []any) *route {
	o.only("operationId", "summary", "description", "tags", "deprecated", "externalDocs", "parameters", "requestBody", "responses",
		"security", "x-amazon-apigateway-integration", "x-amazon-apigateway-request-validator")
	route := &route{operationID: o.text("operationId"), models: map[string]*jsonschema.Schema{}}
	v := r.validatorOf(o)
	required := r.readParameters(o, shared)
	models := r.readModels(o, path, key)
	if v.parameters {
		route.required = required
	}
	if v.body {
		route.models = models
	}
	route.authorizer = r.authorizerOf(o)
	if !o.has("x-amazon-apigateway-integration") {
		o.p.add(o.at, "it has no x-amazon-apigateway-integration")
		return route
	}
	route.integration = readIntegration(o.object("x-amazon-apigateway-integration"), o.object("responses"))
	return route
}

func (r *bodyReader) validatorOf(o object) validator {
	const key = "x-amazon-apigateway-request-validator"
	name := o.text(key)
	if name == "" {
		name = r.root.text(key)
	}
	v, ok := r.validators[name]
	if !ok && name != "" {
		o.p.add(o.at, "request validator %q is not in body.x-amazon-apigateway-request-validators", name)
	}
	return v
}

// readParameters returns the required ones, sorted as API Gateway names them in its error.
func (r *bodyReader) readParameters(o object, shared []any) []parameter {
	var required []parameter
	for _, item := range append(slices.Clone(shared), o.list("parameters")...) {
		param := newObject(o.at+".parameters", item, o.p)
		param.only("name", "in", "required", "schema", "description", "deprecated", "style", "explode", "example")
		in := param.text("in")
		switch in {
		case "path", "query", "header":
		default:
			o.p.add(param.at, "a parameter in %q is not supported by API Gateway", in)
		}
		if param.flag("required") {
			required = append(required, parameter{in, param.text("name")})
		}
	}
	slices.SortFunc(required, func(x, y parameter) int { return strings.Compare(x.in+x.name, y.in+y.name) })
	return required
}

func (r *bodyReader) readModels(o object, path, key string) map[string]*jsonschema.Schema {
	models := map[string]*jsonschema.Schema{}
	request := o.object("requestBody")
	request.only("content", "required", "description")
	request.object("content").each(func(media string, content object) {
		content.only("schema")
		checkSchema(content.at+".schema", content.fields["schema"], o.p)
		schema, err := r.compiler.Compile(documentURL + "#" + pointer("paths", path, key, "requestBody", "content", media, "schema"))
		if err != nil {
			o.p.add(content.at+".schema", "%v", err)
			return
		}
		if media != "$default" {
			media = mediaType(media)
		}
		models[media] = schema
	})
	return models
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is a JSON pointer as a URL fragment (RFC 6901, section 6).
func pointer(keys ...string) string {
	var fragment strings.Builder
	for _, key := range keys {
		fragment.WriteString("/" + url.PathEscape(pointerEscaper.Replace(key)))
	}
	return fragment.String()
}

func (r *bodyReader) authorizerOf(o object) *authorizer {
	list := o.list("security")
	if len(list) == 0 {
		return nil
	}
	requirement := newObject(o.at+".security.0", list[0], o.p)
	if len(list) > 1 || len(requirement.fields) != 1 {
		o.p.add(o.at+".security", "exactly one scheme is emulated")
		return nil
	}
	name := sortedKeys(requirement.fields)[0]
	if len(requirement.list(name)) > 0 {
		o.p.add(o.at+".security", "scopes are not emulated")
	}
	found, ok := r.authorizers[name]
	if !ok {
		o.p.add(o.at+".security", "scheme %q is not in body.components.securitySchemes", name)
	}
	return found
}

func readIntegration(o object, methodResponses object) integration {
	switch kind := strings.ToLower(o.text("type")); kind {
	case "aws_proxy":
		return readProxy(o)
	case "mock":
		return readMock(o, methodResponses)
	default:
		o.p.add(o.at+".type", "%q is not emulated (aws_proxy and mock are)", kind)
		return integration{}
	}
}

var lambdaURI = regexp.MustCompile(`^arn:aws:apigateway:[a-z0-9-]+:lambda:path/2015-03-31/functions/(arn:aws:lambda:[^/]+)/invocations$`)

// Limits of page "Quotas for configuring and running a REST API in API Gateway".
const (
	minTimeout = 50
	maxTimeout = 29000
)

func readProxy(o object) integration {
	o.only("type", "uri", "httpMethod", "timeoutInMillis", "passthroughBehavior", "responses", "responseTransferMode")
	if o.text("httpMethod") != http.MethodPost {
		o.p.add(o.at+".httpMethod", "Lambda functions are invoked by POST, whatever the method of the route")
	}
	if mode := o.text("responseTransferMode"); mode != "" && mode != "BUFFERED" {
		o.p.add(o.at+".responseTransferMode", "%s is not emulated", mode)
	}
	timeout := o.number("timeoutInMillis", maxTimeout)
	if timeout < minTimeout || timeout > maxTimeout {
		o.p.add(o.at+".timeoutInMillis", "%v is not from %d to %d", timeout, minTimeout, maxTimeout)
	}
	uri := lambdaURI.FindStringSubmatch(o.text("uri"))
	if uri == nil {
		o.p.add(o.at+".uri", "%q is not the invoke URI of a Lambda function", o.text("uri"))
		return integration{}
	}
	return integration{functionARN: uri[1], timeout: time.Duration(timeout) * time.Millisecond}
}

func readMock(o object, methodResponses object) integration {
	o.only("type", "requestTemplates", "passthroughBehavior", "responses", "timeoutInMillis", "httpMethod")
	i := integration{mock: true, request: readTemplates(o, "requestTemplates"), passthrough: strings.ToUpper(o.text("passthroughBehavior"))}
	switch i.passthrough {
	case "", "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER":
	default:
		o.p.add(o.at+".passthroughBehavior", "%q is not when_no_match, when_no_templates or never", i.passthrough)
	}
	var fallback []mockResponse
	o.object("responses").each(func(pattern string, response object) {
		m := readMockResponse(response, methodResponses)
		if pattern == "default" {
			fallback = append(fallback, m)
			return
		}
		compiled, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			o.p.add(response.at, "its pattern is not emulated: %v", err)
		}
		m.pattern = compiled
		i.responses = append(i.responses, m)
	})
	i.responses = append(i.responses, fallback...)
	if len(i.responses) == 0 {
		o.p.add(o.at+".responses", "it has none, so that every request would fail")
	}
	return i
}

func readTemplates(o object, key string) map[string]*vtl.Template {
	templates := map[string]*vtl.Template{}
	for media, source := range o.texts(key) {
		at := o.at + "." + key + "." + media
		template, err := vtl.Parse(source)
		if err != nil {
			o.p.add(at, "%v", err)
			continue
		}
		for _, path := range template.ContextPaths() {
			if !knownContext(path) {
				o.p.add(at, "$context.%s is not emulated", path)
			}
		}
		templates[media] = template
	}
	return templates
}

// readMockResponse also requires what API Gateway requires of the import: a method response that declares the status
// and every mapped header (page "Set up a method response in API Gateway").
func readMockResponse(o object, methodResponses object) mockResponse {
	o.only("statusCode", "responseParameters", "responseTemplates")
	code := o.text("statusCode")
	status, err := strconv.Atoi(code)
	if err != nil || status < 200 || status > 599 {
		o.p.add(o.at+".statusCode", "%q is not a status as text", code)
	}
	if !methodResponses.has(code) {
		o.p.add(o.at, "status %s is not among the operation's responses", code)
	}
	declared := methodResponses.object(code).object("headers")
	m := mockResponse{status: status, headers: map[string]*substitution{}, templates: readTemplates(o, "responseTemplates")}
	for target, expression := range o.texts("responseParameters") {
		at := o.at + ".responseParameters." + target
		name, ok := strings.CutPrefix(target, "method.response.header.")
		if !ok {
			o.p.add(at, "only method.response.header.<name> is emulated")
			continue
		}
		if !declared.has(name) {
			o.p.add(at, "the operation's response %s does not declare header %s", code, name)
		}
		m.headers[name] = parseMapping(at, expression, false, o.p)
	}
	return m
}

// jsonValue decodes as the schema validator needs it: numbers keep their digits.
func jsonValue(data []byte) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errTrailing
	}
	return value, nil
}
