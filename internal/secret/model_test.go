package secret_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/secret"
)

// chaos answers late, wrongly or not at all. The text of an answer is when its call began, by a clock that freezes move.
type chaos struct {
	t      *testing.T
	random func(n int) int
	frozen atomic.Int64 // how long it stood still so far

	mu     sync.Mutex
	flying map[string]int
	calls  int
}

func (c *chaos) Now() time.Time { return time.Now().Add(time.Duration(c.frozen.Load())) }

func (c *chaos) move(key string, by int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying[key] += by
	if by > 0 {
		c.calls++
	}
	return c.flying[key]
}

func (c *chaos) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	began, key := c.Now(), *in.SecretId+" "+*in.VersionStage
	if n := c.move(key, 1); n != 1 {
		c.t.Errorf("%d calls for %s at once", n, key)
	}
	defer c.move(key, -1)
	wait := []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Hour}[c.random(5)]
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(wait):
	}
	switch c.random(6) {
	case 0:
		return nil, throttled
	case 1:
		return nil, &types.InternalServiceError{}
	case 2:
		return nil, denied
	case 3:
		c.frozen.Add(int64(time.Duration(c.random(40)) * time.Minute))
	}
	text, version := strconv.FormatInt(began.UnixNano(), 10), strconv.Itoa(c.random(4))
	return &secretsmanager.GetSecretValueOutput{SecretString: &text, VersionId: &version}, nil
}

// check holds a value against the hard age at the time before it was asked for: it is older now.
func (c *chaos) check(v secret.Value, before time.Time) {
	nanos, err := strconv.ParseInt(v.Reveal(), 10, 64)
	if age := before.Sub(time.Unix(0, nanos)); err != nil || age >= time.Hour {
		c.t.Errorf("a value is %v old: %v", age, err)
	}
}

// step is one thing that a caller does. Every call ends in time, with a value or an error of the right kind.
func (c *chaos) step(r *secret.Reader, versions *sync.Map) {
	id := []string{"a", "b"}[c.random(2)]
	ctx, cancel := context.WithTimeout(context.Background(), []time.Duration{time.Millisecond, 300 * time.Millisecond, 5 * time.Second}[c.random(3)])
	defer cancel()
	deadline, _ := ctx.Deadline()
	before := c.Now()
	var err error
	switch c.random(5) {
	case 0, 1:
		var v secret.Version
		if v, err = r.Current(ctx, id); err == nil {
			versions.Store(id, v.ID)
			c.check(v.Value, before)
		}
	case 2:
		var cur, prev secret.Version
		if cur, prev, err = r.Both(ctx, id); err == nil {
			c.check(cur.Value, before)
			c.check(prev.Value, before)
		}
	case 3:
		if v, ok := versions.Load(id); ok {
			r.Invalidate(id, v.(string))
		}
	case 4:
		r.Join(ctx)
	}
	if err != nil && !errors.Is(err, ctx.Err()) && apperr.From(err).Kind != apperr.Unavailable {
		c.t.Errorf("it failed with %v", err)
	}
	if time.Now().After(deadline.Add(25 * time.Millisecond)) { // Join may wait so long for what it ended
		c.t.Errorf("it took %v too long", time.Since(deadline))
	}
}

// For any schedule of callers, failures, freezes and rotations: at most one call for a secret and stage at once, no value
// that is too old, no call that outlasts its caller, and nothing in flight after the end.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				source := rand.New(rand.NewPCG(seed, seed))
				c := &chaos{t: t, flying: map[string]int{}, random: func(n int) int {
					mu.Lock()
					defer mu.Unlock()
					return source.IntN(n)
				}}
				r := secret.NewReader(c, secret.Options{Now: c.Now, Random: func() float64 { return float64(c.random(1000)) / 1000 }})
				var wg sync.WaitGroup
				var versions sync.Map
				for range 8 {
					wg.Go(func() {
						for range 60 {
							c.step(r, &versions)
							time.Sleep([]time.Duration{0, time.Millisecond, time.Second, time.Minute, 10 * time.Minute}[c.random(5)])
						}
					})
				}
				wg.Wait()
				r.Join(t.Context())
				synctest.Wait()
				for key := range c.flying {
					if n := c.move(key, 0); n != 0 {
						t.Errorf("%d calls for %s are left in flight", n, key)
					}
				}
				if c.calls < 20 {
					t.Errorf("there were only %d calls", c.calls)
				}
			})
		})
	}
}
