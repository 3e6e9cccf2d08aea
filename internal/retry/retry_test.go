package retry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/retry"
)

var errDown = errors.New("down")

func again(error) retry.Verdict { return retry.Verdict{Again: true} }

func most() float64 { return 0.999999 }

// Each wait lies between nothing and its bound, which doubles up to the cap.
func TestWaitsAreFullJitter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := retry.Policy{
			Base: time.Duration(rapid.Int64Range(1, 1000).Draw(t, "base")) * time.Millisecond,
			Cap:  time.Duration(rapid.Int64Range(1, 10_000).Draw(t, "cap")) * time.Millisecond,
		}
		n, random := rapid.IntRange(1, 70).Draw(t, "n"), rapid.Float64Range(0, 0.999).Draw(t, "random")
		bound := p.Cap // the rule as it is written, without doubling past the cap
		if n < 31 {
			bound = min(p.Cap, p.Base<<(n-1))
		}
		p.Random = func() float64 { return random }
		require.Equal(t, time.Duration(random*float64(bound)), p.Wait(n))
	})
	require.Zero(t, retry.Policy{Random: func() float64 { return 0 }}.Wait(5))
	require.InDelta(t, time.Second, retry.Policy{Random: most}.Wait(1000), float64(time.Millisecond), "the cap holds however often")
}

func TestDo(t *testing.T) {
	t.Parallel()
	permanent := errors.New("permanent")
	judge := func(err error) retry.Verdict { return retry.Verdict{Again: !errors.Is(err, permanent)} }
	for name, c := range map[string]struct {
		failures []error
		calls    int
		want     error
	}{
		"at once":        {nil, 1, nil},
		"second time":    {[]error{errDown}, 2, nil},
		"last time":      {[]error{errDown, errDown}, 3, nil},
		"never":          {[]error{errDown, errDown, errDown, errDown}, 3, errDown},
		"for good":       {[]error{permanent}, 1, permanent},
		"then for good":  {[]error{errDown, permanent}, 2, permanent},
		"wrapped cause":  {[]error{errors.Join(permanent, errDown)}, 1, permanent},
		"the last error": {[]error{errors.New("first"), errors.New("second"), errDown}, 3, errDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := retry.New(retry.Policy{}).Do(t.Context(), func(_ context.Context, n int) error {
					calls++
					require.Equal(t, calls, n)
					if n <= len(c.failures) {
						return c.failures[n-1]
					}
					return nil
				}, judge)
				require.ErrorIs(t, err, c.want)
				require.Equal(t, c.calls, calls)
			})
		})
	}
}

func TestDoEndsInTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy  retry.Policy
		after   time.Duration
		left    time.Duration
		calls   int
		elapsed time.Duration
	}{
		"waits between":             {retry.Policy{Random: most}, 0, time.Minute, 3, 150 * time.Millisecond},
		"what the server asks for":  {retry.Policy{Random: most}, 2 * time.Second, time.Minute, 3, 4 * time.Second},
		"asked past the deadline":   {retry.Policy{}, time.Hour, time.Minute, 1, 0},
		"no time for another":       {retry.Policy{Call: 2 * time.Second}, 0, time.Second, 1, 0},
		"time for one more":         {retry.Policy{Attempts: 9, Base: time.Second, Random: most, Call: time.Second}, 0, 2500 * time.Millisecond, 2, time.Second},
		"the deadline passed":       {retry.Policy{}, 0, -time.Second, 1, 0},
		"cap below what is doubled": {retry.Policy{Attempts: 5, Base: time.Second, Cap: time.Second, Random: most}, 0, time.Minute, 5, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.left)
				defer cancel()
				began, calls := time.Now(), 0
				err := retry.New(c.policy).Do(ctx, func(context.Context, int) error { calls++; return errDown },
					func(error) retry.Verdict { return retry.Verdict{Again: true, After: c.after} })
				require.ErrorIs(t, err, errDown)
				require.Equal(t, c.calls, calls)
				require.InDelta(t, c.elapsed, time.Since(began), float64(5*time.Millisecond))
			})
		})
	}
}

// A caller that gives up during a wait gets the failure, and no further attempt is made.
func TestDoEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		calls := 0
		err := retry.New(retry.Policy{Random: most}).Do(ctx, func(context.Context, int) error { calls++; return errDown }, again)
		require.ErrorIs(t, err, errDown)
		require.Equal(t, 1, calls)
	})
}

// While everything fails, retries end after the reserve: load grows by 50 calls, not threefold. Successes earn them back.
func TestRetriesCannotDoubleTheLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := retry.New(retry.Policy{})
		calls, failing := 0, true
		call := func(context.Context, int) error {
			calls++
			if failing {
				return errDown
			}
			return nil
		}
		const requests = 1000
		refused := 0
		for range requests {
			if err := r.Do(t.Context(), call, again); errors.Is(err, retry.ErrBudget) {
				require.ErrorIs(t, err, errDown)
				refused++
			}
		}
		require.Equal(t, requests+50, calls)
		require.Positive(t, refused)

		failing = false
		for range 10 {
			require.NoError(t, r.Do(t.Context(), call, again))
		}
		failing, calls = true, 0
		require.Error(t, r.Do(t.Context(), call, again))
		require.Equal(t, 2, calls, "ten calls that needed no retry earn one")
	})
}

// client is a real client of the SDK with the policy, on a transport whose calls fail by plan.
func client(t *testing.T, p retry.Policy, plan fault.Plan) (*secretsmanager.Client, *fault.Transport) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write([]byte(`{"SecretString":"x"}`))
	}))
	t.Cleanup(server.Close)
	transport := fault.NewTransport(nil, plan)
	r := retry.Retryer(p)
	return secretsmanager.NewFromConfig(aws.Config{Region: "eu-west-2", BaseEndpoint: &server.URL, HTTPClient: transport,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), Retryer: func() aws.Retryer { return r }}), transport
}

func TestRetryerOfTheSDK(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			p := retry.Policy{Random: func() float64 { return 0 }}
			c, transport := client(t, p, fault.At(0, fault.Fault{Kind: kind}))
			in := &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")}
			_, err := c.GetSecretValue(t.Context(), in)
			require.NoError(t, err)
			require.Len(t, transport.Calls(), 2)

			transport.Follow(fault.From(0, fault.Fault{Kind: kind}))
			_, err = c.GetSecretValue(t.Context(), in)
			require.Error(t, err)
			require.Len(t, transport.Calls(), 3)

			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			late, lateTransport := client(t, retry.Policy{Random: p.Random, Call: 2 * time.Hour}, fault.From(0, fault.Fault{Kind: kind}))
			_, err = late.GetSecretValue(ctx, in)
			require.Error(t, err)
			require.Len(t, lateTransport.Calls(), 1, "an attempt that could not end in time is not begun")
		})
	}
}

func TestRetryerHasTheBudget(t *testing.T) {
	t.Parallel()
	r := retry.Retryer(retry.Policy{Random: func() float64 { return 0 }})
	spent := 0
	for ; spent < 1000; spent++ {
		if _, err := r.GetRetryToken(t.Context(), errDown); err != nil {
			break
		}
	}
	require.Equal(t, 50, spent)
	for range 10 {
		release, err := r.GetAttemptToken(t.Context())
		require.NoError(t, err)
		require.NoError(t, release(nil))
	}
	_, err := r.GetRetryToken(t.Context(), errDown)
	require.NoError(t, err)
}

func BenchmarkDo(b *testing.B) {
	r := retry.New(retry.Policy{})
	call := func(context.Context, int) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Do(b.Context(), call, again); err != nil {
			b.Fatal(err)
		}
	}
}
