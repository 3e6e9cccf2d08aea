package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/environ"
	"github.com/expenzez/aws-backend/internal/ratelimit"
	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/store"
)

func TestNewRefusesNumbersThatLimitNothing(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	f := service.Function{Routes: []service.Route{{ID: "chat", Limit: "ai"}, {ID: "list", Limit: "fine"}, {ID: "health"}}}
	_, err := ratelimit.New(updater, f, map[service.Limit]environ.Limit{
		"none": {Max: 0, Per: time.Minute}, "negative": {Max: -1, Per: time.Minute}, "instant": {Max: 5, Per: time.Millisecond},
		"fraction": {Max: 5, Per: 1500 * time.Millisecond}, "month": {Max: 5, Per: 30 * 24 * time.Hour}, "fine": {Max: 1, Per: time.Second}, "day": {Max: 1, Per: 24 * time.Hour},
	}, ratelimit.Options{})
	for _, want := range []string{`"none"`, `"negative"`, `"instant"`, `"fraction"`, `"month"`, "at least 1 in whole seconds, at most 24h", `route chat: class "ai" has no numbers`} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "fine")
	require.NotContains(t, err.Error(), `"day"`)
	require.NotContains(t, err.Error(), "health")
}

func TestAWindowOfRequests(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	c := newClock()
	l := limiter(t, updater, ratelimit.Options{Now: c.now})
	steps := []struct {
		name    string
		after   time.Duration
		allowed bool
		limit   string
		retry   time.Duration
	}{
		{"first", 0, true, `"api";r=2;t=66`, 0},
		{"second, in the same slot", 2 * time.Second, true, `"api";r=1;t=64`, 0},
		{"third, half a window on", 28 * time.Second, true, `"api";r=0;t=36`, 0},
		{"one too many", time.Second, false, `"api";r=0;t=35`, 35 * time.Second},
		{"still", 34 * time.Second, false, `"api";r=0;t=1`, time.Second},
		{"the first two have gone", time.Second, true, `"api";r=1;t=30`, 0},
		{"all were used", 0, true, `"api";r=0;t=30`, 0},
		{"again one too many", 0, false, `"api";r=0;t=30`, 30 * time.Second},
		{"after a long time", time.Hour, true, `"api";r=2;t=66`, 0},
	}
	for _, s := range steps {
		c.advance(s.after)
		v, err := l.Count(t.Context(), []rest.Count{api("user:ada")})
		require.NoError(t, err, s.name)
		require.Equal(t, s.allowed, v.Allowed, s.name)
		require.Equal(t, s.retry, v.RetryAfter, s.name)
		require.Equal(t, map[string]string{"RateLimit-Policy": `"api";q=3;w=60`, "RateLimit": s.limit}, v.Headers, s.name)
	}
}

func TestRetryAfterIsSpreadAndNeverEarly(t *testing.T) {
	t.Parallel()
	for _, random := range []float64{0, 0.5, 0.999} {
		_, updater := memory()
		c := newClock()
		l := limiter(t, updater, ratelimit.Options{Now: c.now, Random: func() float64 { return random }})
		require.Equal(t, 3, admitted(t, l, 3, api("ada")))
		v, err := l.Count(t.Context(), []rest.Count{api("ada")})
		require.NoError(t, err)
		require.GreaterOrEqual(t, v.RetryAfter, 66*time.Second)
		require.LessOrEqual(t, v.RetryAfter, 80*time.Second)
		require.Equal(t, 66*time.Second+time.Duration(random*0.2*float64(66*time.Second)), v.RetryAfter)
	}
}

func TestCountersAreApart(t *testing.T) {
	t.Parallel()
	cases := map[string]rest.Count{
		"another_subject": {Class: service.LimitAPI, Route: "list", Subject: "bob"},
		"another_route":   {Class: service.LimitAPI, Route: "make", Subject: "ada"},
		"another_class":   {Class: service.LimitAuth, Route: "login", Subject: "ada"},
		"all_routes":      {Class: service.LimitAPI, Route: "", Subject: "ada"},
	}
	for name, other := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			l := limiter(t, updater, ratelimit.Options{Now: newClock().now})
			require.Equal(t, 3, admitted(t, l, 5, api("ada")))
			require.Equal(t, 1, admitted(t, l, 1, other))
		})
	}
}

// A deployment that changes a window numbers its slots otherwise: what the old one counted must not be read as its own.
func TestAChangedWindowStartsAnew(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	c := newClock()
	require.Equal(t, 3, admitted(t, limiter(t, updater, ratelimit.Options{Now: c.now}), 3, api("ada")))
	changed, err := ratelimit.New(updater, service.Function{Routes: function.Routes[:1]}, map[service.Limit]environ.Limit{service.LimitAPI: {Max: 3, Per: 2 * time.Minute}},
		ratelimit.Options{Now: c.now, Budget: time.Minute})
	require.NoError(t, err)
	require.Equal(t, 3, admitted(t, changed, 5, api("ada")))
}

func TestOneFullCounterRefusesAndTellsTheLongestWait(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	c := newClock()
	l := limiter(t, updater, ratelimit.Options{Now: c.now})
	login := rest.Count{Class: service.LimitAuth, Route: "login", Subject: "ip:1"}
	all := rest.Count{Class: service.LimitAuthIP, Subject: "ip:1"}
	v, err := l.Count(t.Context(), []rest.Count{login, all})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"RateLimit-Policy": `"auth";q=2;w=300, "auth-ip";q=4;w=300`,
		"RateLimit": `"auth";r=1;t=330, "auth-ip";r=3;t=330`}, v.Headers)
	require.Equal(t, 1, admitted(t, l, 3, login, all))
	require.Equal(t, 2, admitted(t, l, 5, rest.Count{Class: service.LimitAuth, Route: "register", Subject: "ip:1"}, all),
		"refusals that memory told counted nowhere else")
	require.Zero(t, admitted(t, l, 3, rest.Count{Class: service.LimitAuth, Route: "confirm", Subject: "ip:1"}, all), "the address is used up")
}

func TestNothingToCountIsAdmitted(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	v, err := limiter(t, updater, ratelimit.Options{}).Count(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, rest.Verdict{Allowed: true}, v)
}

func TestAClassWithoutNumbersAdmitsNobody(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater}
	v, err := limiter(t, u, ratelimit.Options{Open: []service.Limit{"ai"}}).Count(t.Context(), []rest.Count{api("ada"), {Class: "ai", Subject: "ada"}})
	require.ErrorContains(t, err, `"ai" has no numbers`)
	require.False(t, v.Allowed)
	require.Zero(t, u.calls.Load(), "nothing is counted then")
}

// What each outcome costs in calls, in the sandbox that met it and in another one.
func TestCalls(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	c := newClock()
	u := &table{Updater: updater}
	here, there := limiter(t, u, ratelimit.Options{Now: c.now}), limiter(t, u, ratelimit.Options{Now: c.now})
	expect := func(l *ratelimit.Limiter, allowed bool, calls int64, what string) {
		t.Helper()
		before := u.calls.Load()
		v, err := l.Count(t.Context(), []rest.Count{api("ada")})
		require.NoError(t, err)
		require.Equal(t, allowed, v.Allowed, what)
		require.Equal(t, calls, u.calls.Load()-before, what)
	}
	expect(here, true, 1, "a first request makes its counter")
	expect(there, true, 1, "admitted")
	expect(here, true, 1, "the last one admitted")
	expect(here, false, 0, "the sandbox that admitted the last one knows")
	expect(there, false, 2, "the first refusal is taken out again and blocks the counter")
	third := limiter(t, u, ratelimit.Options{Now: c.now})
	expect(third, false, 1, "a blocked counter refuses without being changed")
	expect(there, false, 0, "remembered")
	expect(third, false, 0, "remembered")
	c.advance(2 * time.Minute)
	expect(here, true, 1, "an idle counter is as good as a new one")
	expect(there, true, 1, "admitted")
}

// A sandbox knows so many callers; then it learns again, which costs calls and admits nobody.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater}
	l := limiter(t, u, ratelimit.Options{Now: newClock().now})
	require.Equal(t, 3, admitted(t, l, 4, api("ada")))
	for i := range 4095 {
		require.Equal(t, 1, admitted(t, l, 1, api(fmt.Sprint(i))))
	}
	before := u.calls.Load()
	require.Zero(t, admitted(t, l, 1, api("ada")))
	require.Equal(t, before, u.calls.Load(), "4096 callers are remembered")
	require.Equal(t, 1, admitted(t, l, 1, api("one more")))
	before = u.calls.Load()
	require.Zero(t, admitted(t, l, 1, api("ada")))
	require.Greater(t, u.calls.Load(), before)
}

// A table of the store is used without the client's retries: a refund that is applied twice would admit one too many.
func TestATableIsCalledOnce(t *testing.T) {
	t.Parallel()
	db := &recorder{}
	l := limiter(t, store.NewTable(db, tableName), ratelimit.Options{})
	_, err := l.Count(t.Context(), []rest.Count{api("ada")})
	require.Error(t, err)
	require.IsType(t, aws.NopRetryer{}, db.options.Retryer)
}

type recorder struct {
	store.DB
	options dynamodb.Options
}

func (r *recorder) UpdateItem(_ context.Context, _ *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	for _, o := range opts {
		o(&r.options)
	}
	return nil, errors.New("down")
}

func TestWithoutTheStore(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	cases := map[string]struct {
		class    service.Limit
		open     []service.Limit
		admitted [3]int // in each of three windows
		err      bool
	}{
		"closed_admits_nobody":                    {service.LimitAuth, []service.Limit{service.LimitAPI}, [3]int{}, true},
		"nothing_is_open_unless_said":             {service.LimitAPI, nil, [3]int{}, true},
		"open_admits_the_limit_of_a_sandbox":      {service.LimitAPI, []service.Limit{service.LimitAPI}, [3]int{3, 3, 3}, false},
		"open_has_the_numbers_of_its_class":       {service.LimitAuthIP, []service.Limit{service.LimitAuthIP}, [3]int{4, 4, 4}, false},
		"closed_admits_a_quarter_once_it_is_down": {service.LimitAuthIP, []service.Limit{service.LimitAPI, service.LimitAuth}, [3]int{1, 1, 1}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			u := &table{Updater: updater, before: func(context.Context, *dynamodb.UpdateItemInput) error { return down }}
			clock := newClock()
			told := map[bool]int{}
			l := limiter(t, u, ratelimit.Options{Now: clock.now, Open: c.open, Random: func() float64 { return 0.5 },
				Fallback: func(_ context.Context, class service.Limit, allowed bool) {
					require.Equal(t, c.class, class)
					told[allowed]++
				}})
			for window := range 3 {
				got := 0
				for i := range 10 {
					v, err := l.Count(t.Context(), []rest.Count{{Class: c.class, Subject: "x"}})
					switch {
					case err != nil:
						require.True(t, c.err)
						require.ErrorContains(t, err, string(c.class))
						require.Equal(t, rest.Verdict{RetryAfter: 2 * time.Second}, v, "between one second and three")
					case v.Allowed:
						require.NotEmpty(t, v.Headers)
						require.True(t, !c.err || i > 0 && window > 0 || i >= 5, "a call that failed admits nobody")
						got++
					default:
						require.False(t, c.err)
						require.Positive(t, v.RetryAfter)
					}
				}
				require.Equal(t, c.admitted[window], got, "window %d", window)
				clock.advance(6 * time.Minute)
			}
			sum := c.admitted[0] + c.admitted[1] + c.admitted[2]
			require.Equal(t, map[bool]int{true: sum, false: 30 - sum}, with(told, true, false), "whoever counts fallbacks knows of each")
		})
	}
}

// with are the counts of all keys, zeros included.
func with(counts map[bool]int, keys ...bool) map[bool]int {
	all := map[bool]int{}
	for _, k := range keys {
		all[k] = counts[k]
	}
	return all
}

// What the store admitted before it failed counts in the sandbox's own count.
func TestTheFallbackRemembersWhatWasAdmitted(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater}
	l := limiter(t, u, ratelimit.Options{Now: newClock().now, Open: []service.Limit{service.LimitAPI}})
	require.Equal(t, 2, admitted(t, l, 2, api("ada")))
	u.before = func(context.Context, *dynamodb.UpdateItemInput) error { return errors.New("down") }
	require.Equal(t, 1, admitted(t, l, 5, api("ada")))
}

func TestTheStoreIsLeftAloneAfterFiveFailures(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	var fault error
	u := &table{Updater: updater, before: func(context.Context, *dynamodb.UpdateItemInput) error { return fault }}
	c := newClock()
	l := limiter(t, u, ratelimit.Options{Now: c.now})
	count := func(n int) (calls int64, failed int) {
		before := u.calls.Load()
		for i := range n {
			if _, err := l.Count(t.Context(), []rest.Count{api(fmt.Sprint("user", u.calls.Load(), i))}); err != nil {
				failed++
			}
		}
		return u.calls.Load() - before, failed
	}
	fault = errors.New("down")
	count(4)
	fault = nil
	calls, failed := count(1)
	require.Equal(t, []any{int64(1), 0}, []any{calls, failed}, "four failures are not enough, and a success forgets them")
	fault = errors.New("down")
	calls, failed = count(9)
	require.Equal(t, []any{int64(5), 9}, []any{calls, failed}, "the fifth failure ends the calls")
	c.advance(2*time.Second - 1)
	fault = nil
	calls, failed = count(3)
	require.Equal(t, []any{int64(0), 3}, []any{calls, failed}, "for two seconds, also when it is well again")
	c.advance(1)
	fault = errors.New("down")
	calls, failed = count(3)
	require.Equal(t, []any{int64(1), 3}, []any{calls, failed}, "one more failure, and it is left alone again")
	c.advance(2 * time.Second)
	fault = nil
	calls, failed = count(3)
	require.Equal(t, []any{int64(3), 0}, []any{calls, failed})
}

// A refusal by a condition is an answer: it neither fails nor counts as a failure.
func TestRefusalsAreNoFailures(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater}
	c := newClock()
	require.Equal(t, 3, admitted(t, limiter(t, u, ratelimit.Options{Now: c.now}), 5, api("ada")))
	for range 20 {
		require.Zero(t, admitted(t, limiter(t, u, ratelimit.Options{Now: c.now}), 1, api("ada")))
	}
}

func TestARequestThatEndedIsNoFailureOfTheStore(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater, before: func(ctx context.Context, _ *dynamodb.UpdateItemInput) error { return ctx.Err() }}
	l := limiter(t, u, ratelimit.Options{Now: newClock().now, Open: []service.Limit{service.LimitAPI}})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		v, err := l.Count(ended, []rest.Count{api("ada")})
		require.ErrorIs(t, err, context.Canceled, "and no fallback: nobody waits for the answer")
		require.False(t, v.Allowed)
	}
	require.Equal(t, 3, admitted(t, l, 5, api("ada")), "the store is asked on")
	require.NotZero(t, u.calls.Load())
}

func TestASlowStoreCostsTheBudgetAndNoMore(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater, before: func(ctx context.Context, _ *dynamodb.UpdateItemInput) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	l := limiter(t, u, ratelimit.Options{Now: newClock().now, Budget: 100 * time.Microsecond})
	v, err := l.Count(t.Context(), []rest.Count{api("ada")})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, v.Allowed)
	require.NoError(t, t.Context().Err())
}

// Until the store has answered once, it may take ten budgets: the first call opens the connection.
func TestTheFirstCallsMayTakeLonger(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	var left time.Duration
	var fault error
	u := &table{Updater: updater, before: func(ctx context.Context, _ *dynamodb.UpdateItemInput) error {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		left = time.Until(deadline)
		return fault
	}}
	const budget = 500 * time.Millisecond
	l := limiter(t, u, ratelimit.Options{Now: newClock().now, Budget: budget})
	for _, step := range []struct {
		fault    error
		from, to time.Duration
	}{{errors.New("down"), budget, 10 * budget}, {nil, budget, 10 * budget}, {nil, 0, budget}, {errors.New("down"), 0, budget}, {nil, 0, budget}} {
		fault = step.fault
		_, err := l.Count(t.Context(), []rest.Count{api("ada")})
		require.Equal(t, step.fault == nil, err == nil)
		require.Greater(t, left, step.from)
		require.LessOrEqual(t, left, step.to)
	}
}

// No count takes longer than a slot: what it read could be out of use by then.
func TestNoCountTakesLongerThanASlot(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater, before: func(ctx context.Context, _ *dynamodb.UpdateItemInput) error {
		deadline, _ := ctx.Deadline()
		require.LessOrEqual(t, time.Until(deadline), 6*time.Second)
		return nil
	}}
	l := limiter(t, u, ratelimit.Options{Now: newClock().now, Budget: time.Hour})
	require.Equal(t, 1, admitted(t, l, 1, api("ada"), rest.Count{Class: service.LimitAuth, Route: "login", Subject: "ada"}))
	require.EqualValues(t, 1, u.calls.Load())
}

func TestSeveralCountsOfWhichOneHasNoAnswer(t *testing.T) {
	t.Parallel()
	full, fresh := api("full"), api("fresh")
	closed := rest.Count{Class: service.LimitAuth, Route: "login", Subject: "lost"}
	open := rest.Count{Class: service.LimitAuthIP, Subject: "lost"}
	cases := map[string]struct {
		counts  []rest.Count
		allowed bool
		err     bool
		limit   string
	}{
		"a_closed_one_closes":          {[]rest.Count{fresh, closed}, false, true, ""},
		"in_any_order":                 {[]rest.Count{closed, fresh}, false, true, ""},
		"an_open_one_counts_by_itself": {[]rest.Count{fresh, open}, true, false, `"api";r=2;t=66, "auth-ip";r=3;t=330`},
		"a_refusal_needs_no_other":     {[]rest.Count{closed, full}, false, false, `"api";r=0;t=66`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			u := &table{Updater: updater, before: func(_ context.Context, in *dynamodb.UpdateItemInput) error {
				if pk := store.Read(in.Key).S("pk"); pk[len(pk)-4:] == "lost" {
					return errors.New("down")
				}
				return nil
			}}
			clock := newClock()
			require.Equal(t, 3, admitted(t, limiter(t, u, ratelimit.Options{Now: clock.now}), 3, full))
			v, err := limiter(t, u, ratelimit.Options{Now: clock.now, Open: []service.Limit{service.LimitAuthIP}}).Count(t.Context(), c.counts)
			require.Equal(t, c.err, err != nil)
			require.Equal(t, c.allowed, v.Allowed)
			require.Equal(t, c.limit, v.Headers["RateLimit"])
		})
	}
}

func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	_, updater := memory()
	u := &table{Updater: updater, before: func(context.Context, *dynamodb.UpdateItemInput) error { panic("broke") }}
	_, err := limiter(t, u, ratelimit.Options{Open: []service.Limit{service.LimitAPI}}).Count(t.Context(), []rest.Count{api("ada")})
	require.ErrorContains(t, err, "panic: broke")
}

// An item that cannot be read is a store that did not answer.
func TestAnItemThatIsNotOurs(t *testing.T) {
	t.Parallel()
	db, updater := memory()
	require.Equal(t, 3, admitted(t, limiter(t, updater, ratelimit.Options{Now: newClock().now}), 3, api("ada")))
	require.Zero(t, admitted(t, limiter(t, updater, ratelimit.Options{Now: newClock().now}), 1, api("ada")))
	var slot, block string
	for name := range db.Items(tableName)[0] {
		if strings.Contains(name, "S") {
			slot = name
		}
		if strings.HasSuffix(name, "B") {
			block = name
		}
	}
	cases := map[string]func(store.Item){
		"an_attribute_of_nobody":    func(i store.Item) { i["sum"] = store.N(1) },
		"a_slot_without_a_number":   func(i store.Item) { i[block[:len(block)-1]+"S"] = store.N(1) },
		"a_slot_of_a_padded_number": func(i store.Item) { i[strings.Replace(slot, "S", "S0", 1)] = store.N(1) },
		"a_slot_of_text":            func(i store.Item) { i[slot] = store.S("1") },
		"a_fraction":                func(i store.Item) { i[slot] = fraction },
		"less_than_nothing":         func(i store.Item) { i[slot] = store.N(-1) },
		"more_than_anything":        func(i store.Item) { i[slot] = store.N(1 << 41) },
		"a_block_of_text":           func(i store.Item) { i[block] = store.S("1") },
		"a_counter_without_window":  func(i store.Item) { i["abcdeS1"] = store.N(1) },
		"a_mark_without_a_time":     func(i store.Item) { i["xs1"] = store.Bool(true) },
		"a_refusal_without_reason":  func(i store.Item) { i[block] = store.N(start.Unix() / 6) },
		"a_refusal_without_an_item": func(i store.Item) { clear(i) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := db.Items(tableName)[0]
			change(old)
			u := &table{before: func(context.Context, *dynamodb.UpdateItemInput) error { return &store.ConditionFailedError{Old: old} }}
			v, err := limiter(t, u, ratelimit.Options{Now: newClock().now}).Count(t.Context(), []rest.Count{api("ada")})
			require.Error(t, err)
			require.False(t, v.Allowed)
		})
	}
}

// An answer in which the own addition is missing is no answer: a store that forgets would admit everybody.
func TestAnAnswerWithoutWhatWasAdded(t *testing.T) {
	t.Parallel()
	for name, item := range map[string]store.Item{"nothing": nil, "another_item": {"pk": store.S("RL#bob"), "ttl": store.N(1)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := limiter(t, answering(item), ratelimit.Options{Now: newClock().now}).Count(t.Context(), []rest.Count{api("ada")})
			require.ErrorContains(t, err, "without what was added")
			require.False(t, v.Allowed)
		})
	}
}

func TestLostAnswersOnlyMakeItStricter(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		lost     func(call int64) bool // whose effect is done and whose answer is lost
		admitted int
	}{
		"of_a_count":        {func(call int64) bool { return call == 1 }, 2},
		"of_every_count":    {func(int64) bool { return true }, 0},
		"of_the_refund":     {func(call int64) bool { return call == 5 }, 3},
		"of_nothing_at_all": {func(int64) bool { return false }, 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			u := &table{Updater: updater}
			u.after = func(context.Context, *dynamodb.UpdateItemInput) error {
				if c.lost(u.calls.Load()) {
					return errors.New("connection reset")
				}
				return nil
			}
			clock := newClock()
			passed := 0
			for range 8 { // each in a sandbox of its own, so that nothing is answered from memory
				v, _ := limiter(t, u, ratelimit.Options{Now: clock.now}).Count(t.Context(), []rest.Count{api("ada")})
				if v.Allowed {
					passed++
				}
			}
			require.Equal(t, c.admitted, passed)
			clock.advance(66 * time.Second)
			u.after = nil
			require.Equal(t, 3, admitted(t, limiter(t, u, ratelimit.Options{Now: clock.now}), 9, api("ada")), "and not for longer than a window")
		})
	}
}

// A refund that never arrives leaves the refused request counted; one that arrives after its slot has gone does nothing.
func TestRefunds(t *testing.T) {
	t.Parallel()
	db, updater := memory()
	clock := newClock()
	var held *dynamodb.UpdateItemInput
	u := &table{Updater: updater}
	u.before = func(_ context.Context, in *dynamodb.UpdateItemInput) error {
		if u.calls.Load() == 4+1 {
			held = in
			return errors.New("timeout")
		}
		return nil
	}
	sandbox := func() *ratelimit.Limiter { return limiter(t, u, ratelimit.Options{Now: clock.now}) }
	require.Equal(t, 3, admitted(t, sandbox(), 3, api("ada")))
	require.Zero(t, admitted(t, sandbox(), 1, api("ada")))
	require.NotNil(t, held)
	require.Equal(t, int64(4), slotSum(t, db.Items(tableName)[0]))
	clock.advance(2 * time.Minute)
	require.Equal(t, 2, admitted(t, sandbox(), 2, api("ada")), "the second removes what the first saw")
	_, err := updater.UpdateItem(t.Context(), held)
	require.ErrorIs(t, err, store.ErrConditionFailed)
	require.Equal(t, 1, admitted(t, sandbox(), 5, api("ada")), "no permit came back that was not taken")
}

// A revocation is a transaction on the item, and cancels a count that meets it: nothing was done, and the count is made
// again, a few times. It is the store's own answer, so that a refund may be made again as well.
func TestACountMeetsATransaction(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		conflicts, calls int64
		admitted         int
	}{"once": {1, 2, 1}, "twice": {2, 3, 1}, "always": {1000, 3, 0}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, updater := memory()
			u := &table{Updater: updater}
			u.before = func(context.Context, *dynamodb.UpdateItemInput) error {
				if u.calls.Load() <= c.conflicts {
					return fmt.Errorf("operation: %w", &types.TransactionConflictException{})
				}
				return nil
			}
			v, err := limiter(t, u, ratelimit.Options{Now: newClock().now}).Count(t.Context(), []rest.Count{api("ada")})
			require.Equal(t, c.admitted == 0, err != nil)
			require.Equal(t, c.admitted == 1, v.Allowed)
			require.Equal(t, c.calls, u.calls.Load())
		})
	}
}
