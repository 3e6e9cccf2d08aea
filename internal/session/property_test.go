package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/session"
	"github.com/expenzez/aws-backend/internal/store"
)

// model is what a session should do, by the list of its tokens in the order in which they were made. A token whose answer
// was lost is "" until somebody hears of it.
type model struct {
	tokens           []string
	rotated          time.Time
	idle, absolute   time.Time
	ended            bool
	reused, loggedIn int // events
}

// outcome is what using token i gives at a time: the index of the token it gives, or -1, and whether the session ends.
func (m *model) outcome(i int, now time.Time) (gives int, ends bool) {
	last := len(m.tokens) - 1
	switch {
	case m.ended || !now.Before(m.idle) || !now.Before(m.absolute):
		return -1, false
	case i == last:
		return last + 1, false
	case i == last-1 && now.Sub(m.rotated).Abs() <= 20*time.Second:
		return last, false
	}
	return -1, true
}

// An honest client that loses answers, a thief that copies its token and uses it at any time, a logout and a clock that
// jumps: whoever comes when, the session does what the model says.
func TestSessionsFollowTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := inMemory(t)
		db := w.db.(*fault.DB)
		g := w.signIn(t)
		m := &model{tokens: []string{g.RefreshToken}, rotated: start, idle: start.Add(30 * day), absolute: start.Add(90 * day)}
		held := map[string]int{"client": 0, "thief": 0} // the index of the token that each holds
		use := func(who string) {
			i := held[who]
			if m.tokens[i] == "" {
				t.Fatalf("%s holds a token that nobody heard of", who)
			}
			kind := rapid.SampledFrom([]fault.Kind{fault.None, fault.None, fault.None, fault.Lost, fault.Unsent, fault.Broken}).Draw(t, "fault")
			db.Follow(fault.First("UpdateItem", fault.Fault{Kind: kind}))
			got, err := w.s.Renew(context.Background(), m.tokens[i], w.now)
			db.Follow(nil)
			gives, ends := m.outcome(i, w.now)
			made := gives == len(m.tokens)
			if made && (kind == fault.None || kind == fault.Lost) {
				m.tokens = append(m.tokens, "")
				m.rotated, m.idle = w.now.Truncate(time.Second), w.now.Truncate(time.Second).Add(30*day)
			}
			if kind != fault.None { // a refusal is an answer too: it is lost like one
				require.Error(t, err)
				require.NotErrorIs(t, err, session.ErrRefused)
				return
			}
			if ends {
				m.ended = true
				m.reused++
			}
			if gives < 0 {
				require.ErrorIs(t, err, session.ErrRefused)
				return
			}
			require.NoError(t, err)
			if m.tokens[gives] == "" {
				require.NotContains(t, m.tokens, got.RefreshToken)
				m.tokens[gives] = got.RefreshToken
			}
			require.Equal(t, m.tokens[gives], got.RefreshToken, "one successor")
			if rapid.Bool().Draw(t, "heard") {
				held[who] = gives
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"client": func(*rapid.T) { use("client") },
			"thief":  func(*rapid.T) { use("thief") },
			"steal":  func(*rapid.T) { held["thief"] = held["client"] },
			"clock": func(t *rapid.T) {
				w.now = w.now.Add(rapid.SampledFrom([]time.Duration{1, time.Second, 20 * time.Second, 21 * time.Second, time.Hour, 29 * day, -time.Second, -time.Minute}).Draw(t, "jump"))
			},
			"logout": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
					return
				}
				require.NoError(t, w.s.End(context.Background(), user, g.Session, w.now))
				if !m.ended {
					m.ended = true
					m.loggedIn++
				}
			},
			"": func(t *rapid.T) {
				item := w.item(t, g.Session)
				require.Equal(t, m.ended, store.Read(item).S("status") != "active")
				require.Len(t, w.events(t), m.reused+m.loggedIn)
				if m.ended {
					require.NotNil(t, w.get(t, "revoked", g.Session), "access tokens are refused")
				}
				if last := m.tokens[len(m.tokens)-1]; last != "" {
					sum := sha256.Sum256([]byte(last[len(g.Session)+1:]))
					require.Equal(t, sum[:], store.Read(item).B("current"))
				}
			},
		})
	})
}

func FuzzRenew(f *testing.F) {
	w := inMemory(f)
	g := w.signIn(f)
	f.Add("")
	f.Add(".")
	f.Add(g.RefreshToken[:22] + ".")
	f.Add("AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add(g.RefreshToken + "\x00")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := w.s.Renew(t.Context(), token, w.now); !errors.Is(err, session.ErrRefused) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

func BenchmarkRotate(b *testing.B) {
	w := inMemory(b)
	g := w.signIn(b)
	b.ReportAllocs()
	for b.Loop() {
		g = w.renew(b, g.RefreshToken)
	}
}
