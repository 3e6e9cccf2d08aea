package validate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/validate"
)

// Texts of the corpus are sent as a client sends them, cleaned, and come back: nothing is escaped for HTML, and the answer
// is JSON that a browser will not take for a page. Neither they nor what is refused leave a second line in the log.
func TestHostileTextThroughTheAPI(t *testing.T) {
	t.Parallel()
	text := &service.Model{Name: "Text", Fields: []service.Field{{Name: "text", Type: service.String, Required: true, Max: 200}}}
	f := service.Function{Key: "echo", Routes: []service.Route{{ID: "echo", Method: "POST", Path: "/v1/echo", Caller: service.Public("It is a test."),
		Status: 200, Request: text, Response: text}}}
	var log bytes.Buffer
	api, err := rest.New(f, map[string]rest.Handler{"echo": func(_ context.Context, r *rest.Request) (rest.Response, error) {
		var in struct {
			Text string `json:"text"`
		}
		if err := r.Decode(&in); err != nil {
			return rest.Response{}, err
		}
		clean, code := validate.Text(in.Text, validate.Size{Runes: 200})
		if code != "" {
			return rest.Response{}, validate.Refuse(apperr.Field{Pointer: "/text", Code: code})
		}
		return rest.Response{Body: map[string]string{"text": clean}}, nil
	}}, rest.Deps{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	require.NoError(t, err)
	client := resttest.Client{Handler: api, Function: f}

	sent := 0
	for name, c := range corpus(t, "testdata/injection.txt") {
		place, input, expected := c[0], c[1], c[2]
		if place != "text" || strings.HasPrefix(name, "overlong") { // no encoder of JSON writes bytes that are not UTF-8
			continue
		}
		sent++
		reply := client.Do(t, "echo", resttest.Request{Body: map[string]string{"text": input}})
		require.False(t, strings.ContainsFunc(reply.Body, unicode.IsControl), name)
		if expected == "refused" {
			require.Equal(t, 400, reply.Status, name)
			require.Equal(t, []apperr.Field{{Pointer: "/text", Code: c[3]}}, reply.Problem(t).Errors, name)
			require.NotContains(t, reply.Body, input)
			continue
		}
		want := input
		if expected == "to" {
			want = c[3]
		}
		var out map[string]string
		require.NoError(t, json.Unmarshal([]byte(reply.Body), &out), name)
		require.Equal(t, want, out["text"], name)
		require.Equal(t, strings.Count(want, "<"), strings.Count(reply.Body, "<"), "%s: it is not escaped for HTML", name)
	}
	require.Greater(t, sent, 30)
	require.Equal(t, sent, strings.Count(log.String(), "\n"), "each request leaves one line")
}
