package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/expenzez/aws-backend/internal/deployment"
)

// api is one deployed stage.
type api struct {
	id, account, stage string
	execution          string // arn:aws:execute-api:region:account:id
	stageVariables     map[string]string
	routes             []*route
	responses          map[responseType]*customResponse
	binaryTypes        []string
	permissions        []permission
	accessLog          *substitution
	accessLogGroup     string
	notEmulated        []string
}

// permission is one statement of a function's resource policy that lets API Gateway invoke it.
type permission struct{ function, qualifier, sourceARN, sourceAccount string }

// arn is an execute-api ARN of this API.
func (a *api) arn(rest string) string {
	return a.execution + "/" + rest
}

// problems collects everything wrong, so that one run shows all of it.
type problems struct{ list []error }

func (p *problems) add(at, format string, args ...any) {
	p.list = append(p.list, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

func readAPI(d *deployment.Deployment) (*api, error) {
	restAPI, err := only(d, "aws:apigateway/restApi:RestApi")
	if err != nil {
		return nil, err
	}
	stage, err := only(d, "aws:apigateway/stage:Stage")
	if err != nil {
		return nil, err
	}
	p := &problems{}
	a := &api{id: restAPI.ID, stage: stage.Text("stageName"), responses: map[responseType]*customResponse{}}
	a.readIdentity(restAPI, p)
	a.readStage(stage, d, p)
	a.permissions = readPermissions(d)
	if body := readBody(restAPI, p); body != nil {
		a.readBody(body, p)
	}
	a.readMethodSettings(d, p)
	a.noteDifferences(restAPI, stage)
	return a, errors.Join(p.list...)
}

// only is the one resource of that type.
func only(d *deployment.Deployment, resourceType string) (*deployment.Resource, error) {
	found := d.ByType(resourceType)
	if len(found) != 1 {
		return nil, fmt.Errorf("the deployment has %d resources of type %s; exactly one is served", len(found), resourceType)
	}
	return found[0], nil
}

func (a *api) readIdentity(restAPI *deployment.Resource, p *problems) {
	a.execution = restAPI.Text("executionArn")
	parts := strings.Split(a.execution, ":")
	if len(parts) != 6 || parts[2] != "execute-api" || parts[5] != a.id {
		p.add("RestApi", "its executionArn %q is not arn:aws:execute-api:region:account:%s", a.execution, a.id)
		return
	}
	a.account = parts[4]
	a.binaryTypes = texts(restAPI, "binaryMediaTypes")
}

func (a *api) readStage(stage *deployment.Resource, d *deployment.Deployment, p *problems) {
	if stage.Text("restApi") != a.id {
		p.add("Stage", "it belongs to REST API %q, not to %q", stage.Text("restApi"), a.id)
	}
	if !deployedBy(d, stage.Text("deployment"), a.id) {
		p.add("Stage", "its deployment %q is no Deployment of REST API %q", stage.Text("deployment"), a.id)
	}
	if stage.Flag("cacheClusterEnabled") {
		p.add("Stage", "a cache cluster is not emulated")
	}
	if _, ok := stage.Value("canarySettings"); ok {
		p.add("Stage", "canary settings are not emulated")
	}
	a.stageVariables = map[string]string{}
	variables, _ := stage.Value("variables")
	for name := range asObject(variables) {
		a.stageVariables[name] = stage.Text("variables", name)
	}
	a.accessLogGroup = stage.Text("accessLogSettings", "destinationArn")
	if format := stage.Text("accessLogSettings", "format"); format != "" {
		a.accessLog = parseSubstitution("Stage.accessLogSettings.format", format, accessLogContext, p)
		if !strings.Contains(format, "$context.requestId") && !strings.Contains(format, "$context.extendedRequestId") {
			p.add("Stage.accessLogSettings.format", "it needs $context.requestId or $context.extendedRequestId (page \"Set up CloudWatch logging\")")
		}
	}
}

func deployedBy(d *deployment.Deployment, id, apiID string) bool {
	for _, deployed := range d.ByType("aws:apigateway/deployment:Deployment") {
		if deployed.ID == id && deployed.Text("restApi") == apiID {
			return true
		}
	}
	return false
}

func readPermissions(d *deployment.Deployment) []permission {
	var permissions []permission
	for _, r := range d.ByType("aws:lambda/permission:Permission") {
		if r.Text("principal") != "apigateway.amazonaws.com" || r.Text("action") != "lambda:InvokeFunction" {
			continue
		}
		function, qualifier := functionName(r.Text("function"))
		if q := r.Text("qualifier"); q != "" {
			qualifier = q
		}
		permissions = append(permissions, permission{function, qualifier, r.Text("sourceArn"), r.Text("sourceAccount")})
	}
	return permissions
}

// functionName takes name and qualifier out of a function's name or ARN.
func functionName(nameOrARN string) (name, qualifier string) {
	if _, rest, ok := strings.Cut(nameOrARN, ":function:"); ok {
		nameOrARN = rest
	}
	name, qualifier, _ = strings.Cut(nameOrARN, ":")
	return name, qualifier
}

// mayInvoke applies the function's resource policy to a call of API Gateway for sourceARN. A permission is of the exact
// alias that is invoked (Lambda Developer Guide, "Viewing resource-based IAM policies in Lambda").
func (a *api) mayInvoke(functionARN, sourceARN string) bool {
	name, qualifier := functionName(functionARN)
	for _, p := range a.permissions {
		if p.function == name && p.qualifier == qualifier &&
			(p.sourceAccount == "" || p.sourceAccount == a.account) &&
			(p.sourceARN == "" || glob(p.sourceARN, sourceARN)) {
			return true
		}
	}
	return false
}

func readBody(restAPI *deployment.Resource, p *problems) map[string]any {
	text := restAPI.Text("body")
	if text == "" {
		p.add("RestApi.body", "it is empty or secret; only APIs made from an OpenAPI body are served")
		return nil
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		p.add("RestApi.body", "it is not a JSON object: %v", err)
		return nil
	}
	return body
}

// readMethodSettings gives each route its throttle; "*/*" is for all methods that have none of their own. Each method
// has a bucket of its own (page "Throttle requests to your REST APIs", per-API, per-stage throttling).
func (a *api) readMethodSettings(d *deployment.Deployment, p *problems) {
	byPath := map[string]*deployment.Resource{}
	for _, r := range d.ByType("aws:apigateway/methodSettings:MethodSettings") {
		at := "MethodSettings " + r.Text("methodPath")
		if r.Text("restApi") != a.id || r.Text("stageName") != a.stage {
			p.add(at, "it is of another API or stage")
			continue
		}
		if r.Flag("settings", "cachingEnabled") {
			p.add(at, "caching is not emulated")
		}
		byPath[r.Text("methodPath")] = r
	}
	used := map[string]bool{"*/*": true}
	for _, route := range a.routes {
		path := strings.TrimPrefix(route.resource, "/") + "/" + route.method
		used[path] = true
		settings := byPath[path]
		if settings == nil {
			settings = byPath["*/*"]
		}
		route.throttle = newBucket(settings)
	}
	for path := range byPath {
		if !used[path] {
			p.add("MethodSettings "+path, "no method of the API has that path (resource/METHOD, without leading slash)")
		}
	}
}

func (a *api) noteDifferences(restAPI, stage *deployment.Resource) {
	note := func(ok bool, text string) {
		if ok {
			a.notEmulated = append(a.notEmulated, text)
		}
	}
	note(restAPI.Text("policy") != "", "the API's resource policy is not evaluated")
	note(restAPI.Text("minimumCompressionSize") != "" && restAPI.Text("minimumCompressionSize") != "-1", "payloads are not compressed")
	note(stage.Text("webAclArn") != "", "the web ACL is not evaluated")
	note(stage.Flag("xrayTracingEnabled"), "X-Ray segments are not sent")
	note(stage.Text("clientCertificateId") != "", "the client certificate is not used")
}

func texts(r *deployment.Resource, path ...string) []string {
	value, _ := r.Value(path...)
	list, _ := value.([]any)
	var all []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

func asObject(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// glob matches as IAM's ArnLike does across a whole ARN part: * is any text, ? one character.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
