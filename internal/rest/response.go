package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expenzez/aws-backend/internal/apperr"
)

// maxResponse is how large a body may be: Lambda's own limit is 6 MB for the whole event (AWS Lambda Developer Guide,
// "Lambda quotas"), in which the body is a JSON string and can double.
const maxResponse = 2 << 20

// exposed are the response headers that pages of allowed origins may read.
const exposed = "Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"

// proxyResponse is what API Gateway takes from a Lambda proxy integration.
type proxyResponse struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// encoded puts the response's body into Raw. Angle brackets stay as they are: nothing of ours is HTML.
func encoded(r Response) (Response, error) {
	if r.Raw == nil && r.Body != nil {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(r.Body); err != nil {
			return Response{}, fmt.Errorf("rest: encode the response: %w", err)
		}
		r.Raw = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	}
	if len(r.Raw) > maxResponse {
		return Response{}, fmt.Errorf("rest: a response of %d bytes", len(r.Raw))
	}
	return r, nil
}

// render writes the response, the only place that does.
func (a *API) render(ev event, o outcome) ([]byte, error) {
	body := o.response.Raw
	out := proxyResponse{Status: o.status(a.routes[ev.Method+" "+ev.Resource]), Headers: a.headers(ev)}
	maps.Copy(out.Headers, o.headers)
	if o.err != nil {
		body = o.err.Render(ev.Context.RequestID)
		errorHeaders(out.Headers, o.err)
	} else {
		if body != nil {
			out.Headers["Content-Type"] = "application/json"
		}
		maps.Copy(out.Headers, o.response.Headers)
	}
	out.Body = string(body)
	return json.Marshal(out)
}

func errorHeaders(h map[string]string, e *apperr.Error) {
	h["Content-Type"] = apperr.MediaType
	if e.RetryAfter > 0 {
		h["Retry-After"] = strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds())))
	}
	if e.Kind == apperr.Unauthenticated {
		h["WWW-Authenticate"] = "Bearer"
	}
}

// headers are those of every response. A page of an origin that is not allowed gets none that lets it read.
func (a *API) headers(ev event) map[string]string {
	h := map[string]string{
		"Cache-Control":             "no-store",
		"X-Content-Type-Options":    "nosniff",
		"Strict-Transport-Security": "max-age=63072000; includeSubDomains",
		"Vary":                      "Origin",
	}
	if ev.Context.RequestID != "" {
		h["X-Request-Id"] = ev.Context.RequestID
	}
	if origin := strings.Join(ev.Headers["origin"], ","); origin != "" && a.allowed(origin) {
		h["Access-Control-Allow-Origin"] = origin
		h["Access-Control-Allow-Credentials"] = "true"
		h["Access-Control-Expose-Headers"] = exposed
	}
	return h
}

func (a *API) allowed(origin string) bool { return slices.Contains(a.d.Origins, origin) }
