package authorizer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/telemetry"
	"github.com/expenzez/aws-backend/internal/token"
	"github.com/expenzez/aws-backend/lambda/authorizer"
)

const (
	issuer = "https://api.dev.example.com"
	method = "arn:aws:execute-api:eu-west-2:123456789012:a1b2c3/live/GET/v1/transactions/7"
)

var start = time.Unix(1_800_000_000, 0)

type world struct {
	now     time.Time
	items   []store.Item
	err     error
	queries int
	signer  *token.Signer
	handler lambda.Handler
	log     bytes.Buffer
}

// Query makes the world the table of public keys.
func (w *world) Query(context.Context, *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	w.queries++
	return &dynamodb.QueryOutput{Items: w.items}, w.err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	value, public, err := token.NewKey(start)
	require.NoError(t, err)
	item, err := public.Item()
	require.NoError(t, err)
	w := &world{now: start, items: []store.Item{item}}
	clock := func() time.Time { return w.now }
	w.signer = token.NewSigner(issuer, func(context.Context) (secret.Value, error) { return value, nil }, clock)
	keys := token.NewKeys(w, token.KeysOptions{Now: clock})
	w.handler = authorizer.New(token.NewVerifier(issuer, keys, clock), telemetry.New(&w.log, telemetry.Options{Function: "authorizer", Level: slog.LevelDebug}), clock)
	return w
}

// line is the only one in the log.
func (w *world) line(t *testing.T) map[string]any {
	t.Helper()
	var line map[string]any
	require.NoError(t, json.Unmarshal(w.log.Bytes(), &line), w.log.String())
	return line
}

func (w *world) token(t *testing.T) string {
	t.Helper()
	raw, _, err := w.signer.Sign(t.Context(), "user-1", "session-1")
	require.NoError(t, err)
	return raw
}

func (w *world) call(t *testing.T, header, arn string) ([]byte, error) {
	t.Helper()
	event, err := json.Marshal(events.APIGatewayCustomAuthorizerRequest{Type: "TOKEN", AuthorizationToken: header, MethodArn: arn})
	require.NoError(t, err)
	return w.handler.Invoke(t.Context(), event)
}

func TestAValidTokenOpensTheStage(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Bearer ", "bearer "} {
		w := newWorld(t)
		got, err := w.call(t, scheme+w.token(t), method)
		require.NoError(t, err)
		require.JSONEq(t, `{"principalId":"user-1",
			"policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["execute-api:Invoke"],
				"Resource":["arn:aws:execute-api:eu-west-2:123456789012:a1b2c3/live/*"]}]},
			"context":{"sub":"user-1","sid":"session-1","iat":"1800000000","exp":"1800000900"}}`, string(got))
		var known events.APIGatewayCustomAuthorizerResponse
		require.NoError(t, json.Unmarshal(got, &known))
		require.Equal(t, []string{"execute-api:Invoke"}, known.PolicyDocument.Statement[0].Action)
	}
}

func TestRefusalsAreTheWordThatTheGatewayKnows(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T, w *world) string{
		"nothing":      func(*testing.T, *world) string { return "" },
		"no_scheme":    func(t *testing.T, w *world) string { return w.token(t) },
		"other_scheme": func(t *testing.T, w *world) string { return "Basic " + w.token(t) },
		"scheme_only":  func(*testing.T, *world) string { return "Bearer" },
		"empty_token":  func(*testing.T, *world) string { return "Bearer " },
		"two_blanks":   func(t *testing.T, w *world) string { return "Bearer  " + w.token(t) },
		"garbage":      func(*testing.T, *world) string { return "Bearer a.b.c" },
		"oversize":     func(*testing.T, *world) string { return "Bearer " + strings.Repeat("a", 1<<16) },
		"tampered":     func(t *testing.T, w *world) string { return "Bearer " + strings.Replace(w.token(t), ".", ".A", 1) },
		"foreign":      func(t *testing.T, _ *world) string { return "Bearer " + newWorld(t).token(t) },
		"expired": func(t *testing.T, w *world) string {
			raw := w.token(t)
			w.now = w.now.Add(time.Hour)
			return "Bearer " + raw
		},
		"from_tomorrow": func(t *testing.T, w *world) string {
			raw := w.token(t)
			w.now = w.now.Add(-24 * time.Hour)
			return "Bearer " + raw
		},
	}
	for name, header := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h := header(t, w)
			got, err := w.call(t, h, method)
			require.EqualError(t, err, "Unauthorized")
			require.Nil(t, got)
			if len(h) > 20 {
				require.NotContains(t, w.log.String(), h[10:], "a log never holds a token")
			}
			line := w.line(t)
			require.Equal(t, "INFO", line["level"])
			require.EqualValues(t, 401, line["status"])
			require.Contains(t, line["error"], "access token is not valid")
			require.NotContains(t, line, "event", "it is no fault of ours")
		})
	}
}

func TestFailuresAreNotRefusals(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(*world)
		arn   string
		want  string
	}{
		"table_fails":      {func(w *world) { w.err = errors.New("down") }, method, "down"},
		"no_keys":          {func(w *world) { w.items = nil }, method, "no public key is published"},
		"no_arn":           {func(*world) {}, "", "methodArn"},
		"arn_of_bucket":    {func(*world) {}, "arn:aws:s3:bucket/stage/key", "methodArn"},
		"arn_without_path": {func(*world) {}, "arn:aws:execute-api:eu-west-2:123456789012:a1b2c3/live", "methodArn"},
		"arn_no_stage":     {func(*world) {}, "arn:aws:execute-api:eu-west-2:123456789012:a1b2c3//GET/", "methodArn"},
		"arn_wild_stage":   {func(*world) {}, "arn:aws:execute-api:eu-west-2:123456789012:a1b2c3/*/GET/", "methodArn"},
		"arn_wild_api":     {func(*world) {}, "arn:aws:execute-api:eu-west-2:123456789012:*/live/GET/", "methodArn"},
		"not_an_arn":       {func(*world) {}, "a:b:c:d:e:f/live/GET/x", "methodArn"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			raw := w.token(t)
			c.spoil(w)
			_, err := w.call(t, "Bearer "+raw, c.arn)
			require.ErrorContains(t, err, c.want)
			require.NotEqual(t, "Unauthorized", err.Error())
			line := w.line(t)
			require.Equal(t, "ERROR", line["level"])
			require.EqualValues(t, 500, line["status"])
			require.EqualValues(t, 1, line["Errors5xx"])
			require.Contains(t, line["event"], "event_id")
			require.NotContains(t, w.log.String(), "transactions/7", "a log never holds a path")
		})
	}
	w := newWorld(t)
	_, err := w.handler.Invoke(t.Context(), []byte(`{"authorizationToken":`))
	require.ErrorContains(t, err, "not JSON")
}

func TestEachEventLeavesOneLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw := w.token(t)
	for i, cold := range []bool{true, false} {
		w.log.Reset()
		_, err := w.call(t, "Bearer "+raw, method)
		require.NoError(t, err)
		line := w.line(t)
		require.Equal(t, "request", line["message"])
		require.EqualValues(t, 200, line["status"])
		require.Equal(t, cold, line["cold_start"], i)
		require.EqualValues(t, 1, line["Requests"])
		require.Contains(t, line, "Duration")
		require.Contains(t, line, "_aws")
		require.NotContains(t, line, "Errors5xx")
		require.NotContains(t, w.log.String(), "user-1")
	}
}

func TestRepeatedFailuresAreOneEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.err = errors.New("down")
	for _, event := range []bool{true, false} {
		w.log.Reset()
		_, err := w.call(t, "Bearer "+w.token(t), method)
		require.ErrorContains(t, err, "down")
		line := w.line(t)
		require.Equal(t, event, line["event"] != nil)
		require.Equal(t, event, line["ErrorEventsDropped"] == nil)
	}
}

// A panic is a failure like others: the process goes on.
func TestAPanicIsAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw := w.token(t)
	broken := token.NewVerifier(issuer, token.NewKeys(w, token.KeysOptions{Now: func() time.Time { return w.now }}), func() time.Time { panic("boom") })
	w.handler = authorizer.New(broken, telemetry.New(&w.log, telemetry.Options{}), func() time.Time { return w.now })
	_, err := w.call(t, "Bearer "+raw, method)
	require.ErrorContains(t, err, "panic: boom")
	line := w.line(t)
	require.EqualValues(t, 500, line["status"])
	require.Equal(t, "fatal", line["event"].(map[string]any)["level"])
	require.Contains(t, line["stack"], "TestAPanicIsAFailure")
}

// The span of the invocation says what came of it: a refusal is no fault.
func TestWhatTheSpanSays(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", "Bearer "} {
		w := newWorld(t)
		status := 401
		if header != "" {
			header, status = header+w.token(t), 200
		}
		recorder := tracetest.NewSpanRecorder()
		ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("").Start(t.Context(), "authorizer")
		_, _ = w.handler.Invoke(ctx, []byte(`{"authorizationToken":"`+header+`","methodArn":"`+method+`"}`))
		span.End()
		require.Contains(t, recorder.Ended()[0].Attributes(), telemetry.AttrStatus.Int(status))
		require.Contains(t, recorder.Ended()[0].Attributes(), telemetry.AttrColdStart.Bool(true))
	}
}

func TestAWarmAuthorizerCallsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 10 {
		_, err := w.call(t, "Bearer "+w.token(t), method)
		require.NoError(t, err)
	}
	require.Equal(t, 1, w.queries)
}

// The role may do what is declared; the function does that and nothing else.
func TestDeclaredAccessIsUsed(t *testing.T) {
	t.Parallel()
	f, ok := catalog.Auth().Function("authorizer")
	require.True(t, ok)
	var granted []mem.Grant
	for _, a := range f.Tables {
		granted = append(granted, mem.Grant{Table: a.Table, Index: a.Index, Actions: a.Actions})
	}
	db := mem.New(mem.Schema{Name: "signing-keys", Hash: "pk", Range: "sk"})
	w := newWorld(t)
	_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("signing-keys"), Item: w.items[0]})
	require.NoError(t, err)
	view := db.As(granted...)
	clock := func() time.Time { return w.now }
	keys := token.NewKeys(store.NewTable(view, "signing-keys"), token.KeysOptions{Now: clock})
	w.handler = authorizer.New(token.NewVerifier(issuer, keys, clock), telemetry.New(&w.log, telemetry.Options{}), clock)
	_, err = w.call(t, "Bearer "+w.token(t), method)
	require.NoError(t, err)
	require.Equal(t, granted, view.Used())
	require.Empty(t, view.Denied())
	require.Empty(t, f.Secrets, "verifying needs no secret")
	require.Empty(t, f.Keys)
}
