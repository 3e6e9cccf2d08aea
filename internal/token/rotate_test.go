package token_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/token"
)

// safe is one secret of Secrets Manager with its versions and labels, as the API reference describes them. plan breaks
// its calls.
type safe struct {
	mu       sync.Mutex
	versions map[string]string
	labels   map[string]string // version by label
	plan     func(operation string) fault.Kind
}

var errDown = errors.New("secrets manager is down")

// do makes a call, or fails it, with or without its effect.
func do[T any](s *safe, operation string, call func() (T, error)) (out T, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := fault.None
	if s.plan != nil {
		kind = s.plan(operation)
	}
	switch kind {
	case fault.None:
		return call()
	case fault.Lost, fault.Truncated:
		_, _ = call()
	default:
	}
	return out, errDown
}

func (s *safe) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return do(s, "GetSecretValue", func() (*secretsmanager.GetSecretValueOutput, error) {
		version := aws.ToString(in.VersionId)
		if version == "" {
			version = s.labels["AWSCURRENT"]
		}
		text, ok := s.versions[version]
		if !ok {
			return nil, &smtypes.ResourceNotFoundException{}
		}
		return &secretsmanager.GetSecretValueOutput{SecretString: &text, VersionId: &version}, nil
	})
}

func (s *safe) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	return do(s, "PutSecretValue", func() (*secretsmanager.PutSecretValueOutput, error) {
		version := aws.ToString(in.ClientRequestToken)
		if version == "" {
			version = fmt.Sprintf("made-by-the-sdk-%d", len(s.versions))
		}
		if old, exists := s.versions[version]; exists && old != *in.SecretString {
			return nil, &smtypes.ResourceExistsException{}
		}
		s.versions[version] = *in.SecretString
		stages := in.VersionStages
		if stages == nil {
			stages = []string{"AWSCURRENT"}
		}
		for _, label := range stages {
			s.labels[label] = version
		}
		return &secretsmanager.PutSecretValueOutput{}, nil
	})
}

func (s *safe) DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	return do(s, "DescribeSecret", func() (*secretsmanager.DescribeSecretOutput, error) {
		out := &secretsmanager.DescribeSecretOutput{VersionIdsToStages: map[string][]string{}}
		for label, version := range s.labels {
			out.VersionIdsToStages[version] = append(out.VersionIdsToStages[version], label)
		}
		return out, nil
	})
}

func (s *safe) UpdateSecretVersionStage(_ context.Context, in *secretsmanager.UpdateSecretVersionStageInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	return do(s, "UpdateSecretVersionStage", func() (*secretsmanager.UpdateSecretVersionStageOutput, error) {
		if s.labels[*in.VersionStage] != aws.ToString(in.RemoveFromVersionId) {
			return nil, &smtypes.InvalidParameterException{}
		}
		s.labels["AWSPREVIOUS"] = s.labels[*in.VersionStage]
		s.labels[*in.VersionStage] = *in.MoveToVersionId
		return &secretsmanager.UpdateSecretVersionStageOutput{}, nil
	})
}

// crash lets every call from a number on fail, on the secret and on the table alike: what a process that ends there does.
type crash struct {
	mu    sync.Mutex
	from  int // -1: never
	kind  fault.Kind
	calls []string
}

func (c *crash) next(operation string) fault.Kind {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, operation)
	switch at := len(c.calls) - 1; {
	case c.from < 0 || at < c.from:
		return fault.None
	case at > c.from:
		return fault.Unsent // it is gone
	}
	return c.kind
}

const first, second, third = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"

// estate is a provisioned environment whose key is to be rotated.
type estate struct {
	clock  *fault.Clock
	safe   *safe
	db     *mem.DB
	crash  *crash
	signer *token.Signer
	eager  *token.Verifier // has a set from before the rotation
}

func newEstate(t require.TestingT) *estate {
	e := &estate{clock: fault.NewClock(start), safe: &safe{versions: map[string]string{}, labels: map[string]string{}},
		db: mem.New(mem.Schema{Name: "keys", Hash: "pk", Range: "sk"}), crash: &crash{from: -1}}
	made, err := token.Provision(context.Background(), e.safe, "jwt", store.NewTable(e.db, "keys"), start)
	require.NoError(t, err)
	require.True(t, made)
	e.clock.Jump(time.Hour)
	reader := secret.NewReader(e.safe, secret.Options{Now: e.clock.Now})
	e.signer = token.NewSigner(issuer, inOneInvocation(reader), e.clock.Now)
	e.eager = e.verifier()
	e.valid(t, e.sign(t))
	return e
}

// inOneInvocation is the secret as a function reads it: what the reading began has ended when the invocation does.
func inOneInvocation(reader *secret.Reader) func(context.Context) (secret.Value, error) {
	return func(ctx context.Context) (secret.Value, error) {
		defer reader.Join(ctx)
		return reader.Get(ctx, "jwt")
	}
}

func (e *estate) verifier() *token.Verifier {
	return token.NewVerifier(issuer, token.NewKeys(store.NewTable(e.db, "keys"), token.KeysOptions{Now: e.clock.Now}), e.clock.Now)
}

// rotation is a process that rotates; it ends at the crash.
func (e *estate) rotation() token.Rotation {
	db := fault.NewDB(e.db, func(_ int, operation string) fault.Fault { return fault.Fault{Kind: e.crash.next(operation)} })
	e.safe.mu.Lock()
	defer e.safe.mu.Unlock()
	crashing := &safe{versions: e.safe.versions, labels: e.safe.labels, plan: e.crash.next}
	return token.Rotation{Secrets: crashing, SecretID: "jwt", Keys: store.NewTable(db, "keys"), Now: e.clock.Now}
}

func (e *estate) sign(t require.TestingT) string {
	raw, _, err := e.signer.Sign(context.Background(), "user-1", "session-1")
	require.NoError(t, err)
	return raw
}

// valid requires that a verifier with an old set and one with none accept a token.
func (e *estate) valid(t require.TestingT, raw string) {
	for name, v := range map[string]*token.Verifier{"old": e.eager, "cold": e.verifier()} {
		_, err := v.Verify(context.Background(), raw)
		require.NoError(t, err, name)
	}
}

// keys are the items of the table: the time from which and, if it is decided, until which each is valid.
func (e *estate) keys(t require.TestingT) map[string][2]int64 {
	all := map[string][2]int64{}
	for _, item := range e.db.Items("keys") {
		r := store.Read(item)
		all[r.S("kid")] = [2]int64{r.N("notBefore"), r.OptN("retireAt")}
		require.NoError(t, r.Err())
	}
	return all
}

// rotated requires the state after a whole rotation from one key to a version.
func (e *estate) rotated(t require.TestingT, version string, moved time.Time) {
	require.Equal(t, version, e.safe.labels["AWSCURRENT"])
	var kept, retired int
	for _, times := range e.keys(t) {
		if times[1] == 0 {
			kept++
			require.LessOrEqual(t, times[0], moved.Unix(), "it signed before it was valid")
			continue
		}
		retired++
		last := moved.Add(time.Hour + 30*time.Second) // of the signatures
		require.GreaterOrEqual(t, times[1], last.Add(15*time.Minute+30*time.Second).Unix(), "a token outlives its key")
	}
	require.Equal(t, 1, kept)
	require.Equal(t, 1, retired)
}

func TestTheTimesOfARotation(t *testing.T) {
	t.Parallel()
	require.Equal(t, 10*time.Minute+31*time.Second+500*time.Millisecond, token.Lead)
	require.Equal(t, time.Hour+16*time.Minute+30*time.Second, token.Retirement)
}

// Signers keep a secret as long as Retirement assumes, not longer.
func TestASignerKeepsASecretForAnHour(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.sign(t)
	e.safe.plan = func(string) fault.Kind { return fault.Broken }
	e.clock.Jump(time.Hour - 1)
	e.sign(t)
	e.clock.Jump(time.Minute)
	_, _, err := e.signer.Sign(t.Context(), "user-1", "session-1")
	require.ErrorIs(t, err, errDown)
}

func TestRotate(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	old := e.sign(t)
	began := e.clock.Now()
	err := e.rotation().Rotate(t.Context(), first)
	var early *token.EarlyError
	require.ErrorAs(t, err, &early)
	require.WithinRange(t, early.Until, began.Add(token.Lead), began.Add(token.Lead+time.Second))
	require.Equal(t, []string{"DescribeSecret", "GetSecretValue", "PutSecretValue", "GetSecretValue", "DescribeSecret", "GetSecretValue", "PutItem",
		"DescribeSecret", "GetSecretValue", "Query"}, e.crash.calls)
	require.NotEqual(t, first, e.safe.labels["AWSCURRENT"])
	e.valid(t, old)

	e.clock.Jump(early.Until.Sub(began) - 1)
	require.ErrorAs(t, e.rotation().Rotate(t.Context(), first), &early)
	moved := e.clock.Jump(1)
	require.NoError(t, e.rotation().Rotate(t.Context(), first))
	e.rotated(t, first, moved)
	e.valid(t, e.sign(t))

	before := e.keys(t)
	e.clock.Jump(time.Hour)
	require.NoError(t, e.rotation().Rotate(t.Context(), first), "again")
	require.Equal(t, before, e.keys(t), "it changes nothing")
}

// The whole rotation with a crash at each of its calls, in each way, and another process that goes on.
func TestRotationGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for at := 0; ; at++ {
				e := newEstate(t)
				e.crash.from, e.crash.kind = at, kind
				tokens := []string{e.sign(t)}
				var moved time.Time
				rounds := 0
				for ; ; rounds++ {
					require.Less(t, rounds, 6, "call %d: it does not go on", at)
					err := e.rotation().Rotate(t.Context(), first)
					e.clock.Jump(time.Second)
					tokens = append(tokens, e.sign(t))
					for _, raw := range tokens {
						e.valid(t, raw)
					}
					if moved.IsZero() && e.safe.labels["AWSCURRENT"] == first {
						moved = e.clock.Now().Add(-time.Second)
					}
					var early *token.EarlyError
					if err == nil {
						break
					} else if errors.As(err, &early) {
						e.clock.Jump(early.Until.Sub(e.clock.Now()))
						tokens = tokens[len(tokens)-1:] // the last one lives on
					} else {
						e.crash.from = -1 // the next process is well
					}
				}
				e.rotated(t, first, moved)
				require.Len(t, e.safe.versions, 2, "call %d: a key too many", at)
				require.Len(t, e.keys(t), 2, "call %d: a public key too many", at)
				if len(e.crash.calls) <= at {
					require.Greater(t, at, 15, "the crashes went through")
					break
				}
			}
		})
	}
}

func TestStepsInAnotherOrder(t *testing.T) {
	t.Parallel()
	type steps = func(context.Context, string) error
	cases := map[string]struct {
		run  func(e *estate, r token.Rotation) []steps // the last one fails
		want string
	}{
		"set_before_create":    {func(_ *estate, r token.Rotation) []steps { return []steps{r.Set} }, "not the pending one"},
		"test_before_create":   {func(_ *estate, r token.Rotation) []steps { return []steps{r.Test} }, "not the pending one"},
		"finish_before_create": {func(_ *estate, r token.Rotation) []steps { return []steps{r.Finish} }, "not the pending one"},
		"test_before_set":      {func(_ *estate, r token.Rotation) []steps { return []steps{r.Create, r.Test} }, "not published"},
		"finish_before_set":    {func(_ *estate, r token.Rotation) []steps { return []steps{r.Create, r.Finish} }, "not published"},
		"finish_too_early":     {func(_ *estate, r token.Rotation) []steps { return []steps{r.Create, r.Set, r.Finish} }, "not know the new key"},
		"finish_without_test": {func(e *estate, r token.Rotation) []steps {
			return []steps{r.Create, r.Set, func(context.Context, string) error { e.clock.Jump(token.Lead - time.Second); return nil }, r.Finish}
		}, "not know the new key"},
		"another_is_pending": {func(_ *estate, r token.Rotation) []steps {
			return []steps{r.Create, r.Set, func(ctx context.Context, _ string) error { return r.Create(ctx, second) }}
		}, "being rotated to"},
		"given_up": {func(e *estate, r token.Rotation) []steps {
			return []steps{r.Create, r.Set, func(context.Context, string) error { delete(e.safe.labels, "AWSPENDING"); return nil }, r.Finish}
		}, "not the pending one"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			all := c.run(e, e.rotation())
			for _, step := range all[:len(all)-1] {
				require.NoError(t, step(t.Context(), first))
			}
			require.ErrorContains(t, all[len(all)-1](t.Context(), first), c.want)
			require.Equal(t, "made-by-the-sdk-0", e.safe.labels["AWSCURRENT"])
			for id, times := range e.keys(t) {
				require.Zero(t, times[1], id)
			}
		})
	}
}

// Every step twice, by processes of their own, and all keys of the past retired once.
func TestStepsMayBeRepeated(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	for n, version := range []string{first, second, third} {
		for i, step := range []func(token.Rotation) func(context.Context, string) error{
			func(r token.Rotation) func(context.Context, string) error { return r.Create },
			func(r token.Rotation) func(context.Context, string) error { return r.Set },
			func(r token.Rotation) func(context.Context, string) error { return r.Test },
			func(r token.Rotation) func(context.Context, string) error { return r.Finish },
		} {
			if i == 2 {
				e.clock.Jump(token.Lead + time.Second)
			}
			for range 2 {
				require.NoError(t, step(e.rotation())(t.Context(), version))
				e.valid(t, e.sign(t))
			}
		}
		require.Len(t, e.safe.versions, n+2)
		var retired int
		for _, times := range e.keys(t) {
			if times[1] != 0 {
				retired++
			}
		}
		require.Equal(t, n+1, retired)
		e.clock.Jump(10 * time.Minute)
	}
	e.clock.Jump(token.Retirement)
	all, err := token.NewKeys(store.NewTable(e.db, "keys"), token.KeysOptions{Now: e.clock.Now}).All(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
}

// A late Finish of the rotation before does not end the key of the one that is under way, nor does it end the current one.
func TestALateFinishLeavesTheNextRotationAlone(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	whole := func(version string) {
		var early *token.EarlyError
		require.ErrorAs(t, e.rotation().Rotate(t.Context(), version), &early)
		e.clock.Jump(token.Lead + time.Second)
		require.NoError(t, e.rotation().Rotate(t.Context(), version))
	}
	whole(first)
	before := e.keys(t)
	require.NoError(t, e.rotation().Create(t.Context(), second))
	require.NoError(t, e.rotation().Finish(t.Context(), first), "before the key is published")
	require.NoError(t, e.rotation().Set(t.Context(), second))
	require.NoError(t, e.rotation().Finish(t.Context(), first))
	for id, times := range e.keys(t) {
		require.Equal(t, before[id][1], times[1], "retired by a rotation that was over")
	}
	e.clock.Jump(token.Lead + time.Second)
	require.NoError(t, e.rotation().Rotate(t.Context(), second))
	e.clock.Jump(6 * time.Minute) // the signer has renewed its secret
	e.valid(t, e.sign(t))
	require.ErrorContains(t, e.rotation().Finish(t.Context(), first), "not the pending one")
}

// A key whose rotation was given up is retired by the next, and cannot come back.
func TestAKeyThatWasGivenUpIsRetired(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	require.NoError(t, e.rotation().Create(t.Context(), first))
	require.NoError(t, e.rotation().Set(t.Context(), first))
	delete(e.safe.labels, "AWSPENDING")
	require.Error(t, e.rotation().Rotate(t.Context(), second))
	e.clock.Jump(token.Lead + time.Second)
	require.NoError(t, e.rotation().Rotate(t.Context(), second))
	e.safe.labels["AWSPENDING"] = first
	require.ErrorContains(t, e.rotation().Set(t.Context(), first), "is retired")
	require.ErrorContains(t, e.rotation().Finish(t.Context(), first), "is retired")
	require.Equal(t, second, e.safe.labels["AWSCURRENT"])
}

// Two processes that make the same version at once agree on one key.
func TestTwoCreateAtOnce(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	raced := &racing{safe: e.safe}
	r := e.rotation()
	r.Secrets = raced
	require.NoError(t, r.Create(t.Context(), first))
	require.True(t, raced.lost)
	require.Len(t, e.safe.versions, 2)
}

// meanwhile is a table of keys that lets something happen once, after the next read.
type meanwhile struct {
	token.KeyTable
	happens func()
}

func (m *meanwhile) Query(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
	out, err := m.KeyTable.Query(ctx, in)
	if h := m.happens; h != nil {
		m.happens = nil
		h()
	}
	return out, err
}

// While Finish looks, another process finishes too, or even the next rotation: nothing is retired that signs, and what was
// retired keeps its time.
func TestTwoFinishAtOnce(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]string{"the_same": first, "the_next": second} {
		e := newEstate(t)
		require.NoError(t, e.rotation().Create(t.Context(), first))
		require.NoError(t, e.rotation().Set(t.Context(), first))
		e.clock.Jump(token.Lead + time.Second)
		e.safe.labels["AWSCURRENT"] = first // moved, and not retired yet
		if version == second {
			require.NoError(t, e.rotation().Create(t.Context(), second))
			require.NoError(t, e.rotation().Set(t.Context(), second))
		}
		var before map[string][2]int64
		r := e.rotation()
		r.Keys = &meanwhile{r.Keys, func() {
			e.clock.Jump(token.Lead + time.Second)
			require.NoError(t, e.rotation().Finish(t.Context(), version))
			delete(e.safe.labels, "AWSPENDING") // as Secrets Manager may leave it
			before = e.keys(t)
			e.clock.Jump(time.Hour)
		}}
		require.NoError(t, r.Finish(t.Context(), first))
		require.Equal(t, before, e.keys(t), name)
		e.clock.Jump(6 * time.Minute)
		e.valid(t, e.sign(t))
	}
}

// An answer that is lost by itself does not stop a rotation that was done.
func TestALostMoveIsSeen(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	require.NoError(t, e.rotation().Create(t.Context(), first))
	require.NoError(t, e.rotation().Set(t.Context(), first))
	moved := e.clock.Jump(token.Lead + time.Second)
	e.safe.plan = func(operation string) fault.Kind {
		if operation == "UpdateSecretVersionStage" {
			return fault.Lost
		}
		return fault.None
	}
	r := e.rotation()
	r.Secrets = e.safe
	require.NoError(t, r.Finish(t.Context(), first))
	e.rotated(t, first, moved)
	e.safe.labels["AWSCURRENT"] = "made-by-the-sdk-0"
	e.safe.plan = func(operation string) fault.Kind {
		if operation == "UpdateSecretVersionStage" {
			return fault.Unsent
		}
		return fault.None
	}
	require.ErrorContains(t, r.Finish(t.Context(), first), "make the version current")
}

// racing is a secret of which somebody else writes the version just before.
type racing struct {
	*safe
	lost bool
}

func (r *racing) PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	other, _, err := token.NewKey(start)
	if err != nil {
		return nil, err
	}
	theirs := *in
	text := other.Reveal()
	theirs.SecretString = &text
	if _, err := r.safe.PutSecretValue(ctx, &theirs, opts...); err != nil {
		return nil, err
	}
	out, err := r.safe.PutSecretValue(ctx, in, opts...)
	r.lost = err != nil
	return out, err
}

func TestRotationOfWhatWasNotProvisioned(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	clear(e.safe.labels)
	require.ErrorContains(t, e.rotation().Rotate(t.Context(), first), "provision the environment first")
	e = newEstate(t)
	e.safe.versions[first], e.safe.labels["AWSPENDING"] = "hunter2", first
	err := e.rotation().Rotate(t.Context(), first)
	require.ErrorContains(t, err, "the secret is not")
	require.NotContains(t, err.Error(), "hunter2")
}

// An item under the key's id that is not the key stops the rotation: an id never means two keys.
func TestAnIDIsNeverTakenByAnotherKey(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	require.NoError(t, e.rotation().Create(t.Context(), first))
	require.NoError(t, e.rotation().Set(t.Context(), first))
	items := e.db.Items("keys")
	i := slices.IndexFunc(items, func(item store.Item) bool { return store.Read(item).N("notBefore") > e.clock.Now().Unix() })
	other := items[1-i]
	fake := maps.Clone(items[i])
	fake["x"], fake["y"] = other["x"], other["y"]
	_, err := store.NewTable(e.db, "keys").PutItem(t.Context(), &dynamodb.PutItemInput{Item: fake})
	require.NoError(t, err)
	require.ErrorContains(t, e.rotation().Set(t.Context(), first), "not its thumbprint")
	e.clock.Jump(time.Hour)
	require.ErrorContains(t, e.rotation().Finish(t.Context(), first), "not published")
}

// A verifier whose clock went back, or whose sandbox was frozen, does not take an old set for a young one.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.keys.Find(t.Context(), w.public.ID)
	require.NoError(t, err)
	value, public, err := token.NewKey(w.now)
	require.NoError(t, err)
	w.publish(t, public)
	w.value = value
	w.now = w.now.Add(-5 * time.Minute)
	_, err = w.keys.Find(t.Context(), public.ID)
	require.ErrorIs(t, err, token.ErrInvalid, "it is valid only later")
	require.Equal(t, 2, w.table.queries, "but the set was read again")
	w.now = w.now.Add(6 * time.Minute)
	_, err = w.keys.Find(t.Context(), public.ID)
	require.NoError(t, err)
}

func BenchmarkRotate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		e := newEstate(b)
		var early *token.EarlyError
		if err := e.rotation().Rotate(b.Context(), first); !errors.As(err, &early) {
			b.Fatal(err)
		}
		e.clock.Jump(token.Lead + time.Second)
		if err := e.rotation().Rotate(b.Context(), first); err != nil {
			b.Fatal(err)
		}
	}
}
