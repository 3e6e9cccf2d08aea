// Package gateway serves a REST API of Amazon API Gateway on this machine from what was deployed: the OpenAPI body of
// the aws:apigateway/restApi:RestApi resource decides routes, models, authorizer, CORS and gateway responses; stage,
// method settings and Lambda permissions come from their own resources.
//
// It imitates API Gateway with its gaps, so that what passes here passes there. What it cannot imitate is refused by New
// or listed by NotEmulated, never skipped in silence. The stage is served at the root path, as behind a custom domain
// with an empty base path mapping: GET http://127.0.0.1:8080/v1/x is resource /v1/x. Functions are told what AWS would
// tell them: https, port 443 and the client's TCP address.
//
// Rules come from the API Gateway Developer Guide; pages are named where a rule is used. Where the guide is silent the
// comment says what was assumed. Known differences: the case of request header names is lost (net/http canonicalizes
// them, API Gateway keeps it), and execution logs are summed up in one reason per failed request.
package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/expenzez/aws-backend/internal/deployment"
	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// Invoker runs functions; *lambda.Runtime is one.
type Invoker interface {
	Invoke(ctx context.Context, functionARN string, payload []byte) (lambda.Result, error)
}

var _ Invoker = (*lambda.Runtime)(nil)

// Config is what a Gateway needs.
type Config struct {
	// Deployment holds exactly one REST API with exactly one stage. Required.
	Deployment *deployment.Deployment
	// Invoker runs the integrated functions. Required.
	Invoker Invoker
	// Now drives throttles, caches and timestamps; nil means time.Now.
	Now func() time.Time
	// OnRequest is told of each request after its answer; nil drops it. It may be called concurrently.
	OnRequest func(RequestLog)
	// AccessLog receives each line in the stage's format, with the log group's ARN; nil drops it. Concurrent calls.
	AccessLog func(logGroupARN, line string)
	// Log receives why the gateway itself failed a request, as execution logs would; nil drops it.
	Log *slog.Logger
}

// RequestLog is one answered request.
type RequestLog struct {
	Time                              time.Time
	RequestID, Method, Path, SourceIP string
	// Resource is the matched resource path, "" when none matched.
	Resource string
	Status   int
	Duration time.Duration
	// Function is the qualified ARN of the integrated function, when it was invoked.
	Function string
	Cold     bool
	// Response is the type of the gateway response (THROTTLED, BAD_REQUEST_BODY …) when the gateway answered, else "".
	Response string
}

// Route is one method of the API, for display.
type Route struct {
	Method, Path, OperationID string
	// Function is the integrated function's ARN, "" for a mock.
	Function string
	// Authorized says that the authorizer decides on it.
	Authorized bool
}

// Gateway is one stage of a REST API. It is an http.Handler, safe for concurrent use.
type Gateway struct {
	cfg   Config
	api   *api
	cache authorizerCache
}

// New reads the deployment. The error lists everything that is wrong with the API or that is not emulated, by where it
// is in the OpenAPI body.
func New(cfg Config) (*Gateway, error) {
	if cfg.Deployment == nil || cfg.Invoker == nil {
		return nil, errors.New("gateway: Config.Deployment and Config.Invoker are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnRequest == nil {
		cfg.OnRequest = func(RequestLog) {}
	}
	if cfg.AccessLog == nil {
		cfg.AccessLog = func(string, string) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	api, err := readAPI(cfg.Deployment)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return &Gateway{cfg: cfg, api: api, cache: authorizerCache{entries: map[cacheKey]cacheEntry{}}}, nil
}

// Routes lists the API's methods, sorted by path and method.
func (g *Gateway) Routes() []Route {
	routes := make([]Route, len(g.api.routes))
	for i, r := range g.api.routes {
		routes[i] = Route{
			Method: r.method, Path: r.resource, OperationID: r.operationID,
			Function: r.integration.functionARN, Authorized: r.authorizer != nil,
		}
	}
	return routes
}

// NotEmulated lists what is deployed around this API and makes no difference here, such as a resource policy.
func (g *Gateway) NotEmulated() []string { return g.api.notEmulated }

// response is an answer before it is written.
type response struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := g.newCall(r)
	answer, failed := g.handle(c)
	if failed != nil {
		answer = g.gatewayResponse(c, failed)
	}
	answer.header.Set("x-amzn-RequestId", c.id)
	answer.header.Set("x-amz-apigw-id", c.extendedID)
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body) // a client that left is no fault of ours
	g.log(c, answer)
}

// handle carries the request through what API Gateway does in this order. That throttling comes before the authorizer
// is assumed: the guide only orders the throttles among themselves ("Throttle requests to your REST APIs").
func (g *Gateway) handle(c *call) (*response, *fault) {
	if f := g.receive(c); f != nil {
		return nil, f
	}
	if f := g.route(c); f != nil {
		return nil, f
	}
	if !c.route.throttle.take(c.started) {
		return nil, &fault{kind: throttled, reason: "the method's throttle"}
	}
	if f := g.authorize(c); f != nil {
		return nil, f
	}
	if f := c.validate(); f != nil {
		return nil, f
	}
	if c.route.integration.mock {
		return g.answerMock(c)
	}
	return g.answerProxy(c)
}

func (g *Gateway) log(c *call, answer *response) {
	c.status, c.responseLength, c.latency = answer.status, len(answer.body), g.cfg.Now().Sub(c.started)
	if f := c.failure; f != nil && f.reason != "" {
		g.cfg.Log.Info("gateway answered by itself", "requestId", c.id, "response", string(f.kind), "status", answer.status, "reason", f.reason)
	}
	if g.api.accessLog != nil {
		g.cfg.AccessLog(g.api.accessLogGroup, g.api.accessLog.fill(c, "-"))
	}
	entry := RequestLog{
		Time: c.started, RequestID: c.id, Method: c.method, Path: c.path, SourceIP: c.sourceIP,
		Status: answer.status, Duration: c.latency, Function: c.invoked, Cold: c.cold,
	}
	if c.route != nil {
		entry.Resource = c.route.resource
	}
	if c.failure != nil {
		entry.Response = string(c.failure.kind)
	}
	g.cfg.OnRequest(entry)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand.Read never fails since Go 1.24
	return b
}

// newRequestID is a random UUID (RFC 9562 version 4).
func newRequestID() string {
	b := randomBytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func newExtendedID() string { return base64.URLEncoding.EncodeToString(randomBytes(11)) }

func newTrace(now time.Time) string {
	return fmt.Sprintf("Root=1-%08x-%x", now.Unix(), randomBytes(12))
}
