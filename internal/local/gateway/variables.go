package gateway

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// contextValue is $context.<path> as text, or "". Names: page "Variables for data transformations for API Gateway".
func (c *call) contextValue(path string) string {
	if value, known := c.requestValue(path); known {
		return value
	}
	if value, known := c.resultValue(path); known {
		return value
	}
	if name, ok := strings.CutPrefix(path, "authorizer."); ok {
		return c.authorizerContext[name]
	}
	return ""
}

// knownContext says whether $context.<path> has a meaning in templates and mappings.
func knownContext(path string) bool {
	var empty call
	empty.api = &api{}
	_, known := empty.requestValue(path)
	name, ok := strings.CutPrefix(path, "authorizer.")
	return known || ok && name != "" && !strings.HasPrefix(name, "claims")
}

// knownInAccessLog says whether $context.<path> has a meaning in the access log only.
func knownInAccessLog(path string) bool {
	var empty call
	_, known := empty.resultValue(path)
	return known
}

// requestValue knows what a request is from the start. Names that are valid and never set here are "".
func (c *call) requestValue(path string) (value string, known bool) {
	switch path {
	case "accountId":
		return c.api.account, true
	case "apiId":
		return c.api.id, true
	case "stage":
		return c.api.stage, true
	case "domainName":
		return c.domain, true
	case "domainPrefix":
		prefix, _, _ := strings.Cut(c.domain, ".")
		return prefix, true
	case "requestId":
		return c.id, true
	case "extendedRequestId":
		return c.extendedID, true
	case "httpMethod":
		return c.method, true
	case "path":
		return c.path, true
	case "protocol":
		return c.protocol, true
	case "requestTime":
		return c.started.UTC().Format(clf), true
	case "requestTimeEpoch":
		return strconv.FormatInt(c.started.UnixMilli(), 10), true
	case "resourcePath":
		return c.resource(), true
	case "resourceId":
		return resourceID(c.resource()), true
	case "identity.sourceIp":
		return c.sourceIP, true
	case "identity.userAgent":
		return c.header("User-Agent"), true
	case "xrayTraceId":
		return c.trace, true
	case "error.message", "error.messageString", "error.responseType", "error.validationErrorString":
		return c.failureValue(path), true
	}
	return "", neverSet(path)
}

// neverSet are names of features that this API does not use.
func neverSet(path string) bool {
	switch path {
	case "awsEndpointRequestId", "deploymentId", "identity.accountId", "identity.apiKey", "identity.apiKeyId", "identity.caller",
		"identity.cognitoAuthenticationProvider", "identity.cognitoAuthenticationType", "identity.cognitoIdentityId",
		"identity.cognitoIdentityPoolId", "identity.principalOrgId", "identity.user", "identity.userArn",
		"isCanaryRequest", "wafResponseCode", "webaclArn":
		return true
	}
	return false
}

// clf is the Common Log Format's time.
const clf = "02/Jan/2006:15:04:05 -0700"

func (c *call) failureValue(path string) string {
	f := c.failure
	if f == nil {
		return ""
	}
	switch path {
	case "error.message":
		return f.text()
	case "error.messageString":
		return quoted(f.text())
	case "error.responseType":
		return string(f.kind)
	default:
		return f.validation
	}
}

// resultValue knows what is known when a request is answered (same page, variables for access logging).
func (c *call) resultValue(path string) (value string, known bool) {
	switch path {
	case "status":
		return strconv.Itoa(c.status), true
	case "responseLength":
		return strconv.Itoa(c.responseLength), true
	case "responseLatency":
		return milliseconds(c.latency), true
	case "integrationLatency", "integration.latency":
		return c.ifInvoked(milliseconds(c.integrationLatency)), true
	case "integrationStatus", "integration.integrationStatus":
		return c.ifInvoked("200"), true // of Lambda, not of the function
	case "integration.status":
		return c.ifInvoked(strconv.Itoa(c.functionStatus)), true
	case "integrationErrorMessage", "integration.error":
		return c.integrationError, true
	case "authorizer.latency", "authorizer.integrationLatency":
		if c.authorizerContext == nil {
			return "", true
		}
		return milliseconds(c.authorizerLatency), true
	case "authorizer.error", "authorizer.status", "authorizer.integrationStatus", "authorizer.requestId", "integration.requestId",
		"authenticate.error", "authenticate.latency", "authenticate.status", "authorize.error", "authorize.latency", "authorize.status",
		"waf.error", "waf.latency", "waf.status", "customDomain.basePathMatched", "endpointType", "cipherSuite", "tlsVersion":
		return "", true
	}
	return "", false
}

func (c *call) ifInvoked(value string) string {
	if c.invoked == "" {
		return ""
	}
	return value
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// quoted is the text as JSON, or null when it is empty.
func quoted(text string) string {
	if text == "" {
		return "null"
	}
	encoded, _ := json.Marshal(text) // text always marshals
	return string(encoded)
}
