package rest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/token"
)

// event is the part of API Gateway's proxy event that we use (API Gateway Developer Guide, "Input format of a Lambda
// function for proxy integration").
type event struct {
	Resource string              `json:"resource"`
	Method   string              `json:"httpMethod"`
	Headers  map[string][]string `json:"multiValueHeaders"`
	Query    map[string][]string `json:"multiValueQueryStringParameters"`
	Path     map[string]string   `json:"pathParameters"`
	Context  struct {
		RequestID string `json:"requestId"`
		Identity  struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
		Authorizer authorizer `json:"authorizer"`
	} `json:"requestContext"`
	Body   string `json:"body"`
	Base64 bool   `json:"isBase64Encoded"`
}

// authorizer is the context that the authorizer function made.
type authorizer struct {
	Subject  string `json:"sub"`
	Session  string `json:"sid"`
	IssuedAt string `json:"iat"`
	Expires  string `json:"exp"`
}

func decodeEvent(payload []byte) (event, error) {
	var ev event
	if err := json.Unmarshal(payload, &ev); err != nil {
		return event{}, errors.New("rest: the event is not one of API Gateway's")
	}
	headers := make(map[string][]string, len(ev.Headers))
	for name, values := range ev.Headers {
		name = strings.ToLower(name)
		headers[name] = append(headers[name], values...)
	}
	ev.Headers = headers
	return ev, nil
}

// header is the value of a header that may be given once; name is in lower case.
func (ev event) header(name string) (string, error) {
	switch values := ev.Headers[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", apperr.New(apperr.Invalid, "header_repeated", "The header "+name+" is given more than once.")
	}
}

// Request is an admitted request. Subject and Session are empty on public routes.
type Request struct {
	ID             string // of the request, as the gateway names it
	Subject        string // the user
	Session        string
	Expires        time.Time // of the access token
	IP             string    // of the caller as the gateway saw it
	IdempotencyKey string    // set on idempotent routes
	Now            time.Time // when the request came
	path           map[string]string
	query          map[string]string
	body           []byte
}

// Path is a path parameter as the gateway gives it: the handler decides what it may be.
func (r *Request) Path(name string) string { return r.path[name] }

// Query is a query parameter, checked against its declaration; empty when it is absent.
func (r *Request) Query(name string) string { return r.query[name] }

// QueryInt is an integer parameter, or absent when it is not given.
func (r *Request) QueryInt(name string, absent int) int {
	n, err := strconv.Atoi(r.query[name])
	if err != nil { // its declaration made sure that it is a number
		return absent
	}
	return n
}

// Body is the body's bytes, checked against the declared model; nil without one.
func (r *Request) Body() []byte { return r.body }

// QueryParameters are all query parameters that were given.
func (r *Request) QueryParameters() map[string]string { return maps.Clone(r.query) }

// Decode reads the body into a Go value. The body fits the model, so that an error means that the Go type does not: it
// is internal.
func (r *Request) Decode(v any) error {
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("rest: the handler's type differs from the declared model")
	}
	return nil
}

// call is one request on its way.
type call struct {
	api     *API
	event   event
	route   *route
	now     time.Time
	token   revoke.Token      // of the caller; zero on public routes
	headers map[string]string // of the response, whatever becomes of it
	account string            // what the route's LimitBy field names
}

// origin refuses to change anything for a browser page of another origin. Reading is left to the browser, which shows
// the page nothing without our header. Clients that are no browser send no Origin.
func (c *call) origin() error {
	origin, err := c.event.header("origin")
	if err != nil {
		return err
	}
	if origin != "" && !c.route.readOnly && !c.api.allowed(origin) {
		return apperr.New(apperr.Forbidden, "origin_not_allowed", "Pages of this origin may not do this.")
	}
	return nil
}

// identify takes over who the authorizer says the caller is. The token's expiry is looked at again: the gateway caches
// the authorizer's answer for longer than the token may have left.
func (c *call) identify() (*Request, error) {
	req := &Request{ID: c.event.Context.RequestID, IP: c.event.Context.Identity.SourceIP, Now: c.now, path: c.event.Path}
	if c.route.public {
		return req, nil
	}
	a := c.event.Context.Authorizer
	exp, err := strconv.ParseInt(a.Expires, 10, 64)
	iat, err2 := strconv.ParseInt(a.IssuedAt, 10, 64)
	if err != nil || err2 != nil || a.Subject == "" || a.Session == "" {
		return nil, apperr.New(apperr.Unauthenticated, "", "").Because(errors.New("the authorizer's context is not complete"))
	}
	c.token = revoke.Token{User: a.Subject, Session: a.Session, IssuedAt: time.Unix(iat, 0)}
	req.Subject, req.Session, req.Expires = a.Subject, a.Session, time.Unix(exp, 0)
	if !c.now.Before(req.Expires.Add(token.Leeway)) {
		return nil, apperr.New(apperr.Unauthenticated, "token_expired", "The access token has expired. Renew it.")
	}
	return req, nil
}

// read checks query, body and headers and fills the request with them.
func (c *call) read(req *Request) error {
	var err error
	if req.query, err = c.route.query.Query(c.event.Query); err != nil {
		return err
	}
	if req.body, err = c.body(); err != nil {
		return err
	}
	if c.route.Idempotent {
		if req.IdempotencyKey, err = c.idempotencyKey(); err != nil {
			return err
		}
	}
	return nil
}

// body is the checked body.
func (c *call) body() ([]byte, error) {
	if c.route.request == nil {
		if c.event.Body != "" {
			return nil, apperr.New(apperr.Invalid, "body_not_expected", "This operation takes no body.")
		}
		return nil, nil
	}
	if err := c.mediaType(); err != nil {
		return nil, err
	}
	body, err := c.event.bytes(cmp.Or(c.route.MaxBody, MaxBody))
	if err != nil {
		return nil, err
	}
	members, err := c.route.request.Body(body)
	if err != nil {
		return nil, err
	}
	c.account, _ = members[c.route.LimitBy].(string)
	return body, nil
}

// bytes is the body that was sent, at most so many bytes. No more than one beyond them is decoded from base64.
func (ev event) bytes(most int) ([]byte, error) {
	tooLarge := apperr.New(apperr.TooLarge, "", fmt.Sprintf("The body has more than %d bytes.", most))
	if !ev.Base64 {
		if len(ev.Body) > most {
			return nil, tooLarge
		}
		return []byte(ev.Body), nil
	}
	body := make([]byte, min(base64.StdEncoding.DecodedLen(len(ev.Body)), most)+1)
	decoder, n := base64.NewDecoder(base64.StdEncoding, strings.NewReader(ev.Body)), 0
	for n <= most {
		more, err := decoder.Read(body[n:])
		n += more
		switch {
		case errors.Is(err, io.EOF):
			return body[:n], nil
		case err != nil:
			return nil, errors.New("rest: the event's body is not base64")
		}
	}
	return nil, tooLarge
}

// mediaType takes application/json with no charset or UTF-8 (RFC 8259 §8.1, §11).
func (c *call) mediaType() error {
	value, err := c.event.header("content-type")
	if err != nil {
		return err
	}
	media, params, err := mime.ParseMediaType(value)
	charset, given := params["charset"]
	if err != nil || media != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		c.headers["Accept"] = "application/json"
		return apperr.New(apperr.UnsupportedMedia, "", "")
	}
	return nil
}

// pseudonym stands for a user in logs: lines of one user can be found together, the user cannot be found from a line.
// The identifier behind it is random, so that nobody can try all of them.
func pseudonym(subject string) string {
	sum := sha256.Sum256([]byte("user:" + subject))
	return hex.EncodeToString(sum[:8])
}
