package apperr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
)

var kinds = map[apperr.Kind]int{
	apperr.Internal: 500, apperr.Invalid: 400, apperr.Unauthenticated: 401, apperr.Forbidden: 403, apperr.NotFound: 404,
	apperr.Conflict: 409, apperr.TooLarge: 413, apperr.UnsupportedMedia: 415, apperr.Unprocessable: 422,
	apperr.Limited: 429, apperr.Unavailable: 503, apperr.Timeout: 504,
}

func TestEveryKindRendersItsOwnStatusAndTitle(t *testing.T) {
	codes := map[string]bool{}
	for kind, status := range kinds {
		p := apperr.New(kind, "", "").Problem("r1")
		require.Equal(t, status, p.Status)
		require.Equal(t, status, kind.Status())
		require.NotEmpty(t, p.Detail)
		require.Equal(t, "urn:request:r1", p.Instance)
		want := http.StatusText(status)
		if status == 413 || status == 422 { // net/http has the phrases of RFC 7231
			want = map[int]string{413: "Content Too Large", 422: "Unprocessable Content"}[status]
		}
		require.Equal(t, want, p.Title)
		require.False(t, codes[p.Code], "code %s is used twice", p.Code)
		codes[p.Code] = true
	}
	require.Equal(t, 500, apperr.Kind(200).Status(), "a kind that does not exist is internal")
}

func TestHiddenKindsShowNothingOfTheirOwn(t *testing.T) {
	for kind, status := range kinds {
		secret := "the table is on fire"
		e := apperr.New(kind, "", secret).With(apperr.Field{Pointer: "/x", Code: "y", Detail: secret}).Because(errors.New(secret))
		got := string(e.Render("r1"))
		if status >= 500 {
			require.NotContains(t, got, secret)
		} else {
			require.Contains(t, got, secret)
			require.NotContains(t, string(apperr.New(kind, "", "").Because(errors.New(secret)).Render("")), secret, "a cause is never shown")
		}
	}
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

func TestProblemHasTheMembersOfTheDeclaredModel(t *testing.T) {
	e := apperr.New(apperr.Invalid, "", "d").With(apperr.Field{Pointer: "/email", Code: "pattern"})
	require.JSONEq(t, `{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid","detail":"d",
		"instance":"urn:request:1","errors":[{"pointer":"/email","code":"pattern"}]}`, string(e.Render("1")))

	var p map[string]any
	require.NoError(t, json.Unmarshal(apperr.New(apperr.Limited, "", "").After(time.Second).Render(""), &p))
	require.Equal(t, true, p["retryable"])
	require.NotContains(t, p, "instance")
	require.NotContains(t, p, "errors")
}
