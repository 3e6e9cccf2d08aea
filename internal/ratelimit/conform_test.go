package ratelimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

// site is the tables somewhere: as they are, and as a sandbox sees them whose calls fail by plan.
type site struct {
	db     store.DB
	faulty store.DB
	faults bool
	name   string // of nobody else on these tables
}

func (s site) table() store.Table { return store.NewTable(s.faulty, tableName) }

// item is a user's item, nil without one.
func (s site) item(t *testing.T) store.Item {
	t.Helper()
	out, err := store.NewTable(s.db, tableName).GetItem(t.Context(), &dynamodb.GetItemInput{Key: s.key()})
	require.NoError(t, err)
	return out.Item
}

func (s site) key() store.Item {
	return store.Item{"pk": store.S(revoke.CounterKey(revoke.Subject(s.name)))}
}

// The contract, in memory and on the emulator through the client and its expressions, as it should be and under faults:
// answers that are lost or cut off, calls that are refused, throttled or never sent.
func TestConformance(t *testing.T) {
	t.Parallel()
	contract := map[string]func(t *testing.T, s site){
		"crowds": conformCrowds, "leases": conformLeases, "charges": conformCharges, "revocations": conformRevocations,
		"many_revocations": conformManyRevocations, "a_lost_item": conformALostItem, "several_subjects": conformSubjects,
	}
	var all []fault.Fault
	for _, kind := range fault.Kinds() {
		all = append(all, fault.Fault{Kind: kind})
	}
	ways := map[string][]fault.Fault{"no_faults": nil, "all_faults": all}
	for _, f := range all {
		ways[f.Kind.String()] = []fault.Fault{f}
	}
	plan := func(faults []fault.Fault) fault.Plan { // each client has its own
		if faults == nil {
			return nil
		}
		return fault.Sometimes(7, 0.2, faults...)
	}
	for name, check := range contract {
		for way, faults := range ways {
			t.Run("memory/"+name+"/"+way, func(t *testing.T) {
				t.Parallel()
				db, _ := memory()
				check(t, site{db, fault.NewDB(db, plan(faults)), faults != nil, unique(t)})
			})
			if len(faults) == 1 {
				continue
			}
			t.Run("emulator/"+name+"/"+way, func(t *testing.T) {
				t.Parallel()
				check(t, site{dial(emulator, nil), dial(emulator, plan(faults)), faults != nil, unique(t)})
			})
		}
	}
}

// Crowds over several windows and routes, with sessions that end, clocks that differ, and an idle window.
func conformCrowds(t *testing.T, s site) {
	const skew, limit = slot / 5, 5
	c := newCrowd(fleetOf(t, s.table(), environ.Limit{Max: limit, Per: window}, nil, -skew, 0, skew), s.db, 1)
	c.user = s.name
	for i, after := range []time.Duration{0, slot, 3 * slot, window, slot, 2 * window, window + 2*skew + slot} {
		c.advance(after)
		if i%3 == 2 {
			c.revoke(t, fmt.Sprint("s", i))
		}
		c.ask(t, 12, s.faults)
		require.LessOrEqual(t, c.most(window-2*skew), limit+min(int(c.local.Load()), len(c.sandboxes)*(limit/4)))
	}
	if s.faults {
		return
	}
	require.Zero(t, c.local.Load())
	c.advance(window + 2*skew + slot)
	before := len(c.admitted[0])
	for range 3 {
		c.askFor(t, 6, false, []int{0})
	}
	require.Equal(t, limit, len(c.admitted[0])-before, "after silence the whole limit is there")
}

// Sandboxes that spend leases, and end.
func conformLeases(t *testing.T, s site) {
	const limit = 40
	c, random := newClock(), rand.New(rand.NewPCG(1, 1))
	made := func() *ratelimit.Leases {
		l, err := ratelimit.NewLeases(s.table(), service.Limit(s.name), environ.Limit{Max: limit, Per: window}, ratelimit.LeaseOptions{Permits: 16, Now: c.now, Budget: time.Minute})
		require.NoError(t, err)
		return l
	}
	sandboxes := []*ratelimit.Leases{made(), made(), made()}
	var times []time.Time
	for _, after := range []time.Duration{0, slot / 2, slot, 9 * slot, slot, 2 * window} {
		c.advance(after)
		for range 24 {
			if v, err := sandboxes[random.IntN(3)].Take(t.Context(), 1); v.Allowed {
				times = append(times, c.now())
			} else if !s.faults {
				require.NoError(t, err)
			}
		}
		require.LessOrEqual(t, densest(times, window), limit)
		_ = sandboxes[0].Close(t.Context())
		sandboxes[0] = made()
	}
	if !s.faults {
		require.Greater(t, densest(times, window), limit-3*16, "less than a lease for each sandbox is out of reach")
	}
}

// Estimates that are corrected: never less than the truth is counted, and without faults never more.
func conformCharges(t *testing.T, s site) {
	const limit = 100
	c, local := newClock(), false
	l, err := ratelimit.New(s.table(), service.Function{Routes: function.Routes[:1]}, map[service.Limit]environ.Limit{service.LimitAPI: {Max: limit, Per: window}},
		ratelimit.Options{Now: c.now, Budget: time.Minute, Fallback: func(context.Context, service.Limit, bool) { local = true }})
	require.NoError(t, err)
	truth := 0
	for i := range 30 {
		estimate, actual := 10, i%11
		local = false
		v, charge, err := l.Charge(t.Context(), rest.Count{Class: service.LimitAPI, Route: "list", Subject: revoke.Subject(s.name), Cost: estimate})
		if !s.faults {
			require.NoError(t, err)
		}
		require.Equal(t, v.Allowed && err == nil, charge != nil)
		if charge == nil {
			continue
		}
		if err := l.Adjust(t.Context(), charge, actual); !s.faults {
			require.NoError(t, err)
		}
		require.Error(t, l.Adjust(t.Context(), charge, 0), "once")
		if !local { // what the store knows
			truth += actual
		}
		if sum := slotSum(t, s.item(t)); s.faults {
			require.GreaterOrEqual(t, sum, int64(truth))
		} else {
			require.Equal(t, int64(truth), sum)
		}
	}
	require.LessOrEqual(t, truth, limit)
	if !s.faults {
		require.Greater(t, truth, limit-10, "there was room until an estimate did not fit")
	}
}

// token is one of the site's user.
func (s site) token(session string, at time.Time) revoke.Token {
	return revoke.Token{User: s.name, Session: s.name + session, IssuedAt: at}
}

// revoker writes revocations where nothing fails.
func (s site) revoker() revoke.Tables {
	return revoke.Tables{Revoked: store.NewTable(s.db, "revoked-tokens"), Counters: store.NewTable(s.db, tableName)}
}

// state is what a sandbox makes of a token, as package rest does, and whether the table was asked for it.
func (s site) state(t *testing.T, l *ratelimit.Limiter, token revoke.Token, now time.Time) (state rest.TokenState, asked bool) {
	t.Helper()
	v, err := l.Count(t.Context(), counts(token, 0))
	if !s.faults {
		require.NoError(t, err)
	}
	if v.Token != rest.TokenUnknown {
		return v.Token, false
	}
	ended, err := revoke.Ended(t.Context(), store.NewTable(s.db, "revoked-tokens"), token, now)
	require.NoError(t, err)
	if ended {
		return rest.TokenEnded, true
	}
	l.Live(token, now)
	return rest.TokenLive, true
}

// wide is a limit that these tests do not reach.
func (s site) wide(t *testing.T, c *clock) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(s.table(), service.Function{Routes: function.Routes[:1]}, map[service.Limit]environ.Limit{service.LimitAPI: {Max: 1000, Per: window}},
		ratelimit.Options{Now: c.now, Budget: time.Minute})
	require.NoError(t, err)
	return l
}

// Both ways to revoke, seen by a sandbox that knows the user and by one that does not, and both ends of their time.
func conformRevocations(t *testing.T, s site) {
	c := newClock()
	here := s.wide(t, c)
	first, second := s.token("first", c.now()), s.token("second", c.now())
	c.advance(10 * time.Second)
	for range 2 {
		for _, token := range []revoke.Token{first, second} {
			got, _ := s.state(t, here, token, c.now())
			require.Equal(t, rest.TokenLive, got)
		}
	}
	require.NoError(t, store.Transact(t.Context(), s.db, "", s.revoker().Session(s.name, first.Session, c.now())...))
	ended := func(want rest.TokenState, token revoke.Token) {
		t.Helper()
		for _, l := range []*ratelimit.Limiter{here, s.wide(t, c)} {
			got, asked := s.state(t, l, token, c.now())
			require.Equal(t, want, got)
			require.False(t, !s.faults && want == rest.TokenEnded && asked, "the counters tell")
		}
	}
	ended(rest.TokenEnded, first)
	ended(rest.TokenLive, second)
	c.advance(time.Minute)
	ended(rest.TokenEnded, first)
	require.NoError(t, store.Transact(t.Context(), s.db, "", s.revoker().User(s.name, c.now())...))
	ended(rest.TokenEnded, second)
	later := s.token("third", c.now().Add(time.Second))
	c.advance(time.Second)
	ended(rest.TokenLive, later)
	c.advance(revoke.Window - time.Minute - 2*time.Second)
	ended(rest.TokenEnded, first)
	ended(rest.TokenEnded, second)
	c.advance(2 * time.Minute) // no token that they refuse is valid any more, for any verifier
	now := s.token("fourth", c.now())
	for range 2 {
		got, _ := s.state(t, here, now, c.now())
		require.Equal(t, rest.TokenLive, got)
		c.advance(2 * time.Second)
	}
	if !s.faults {
		for name := range s.item(t) {
			_, mark := revoke.ParseMark(name)
			require.False(t, mark, "what is over is removed")
		}
	}
}

// More sessions end than an item holds marks: all of them stay refused, and the item stays small.
func conformManyRevocations(t *testing.T, s site) {
	c := newClock()
	l := s.wide(t, c)
	live := s.token("live", c.now())
	var ended []revoke.Token
	for i := range 2*revoke.MaxMarks + 3 {
		c.advance(3 * time.Second)
		token := s.token(fmt.Sprint("s", i), c.now())
		ended = append(ended, token)
		require.NoError(t, store.Transact(t.Context(), s.db, "", s.revoker().Session(s.name, token.Session, c.now())...))
		_, _ = s.state(t, l, live, c.now()) // somebody asks between any two, as who ends a session is counted himself
		marks := 0
		for name := range s.item(t) {
			if _, ok := revoke.ParseMark(name); ok {
				marks++
			}
		}
		if !s.faults {
			require.LessOrEqual(t, marks, revoke.MaxMarks+1)
		}
	}
	for _, l := range []*ratelimit.Limiter{l, s.wide(t, c)} {
		for _, token := range ended {
			got, _ := s.state(t, l, token, c.now())
			require.Equal(t, rest.TokenEnded, got, token.Session)
		}
		got, _ := s.state(t, l, live, c.now())
		require.Equal(t, rest.TokenLive, got)
		c.advance(2 * time.Second)
	}
	if s.faults {
		return
	}
	_, _ = s.state(t, l, live, c.now())
	got, asked := s.state(t, l, live, c.now())
	require.Equal(t, []any{rest.TokenLive, false}, []any{got, asked}, "the table was asked about it, and need not be again")
}

// The table of revoked tokens is the source of truth: an item that is lost with its marks lets no revoked token pass.
func conformALostItem(t *testing.T, s site) {
	c := newClock()
	here, there := s.wide(t, c), s.wide(t, c)
	first, second, live := s.token("first", c.now()), s.token("second", c.now()), s.token("live", c.now())
	c.advance(5 * time.Second)
	for _, l := range []*ratelimit.Limiter{here, there} {
		_, _ = s.state(t, l, live, c.now())
	}
	for _, token := range []revoke.Token{first, second} {
		require.NoError(t, store.Transact(t.Context(), s.db, "", s.revoker().Session(s.name, token.Session, c.now())...))
	}
	_, err := store.NewTable(s.db, tableName).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{Key: s.key()})
	require.NoError(t, err)
	for range 2 {
		c.advance(5 * time.Second)
		for _, l := range []*ratelimit.Limiter{here, there, s.wide(t, c)} {
			for want, tokens := range map[rest.TokenState][]revoke.Token{rest.TokenEnded: {first, second}, rest.TokenLive: {live, s.token("new", c.now())}} {
				for _, token := range tokens {
					got, _ := s.state(t, l, token, c.now())
					require.Equal(t, want, got, token.Session)
				}
			}
		}
	}
	require.NoError(t, store.Transact(t.Context(), s.db, "", s.revoker().Session(s.name, live.Session, c.now())...))
	for _, l := range []*ratelimit.Limiter{here, there, s.wide(t, c)} {
		got, _ := s.state(t, l, live, c.now())
		require.Equal(t, rest.TokenEnded, got, "also where it was known to be live")
	}
}

// An address and an account at once: each has its limit, and a refusal by one is a refusal.
func conformSubjects(t *testing.T, s site) {
	c := newClock()
	l := limiter(t, s.table(), ratelimit.Options{Now: c.now})
	request := func(account int) []rest.Count {
		return []rest.Count{{Class: service.LimitAuthIP, Subject: "ip" + s.name},
			{Class: service.LimitAuth, Route: "login", Subject: fmt.Sprint("account", account, s.name)}}
	}
	byAccount, all := map[int]int{}, 0
	for i := range 12 {
		v, err := l.Count(t.Context(), request(i%3))
		if !s.faults {
			require.NoError(t, err)
		}
		if err == nil && v.Allowed {
			byAccount[i%3]++
			all++
		}
	}
	extra := 0
	if s.faults {
		extra = numbers[service.LimitAuthIP].Max / 4
	}
	require.LessOrEqual(t, all, numbers[service.LimitAuthIP].Max+extra)
	for _, n := range byAccount {
		require.LessOrEqual(t, n, numbers[service.LimitAuth].Max)
	}
	if !s.faults {
		require.Equal(t, numbers[service.LimitAuthIP].Max, all)
	}
}

// Items of different subjects are counted at the same time, those of one in one call, and no call outlasts the budget.
func TestTheTimeThatCountingTakes(t *testing.T) {
	t.Parallel()
	counts := []rest.Count{api("user:ada"), {Class: service.LimitAPI, Route: "make", Subject: "user:ada"}, {Class: service.LimitAuthIP, Subject: "ip"}}
	cases := map[string]struct {
		delay, want time.Duration
		warm        bool
	}{
		"one_round_trip":              {20 * time.Millisecond, 20 * time.Millisecond, true},
		"the_budget":                  {time.Hour, ratelimit.Budget, true},
		"ten_budgets_in_a_new_one":    {time.Hour, 10 * ratelimit.Budget, false},
		"a_round_trip_in_a_new_one":   {500 * time.Millisecond, 500 * time.Millisecond, false},
		"not_a_moment_more_than_that": {ratelimit.Budget + 1, ratelimit.Budget, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db, _ := memory()
				faulty := fault.NewDB(db, nil)
				l, err := ratelimit.New(store.NewTable(faulty, tableName), function, numbers, ratelimit.Options{})
				require.NoError(t, err)
				if c.warm {
					_, err := l.Count(t.Context(), counts)
					require.NoError(t, err)
				}
				faulty.Follow(fault.From(0, fault.Fault{Delay: c.delay}))
				begun := time.Now()
				v, err := l.Count(t.Context(), counts)
				require.Equal(t, c.want, time.Since(begun))
				require.Equal(t, c.delay == c.want, err == nil && v.Allowed)
				require.Len(t, faulty.Calls(), 2, "two items")
			})
		})
	}
}

// Every operation ends inside its deadline while the store does not answer at all.
func TestWithoutAnAnswerEverythingEnds(t *testing.T) {
	t.Parallel()
	silent := fault.From(0, fault.Fault{Delay: time.Hour})
	cases := map[string]func(ctx context.Context, l *ratelimit.Limiter, leases *ratelimit.Leases, c *ratelimit.Charge) error{
		"count": func(ctx context.Context, l *ratelimit.Limiter, _ *ratelimit.Leases, _ *ratelimit.Charge) error {
			_, err := l.Count(ctx, []rest.Count{api("x")})
			return err
		},
		"adjust": func(ctx context.Context, l *ratelimit.Limiter, _ *ratelimit.Leases, c *ratelimit.Charge) error {
			return l.Adjust(ctx, c, 0)
		},
		"charge": func(ctx context.Context, l *ratelimit.Limiter, _ *ratelimit.Leases, _ *ratelimit.Charge) error {
			_, _, err := l.Charge(ctx, api("x"))
			return err
		},
		"take": func(ctx context.Context, _ *ratelimit.Limiter, leases *ratelimit.Leases, _ *ratelimit.Charge) error {
			_, err := leases.Take(ctx, 2)
			return err
		},
		"close": func(ctx context.Context, _ *ratelimit.Limiter, leases *ratelimit.Leases, _ *ratelimit.Charge) error {
			return leases.Close(ctx)
		},
	}
	for name, do := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db, _ := memory()
				faulty := fault.NewDB(db, nil)
				l, err := ratelimit.New(store.NewTable(faulty, tableName), function, numbers, ratelimit.Options{})
				require.NoError(t, err)
				leases, err := ratelimit.NewLeases(store.NewTable(faulty, tableName), "ai", environ.Limit{Max: 2, Per: time.Minute}, ratelimit.LeaseOptions{})
				require.NoError(t, err)
				_, charge, err := l.Charge(t.Context(), api("ada"))
				require.NoError(t, err)
				_, err = leases.Take(t.Context(), 1)
				require.NoError(t, err)
				faulty.Follow(silent)
				begun := time.Now()
				require.ErrorIs(t, do(t.Context(), l, leases, charge), context.DeadlineExceeded)
				require.Equal(t, ratelimit.Budget, time.Since(begun))
				var wg sync.WaitGroup
				ended, cancel := context.WithCancel(t.Context())
				wg.Go(func() { _ = do(ended, l, leases, charge) }) // ends with its caller
				synctest.Wait()
				cancel()
				wg.Wait()
				require.Equal(t, ratelimit.Budget, time.Since(begun))
			})
		})
	}
}
