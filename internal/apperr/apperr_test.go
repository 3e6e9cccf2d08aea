package apperr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/service"
)

var kinds = map[apperr.Kind]int{
	apperr.Internal: 500, apperr.Invalid: 400, apperr.Unauthenticated: 401, apperr.Forbidden: 403, apperr.NotFound: 404,
	apperr.Conflict: 409, apperr.TooLarge: 413, apperr.UnsupportedMedia: 415, apperr.Unprocessable: 422,
	apperr.Limited: 429, apperr.Unavailable: 503, apperr.Timeout: 504,
}

func TestEveryKindRendersItsOwnStatusAndTitle(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	for kind, status := range kinds {
		p := apperr.New(kind, "", "").Problem("r1")
		require.Equal(t, status, p.Status)
		require.Equal(t, status, kind.Status())
		require.Equal(t, kind.Code(), p.Code)
		require.Equal(t, status >= 500, kind.Hidden())
		require.NotEmpty(t, p.Detail)
		require.Equal(t, "about:blank", p.Type)
		require.Equal(t, "urn:request:r1", p.Instance)
		want := http.StatusText(status)
		if status == 413 || status == 422 { // net/http has the phrases of RFC 7231
			want = map[int]string{413: "Content Too Large", 422: "Unprocessable Content"}[status]
		}
		require.Equal(t, want, p.Title)
		require.False(t, codes[p.Code], "code %s is used twice", p.Code)
		codes[p.Code] = true
	}
}

// The table of the tests has every kind that there is, and what is none is internal.
func TestKindsAreClosed(t *testing.T) {
	t.Parallel()
	for k := range 256 {
		kind := apperr.Kind(k)
		if _, exists := kinds[kind]; exists {
			require.Less(t, k, len(kinds), "kinds are numbered without a gap")
			continue
		}
		require.Equal(t, []any{500, "internal", true}, []any{kind.Status(), kind.Code(), kind.Hidden()}, "kind %d is missing in the test", k)
	}
}

// Whatever is in an error, a caller sees of a hidden kind only its code and whether to try again, and of no kind the
// cause. Logs see the cause, and neither detail nor faults.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const secret = "hunter2"
		kind := apperr.Kind(rapid.Uint8Range(0, uint8(len(kinds))+1).Draw(t, "kind"))
		around := rapid.StringMatching(`[a-z<">&\\]{0,5}`)
		planted := func(where string) string { return around.Draw(t, where) + secret + around.Draw(t, where) }
		e := apperr.New(kind, rapid.SampledFrom([]string{"", "own_code"}).Draw(t, "code"), "")
		public := false
		if rapid.Bool().Draw(t, "detail") {
			e.Detail, public = planted("in"), true
		}
		if rapid.Bool().Draw(t, "fields") {
			e = e.With(apperr.Field{Pointer: planted("at"), Code: planted("is"), Detail: planted("for")}, apperr.Field{Parameter: planted("p")})
			public = true
		}
		if rapid.Bool().Draw(t, "cause") {
			e = e.Because(fmt.Errorf("a: %w", errors.New(planted("cause"))))
		}
		if rapid.Bool().Draw(t, "retry") {
			e = e.After(time.Second)
		}
		var err error = e
		for range rapid.IntRange(0, 2).Draw(t, "wraps") {
			err = fmt.Errorf("%s: %w", planted("wrap"), err)
		}
		shown := string(apperr.From(err).Render("r1"))
		require.True(t, json.Valid([]byte(shown)))
		require.Equal(t, public && !kind.Hidden(), strings.Contains(shown, secret), shown)
		require.Equal(t, apperr.From(err).Unwrap() != nil, strings.Contains(apperr.From(err).Error(), secret))
	})
	shown := string(apperr.From(errors.New("hunter2")).Render(""))
	require.NotContains(t, shown, "hunter2", "what is no *Error is hidden")
}

func TestFrom(t *testing.T) {
	t.Parallel()
	taken := apperr.New(apperr.Conflict, "taken", "")
	boom := errors.New("boom")
	cases := map[string]struct {
		err  error
		kind apperr.Kind
		code string
	}{
		"unknown_is_internal": {boom, apperr.Internal, "internal"},
		"as_is":               {taken, apperr.Conflict, "taken"},
		"wrapped":             {fmt.Errorf("x: %w", taken), apperr.Conflict, "taken"},
		"joined":              {errors.Join(boom, taken), apperr.Conflict, "taken"},
		"deadline":            {fmt.Errorf("x: %w", context.DeadlineExceeded), apperr.Timeout, "timeout"},
		"canceled":            {context.Canceled, apperr.Internal, "internal"},
		"own_kind_wins":       {apperr.New(apperr.Unavailable, "", "").Because(context.DeadlineExceeded), apperr.Unavailable, "unavailable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := apperr.From(c.err)
			require.Equal(t, c.kind, got.Kind)
			require.Equal(t, c.code, got.Problem("").Code)
		})
	}
	require.Nil(t, apperr.From(nil))
	require.ErrorIs(t, apperr.From(boom), boom)
}

func TestMethodsLeaveTheOriginalAlone(t *testing.T) {
	base := apperr.New(apperr.Limited, "slow", "")
	changed := base.After(time.Second).With(apperr.Field{Code: "x"}).Because(errors.New("y"))
	require.Equal(t, apperr.New(apperr.Limited, "slow", ""), base)
	require.Equal(t, "slow", base.Error())
	require.Equal(t, "slow: y", changed.Error())
	require.Equal(t, time.Second, changed.RetryAfter)
}

func TestProblemIsWhatTheRFCSays(t *testing.T) {
	t.Parallel()
	e := apperr.New(apperr.Invalid, "", "d").With(apperr.Field{Pointer: "/email", Code: "pattern"})
	require.JSONEq(t, `{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid","detail":"d",
		"instance":"urn:request:1","errors":[{"pointer":"/email","code":"pattern"}]}`, string(e.Render("1")))

	var p map[string]any
	require.NoError(t, json.Unmarshal(apperr.New(apperr.Limited, "", "").After(time.Second).Render(""), &p))
	require.Equal(t, true, p["retryable"])
	require.NotContains(t, p, "instance")
	require.NotContains(t, p, "errors")
}

// What we send and what the API document says of it have the same members, in both directions, and those that are
// always sent are the required ones.
func TestProblemHasTheMembersOfTheDeclaredModel(t *testing.T) {
	t.Parallel()
	document := service.OpenAPI(catalog.Backend(), "t", "1")
	schemas := document["components"].(map[string]any)["schemas"].(map[string]any)
	for name, of := range map[string]any{"Problem": apperr.Problem{}, "ProblemField": apperr.Field{}} {
		schema := schemas[name].(map[string]any)
		members, always := membersOf(reflect.TypeOf(of))
		require.Equal(t, slices.Sorted(maps.Keys(schema["properties"].(map[string]any))), members, name)
		for _, required := range schema["required"].([]any) {
			require.Contains(t, always, required)
		}
	}
}

func membersOf(t reflect.Type) (all, always []string) {
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		all = append(all, name)
		if options == "" {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	return all, always
}

// Errors that the gateway makes, as the component's golden has them, have our members, statuses, titles and codes.
func TestGatewayMakesTheSameProblems(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../components/testdata/RestApi.golden.json")
	require.NoError(t, err)
	var golden any
	require.NoError(t, json.Unmarshal(file, &golden))
	responses, ok := find(golden, "x-amazon-apigateway-gateway-responses").(map[string]any)
	require.True(t, ok)
	require.Greater(t, len(responses), 15)
	members, _ := membersOf(reflect.TypeFor[apperr.Problem]())
	ours := map[string]apperr.Problem{}
	for kind := range kinds {
		ours[kind.Code()] = apperr.New(kind, "", "").Problem("$context.requestId")
	}
	for name, response := range responses {
		problem, ok := find(response, "(json)").(map[string]any)
		require.True(t, ok, name)
		require.Subset(t, members, slices.Collect(maps.Keys(problem)), name)
		require.Equal(t, []any{"about:blank", "urn:request:$context.requestId"}, []any{problem["type"], problem["instance"]}, name)
		status, said := problem["status"].(float64)
		own := ours[problem["code"].(string)]
		switch name {
		case "DEFAULT_4XX": // whatever the status is
			require.False(t, said)
			require.Equal(t, "refused", problem["code"])
		case "INTEGRATION_FAILURE": // the function answered nothing: 502 is the gateway's alone
			require.Equal(t, []any{float64(502), "Bad Gateway", "internal"}, []any{status, problem["title"], problem["code"]})
		default:
			require.Equal(t, own.Title, problem["title"], name)
			require.True(t, !said || float64(own.Status) == status, name)
		}
	}
}

// find is the first value of a member of that name, anywhere within.
func find(within any, name string) any {
	var inner []any
	switch v := within.(type) {
	case map[string]any:
		if found, ok := v[name]; ok {
			return found
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner = append(inner, v[key])
		}
	case []any:
		inner = v
	}
	for _, v := range inner {
		if found := find(v, name); found != nil {
			return found
		}
	}
	return nil
}

// FuzzRender holds that whatever is in an error, what is sent is one JSON object with our members and on one line, which
// reads back as it was but for bytes that are not UTF-8.
func FuzzRender(f *testing.F) {
	f.Add(uint8(1), "code", "detail", "/a~1b", "pattern", "r1", int64(0))
	f.Add(uint8(0), "", "", "", "", "", int64(-1))
	f.Add(uint8(255), "\xff", "\u2028\"</script>", "\x00", "\r\n", "\ud7ff", int64(1)<<62)
	f.Fuzz(func(t *testing.T, kind uint8, code, detail, pointer, fault, id string, after int64) {
		e := apperr.New(apperr.Kind(kind), code, detail).With(apperr.Field{Pointer: pointer, Code: fault, Detail: detail}).After(time.Duration(after))
		b := e.Render(id)
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		var got apperr.Problem
		if err := d.Decode(&got); err != nil || !json.Valid(b) || bytes.ContainsAny(b, "\n\r") || !utf8.Valid(b) {
			t.Fatalf("%q: %v", b, err)
		}
		want := e.Problem(id)
		for _, s := range []string{code, detail, pointer, fault, id} {
			if !utf8.ValidString(s) {
				want, got = apperr.Problem{Status: want.Status, Title: want.Title}, apperr.Problem{Status: got.Status, Title: got.Title}
			}
		}
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%q is not %+v", b, want)
		}
	})
}
