package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/session"
	"github.com/expenzez/aws-backend/internal/store"
)

func TestInMemory(t *testing.T) {
	t.Parallel()
	conform(t, func(t *testing.T) *world { return inMemory(t) })
}

func TestOnTheEmulator(t *testing.T) {
	t.Parallel()
	conform(t, onTheEmulator)
}

// conform is the contract of sessions, on any store.
func conform(t *testing.T, newWorld func(*testing.T) *world) {
	cases := map[string]func(*testing.T, *world){
		"every_renewal_gives_the_next":     renewsOnAndOn,
		"the_grace_gives_the_same":         graceGivesTheSame,
		"many_at_once_get_one_successor":   manyAtOnce,
		"reuse_ends_it_for_both":           reuseEndsIt,
		"logout_is_no_alarm":               logoutIsNoAlarm,
		"logout_without_a_session":         logoutWithoutASession,
		"nobody_ends_the_session_of_other": endsOnlyOwn,
		"expiry":                           expiry,
		"renewal_under_faults":             renewalUnderFaults,
		"ending_under_faults":              endingUnderFaults,
		"calls_end_with_their_deadline":    deadline,
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

func renewsOnAndOn(t *testing.T, w *world) {
	g := w.signIn(t)
	seen := map[string]bool{}
	for range 10 {
		require.False(t, seen[g.RefreshToken])
		seen[g.RefreshToken] = true
		w.now = w.now.Add(5 * day)
		next := w.renew(t, g.RefreshToken)
		require.Equal(t, session.Grant{User: user, Session: g.Session, RefreshToken: next.RefreshToken}, next)
		g = next
	}
	require.Empty(t, w.events(t))
}

func graceGivesTheSame(t *testing.T, w *world) {
	first := w.signIn(t)
	second := w.renew(t, first.RefreshToken)
	for _, after := range []time.Duration{0, 10 * time.Second, 10 * time.Second, -40 * time.Second} {
		w.now = w.now.Add(after)
		require.Equal(t, second, w.renew(t, first.RefreshToken), after)
	}
	require.NotEqual(t, second, w.renew(t, second.RefreshToken), "the successor itself is good for one renewal")
	require.Empty(t, w.events(t))
}

func manyAtOnce(t *testing.T, w *world) {
	first := w.signIn(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for range 12 {
		wg.Go(func() {
			g, err := w.s.Renew(t.Context(), first.RefreshToken, w.now)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				got[err.Error()]++
				return
			}
			got[g.RefreshToken]++
		})
	}
	wg.Wait()
	require.Len(t, got, 1)
	require.Equal(t, 12, got[w.renew(t, first.RefreshToken).RefreshToken])
}

func reuseEndsIt(t *testing.T, w *world) {
	cases := map[string]func(first session.Grant) (used string, live session.Grant){
		"after_the_grace": func(first session.Grant) (string, session.Grant) {
			live := w.renew(t, first.RefreshToken)
			w.now = w.now.Add(20*time.Second + 1)
			return first.RefreshToken, live
		},
		"a_clock_that_went_back": func(first session.Grant) (string, session.Grant) {
			live := w.renew(t, first.RefreshToken)
			w.now = w.now.Add(-time.Hour)
			return first.RefreshToken, live
		},
		"older_than_the_last": func(first session.Grant) (string, session.Grant) {
			return first.RefreshToken, w.renew(t, w.renew(t, first.RefreshToken).RefreshToken)
		},
		"never_given_out": func(first session.Grant) (string, session.Grant) {
			return first.Session + "." + strings.Repeat("A", 43), first
		},
	}
	events := []string{}
	other := w.signIn(t)
	for name, steal := range cases {
		w.now = start
		used, live := steal(w.signIn(t))
		w.refused(t, used)
		events = append(events, session.EventReused)
		w.ended(t, live, "revoked", events...)
		w.refused(t, used)
		require.Len(t, w.events(t), len(events), "%s: noted once", name)
	}
	w.now = start
	w.renew(t, other.RefreshToken)
}

func logoutIsNoAlarm(t *testing.T, w *world) {
	first := w.signIn(t)
	second := w.renew(t, first.RefreshToken)
	require.NoError(t, w.s.End(t.Context(), user, second.Session, w.now))
	w.ended(t, second, "logged_out", session.EventLogout)
	w.ended(t, first, "logged_out", session.EventLogout) // within the grace, had it lived
	w.now = w.now.Add(time.Hour)
	w.ended(t, first, "logged_out", session.EventLogout)
	require.NoError(t, w.s.End(t.Context(), user, second.Session, w.now), "again")
	w.ended(t, second, "logged_out", session.EventLogout)
}

func logoutWithoutASession(t *testing.T, w *world) {
	require.NoError(t, w.s.End(t.Context(), user, "gone", w.now))
	require.NotNil(t, w.get(t, "revoked", "gone"))
	require.Nil(t, w.item(t, "gone"), "nothing is made up")
	require.Empty(t, w.events(t))
	w.refused(t, strings.Repeat("A", 22)+"."+strings.Repeat("A", 43))
	require.Empty(t, w.events(t))
}

func endsOnlyOwn(t *testing.T, w *world) {
	g := w.signIn(t)
	require.NoError(t, w.s.End(t.Context(), "somebody-else", g.Session, w.now))
	require.Equal(t, "active", store.Read(w.item(t, g.Session)).S("status"))
	require.Nil(t, w.get(t, "revoked", g.Session), "its access tokens are good")
	w.renew(t, g.RefreshToken)
}

func expiry(t *testing.T, w *world) {
	for name, steps := range map[string][]time.Duration{ // between renewals; the last is refused
		"idle":               {30 * day},
		"idle_after_use":     {29 * day, 30 * day},
		"absolute":           {29 * day, 29 * day, 29 * day, 3 * day},
		"absolute_to_second": {29 * day, 29 * day, 29 * day, 3*day - time.Second, time.Second},
	} {
		w.now = start
		g := w.signIn(t)
		for _, step := range steps[:len(steps)-1] {
			w.now = w.now.Add(step)
			g = w.renew(t, g.RefreshToken)
		}
		w.now = w.now.Add(steps[len(steps)-1])
		w.refused(t, g.RefreshToken)
		require.Equal(t, "active", store.Read(w.item(t, g.Session)).S("status"), "%s: an old session is no alarm", name)
		w.now = w.now.Add(-time.Second)
		w.renew(t, g.RefreshToken)
	}
	require.Empty(t, w.events(t))
}

// Whatever happens to the write, the client that asks again within the grace goes on, there is one successor, and no alarm.
func renewalUnderFaults(t *testing.T, w *world) {
	for _, kind := range fault.Kinds() {
		for _, lasting := range []bool{false, true} {
			w.now = start
			first := w.signIn(t)
			plan := fault.At(0, fault.Fault{Kind: kind})
			if lasting {
				plan = fault.From(0, fault.Fault{Kind: kind})
			}
			w.follow(plan)
			got, err := w.s.Renew(t.Context(), first.RefreshToken, w.now)
			w.follow(nil)
			require.NotErrorIs(t, err, session.ErrRefused, kind)
			w.now = w.now.Add(20 * time.Second)
			again := w.renew(t, first.RefreshToken)
			if err == nil {
				require.Equal(t, got, again, kind)
			}
			sum := sha256.Sum256([]byte(again.RefreshToken[len(again.Session)+1:]))
			require.Equal(t, sum[:], store.Read(w.item(t, again.Session)).B("current"), kind)
			w.now = w.now.Add(time.Minute)
			w.renew(t, again.RefreshToken)
		}
	}
	require.Empty(t, w.events(t))
}

// Whatever happens while a session is ended, it is not half ended: another try completes it and notes it once.
func endingUnderFaults(t *testing.T, w *world) {
	events := []string{}
	for _, kind := range fault.Kinds() {
		for _, number := range []int{0, 1} { // the read of reuse, or the first try; what comes after
			w.now = start
			first := w.signIn(t)
			live := w.renew(t, first.RefreshToken)
			w.now = w.now.Add(time.Minute)
			w.follow(fault.From(number, fault.Fault{Kind: kind}))
			_, err := w.s.Renew(t.Context(), first.RefreshToken, w.now)
			w.follow(nil)
			require.Error(t, err)
			require.Equal(t, store.Read(w.item(t, live.Session)).S("status") == "revoked", w.get(t, "revoked", live.Session) != nil, "all or nothing")
			w.refused(t, first.RefreshToken)
			events = append(events, session.EventReused)
			w.ended(t, live, "revoked", events...)
		}
		g := w.signIn(t)
		w.follow(fault.From(0, fault.Fault{Kind: kind}))
		require.Error(t, w.s.End(t.Context(), user, g.Session, w.now))
		w.follow(nil)
		require.NoError(t, w.s.End(t.Context(), user, g.Session, w.now))
		events = append(events, session.EventLogout)
		w.ended(t, g, "logged_out", events...)
	}
}

func deadline(t *testing.T, w *world) {
	g := w.signIn(t)
	w.follow(fault.From(0, fault.Fault{Delay: time.Hour}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.s.Renew(ctx, g.RefreshToken, w.now)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, w.s.End(ctx, user, g.Session, w.now), context.Canceled)
	w.follow(nil)
	w.renew(t, g.RefreshToken)
}

func TestWhatCouldNotBeATokenCallsNothing(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	g := w.signIn(t)
	before := len(w.calls())
	secret := g.RefreshToken[23:]
	for name, token := range map[string]string{
		"empty": "", "no_dot": g.Session + secret, "no_secret": g.Session + ".", "no_session": "." + secret, "short": g.RefreshToken[:65],
		"long": g.RefreshToken + "A", "other_letter": g.RefreshToken[:65] + "=", "two_dots": g.Session + "." + secret[:20] + "." + secret[21:],
		"session_letter": "#" + g.RefreshToken[1:], "giant": strings.Repeat("A", 1<<20), "not_utf8": g.RefreshToken[:65] + "\xff",
	} {
		_, err := w.s.Renew(t.Context(), token, w.now)
		require.ErrorIs(t, err, session.ErrRefused, name)
	}
	require.Len(t, w.calls(), before)
}

func TestSealerFails(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	boom := errors.New("boom")
	first := w.signIn(t)
	w.vault.sealErr = boom
	_, err := w.s.Renew(t.Context(), first.RefreshToken, w.now)
	require.ErrorIs(t, err, boom)
	w.vault.sealErr = nil
	second := w.renew(t, first.RefreshToken)
	w.vault.openErr = boom
	_, err = w.s.Renew(t.Context(), first.RefreshToken, w.now)
	require.ErrorIs(t, err, boom)
	w.vault.openErr = nil
	require.Equal(t, second, w.renew(t, first.RefreshToken))
	require.Empty(t, w.events(t))
}

// A sealed successor of one session does not open in another, and what cannot be read fails closed without an alarm.
func TestCorruptSessions(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(store.Item){
		"current_is_text":   func(i store.Item) { i["current"] = store.S("x") },
		"user_is_a_number":  func(i store.Item) { i["user"] = store.N(1) },
		"until_is_text":     func(i store.Item) { i["until"] = store.S("soon") },
		"successor_is_text": func(i store.Item) { i["successor"] = store.S("x") },
		"rotated_is_text":   func(i store.Item) { i["rotatedAt"] = store.S("x") },
		"successor_moved":   func(i store.Item) { i["successor"] = store.B([]byte("sessions|other|successor|x")) },
		"successor_gone":    func(i store.Item) { delete(i, "successor") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			first := w.signIn(t)
			w.renew(t, first.RefreshToken)
			item := w.item(t, first.Session)
			spoil(item)
			w.put(t, item)
			_, err := w.s.Renew(t.Context(), first.RefreshToken, w.now)
			require.Error(t, err)
			require.NotErrorIs(t, err, session.ErrRefused)
			require.NotContains(t, err.Error(), first.RefreshToken[23:])
			require.Empty(t, w.events(t))
		})
	}
	w := inMemory(t)
	g := w.signIn(t)
	item := w.item(t, g.Session)
	delete(item, "user")
	w.put(t, item)
	_, err := w.s.Renew(t.Context(), g.RefreshToken, w.now)
	require.ErrorIs(t, err, session.ErrCorrupt)
}

func TestNoTokenIsStored(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	c := w.config()
	c.Sealer = blind{}
	var err error
	w.s, err = session.New(c)
	require.NoError(t, err)
	first := w.signIn(t)
	second := w.renew(t, first.RefreshToken)
	for name, value := range w.item(t, first.Session) {
		for _, g := range []session.Grant{first, second} {
			require.NotContains(t, stored(value), g.RefreshToken[23:], name)
		}
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := session.New(session.Config{Grace: -1})
	for _, what := range []string{"a table", "transactions", "a sealer", "Revoke", "Events", "not negative"} {
		require.ErrorContains(t, err, what)
	}
}

func TestDurationsAreOptions(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	c := w.config()
	c.Idle, c.Absolute, c.Grace = time.Hour, 90*time.Minute, 2*time.Second
	var err error
	w.s, err = session.New(c)
	require.NoError(t, err)
	g := w.signIn(t)
	w.now = w.now.Add(time.Hour)
	w.refused(t, g.RefreshToken)
	w.now = w.now.Add(-time.Second)
	next := w.renew(t, g.RefreshToken)
	w.now = w.now.Add(2 * time.Second)
	require.Equal(t, next, w.renew(t, g.RefreshToken))
	w.now = start.Add(90 * time.Minute)
	w.refused(t, next.RefreshToken)
	w.now = start.Add(time.Hour + 2*time.Second)
	w.refused(t, g.RefreshToken)
	w.ended(t, next, "revoked", session.EventReused)
}
