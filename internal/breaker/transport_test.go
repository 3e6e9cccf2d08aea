package breaker_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/breaker"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/retry"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// healthy answers at once, without a network: the time of a bubble goes on.
var healthy = roundTripper(func(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Request: r, Body: io.NopCloser(strings.NewReader("a whole answer"))}, nil
})

const deadline = 2 * time.Second

// client makes whole calls over a transport that fails by plan.
type client struct {
	*world
	faults *fault.Transport
	get    func(context.Context) error
}

// ways are how a dependency is called: Do around a call and the reading of its answer, or Transport below a client.
var ways = map[string]func(w *world) *client{
	"do": func(w *world) *client {
		c := &client{world: w, faults: fault.NewTransport(healthy, nil)}
		c.get = func(ctx context.Context) error {
			_, err := breaker.Do(ctx, w.Breaker, func(ctx context.Context) (string, error) { return read(ctx, c.faults) })
			return err
		}
		return c
	},
	"transport": func(w *world) *client {
		c := &client{world: w, faults: fault.NewTransport(healthy, nil)}
		c.get = func(ctx context.Context) error {
			_, err := read(ctx, breaker.NewTransport(w.Breaker, c.faults))
			return err
		}
		return c
	},
}

func read(ctx context.Context, transport http.RoundTripper) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://dependency.example/x", nil)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	return string(body), errors.Join(err, response.Body.Close(), breaker.Answered(response))
}

// call makes one call that has to end inside its deadline.
func (c *client) call() error {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), deadline)
	defer cancel()
	began := time.Now()
	err := c.get(ctx)
	require.LessOrEqual(c, time.Since(began), deadline)
	return err
}

// recovers tells whether the circuit is closed after a few calls to a dependency that is well.
func (c *client) recovers() {
	c.Helper()
	c.faults.Follow(nil)
	require.NoError(c, c.call())
	require.NoError(c, c.call())
	require.Equal(c, breaker.Closed, c.State())
	require.Len(c, c.faults.Calls(), 2)
}

func faults() map[string]fault.Fault {
	all := map[string]fault.Fault{
		"late": {Delay: time.Hour},
		"slow": {Delay: deadline / 2},
	}
	for _, kind := range fault.Kinds() {
		all[kind.String()] = fault.Fault{Kind: kind}
		all["late "+kind.String()] = fault.Fault{Kind: kind, Delay: deadline / 2}
	}
	return all
}

func TestUnderFaults(t *testing.T) {
	t.Parallel()
	for way, newClient := range ways {
		for name, f := range faults() {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(w *world) {
					c := newClient(w)
					c.faults.Follow(fault.From(0, f))
					for range 10 {
						if w.State() == breaker.Closed {
							require.Equal(t, name == "slow", c.call() == nil)
						}
					}
					if way == "transport" && f == (fault.Fault{Kind: fault.Truncated}) {
						require.Equal(t, breaker.Closed, w.State(), "the limit of Transport: it does not see bodies")
						return
					}
					require.Equal(t, breaker.Open, w.State())

					reached := len(c.faults.Calls())
					for range 20 {
						require.ErrorIs(t, c.call(), breaker.ErrOpen)
					}
					require.Len(t, c.faults.Calls(), reached, "nothing is called")

					time.Sleep(15 * time.Second)
					for range 20 {
						_ = c.call()
					}
					require.Len(t, c.faults.Calls(), reached+1, "one probe")
					require.Equal(t, breaker.Open, w.State())
					time.Sleep(30 * time.Second)
					c.recovers()
				})
			})
		}
	}
}

// The sandbox freezes, or its clock is set, while the dependency fails: it recovers all the same.
func TestUnderFaultsOfTheClock(t *testing.T) {
	t.Parallel()
	for way, newClient := range ways {
		for name, jump := range map[string]time.Duration{"freeze": time.Hour, "forward": 16 * time.Second, "back": -time.Hour} {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(w *world) {
					c := newClient(w)
					for _, kind := range []fault.Kind{fault.Broken, fault.Lost, fault.Unsent} {
						c.faults.Follow(fault.From(0, fault.Fault{Kind: kind}))
						for w.State() == breaker.Closed {
							require.Error(t, c.call())
						}
						w.froze += jump
						time.Sleep(tick)
						if jump < 0 || w.State() == breaker.Open {
							require.ErrorIs(t, c.call(), breaker.ErrOpen)
							time.Sleep(2 * time.Minute)
						}
						c.recovers()
					}
				})
			})
		}
	}
}

// Whatever fails and however often: calls end in time, an open circuit calls nothing, and it recovers.
func TestUnderFaultsOfAllKinds(t *testing.T) {
	t.Parallel()
	var all []fault.Fault
	for _, f := range faults() {
		all = append(all, f)
	}
	for way, newClient := range ways {
		for seed := range uint64(20) {
			t.Run(way, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(w *world) {
					c := newClient(w)
					c.faults.Follow(fault.Sometimes(seed, float64(seed)/20, all...))
					for range 500 {
						open, reached := w.State() == breaker.Open, len(c.faults.Calls())
						if err := c.call(); open {
							require.ErrorIs(t, err, breaker.ErrOpen)
							require.Len(t, c.faults.Calls(), reached)
						}
						time.Sleep(time.Second)
					}
					time.Sleep(2 * time.Minute)
					c.recovers()
				})
			})
		}
	}
}

type body struct {
	io.Reader
	closed int
}

func (b *body) Close() error { b.closed++; return nil }

func TestTransport(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		transport := breaker.NewTransport(w.Breaker, roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 503, Request: r, Body: io.NopCloser(strings.NewReader("its own words"))}, nil
		}))
		b := &body{Reader: strings.NewReader("x")}
		r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "https://dependency.example", b)
		require.NoError(t, err)
		for range 5 {
			response, err := transport.RoundTrip(r)
			require.NoError(t, err, "an answer is an answer")
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, "its own words", string(text))
		}
		require.Zero(t, b.closed)
		_, err = (&http.Client{Transport: transport}).Do(r) //nolint:bodyclose // there is none
		require.ErrorIs(t, err, breaker.ErrOpen)
		require.Equal(t, 15*time.Second, apperr.From(err).RetryAfter, "through the client's own error")
		require.Equal(t, 1, b.closed)
	})
	bubble(t, func(w *world) {
		w.halfOpen()
		r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "https://dependency.example", nil)
		require.NoError(t, err)
		require.Panics(t, func() {
			_, _ = breaker.NewTransport(w.Breaker, roundTripper(func(*http.Request) (*http.Response, error) { panic("ours") })).RoundTrip(r) //nolint:bodyclose // there is none
		})
		w.calls(".")
		require.Equal(t, breaker.HalfOpen, w.State(), "a panic is no success")
		w.calls(".")
		require.Equal(t, breaker.Closed, w.State())
	})
}

// silent is net/http's own transport to a server that takes what is sent and never answers.
func silent() *http.Transport {
	return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		return ours, nil
	}}
}

// A client's own Timeout is one, though a foreign transport below it tells of a request that was canceled; a caller who
// hangs up is none.
func TestTransportTellsTimeoutsFromCancellation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client  time.Duration
		context func(context.Context) (context.Context, context.CancelFunc)
		want    breaker.State
	}{
		"Timeout of the client": {time.Second, context.WithCancel, breaker.Open},
		"deadline of the context": {0, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, breaker.Open},
		"the caller hangs up": {time.Minute, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, breaker.Closed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				client := &http.Client{Transport: breaker.NewTransport(w.Breaker, silent()), Timeout: c.client}
				for range 5 {
					ctx, cancel := c.context(w.Context())
					r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://dependency.example", nil)
					require.NoError(t, err)
					_, err = client.Do(r) //nolint:bodyclose // there is none
					require.Error(t, err)
					require.NotErrorIs(t, err, breaker.ErrOpen)
					cancel()
				}
				require.Equal(t, c.want, w.State())
			})
		})
	}
}

// Breaker inside, retry outside: each attempt counts, and an open circuit ends the attempts.
func TestInsideRetries(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		r := retry.New(retry.Policy{})
		attempts, calls := 0, 0
		request := func() error {
			return r.Do(w.Context(), func(ctx context.Context, _ int) error {
				attempts++
				_, err := breaker.Do(ctx, w.Breaker, func(context.Context) (int, error) { calls++; return 0, errDown })
				return err
			}, func(err error) retry.Verdict {
				return retry.Verdict{Again: !errors.Is(err, breaker.ErrOpen)}
			})
		}
		require.Equal(t, errDown, request())
		require.Equal(t, []int{3, 3}, []int{attempts, calls})

		require.ErrorIs(t, request(), breaker.ErrOpen, "its fifth failure in a row opens the circuit")
		require.Equal(t, []int{6, 5}, []int{attempts, calls})

		began := time.Now()
		require.ErrorIs(t, request(), breaker.ErrOpen)
		require.Equal(t, []int{7, 5}, []int{attempts, calls}, "one attempt, no call")
		require.Zero(t, time.Since(began), "and no wait")
	})
}

// Below the AWS SDK each attempt of its retries counts, and it does not try a rejection again.
func TestInsideRetriesOfTheSDK(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"SecretString":"x"}`)
	}))
	t.Cleanup(server.Close)
	for _, kind := range []fault.Kind{fault.Unsent, fault.Throttled, fault.Broken, fault.Lost} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			clock := fault.NewClock(time.Now())
			b := breaker.New("secrets", breaker.Options{Now: clock.Now})
			asked := 0
			faults := fault.NewTransport(nil, fault.From(0, fault.Fault{Kind: kind}))
			counted := breaker.NewTransport(b, faults)
			c := secretsmanager.NewFromConfig(aws.Config{Region: "eu-west-2", BaseEndpoint: &server.URL,
				HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					asked++
					return counted.RoundTrip(r)
				})},
				Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
				Retryer:     func() aws.Retryer { return retry.Retryer(retry.Policy{Random: func() float64 { return 0 }}) }})
			in := &secretsmanager.GetSecretValueInput{SecretId: aws.String("x")}

			_, err := c.GetSecretValue(t.Context(), in)
			require.Error(t, err)
			require.NotErrorIs(t, err, breaker.ErrOpen)
			_, err = c.GetSecretValue(t.Context(), in)
			require.ErrorIs(t, err, breaker.ErrOpen)
			require.Equal(t, apperr.Unavailable, apperr.From(err).Kind)
			require.Equal(t, 6, asked)
			require.Len(t, faults.Calls(), 5)
			_, err = c.GetSecretValue(t.Context(), in)
			require.ErrorIs(t, err, breaker.ErrOpen)
			require.Equal(t, 7, asked)

			faults.Follow(nil)
			clock.Jump(2 * time.Minute)
			for range 2 {
				_, err = c.GetSecretValue(t.Context(), in)
				require.NoError(t, err)
			}
			require.Equal(t, breaker.Closed, b.State())
		})
	}
}

// The breaker makes no call of its own, and none waits for another.
func TestAHealthyCircuitIsInvisible(t *testing.T) {
	t.Parallel()
	for way, newClient := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(w *world) {
				c := newClient(w)
				began := time.Now()
				for range 100 {
					go func() { require.NoError(t, c.call()) }()
				}
				synctest.Wait()
				require.Zero(t, time.Since(began))
				require.Len(t, c.faults.Calls(), 100)
				require.Empty(t, w.events)
			})
		})
	}
}
