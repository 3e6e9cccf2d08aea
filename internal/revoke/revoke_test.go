package revoke_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/token"
)

// How package ratelimit reads the marks, on memory and on the emulator, is in its suite.

var start = time.Unix(1_800_000_000, 0)

type world struct {
	db     *mem.DB
	tables revoke.Tables
}

func newWorld() world {
	db := mem.New(mem.Schema{Name: "revoked-tokens", Hash: "pk"}, mem.Schema{Name: "rate-limits", Hash: "pk"})
	return world{db, tablesOf(db)}
}

func tablesOf(db store.DB) revoke.Tables {
	return revoke.Tables{Revoked: store.NewTable(db, "revoked-tokens"), Counters: store.NewTable(db, "rate-limits")}
}

func (w world) ended(t *testing.T, token revoke.Token, now time.Time) bool {
	t.Helper()
	ended, err := revoke.Ended(t.Context(), store.NewTable(w.db, "revoked-tokens"), token, now)
	require.NoError(t, err)
	return ended
}

// marked tells the same by the marks alone.
func (w world) marked(token revoke.Token, now time.Time) bool {
	for _, item := range w.db.Items("rate-limits") {
		if store.Read(item).S("pk") != revoke.CounterKey(revoke.Subject(token.User)) {
			continue
		}
		for name := range item {
			if m, ok := revoke.ParseMark(name); ok && m.Ends(token, now) {
				return true
			}
		}
	}
	return false
}

// Table and mark say the same of every token at any time at which it can be valid.
func TestWhoIsRefused(t *testing.T) {
	t.Parallel()
	at := func(after time.Duration) time.Time { return start.Add(after) }
	ada := func(session string, issued time.Duration) revoke.Token {
		return revoke.Token{User: "ada", Session: session, IssuedAt: at(issued)}
	}
	bySession := func(w world) []store.Write { return w.tables.Session("ada", "s1", start) }
	ofUser := func(w world) []store.Write { return w.tables.User("ada", start) }
	cases := map[string]struct {
		writes func(w world) []store.Write
		token  revoke.Token
		now    time.Duration
		want   bool
	}{
		"session":                        {bySession, ada("s1", -time.Minute), 0, true},
		"session_at_the_end":             {bySession, ada("s1", 0), token.Lifetime + token.Leeway, true},
		"session_some_minutes_after":     {bySession, ada("s1", 0), revoke.Window - time.Second, true},
		"session_when_nothing_is_valid":  {bySession, ada("s1", 0), revoke.Window, false},
		"session_renewed_meanwhile":      {bySession, ada("s1", time.Minute), time.Minute, true},
		"another_session":                {bySession, ada("s2", -time.Minute), 0, false},
		"a_session_with_a_longer_name":   {bySession, ada("s10", -time.Minute), 0, false},
		"another_user_of_another_name":   {bySession, revoke.Token{User: "bob", Session: "s2", IssuedAt: start}, 0, false},
		"user":                           {ofUser, ada("s1", -time.Minute), 0, true},
		"user_every_session":             {ofUser, ada("s2", -10*time.Minute), 4 * time.Minute, true},
		"user_within_the_second":         {ofUser, ada("s1", 0), time.Second, true},
		"user_at_the_end":                {ofUser, ada("s1", 0), revoke.Window - time.Second, true},
		"user_when_nothing_is_valid":     {ofUser, ada("s1", 0), revoke.Window, false},
		"user_a_token_that_came_after":   {ofUser, ada("s1", time.Second), time.Minute, false},
		"user_another":                   {ofUser, revoke.Token{User: "bob", Session: "s1", IssuedAt: start}, 0, false},
		"nothing_was_revoked":            {func(world) []store.Write { return nil }, ada("s1", 0), 0, false},
		"user_whose_name_is_a_session's": {func(w world) []store.Write { return w.tables.User("s1", start) }, ada("s1", 0), 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if writes := c.writes(w); writes != nil {
				require.NoError(t, store.Transact(t.Context(), w.db, "", writes...))
			}
			require.Equal(t, c.want, w.ended(t, c.token, at(c.now)), "the table")
			require.Equal(t, c.want, w.marked(c.token, at(c.now)), "the mark")
		})
	}
}

func TestRevokingAgainIsHarmless(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 3 {
		now := start.Add(time.Duration(i) * time.Minute)
		require.NoError(t, store.Transact(t.Context(), w.db, "", w.tables.Session("ada", "s1", now)...))
		require.NoError(t, store.Transact(t.Context(), w.db, "", w.tables.User("ada", now)...))
	}
	later := start.Add(2*time.Minute + revoke.Window - time.Second)
	token := revoke.Token{User: "ada", Session: "s1", IssuedAt: start.Add(2 * time.Minute)}
	require.True(t, w.ended(t, token, later), "the last one counts")
	require.True(t, w.marked(token, later))
}

// A revocation is all or nothing: where the transaction fails, in whatever way and before whatever write, table and mark
// still say the same.
func TestARevocationIsAllOrNothing(t *testing.T) {
	t.Parallel()
	token := revoke.Token{User: "ada", Session: "s1", IssuedAt: start}
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			broken := fault.NewDB(w.db, fault.From(0, fault.Fault{Kind: kind}))
			tables := tablesOf(broken)
			require.Error(t, store.Transact(t.Context(), broken, "", tables.Session("ada", "s1", start)...))
			require.Equal(t, w.ended(t, token, start), w.marked(token, start))
			require.Equal(t, kind == fault.Lost || kind == fault.Truncated, w.ended(t, token, start))
		})
	}
	t.Run("beside_a_write_that_is_refused", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		refused := store.NewTable(w.db, "rate-limits").UpdateWrite(types.Update{Key: store.Item{"pk": store.S("other")},
			UpdateExpression: ptr("SET a = :a"), ConditionExpression: ptr("attribute_exists(pk)"), ExpressionAttributeValues: store.Item{":a": store.N(1)}})
		err := store.Transact(t.Context(), w.db, "", append(w.tables.User("ada", start), refused)...)
		require.ErrorIs(t, err, store.ErrConditionFailed)
		require.False(t, w.ended(t, token, start))
		require.False(t, w.marked(token, start))
	})
}

func ptr(s string) *string { return &s }

// Only an answer tells that a token is live, and an entry that cannot be read refuses.
func TestWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	token := revoke.Token{User: "ada", Session: "s1", IssuedAt: start}
	_, err := revoke.Ended(t.Context(), answers{err: errors.New("down")}, token, start)
	require.ErrorContains(t, err, "down")
	for name, item := range map[string]store.Item{
		"nothing":             {},
		"a_session_for_ever":  {"pk": store.S("SID#s1")},
		"a_time_as_text":      {"pk": store.S("SID#s1"), "ttl": store.S("1800000000")},
		"a_user_without_time": {"pk": store.S("USER#ada"), "ttl": store.N(start.Unix() + 9)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended, err := revoke.Ended(t.Context(), answers{items: []store.Item{item}}, token, start)
			require.NoError(t, err)
			require.True(t, ended)
		})
	}
}

type answers struct {
	items []store.Item
	err   error
}

func (a answers) BatchGetItem(context.Context, types.KeysAndAttributes) ([]store.Item, error) {
	return a.items, a.err
}

// The table is asked in the leader's copy: a copy may not have the revocation yet.
func TestTheLeadersCopyIsAsked(t *testing.T) {
	t.Parallel()
	var asked types.KeysAndAttributes
	_, err := revoke.Ended(t.Context(), asking(func(in types.KeysAndAttributes) { asked = in }), revoke.Token{User: "ada", Session: "s1"}, start)
	require.NoError(t, err)
	require.True(t, *asked.ConsistentRead)
	require.Len(t, asked.Keys, 2)
}

type asking func(types.KeysAndAttributes)

func (a asking) BatchGetItem(_ context.Context, in types.KeysAndAttributes) ([]store.Item, error) {
	a(in)
	return nil, nil
}

// An item is kept for as long as any of its marks means something.
func TestMarksAreKeptLongEnough(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, revoke.Window, token.Lifetime+5*time.Minute)
	require.Greater(t, revoke.Kept, revoke.Window)
	w := newWorld()
	require.NoError(t, store.Transact(t.Context(), w.db, "", w.tables.User("ada", start)...))
	for table, kept := range map[string]time.Duration{"revoked-tokens": revoke.Window, "rate-limits": revoke.Kept} {
		require.Equal(t, start.Add(kept).Unix(), store.Read(w.db.Items(table)[0]).N("ttl"), table)
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	for _, m := range []revoke.Mark{{At: 0}, {At: 1_800_000_000}, {At: 1, Session: "s1"}, {At: 1, Session: "a.b"}, {At: 1, Session: "x1.x2"}} {
		got, ok := revoke.ParseMark(m.Name())
		require.True(t, ok, m.Name())
		require.Equal(t, m, got)
	}
	for _, name := range []string{"", "x", "x.", "x1.", "x-1", "x+1", "x01", "x1e3", "x 1", "y1", "X1", "x9223372036854775808", "x.s1", "ttl"} {
		_, ok := revoke.ParseMark(name)
		require.False(t, ok, name)
	}
}

// Every attribute's name is a mark in one way or none, so that no two names say the same.
func FuzzParseMark(f *testing.F) {
	for _, seed := range []string{"x1800000000", "x1800000000.s1", "x.s1", "x1.", "x01.s", "abcde60S1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		m, ok := revoke.ParseMark(name)
		if !ok {
			require.Equal(t, revoke.Mark{}, m)
			return
		}
		require.Equal(t, name, m.Name())
		require.True(t, strings.HasPrefix(name, "x"))
		now := time.Unix(m.At, 0)
		require.False(t, m.Over(now))
		require.True(t, m.Ends(revoke.Token{Session: m.Session, IssuedAt: now}, now))
	})
}
