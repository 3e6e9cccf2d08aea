package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// budget is what a request has in these tests. Time is that of the test's bubble, where nobody waits for it.
const budget = 10 * time.Second

var policies = map[string]idempotency.Policy{"unknown": idempotency.Unknown, "retry": idempotency.Retry}

// office is a service whose effect is elsewhere: it counts what was done there, and under which key.
type office struct {
	db     *mem.DB
	faults *fault.DB
	leases idempotency.Leases
	vault  *vault
	now    func() time.Time
	log    bytes.Buffer

	mu    sync.Mutex
	done  []string // downstream keys
	waits []time.Duration
	// meanwhile happens in the wait of a request that found its key at work.
	meanwhile func()
}

func newOffice() *office {
	o := &office{db: mem.New(mem.Schema{Name: "idempotency", Hash: "pk"}), vault: &vault{}, now: time.Now}
	o.faults = fault.NewDB(o.db.As(mem.Grant{Table: "idempotency", Actions: []string{"PutItem", "UpdateItem"}}), nil)
	var owners atomic.Int64
	o.leases = idempotency.NewLeases(store.NewTable(o.faults, "idempotency"), o.vault, idempotency.Options{
		Now: func() time.Time { return o.now() },
		Wait: func(ctx context.Context, d time.Duration) error {
			o.mu.Lock()
			o.waits = append(o.waits, d)
			o.mu.Unlock()
			if o.meanwhile != nil {
				o.meanwhile()
			}
			return ctx.Err()
		},
		Owner: func() string { return fmt.Sprint("owner-", owners.Add(1)) },
	})
	return o
}

// send does the effect and answers with how many there are now.
func (o *office) send(_ context.Context, key string) (idempotency.Answer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = append(o.done, key)
	return sent(len(o.done)), nil
}

func sent(n int) idempotency.Answer {
	return created(fmt.Sprintf(`{"sent":%d}`, n))
}

func replayed(a idempotency.Answer) idempotency.Answer {
	a.Replayed = true
	return a
}

func (o *office) run(t testing.TB, policy idempotency.Policy, effect idempotency.Effect) (idempotency.Answer, error) {
	t.Helper()
	return o.ask(t, request(), policy, effect)
}

func (o *office) ask(t testing.TB, req idempotency.Request, policy idempotency.Policy, effect idempotency.Effect) (idempotency.Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(telemetry.Into(t.Context(), telemetry.New(&o.log, telemetry.Options{})), budget)
	defer cancel()
	return o.leases.Run(ctx, req, policy, effect)
}

// never is the effect of a request that must not have one.
func never(t testing.TB) idempotency.Effect {
	t.Helper()
	return func(context.Context, string) (idempotency.Answer, error) {
		t.Error("the effect was done")
		return idempotency.Answer{}, nil
	}
}

func (o *office) record(t testing.TB) *store.Reader {
	t.Helper()
	items := o.db.Items("idempotency")
	require.Len(t, items, 1)
	return store.Read(items[0])
}

func (o *office) put(t testing.TB, change func(store.Item)) {
	t.Helper()
	item := o.db.Items("idempotency")[0]
	change(item)
	table := "idempotency"
	_, err := o.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item})
	require.NoError(t, err)
}

// abandoned leaves a lease whose execution died in its effect, before or after something happened.
func (o *office) abandoned(t testing.TB, policy idempotency.Policy) {
	t.Helper()
	require.Panics(t, func() {
		_, _ = o.run(t, policy, func(context.Context, string) (idempotency.Answer, error) { panic("the sandbox is gone") })
	})
	require.Equal(t, "IN_PROGRESS", o.record(t).S("state"))
}

// refused requires that an error says so, and returns when it says to come back.
func refused(t testing.TB, err error, cause error, status int, code string) time.Duration {
	t.Helper()
	require.ErrorIs(t, err, cause)
	e := apperr.From(err)
	require.Equal(t, status, e.Kind.Status())
	require.Equal(t, code, e.Code)
	return e.RetryAfter
}

// in runs each test in a bubble of its own, for each policy.
func in(t *testing.T, f func(*testing.T, *office, idempotency.Policy)) {
	t.Parallel()
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, newOffice(), policy) })
		})
	}
}

func TestAnEffectIsLeasedThenRecorded(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		start := time.Now()
		answer, err := o.run(t, policy, func(ctx context.Context, key string) (idempotency.Answer, error) {
			r := o.record(t)
			require.Equal(t, request().ID(), r.S("pk"))
			require.Equal(t, "IN_PROGRESS", r.S("state"))
			require.Equal(t, "owner-1", r.S("owner"))
			require.EqualValues(t, 1, r.N("generation"))
			require.Equal(t, start.Add(budget+2*time.Second).UnixMilli(), r.N("leaseUntil"))
			if policy == idempotency.Retry {
				require.Equal(t, start.Add(24*time.Hour).Unix(), r.N("ttl"))
			} else {
				require.Zero(t, r.OptN("ttl"), "an outcome that may get lost does not expire")
			}
			require.NoError(t, r.Err())
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, start.Add(budget-time.Second), deadline, "there is time left for the record")
			require.Equal(t, idempotency.DownstreamKey(request().ID()), key)
			require.Regexp(t, `^[A-Za-z0-9_-]{43}$`, key)
			time.Sleep(time.Second)
			return o.send(ctx, key)
		})
		require.NoError(t, err)
		require.Equal(t, sent(1), answer)
		r := o.record(t)
		require.Equal(t, "COMPLETED", r.S("state"))
		require.Equal(t, start.Add(time.Second+24*time.Hour).Unix(), r.N("ttl"))
		require.NotContains(t, string(r.B("answer")), "sent")
		require.Equal(t, []string{"PutItem", "UpdateItem"}, o.faults.Calls())

		o.faults.Follow(nil)
		again, err := o.run(t, policy, never(t))
		require.NoError(t, err)
		require.Equal(t, replayed(sent(1)), again)
		require.Equal(t, []string{"PutItem"}, o.faults.Calls())
		require.Empty(t, o.log.String())
	})
}

// The effect's own time is most of a short request's too.
func TestAShortRequest(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		_, err := o.leases.Run(ctx, request(), policy, func(ctx context.Context, key string) (idempotency.Answer, error) {
			deadline, _ := ctx.Deadline()
			require.Equal(t, 300*time.Millisecond, time.Until(deadline))
			return o.send(ctx, key)
		})
		require.NoError(t, err)
	})
}

func TestAKeyIsNewAfterADay(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		_, err := o.run(t, policy, o.send)
		require.NoError(t, err)
		time.Sleep(24*time.Hour - time.Second)
		again, err := o.run(t, policy, never(t))
		require.NoError(t, err)
		require.Equal(t, replayed(sent(1)), again)
		time.Sleep(time.Second)
		later, err := o.run(t, policy, o.send)
		require.NoError(t, err)
		require.Equal(t, sent(2), later)
	})
}

// Whatever the record says, it says it to nobody but the request that it is of.
func TestAnotherRequestWithTheKeyOfALease(t *testing.T) {
	states := map[string]func(*testing.T, *office, idempotency.Policy){
		"completed": func(t *testing.T, o *office, p idempotency.Policy) {
			_, err := o.run(t, p, o.send)
			require.NoError(t, err)
		},
		"running": func(t *testing.T, o *office, p idempotency.Policy) { o.abandoned(t, p) },
		"ended":   func(t *testing.T, o *office, p idempotency.Policy) { o.abandoned(t, p); time.Sleep(time.Minute) },
		"unknown": func(t *testing.T, o *office, p idempotency.Policy) {
			o.abandoned(t, p)
			o.put(t, func(i store.Item) { i["state"] = store.S("UNKNOWN") })
		},
	}
	for name, before := range states {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
				before(t, o, policy)
				was := o.db.Items("idempotency")
				req := request()
				req.Payload = []byte(`{}`)
				_, err := o.ask(t, req, policy, never(t))
				refused(t, err, idempotency.ErrReused, 422, "idempotency_key_reused")
				require.Equal(t, was, o.db.Items("idempotency"))
				require.Empty(t, o.waits, "time does not make it right")
			})
		})
	}
}

func TestOneThatIsStillRunning(t *testing.T) {
	for name, c := range map[string]struct{ after, retry time.Duration }{
		"just_begun":   {0, 5 * time.Second},
		"ends_in_6_s":  {6 * time.Second, 5 * time.Second},
		"ends_in_3_s":  {9 * time.Second, 3 * time.Second},
		"ends_in_1_ms": {12*time.Second - time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
				o.abandoned(t, policy)
				time.Sleep(c.after)
				_, err := o.run(t, policy, never(t))
				require.Equal(t, c.retry, refused(t, err, idempotency.ErrInProgress, 409, "request_in_progress"))
				require.Equal(t, []time.Duration{150 * time.Millisecond}, o.waits, "it looks once more")
				require.Equal(t, "owner-1", o.record(t).S("owner"))
			})
		})
	}
}

func TestADoubleTapIsAnsweredOnce(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		o.meanwhile = func() { time.Sleep(o.waits[0]) }
		var wg sync.WaitGroup
		wg.Go(func() {
			first, err := o.run(t, policy, func(ctx context.Context, key string) (idempotency.Answer, error) {
				time.Sleep(100 * time.Millisecond)
				return o.send(ctx, key)
			})
			assert.NoError(t, err)
			assert.Equal(t, sent(1), first)
		})
		time.Sleep(50 * time.Millisecond)
		second, err := o.run(t, policy, never(t))
		wg.Wait()
		require.NoError(t, err)
		require.Equal(t, replayed(sent(1)), second)
		require.Len(t, o.waits, 1)
	})
}

// What happens in the wait of the second request decides: here, the first is freed.
func TestTheSecondTapTakesAKeyThatWasFreed(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		o.abandoned(t, policy)
		o.meanwhile = func() {
			o.put(t, func(i store.Item) { i["state"] = store.S("FREE") })
		}
		answer, err := o.run(t, policy, o.send)
		require.NoError(t, err)
		require.Equal(t, sent(1), answer)
	})
}

func TestTheWaitEndsWithTheRequest(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		o.abandoned(t, policy)
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		_, err := o.leases.Run(ctx, request(), policy, never(t))
		refused(t, err, idempotency.ErrInProgress, 409, "request_in_progress")
		require.Empty(t, o.waits, "there is no time for it")

		ctx, cancel = context.WithTimeout(t.Context(), budget)
		o.meanwhile = cancel
		_, err = o.leases.Run(ctx, request(), policy, never(t))
		require.ErrorIs(t, err, context.Canceled)
	})
}

// The timer that is used when nobody gives another.
func TestTheWaitOfItsOwn(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		o.abandoned(t, policy)
		leases := idempotency.NewLeases(store.NewTable(o.faults, "idempotency"), nil, idempotency.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), budget)
		defer cancel()
		start := time.Now()
		_, err := leases.Run(ctx, request(), policy, never(t))
		require.ErrorIs(t, err, idempotency.ErrInProgress)
		require.Equal(t, 150*time.Millisecond, time.Since(start))
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err = leases.Run(ctx, request(), policy, never(t))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 250*time.Millisecond, time.Since(start))
	})
}

func TestAnOutcomeThatNobodyKnowsIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice()
		o.abandoned(t, idempotency.Unknown)
		time.Sleep(12 * time.Second)
		for _, after := range []time.Duration{0, time.Second, 25 * time.Hour, 1000 * time.Hour} {
			time.Sleep(after)
			_, err := o.run(t, idempotency.Unknown, never(t))
			require.Zero(t, refused(t, err, idempotency.ErrUnknown, 409, "outcome_unknown"), "trying again changes nothing")
			require.Equal(t, "UNKNOWN", o.record(t).S("state"))
			require.Zero(t, o.record(t).OptN("ttl"), "it stays until somebody looks")
		}
		_, err := o.run(t, idempotency.Retry, never(t))
		require.ErrorIs(t, err, idempotency.ErrUnknown, "another policy does not make it known")
		require.Empty(t, o.waits)
	})
}

func TestALeaseThatEndedIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice()
		o.abandoned(t, idempotency.Retry)
		time.Sleep(12*time.Second - time.Millisecond)
		_, err := o.run(t, idempotency.Retry, never(t))
		require.ErrorIs(t, err, idempotency.ErrInProgress)
		time.Sleep(time.Millisecond)
		answer, err := o.run(t, idempotency.Retry, func(ctx context.Context, key string) (idempotency.Answer, error) {
			require.EqualValues(t, 2, o.record(t).N("generation"))
			require.Equal(t, "owner-3", o.record(t).S("owner"))
			return o.send(ctx, key)
		})
		require.NoError(t, err)
		require.Equal(t, sent(1), answer)
		require.Equal(t, []string{idempotency.DownstreamKey(request().ID())}, o.done)
	})
}

// An owner that was away for longer than its lease comes back with an answer.
func TestALateOwner(t *testing.T) {
	type world struct {
		*office
		policy idempotency.Policy
	}
	// away is what another request is told when the lease is over, asked while the owner still is in its effect.
	cases := map[string]struct {
		policy idempotency.Policy
		away   func(*testing.T, world)
		want   idempotency.Answer
		err    error
	}{
		"another_has_answered": {idempotency.Retry, func(t *testing.T, w world) {
			answer, err := w.run(t, w.policy, w.send)
			require.NoError(t, err)
			require.Equal(t, sent(2), answer)
		}, replayed(sent(2)), nil},
		"another_is_at_it": {idempotency.Retry, func(t *testing.T, w world) { w.taken(t) }, idempotency.Answer{}, idempotency.ErrInProgress},
		"another_was_refused": {idempotency.Retry, func(t *testing.T, w world) {
			_, err := w.run(t, w.policy, func(context.Context, string) (idempotency.Answer, error) {
				return idempotency.Answer{}, apperr.New(apperr.Conflict, "sold_out", "").Because(errSoldOut)
			})
			require.ErrorIs(t, err, errSoldOut)
		}, idempotency.Answer{}, apperr.New(apperr.Conflict, "sold_out", "")},
		"another_lost_patience": {idempotency.Unknown, func(t *testing.T, w world) {
			_, err := w.run(t, w.policy, never(t))
			require.ErrorIs(t, err, idempotency.ErrUnknown)
		}, sent(1), nil},
		"somebody_found_out": {idempotency.Unknown, func(t *testing.T, w world) {
			require.NoError(t, w.leases.Resolve(t.Context(), request().ID(), sent(7), nil))
		}, replayed(sent(7)), nil},
		"somebody_was_mistaken": {idempotency.Unknown, func(t *testing.T, w world) {
			require.NoError(t, w.leases.Resolve(t.Context(), request().ID(), idempotency.Answer{}, idempotency.NothingHappened(errSoldOut)))
		}, sent(1), nil},
		"the_key_is_another_requests": {idempotency.Retry, func(t *testing.T, w world) {
			other := request()
			other.Payload = nil
			time.Sleep(24 * time.Hour)
			_, err := w.ask(t, other, w.policy, w.send)
			require.NoError(t, err)
		}, sent(1), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := world{newOffice(), c.policy}
				late := false
				w.now = func() time.Time { // the others' clock, once the owner is away
					if late {
						return time.Now().Add(13 * time.Second)
					}
					return time.Now()
				}
				ctx, cancel := context.WithTimeout(t.Context(), 72*time.Hour)
				defer cancel()
				if name != "the_key_is_another_requests" {
					ctx, cancel = context.WithTimeout(t.Context(), budget)
					defer cancel()
				}
				answer, err := w.leases.Run(ctx, request(), c.policy, func(ctx context.Context, key string) (idempotency.Answer, error) {
					late = true
					answer, err := w.send(ctx, key)
					c.away(t, w)
					return answer, err
				})
				require.Equal(t, c.want, answer)
				var want *apperr.Error
				switch {
				case errors.As(c.err, &want):
					require.Equal(t, want.Code, apperr.From(err).Code)
				case c.err == nil:
					require.NoError(t, err)
				default:
					require.ErrorIs(t, err, c.err)
				}
			})
		})
	}
}

var errSoldOut = errors.New("sold out")

// taken is the key in the hands of another, as a takeover leaves it.
func (o *office) taken(t testing.TB) {
	t.Helper()
	o.put(t, func(i store.Item) {
		i["owner"], i["generation"] = store.S("another"), store.N(2)
		i["leaseUntil"] = store.N(o.now().Add(time.Minute).UnixMilli())
	})
}

func TestWhatBecomesOfAnEffect(t *testing.T) {
	broken := errors.New("connection reset")
	fields := []apperr.Field{{Pointer: "/amount", Code: "too_large", Detail: "Too large."}}
	cases := map[string]struct {
		answer         idempotency.Answer
		err            error
		unknown, retry string // the state of the record under each policy
		replays        bool   // the next request is told the same
		shown          error  // to the caller, under the policy Unknown; nil: err itself
	}{
		"no_content":        {answer: idempotency.Answer{Status: 204}, unknown: "COMPLETED", retry: "COMPLETED", replays: true},
		"a_refusal_of_ours": {answer: idempotency.Answer{Status: 409, Body: []byte(`{}`)}, unknown: "COMPLETED", retry: "COMPLETED", replays: true},
		"refused":           {err: apperr.New(apperr.Conflict, "sold_out", "Sold out."), unknown: "COMPLETED", retry: "COMPLETED", replays: true},
		"refused_with_cause": {err: fmt.Errorf("buy: %w", apperr.New(apperr.Invalid, "bad", "").With(fields...).Because(broken)),
			unknown: "COMPLETED", retry: "COMPLETED", replays: true},
		"refused_without_code": {err: apperr.New(apperr.NotFound, "", ""), unknown: "COMPLETED", retry: "COMPLETED", replays: true},
		"nothing":              {err: idempotency.NothingHappened(broken), unknown: "FREE", retry: "FREE"},
		"nothing_by_refusal":   {err: fmt.Errorf("x: %w", idempotency.NothingHappened(apperr.New(apperr.Conflict, "", ""))), unknown: "FREE", retry: "FREE"},
		"timeout":              {err: context.DeadlineExceeded, unknown: "UNKNOWN", retry: "IN_PROGRESS", shown: idempotency.ErrUnknown},
		"broken":               {err: broken, unknown: "UNKNOWN", retry: "IN_PROGRESS", shown: idempotency.ErrUnknown},
		"unavailable":          {err: apperr.New(apperr.Unavailable, "", ""), unknown: "UNKNOWN", retry: "IN_PROGRESS", shown: idempotency.ErrUnknown},
		"limited":              {err: apperr.New(apperr.Limited, "", ""), unknown: "UNKNOWN", retry: "IN_PROGRESS", shown: idempotency.ErrUnknown},
		"unauthenticated":      {err: apperr.New(apperr.Unauthenticated, "", ""), unknown: "UNKNOWN", retry: "IN_PROGRESS", shown: idempotency.ErrUnknown},
		"for_now":              {err: apperr.New(apperr.Conflict, "", "").After(time.Second), unknown: "UNKNOWN", retry: "IN_PROGRESS", shown: idempotency.ErrUnknown},
		"an_answer_of_500":     {answer: idempotency.Answer{Status: 500}, unknown: "UNKNOWN", retry: "UNKNOWN"},
		"an_answer_of_429":     {answer: idempotency.Answer{Status: 429}, unknown: "UNKNOWN", retry: "UNKNOWN"},
		"too_large":            {answer: idempotency.Answer{Status: 200, Body: make([]byte, idempotency.MaxAnswer+1)}, unknown: "UNKNOWN", retry: "UNKNOWN"},
		"a_refusal_too_large":  {err: apperr.New(apperr.Conflict, "", strings.Repeat("x", idempotency.MaxAnswer)), unknown: "UNKNOWN", retry: "IN_PROGRESS", shown: idempotency.ErrUnknown},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
				answer, err := o.run(t, policy, func(context.Context, string) (idempotency.Answer, error) { return c.answer, c.err })
				state := map[idempotency.Policy]string{idempotency.Unknown: c.unknown, idempotency.Retry: c.retry}[policy]
				require.Equal(t, state, o.record(t).S("state"))
				require.Equal(t, state == "UNKNOWN" || policy == idempotency.Unknown && state == "IN_PROGRESS", o.record(t).OptN("ttl") == 0)
				switch {
				case c.shown != nil && policy == idempotency.Unknown:
					require.ErrorIs(t, err, c.shown)
					require.ErrorIs(t, err, c.err, "the cause is for the log")
				case c.err != nil:
					require.Equal(t, c.err, err)
				case state == "UNKNOWN":
					require.ErrorContains(t, err, "idempotency: ")
					require.Equal(t, apperr.Internal, apperr.From(err).Kind)
				default:
					require.NoError(t, err)
					require.Equal(t, c.answer, answer)
				}
				if c.replays {
					o.replays(t, policy, c.answer, c.err)
					return
				}
				o.next(t, policy, state)
			})
		})
	}
}

// replays requires that the next request is told what the first was, and nothing private.
func (o *office) replays(t testing.TB, policy idempotency.Policy, answer idempotency.Answer, first error) {
	t.Helper()
	again, err := o.run(t, policy, never(t))
	if first == nil {
		require.NoError(t, err)
		require.Equal(t, replayed(answer), again)
		return
	}
	was, is := apperr.From(first), apperr.From(err)
	require.Equal(t, was.Problem("x"), is.Problem("x"))
	require.Nil(t, is.Unwrap(), "the cause was not recorded")
	var with interface{ Headers() map[string]string }
	require.ErrorAs(t, err, &with)
	require.Equal(t, map[string]string{"Idempotency-Replayed": "true"}, with.Headers())
}

// next requires what the next request meets in each state.
func (o *office) next(t testing.TB, policy idempotency.Policy, state string) {
	t.Helper()
	switch state {
	case "FREE":
		other := request()
		other.Payload = nil
		answer, err := o.ask(t, other, policy, o.send)
		require.NoError(t, err, "the key is new, for any request")
		require.Equal(t, sent(1), answer)
		require.EqualValues(t, 1, o.record(t).N("generation"))
	case "IN_PROGRESS":
		answer, err := o.run(t, policy, o.send)
		require.NoError(t, err, "at once")
		require.Equal(t, sent(1), answer)
		require.EqualValues(t, 2, o.record(t).N("generation"))
	default:
		_, err := o.run(t, policy, never(t))
		refused(t, err, idempotency.ErrUnknown, http.StatusConflict, "outcome_unknown")
	}
}

// After an execution of which nobody knows, the next one's word that nothing happened is about itself alone.
func TestNothingHappenedTheSecondTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice()
		o.abandoned(t, idempotency.Retry)
		time.Sleep(time.Minute)
		_, err := o.run(t, idempotency.Retry, func(context.Context, string) (idempotency.Answer, error) {
			return idempotency.Answer{}, idempotency.NothingHappened(errSoldOut)
		})
		require.ErrorIs(t, err, errSoldOut)
		other := request()
		other.Payload = nil
		_, err = o.ask(t, other, idempotency.Retry, never(t))
		require.ErrorIs(t, err, idempotency.ErrReused, "the key stands for the first request")
		answer, err := o.run(t, idempotency.Retry, o.send)
		require.NoError(t, err)
		require.Equal(t, sent(1), answer)
		require.EqualValues(t, 3, o.record(t).N("generation"))
	})
}

func TestResolve(t *testing.T) {
	states := map[string]struct {
		policy idempotency.Policy
		before func(*testing.T, *office, idempotency.Policy)
		open   bool
	}{
		"unknown": {idempotency.Unknown, func(t *testing.T, o *office, p idempotency.Policy) {
			o.abandoned(t, p)
			time.Sleep(time.Minute)
			_, err := o.run(t, p, never(t))
			require.ErrorIs(t, err, idempotency.ErrUnknown)
		}, true},
		"ended":   {idempotency.Unknown, func(t *testing.T, o *office, p idempotency.Policy) { o.abandoned(t, p); time.Sleep(12 * time.Second) }, true},
		"running": {idempotency.Unknown, func(t *testing.T, o *office, p idempotency.Policy) { o.abandoned(t, p); time.Sleep(11 * time.Second) }, false},
		"completed": {idempotency.Retry, func(t *testing.T, o *office, p idempotency.Policy) {
			_, err := o.run(t, p, o.send)
			require.NoError(t, err)
		}, false},
		"missing": {idempotency.Unknown, func(*testing.T, *office, idempotency.Policy) {}, false},
	}
	soldOut := apperr.New(apperr.Conflict, "sold_out", "Sold out.")
	verdicts := map[string]struct {
		answer idempotency.Answer
		err    error
		fails  string // why it is refused whatever the record
	}{
		"happened":      {sent(1), nil, ""},
		"refused":       {idempotency.Answer{}, soldOut, ""},
		"nothing":       {idempotency.Answer{}, idempotency.NothingHappened(errSoldOut), ""},
		"nobody_knows":  {idempotency.Answer{}, errSoldOut, "sold out"},
		"not_an_answer": {idempotency.Answer{Status: 503}, nil, "status 503"},
		"no_answer":     {idempotency.Answer{}, nil, "status 0"},
	}
	for state, s := range states {
		for name, v := range verdicts {
			t.Run(state+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					o := newOffice()
					s.before(t, o, s.policy)
					was := o.db.Items("idempotency")
					err := o.leases.Resolve(t.Context(), request().ID(), v.answer, v.err)
					switch {
					case v.fails != "":
						require.ErrorContains(t, err, v.fails)
						require.Equal(t, was, o.db.Items("idempotency"))
					case !s.open:
						require.ErrorIs(t, err, idempotency.ErrNotUnknown)
						require.Equal(t, was, o.db.Items("idempotency"))
					default:
						require.NoError(t, err)
						o.resolved(t, name, soldOut)
						require.ErrorIs(t, o.leases.Resolve(t.Context(), request().ID(), sent(9), nil), idempotency.ErrNotUnknown, "once")
					}
				})
			})
		}
	}
}

func (o *office) resolved(t testing.TB, verdict string, soldOut *apperr.Error) {
	t.Helper()
	require.Equal(t, o.record(t).S("state") == "COMPLETED", verdict != "nothing")
	switch verdict {
	case "happened":
		o.replays(t, idempotency.Unknown, sent(1), nil)
		require.Equal(t, time.Now().Add(24*time.Hour).Unix(), o.record(t).N("ttl"), "now it may be forgotten")
	case "refused":
		o.replays(t, idempotency.Unknown, idempotency.Answer{}, soldOut)
	default:
		answer, err := o.run(t, idempotency.Unknown, o.send)
		require.NoError(t, err)
		require.Equal(t, sent(1), answer)
	}
}

func TestResolveWithoutTheTable(t *testing.T) {
	t.Parallel()
	o := newOffice()
	o.faults.Follow(fault.From(0, fault.Fault{Kind: fault.Unsent}))
	err := o.leases.Resolve(t.Context(), request().ID(), sent(1), nil)
	require.ErrorContains(t, err, "idempotency: resolve")
	require.NotErrorIs(t, err, idempotency.ErrNotUnknown)
}

func TestRequestsThatCannotRun(t *testing.T) {
	t.Parallel()
	o := newOffice()
	_, err := o.leases.Run(t.Context(), idempotency.Request{}, 2, nil)
	for _, want := range []string{"no user", "route is empty", "no key", "no time", "no deadline", "no such policy", "no effect"} {
		require.ErrorContains(t, err, want)
	}
	bad := request()
	bad.Payload = []byte(`{"card":"4111`)
	_, err = o.ask(t, bad, idempotency.Retry, never(t))
	require.ErrorContains(t, err, "not JSON")
	require.NotContains(t, err.Error(), "4111")
	require.Empty(t, o.faults.Calls())
}

// The client does a call again whose answer it did not hear: it then meets its own record.
func TestTheClientsSecondTry(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		leases := idempotency.NewLeases(twice{store.NewTable(o.faults, "idempotency")}, o.vault, idempotency.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), budget)
		defer cancel()
		answer, err := leases.Run(ctx, request(), policy, o.send)
		require.NoError(t, err)
		require.Equal(t, sent(1), answer)
		require.Equal(t, []string{"PutItem", "PutItem", "UpdateItem", "UpdateItem"}, o.faults.Calls())
		o.replays(t, policy, sent(1), nil)
	})
}

type twice struct{ idempotency.LeaseTable }

func (w twice) PutItem(ctx context.Context, in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
	if _, err := w.LeaseTable.PutItem(ctx, in); err != nil {
		return nil, err
	}
	return w.LeaseTable.PutItem(ctx, in)
}

func (w twice) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	if _, err := w.LeaseTable.UpdateItem(ctx, in); err != nil {
		return nil, err
	}
	return w.LeaseTable.UpdateItem(ctx, in)
}

func TestALeaseThatCannotBeRead(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		o.abandoned(t, policy)
		o.put(t, func(i store.Item) { i["leaseUntil"] = store.S("soon") })
		_, err := o.run(t, policy, never(t))
		require.ErrorContains(t, err, "idempotency: a record")
		require.Equal(t, apperr.Internal, apperr.From(err).Kind)
	})
}

// The outcome could not be called unknown; it is not done again all the same.
func TestALeaseThatEndedWithoutTheTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice()
		o.abandoned(t, idempotency.Unknown)
		time.Sleep(time.Minute)
		o.faults.Follow(fault.At(1, fault.Fault{Kind: fault.Broken}))
		_, err := o.run(t, idempotency.Unknown, never(t))
		require.Equal(t, apperr.Unavailable, apperr.From(err).Kind)
		_, err = o.run(t, idempotency.Unknown, never(t))
		require.ErrorIs(t, err, idempotency.ErrUnknown)
	})
}

// Without the table nothing is done, and the next request is the first.
func TestWithoutTheTableNothingIsDone(t *testing.T) {
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
				o.faults.Follow(fault.At(0, fault.Fault{Kind: kind}))
				_, err := o.run(t, policy, never(t))
				e := apperr.From(err)
				require.Equal(t, 503, e.Kind.Status())
				require.Equal(t, time.Second, e.RetryAfter)
				if kind == fault.Throttled {
					require.Equal(t, []string{"PutItem"}, o.faults.Calls(), "one that has no capacity is not asked again")
				}
				answer, err := o.run(t, policy, o.send)
				require.NoError(t, err, "a claim that was made and not heard of is given up")
				require.Equal(t, sent(1), answer)
			})
		})
	}
}

// The effect took place; only the record is missing. Its caller is told the truth, and it is logged without anything private.
func TestARecordThatIsMissing(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		o.faults.Follow(fault.From(1, fault.Fault{Kind: fault.Unsent}))
		answer, err := o.run(t, policy, o.send)
		require.NoError(t, err)
		require.Equal(t, sent(1), answer)
		require.Contains(t, o.log.String(), "an outcome was not recorded")
		require.Contains(t, o.log.String(), "connection refused")
		for _, private := range []string{"ada", "key-0001", "1.50", "sent"} {
			require.NotContains(t, o.log.String(), private)
		}
		o.faults.Follow(nil)
		_, err = o.run(t, policy, never(t))
		require.ErrorIs(t, err, idempotency.ErrInProgress)
		time.Sleep(12 * time.Second)
		again, err := o.run(t, policy, o.send)
		if policy == idempotency.Unknown {
			require.ErrorIs(t, err, idempotency.ErrUnknown)
			require.Len(t, o.done, 1)
			return
		}
		require.NoError(t, err)
		require.Equal(t, sent(2), again)
		require.Equal(t, o.done[0], o.done[1])
	})
}

func TestAnAnswerThatDoesNotSeal(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		o.vault.sealErr = errors.New("no key")
		answer, err := o.run(t, policy, o.send)
		require.NoError(t, err, "it took place")
		require.Equal(t, sent(1), answer)
		require.Contains(t, o.log.String(), "no key")
		require.Equal(t, "IN_PROGRESS", o.record(t).S("state"), "it is not recorded in the clear")
	})
}

// A caller that has gone does not keep the outcome from the record.
func TestACallerThatHasGone(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		ctx, cancel := context.WithTimeout(t.Context(), budget)
		_, err := o.leases.Run(ctx, request(), policy, func(ctx context.Context, key string) (idempotency.Answer, error) {
			cancel()
			return o.send(ctx, key)
		})
		require.NoError(t, err)
		o.replays(t, policy, sent(1), nil)

		gone := request()
		gone.Key = "key-0002"
		_, err = o.leases.Run(ctx, gone, policy, never(t))
		require.ErrorIs(t, err, context.Canceled)
	})
}

// The client hears of its claim when there is no time left: the effect is not begun.
func TestAClaimThatTookAllTheTime(t *testing.T) {
	in(t, func(t *testing.T, o *office, policy idempotency.Policy) {
		ctx, cancel := context.WithTimeout(t.Context(), budget)
		defer cancel()
		slow := idempotency.NewLeases(slowTable{store.NewTable(o.faults, "idempotency"), cancel}, o.vault, idempotency.Options{})
		_, err := slow.Run(ctx, request(), policy, never(t))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, "FREE", o.record(t).S("state"))
	})
}

type slowTable struct {
	idempotency.LeaseTable
	put func()
}

func (s slowTable) PutItem(ctx context.Context, in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
	out, err := s.LeaseTable.PutItem(ctx, in)
	s.put()
	return out, err
}

// A key that was freed under the eyes of a request which found it at work is about to be new.
func TestALeaseThatIsLostToAnother(t *testing.T) {
	for name, c := range map[string]struct {
		policy idempotency.Policy
		change func(store.Item)
		err    error
		want   idempotency.Answer
	}{
		"freed":     {idempotency.Unknown, func(i store.Item) { i["state"] = store.S("FREE") }, idempotency.ErrInProgress, idempotency.Answer{}},
		"completed": {idempotency.Unknown, func(i store.Item) { i["state"], i["answer"] = store.S("COMPLETED"), store.B(sealed(`a`+"\x00\xc9{}")) }, nil, replayed(created(`{}`))},
		"unknown":   {idempotency.Unknown, func(i store.Item) { i["state"] = store.S("UNKNOWN") }, idempotency.ErrUnknown, idempotency.Answer{}},
		"broken":    {idempotency.Unknown, func(i store.Item) { delete(i, "state") }, nil, idempotency.Answer{}},
		"taken": {idempotency.Retry, func(i store.Item) {
			i["owner"], i["generation"], i["leaseUntil"] = store.S("another"), store.N(2), store.N(time.Now().Add(time.Minute).UnixMilli())
		}, idempotency.ErrInProgress, idempotency.Answer{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice()
				o.abandoned(t, c.policy)
				time.Sleep(time.Minute)
				// The second call to the table is the one that acts on what the first said.
				o.faults.Follow(func(n int, _ string) fault.Fault {
					if n == 1 {
						o.put(t, c.change)
					}
					return fault.Fault{}
				})
				answer, err := o.run(t, c.policy, never(t))
				switch {
				case c.err != nil:
					require.ErrorIs(t, err, c.err)
				case name == "broken":
					require.ErrorContains(t, err, "idempotency: a record")
				default:
					require.NoError(t, err)
				}
				require.Equal(t, c.want, answer)
			})
		})
	}
}

func sealed(plain string) []byte {
	b, _ := (&vault{}).Seal(context.Background(), "idempotency", request().ID(), "answer", []byte(plain))
	return b
}
