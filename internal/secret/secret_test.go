package secret_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
)

// vault answers with the function; calls counts.
type vault struct {
	answer func(ctx context.Context, id string) (string, error)
	calls  int
}

func (v *vault) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	v.calls++
	text, err := v.answer(ctx, *in.SecretId)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &text}, nil
}

// clock is a time that the test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func setup() (*vault, *clock, *secret.Reader) {
	v := &vault{answer: func(_ context.Context, id string) (string, error) { return "value of " + id, nil }}
	c := &clock{time.Unix(1_800_000_000, 0)}
	return v, c, secret.NewReader(v, secret.Options{Now: c.Now})
}

func TestAValueIsReadOnceUntilItIsSoft(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	for range 3 {
		got, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "value of a", got.Reveal())
	}
	require.Equal(t, 1, v.calls)
	c.now = c.now.Add(5*time.Minute - 1)
	_, err := r.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, v.calls)
	c.now = c.now.Add(1)
	v.answer = func(context.Context, string) (string, error) { return "next", nil }
	got, err := r.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "next", got.Reveal())
	require.Equal(t, 2, v.calls)
}

func TestAStaleValueServesWhileRenewalFails(t *testing.T) {
	t.Parallel()
	v, c, r := setup()
	start := c.now
	_, err := r.Get(t.Context(), "a")
	require.NoError(t, err)
	v.answer = func(context.Context, string) (string, error) { return "", errors.New("throttled") }

	c.now = start.Add(6 * time.Minute)
	for range 3 {
		got, err := r.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, "value of a", got.Reveal())
	}
	require.Equal(t, 2, v.calls, "after a failure the service is left alone")
	c.now = c.now.Add(30 * time.Second)
	_, err = r.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 3, v.calls)

	c.now = start.Add(time.Hour)
	_, err = r.Get(t.Context(), "a")
	require.ErrorContains(t, err, "throttled", "a value that is too old is not used")
}

func TestFailuresAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err     error
		missing bool
	}{
		"missing":   {&types.ResourceNotFoundException{}, true},
		"forbidden": {errors.New("AccessDeniedException"), false},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, c, r := setup()
			v.answer = func(context.Context, string) (string, error) { return "", x.err }
			for range 3 {
				got, err := r.Get(t.Context(), "a")
				require.ErrorIs(t, err, x.err)
				require.ErrorContains(t, err, "secret: read a")
				require.Equal(t, x.missing, secret.IsMissing(err))
				require.Empty(t, got.Reveal())
			}
			require.Equal(t, 1, v.calls)
			c.now = c.now.Add(30 * time.Second)
			v.answer = func(context.Context, string) (string, error) { return "ok", nil }
			got, err := r.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, "ok", got.Reveal())
		})
	}
}

type binary struct{}

func (binary) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{SecretBinary: []byte("hunter2")}, nil
}

func TestABinarySecretIsRefused(t *testing.T) {
	t.Parallel()
	_, err := secret.NewReader(binary{}, secret.Options{}).Get(t.Context(), "a")
	require.ErrorContains(t, err, "no text value")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestCallersShareOneCallThatOutlivesTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{answer: func(ctx context.Context, _ string) (string, error) {
			select {
			case <-time.After(500 * time.Millisecond):
				return "slow", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}}
		r := secret.NewReader(v, secret.Options{})
		first, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := r.Get(first, "a")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		for range 8 {
			wg.Go(func() {
				time.Sleep(50 * time.Millisecond) // of the bubble's clock
				got, err := r.Get(t.Context(), "a")
				require.NoError(t, err)
				require.Equal(t, "slow", got.Reveal())
			})
		}
		wg.Wait()
		require.Equal(t, 1, v.calls)
	})
}

func TestACallThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{answer: func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}}
		start := time.Now()
		_, err := secret.NewReader(v, secret.Options{}).Get(t.Context(), "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 800*time.Millisecond, time.Since(start))
	})
}

func TestValuesDoNotShow(t *testing.T) {
	t.Parallel()
	v := secret.NewValue("hunter2")
	holder := struct {
		V secret.Value
		P *secret.Value
	}{v, &v}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v, "h", holder)
	text, err := json.Marshal(holder)
	require.NoError(t, err)
	for _, got := range []string{
		fmt.Sprint(v), fmt.Sprintf("%s %v %+v %#v %q %x %d", v, v, v, v, v, v, v), fmt.Sprintf("%v %+v %#v", holder, holder, holder),
		v.String(), v.GoString(), string(text), log.String(),
	} {
		require.NotContains(t, got, "hunter2")
		require.NotContains(t, got, "68756e74657232")
		require.Contains(t, got, "redacted")
	}
	require.Equal(t, "hunter2", v.Reveal())
}

func TestAHitAllocatesNothing(t *testing.T) {
	_, _, r := setup()
	ctx := t.Context()
	_, err := r.Get(ctx, "a")
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := r.Get(ctx, "a"); err != nil {
			t.Error(err)
		}
	}))
}

func BenchmarkHit(b *testing.B) {
	_, _, r := setup()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Get(ctx, "a"); err != nil {
			b.Fatal(err)
		}
	}
}
