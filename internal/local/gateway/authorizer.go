package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// authorizer is a Lambda authorizer of type TOKEN (page "Use API Gateway Lambda authorizers").
type authorizer struct {
	name, header, functionARN string
	pattern                   *regexp.Regexp // nil accepts any token
	ttl                       time.Duration
}

const (
	defaultTTL = 300 // seconds; page "x-amazon-apigateway-authorizer object"
	maxTTL     = 3600
)

func readAuthorizer(name string, o object) *authorizer {
	o.only("type", "name", "in", "description", "x-amazon-apigateway-authtype", "x-amazon-apigateway-authorizer")
	if o.text("type") != "apiKey" || o.text("in") != "header" || o.text("name") == "" {
		o.p.add(o.at, `it must be of type apiKey, in header, with the header's name: API Gateway knows no other`)
	}
	inner := o.object("x-amazon-apigateway-authorizer")
	inner.only("type", "authorizerUri", "authorizerResultTtlInSeconds", "identityValidationExpression", "identitySource")
	if kind := strings.ToLower(inner.text("type")); kind != "token" {
		o.p.add(inner.at+".type", "%q is not emulated (token is; a scheme without authorizer would ask for an API key)", kind)
		return nil
	}
	a := &authorizer{name: name, header: o.text("name")}
	if source := inner.text("identitySource"); source != "" {
		header, ok := strings.CutPrefix(source, "method.request.header.")
		if !ok {
			o.p.add(inner.at+".identitySource", "%q is not method.request.header.<name>", source)
		}
		a.header = header
	}
	uri := lambdaURI.FindStringSubmatch(inner.text("authorizerUri"))
	if uri == nil {
		o.p.add(inner.at+".authorizerUri", "%q is not the invoke URI of a Lambda function", inner.text("authorizerUri"))
	} else {
		a.functionARN = uri[1]
	}
	a.pattern = readPattern(inner)
	ttl := inner.number("authorizerResultTtlInSeconds", defaultTTL)
	if ttl < 0 || ttl > maxTTL {
		o.p.add(inner.at+".authorizerResultTtlInSeconds", "%v is not from 0 to %d", ttl, maxTTL)
	}
	a.ttl = time.Duration(ttl) * time.Second
	return a
}

func readPattern(o object) *regexp.Regexp {
	source := o.text("identityValidationExpression")
	if source == "" {
		return nil
	}
	at := o.at + ".identityValidationExpression"
	if !strings.HasPrefix(source, "^") || !strings.HasSuffix(source, "$") {
		o.p.add(at, "begin it with ^ and end it with $: whether API Gateway matches the whole token is not documented")
	}
	pattern, err := regexp.Compile(source)
	if err != nil {
		o.p.add(at, "it is not emulated: %v", err)
	}
	return pattern
}

// decision is what the authorizer said of a token, to be judged anew for each method.
type decision struct {
	principal  string
	context    map[string]string
	statements []statement
}

type (
	cacheKey struct {
		authorizer *authorizer
		token      string
	}
	cacheEntry struct {
		decision *decision
		expires  time.Time
	}
	// authorizerCache keeps decisions by token, across methods, allowing and denying alike.
	authorizerCache struct {
		mu      sync.Mutex
		entries map[cacheKey]cacheEntry
	}
)

func (a *authorizerCache) get(key cacheKey, now time.Time) *decision {
	a.mu.Lock()
	defer a.mu.Unlock()
	entry, ok := a.entries[key]
	if !ok || !now.Before(entry.expires) {
		return nil
	}
	return entry.decision
}

func (a *authorizerCache) put(key cacheKey, d *decision, now time.Time) {
	if key.authorizer.ttl == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for old, entry := range a.entries {
		if !now.Before(entry.expires) {
			delete(a.entries, old)
		}
	}
	a.entries[key] = cacheEntry{d, now.Add(key.authorizer.ttl)}
}

// authorize asks the method's authorizer, or its cache, and judges the answer for this method.
func (g *Gateway) authorize(c *call) *fault {
	a := c.route.authorizer
	if a == nil {
		return nil
	}
	methodARN := g.api.arn(g.api.stage + "/" + c.method + c.path)
	if len(methodARN) > maxMethodARN {
		return &fault{kind: default4XX, status: 414, message: "Request URI too long"}
	}
	token := c.header(a.header)
	if token == "" || a.pattern != nil && !a.pattern.MatchString(token) {
		return &fault{kind: unauthorized}
	}
	key := cacheKey{a, token}
	d := g.cache.get(key, c.started)
	if d == nil {
		var f *fault
		if d, f = g.askAuthorizer(c, a, token, methodARN); f != nil {
			return f
		}
		g.cache.put(key, d, c.started)
	}
	c.principal, c.authorizerContext = d.principal, d.context
	return judge(d.statements, methodARN)
}

// askAuthorizer invokes the function. What it throws is 401 when it is exactly "Unauthorized", else 500.
func (g *Gateway) askAuthorizer(c *call, a *authorizer, token, methodARN string) (*decision, *fault) {
	if !g.api.mayInvoke(a.functionARN, g.api.arn("authorizers/"+resourceID(a.name))) {
		return nil, &fault{kind: authorizerConfig, reason: "no Lambda permission lets the API invoke its authorizer " + a.functionARN}
	}
	event, err := json.Marshal(map[string]string{"type": "TOKEN", "authorizationToken": token, "methodArn": methodARN})
	if err != nil {
		return nil, &fault{kind: authorizerConfig, reason: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.request.Context()), maxTimeout*time.Millisecond)
	defer cancel()
	began := g.cfg.Now()
	result, err := g.cfg.Invoker.Invoke(lambda.WithTrace(ctx, c.trace+";Sampled=0"), a.functionARN, event)
	c.authorizerLatency = g.cfg.Now().Sub(began)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &fault{kind: authorizerFailure, reason: "the authorizer timed out"}
	case err != nil:
		return nil, &fault{kind: authorizerConfig, reason: err.Error()}
	case result.FunctionError != "":
		return nil, thrown(result.Payload)
	}
	d, err := readDecision(result.Payload)
	if err != nil {
		return nil, &fault{kind: authorizerConfig, reason: "the authorizer's answer: " + err.Error()}
	}
	return d, nil
}

func thrown(payload []byte) *fault {
	var e struct{ ErrorMessage string }
	if json.Unmarshal(payload, &e) == nil && e.ErrorMessage == "Unauthorized" {
		return &fault{kind: unauthorized}
	}
	return &fault{kind: authorizerConfig, reason: "the authorizer failed with something else than Unauthorized"}
}

// readDecision checks the answer (page "Output from an API Gateway Lambda authorizer"). No value of it is in an error.
func readDecision(payload []byte) (*decision, error) {
	var answer struct {
		PrincipalID    *string `json:"principalId"`
		PolicyDocument *struct {
			Statement statements
		} `json:"policyDocument"`
		Context map[string]any `json:"context"`
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		return nil, errors.New("it is not an object with principalId (text), policyDocument and context (object)")
	}
	if answer.PrincipalID == nil || *answer.PrincipalID == "" {
		return nil, errors.New("it has no principalId")
	}
	if answer.PolicyDocument == nil || len(answer.PolicyDocument.Statement) == 0 {
		return nil, errors.New("it has no policyDocument with a Statement")
	}
	d := &decision{principal: *answer.PrincipalID, context: map[string]string{}, statements: answer.PolicyDocument.Statement}
	for name, value := range answer.Context {
		switch v := value.(type) {
		case string, json.Number, bool:
			d.context[name] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("context.%s is neither text, number nor boolean", name)
		}
	}
	d.context["principalId"] = d.principal
	return d, checkStatements(d.statements)
}
