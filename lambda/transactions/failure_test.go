package transactions_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/rest"
	"github.com/expenzez/aws-backend/internal/rest/resttest"
	"github.com/expenzez/aws-backend/internal/revoke"
	"github.com/expenzez/aws-backend/internal/store"
)

// operations send one request of each operation, about a transaction of ada's.
func operations(w *world, id string) map[string]resttest.Request {
	return map[string]resttest.Request{
		"createTransaction": w.creating(ada, fields(nil)), "listTransactions": w.listing(ada), "getTransaction": w.at(ada, id, nil),
		"changeTransaction": w.at(ada, id, body{"version": 1, "amount": "1"}), "deleteTransaction": w.at(ada, id, nil),
	}
}

func TestFailuresOfTheStore(t *testing.T) {
	t.Parallel()
	calls := map[string]struct{ operation, call string }{
		"create": {"createTransaction", "TransactWriteItems"}, "list": {"listTransactions", "Query transactions"},
		"get": {"getTransaction", "GetItem transactions"}, "change_read": {"changeTransaction", "GetItem transactions"},
		"change_write": {"changeTransaction", "UpdateItem transactions"}, "delete": {"deleteTransaction", "DeleteItem transactions"},
	}
	cases := map[string]struct {
		err    error
		status int
		code   string
	}{
		"network":     {operation(errors.New("connection reset")), 503, "unavailable"},
		"took_long":   {operation(context.DeadlineExceeded), 503, "unavailable"},
		"broken":      {operation(&types.InternalServerError{}), 503, "unavailable"},
		"throttled":   {operation(&types.ProvisionedThroughputExceededException{}), 503, "unavailable"},
		"too_many":    {operation(&types.RequestLimitExceeded{}), 503, "unavailable"},
		"conflict":    {operation(&types.TransactionConflictException{}), 503, "unavailable"},
		"not_allowed": {operation(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: arn:aws:sts::111122223333:assumed-role/x"}), 500, "internal"},
		"no_table":    {operation(&types.ResourceNotFoundException{}), 500, "internal"},
		"wrong":       {operation(&smithy.GenericAPIError{Code: "ValidationException"}), 500, "internal"},
		"our_own":     {errors.New("something"), 500, "internal"},
	}
	for at, c := range calls {
		for name, x := range cases {
			t.Run(at+"/"+name, func(t *testing.T) {
				t.Parallel()
				failing(t, c.operation, c.call, x.err, x.status, x.code)
			})
		}
	}
	for name, x := range map[string]struct {
		reasons error
		status  int
		code    string
	}{
		"conflict":  {canceled("TransactionConflict", "None", "None"), 503, "unavailable"},
		"throttled": {canceled("None", "ThrottlingError", "None"), 503, "unavailable"},
		"both":      {canceled("ThrottlingError", "TransactionConflict", "None"), 503, "unavailable"},
		"wrong":     {canceled("None", "ValidationError", "None"), 500, "internal"},
		"too_large": {canceled("None", "ItemCollectionSizeLimitExceeded", "TransactionConflict"), 500, "internal"},
		"no_reason": {canceled(), 500, "internal"},
	} {
		t.Run("canceled/"+name, func(t *testing.T) {
			t.Parallel()
			failing(t, "createTransaction", "TransactWriteItems", operation(x.reasons), x.status, x.code)
		})
	}
}

// failing requires that a failure is answered so, changes nothing, tells nothing, and passes.
func failing(t *testing.T, operation, call string, err error, status int, code string) {
	t.Helper()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	request := operations(w, made.ID)[operation]
	w.fail(call, err)
	reply := w.Do(t, operation, request)
	reply.Refused(t, status, code)
	require.Equal(t, status == 503, reply.Headers["Retry-After"] != "")
	require.NotContains(t, reply.Body, "arn:")
	require.Contains(t, w.log.String(), `"ERROR"`)

	w.fail(call, nil)
	require.Equal(t, []shown{made}, w.list(t, ada).Items, "nothing happened")
	require.Less(t, w.Do(t, operation, request).Status, 300, "it recovers, and a key is still new")
}

// canceled is a transaction that the store gave up, with a code for each write.
func canceled(codes ...string) error {
	e := &types.TransactionCanceledException{}
	for _, code := range codes {
		e.CancellationReasons = append(e.CancellationReasons, types.CancellationReason{Code: aws.String(code)})
	}
	return e
}

// Whether a token was revoked is told by the counters, else by the table of revoked tokens. Without either nobody passes
// but who reads with a young token.
func TestWithoutAnAnswerAboutTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, nil)
	w.now = w.now.Add(2 * time.Second)
	w.fail("BatchGetItem", errors.New("down"))
	require.Equal(t, made, w.get(t, ada, made.ID), "the counters tell")
	w.fail("UpdateItem rate-limits", errors.New("down"))
	require.Equal(t, made, w.get(t, ada, made.ID), "the table tells")
	w.db.fails["BatchGetItem"] = errors.New("down")
	for operation, request := range operations(w, made.ID) {
		reads := request.Body == nil && operation != "deleteTransaction"
		if reads {
			require.Equal(t, 200, w.Do(t, operation, request).Status, operation)
		} else {
			w.Do(t, operation, request).Refused(t, 503, "unavailable")
		}
		request.User.IssuedAt = w.now.Add(-rest.Unchecked)
		w.Do(t, operation, request).Refused(t, 503, "unavailable")
	}
	w.db.fails = nil
	w.now = w.now.Add(2 * time.Second)
	require.Equal(t, made, w.get(t, ada, made.ID))
}

// A token that was revoked is refused from then on, whoever of the two is asked, and a token that was issued later is not.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	tables := func(w *world) revoke.Tables {
		return revoke.Tables{Revoked: store.NewTable(w.mem, "revoked-tokens"), Counters: store.NewTable(w.mem, "rate-limits")}
	}
	cases := map[string]struct {
		writes func(w *world) []store.Write
		other  bool // another session of the user goes on
	}{
		"session": {func(w *world) []store.Write { return tables(w).Session(ada, "session-of-"+ada, w.now) }, true},
		"user":    {func(w *world) []store.Write { return tables(w).User(ada, w.now) }, false},
	}
	for name, c := range cases {
		for by, down := range map[string]string{"counters": "BatchGetItem", "table": "UpdateItem rate-limits"} {
			t.Run(name+"_by_the_"+by, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				made := w.create(t, ada, nil)
				w.now = w.now.Add(2 * time.Second) // the counters know all about tokens from now on
				old, other, later := w.at(ada, made.ID, nil), w.at(ada, made.ID, nil), w.at(ada, made.ID, nil)
				other.User = &resttest.User{Subject: ada, Session: "another", IssuedAt: w.now, Expires: old.User.Expires}
				later.User = &resttest.User{Subject: ada, Session: "another", IssuedAt: w.now.Add(time.Second), Expires: old.User.Expires}
				require.NoError(t, store.Transact(t.Context(), w.mem, "", c.writes(w)...))
				w.fail(down, errors.New("down"))
				for range 2 {
					w.Do(t, "getTransaction", old).Refused(t, 401, "session_ended")
					require.Equal(t, c.other, w.Do(t, "getTransaction", other).Status == 200)
					require.Equal(t, 200, w.Do(t, "getTransaction", later).Status)
				}
				w.fail(down, nil)
				w.get(t, bob, w.create(t, bob, nil).ID)
			})
		}
	}
}

// A warm read costs the caller's count and the read itself, at the same time, where every call takes a while. Who is known
// to be refused costs nothing.
func TestAWarmReadIsTwoCallsInOneRoundTrip(t *testing.T) {
	t.Parallel()
	for operation, call := range map[string]string{"listTransactions": "Query transactions", "getTransaction": "GetItem transactions"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorldWith(t, options{limit: "20/60"})
				made := w.create(t, ada, nil)
				request := operations(w, made.ID)[operation]
				w.now = w.now.Add(2 * time.Second)
				w.Do(t, operation, request)
				w.db.delay = 5 * time.Millisecond
				for i := range 19 {
					w.db.calls = nil
					begun := time.Now()
					require.Equal(t, 200, w.Do(t, operation, request).Status, i)
					require.Equal(t, w.db.delay, time.Since(begun))
					require.ElementsMatch(t, []string{"UpdateItem rate-limits", call}, w.db.calls, "request %d", i)
				}
				w.db.calls = nil
				w.Do(t, operation, request).Refused(t, 429, "limited")
				require.Empty(t, w.db.calls)
			})
		})
	}
}

// What a person's reads cost from the first one after a long absence, when the counters do not know about the token yet.
func TestCallsOfReads(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{limit: "120/60"})
	user := w.user(ada)
	for range 60 {
		request := w.listing(ada)
		request.User = user
		require.Equal(t, 200, w.Do(t, "listTransactions", request).Status)
		w.now = w.now.Add(time.Second)
	}
	require.LessOrEqual(t, float64(len(w.db.calls))/60, 2.1)
	require.Contains(t, w.db.calls, "BatchGetItem", "the table was asked at first")
}

// A read that is refused changes nothing but its counter, and tells nothing of what was read meanwhile.
func TestARefusedReadLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{limit: "20/60"})
	made := w.create(t, ada, body{"description": "Rendezvous"})
	for operation, request := range operations(w, made.ID) {
		if operation != "getTransaction" && operation != "listTransactions" {
			continue
		}
		for range 20 {
			require.Equal(t, 200, w.Do(t, operation, request).Status)
		}
		another := w.another(t, options{limit: "20/60"}) // a sandbox that does not know that the limit is reached
		before := map[string][]store.Item{}
		for _, table := range function().Tables {
			before[table.Table] = w.mem.Items(table.Table)
		}
		reply := another.Do(t, operation, request)
		reply.Refused(t, 429, "limited")
		require.NotContains(t, reply.Body+another.log.String(), "Rendezvous")
		for table, items := range before {
			if table != "rate-limits" {
				require.Equal(t, items, w.mem.Items(table), table)
			}
		}
		for _, call := range another.db.calls {
			require.Contains(t, []string{"UpdateItem rate-limits", "Query transactions", "GetItem transactions"}, call)
		}
		require.Len(t, another.db.calls, 3, "counted, read meanwhile, and taken out again")
	}
}

func TestTheCallerLimit(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{limit: "120/60"})
	for i := range 120 {
		require.Equal(t, 200, w.Do(t, "listTransactions", w.listing(ada)).Status, i)
	}
	reply := w.Do(t, "listTransactions", w.listing(ada))
	reply.Refused(t, 429, "limited")
	require.NotEmpty(t, reply.Headers["Retry-After"])
	require.NotEmpty(t, reply.Headers["RateLimit"])
	require.Equal(t, 200, w.Do(t, "listTransactions", w.listing(bob)).Status, "another person")
	w.create(t, ada, nil)
	w.now = w.now.Add(2 * time.Minute)
	require.Equal(t, 200, w.Do(t, "listTransactions", w.listing(ada)).Status)
}

// Without its counters the limit holds all the same, in each sandbox for itself.
func TestTheCallerLimitWithoutItsCounters(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{limit: "5/60"})
	w.fail("UpdateItem rate-limits", errors.New("down"))
	for range 5 {
		require.Equal(t, 200, w.Do(t, "listTransactions", w.listing(ada)).Status)
	}
	w.Do(t, "listTransactions", w.listing(ada)).Refused(t, 429, "limited")
	require.Equal(t, 6, strings.Count(w.log.String(), `"LimiterFallback":1`), "each is counted as a metric")
}

func TestPagesOfOurOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.creating(ada, fields(nil))
	r.Headers["Origin"] = "https://app.example.com"
	require.Equal(t, "https://app.example.com", w.Do(t, "createTransaction", r).Headers["Access-Control-Allow-Origin"])
}

func TestADeadlineThatPasses(t *testing.T) {
	t.Parallel()
	for operation := range operations(newWorld(t), "") {
		w := newWorld(t)
		made := w.create(t, ada, nil)
		request := operations(w, made.ID)[operation]
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.DoContext(ctx, t, operation, request).Refused(t, 504, "timeout")
		require.Equal(t, made, w.get(t, ada, made.ID))
	}
}

func TestLogsHoldNothingPrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.create(t, ada, body{"amount": "-4321.98", "description": "Divorce lawyer", "category": "private-matters"})
	w.list(t, ada, "category", "private-matters")
	w.do(t, "changeTransaction", ada, made.ID, body{"version": 1, "amount": "-4321.97"})
	w.do(t, "changeTransaction", ada, made.ID, body{"version": 1, "description": "\u0000Divorce"})
	w.do(t, "deleteTransaction", bob, made.ID, nil)
	item := w.mem.Items("transactions")[0]
	item["currency"] = store.S("ABC")
	w.put(t, "transactions", item)
	w.get500(t, made.ID)
	for _, private := range []string{"4321", "Divorce", "private-matters", made.ID, ada, bob, "key-0000", "192.0.2.1"} {
		require.NotContains(t, w.log.String(), private)
	}
	for line := range strings.Lines(w.log.String()) {
		require.True(t, json.Valid([]byte(line)), line)
	}
}

func (w *world) get500(t *testing.T, id string) {
	t.Helper()
	w.do(t, "getTransaction", ada, id, nil).Refused(t, 500, "internal")
}
