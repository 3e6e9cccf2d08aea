package secret_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/secret/secretmem"
)

var emulator string // URL of the one moto of this package's tests

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

// operator is who writes and rotates secrets.
type operator interface {
	secret.API
	CreateSecret(context.Context, *sm.CreateSecretInput, ...func(*sm.Options)) (*sm.CreateSecretOutput, error)
	PutSecretValue(context.Context, *sm.PutSecretValueInput, ...func(*sm.Options)) (*sm.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *sm.UpdateSecretVersionStageInput, ...func(*sm.Options)) (*sm.UpdateSecretVersionStageOutput, error)
	DeleteSecret(context.Context, *sm.DeleteSecretInput, ...func(*sm.Options)) (*sm.DeleteSecretOutput, error)
}

// wire is where calls fail by plan.
type wire interface {
	Follow(fault.Plan)
	Calls() []string
}

// site is Secrets Manager somewhere.
type site struct {
	operator operator // whose calls do not fail
	dial     func() (secret.API, wire)
}

// failing is calls that fail by plan, as the SDK's do when it does not try again.
type failing struct {
	next  secret.API
	mu    sync.Mutex
	plan  fault.Plan
	calls []string
}

func (f *failing) Follow(plan fault.Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan, f.calls = plan, nil
}

func (f *failing) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.calls...)
}

func (f *failing) ask() fault.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "GetSecretValue")
	if f.plan == nil {
		return fault.Fault{}
	}
	return f.plan(len(f.calls)-1, "GetSecretValue")
}

func (f *failing) GetSecretValue(ctx context.Context, in *sm.GetSecretValueInput, o ...func(*sm.Options)) (*sm.GetSecretValueOutput, error) {
	how := f.ask()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(how.Delay):
	}
	switch how.Kind {
	case fault.Unsent:
		return nil, syscall.ECONNREFUSED
	case fault.Throttled:
		return nil, &smithy.GenericAPIError{Code: "ThrottlingException"}
	case fault.Broken:
		return nil, &smithy.GenericAPIError{Code: "InternalServerError"}
	default:
	}
	out, err := f.next.GetSecretValue(ctx, in, o...)
	switch how.Kind {
	case fault.Lost:
		return nil, syscall.ECONNRESET
	case fault.Truncated:
		return nil, &smithy.DeserializationError{Err: fmt.Errorf("unexpected end of %s", hidden), Snapshot: []byte(hidden)}
	default:
		return out, err
	}
}

func memory() site {
	v := secretmem.New()
	return site{v, func() (secret.API, wire) {
		f := &failing{next: v}
		return f, f
	}}
}

// onEmulator is the real client over HTTP. It does not try again by itself, so that each fault is one of a call.
func onEmulator(url, id, key string) site {
	config := func(transport aws.HTTPClient) aws.Config {
		return aws.Config{Region: "eu-west-2", BaseEndpoint: &url, HTTPClient: transport, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
			Credentials: credentials.NewStaticCredentialsProvider(id, key, "")}
	}
	return site{sm.NewFromConfig(config(nil)), func() (secret.API, wire) {
		transport := fault.NewTransport(nil, nil)
		return sm.NewFromConfig(config(transport)), transport
	}}
}

func TestConformanceOnMemory(t *testing.T) {
	t.Parallel()
	conform(t, memory())
}

func TestConformanceOnTheEmulator(t *testing.T) {
	t.Parallel()
	conform(t, onEmulator(emulator, "test", "test"))
}

// The local cloud is what a function meets on a developer's machine: it mends what the emulator gets wrong of labels.
func TestConformanceOnTheLocalCloud(t *testing.T) {
	t.Parallel()
	cloud := localtest.Start(t, emulator)
	id, key := cloud.AdminCredentials()
	conform(t, onEmulator(cloud.URL, id, key))
}

// conform holds a site to what this package promises.
func conform(t *testing.T, s site) {
	t.Run("versions", func(t *testing.T) { conformVersions(t, s) })
	t.Run("missing", func(t *testing.T) { conformMissing(t, s) })
	t.Run("deleted", func(t *testing.T) { conformDeleted(t, s) })
	t.Run("many_callers", func(t *testing.T) { conformCallers(t, s) })
	t.Run("a_call_fails", func(t *testing.T) { conformOneCall(t, s) })
	t.Run("all_calls_fail", func(t *testing.T) { conformAllCalls(t, s) })
	t.Run("some_calls_fail", func(t *testing.T) { conformSomeCalls(t, s) })
	t.Run("an_answer_that_never_comes", func(t *testing.T) { conformHanging(t, s) })
	t.Run("a_clock_that_jumps", func(t *testing.T) { conformClock(t, s) })
}

// sandbox is a secret, and a reader of it whose calls fail by plan and whose clock is moved.
type sandbox struct {
	site
	id     string
	clock  *fault.Clock
	wire   wire
	reader *secret.Reader
}

// with makes a secret of the test's own. The budget is one that no test should need: the emulator shares its machine.
func (s site) with(t *testing.T, text string, change ...func(*secret.Options)) *sandbox {
	t.Helper()
	b := &sandbox{site: s, id: strings.ReplaceAll(t.Name(), "/", "-"), clock: fault.NewClock(start)}
	in := &sm.CreateSecretInput{Name: &b.id}
	if text != "" {
		in.SecretString = &text
	}
	_, err := s.operator.CreateSecret(t.Context(), in)
	require.NoError(t, err)
	t.Cleanup(func() { // the test may run again on the same moto
		_, _ = s.operator.DeleteSecret(context.WithoutCancel(t.Context()), &sm.DeleteSecretInput{SecretId: &b.id, ForceDeleteWithoutRecovery: aws.Bool(true)})
	})
	api, wire := s.dial()
	o := secret.Options{Now: b.clock.Now, Random: half, Budget: time.Minute}
	for _, f := range change {
		f(&o)
	}
	b.wire, b.reader = wire, secret.NewReader(api, o)
	return b
}

// put writes a version, the current one unless stages say otherwise.
func (b *sandbox) put(t *testing.T, text string, stages ...string) (version string) {
	t.Helper()
	out, err := b.operator.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: &b.id, SecretString: &text, VersionStages: stages})
	require.NoError(t, err)
	return *out.VersionId
}

func (b *sandbox) move(t *testing.T, from, to string) {
	t.Helper()
	_, err := b.operator.UpdateSecretVersionStage(t.Context(), &sm.UpdateSecretVersionStageInput{
		SecretId: &b.id, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: &from, MoveToVersionId: &to})
	require.NoError(t, err)
}

// reads requires the texts that the secret has now and had before, empty for none.
func (b *sandbox) reads(t *testing.T, current, previous string) (cur, prev secret.Version) {
	t.Helper()
	cur, prev, err := b.reader.Both(t.Context(), b.id)
	require.NoError(t, err)
	require.Equal(t, current, cur.Value.Reveal())
	require.Equal(t, previous, prev.Value.Reveal())
	require.Contains(t, cur.Stages, "AWSCURRENT")
	if previous != "" {
		require.Contains(t, prev.Stages, "AWSPREVIOUS")
	}
	return cur, prev
}

func (b *sandbox) fails(t *testing.T) error {
	t.Helper()
	got, err := b.reader.Get(t.Context(), b.id)
	require.Error(t, err)
	require.Empty(t, got.Reveal())
	for e := err; e != nil; e = next(e) {
		hides(t, "error", fmt.Sprintf("%v %+v %#v", e, e, e))
	}
	return err
}

// next is the error below, of those that have one.
func next(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// end ends an invocation after its calls.
func (b *sandbox) end(t *testing.T) { b.reader.Join(t.Context()) }

func conformVersions(t *testing.T, s site) {
	t.Parallel()
	b := s.with(t, "")
	require.True(t, secret.IsMissing(b.fails(t)), "a secret without a value")
	first := b.put(t, "one")
	b.clock.Jump(30 * time.Second)
	cur, prev := b.reads(t, "one", "")
	require.Equal(t, first, cur.ID)
	require.Empty(t, prev.ID)
	second := b.put(t, "two", "AWSPENDING")
	require.True(t, b.reader.Invalidate(b.id, first))
	b.reads(t, "one", "")
	b.move(t, first, second)
	b.clock.Jump(time.Minute)
	require.True(t, b.reader.Invalidate(b.id, first))
	cur, prev = b.reads(t, "two", "one")
	require.Equal(t, []string{second, first}, []string{cur.ID, prev.ID})
	third := b.put(t, "three", "AWSPENDING") // the emulator has two current versions after a put behind a move
	b.move(t, second, third)
	b.clock.Jump(2 * time.Hour)
	b.reads(t, "three", "two")
	b.move(t, third, second)
	b.clock.Jump(2 * time.Hour)
	b.reads(t, "two", "three")
	calls := len(b.wire.Calls())
	b.reads(t, "two", "three")
	require.Len(t, b.wire.Calls(), calls)
}

func conformMissing(t *testing.T, s site) {
	t.Parallel()
	b := s.with(t, "x")
	for range 3 {
		_, err := b.reader.Get(t.Context(), b.id+"-other")
		require.True(t, secret.IsMissing(err))
	}
	require.Len(t, b.wire.Calls(), 1)
	b.clock.Jump(30 * time.Second)
	_, _, err := b.reader.Both(t.Context(), b.id+"-other")
	require.True(t, secret.IsMissing(err))
	require.Len(t, b.wire.Calls(), 2)
}

func conformDeleted(t *testing.T, s site) {
	t.Parallel()
	b := s.with(t, hidden)
	b.reads(t, hidden, "")
	_, err := s.operator.DeleteSecret(t.Context(), &sm.DeleteSecretInput{SecretId: &b.id})
	require.NoError(t, err)
	b.clock.Jump(59 * time.Minute)
	b.reads(t, hidden, "")
	b.end(t)
	calls := len(b.wire.Calls())
	require.Greater(t, calls, 2)
	b.clock.Jump(29 * time.Second)
	_, err = b.reader.Get(t.Context(), b.id)
	require.NoError(t, err)
	b.end(t)
	require.Len(t, b.wire.Calls(), calls, "another call would get the same answer")
	b.clock.Jump(time.Minute)
	require.ErrorContains(t, b.fails(t), "InvalidRequestException")
}

func conformCallers(t *testing.T, s site) {
	t.Parallel()
	b := s.with(t, "x")
	b.wire.Follow(fault.From(0, fault.Fault{Delay: time.Millisecond}))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := b.reader.Get(t.Context(), b.id); err != nil || got.Reveal() != "x" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, b.wire.Calls(), 1)
}

// conformOneCall fails the first read in each way, and then each renewal.
func conformOneCall(t *testing.T, s site) {
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			b := s.with(t, hidden)
			b.wire.Follow(fault.At(0, fault.Fault{Kind: kind}))
			_ = b.fails(t)
			b.clock.Jump(time.Second)
			b.reads(t, hidden, "")
			b.clock.Jump(10 * time.Minute)
			b.wire.Follow(fault.First("GetSecretValue", fault.Fault{Kind: kind}))
			b.put(t, "two")
			b.reads(t, hidden, "")
			b.end(t)
			b.clock.Jump(time.Second)
			_, err := b.reader.Get(t.Context(), b.id)
			require.NoError(t, err)
			b.end(t)
			b.reads(t, "two", hidden)
		})
	}
}

// conformAllCalls lets every call fail: the value that there is lives to its hard age, then nothing is given until a
// call succeeds.
func conformAllCalls(t *testing.T, s site) {
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			b := s.with(t, hidden)
			b.reads(t, hidden, "")
			b.wire.Follow(fault.From(0, fault.Fault{Kind: kind}))
			for range 11 {
				b.clock.Jump(5 * time.Minute)
				b.reads(t, hidden, "")
				b.end(t)
			}
			b.clock.Jump(5 * time.Minute)
			for range 3 {
				_ = b.fails(t)
			}
			b.wire.Follow(nil)
			b.clock.Jump(5 * time.Second)
			b.reads(t, hidden, "")
		})
	}
}

// conformSomeCalls lets half of all calls fail while the secret is rotated and the clock goes on: what is given was the
// current value no longer than an hour ago.
func conformSomeCalls(t *testing.T, s site) {
	ways := []fault.Fault{{Delay: time.Millisecond}}
	for _, kind := range fault.Kinds() {
		ways = append(ways, fault.Fault{Kind: kind})
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			b := s.with(t, "0")
			b.wire.Follow(fault.Sometimes(seed, 0.5, ways...))
			replaced := map[string]time.Time{} // when a text was no longer current
			given := 0
			for n := 1; n <= 60; n++ {
				now := b.clock.Jump([]time.Duration{time.Second, time.Minute, 7 * time.Minute, 40 * time.Minute}[n%4])
				if n%5 == 0 {
					replaced[fmt.Sprint(n/5-1)] = now
					b.put(t, fmt.Sprint(n/5))
				}
				cur, prev, err := b.reader.Both(t.Context(), b.id)
				if err == nil {
					given++
					if until, ok := replaced[cur.Value.Reveal()]; ok {
						require.Less(t, now.Sub(until), time.Hour)
					}
					require.NotEmpty(t, cur.Value.Reveal())
					require.NotContains(t, prev.Stages, "AWSCURRENT")
				}
				b.end(t)
			}
			require.Greater(t, given, 20)
		})
	}
}

// conformHanging ends every call inside its budget or the caller's time, and Join ends what nobody waits for.
func conformHanging(t *testing.T, s site) {
	hanging := fault.From(0, fault.Fault{Delay: time.Hour})
	t.Run("budget", func(t *testing.T) {
		t.Parallel()
		b := s.with(t, hidden, func(o *secret.Options) { o.Budget = time.Millisecond })
		b.wire.Follow(hanging)
		require.ErrorIs(t, b.fails(t), context.DeadlineExceeded)
	})
	t.Run("caller", func(t *testing.T) {
		t.Parallel()
		b := s.with(t, hidden)
		b.wire.Follow(hanging)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := b.reader.Get(ctx, b.id)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		b.reader.Join(ctx)
		b.wire.Follow(nil)
		b.reads(t, hidden, "")
	})
	t.Run("renewal", func(t *testing.T) {
		t.Parallel()
		b := s.with(t, hidden)
		b.reads(t, hidden, "")
		b.wire.Follow(hanging)
		b.clock.Jump(10 * time.Minute)
		b.reads(t, hidden, "")
		ended, cancel := context.WithTimeout(t.Context(), -1)
		defer cancel()
		b.reader.Join(ended)
		b.wire.Follow(nil)
		b.put(t, "two")
		b.clock.Jump(time.Hour)
		b.reads(t, "two", hidden)
	})
}

// conformClock moves the clock under a warm sandbox, forth and back, while the service answers and while it does not.
func conformClock(t *testing.T, s site) {
	t.Parallel()
	b := s.with(t, hidden)
	b.reads(t, hidden, "")
	down := fault.From(0, fault.Fault{Kind: fault.Unsent})
	steps := []struct {
		jump  time.Duration
		down  bool
		reads bool
	}{
		{time.Minute, true, true}, {58 * time.Minute, true, true}, {time.Minute, true, false}, {5 * time.Second, false, true},
		{-time.Minute, true, false}, {0, true, false}, {-48 * time.Hour, true, false}, {5 * time.Second, false, true}, {-48 * time.Hour, false, true},
		{300 * time.Hour, true, false}, {5 * time.Second, false, true}, {-300 * time.Hour, false, true}, {59 * time.Minute, true, true},
	}
	for i, step := range steps {
		b.wire.Follow(nil)
		if step.down {
			b.wire.Follow(down)
		}
		b.clock.Jump(step.jump)
		got, err := b.reader.Get(t.Context(), b.id)
		require.Equal(t, step.reads, err == nil, "step %d: %v", i, err)
		require.Equal(t, step.reads, got.Reveal() == hidden, "step %d", i)
		b.end(t)
	}
}
