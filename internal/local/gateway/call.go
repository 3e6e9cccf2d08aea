package gateway

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of pages "Quotas for configuring and running a REST API in API Gateway" and "Amazon API Gateway quotas". Which
// status API Gateway answers to headers that are too large is not documented; 431 is assumed.
const (
	maxPayload   = 10 << 20
	maxURL       = 10240
	maxHeaders   = 10240
	maxMethodARN = 1600
)

var errTrailing = errors.New("more than one JSON value")

// call is one request and all that is learned about it.
type call struct {
	api                        *api
	request                    *http.Request
	started                    time.Time
	id, extendedID, trace      string
	method, path               string // path as it was sent, percent-encoded
	protocol, domain, sourceIP string
	query                      map[string][]string
	body                       []byte
	route                      *route
	pathParams                 map[string]string
	principal                  string
	authorizerContext          map[string]string
	authorizerLatency          time.Duration
	invoked                    string // the function's ARN
	cold                       bool
	functionStatus             int
	integrationError           string
	integrationLatency         time.Duration
	failure                    *fault
	status, responseLength     int
	latency                    time.Duration
}

func (g *Gateway) newCall(r *http.Request) *call {
	c := &call{
		api: g.api, request: r, started: g.cfg.Now(), id: newRequestID(), extendedID: newExtendedID(),
		method: r.Method, path: r.URL.EscapedPath(), protocol: r.Proto, domain: hostname(r.Host), sourceIP: hostname(r.RemoteAddr),
	}
	if override := r.Header.Get("X-HTTP-Method-Override"); override != "" {
		c.method = override // page "Amazon API Gateway important notes"
	}
	if c.path == "" {
		c.path = "/"
	}
	c.trace = traceRoot(r.Header.Get("X-Amzn-Trace-Id"))
	if c.trace == "" {
		c.trace = newTrace(c.started)
	}
	return c
}

// hostname is host:port without the port.
func hostname(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return hostPort
}

// traceRoot keeps a trace that the client began.
func traceRoot(header string) string {
	for field := range strings.SplitSeq(header, ";") {
		if field = strings.TrimSpace(field); strings.HasPrefix(field, "Root=1-") {
			return field
		}
	}
	return ""
}

func (c *call) header(name string) string {
	if c.request == nil {
		return ""
	}
	return c.request.Header.Get(name)
}

func (c *call) resource() string {
	if c.route == nil {
		return ""
	}
	return c.route.resource
}

// resourceID makes up a stable id: the body has none.
func resourceID(resource string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(resource)) // never fails
	return fmt.Sprintf("%06s", strconv.FormatUint(uint64(h.Sum32())%2176782336, 36))
}

// parameter is a request parameter's last value, or "".
func (c *call) parameter(p parameter) string {
	switch p.in {
	case "path":
		return c.pathParams[p.name]
	case "query":
		return last(c.query[p.name])
	default:
		return last(c.request.Header.Values(p.name))
	}
}

// param is $input.params('name').
func (c *call) param(name string) string {
	if value, ok := c.pathParams[name]; ok {
		return value
	}
	if values := c.query[name]; len(values) > 0 {
		return last(values)
	}
	return c.parameter(parameter{"header", name})
}

func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// receive applies the size limits and takes query and body in.
func (g *Gateway) receive(c *call) *fault {
	if len(c.request.URL.RequestURI()) > maxURL {
		return &fault{kind: default4XX, status: http.StatusRequestURITooLong, message: "Request URI too long"}
	}
	size := 0
	for name, values := range c.request.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxHeaders {
		return &fault{kind: default4XX, status: http.StatusRequestHeaderFieldsTooLarge, message: "Request Header Fields Too Large"}
	}
	query, err := parseQuery(c.request.URL.RawQuery)
	if err != nil {
		return &fault{kind: default4XX, reason: err.Error()}
	}
	c.query = query
	return c.readBody()
}

func (c *call) readBody() *fault {
	body, err := io.ReadAll(io.LimitReader(c.request.Body, maxPayload+1))
	switch {
	case err != nil:
		return &fault{kind: default4XX, reason: "the body could not be read: " + err.Error()}
	case len(body) > maxPayload:
		return &fault{kind: tooLarge}
	}
	c.body = body
	return nil
}

// parseQuery decodes the query. A plain | { or } is not supported and a semicolon splits (page "Amazon API Gateway
// important notes").
func parseQuery(raw string) (map[string][]string, error) {
	if strings.ContainsAny(raw, "|{}") {
		return nil, errors.New("a plain |, { or } in the query must be percent-encoded")
	}
	query := map[string][]string{}
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		if err := errors.Join(nameErr, valueErr); err != nil {
			return nil, err
		}
		query[name] = append(query[name], value)
	}
	return query, nil
}

// route finds the resource, then its method. An unknown path and a method that the resource lacks are answered alike.
func (g *Gateway) route(c *call) *fault {
	found, params := match(g.api.routes, c.method, segmentsOf(c.path))
	if found == nil {
		return &fault{kind: missingToken}
	}
	c.route, c.pathParams = found, map[string]string{}
	for name, raw := range params {
		value, err := url.PathUnescape(raw)
		if err != nil || !utf8.ValidString(value) {
			return &fault{kind: default4XX, reason: fmt.Sprintf("path parameter %s is not percent-encoded UTF-8", name)}
		}
		c.pathParams[name] = value
	}
	return nil
}

// segmentsOf splits a path; one trailing slash makes no difference.
func segmentsOf(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }
func isGreedy(segment string) bool    { return strings.HasSuffix(segment, "+}") }

// match finds the most specific resource, segment by segment: literal before {parameter} before {greedy+}; the method
// is looked up only in that resource, by name before ANY.
func match(routes []*route, method string, path []string) (*route, map[string]string) {
	var best *route
	for _, r := range routes {
		if fits(r.segments, path) && (best == nil || moreSpecific(r.segments, best.segments)) {
			best = r
		}
	}
	if best == nil {
		return nil, nil
	}
	var chosen *route
	for _, r := range routes {
		if r.resource == best.resource && (r.method == method || r.method == "ANY" && chosen == nil && anyCovers(method)) {
			chosen = r
			if r.method == method {
				break
			}
		}
	}
	if chosen == nil {
		return nil, nil
	}
	return chosen, parametersOf(chosen.segments, path)
}

// anyCovers are the methods that API Gateway accepts ("$context.httpMethod, valid values").
func anyCovers(method string) bool {
	for _, known := range httpMethods {
		if strings.EqualFold(known, method) {
			return true
		}
	}
	return false
}

func fits(segments, path []string) bool {
	for i, segment := range segments {
		switch {
		case i >= len(path) || path[i] == "":
			return false
		case isGreedy(segment):
			return true
		case !isParameter(segment) && segment != path[i]:
			return false
		}
	}
	return len(segments) == len(path)
}

func moreSpecific(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		if rankA, rankB := rank(a[i]), rank(b[i]); rankA != rankB {
			return rankA < rankB
		}
	}
	return false
}

func rank(segment string) int {
	switch {
	case isGreedy(segment):
		return 2
	case isParameter(segment):
		return 1
	default:
		return 0
	}
}

func parametersOf(segments, path []string) map[string]string {
	params := map[string]string{}
	for i, segment := range segments {
		if isGreedy(segment) {
			params[strings.TrimSuffix(segment[1:], "+}")] = strings.Join(path[i:], "/")
		} else if isParameter(segment) {
			params[strings.Trim(segment, "{}")] = path[i]
		}
	}
	return params
}
