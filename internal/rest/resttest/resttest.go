// Package resttest calls a function as API Gateway does, and holds every answer against what the function declares.
package resttest

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/validate"
)

// User is whom the authorizer found, with the access token's times.
type User struct {
	Subject, Session string
	IssuedAt         time.Time
	Expires          time.Time
}

// Request is what a client sends. The zero value is a request of nobody, without a body.
type Request struct {
	User    *User
	IP      string // "": 192.0.2.1
	Path    map[string]string
	Query   map[string][]string
	Headers map[string]string
	Body    any  // a string is sent as it is; anything else as JSON, with its media type
	Base64  bool // the gateway hands the body over in base64
}

// Reply is what the function answered.
type Reply struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Client calls the operations of one function.
type Client struct {
	Handler  lambda.Handler
	Function service.Function
}

// Do calls an operation by its id and requires of the answer what holds for all: the headers of every response, the
// declared status and model of a success, the declared model and the media type of a problem.
func (c Client) Do(t testing.TB, id string, r Request) Reply {
	t.Helper()
	return c.DoContext(t.Context(), t, id, r)
}

// DoContext is Do within a context, for deadlines.
func (c Client) DoContext(ctx context.Context, t testing.TB, id string, r Request) Reply {
	t.Helper()
	i := slices.IndexFunc(c.Function.Routes, func(x service.Route) bool { return x.ID == id })
	require.GreaterOrEqual(t, i, 0, "operation %s is not declared", id)
	route := c.Function.Routes[i]
	out, err := c.Handler.Invoke(ctx, Event(t, route.Method, route.Path, r))
	require.NoError(t, err)
	var reply Reply
	require.NoError(t, json.Unmarshal(out, &reply))
	check(t, route, reply)
	return reply
}

// RequestID is the request id of every event.
const RequestID = "6f1c2f6e-0000-4000-8000-000000000001"

// Event is the gateway's event for a request.
func Event(t testing.TB, method, resource string, r Request) []byte {
	t.Helper()
	headers := map[string][]string{"Host": {"api.example.com"}, "User-Agent": {"test"}}
	body, isText := r.Body.(string)
	if r.Body != nil && !isText {
		b, err := json.Marshal(r.Body)
		require.NoError(t, err)
		body = string(b)
	}
	if r.Body != nil {
		headers["Content-Type"] = []string{"application/json"}
	}
	for name, value := range r.Headers {
		headers[name] = []string{value}
	}
	ip := r.IP
	if ip == "" {
		ip = "192.0.2.1"
	}
	context := map[string]any{"requestId": RequestID, "stage": "live", "httpMethod": method, "resourcePath": resource,
		"identity": map[string]any{"sourceIp": ip, "userAgent": "test"}}
	if u := r.User; u != nil {
		context["authorizer"] = map[string]any{"principalId": u.Subject, "sub": u.Subject, "sid": u.Session, "integrationLatency": 3,
			"iat": strconv.FormatInt(u.IssuedAt.Unix(), 10), "exp": strconv.FormatInt(u.Expires.Unix(), 10)}
	}
	event := map[string]any{"resource": resource, "path": resource, "httpMethod": method, "multiValueHeaders": headers,
		"multiValueQueryStringParameters": r.Query, "pathParameters": r.Path, "requestContext": context,
		"body": nil, "isBase64Encoded": r.Base64}
	if body != "" {
		event["body"] = body
	}
	b, err := json.Marshal(event)
	require.NoError(t, err)
	return b
}

func check(t testing.TB, route service.Route, reply Reply) {
	t.Helper()
	require.Equal(t, "nosniff", reply.Headers["X-Content-Type-Options"])
	require.NotEmpty(t, reply.Headers["Cache-Control"])
	require.Equal(t, RequestID, reply.Headers["X-Request-Id"])
	require.Contains(t, reply.Headers["Vary"], "Origin")
	require.NotEmpty(t, reply.Headers["Strict-Transport-Security"])
	require.NotEqual(t, "*", reply.Headers["Access-Control-Allow-Origin"])
	if reply.Status >= 400 {
		p := reply.Problem(t)
		require.Equal(t, reply.Status, p.Status)
		require.Equal(t, "urn:request:"+RequestID, p.Instance)
		require.Equal(t, "no-store", reply.Headers["Cache-Control"])
		return
	}
	require.Equal(t, route.Status, reply.Status, reply.Body)
	if route.Response == nil {
		require.Empty(t, reply.Body)
		return
	}
	require.Equal(t, "application/json", reply.Headers["Content-Type"])
	schema, err := validate.Compile(*route.Response)
	require.NoError(t, err)
	_, err = schema.Body([]byte(reply.Body))
	require.NoError(t, err, "the answer is not what %s declares: %+v", route.ID, apperr.From(err))
}

// Problem is the answer's problem. It requires that the answer is one.
func (r Reply) Problem(t testing.TB) apperr.Problem {
	t.Helper()
	require.Equal(t, apperr.MediaType, r.Headers["Content-Type"], r.Body)
	var p apperr.Problem
	d := json.NewDecoder(strings.NewReader(r.Body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&p))
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Code)
	return p
}

// Refused requires that the answer is a problem with this status and code.
func (r Reply) Refused(t testing.TB, status int, code string) apperr.Problem {
	t.Helper()
	require.Equal(t, status, r.Status, r.Body)
	p := r.Problem(t)
	require.Equal(t, code, p.Code)
	return p
}

// Decode reads the body of a success.
func (r Reply) Decode(t testing.TB, v any) {
	t.Helper()
	require.Less(t, r.Status, 300, r.Body)
	require.NoError(t, json.Unmarshal([]byte(r.Body), v))
}

// Conforms requires that a Go type and a declared model have the same members, in both directions: the same names, a
// type that can hold exactly the declared one, and a pointer or omitempty exactly where the member may be absent.
func Conforms(t testing.TB, model *service.Model, goType reflect.Type) {
	t.Helper()
	require.NotNil(t, model)
	require.Equal(t, reflect.Struct, goType.Kind(), "%s", model.Name)
	members := map[string]reflect.StructField{}
	for i := range goType.NumField() {
		f := goType.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		require.NotEmpty(t, name, "%s.%s has no name in JSON", goType, f.Name)
		members[name] = f
	}
	var names []string
	for _, f := range model.Fields {
		names = append(names, f.Name)
	}
	require.ElementsMatch(t, names, slices.Collect(maps.Keys(members)), "members of %s and of the model %s", goType, model.Name)
	for _, f := range model.Fields {
		member(t, goType.String()+"."+f.Name, f, members[f.Name])
	}
}

func member(t testing.TB, at string, f service.Field, got reflect.StructField) {
	t.Helper()
	_, options, _ := strings.Cut(got.Tag.Get("json"), ",")
	typ, optional := got.Type, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
	if typ.Kind() == reflect.Pointer {
		typ, optional = typ.Elem(), true
	}
	require.Equal(t, !f.Required, optional, "%s: may it be absent?", at)
	kinds := map[service.Type][]reflect.Kind{
		service.String: {reflect.String}, service.Boolean: {reflect.Bool}, service.Integer: {reflect.Int, reflect.Int64},
		service.Array: {reflect.Slice}, service.Object: {reflect.Struct},
	}
	require.Contains(t, kinds[f.Type], typ.Kind(), "%s is declared as %s", at, f.Type)
	if f.Type == service.Array {
		typ = typ.Elem()
	}
	if f.Model != nil {
		Conforms(t, f.Model, typ)
	}
}
