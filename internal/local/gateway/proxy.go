package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/expenzez/aws-backend/internal/local/lambda"
)

// proxyEvent is what a function is given (page "Lambda proxy integrations in API Gateway", input format).
type proxyEvent struct {
	Resource          string              `json:"resource"`
	Path              string              `json:"path"`
	HTTPMethod        string              `json:"httpMethod"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters    map[string]string   `json:"pathParameters"`
	StageVariables    map[string]string   `json:"stageVariables"`
	RequestContext    map[string]any      `json:"requestContext"`
	Body              *string             `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// Headers that API Gateway drops from a request to Lambda (page "Amazon API Gateway important notes", table, third
// value).
var droppedFromRequest = []string{"Connection", "Content-Length", "Content-Md5", "Expect", "Max-Forwards", "Proxy-Authenticate",
	"Server", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Www-Authenticate"}

func (c *call) event() proxyEvent {
	headers := c.forwardedHeaders()
	e := proxyEvent{
		Resource: c.route.resource, Path: c.path, HTTPMethod: c.method,
		Headers: lastOfEach(headers), MultiValueHeaders: headers,
		Query: lastOfEach(c.query), MultiValueQuery: orNull(c.query),
		PathParameters: orNull(c.pathParams), StageVariables: orNull(c.api.stageVariables),
		RequestContext: c.requestContext(),
	}
	if len(c.body) == 0 {
		return e
	}
	text := strings.ToValidUTF8(string(c.body), "\uFFFD") // a body that is not of a binary type is text
	if isBinary(c.api.binaryTypes, mediaType(c.header("Content-Type"))) {
		text, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(c.body), true
	}
	e.Body = &text
	return e
}

// orNull makes an empty map null, as API Gateway does.
func orNull[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	return m
}

func lastOfEach(m map[string][]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	single := make(map[string]string, len(m))
	for name, values := range m {
		single[name] = last(values)
	}
	return single
}

// forwardedHeaders are the client's headers less the dropped ones, and those that API Gateway adds.
func (c *call) forwardedHeaders() map[string][]string {
	headers := map[string][]string(c.request.Header.Clone())
	for _, name := range droppedFromRequest {
		delete(headers, name)
	}
	forwarded := c.sourceIP
	if before := strings.Join(headers["X-Forwarded-For"], ", "); before != "" {
		forwarded = before + ", " + forwarded
	}
	headers["Host"] = []string{c.request.Host}
	headers["X-Forwarded-For"] = []string{forwarded}
	headers["X-Forwarded-Port"] = []string{"443"}
	headers["X-Forwarded-Proto"] = []string{"https"}
	headers["X-Amzn-Trace-Id"] = []string{c.trace}
	return headers
}

func (c *call) requestContext() map[string]any {
	context := map[string]any{
		"accountId": c.api.account, "apiId": c.api.id, "stage": c.api.stage, "domainName": c.domain,
		"domainPrefix": c.contextValue("domainPrefix"), "requestId": c.id, "extendedRequestId": c.extendedID,
		"httpMethod": c.method, "path": c.path, "protocol": c.protocol, "resourcePath": c.route.resource,
		"resourceId": resourceID(c.route.resource), "requestTime": c.contextValue("requestTime"),
		"requestTimeEpoch": c.started.UnixMilli(),
		"identity": map[string]any{
			"sourceIp": c.sourceIP, "userAgent": c.header("User-Agent"), "accessKey": nil, "accountId": nil, "apiKey": nil,
			"apiKeyId": nil, "caller": nil, "cognitoAuthenticationProvider": nil, "cognitoAuthenticationType": nil,
			"cognitoIdentityId": nil, "cognitoIdentityPoolId": nil, "principalOrgId": nil, "user": nil, "userArn": nil,
		},
	}
	if c.route.authorizer != nil {
		authorizer := map[string]any{"integrationLatency": c.authorizerLatency.Milliseconds()}
		for name, value := range c.authorizerContext {
			authorizer[name] = value
		}
		context["authorizer"] = authorizer
	}
	return context
}

// isBinary tells whether a media type is among the API's binary ones (page "Content type conversions in API Gateway").
func isBinary(binaryTypes []string, media string) bool {
	return slices.ContainsFunc(binaryTypes, func(binary string) bool {
		prefix, ok := strings.CutSuffix(binary, "/*")
		return binary == media || binary == "*/*" || ok && strings.HasPrefix(media, prefix+"/")
	})
}

// sourceARN is what API Gateway presents to Lambda: the resource with * for its parameters.
func (c *call) sourceARN() string {
	segments := slices.Clone(c.route.segments)
	for i, segment := range segments {
		if isParameter(segment) {
			segments[i] = "*"
		}
	}
	return c.api.arn(c.api.stage + "/" + c.method + "/" + strings.Join(segments, "/"))
}

// answerProxy invokes the function and passes its answer on.
func (g *Gateway) answerProxy(c *call) (*response, *fault) {
	i := c.route.integration
	if !g.api.mayInvoke(i.functionARN, c.sourceARN()) {
		return nil, &fault{kind: apiConfiguration, reason: "Invalid permissions on Lambda function " + i.functionARN}
	}
	event, err := json.Marshal(c.event())
	if err != nil {
		return nil, &fault{kind: apiConfiguration, reason: err.Error()}
	}
	// The function runs on when the client leaves.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.request.Context()), i.timeout)
	defer cancel()
	began := g.cfg.Now()
	result, err := g.cfg.Invoker.Invoke(lambda.WithTrace(ctx, c.trace+";Sampled=0"), i.functionARN, event)
	c.invoked, c.cold, c.integrationLatency = i.functionARN, result.Cold, g.cfg.Now().Sub(began)
	if f := invocationFault(result, err); f != nil {
		c.integrationError = f.reason
		return nil, f
	}
	answer, f := g.readProxyAnswer(c, result.Payload)
	if f != nil {
		c.integrationError = f.reason
		return nil, f
	}
	c.functionStatus = answer.status
	return answer, nil
}

// invocationFault judges an invocation. A throttled function is INTEGRATION_FAILURE (AWS re:Post and forums); a failed
// one is a 502 of DEFAULT_5XX, as is a malformed answer.
func invocationFault(result lambda.Result, err error) *fault {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &fault{kind: integrationTimeout, reason: "the function took longer than the integration's timeout"}
	case errors.Is(err, lambda.ErrTooLarge):
		return &fault{kind: tooLarge, reason: err.Error()}
	case err != nil:
		return &fault{kind: integrationFailure, reason: err.Error()}
	case result.FunctionError != "":
		return &fault{kind: default5XX, status: http.StatusBadGateway, reason: "Lambda execution failed due to customer function error"}
	}
	return nil
}

// proxyAnswer is what a function returns (same page, output format): no other field may be there, and none must.
type proxyAnswer struct {
	IsBase64Encoded   *bool                        `json:"isBase64Encoded"`
	StatusCode        json.RawMessage              `json:"statusCode"`
	Headers           map[string]json.RawMessage   `json:"headers"`
	MultiValueHeaders map[string][]json.RawMessage `json:"multiValueHeaders"`
	Body              *string                      `json:"body"`
}

func (g *Gateway) readProxyAnswer(c *call, payload []byte) (*response, *fault) {
	answer, err := decodeProxyAnswer(payload)
	if err != nil {
		return nil, &fault{kind: default5XX, status: http.StatusBadGateway, reason: "Malformed Lambda proxy response: " + err.Error()}
	}
	if answer.encoded && isBinary(g.api.binaryTypes, firstAccepted(c.header("Accept"))) {
		decoded, err := base64.StdEncoding.DecodeString(string(answer.body))
		if err != nil {
			return nil, &fault{kind: apiConfiguration, reason: "the function's body is not base64"}
		}
		answer.body = decoded
	}
	answer.header = remap(answer.header)
	if answer.header.Get("Content-Type") == "" {
		answer.header.Set("Content-Type", plainJSON)
	}
	answer.header.Set("X-Amzn-Trace-Id", c.trace)
	return &answer.response, nil
}

// firstAccepted is the only media type of Accept that API Gateway honors (page "Amazon API Gateway important notes").
func firstAccepted(accept string) string {
	first, _, _ := strings.Cut(accept, ",")
	return mediaType(first)
}

type decodedAnswer struct {
	response
	encoded bool
}

func decodeProxyAnswer(payload []byte) (*decodedAnswer, error) {
	var raw proxyAnswer
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if trimmed := bytes.TrimSpace(payload); !bytes.HasPrefix(trimmed, []byte("{")) {
		return nil, errors.New("it is not an object")
	}
	if err := decoder.Decode(&raw); err != nil {
		return nil, err
	}
	status, err := readStatus(raw.StatusCode)
	if err != nil {
		return nil, err
	}
	header, err := raw.mergedHeaders()
	if err != nil {
		return nil, err
	}
	answer := &decodedAnswer{response: response{status: status, header: header}, encoded: raw.IsBase64Encoded != nil && *raw.IsBase64Encoded}
	if raw.Body != nil {
		answer.body = []byte(*raw.Body)
	}
	return answer, nil
}

// readStatus takes a number or a number as text; none is 200.
func readStatus(raw json.RawMessage) (int, error) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return http.StatusOK, nil
	}
	status, err := strconv.Atoi(text)
	if err != nil || status < 200 || status > 599 {
		return 0, fmt.Errorf("statusCode %s is no final HTTP status", raw)
	}
	return status, nil
}

// mergedHeaders merges both kinds; a pair that is in both counts once.
func (a proxyAnswer) mergedHeaders() (http.Header, error) {
	header := http.Header{}
	add := func(name string, raw json.RawMessage) error {
		value, err := headerValue(raw)
		if err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
		if !slices.Contains(header.Values(name), value) {
			header.Add(name, value)
		}
		return nil
	}
	var problems []error
	for name, values := range a.MultiValueHeaders {
		for _, value := range values {
			problems = append(problems, add(name, value))
		}
	}
	for name, value := range a.Headers {
		problems = append(problems, add(name, value))
	}
	return header, errors.Join(problems...)
}

func headerValue(raw json.RawMessage) (string, error) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", err
	}
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	default:
		return "", errors.New("it is neither text nor boolean")
	}
}

// Response headers of a Lambda function that are renamed x-amzn-Remapped-<name> or dropped (page "Amazon API Gateway
// important notes", table). Content-Length, there "passthrough", is in fact renamed and computed anew.
var (
	remappedFromResponse = []string{"Authorization", "Connection", "Content-Length", "Content-Md5", "Date", "Max-Forwards", "Server",
		"User-Agent", "Www-Authenticate"}
	droppedFromResponse = []string{"Expect", "Host", "Proxy-Authenticate", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via"}
)

func remap(header http.Header) http.Header {
	for _, name := range droppedFromResponse {
		header.Del(name)
	}
	for _, name := range remappedFromResponse {
		if values := header.Values(name); len(values) > 0 {
			header.Del(name)
			header["X-Amzn-Remapped-"+name] = values
		}
	}
	return header
}
