package secret_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/secret"
)

// vault answers with the function; calls are the stages that were asked for, flying is how many calls are under way.
type vault struct {
	mu     sync.Mutex
	answer func(ctx context.Context, id, stage string) (text, version string, err error)
	calls  []string
	flying int
}

func (v *vault) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	v.mu.Lock()
	v.calls = append(v.calls, *in.VersionStage)
	answer := v.answer
	v.flying++
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.flying--
	}()
	text, version, err := answer(ctx, *in.SecretId, *in.VersionStage)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &text, VersionId: &version, VersionStages: []string{*in.VersionStage}}, nil
}

func (v *vault) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.calls)
}

// gives makes the vault answer with versions, previous empty for none.
func (v *vault) gives(current, previous string) {
	v.answers(func(_ context.Context, id, stage string) (string, string, error) {
		version := map[string]string{"AWSCURRENT": current, "AWSPREVIOUS": previous}[stage]
		if version == "" {
			return "", "", &types.ResourceNotFoundException{}
		}
		return version + " of " + id, version, nil
	})
}

func (v *vault) answers(f func(ctx context.Context, id, stage string) (string, string, error)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = f
}

func (v *vault) fails(err error) {
	v.answers(func(context.Context, string, string) (string, string, error) { return "", "", err })
}

// slow answers after a while, unless the context ends before.
func (v *vault) slow(d time.Duration, version string) {
	v.answers(func(ctx context.Context, id, _ string) (string, string, error) {
		select {
		case <-time.After(d):
			return version + " of " + id, version, nil
		case <-ctx.Done():
			return "", "", ctx.Err()
		}
	})
}

var (
	throttled = &smithy.GenericAPIError{Code: "ThrottlingException"}
	denied    = &smithy.GenericAPIError{Code: "AccessDeniedException"}
)

var start = time.Unix(1_800_000_000, 0)

func half() float64 { return 0.5 } // no jitter, and the middle of each backoff

func setup() (*vault, *fault.Clock, *secret.Reader) {
	v, c := &vault{}, fault.NewClock(start)
	v.gives("v1", "")
	return v, c, secret.NewReader(v, secret.Options{Now: c.Now, Random: half})
}

// get reads a secret and ends the invocation.
func get(t *testing.T, r *secret.Reader) string {
	t.Helper()
	defer r.Join(t.Context())
	got, err := r.Get(t.Context(), "a")
	require.NoError(t, err)
	return got.Reveal()
}

// refused requires that there is no value, and gives the error.
func refused(t *testing.T, r *secret.Reader) *apperr.Error {
	t.Helper()
	got, err := r.Get(t.Context(), "a")
	require.Error(t, err)
	require.Empty(t, got.Reveal())
	e := apperr.From(err)
	require.Equal(t, apperr.Unavailable, e.Kind)
	require.GreaterOrEqual(t, e.RetryAfter, time.Second)
	return e
}

func TestAValueIsReadOnceUntilItIsSoft(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	for range 3 {
		require.Equal(t, "v1 of a", get(t, r))
	}
	got, err := r.Current(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "v1 of a", got.Value.Reveal())
	require.Equal(t, "v1", got.ID)
	require.Equal(t, []string{"AWSCURRENT"}, got.Stages)
	c.Jump(5*time.Minute - 1)
	get(t, r)
	require.Equal(t, []string{"AWSCURRENT"}, v.calls)

	v.gives("v2", "v1")
	c.Jump(1)
	require.Equal(t, "v1 of a", get(t, r), "the old value at once")
	require.Equal(t, "v2 of a", get(t, r), "renewed before the invocation ended")
	require.Equal(t, 2, v.count())
}

func TestTheSoftAgeIsSpread(t *testing.T) {
	t.Parallel()
	for random, soft := range map[float64]time.Duration{0: 4 * time.Minute, 0.5: 5 * time.Minute, 0.75: 330 * time.Second} {
		v, c := &vault{}, fault.NewClock(start)
		v.gives("v1", "")
		r := secret.NewReader(v, secret.Options{Now: c.Now, Random: func() float64 { return random }})
		get(t, r)
		c.Jump(soft - time.Millisecond)
		get(t, r)
		require.Equal(t, 1, v.count(), random)
		c.Jump(2 * time.Millisecond)
		get(t, r)
		require.Equal(t, 2, v.count(), random)
	}
}

// One renewal begins, whatever the number of callers; none of them waits for it, and it has ended when Join returns.
func TestAnOldValueIsGivenWhileOneCallRenewsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		v.gives("v1", "")
		r := secret.NewReader(v, secret.Options{Random: half})
		get(t, r)
		time.Sleep(6 * time.Minute)
		v.slow(200*time.Millisecond, "v2")
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		for range 20 {
			got, err := r.Get(ctx, "a")
			require.NoError(t, err)
			require.Equal(t, "v1 of a", got.Reveal())
		}
		require.Equal(t, began, time.Now())
		cancel() // the request is over: the call is not
		r.Join(t.Context())
		require.Equal(t, 200*time.Millisecond, time.Since(began))
		require.Equal(t, "v2 of a", get(t, r))
		require.Equal(t, 2, v.count())
	})
}

// A renewal that takes too long is ended, and has not failed: the next invocation begins anew.
func TestJoinIsBounded(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		deadline time.Duration // of the invocation; 0: none
		heeds    bool          // whether the call heeds its context
		most     time.Duration
	}{
		"by_itself":         {0, true, 225 * time.Millisecond},
		"deaf":              {0, false, 250 * time.Millisecond},
		"deadline_far":      {time.Minute, true, 225 * time.Millisecond},
		"deadline_near":     {200 * time.Millisecond, true, 100 * time.Millisecond},
		"deadline_too_near": {50 * time.Millisecond, true, 0},
		"deadline_passed":   {-time.Second, true, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := &vault{}
				v.gives("v1", "")
				r := secret.NewReader(v, secret.Options{Random: half})
				get(t, r)
				time.Sleep(6 * time.Minute)
				v.slow(700*time.Millisecond, "v2")
				if !c.heeds {
					v.answers(func(context.Context, string, string) (string, string, error) {
						time.Sleep(time.Second)
						return "", "", throttled
					})
				}
				ctx := t.Context()
				if c.deadline != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				began := time.Now()
				got, err := r.Get(ctx, "a")
				require.NoError(t, err)
				require.Equal(t, "v1 of a", got.Reveal())
				r.Join(ctx)
				require.Equal(t, c.most, time.Since(began))
				v.mu.Lock()
				require.Equal(t, !c.heeds, v.flying == 1)
				v.mu.Unlock()
				time.Sleep(time.Second)
				v.gives("v2", "v1")
				get(t, r)
				require.Equal(t, "v2 of a", get(t, r))
				require.Equal(t, 3, v.count())
			})
		})
	}
}

// Join has nothing to do, and does nothing, where no call is in flight.
func TestJoinOfNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, _, r := setup()
		r.Join(t.Context())
		get(t, r)
		began := time.Now()
		r.Join(t.Context())
		require.Equal(t, began, time.Now())
		require.Equal(t, 1, v.count())
	})
}

// A first read whose caller gave up is in flight, too.
func TestJoinEndsAReadThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		v.slow(700*time.Millisecond, "v1")
		r := secret.NewReader(v, secret.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := r.Get(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		began := time.Now()
		r.Join(t.Context())
		require.Equal(t, 225*time.Millisecond, time.Since(began))
		v.gives("v1", "")
		require.Equal(t, "v1 of a", get(t, r), "at once: it did not fail")
	})
}

// The end of one invocation takes nothing away from another that is under way: the call that it waits for goes on, and
// who comes to a call that was ended gets the next.
func TestJoinLeavesTheCallsOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		v.slow(600*time.Millisecond, "v1")
		r := secret.NewReader(v, secret.Options{})
		var wg sync.WaitGroup
		wg.Go(func() { require.Equal(t, "v1 of a", get(t, r)) })
		synctest.Wait()
		r.Join(t.Context())
		wg.Wait()
		require.Equal(t, 1, v.count())

		v.answers(func(ctx context.Context, _, _ string) (string, string, error) {
			<-ctx.Done()
			time.Sleep(10 * time.Millisecond) // it comes back late
			return "", "", ctx.Err()
		})
		time.Sleep(time.Hour - 700*time.Millisecond) // 600 of which the value got old in its call
		_, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		wg.Go(func() { r.Join(t.Context()) })
		time.Sleep(230 * time.Millisecond)
		v.gives("v2", "")
		got, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "v2 of a", got.Reveal())
		wg.Wait()
		require.Equal(t, 3, v.count())
	})
}

func TestAnOldValueServesUntilItIsHard(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"throttled": throttled, "denied": denied, "broken": &types.InternalServiceError{}, "reset": errors.New("reset")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, c, r := setup()
			get(t, r)
			v.fails(failure)
			for c.Jump(6 * time.Minute).Before(start.Add(time.Hour)) {
				require.Equal(t, "v1 of a", get(t, r))
			}
			e := refused(t, r)
			require.ErrorIs(t, e, failure)
			require.ErrorContains(t, e, "secret: read AWSCURRENT of a")
			v.gives("v2", "v1")
			c.Jump(30 * time.Second)
			require.Equal(t, "v2 of a", get(t, r))
		})
	}
}

// The last moment of a value, and the first without it.
func TestTheHardAgeIsExact(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	get(t, r)
	v.fails(throttled)
	c.Jump(time.Hour - 1)
	require.Equal(t, "v1 of a", get(t, r))
	c.Jump(1)
	_ = refused(t, r)
}

func TestPermanentFailuresAreRememberedFor30Seconds(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err     error
		missing bool
	}{
		"missing":  {&types.ResourceNotFoundException{}, true},
		"denied":   {denied, false},
		"deleted":  {&types.InvalidRequestException{}, false},
		"key_gone": {&types.DecryptionFailure{}, false},
		"bad_id":   {&types.InvalidParameterException{}, false},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, c, r := setup()
			v.fails(x.err)
			for i := range 3 {
				e := refused(t, r)
				require.ErrorIs(t, e, x.err)
				require.Equal(t, x.missing, secret.IsMissing(e))
				require.Equal(t, 30*time.Second-time.Duration(i)*10*time.Second, e.RetryAfter)
				if i < 2 {
					c.Jump(10 * time.Second)
				}
			}
			c.Jump(10*time.Second - 1)
			_ = refused(t, r)
			require.Equal(t, 1, v.count())
			v.gives("v1", "")
			c.Jump(1)
			require.Equal(t, "v1 of a", get(t, r))
		})
	}
}

// The pauses after transient failures in a row are half of 50, 100, 200 … ms and then of 5 s. Nobody sleeps in them.
func TestTransientFailuresBackOff(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"throttled": throttled, "broken": &types.InternalServiceError{}, "reset": errors.New("reset")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v, c, r := setup()
				v.fails(failure)
				began := time.Now()
				for n, pause := range []time.Duration{25, 50, 100, 200, 400, 800, 1600, 2500, 2500, 2500} {
					pause *= time.Millisecond
					e := refused(t, r)
					require.Equal(t, n+1, v.count())
					require.Equal(t, max(time.Second, pause), e.RetryAfter)
					c.Jump(pause - 1)
					_ = refused(t, r)
					require.Equal(t, n+1, v.count())
					c.Jump(1)
				}
				require.Equal(t, began, time.Now())
				v.gives("v1", "")
				get(t, r)
				v.fails(failure)
				c.Jump(time.Hour)
				_ = refused(t, r)
				c.Jump(25 * time.Millisecond)
				calls := v.count()
				_ = refused(t, r)
				require.Equal(t, calls+1, v.count(), "a success begins the count anew")
			})
		})
	}
}

func TestCallersShareOneCallThatOutlivesTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		v.slow(500*time.Millisecond, "v1")
		r := secret.NewReader(v, secret.Options{})
		first, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := r.Get(first, "a")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, apperr.Timeout, apperr.From(err).Kind)
		})
		for range 8 {
			wg.Go(func() {
				time.Sleep(50 * time.Millisecond)
				require.Equal(t, "v1 of a", get(t, r))
			})
		}
		wg.Wait()
		require.Equal(t, 1, v.count())
	})
}

// Whoever comes with a view that another call has made old takes what that call got.
func TestACallThatHasJustEndedIsNotRepeated(t *testing.T) {
	t.Parallel()
	v := &vault{}
	v.gives("v1", "")
	var r *secret.Reader
	inside := false
	r = secret.NewReader(v, secret.Options{Now: func() time.Time {
		if !inside { // between what the first caller saw and what it does about it
			inside = true
			require.Equal(t, "v1 of a", get(t, r))
		}
		return start
	}})
	require.Equal(t, "v1 of a", get(t, r))
	require.Equal(t, 1, v.count())
}

func TestACallerWhoseTimeIsUpBeginsNoCall(t *testing.T) {
	t.Parallel()
	v, _, r := setup()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Get(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, v.count())
}

func TestACallThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		v.slow(time.Hour, "v1")
		began := time.Now()
		e := refused(t, secret.NewReader(v, secret.Options{}))
		require.ErrorIs(t, e, context.DeadlineExceeded)
		require.Equal(t, 800*time.Millisecond, time.Since(began))
	})
}

func TestACallThatPanicsIsAFailure(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	v.answers(func(context.Context, string, string) (string, string, error) { panic(hidden) })
	e := refused(t, r)
	hides(t, "panic", fmt.Sprintf("%+v", e))
	v.gives("v1", "")
	c.Jump(time.Second)
	require.Equal(t, "v1 of a", get(t, r))
}

type binary struct{}

func (binary) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{SecretBinary: []byte(hidden)}, nil
}

func TestABinarySecretIsRefused(t *testing.T) {
	t.Parallel()
	e := refused(t, secret.NewReader(binary{}, secret.Options{Now: fault.NewClock(start).Now}))
	require.ErrorContains(t, e, "no text value")
	require.Equal(t, 30*time.Second, e.RetryAfter, "it will be binary the next time, too")
	hides(t, "error", fmt.Sprintf("%#v", e))
}

// An error of decoding brings what it could not decode along.
func TestAnErrorHoldsNothingOfTheAnswer(t *testing.T) {
	t.Parallel()
	v, _, r := setup()
	v.fails(&smithy.OperationError{Err: &smithy.DeserializationError{Err: errors.New("bad " + hidden), Snapshot: []byte(hidden)}})
	for err := error(refused(t, r)); err != nil; err = errors.Unwrap(err) {
		hides(t, "error", fmt.Sprintf("%v %+v %#v", err, err, err))
	}
}

func TestInvalidate(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	require.False(t, r.Invalidate("a", "v1"), "nothing is known")
	get(t, r)
	v.gives("v2", "v1")
	require.False(t, r.Invalidate("a", "v0"), "another version")
	require.False(t, r.Invalidate("a", ""), "no version")
	require.False(t, r.Invalidate("b", "v1"), "another secret")
	require.Equal(t, "v1 of a", get(t, r))
	require.True(t, r.Invalidate("a", "v1"))
	require.False(t, r.Invalidate("a", "v1"), "one is forced already")
	require.Equal(t, 1, v.count(), "it calls nothing itself")
	require.Equal(t, "v2 of a", get(t, r))
	require.Equal(t, 2, v.count())
	require.False(t, r.Invalidate("a", "v1"), "that is no longer the version")

	c.Jump(30*time.Second - 1)
	require.False(t, r.Invalidate("a", "v2"), "too soon")
	get(t, r)
	require.Equal(t, 2, v.count())
	c.Jump(1)
	require.True(t, r.Invalidate("a", "v2"))
	require.Equal(t, "v2 of a", get(t, r), "it is the right one still")
	require.Equal(t, "v2 of a", get(t, r))
	require.Equal(t, 3, v.count())
}

// A forced call that fails leaves the value that there is, and is not repeated as one that is forced.
func TestInvalidateWhileTheServiceIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v, c, r := setup()
		get(t, r)
		v.slow(time.Hour, "v2")
		require.True(t, r.Invalidate("a", "v1"))
		began := time.Now()
		require.Equal(t, "v1 of a", get(t, r))
		require.Equal(t, 800*time.Millisecond, time.Since(began), "the one who forces it waits")
		c.Jump(time.Second)
		began = time.Now()
		got, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "v1 of a", got.Reveal())
		require.Equal(t, began, time.Now(), "the others do not")
		r.Join(t.Context())
		v.gives("v2", "")
		get(t, r)
		require.Equal(t, "v2 of a", get(t, r))
	})
}

// The answer of a call that began before Invalidate may be of a time before the rotation.
func TestInvalidateDuringACall(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]string{"old_answer": "v1", "new_answer": "v2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := &vault{}
				v.gives("v1", "")
				r := secret.NewReader(v, secret.Options{Random: half})
				get(t, r)
				time.Sleep(6 * time.Minute)
				v.slow(100*time.Millisecond, early)
				_, err := r.Get(t.Context(), "a")
				require.NoError(t, err)
				synctest.Wait()
				v.gives("v2", "v1")
				require.True(t, r.Invalidate("a", "v1"))
				require.Equal(t, "v2 of a", get(t, r))
				require.Equal(t, map[string]int{"v1": 3, "v2": 2}[early], v.count())
			})
		})
	}
}

func both(t *testing.T, r *secret.Reader) string {
	t.Helper()
	defer r.Join(t.Context())
	cur, prev, err := r.Both(t.Context(), "a")
	require.NoError(t, err)
	return cur.ID + " " + prev.ID
}

func TestBoth(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	for range 3 {
		require.Equal(t, "v1 ", both(t, r), "none before is no error")
	}
	require.Equal(t, []string{"AWSCURRENT", "AWSPREVIOUS"}, v.calls, "that there is none is remembered as a value is")
	cur, prev, err := r.Both(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "v1 of a", cur.Value.Reveal())
	require.Empty(t, prev.Value.Reveal())

	v.gives("v2", "v1")
	c.Jump(6 * time.Minute)
	require.Equal(t, "v1 ", both(t, r))
	require.Equal(t, "v2 v1", both(t, r))
	calls := v.count()
	require.LessOrEqual(t, calls, 5)
	require.Equal(t, "v2 v1", both(t, r))
	require.Equal(t, calls, v.count())
}

// A current version that was replaced makes the one before it wrong: it is read before it is given.
func TestBothAfterARotation(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ cur, prev string }{
		"one": {"v3", "v2"}, "two_at_once": {"v4", "v3"}, "back": {"v1", "v2"},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, _, r := setup()
			v.gives("v2", "v1")
			require.Equal(t, "v2 v1", both(t, r))
			v.gives(x.cur, x.prev)
			require.True(t, r.Invalidate("a", "v2"))
			require.Equal(t, x.cur+" "+x.prev, both(t, r))
			require.Equal(t, 4, v.count())
		})
	}
}

// A previous version that is the current one's shows that there was a rotation since the current one was read.
func TestBothNoticesARotationByThePrevious(t *testing.T) {
	t.Parallel()
	v, _, r := setup()
	v.gives("v2", "v1")
	get(t, r)
	v.gives("v3", "v2")
	require.Equal(t, "v3 v2", both(t, r))
	require.Equal(t, []string{"AWSCURRENT", "AWSPREVIOUS", "AWSCURRENT"}, v.calls)
}

func TestBothFailsClosed(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"throttled": throttled, "denied": denied} {
		for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
			t.Run(name+"_"+stage, func(t *testing.T) {
				t.Parallel()
				v, _, r := setup()
				v.answers(func(_ context.Context, _, asked string) (string, string, error) {
					if asked == stage {
						return "", "", failure
					}
					return "x", "v1", nil
				})
				cur, prev, err := r.Both(t.Context(), "a")
				require.ErrorIs(t, err, failure)
				require.Equal(t, apperr.Unavailable, apperr.From(err).Kind)
				require.Empty(t, cur.ID+prev.ID)
			})
		}
	}
	v, _, r := setup()
	v.gives("", "")
	_, _, err := r.Both(t.Context(), "a")
	require.True(t, secret.IsMissing(err), "no current version is an error")
}

// clocks are a machine's two: a frozen sandbox's wall clock goes on and its monotonic clock does not; setting the clock
// does the opposite.
type clocks struct {
	base            time.Time
	wall, monotonic time.Duration
}

func (c *clocks) Now() time.Time {
	at := c.base
	words := (*[2]uint64)(unsafe.Pointer(&at)) // time.Time: wall seconds above 30 bits of nanoseconds, then the monotonic reading
	words[0] += uint64(int64(c.wall/time.Second)) << 30
	words[1] += uint64(c.monotonic)
	return at
}

func (c *clocks) pass(d time.Duration)   { c.wall, c.monotonic = c.wall+d, c.monotonic+d }
func (c *clocks) freeze(d time.Duration) { c.wall += d }
func (c *clocks) set(d time.Duration)    { c.wall += d }

func TestFreezeAndAClockThatIsSet(t *testing.T) {
	t.Parallel()
	c := &clocks{base: time.Now()}
	before := c.Now()
	c.pass(time.Second)
	c.freeze(time.Hour)
	require.Equal(t, time.Second, c.Now().Sub(before), "the monotonic clock stands still")
	require.Equal(t, time.Hour+time.Second, c.Now().Round(0).Sub(before.Round(0)))

	v := &vault{}
	v.gives("v1", "")
	r := secret.NewReader(v, secret.Options{Now: c.Now, Random: half})
	get(t, r)
	v.fails(throttled)
	c.freeze(59 * time.Minute)
	require.Equal(t, "v1 of a", get(t, r))
	require.Equal(t, 2, v.count(), "it has got old in the freeze")
	c.freeze(time.Minute)
	_ = refused(t, r)

	c.pass(time.Minute)
	v.gives("v2", "")
	require.Equal(t, "v2 of a", get(t, r))
	v.fails(throttled)
	c.pass(50 * time.Minute)
	c.set(-45 * time.Minute)
	require.Equal(t, "v2 of a", get(t, r))
	c.pass(10*time.Minute - time.Second)
	require.Equal(t, "v2 of a", get(t, r))
	c.pass(time.Second)
	_ = refused(t, r) // it seems to be 15 minutes old

	c.pass(time.Minute)
	v.gives("v3", "")
	get(t, r)
	calls := v.count()
	c.set(-time.Hour)
	require.Equal(t, "v3 of a", get(t, r))
	require.Equal(t, calls+1, v.count(), "it seems to come from the future, and is read again")
	v.fails(throttled)
	c.set(-time.Hour)
	_ = refused(t, r)
	c.pass(time.Minute)
	c.set(-24 * time.Hour)
	v.gives("v4", "")
	require.Equal(t, "v4 of a", get(t, r), "a pause does not last for ever either")
}

// A freeze in the middle of a call: the answer is as old as the call.
func TestAFreezeDuringACall(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	v.answers(func(context.Context, string, string) (string, string, error) {
		c.Jump(time.Hour)
		return "x", "v1", nil
	})
	require.ErrorContains(t, refused(t, r), "too old")
	v.answers(func(context.Context, string, string) (string, string, error) {
		c.Jump(time.Hour - 1)
		return "y", "v2", nil
	})
	require.Equal(t, "y", get(t, r))
	v.gives("v3", "")
	c.Jump(1)
	require.Equal(t, "v3 of a", get(t, r), "and it waits for a newer one when that is over")
}

func TestErrorsNameTheSecretOnly(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	v.answers(func(_ context.Context, _, _ string) (string, string, error) { return hidden, "v1", nil })
	require.Equal(t, hidden, get(t, r))
	v.fails(throttled)
	c.Jump(2 * time.Hour)
	e := refused(t, r)
	hides(t, "error", fmt.Sprintf("%+v %s", e, e.Render("r")))
	require.False(t, strings.Contains(string(e.Render("r")), "secret"), "the caller of the API is told nothing of secrets")
}

func TestAHitAllocatesNothing(t *testing.T) {
	v := &vault{}
	v.gives("v1", "v0")
	r := secret.NewReader(v, secret.Options{})
	ctx := t.Context()
	_, _, err := r.Both(ctx, "a")
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		got, err := r.Get(ctx, "a")
		if err != nil || got.Reveal() == "" {
			t.Error(err)
		}
		if _, err := r.Current(ctx, "a"); err != nil {
			t.Error(err)
		}
		if _, _, err := r.Both(ctx, "a"); err != nil {
			t.Error(err)
		}
		r.Join(ctx)
	}))
}

func BenchmarkHit(b *testing.B) {
	v := &vault{}
	v.gives("v1", "")
	r := secret.NewReader(v, secret.Options{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Get(ctx, "a"); err != nil {
			b.Fatal(err)
		}
	}
}
