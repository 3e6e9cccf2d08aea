package rest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

var (
	start = time.Unix(1_800_000_000, 0)
	ada   = &resttest.User{Subject: "ada", Session: "s1", IssuedAt: start, Expires: start.Add(15 * time.Minute)}
)

// shop has one route of each sort.
func shop() service.Function {
	name := service.Field{Name: "name", Type: service.String, Required: true, Max: 20}
	thing := &service.Model{Name: "Thing", Fields: []service.Field{name}}
	return service.Function{Key: "shop", Routes: []service.Route{
		{ID: "make", Method: "POST", Path: "/things", Limit: service.LimitAPI, Idempotent: true, Status: 201,
			Request: &service.Model{Name: "NewThing", Fields: []service.Field{name}}, Response: thing},
		{ID: "list", Method: "GET", Path: "/things", Limit: service.LimitAPI, Status: 200, Response: thing,
			Query: []service.Field{{Name: "limit", Type: service.Integer, Min: 1, Max: 9}, {Name: "name", Type: service.String}}},
		{ID: "import", Method: "PUT", Path: "/things/{id}", Limit: service.LimitAPI, Status: 200, MaxBody: 256 << 10,
			Request: &service.Model{Name: "NewThing", Fields: []service.Field{name}}, Response: thing},
		{ID: "drop", Method: "DELETE", Path: "/things/{id}", Limit: service.LimitAPI, Status: 204},
		{ID: "login", Method: "POST", Path: "/login", Limit: service.LimitAuth, LimitBy: "name", Status: 200, Caller: service.Public("No token yet."),
			Request: &service.Model{Name: "Login", Fields: []service.Field{name}}, Response: thing},
		{ID: "guest", Method: "POST", Path: "/guests", Limit: service.LimitAPI, Status: 204, Caller: service.Public("Guests.")},
		{ID: "health", Method: "GET", Path: "/health", Status: 200, Caller: service.Public("Probes."), Response: thing},
	}}
}

// world is what the function depends on. Fields are set before a call and read after it.
type world struct {
	mu       sync.Mutex
	now      time.Time
	refused  *rest.Verdict // what the limiter knows without a call
	lives    []live
	batches  int // how often the limiter was asked
	counts   []rest.Count
	verdict  rest.Verdict
	limitErr error
	hashErr  error
	reads    []types.KeysAndAttributes
	items    []store.Item
	readErr  error
	handler  rest.Handler
	handled  atomic.Int32
	counting func() // called while the limiter counts
	reading  func() // called while the table is asked
	log      bytes.Buffer
	panics   string // "limiter", "table"
}

func (w *world) Count(_ context.Context, counts []rest.Count) (rest.Verdict, error) {
	if w.counting != nil {
		w.counting()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics == "limiter" {
		panic("limiter broke")
	}
	w.counts = append(w.counts, counts...)
	w.batches++
	return w.verdict, w.limitErr
}

func (w *world) Refused([]rest.Count) (rest.Verdict, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused == nil {
		return rest.Verdict{}, false
	}
	return *w.refused, true
}

func (w *world) Live(t revoke.Token, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lives = append(w.lives, live{t, at})
}

type live struct {
	token revoke.Token
	at    time.Time
}

func (w *world) BatchGetItem(_ context.Context, in types.KeysAndAttributes) ([]store.Item, error) {
	if w.reading != nil {
		w.reading()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics == "table" {
		panic("table broke")
	}
	w.reads = append(w.reads, in)
	return w.items, w.readErr
}

func (w *world) hash(_ context.Context, text string) (string, error) { return "#" + text, w.hashErr }

func answer(context.Context, *rest.Request) (rest.Response, error) {
	return rest.Response{Body: map[string]string{"name": "<b>"}}, nil
}

func nothing(context.Context, *rest.Request) (rest.Response, error) { return rest.Response{}, nil }

func newWorld(t testing.TB) (*world, resttest.Client) {
	t.Helper()
	w := &world{now: start, verdict: rest.Verdict{Allowed: true, Token: rest.TokenLive, Headers: map[string]string{"RateLimit": `"api";r=7;t=6`}}}
	handle := func(standard rest.Handler) rest.Handler {
		return func(ctx context.Context, r *rest.Request) (rest.Response, error) {
			w.handled.Add(1)
			if w.handler != nil {
				return w.handler(ctx, r)
			}
			return standard(ctx, r)
		}
	}
	api, err := rest.New(shop(), map[string]rest.Handler{"make": handle(answer), "list": handle(answer), "import": handle(answer), "drop": handle(nothing),
		"login": handle(answer), "guest": handle(nothing), "health": handle(answer)}, w.deps())
	require.NoError(t, err)
	return w, resttest.Client{Handler: api, Function: shop()}
}

func (w *world) deps() rest.Deps {
	return rest.Deps{Limiter: w, Revoked: w, Hash: w.hash, Origins: []string{"https://app.example.com", "http://localhost:3000"},
		Account: func(_, value string) (string, error) {
			if value == "nobody" {
				return "", apperr.New(apperr.Invalid, "bad_name", "")
			}
			return strings.ToLower(value), nil
		},
		Log: telemetry.New(&w.log, telemetry.Options{}), Now: func() time.Time { return w.now }}
}

// line is the one line that a request leaves.
func (w *world) line(t *testing.T) map[string]any {
	t.Helper()
	require.Equal(t, 1, strings.Count(w.log.String(), "\n"), w.log.String())
	var got map[string]any
	require.NoError(t, json.Unmarshal(w.log.Bytes(), &got))
	return got
}

var reading = resttest.Request{User: ada}

var making = resttest.Request{User: ada, Body: map[string]string{"name": "x"}, Headers: map[string]string{"Idempotency-Key": "12345678"}}

func with(r resttest.Request, change func(*resttest.Request)) resttest.Request {
	headers := map[string]string{}
	for k, v := range r.Headers {
		headers[k] = v
	}
	r.Headers = headers
	change(&r)
	return r
}

func TestNewListsEveryProblem(t *testing.T) {
	t.Parallel()
	f := shop()
	f.Routes[0].Request = &service.Model{Fields: []service.Field{{Name: "bad", Type: service.String, Pattern: "("}}}
	f.Routes[1].Query[0].Pattern = "["
	f.Routes = append(f.Routes, service.Route{ID: "unlimited", Method: "GET", Path: "/unlimited", Status: 204})
	_, err := rest.New(f, map[string]rest.Handler{"list": answer, "zoo": answer, "ape": answer}, rest.Deps{})
	for _, want := range []string{"function shop", "route make has no handler", "route drop has no handler", "route make has no limiter",
		"route unlimited has no table of revoked tokens", "route make has no table of revoked tokens", "route login has no hash", "route make: validate: field bad", "route list: validate: field limit",
		"handler ape has no route\nhandler zoo has no route", "there is no log"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "route health has no limiter")
	require.NotContains(t, err.Error(), "route login has no table")
}

func TestEachStageRefuses(t *testing.T) {
	t.Parallel()
	// asked makes the limiter tell nothing of the token, so that the table is asked.
	asked := func(then func(*world)) func(*world) {
		return func(w *world) { w.verdict.Token = rest.TokenUnknown; then(w) }
	}
	revoked := asked(func(w *world) {
		w.items = []store.Item{{"pk": store.S("SID#s1"), "ttl": store.N(start.Add(time.Second).Unix())}}
	})
	ended := func(w *world) { w.verdict = rest.Verdict{Token: rest.TokenEnded} }
	change := func(f func(*resttest.Request)) resttest.Request { return with(making, f) }
	header := func(name, value string) resttest.Request {
		return change(func(r *resttest.Request) { r.Headers[name] = value })
	}
	body := func(b any) resttest.Request { return change(func(r *resttest.Request) { r.Body = b }) }
	cases := map[string]struct {
		id     string
		send   resttest.Request
		world  func(*world)
		status int
		code   string
	}{
		"origin":                     {id: "make", send: header("Origin", "https://evil.example"), status: 403, code: "origin_not_allowed"},
		"origin_null":                {id: "make", send: header("Origin", "null"), status: 403, code: "origin_not_allowed"},
		"origin_other_scheme":        {id: "make", send: header("Origin", "http://app.example.com"), status: 403, code: "origin_not_allowed"},
		"origin_suffix":              {id: "make", send: header("Origin", "https://app.example.com.evil.example"), status: 403, code: "origin_not_allowed"},
		"origin_on_public":           {id: "login", send: header("Origin", "https://evil.example"), status: 403, code: "origin_not_allowed"},
		"nobody":                     {id: "make", send: change(func(r *resttest.Request) { r.User = nil }), status: 401, code: "unauthenticated"},
		"no_subject":                 {id: "make", send: change(func(r *resttest.Request) { r.User = &resttest.User{Session: "s", Expires: ada.Expires} }), status: 401, code: "unauthenticated"},
		"no_session":                 {id: "make", send: change(func(r *resttest.Request) { r.User = &resttest.User{Subject: "s", Expires: ada.Expires} }), status: 401, code: "unauthenticated"},
		"expired":                    {id: "make", send: making, world: func(w *world) { w.now = ada.Expires.Add(30 * time.Second) }, status: 401, code: "token_expired"},
		"ended":                      {id: "make", send: making, world: ended, status: 401, code: "session_ended"},
		"ended_reading":              {id: "list", send: reading, world: ended, status: 401, code: "session_ended"},
		"ended_beside_an_error":      {id: "make", send: making, world: func(w *world) { ended(w); w.limitErr = errors.New("down") }, status: 401, code: "session_ended"},
		"ended_by_the_table":         {id: "make", send: making, world: revoked, status: 401, code: "session_ended"},
		"ended_by_the_table_reading": {id: "list", send: reading, world: revoked, status: 401, code: "session_ended"},
		"ended_unreadable":           {id: "list", send: reading, world: asked(func(w *world) { w.items = []store.Item{{"pk": store.S("SID#s1")}} }), status: 401, code: "session_ended"},
		"revocation_unknown":         {id: "make", send: making, world: asked(func(w *world) { w.readErr = errors.New("down") }), status: 503, code: "unavailable"},
		"revocation_panics":          {id: "list", send: reading, world: asked(func(w *world) { w.panics = "table" }), status: 500, code: "internal"},
		"limited":                    {id: "make", send: making, world: func(w *world) { w.verdict.Allowed = false }, status: 429, code: "limited"},
		"limited_reading":            {id: "list", send: reading, world: func(w *world) { w.verdict.Allowed = false }, status: 429, code: "limited"},
		"limiter_fails":              {id: "make", send: making, world: func(w *world) { w.limitErr = errors.New("down") }, status: 503, code: "unavailable"},
		"limiter_fails_reading":      {id: "list", send: reading, world: func(w *world) { w.limitErr = errors.New("down") }, status: 503, code: "unavailable"},
		"limiter_panics":             {id: "make", send: making, world: func(w *world) { w.panics = "limiter" }, status: 500, code: "internal"},
		"known_to_be_limited":        {id: "list", send: reading, world: func(w *world) { w.refused = &rest.Verdict{} }, status: 429, code: "limited"},
		"known_to_have_ended":        {id: "list", send: reading, world: func(w *world) { w.refused = &rest.Verdict{Token: rest.TokenEnded} }, status: 401, code: "session_ended"},
		"public_limited":             {id: "guest", send: resttest.Request{}, world: func(w *world) { w.verdict.Allowed = false }, status: 429, code: "limited"},
		"hash_fails":                 {id: "guest", send: resttest.Request{}, world: func(w *world) { w.hashErr = errors.New("no key") }, status: 503, code: "unavailable"},
		"account_refused":            {id: "login", send: resttest.Request{Body: `{"name":"nobody"}`}, status: 400, code: "bad_name"},
		"no_media_type":              {id: "make", send: header("Content-Type", ""), status: 415, code: "unsupported_media_type"},
		"text":                       {id: "make", send: header("Content-Type", "text/plain"), status: 415, code: "unsupported_media_type"},
		"form":                       {id: "make", send: header("Content-Type", "application/x-www-form-urlencoded"), status: 415, code: "unsupported_media_type"},
		"json_like":                  {id: "make", send: header("Content-Type", "application/json-patch+json"), status: 415, code: "unsupported_media_type"},
		"other_charset":              {id: "make", send: header("Content-Type", "application/json; charset=latin1"), status: 415, code: "unsupported_media_type"},
		"broken_media_type":          {id: "make", send: header("Content-Type", "application/json; charset"), status: 415, code: "unsupported_media_type"},
		"no_body":                    {id: "make", send: body(""), status: 400, code: "malformed_json"},
		"too_large":                  {id: "make", send: body(`{"name":"` + strings.Repeat("x", rest.MaxBody) + `"}`), status: 413, code: "too_large"},
		"too_large_by_one":           {id: "make", send: body(`{"name":"x"}` + strings.Repeat(" ", rest.MaxBody-11)), status: 413, code: "too_large"},
		"too_large_base64":           {id: "make", send: encodedBody(strings.Repeat(" ", rest.MaxBody+1)), status: 413, code: "too_large"},
		"far_too_large_base64":       {id: "make", send: encodedBody(strings.Repeat(" ", 4*rest.MaxBody)), status: 413, code: "too_large"},
		"far_too_large":              {id: "make", send: body(strings.Repeat("x", 4*rest.MaxBody)), status: 413, code: "too_large"},
		"too_large_for_its_route":    {id: "import", send: resttest.Request{User: ada, Body: `{"name":"x"}` + strings.Repeat(" ", 256<<10-11)}, status: 413, code: "too_large"},
		"base64_with_a_tail": {id: "make", send: change(func(r *resttest.Request) {
			r.Body = base64.StdEncoding.EncodeToString([]byte(`{"name":"x"}`)) + "%"
			r.Base64 = true
		}), status: 500, code: "internal"},
		"not_base64":            {id: "make", send: change(func(r *resttest.Request) { r.Body = "%%%"; r.Base64 = true }), status: 500, code: "internal"},
		"bad_utf8_base64":       {id: "make", send: encodedBody("{\"name\":\"\xff\"}"), status: 400, code: "not_utf8"},
		"broken_json":           {id: "make", send: body(`{"name":`), status: 400, code: "malformed_json"},
		"duplicate":             {id: "make", send: body(`{"name":"a","name":"b"}`), status: 400, code: "duplicate_member"},
		"unknown_member":        {id: "make", send: body(`{"name":"a","admin":true}`), status: 400, code: "validation_failed"},
		"other_case":            {id: "make", send: body(`{"Name":"a"}`), status: 400, code: "validation_failed"},
		"body_on_delete":        {id: "drop", send: resttest.Request{User: ada, Body: "{}"}, status: 400, code: "body_not_expected"},
		"unknown_query":         {id: "list", send: resttest.Request{User: ada, Query: map[string][]string{"page": {"1"}}}, status: 400, code: "validation_failed"},
		"query_on_post":         {id: "make", send: change(func(r *resttest.Request) { r.Query = map[string][]string{"name": {"x"}} }), status: 400, code: "validation_failed"},
		"no_idempotency_key":    {id: "make", send: header("Idempotency-Key", ""), status: 400, code: "idempotency_key_required"},
		"short_idempotency_key": {id: "make", send: header("Idempotency-Key", "1234567"), status: 400, code: "idempotency_key_invalid"},
		"long_idempotency_key":  {id: "make", send: header("Idempotency-Key", strings.Repeat("1", 65)), status: 400, code: "idempotency_key_invalid"},
		"bad_idempotency_key":   {id: "make", send: header("Idempotency-Key", "12345678 9"), status: 400, code: "idempotency_key_invalid"},
		"handler_refuses":       {id: "make", send: making, world: func(w *world) { w.handler = failing(apperr.New(apperr.Conflict, "taken", "")) }, status: 409, code: "taken"},
		"handler_fails":         {id: "make", send: making, world: func(w *world) { w.handler = failing(errors.New("hunter2")) }, status: 500, code: "internal"},
		"handler_throttled":     {id: "make", send: making, world: func(w *world) { w.handler = failing(fmt.Errorf("x: %w", &types.ThrottlingException{})) }, status: 503, code: "unavailable"},
		"handler_panics": {id: "make", send: making, status: 500, code: "internal", world: func(w *world) {
			w.handler = func(context.Context, *rest.Request) (rest.Response, error) { panic("hunter2") }
		}},
		"answer_not_json": {id: "list", send: resttest.Request{User: ada}, status: 500, code: "internal", world: func(w *world) {
			w.handler = func(context.Context, *rest.Request) (rest.Response, error) {
				return rest.Response{Body: func() {}}, nil
			}
		}},
		"answer_too_large": {id: "list", send: resttest.Request{User: ada}, status: 500, code: "internal", world: func(w *world) {
			w.handler = func(context.Context, *rest.Request) (rest.Response, error) {
				return rest.Response{Raw: make([]byte, 2<<20+1)}, nil
			}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			if c.world != nil {
				c.world(w)
			}
			reply := client.Do(t, c.id, c.send)
			reply.Refused(t, c.status, c.code)
			require.NotContains(t, reply.Body, "hunter2")
			require.NotContains(t, reply.Body, "down")
			line := w.line(t)
			require.EqualValues(t, c.status, line["status"])
			require.Equal(t, c.code, line["code"])
			require.Equal(t, c.status >= 500, line["level"] == "ERROR")
			if w.handler == nil && (c.id != "list" || w.refused != nil) {
				require.Zero(t, w.handled.Load(), "the handler is not reached")
			}
			if reply.Status == 401 {
				require.Equal(t, "Bearer", reply.Headers["WWW-Authenticate"])
			}
			if reply.Status == 429 || reply.Status == 503 {
				require.Equal(t, "1", reply.Headers["Retry-After"])
			}
			if reply.Status == 415 {
				require.Equal(t, "application/json", reply.Headers["Accept"])
			}
		})
	}
}

func failing(err error) rest.Handler {
	return func(context.Context, *rest.Request) (rest.Response, error) { return rest.Response{}, err }
}

func encodedBody(body string) resttest.Request {
	return with(making, func(r *resttest.Request) {
		r.Body, r.Base64 = base64.StdEncoding.EncodeToString([]byte(body)), true
	})
}

func TestRequestsThatPass(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		id   string
		send resttest.Request
	}{
		"make":             {"make", making},
		"quoted_key":       {"make", with(making, func(r *resttest.Request) { r.Headers["Idempotency-Key"] = `"12345678"` })},
		"charset":          {"make", with(making, func(r *resttest.Request) { r.Headers["Content-Type"] = `application/json; charset="UTF-8"` })},
		"upper_case_type":  {"make", with(making, func(r *resttest.Request) { r.Headers["Content-Type"] = "Application/JSON" })},
		"base64":           {"make", encodedBody(`{"name":"x"}`)},
		"largest":          {"make", with(making, func(r *resttest.Request) { r.Body = `{"name":"x"}` + strings.Repeat(" ", rest.MaxBody-12) })},
		"largest_base64":   {"make", encodedBody(`{"name":"x"}` + strings.Repeat(" ", rest.MaxBody-12))},
		"largest_of_route": {"import", resttest.Request{User: ada, Body: `{"name":"x"}` + strings.Repeat(" ", 256<<10-12)}},
		"list":             {"list", resttest.Request{User: ada, Query: map[string][]string{"limit": {"9"}}}},
		"read_any_origin":  {"list", resttest.Request{User: ada, Headers: map[string]string{"Origin": "https://evil.example"}}},
		"drop":             {"drop", resttest.Request{User: ada, Path: map[string]string{"id": "7"}}},
		"login":            {"login", resttest.Request{Body: `{"name":"x"}`}},
		"guest":            {"guest", resttest.Request{}},
		"health":           {"health", resttest.Request{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			reply := client.Do(t, c.id, c.send)
			require.Less(t, reply.Status, 300, reply.Body)
			require.EqualValues(t, 1, w.handled.Load())
			require.Empty(t, reply.Headers["Access-Control-Allow-Origin"])
			if reply.Body != "" {
				require.Equal(t, `{"name":"<b>"}`, reply.Body)
			}
		})
	}
}

func TestHandlersGetWhatWasSent(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	var got *rest.Request
	w.handler = func(_ context.Context, r *rest.Request) (rest.Response, error) {
		got = r
		return rest.Response{Raw: []byte(`{"name":"y"}`), Headers: map[string]string{"Cache-Control": "private", "Location": "/things/1"}}, nil
	}
	reply := client.Do(t, "make", making)
	require.Equal(t, "/things/1", reply.Headers["Location"])
	require.Equal(t, "private", reply.Headers["Cache-Control"])
	require.Equal(t, "ada", got.Subject)
	require.Equal(t, "s1", got.Session)
	require.Equal(t, ada.Expires, got.Expires)
	require.Equal(t, start, got.Now)
	require.Equal(t, resttest.RequestID, got.ID)
	require.Equal(t, "192.0.2.1", got.IP)
	require.Equal(t, "12345678", got.IdempotencyKey)
	require.JSONEq(t, `{"name":"x"}`, string(got.Body()))
	var body struct {
		Name string `json:"name"`
	}
	require.NoError(t, got.Decode(&body))
	require.Equal(t, "x", body.Name)
	var other struct{ Title string }
	require.ErrorContains(t, got.Decode(&other), "differs from the declared model")

	client.Do(t, "list", resttest.Request{User: ada, Query: map[string][]string{"limit": {"5"}}})
	require.Equal(t, 5, got.QueryInt("limit", 3))
	require.Equal(t, "", got.Query("name"))
	require.Equal(t, map[string]string{"limit": "5"}, got.QueryParameters())
	client.Do(t, "list", resttest.Request{User: ada})
	require.Equal(t, 3, got.QueryInt("limit", 3))
	w.handler = func(_ context.Context, r *rest.Request) (rest.Response, error) { got = r; return rest.Response{}, nil }
	client.Do(t, "drop", resttest.Request{User: ada, Path: map[string]string{"id": "7"}})
	require.Equal(t, "7", got.Path("id"))
	require.Nil(t, got.Body())
}

func TestWhoIsCounted(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		id   string
		send resttest.Request
		want []rest.Count
	}{
		"user":           {"make", making, []rest.Count{{Class: "api", Route: "make", Subject: "user:ada", Token: revoke.Token{User: "ada", Session: "s1", IssuedAt: start}}}},
		"account_and_ip": {"login", resttest.Request{Body: `{"name":"ADA"}`, IP: "192.0.2.9"}, []rest.Count{{Class: "auth-ip", Subject: "#ip:192.0.2.9"}, {Class: "auth", Route: "login", Subject: "#name:ada"}}},
		"ip":             {"guest", resttest.Request{}, []rest.Count{{Class: "api", Route: "guest", Subject: "#ip:192.0.2.1"}}},
		"nobody":         {"health", resttest.Request{}, nil},
		"bad_body_is_counted_by_ip": {"login", resttest.Request{Body: `{`, IP: "192.0.2.9"},
			[]rest.Count{{Class: "auth-ip", Subject: "#ip:192.0.2.9"}}},
		"forwarded_for_is_not_believed": {"guest", resttest.Request{Headers: map[string]string{"X-Forwarded-For": "203.0.113.5"}},
			[]rest.Count{{Class: "api", Route: "guest", Subject: "#ip:192.0.2.1"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			client.Do(t, c.id, c.send)
			require.Equal(t, c.want, w.counts)
		})
	}
}

// Address and account are counted at once, before anything else is done. What does not name an account is an attempt of its
// address all the same, and who is known to be refused is not counted again.
func TestAddressAndAccountAreCountedAtOnce(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		body    string
		refused bool
		counted []service.Limit
		status  int
	}{
		"both":              {`{"name":"x"}`, false, []service.Limit{service.LimitAuthIP, service.LimitAuth}, 200},
		"no_account":        {`{}`, false, []service.Limit{service.LimitAuthIP}, 400},
		"no_json":           {`{`, false, []service.Limit{service.LimitAuthIP}, 400},
		"no_such_account":   {`{"name":"nobody"}`, false, []service.Limit{service.LimitAuthIP}, 400},
		"known_to_be_full":  {`{"name":"x"}`, true, nil, 429},
		"known_and_no_json": {`{`, true, nil, 429},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			if c.refused {
				w.refused = &rest.Verdict{RetryAfter: time.Minute, Headers: map[string]string{"RateLimit": `"auth-ip";r=0;t=60`}}
			}
			reply := client.Do(t, "login", resttest.Request{Body: c.body})
			require.Equal(t, c.status, reply.Status)
			require.Empty(t, reply.Headers["RateLimit"], "nobody is told how far to go")
			var counted []service.Limit
			for _, count := range w.counts {
				counted = append(counted, count.Class)
			}
			require.Equal(t, c.counted, counted)
			require.Equal(t, min(len(c.counted), 1), w.batches)
			require.Equal(t, c.status == 200, w.handled.Load() == 1)
			w.refused, w.verdict.Allowed = nil, false
			require.Equal(t, 429, client.Do(t, "login", resttest.Request{Body: c.body}).Status)
		})
	}
}

func TestAccountsWithoutACanonicalForm(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	d := w.deps()
	d.Account = nil
	api, err := rest.New(shop(), map[string]rest.Handler{"make": answer, "list": answer, "import": answer, "drop": nothing, "login": answer, "guest": nothing, "health": answer}, d)
	require.NoError(t, err)
	resttest.Client{Handler: api, Function: shop()}.Do(t, "login", resttest.Request{Body: `{"name":"ADA"}`})
	require.Equal(t, "#name:ADA", w.counts[1].Subject)
}

// The table of revoked tokens is asked only where the limiter does not tell, and then in the leader's copy.
func TestWhoTellsWhetherATokenWasRevoked(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	client.Do(t, "list", reading)
	client.Do(t, "make", making)
	require.Empty(t, w.reads, "the limiter told")
	w.verdict.Token = rest.TokenUnknown
	client.Do(t, "list", reading)
	client.Do(t, "make", making)
	client.Do(t, "login", resttest.Request{Body: `{"name":"x"}`})
	client.Do(t, "guest", resttest.Request{})
	require.Len(t, w.reads, 2, "public routes have no session")
	token := revoke.Token{User: "ada", Session: "s1", IssuedAt: start}
	require.Equal(t, []live{{token, start}, {token, start}}, w.lives, "and the limiter learns it")
	for _, read := range w.reads {
		require.True(t, *read.ConsistentRead)
		require.Equal(t, []store.Item{{"pk": store.S("SID#s1")}, {"pk": store.S("USER#ada")}}, read.Keys)
	}
	w.verdict.Allowed = false
	client.Do(t, "make", making).Refused(t, 429, "limited")
	require.Len(t, w.reads, 2, "whoever is refused anyway costs no read")
}

// Where neither the limiter nor the table tells, a read passes with a young token, and leaves a line about it. Nobody else
// passes.
func TestWhoPassesUnchecked(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		id     string
		send   resttest.Request
		age    time.Duration
		world  func(*world)
		status int
	}{
		"young_read":     {id: "list", send: reading, age: rest.Unchecked - time.Second, status: 200},
		"older_read":     {id: "list", send: reading, age: rest.Unchecked, status: 503},
		"young_create":   {id: "make", send: making, status: 503},
		"young_change":   {id: "import", send: resttest.Request{User: ada, Body: `{"name":"x"}`}, status: 503},
		"young_delete":   {id: "drop", send: resttest.Request{User: ada}, status: 503},
		"limited":        {id: "list", send: reading, world: func(w *world) { w.verdict.Allowed = false }, status: 429},
		"limiter_closed": {id: "list", send: reading, world: func(w *world) { w.limitErr = errors.New("down") }, status: 503},
		"ended":          {id: "list", send: reading, world: func(w *world) { w.verdict = rest.Verdict{Token: rest.TokenEnded} }, status: 401},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			w.verdict.Token, w.readErr, w.now = rest.TokenUnknown, errors.New("down"), start.Add(c.age)
			if c.world != nil {
				c.world(w)
			}
			require.Equal(t, c.status, client.Do(t, c.id, c.send).Status)
			require.Equal(t, c.status == 200, strings.Contains(w.log.String(), "without being checked for revocation"))
			require.Empty(t, w.lives, "nobody told that the token is live")
		})
	}
}

// A closed class says when its store may be well again.
func TestWhenToComeAgain(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	w.verdict, w.limitErr = rest.Verdict{RetryAfter: 2500 * time.Millisecond}, errors.New("down")
	require.Equal(t, "3", client.Do(t, "make", making).Headers["Retry-After"])
	w.verdict.RetryAfter = 0
	require.Equal(t, "1", client.Do(t, "make", making).Headers["Retry-After"])
}

func TestAllowedOriginsMayRead(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	for _, origin := range []string{"https://app.example.com", "http://localhost:3000"} {
		for _, verdict := range []bool{true, false} {
			w.verdict.Allowed = verdict
			h := client.Do(t, "make", with(making, func(r *resttest.Request) { r.Headers["Origin"] = origin })).Headers
			require.Equal(t, origin, h["Access-Control-Allow-Origin"])
			require.Equal(t, "true", h["Access-Control-Allow-Credentials"])
			require.Contains(t, h["Access-Control-Expose-Headers"], "X-Request-Id")
		}
	}
	h := client.Do(t, "make", with(making, func(r *resttest.Request) { r.Headers["Origin"] = "https://evil.example" })).Headers
	require.Empty(t, h["Access-Control-Allow-Origin"])
	require.Empty(t, h["Access-Control-Allow-Credentials"])
}

func TestQuotasAreToldToUsersOnly(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	require.NotEmpty(t, client.Do(t, "list", resttest.Request{User: ada}).Headers["RateLimit"])
	w.verdict.Allowed, w.verdict.RetryAfter = false, 1500*time.Millisecond
	reply := client.Do(t, "list", resttest.Request{User: ada})
	require.NotEmpty(t, reply.Headers["RateLimit"])
	require.Equal(t, "2", reply.Headers["Retry-After"])
	require.True(t, reply.Problem(t).Retryable)
	reply = client.Do(t, "login", resttest.Request{Body: `{"name":"x"}`})
	require.Empty(t, reply.Headers["RateLimit"])
	require.Equal(t, "2", reply.Headers["Retry-After"])
}

func TestEventsThatAreNoRequest(t *testing.T) {
	t.Parallel()
	repeated := func(name string) []byte {
		var ev map[string]any
		if err := json.Unmarshal(resttest.Event(t, "POST", "/things", making), &ev); err != nil {
			t.Fatal(err)
		}
		ev["multiValueHeaders"].(map[string]any)[name] = []string{"application/json", "application/json"}
		b, _ := json.Marshal(ev)
		return b
	}
	cases := map[string]struct {
		event  []byte
		status int
		code   string
	}{
		"nothing":           {nil, 500, "internal"},
		"not_json":          {[]byte("hello"), 500, "internal"},
		"other_event":       {[]byte(`{"Records":[]}`), 404, "not_found"},
		"unknown_route":     {resttest.Event(t, "GET", "/nowhere", resttest.Request{}), 404, "not_found"},
		"unknown_method":    {resttest.Event(t, "PUT", "/things", resttest.Request{}), 404, "not_found"},
		"two_content_types": {repeated("content-type"), 400, "header_repeated"},
		"two_origins":       {repeated("Origin"), 400, "header_repeated"},
		"two_keys":          {repeated("idempotency-key"), 400, "header_repeated"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			out, err := client.Handler.Invoke(t.Context(), c.event)
			require.NoError(t, err)
			var reply resttest.Reply
			require.NoError(t, json.Unmarshal(out, &reply))
			reply.Refused(t, c.status, c.code)
			require.Zero(t, w.handled.Load())
			require.EqualValues(t, c.status, w.line(t)["status"])
		})
	}
}

func TestTheProcessOutlivesAPanic(t *testing.T) {
	t.Parallel()
	for id, request := range map[string]resttest.Request{"make": making, "list": reading} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			w, client := newWorld(t)
			w.handler = func(context.Context, *rest.Request) (rest.Response, error) { panic(errors.New("boom")) }
			client.Do(t, id, request).Refused(t, 500, "internal")
			line := w.line(t)
			require.Equal(t, "panic: boom", line["error"])
			require.Contains(t, line["stack"], "rest_test.go")
			w.handler = nil
			require.Less(t, client.Do(t, id, request).Status, 300)
		})
	}
}

// A handler that is refused meanwhile is told to stop, and whatever it does leaves nothing behind: no answer, no panic.
func TestAReadThatIsRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	handlers := map[string]rest.Handler{
		"answers": answer,
		"fails":   failing(errors.New("hunter2")),
		"panics":  func(context.Context, *rest.Request) (rest.Response, error) { panic("hunter2") },
		"waits": func(ctx context.Context, _ *rest.Request) (rest.Response, error) {
			<-ctx.Done()
			return rest.Response{}, ctx.Err()
		},
	}
	refusals := map[string]struct {
		verdict rest.Verdict
		err     error
		status  int
	}{"limited": {rest.Verdict{}, nil, 429}, "ended": {rest.Verdict{Token: rest.TokenEnded}, nil, 401}, "unknown": {rest.Verdict{}, errors.New("down"), 503}}
	for name, h := range handlers {
		for why, r := range refusals {
			t.Run(name+"/"+why, func(t *testing.T) {
				t.Parallel()
				w, client := newWorld(t)
				w.handler, w.verdict, w.limitErr = h, r.verdict, r.err
				reply := client.Do(t, "list", reading)
				require.Equal(t, r.status, reply.Status)
				require.NotContains(t, reply.Body+w.log.String(), "hunter2")
				require.Equal(t, http.StatusText(r.status), reply.Problem(t).Title)
			})
		}
	}
}

// A read is admitted while its handler works: each waits here until the other has begun. A write is not.
func TestOnlyReadsAreAnsweredAhead(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	counting, handling := make(chan struct{}), make(chan struct{})
	w.counting = func() { close(counting); <-handling }
	w.handler = func(context.Context, *rest.Request) (rest.Response, error) {
		close(handling)
		<-counting
		return rest.Response{Raw: []byte(`{"name":"x"}`)}, nil
	}
	require.Equal(t, 200, client.Do(t, "list", reading).Status)

	for id, request := range map[string]resttest.Request{"make": making, "drop": {User: ada}} {
		var admitted atomic.Bool
		w.counting = func() { admitted.Store(true) }
		w.handler = func(context.Context, *rest.Request) (rest.Response, error) {
			require.True(t, admitted.Load())
			if id == "drop" {
				return rest.Response{}, nil
			}
			return answer(t.Context(), nil)
		}
		w.verdict.Allowed = true
		client.Do(t, id, request)
		w.verdict.Allowed = false
		before := w.handled.Load()
		client.Do(t, id, request).Refused(t, 429, "limited")
		require.Equal(t, before, w.handled.Load())
	}
}

// Where limiter, table and handler each take a while, a read takes as long as the slower of admission and handler.
func TestTheTimeThatARequestTakes(t *testing.T) {
	t.Parallel()
	const limiter, handler, table = 7 * time.Millisecond, 11 * time.Millisecond, 13 * time.Millisecond
	cases := map[string]struct {
		id    string
		send  resttest.Request
		state rest.TokenState
		want  time.Duration
	}{
		"read":                  {"list", reading, rest.TokenLive, handler},
		"read_asking_the_table": {"list", reading, rest.TokenUnknown, limiter + table},
		"create":                {"make", making, rest.TokenLive, limiter + handler},
		"create_asking":         {"make", making, rest.TokenUnknown, limiter + table + handler},
		"delete":                {"drop", resttest.Request{User: ada}, rest.TokenLive, limiter + handler},
		"login":                 {"login", resttest.Request{Body: `{"name":"x"}`}, rest.TokenUnknown, limiter + handler},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, client := newWorld(t)
				w.verdict.Token = c.state
				w.counting = func() { time.Sleep(limiter) }
				w.reading = func() { time.Sleep(table) }
				w.handler = func(ctx context.Context, r *rest.Request) (rest.Response, error) {
					time.Sleep(handler)
					if c.id == "drop" {
						return nothing(ctx, r)
					}
					return answer(ctx, r)
				}
				begun := time.Now()
				require.Less(t, client.Do(t, c.id, c.send).Status, 300)
				require.Equal(t, c.want, time.Since(begun))
			})
		})
	}
}

// A request that cannot be read is counted all the same, and its handler is not reached.
func TestABadQueryIsCounted(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	bad := resttest.Request{User: ada, Query: map[string][]string{"limit": {"many"}}}
	client.Do(t, "list", bad).Refused(t, 400, "validation_failed")
	require.Len(t, w.counts, 1)
	w.verdict.Allowed = false
	client.Do(t, "list", bad).Refused(t, 429, "limited")
	require.Zero(t, w.handled.Load())
}

func TestDeadlines(t *testing.T) {
	heeding := func(ctx context.Context, _ *rest.Request) (rest.Response, error) {
		<-ctx.Done()
		return rest.Response{}, fmt.Errorf("store: %w", errors.New("cut off"))
	}
	cases := map[string]struct {
		remaining time.Duration // of the invocation; 0: no deadline
		handler   rest.Handler
		want      time.Duration
	}{
		"budget":                  {0, heeding, rest.Budget},
		"budget_below_invocation": {time.Minute, heeding, rest.Budget},
		"invocation":              {3 * time.Second, heeding, 3*time.Second - 250*time.Millisecond},
		"already_over":            {time.Nanosecond, heeding, 0},
		"not_heeded": {2 * time.Second, func(context.Context, *rest.Request) (rest.Response, error) {
			time.Sleep(time.Hour) // of the bubble's clock
			return rest.Response{}, nil
		}, 2*time.Second - 250*time.Millisecond},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, client := newWorld(t)
				w.handler = c.handler
				ctx, began := t.Context(), time.Now()
				if c.remaining != 0 {
					inner, cancel := context.WithTimeout(ctx, c.remaining)
					defer cancel()
					ctx = inner
				}
				p := client.DoContext(ctx, t, "list", resttest.Request{User: ada}).Refused(t, 504, "timeout")
				require.True(t, p.Retryable)
				require.Equal(t, c.want, time.Since(began))
				require.Equal(t, "ERROR", w.line(t)["level"])
				if name == "not_heeded" {
					time.Sleep(time.Hour) // lets the abandoned handler end inside the bubble
				}
			})
		})
	}
}

func TestTheLineHoldsNothingPrivate(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	user := *ada
	user.Subject = "11111111-2222-4333-8444-555555555555"
	ctx := context.WithValue(t.Context(), "x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0") //nolint:staticcheck // the runtime's own key
	client.DoContext(ctx, t, "list", resttest.Request{User: &user, Query: map[string][]string{"name": {"hunter2"}},
		Headers: map[string]string{"Authorization": "Bearer hunter2", "Cookie": "hunter2"}, IP: "203.0.113.77"})
	line := w.line(t)
	for _, private := range []string{"hunter2", "203.0.113.77", user.Subject, user.Session + `"`} {
		require.NotContains(t, w.log.String(), private)
	}
	require.Equal(t, resttest.RequestID, line["request_id"])
	require.Equal(t, "1-5759e988-bd862e3fe1be46a994272793", line["trace_id"])
	require.Equal(t, "GET", line["method"])
	require.Equal(t, "/things", line["route"])
	require.EqualValues(t, 200, line["status"])
	require.Equal(t, true, line["cold_start"])
	require.Len(t, line["user_hash"], 16)
	require.NotContains(t, line, "code")

	w.log.Reset()
	client.Do(t, "list", resttest.Request{User: &user})
	require.Equal(t, false, w.line(t)["cold_start"])
	require.Equal(t, line["user_hash"], w.line(t)["user_hash"])
}

func TestHandlersLogUnderTheRequest(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	w.handler = func(ctx context.Context, _ *rest.Request) (rest.Response, error) {
		telemetry.From(ctx).Warn("odd")
		return rest.Response{}, nil
	}
	client.Do(t, "drop", resttest.Request{User: ada})
	require.Equal(t, 2, strings.Count(w.log.String(), resttest.RequestID))
}

func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	w, client := newWorld(t)
	w.handler = func(_ context.Context, r *rest.Request) (rest.Response, error) {
		return rest.Response{Body: map[string]string{"name": r.Query("name")}}, nil
	}

	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			name := fmt.Sprint(i)
			event := resttest.Event(t, "GET", "/things", resttest.Request{User: ada, Query: map[string][]string{"name": {name}}})
			out, err := client.Handler.Invoke(t.Context(), event)
			if err != nil || !bytes.Contains(out, []byte(`{\"name\":\"`+name+`\"}`)) {
				t.Errorf("%s %v", out, err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkRequest(b *testing.B) {
	w, client := newWorld(b)
	event := resttest.Event(b, "POST", "/things", making)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Handler.Invoke(b.Context(), event); err != nil {
			b.Fatal(err)
		}
		w.log.Reset()
		w.counts, w.reads = w.counts[:0], w.reads[:0]
	}
}
