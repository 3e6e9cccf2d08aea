package apperr

import "encoding/json"

// MediaType is the media type of a rendered problem (RFC 9457 §3).
const MediaType = "application/problem+json"

// Problem is RFC 9457's problem object with our members. Errors that the gateway makes have the same shape.
//
// Type is about:blank, with which Title is the status's own phrase (§4.2.1). A type of our own would be an address to
// keep alive for each code, that programs compare as text all the same; Code is that text, without the promise that
// something can be read there. An own type can be added later: a program that ignores Type notices nothing.
type Problem struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Code      string  `json:"code"`
	Detail    string  `json:"detail,omitempty"`
	Instance  string  `json:"instance,omitempty"`
	Retryable bool    `json:"retryable,omitempty"`
	Errors    []Field `json:"errors,omitempty"`
}

// Problem is what the caller is told. A hidden kind shows its own text and no faults, whatever the error says; its code
// is shown, since programs may have to tell one outage from another.
func (e *Error) Problem(requestID string) Problem {
	r := e.Kind.rule()
	p := Problem{Type: "about:blank", Title: r.title, Status: r.status, Code: e.code(), Detail: r.detail,
		Retryable: e.RetryAfter > 0 || e.Kind == Unavailable || e.Kind == Timeout}
	if requestID != "" {
		p.Instance = "urn:request:" + requestID
	}
	if e.Kind.Hidden() {
		return p
	}
	if e.Detail != "" {
		p.Detail = e.Detail
	}
	p.Errors = e.Fields
	return p
}

// Render is the problem as JSON.
func (e *Error) Render(requestID string) []byte {
	b, err := json.Marshal(e.Problem(requestID))
	if err != nil { // strings and numbers always marshal
		return []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal"}`)
	}
	return b
}
