package auth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/store"
)

const day = 24 * time.Hour

func (w *world) refresh(t testing.TB, refreshToken string) pair {
	t.Helper()
	var p pair
	w.Do(t, "refresh", renewing(refreshToken)).Decode(t, &p)
	return p
}

func sessionOf(p pair) string { return p.RefreshToken[:22] }

// ended requires that a session gives nothing any more and that its access tokens are refused, by the table of revoked
// tokens and by the mark beside the user's counters.
func (w *world) ended(t *testing.T, p pair, status string) {
	t.Helper()
	require.Equal(t, status, store.Read(w.item(t, "sessions", "SESSION#"+sessionOf(p))).S("status"))
	require.Greater(t, store.Read(w.item(t, "revoked-tokens", "SID#"+sessionOf(p))).N("ttl"), w.now.Add(15*time.Minute).Unix())
	user := w.user(t, p.AccessToken)
	marked := false
	for name := range w.item(t, "rate-limits", revoke.CounterKey(revoke.Subject(user.Subject))) {
		m, ok := revoke.ParseMark(name)
		marked = marked || ok && m.Session == sessionOf(p)
	}
	require.True(t, marked)
	w.Do(t, "logout", resttest.Request{User: user}).Refused(t, 401, "session_ended")
}

func TestRotationGoesOnAndOn(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	seen := map[string]bool{}
	for range 20 {
		require.False(t, seen[p.RefreshToken])
		seen[p.RefreshToken] = true
		w.now = w.now.Add(4 * day)
		p = w.refresh(t, p.RefreshToken)
		w.user(t, p.AccessToken)
	}
	require.Equal(t, []string{"login"}, w.events(t, w.user(t, p.AccessToken).Subject))
}

func TestWhenSessionsEnd(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		steps []time.Duration // between renewals; the last one is refused
	}{
		"idle":              {[]time.Duration{30 * day}},
		"idle_after_use":    {[]time.Duration{29 * day, 30 * day}},
		"absolute":          {[]time.Duration{29 * day, 29 * day, 29 * day, 3 * day}},
		"absolute_to_a_sec": {[]time.Duration{29 * day, 29 * day, 29 * day, 3*day - time.Second, time.Second}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := signedIn(t)
			sub := w.user(t, p.AccessToken).Subject
			for i, step := range c.steps {
				w.now = w.now.Add(step)
				if i == len(c.steps)-1 {
					w.Do(t, "refresh", renewing(p.RefreshToken)).Refused(t, 401, "invalid_refresh_token")
					break
				}
				p = w.refresh(t, p.RefreshToken)
			}
			require.Equal(t, []string{"login"}, w.events(t, sub), "an old session is no alarm")
		})
	}
}

// A client that did not hear the answer asks again, and hears the same.
func TestTheGraceGivesTheSameSuccessor(t *testing.T) {
	t.Parallel()
	w, first := signedIn(t)
	second := w.refresh(t, first.RefreshToken)
	for _, after := range []time.Duration{0, 10 * time.Second, 10 * time.Second} {
		w.now = w.now.Add(after)
		again := w.refresh(t, first.RefreshToken)
		require.Equal(t, second.RefreshToken, again.RefreshToken)
		w.user(t, again.AccessToken)
	}
	third := w.refresh(t, second.RefreshToken)
	require.NotEqual(t, second.RefreshToken, third.RefreshToken)
	require.Equal(t, []string{"login"}, w.events(t, w.user(t, third.AccessToken).Subject))
}

func TestManyRenewalsAtOnceGiveOneSuccessor(t *testing.T) {
	t.Parallel()
	w, first := signedIn(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 16 {
		wg.Go(func() {
			p := w.refresh(t, first.RefreshToken)
			mu.Lock()
			defer mu.Unlock()
			got[p.RefreshToken]++
		})
	}
	wg.Wait()
	require.Len(t, got, 1)
}

func TestReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T, w *world, first pair) (used string, live pair){
		"after_the_grace": func(t *testing.T, w *world, first pair) (string, pair) {
			live := w.refresh(t, first.RefreshToken)
			w.now = w.now.Add(21 * time.Second)
			return first.RefreshToken, live
		},
		"older_than_the_last": func(t *testing.T, w *world, first pair) (string, pair) {
			return first.RefreshToken, w.refresh(t, w.refresh(t, first.RefreshToken).RefreshToken)
		},
		"never_given_out": func(_ *testing.T, _ *world, first pair) (string, pair) {
			return sessionOf(first) + "." + strings.Repeat("A", 43), first
		},
	}
	for name, steal := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, first := signedIn(t)
			other := w.login(t)
			used, live := steal(t, w, first)
			w.Do(t, "refresh", renewing(used)).Refused(t, 401, "invalid_refresh_token")
			w.ended(t, live, "revoked")
			w.Do(t, "refresh", renewing(live.RefreshToken)).Refused(t, 401, "invalid_refresh_token")
			sub := w.user(t, first.AccessToken).Subject
			require.ElementsMatch(t, []string{"login", "login", "refresh_reused"}, w.events(t, sub), "noted once")
			w.refresh(t, other.RefreshToken)
			require.Contains(t, w.log.String(), "a refresh secret was used twice")
		})
	}
}

func TestReuseThatCannotBeStoppedIsNotAnswered(t *testing.T) {
	t.Parallel()
	w, first := signedIn(t)
	live := w.refresh(t, first.RefreshToken)
	w.now = w.now.Add(time.Minute)
	w.fail("TransactWriteItems", "", errors.New("down"))
	w.Do(t, "refresh", renewing(first.RefreshToken)).Refused(t, 503, "unavailable")
	w.fail("TransactWriteItems", "", nil)
	w.Do(t, "refresh", renewing(first.RefreshToken)).Refused(t, 401, "invalid_refresh_token")
	w.ended(t, live, "revoked")
}

// The SDK tries again when an answer is lost; the second try finds its own work done.
func TestALostAnswerIsNoReuse(t *testing.T) {
	t.Parallel()
	w, first := signedIn(t)
	w.loseAnswers("UpdateItem", "sessions")
	second := w.refresh(t, first.RefreshToken)
	w.loseAnswers("", "")
	third := w.refresh(t, second.RefreshToken)
	require.Equal(t, []string{"login"}, w.events(t, w.user(t, third.AccessToken).Subject))
}

func TestRefreshFailsClosed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil  func(t *testing.T, w *world, p pair)
		status int
		code   string
	}{
		"sessions_down": {func(_ *testing.T, w *world, _ pair) { w.fail("UpdateItem", "sessions", errors.New("down")) }, 503, "unavailable"},
		"sessions_slow": {func(_ *testing.T, w *world, _ pair) { w.fail("UpdateItem", "sessions", context.DeadlineExceeded) }, 503, "unavailable"},
		"limiter_down":  {func(_ *testing.T, w *world, _ pair) { w.fail("UpdateItem", "rate-limits", errors.New("down")) }, 503, "unavailable"},
		"no_signing_key": {func(_ *testing.T, w *world, _ pair) {
			w.now = w.now.Add(2 * time.Hour)
			w.vault.err = errors.New("down")
		}, 503, "unavailable"},
		"keysets_down":    {func(t *testing.T, w *world, _ pair) { w.kms.Fail("Decrypt", errors.New("down")); w.restart(t) }, 503, "unavailable"},
		"session_corrupt": {func(t *testing.T, w *world, p pair) { w.spoilSession(t, sessionOf(p)) }, 500, "internal"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := signedIn(t)
			c.spoil(t, w, p)
			w.Do(t, "refresh", renewing(p.RefreshToken)).Refused(t, c.status, c.code)
			require.Equal(t, []string{"login"}, w.events(t, w.sub), "an outage is no alarm")
		})
	}
}

// While nothing can be signed nothing is rotated either: the token is good for when it can.
func TestNothingIsRotatedWithoutASigningKey(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	w.now = w.now.Add(2 * time.Hour)
	w.vault.err = errors.New("down")
	w.Do(t, "refresh", renewing(p.RefreshToken)).Refused(t, 503, "unavailable")
	w.vault.err = nil
	w.now = w.now.Add(time.Minute)
	w.refresh(t, p.RefreshToken)
}

// A signing key that has got old is renewed by the request that uses it, and not beyond that request.
func TestARenewalOfTheSigningKeyEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]time.Duration{"in_time": 100 * time.Millisecond, "too_slow": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, p := signedIn(t)
				w.now = w.now.Add(10 * time.Minute)
				w.vault.slow = slow
				calls, began := w.vault.calls, time.Now()
				w.refresh(t, p.RefreshToken)
				require.Equal(t, min(slow, 225*time.Millisecond), time.Since(began))
				require.Equal(t, calls+1, w.vault.calls)
				synctest.Wait()
				require.Equal(t, w.vault.calls, w.vault.ended)
			})
		})
	}
}

func TestLoginFailsClosed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ call, table string }{
		"limiter":  {"UpdateItem", "rate-limits"},
		"attempts": {"UpdateItem", "login-attempts"},
		"start":    {"TransactWriteItems", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.signUp(t, email)
			w.fail(c.call, c.table, errors.New("down"))
			w.Do(t, "login", loggingIn(email, password)).Refused(t, 503, "unavailable")
			require.Empty(t, w.items("sessions"))
			require.Empty(t, w.items("security-events"))
			w.fail(c.call, c.table, nil)
			w.login(t)
		})
	}
}

// The lockout's own housekeeping may fail: it only makes the lockout stricter.
func TestForgettingAttemptsMayFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signUp(t, email)
	w.fail("DeleteItem", "login-attempts", errors.New("down"))
	w.login(t)
	require.EqualValues(t, 1, w.failures(t, email))
	require.Contains(t, w.log.String(), "failed attempts were not forgotten")
}

func TestLogoutFailsClosed(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ call, table string }{
		"counters": {"UpdateItem", "rate-limits"}, "revocation": {"BatchGetItem", "revoked-tokens"}, "end": {"TransactWriteItems", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, p := signedIn(t)
			user := w.user(t, p.AccessToken)
			w.fail(c.call, c.table, errors.New("down"))
			w.Do(t, "logout", resttest.Request{User: user}).Refused(t, 503, "unavailable")
			require.Empty(t, w.items("revoked-tokens"))
			w.fail(c.call, c.table, nil)
			require.Equal(t, 204, w.Do(t, "logout", resttest.Request{User: user}).Status)
			w.ended(t, p, "logged_out")
		})
	}
}

// The session's item may be gone, by its time to live or by hand: its access tokens end all the same.
func TestLogoutWithoutASession(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	user := w.user(t, p.AccessToken)
	w.remove(t, "sessions", "SESSION#"+sessionOf(p))
	require.Equal(t, 204, w.Do(t, "logout", resttest.Request{User: user}).Status)
	w.Do(t, "logout", resttest.Request{User: user}).Refused(t, 401, "session_ended")
	require.Empty(t, w.items("sessions"), "nothing is made up")

	w.fail("TransactWriteItems", "", errors.New("down"))
	w.Do(t, "logout", resttest.Request{User: &resttest.User{Subject: user.Subject, Session: "another", Expires: user.Expires}}).Refused(t, 503, "unavailable")
}

func TestNobodyEndsTheSessionOfAnother(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	user := *w.user(t, p.AccessToken)
	user.Subject = "somebody-else"
	require.Equal(t, 204, w.Do(t, "logout", resttest.Request{User: &user}).Status)
	require.Equal(t, "active", store.Read(w.item(t, "sessions", "SESSION#"+sessionOf(p))).S("status"))
}

func TestARevocationIsForgottenAfterItsTime(t *testing.T) {
	t.Parallel()
	w, p := signedIn(t)
	user := w.user(t, p.AccessToken)
	require.Equal(t, 204, w.Do(t, "logout", resttest.Request{User: user}).Status)
	ttl := time.Unix(store.Read(w.item(t, "revoked-tokens", "SID#"+sessionOf(p))).N("ttl"), 0)
	require.Greater(t, ttl.Sub(user.Expires), 5*time.Minute-time.Second, "it outlives every access token of the session")
}
