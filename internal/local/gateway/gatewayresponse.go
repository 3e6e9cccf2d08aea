package gateway

import (
	"net/http"
	"strconv"
	"strings"
)

// responseType names an answer that the gateway gives by itself (page "Gateway response types for API Gateway").
type responseType string

const (
	accessDenied       responseType = "ACCESS_DENIED"
	apiConfiguration   responseType = "API_CONFIGURATION_ERROR"
	authorizerConfig   responseType = "AUTHORIZER_CONFIGURATION_ERROR"
	authorizerFailure  responseType = "AUTHORIZER_FAILURE"
	badParameters      responseType = "BAD_REQUEST_PARAMETERS"
	badBody            responseType = "BAD_REQUEST_BODY"
	default4XX         responseType = "DEFAULT_4XX"
	default5XX         responseType = "DEFAULT_5XX"
	integrationFailure responseType = "INTEGRATION_FAILURE"
	integrationTimeout responseType = "INTEGRATION_TIMEOUT"
	missingToken       responseType = "MISSING_AUTHENTICATION_TOKEN"
	tooLarge           responseType = "REQUEST_TOO_LARGE"
	throttled          responseType = "THROTTLED"
	unauthorized       responseType = "UNAUTHORIZED"
	unsupportedMedia   responseType = "UNSUPPORTED_MEDIA_TYPE"
)

// kindFacts are what AWS answers when nothing is customized: the status of the page above, message and the
// x-amzn-ErrorType header as the service sends them. A message of "" is null, as of a failed authorizer.
// INTEGRATION_FAILURE is documented as 504 and sent as 500.
type kindFacts struct {
	status             int
	message, errorType string
}

func facts(kind responseType) kindFacts {
	switch kind {
	case accessDenied:
		return kindFacts{http.StatusForbidden, "User is not authorized to access this resource", "AccessDeniedException"}
	case authorizerConfig:
		return kindFacts{http.StatusInternalServerError, "", "AuthorizerConfigurationException"}
	case authorizerFailure:
		return kindFacts{http.StatusInternalServerError, "", "AuthorizerFailureException"}
	case badParameters, badBody, default4XX:
		return kindFacts{http.StatusBadRequest, "Bad Request", "BadRequestException"}
	case integrationTimeout:
		return kindFacts{http.StatusGatewayTimeout, "Endpoint request timed out", "InternalServerErrorException"}
	case missingToken:
		return kindFacts{http.StatusForbidden, "Missing Authentication Token", "MissingAuthenticationTokenException"}
	case tooLarge:
		return kindFacts{http.StatusRequestEntityTooLarge, "Request Too Long", "RequestTooLargeException"}
	case throttled:
		return kindFacts{http.StatusTooManyRequests, "Too Many Requests", "TooManyRequestsException"}
	case unauthorized:
		return kindFacts{http.StatusUnauthorized, "Unauthorized", "UnauthorizedException"}
	case unsupportedMedia:
		return kindFacts{http.StatusUnsupportedMediaType, "Unsupported Media Type", "BadRequestException"}
	default: // API_CONFIGURATION_ERROR, INTEGRATION_FAILURE, DEFAULT_5XX
		return kindFacts{http.StatusInternalServerError, "Internal server error", "InternalServerErrorException"}
	}
}

// fault is why the gateway answers by itself.
type fault struct {
	kind responseType
	// status and message replace the type's own where they are set.
	status  int
	message string
	// validation is $context.error.validationErrorString.
	validation string
	// reason is for the log only.
	reason string
}

func (f *fault) defaultStatus() int {
	if f.status != 0 {
		return f.status
	}
	return facts(f.kind).status
}

func (f *fault) text() string {
	if f.message != "" {
		return f.message
	}
	return facts(f.kind).message
}

// customResponse is one entry of x-amazon-apigateway-gateway-responses.
type customResponse struct {
	status    int // 0 keeps the type's own
	headers   map[string]*substitution
	templates map[string]*substitution // by media type
}

var customizable = map[responseType]bool{
	accessDenied: true, apiConfiguration: true, authorizerConfig: true, authorizerFailure: true, badParameters: true,
	badBody: true, default4XX: true, default5XX: true, integrationFailure: true, integrationTimeout: true,
	missingToken: true, tooLarge: true, throttled: true, unauthorized: true, unsupportedMedia: true,
	"EXPIRED_TOKEN": true, "INVALID_API_KEY": true, "INVALID_SIGNATURE": true, "QUOTA_EXCEEDED": true,
	"RESOURCE_NOT_FOUND": true, "WAF_FILTERED": true,
}

func (a *api) readGatewayResponses(all object) {
	all.each(func(name string, o object) {
		if !customizable[responseType(name)] {
			o.p.add(o.at, "there is no such gateway response type")
		}
		o.only("statusCode", "responseParameters", "responseTemplates")
		custom := &customResponse{headers: map[string]*substitution{}, templates: map[string]*substitution{}}
		if code := o.text("statusCode"); code != "" {
			status, err := strconv.Atoi(code)
			if err != nil || status < 200 || status > 599 {
				o.p.add(o.at+".statusCode", "%q is not a status", code)
			}
			custom.status = status
		}
		for target, expression := range o.texts("responseParameters") {
			at := o.at + ".responseParameters." + target
			header, ok := strings.CutPrefix(target, "gatewayresponse.header.")
			if !ok {
				o.p.add(at, "only gatewayresponse.header.<name> is emulated")
			}
			custom.headers[header] = parseMapping(at, expression, true, o.p)
		}
		for media, source := range o.texts("responseTemplates") {
			custom.templates[media] = parseSubstitution(o.at+".responseTemplates."+media, source, responseContext, o.p)
		}
		a.responses[responseType(name)] = custom
	})
}

// customFor finds the customization: of the type, else of its class. REQUEST_TOO_LARGE cannot be customized (page
// "Amazon API Gateway important notes").
func (a *api) customFor(f *fault) *customResponse {
	if f.kind == tooLarge {
		return nil
	}
	if custom := a.responses[f.kind]; custom != nil {
		return custom
	}
	if f.defaultStatus() >= http.StatusInternalServerError {
		return a.responses[default5XX]
	}
	return a.responses[default4XX]
}

const plainJSON = "application/json"

// gatewayResponse renders a fault.
func (g *Gateway) gatewayResponse(c *call, f *fault) *response {
	c.failure = f
	answer := &response{status: f.defaultStatus(), header: http.Header{}}
	answer.header.Set("x-amzn-ErrorType", facts(f.kind).errorType)
	custom := g.api.customFor(f)
	if custom == nil {
		answer.header.Set("Content-Type", plainJSON)
		answer.body = []byte(`{"message":` + quoted(f.text()) + `}`)
		return answer
	}
	if custom.status != 0 {
		answer.status = custom.status
	}
	c.status = answer.status
	media, template := choose(custom.templates, c.header("Accept"))
	if template == nil {
		media = plainJSON
		answer.body = []byte(`{"message":` + quoted(f.text()) + `}`)
	} else {
		answer.body = []byte(template.fill(c, ""))
	}
	answer.header.Set("Content-Type", media)
	for name, value := range custom.headers {
		if text := value.fill(c, ""); text != "" {
			answer.header.Set(name, text)
		}
	}
	return answer
}

// choose takes the template of the first media type in accept, else of application/json, else the first in order.
func choose[T any](templates map[string]*T, accept string) (media string, template *T) {
	first, _, _ := strings.Cut(accept, ",")
	for _, media := range []string{mediaType(first), plainJSON} {
		if template := templates[media]; template != nil {
			return media, template
		}
	}
	for _, media := range sortedKeys(templates) {
		return media, templates[media]
	}
	return "", nil
}

// mediaType is a Content-Type or Accept value without its parameters, in lower case.
func mediaType(value string) string {
	media, _, _ := strings.Cut(value, ";")
	return strings.ToLower(strings.TrimSpace(media))
}
