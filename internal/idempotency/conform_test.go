package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/idempotency"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

var emulator string // the URL of the store

func TestMain(m *testing.M) { localtest.Main(m, &emulator, makeTables) }

// makeTables makes the tables on the emulator, which all tests share.
func makeTables() error {
	for _, schema := range schemas() {
		if _, err := client(nil).CreateTable(context.Background(), storetest.CreateTable(schema)); err != nil {
			return err
		}
	}
	return nil
}

func client(over aws.HTTPClient) *dynamodb.Client {
	return store.Open(aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(emulator), HTTPClient: over,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}, store.Options{AttemptTimeout: time.Minute})
}

func schemas() []mem.Schema {
	return []mem.Schema{{Name: "idempotency", Hash: "pk"}, {Name: "things", Hash: "pk", Range: "sk"}}
}

// place is a store on which calls fail by plan.
type place struct {
	db     store.DB
	follow func(fault.Plan)
	exact  bool // time is the bubble's
}

func inMemory() place {
	db := fault.NewDB(mem.New(schemas()...), nil)
	return place{db, db.Follow, true}
}

// onEmulator fails calls below the client, which tries again.
func onEmulator() place {
	http := fault.NewTransport(localtest.OneByOne(nil), nil)
	return place{client(http), http.Follow, false}
}

// mode is one of the ways in which a request takes effect once.
type mode struct {
	name   string
	stored bool // the effect is a write of the same transaction
	policy idempotency.Policy
}

var modes = []mode{{name: "stored", stored: true}, {name: "unknown", policy: idempotency.Unknown}, {name: "retry", policy: idempotency.Retry}}

// scene is one key of one user, the effects under it, and its own clock.
type scene struct {
	mode
	place
	user   string
	clock  *fault.Clock
	leases idempotency.Leases

	mu     sync.Mutex
	tries  int
	keys   []string // under which the effect was done downstream
	inside func()   // happens once, after the effect and before the record
}

func newScene(t testing.TB, m mode, p place) *scene {
	t.Helper()
	s := &scene{mode: m, place: p, user: t.Name(), clock: fault.NewClock(now)}
	s.leases = idempotency.NewLeases(store.NewTable(p.db, "idempotency"), &vault{}, idempotency.Options{
		Now: s.clock.Now, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	return s
}

// send sends the request once, within a budget.
func (s *scene) send(ctx context.Context, budget time.Duration) (idempotency.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	req := request()
	req.User, req.Now = s.user, s.clock.Now()
	s.mu.Lock()
	s.tries++
	try := fmt.Sprint(s.tries)
	s.mu.Unlock()
	if s.stored {
		write := store.NewTable(s.db, "things").PutWrite(types.Put{Item: store.Item{"pk": store.S(s.user), "sk": store.S(try)}})
		return idempotency.New(store.NewTable(s.db, "idempotency"), &vault{}).Once(ctx, s.db, req, created(`{"by":"`+try+`"}`), write)
	}
	return s.leases.Run(ctx, req, s.policy, func(_ context.Context, key string) (idempotency.Answer, error) {
		s.mu.Lock()
		s.keys = append(s.keys, key)
		inside := s.inside
		s.inside = nil
		s.mu.Unlock()
		if inside != nil {
			inside()
		}
		return created(`{"by":"` + try + `"}`), nil
	})
}

// effects is how often the effect was done.
func (s *scene) effects(t testing.TB) int {
	t.Helper()
	if !s.stored {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, key := range s.keys {
			require.Equal(t, s.keys[0], key, "the downstream key is stable")
		}
		return len(s.keys)
	}
	out, err := s.db.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String("things"), ConsistentRead: aws.Bool(true),
		KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: store.Item{":pk": store.S(s.user)}})
	require.NoError(t, err)
	return len(out.Items)
}

// insist sends the request until somebody knows what became of it.
func (s *scene) insist(t testing.TB) (idempotency.Answer, error) {
	t.Helper()
	for range 5 {
		answer, err := s.send(t.Context(), time.Minute)
		if !errors.Is(err, idempotency.ErrInProgress) {
			return answer, err
		}
		s.clock.Jump(time.Hour)
	}
	t.Fatal("it is at work for ever")
	return idempotency.Answer{}, nil
}

// promised holds what the first request was told, and what became of it, against the contract.
func (s *scene) promised(t testing.TB, first idempotency.Answer, firstErr error, jump time.Duration) {
	t.Helper()
	if firstErr == nil {
		require.Equal(t, 1, s.effects(t), "what was answered took effect")
	} else {
		require.Contains(t, []apperr.Kind{apperr.Unavailable, apperr.Internal, apperr.Timeout, apperr.Conflict}, apperr.From(firstErr).Kind)
	}
	before := s.effects(t)
	// A day after it was recorded, the key is a new request's; and only then.
	expired := 0
	if state := s.state(t); jump >= idempotency.Retention && state == "COMPLETED" {
		expired = 1
	}
	s.clock.Jump(jump)
	answer, err := s.insist(t)
	last := s.effects(t)
	switch {
	case s.stored:
		require.NoError(t, err)
		require.Equal(t, 1+expired, last, "exactly once")
	case s.policy == idempotency.Retry:
		require.NoError(t, err)
		require.GreaterOrEqual(t, last, 1, "at least once")
	case err != nil:
		require.ErrorIs(t, err, idempotency.ErrUnknown)
		require.Equal(t, before, last, "it is not done again")
	default:
		require.Equal(t, 1+expired, last, "at most once")
	}
	if firstErr == nil && err == nil && before == last {
		require.Equal(t, first.Body, answer.Body, "one key has one answer")
		require.True(t, answer.Replayed)
	}
	for _, later := range []time.Duration{0, time.Hour} {
		s.clock.Jump(later)
		again, againErr := s.send(t.Context(), time.Minute)
		require.Equal(t, last, s.effects(t), "it is settled")
		require.Equal(t, answer.Body, again.Body)
		require.Equal(t, err == nil, againErr == nil)
	}
}

func (s *scene) state(t testing.TB) string {
	t.Helper()
	req := request()
	req.User = s.user
	out, err := s.db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("idempotency"), ConsistentRead: aws.Bool(true),
		Key: store.Item{"pk": store.S(req.ID())}})
	require.NoError(t, err)
	return store.Read(out.Item).OptS("state")
}

// suite is what the contract is tried on: stores, what the request has that meets a call which takes for ever, how far
// clocks jump after a fault, and where a test runs.
type suite struct {
	open   func() place
	budget time.Duration
	jumps  map[string]time.Duration
	run    func(*testing.T, func(*testing.T))
}

// each runs a test for each mode in which it has something to say.
func (c suite) each(t *testing.T, name string, calls func(mode) bool, f func(*testing.T, *scene)) {
	t.Helper()
	for _, m := range modes {
		if !calls(m) {
			continue
		}
		t.Run(name+"/"+m.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, func(t *testing.T) { f(t, newScene(t, m, c.open())) })
		})
	}
}

// conform is the contract of all modes.
func (c suite) conform(t *testing.T) {
	always := func(mode) bool { return true }
	c.each(t, "life", always, life)
	c.each(t, "together", always, together)
	c.each(t, "freeze", always, freeze)
	for call := range 3 {
		// A transaction is one call; a lease is a claim and a record, and the giving up of a claim that failed.
		calls := func(m mode) bool { return call == 0 || !m.stored }
		for _, kind := range fault.Kinds() {
			for jump, d := range c.jumps {
				c.each(t, fmt.Sprintf("%v/call_%d/%s", kind, call, jump), calls, func(t *testing.T, s *scene) {
					s.fails(t, fault.At(call, fault.Fault{Kind: kind}), time.Minute, d)
				})
				c.each(t, fmt.Sprintf("%v/from_%d/%s", kind, call, jump), calls, func(t *testing.T, s *scene) {
					s.fails(t, fault.From(call, fault.Fault{Kind: kind}), time.Minute, d)
				})
			}
		}
		c.each(t, fmt.Sprintf("for_ever/call_%d", call), calls, func(t *testing.T, s *scene) {
			s.fails(t, fault.From(call, fault.Fault{Delay: 24 * time.Hour}), c.budget, 2*time.Minute)
		})
	}
}

// life is a key from its first request to that of the next day.
func life(t *testing.T, s *scene) {
	first, err := s.send(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, created(`{"by":"1"}`), first)
	s.promised(t, first, nil, 22*time.Hour)
	require.Equal(t, 1, s.effects(t))
	s.clock.Jump(time.Hour) // promised took one too
	next, err := s.send(t.Context(), time.Minute)
	require.NoError(t, err)
	require.False(t, next.Replayed)
	require.Equal(t, 2, s.effects(t))

	other := request()
	other.User, other.Now, other.Payload = s.user, s.clock.Now(), []byte(`{}`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	records, taken := idempotency.New(store.NewTable(s.db, "idempotency"), &vault{}), s.taken("1")
	_, err = records.Once(ctx, s.db, other, created(`{}`), taken)
	refused(t, err, idempotency.ErrReused, 422, "idempotency_key_reused")
	_, err = s.leases.Run(ctx, other, s.policy, never(t))
	refused(t, err, idempotency.ErrReused, 422, "idempotency_key_reused")
	if s.stored {
		other.Key = "key-0002"
		_, err = records.Once(ctx, s.db, other, created(`{}`), taken)
		var canceled *store.CancelledError
		require.ErrorAs(t, err, &canceled)
		_, isTaken := canceled.Refused(0)
		require.True(t, isTaken, "a write keeps its index")
	}
}

// taken is a write that refuses because the thing is there.
func (s *scene) taken(try string) store.Write {
	return store.NewTable(s.db, "things").PutWrite(types.Put{Item: store.Item{"pk": store.S(s.user), "sk": store.S(try)},
		ConditionExpression: aws.String("attribute_not_exists(pk)")})
}

// fails sends a request whose calls fail by plan, then holds the contract.
func (s *scene) fails(t *testing.T, plan fault.Plan, budget, jump time.Duration) {
	t.Helper()
	s.follow(plan)
	start := time.Now()
	first, err := s.send(t.Context(), budget)
	if s.exact {
		require.LessOrEqual(t, time.Since(start), budget, "it ends in its deadline")
	}
	s.follow(nil)
	s.promised(t, first, err, jump)
}

// together sends many at the same time: one takes effect, and nobody is told anything else.
func together(t *testing.T, s *scene) {
	var wg sync.WaitGroup
	answers := make([]idempotency.Answer, 8)
	errs := make([]error, len(answers))
	for i := range answers {
		wg.Go(func() { answers[i], errs[i] = s.send(t.Context(), time.Minute) })
	}
	wg.Wait()
	require.Equal(t, 1, s.effects(t))
	first := 0
	for i, a := range answers {
		if errs[i] != nil {
			require.True(t, errors.Is(errs[i], idempotency.ErrInProgress) || store.Transient(errs[i]), errs[i])
			continue
		}
		if !a.Replayed {
			first++
		}
	}
	require.Equal(t, 1, first)
	answer, err := s.insist(t)
	require.NoError(t, err)
	require.Equal(t, 1, s.effects(t))
	for i, a := range answers {
		if errs[i] == nil {
			require.Equal(t, answer.Body, a.Body)
		}
	}
}

// freeze stops a sandbox after the effect and before the record, for longer than its lease. Another request comes meanwhile.
func freeze(t *testing.T, s *scene) {
	s.inside = func() {
		s.clock.Jump(2 * time.Minute)
		rival, err := s.send(t.Context(), time.Minute)
		if s.policy == idempotency.Unknown {
			assert.ErrorIs(t, err, idempotency.ErrUnknown)
			return
		}
		assert.NoError(t, err)
		assert.Equal(t, created(`{"by":"2"}`), rival)
	}
	late, err := s.send(t.Context(), time.Minute)
	require.NoError(t, err)
	want, effects := `{"by":"1"}`, 1
	if !s.stored && s.policy == idempotency.Retry {
		want, effects = `{"by":"2"}`, 2
		require.True(t, late.Replayed, "a late owner is told what the record says")
	}
	require.Equal(t, want, string(late.Body))
	require.Equal(t, effects, s.effects(t))
	again, err := s.send(t.Context(), time.Minute)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, want, string(again.Body))
	require.Equal(t, effects, s.effects(t))
}

func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	suite{inMemory, 10 * time.Second,
		map[string]time.Duration{"at_once": 0, "lease_over": 2 * time.Minute, "a_day": 25 * time.Hour, "back": -time.Hour},
		func(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }}.conform(t)
}

func TestConformanceOnTheEmulator(t *testing.T) {
	t.Parallel()
	suite{onEmulator, 500 * time.Millisecond, map[string]time.Duration{"lease_over": 2 * time.Minute},
		func(t *testing.T, f func(*testing.T)) { f(t) }}.conform(t)
}
