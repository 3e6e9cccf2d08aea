package resttest_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
)

// recorder is a test that fails without failing the one that runs it.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) FailNow()              { r.failed = true; runtime.Goexit() }
func fails(t testing.TB, check func(testing.TB)) (failed bool) {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(r)
	}()
	<-done
	return r.failed
}

var inner = service.Model{Name: "Inner", Fields: []service.Field{{Name: "x", Type: service.String, Required: true}}}

var model = service.Model{Name: "Outer", Fields: []service.Field{
	{Name: "name", Type: service.String, Required: true}, {Name: "age", Type: service.Integer}, {Name: "ok", Type: service.Boolean, Required: true},
	{Name: "list", Type: service.Array, Required: true, Model: &inner}, {Name: "one", Type: service.Object, Required: true, Model: &inner},
}}

type in struct {
	X string `json:"x"`
}

func TestConforms(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		typ  any
		fine bool
	}{
		"same": {struct {
			Name string `json:"name"`
			Age  *int   `json:"age"`
			OK   bool   `json:"ok"`
			List []in   `json:"list"`
			One  in     `json:"one"`
		}{}, true},
		"omitempty": {struct {
			Name string `json:"name"`
			Age  int64  `json:"age,omitempty"`
			OK   bool   `json:"ok"`
			List []in   `json:"list"`
			One  in     `json:"one"`
		}{}, true},
		"missing": {struct {
			Name string `json:"name"`
			OK   bool   `json:"ok"`
			List []in   `json:"list"`
			One  in     `json:"one"`
		}{}, false},
		"more": {struct {
			Name string `json:"name"`
			Age  *int   `json:"age"`
			OK   bool   `json:"ok"`
			List []in   `json:"list"`
			One  in     `json:"one"`
			More bool   `json:"more"`
		}{}, false},
		"other_type": {struct {
			Name int  `json:"name"`
			Age  *int `json:"age"`
			OK   bool `json:"ok"`
			List []in `json:"list"`
			One  in   `json:"one"`
		}{}, false},
		"optional_always_there": {struct {
			Name string `json:"name"`
			Age  int    `json:"age"`
			OK   bool   `json:"ok"`
			List []in   `json:"list"`
			One  in     `json:"one"`
		}{}, false},
		"required_may_lack": {struct {
			Name *string `json:"name"`
			Age  *int    `json:"age"`
			OK   bool    `json:"ok"`
			List []in    `json:"list"`
			One  in      `json:"one"`
		}{}, false},
		"inner_differs": {struct {
			Name string `json:"name"`
			Age  *int   `json:"age"`
			OK   bool   `json:"ok"`
			List []in   `json:"list"`
			One  struct {
				Y string `json:"y"`
			} `json:"one"`
		}{}, false},
		"untagged":     {struct{ Name string }{}, false},
		"not_a_struct": {"", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, !c.fine, fails(t, func(r testing.TB) { resttest.Conforms(r, &model, reflect.TypeOf(c.typ)) }))
		})
	}
}

// canned answers every event with one text.
type canned string

func (c canned) Invoke(context.Context, []byte) ([]byte, error) { return []byte(c), nil }

func TestDoHoldsAnswersAgainstTheDeclaration(t *testing.T) {
	t.Parallel()
	f := service.Function{Routes: []service.Route{{ID: "get", Method: "GET", Path: "/x", Status: 200, Response: &inner}}}
	const standard = `"Content-Type":"application/json","X-Content-Type-Options":"nosniff","Cache-Control":"no-store","Vary":"Origin","Strict-Transport-Security":"max-age=1","X-Request-Id":"` + resttest.RequestID + `"`
	answer := func(status int, headers, body string) string {
		return fmt.Sprintf(`{"statusCode":%d,"headers":{%s},"body":%q}`, status, headers, body)
	}
	problem := `{"type":"about:blank","title":"Not Found","status":404,"code":"not_found","instance":"urn:request:` + resttest.RequestID + `"}`
	const problemType = standard + `,"Content-Type":"application/problem+json"`
	cases := map[string]struct {
		answer string
		fine   bool
	}{
		"success":            {answer(200, standard, `{"x":"y"}`), true},
		"other_status":       {answer(201, standard, `{"x":"y"}`), false},
		"other_model":        {answer(200, standard, `{"y":"x"}`), false},
		"no_body":            {answer(200, standard, ``), false},
		"no_headers":         {answer(200, `"Content-Type":"application/json"`, `{"x":"y"}`), false},
		"any_origin":         {answer(200, standard+`,"Access-Control-Allow-Origin":"*"`, `{"x":"y"}`), false},
		"problem":            {answer(404, problemType, problem), true},
		"problem_as_json":    {answer(404, standard, problem), false},
		"problem_other":      {answer(400, problemType, problem), false},
		"problem_more":       {answer(404, problemType, problem[:len(problem)-1]+`,"stack":"x"}`), false},
		"not_json":           {"hello", false},
		"error_without_body": {answer(500, standard, ""), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := resttest.Client{Handler: canned(c.answer), Function: f}
			require.Equal(t, !c.fine, fails(t, func(r testing.TB) { client.DoContext(t.Context(), r, "get", resttest.Request{}) }))
		})
	}
	require.True(t, fails(t, func(r testing.TB) { resttest.Client{Function: f}.DoContext(t.Context(), r, "nope", resttest.Request{}) }))
	reply := resttest.Reply{Status: 404, Headers: map[string]string{"Content-Type": "application/problem+json"}, Body: problem}
	require.False(t, fails(t, func(r testing.TB) { reply.Refused(r, 404, "not_found") }))
	require.True(t, fails(t, func(r testing.TB) { reply.Refused(r, 404, "gone") }))
	require.True(t, fails(t, func(r testing.TB) { reply.Refused(r, 400, "not_found") }))
	require.True(t, fails(t, func(r testing.TB) { reply.Decode(r, new(any)) }))
}
