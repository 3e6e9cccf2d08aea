package components

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Limits of API Gateway (API Gateway Developer Guide, "Quotas for configuring
// and running a REST API").
const (
	minIntegrationMillis = 50
	maxIntegrationMillis = 29000
	apiResourcesLimit    = 300
	apiAuthorizersLimit  = 10
	apiPolicyLimit       = 8192
	apiBodyLimit         = 6 << 20
)

var (
	apiNamePattern   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	stagePattern     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	originPattern    = regexp.MustCompile(`^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$|^http://(localhost|127\.0\.0\.1):\d{1,5}$`)
	headerPattern    = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	operationPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	schemePattern    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	// segmentPattern: a parameter is a whole segment (API Gateway Developer
	// Guide, "Important notes", REST APIs).
	segmentPattern = regexp.MustCompile(`^([A-Za-z0-9._:-]+|\{[A-Za-z0-9._-]+\}|\{[A-Za-z0-9._-]+\+\})$`)
	modelPattern   = regexp.MustCompile(`^[A-Za-z0-9]+$`)
)

// check reports every problem and gives the parsed document.
func (args *RestApiArgs) check(c *checker) apiSpec {
	c.pattern("Name", args.Name, apiNamePattern, "1 to 255 letters, digits or _-", "rename the API")
	if n := len(args.Description); n == 0 || n > 1024 {
		c.add("Description", args.Description, "must have 1 to 1024 characters", "say what the API is for")
	}
	c.pattern("Stage", args.Stage, stagePattern, "1 to 128 letters, digits or _-", "rename the stage")
	if args.Stage == authorizersPart {
		c.add("Stage", args.Stage, "would share its ARNs with the API's authorizers", "rename the stage")
	}
	args.checkCORS(c)
	args.checkSettings(c)
	args.checkAuthorizers(c)
	spec := parseDocument(c, args.Document)
	args.checkOperations(c, spec)
	return spec
}

func (args *RestApiArgs) checkCORS(c *checker) {
	for i, origin := range args.Origins {
		c.pattern(fmt.Sprintf("Origins[%d]", i), origin, originPattern, "https://host, or http://localhost:port", "write the exact origin; * is never allowed with credentials")
	}
	for i, header := range args.AllowHeaders {
		c.pattern(fmt.Sprintf("AllowHeaders[%d]", i), header, headerPattern, "a header's name", "write it out; * is never allowed with credentials")
	}
	c.between("MaxAgeSeconds", orDefault(args.MaxAgeSeconds, 600), 1, 86400, "longer is cut by browsers")
}

func (args *RestApiArgs) checkSettings(c *checker) {
	c.key("Key", args.Key)
	c.retention("LogRetentionDays", args.LogRetentionDays)
	args.Throttle.check(c, "Throttle")
	if args.CompressBytes < 0 || args.CompressBytes > 10<<20 {
		c.add("CompressBytes", args.CompressBytes, "must be 0 to 10485760", "set 0 to compress nothing")
	}
	for i, cidr := range args.SourceCIDRs {
		if p, err := netip.ParsePrefix(cidr); err != nil || p.Masked() != p || p.Bits() == 0 {
			c.add(fmt.Sprintf("SourceCIDRs[%d]", i), cidr, "must be a network, and not all of the Internet", `write for example "203.0.113.0/24"`)
		}
	}
	if n := len(args.policy()); n > apiPolicyLimit {
		c.add("SourceCIDRs", len(args.SourceCIDRs), fmt.Sprintf("make a policy of %d characters, the limit is %d", n, apiPolicyLimit), "join networks")
	}
}

func (t RestApiThrottle) check(c *checker, at string) {
	if t.Rate <= 0 || t.Rate > 10000 {
		c.add(at+".Rate", t.Rate, "must be above 0 and at most 10000, the account's own limit", "set the steady requests per second")
	}
	c.between(at+".Burst", t.Burst, 1, 5000, "API Gateway's account limit")
}

func (args *RestApiArgs) checkAuthorizers(c *checker) {
	if n := len(args.Authorizers); n > apiAuthorizersLimit {
		c.add("Authorizers", n, fmt.Sprintf("at most %d", apiAuthorizersLimit), "use one for several operations")
	}
	for _, name := range sortedKeys(args.Authorizers) {
		at := fmt.Sprintf("Authorizers[%q]", name)
		c.pattern(at, name, schemePattern, "1 to 128 letters, digits or _-", "rename it")
		if args.Authorizers[name].Function == nil {
			c.add(at+".Function", nil, "is required", "set the authorizer's function")
		}
		c.between(at+".ResultTTLSeconds", args.Authorizers[name].ResultTTLSeconds, 0, 3600, "API Gateway API, CreateAuthorizer")
	}
}

// parseDocument reads the document and reports what API Gateway would refuse.
func parseDocument(c *checker, document json.RawMessage) apiSpec {
	spec := apiSpec{doc: map[string]any{}}
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.UseNumber()
	if err := dec.Decode(&spec.doc); err != nil {
		c.add("Document", len(document), "must be a JSON object: "+err.Error(), "pass an OpenAPI 3.0 document")
		return spec
	}
	if len(document) > apiBodyLimit {
		c.add("Document", len(document), fmt.Sprintf("has more than %d bytes, which an import takes", apiBodyLimit), "shorten descriptions")
	}
	if version, _ := spec.doc["openapi"].(string); !strings.HasPrefix(version, "3.0.") {
		c.add("Document.openapi", version, `must be "3.0.x"`, "write an OpenAPI 3.0 document")
	}
	info, _ := spec.doc["info"].(map[string]any)
	for _, field := range []string{"title", "version"} {
		if text, _ := info[field].(string); text == "" {
			c.add("Document.info."+field, text, "is required", "set it")
		}
	}
	for _, key := range sortedKeys(spec.doc) {
		if !slices.Contains([]string{"openapi", "info", "paths", "components", "tags"}, key) && !strings.HasPrefix(key, "x-amazon-apigateway-") {
			c.add("Document."+key, key, "is not read by API Gateway at the root", "remove it; security belongs to operations")
		}
	}
	refuseExtensions(c, "Document", spec.doc)
	checkComponents(c, spec.doc)
	spec.operations = parsePaths(c, spec.doc)
	return spec
}

// refuseExtensions finds what only this component may write. A policy in the
// body, above all, would fight with the API's own.
func refuseExtensions(c *checker, at string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			if strings.HasPrefix(key, "x-amazon-apigateway-") {
				c.add(at+"."+key, key, "is written by RestApi", "remove it and use the arguments")
				continue
			}
			refuseExtensions(c, at+"."+key, v[key])
		}
	case []any:
		for i, item := range v {
			refuseExtensions(c, fmt.Sprintf("%s[%d]", at, i), item)
		}
	}
}

func checkComponents(c *checker, doc map[string]any) {
	parts, _ := doc["components"].(map[string]any)
	for _, key := range sortedKeys(parts) {
		if key != "schemas" {
			c.add("Document.components."+key, key, "only schemas are shared", "write it where it is used; authorizers are an argument")
		}
	}
	schemas, _ := parts["schemas"].(map[string]any)
	for _, name := range sortedKeys(schemas) {
		at := "Document.components.schemas." + name
		c.pattern(at, name, modelPattern, "letters and digits (API Gateway Developer Guide, \"Important notes\")", "rename the schema")
		checkSchema(c, at, schemas[name], schemas)
	}
}

var httpMethods = []string{"delete", "get", "head", "patch", "post", "put"}

func parsePaths(c *checker, doc map[string]any) []apiOperation {
	paths, _ := doc["paths"].(map[string]any)
	if len(paths) == 0 {
		c.add("Document.paths", len(paths), "must have at least one path", "add the routes")
	}
	resources := map[string]bool{}
	var operations []apiOperation
	for _, path := range sortedKeys(paths) {
		checkPath(c, path, resources)
		item, _ := paths[path].(map[string]any)
		for _, method := range sortedKeys(item) {
			at := "Document.paths." + path + "." + method
			value, isObject := item[method].(map[string]any)
			switch {
			case method == "options":
				c.add(at, method, "is answered by RestApi itself", "remove it and set Origins")
			case slices.Contains(httpMethods, method) && isObject:
				id, _ := value["operationId"].(string)
				operations = append(operations, apiOperation{path: path, method: method, id: id, value: value})
			case !slices.Contains([]string{"description", "parameters", "summary"}, method):
				c.add(at, method, "is no operation that API Gateway has", "use one of "+strings.Join(httpMethods, ", "))
			}
		}
	}
	if len(resources) > apiResourcesLimit {
		c.add("Document.paths", len(resources), fmt.Sprintf("make more than the %d resources that one API has", apiResourcesLimit), "split the API")
	}
	return operations
}

// checkPath collects the resources that the path makes: one for each segment.
func checkPath(c *checker, path string, resources map[string]bool) {
	at := "Document.paths." + path
	if !strings.HasPrefix(path, "/") || (path != "/" && strings.HasSuffix(path, "/")) {
		c.add(at, path, "must begin, and not end, with /", "correct the path")
		return
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		if path != "/" && !segmentPattern.MatchString(segment) {
			c.add(at, segment, "is no segment that API Gateway has", "use letters, digits or ._:-, or one parameter in braces")
		}
		if strings.HasSuffix(segment, "+}") && i < len(segments)-1 {
			c.add(at, segment, "must be the last segment", "shorten the path")
		}
		resources["/"+strings.Join(segments[:i+1], "/")] = true
	}
}

func (args *RestApiArgs) checkOperations(c *checker, spec apiSpec) {
	schemas := schemasOf(spec.doc)
	var ids []string
	for _, o := range spec.operations {
		at := "Document.paths." + o.path + "." + o.method
		if o.id == "" {
			c.add(at+".operationId", o.id, "is required", "name the operation")
			continue
		}
		c.pattern(at+".operationId", o.id, operationPattern, "1 to 64 letters, digits or _-", "rename the operation")
		ids = append(ids, o.id)
		if responses, _ := o.value["responses"].(map[string]any); len(responses) == 0 {
			c.add(at+".responses", len(responses), "is required", "describe at least one response")
		}
		checkBodies(c, at, o.value, schemas)
		args.checkSecurity(c, at, o)
		if _, answered := args.Integrations[o.id]; !answered {
			c.add("Integrations", o.id, "has no function", "name the function that answers the operation")
		}
	}
	c.unique("Document operationId", ids)
	args.checkIntegrations(c, ids)
	checkNames(c, "Public", args.Public, ids)
	checkNames(c, "RouteThrottles", args.RouteThrottles, ids)
	for _, id := range sortedKeys(args.RouteThrottles) {
		args.RouteThrottles[id].check(c, fmt.Sprintf("RouteThrottles[%q]", id))
	}
}

func checkNames[V any](c *checker, argument string, m map[string]V, ids []string) {
	for _, id := range sortedKeys(m) {
		if !slices.Contains(ids, id) {
			c.add(argument, id, "is no operation of the document", "correct or remove it")
		}
	}
}

func (args *RestApiArgs) checkIntegrations(c *checker, ids []string) {
	checkNames(c, "Integrations", args.Integrations, ids)
	for _, id := range sortedKeys(args.Integrations) {
		at := fmt.Sprintf("Integrations[%q]", id)
		i := args.Integrations[id]
		c.between(at+".TimeoutMillis", orDefault(i.TimeoutMillis, maxIntegrationMillis), minIntegrationMillis, maxIntegrationMillis, "API Gateway quotas")
		if i.Function == nil {
			c.add(at+".Function", nil, "is required", "set the function")
			continue
		}
		if s := i.Function.args.TimeoutSeconds; s*1000 > maxIntegrationMillis {
			c.add(at+".Function", s, "may run longer than the 29 seconds that API Gateway waits", "shorten the function's timeout")
		}
	}
}

// checkSecurity demands that each operation is either behind exactly one
// authorizer or public for a reason.
func (args *RestApiArgs) checkSecurity(c *checker, at string, o apiOperation) {
	reason, public := args.Public[o.id]
	requirements, _ := o.value["security"].([]any)
	if public {
		if strings.TrimSpace(reason) == "" {
			c.add(fmt.Sprintf("Public[%q]", o.id), reason, "needs a reason", "say why anyone may call it")
		}
		if len(requirements) > 0 {
			c.add(at+".security", requirements, "contradicts Public", "remove one of them")
		}
		return
	}
	if len(requirements) != 1 {
		c.add(at+".security", len(requirements), "must name exactly one authorizer", "name it, or list the operation in Public with a reason")
		return
	}
	scheme, _ := requirements[0].(map[string]any)
	if len(scheme) != 1 {
		c.add(at+".security", scheme, "must name exactly one authorizer", "split the operation")
	}
	for _, name := range sortedKeys(scheme) {
		if _, exists := args.Authorizers[name]; !exists {
			c.add(at+".security", name, "is no authorizer", "add it to Authorizers or correct the name")
		}
		if scopes, isList := scheme[name].([]any); !isList || len(scopes) > 0 {
			c.add(at+".security", name, "must have an empty list of scopes", "decide on scopes in the function")
		}
	}
}
