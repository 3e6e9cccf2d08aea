package cache_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/expenzez/aws-backend/internal/cache"
	"github.com/expenzez/aws-backend/internal/fault"
)

// naive is a cache as one would explain it: a list of entries, the one used last at the end, and every rule spelt out.
type naive struct {
	o    cache.Options[string, int]
	draw float64
	all  []remembered
	seen time.Time
}

type remembered struct {
	key        string
	value      int
	absent     bool
	soft, hard time.Time
}

func (n *naive) at(now time.Time) {
	if now.Before(n.seen) {
		n.all = nil
	}
	n.seen = now
}

func (n *naive) forget(key string) {
	n.all = slices.DeleteFunc(n.all, func(r remembered) bool { return r.key == key })
}

// touch is the entry of a key at a time, which becomes the one used last.
func (n *naive) touch(key string, now time.Time) *remembered {
	n.at(now)
	i := slices.IndexFunc(n.all, func(r remembered) bool { return r.key == key })
	if i < 0 {
		return nil
	}
	r := n.all[i]
	n.forget(key)
	if !now.Before(r.hard) {
		return nil
	}
	n.all = append(n.all, r)
	return &n.all[len(n.all)-1]
}

func (n *naive) remember(r remembered) {
	n.forget(r.key)
	if weigh(r.key, r.value) > n.o.Bytes {
		return
	}
	n.all = append(n.all, r)
	for len(n.all) > n.o.Entries || n.bytes() > n.o.Bytes {
		n.all = n.all[1:]
	}
}

func (n *naive) bytes() (sum int) {
	for _, r := range n.all {
		sum += weigh(r.key, r.value)
	}
	return sum
}

func (n *naive) stretched(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*n.draw))
}

func (n *naive) put(key string, value int, now time.Time) {
	n.at(now)
	n.remember(remembered{key: key, value: value, soft: now.Add(n.stretched(n.o.Soft)), hard: now.Add(n.o.Hard)})
}

func (n *naive) get(key string, now time.Time) (int, bool) {
	r := n.touch(key, now)
	if r == nil || r.absent || !now.Before(r.soft) {
		return 0, false
	}
	return r.value, true
}

// getOrLoad also tells whether the source was asked.
func (n *naive) getOrLoad(key string, now time.Time, value int, err error) (int, error, bool) {
	r := n.touch(key, now)
	if r != nil && now.Before(r.soft) {
		if r.absent {
			return 0, cache.ErrAbsent, false
		}
		return r.value, nil, false
	}
	switch {
	case err == nil:
		n.put(key, value, now)
		return value, nil, true
	case errors.Is(err, cache.ErrAbsent):
		n.forget(key)
		if n.o.Negative > 0 {
			until := now.Add(n.stretched(n.o.Negative))
			n.remember(remembered{key: key, absent: true, soft: until, hard: until})
		}
		return 0, err, true
	case r != nil:
		r.soft = now.Add(n.o.Retry)
		return r.value, nil, true
	default:
		return 0, err, true
	}
}

// weigh makes entries of different sizes, some of which are too large.
func weigh(key string, value int) int { return len(key) + value%12 }

// Whatever is done in whatever order, with a clock that stands, runs, jumps and goes back, the cache answers as the
// naive one does, asks the source exactly when it does, and never holds more than it may.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := fault.NewClock(start)
		draw, asked := 0.5, false
		second := time.Second
		o := cache.Options[string, int]{
			Soft: 10 * second, Retry: 2 * second, Entries: rapid.IntRange(1, 4).Draw(t, "entries"), Bytes: rapid.IntRange(4, 40).Draw(t, "bytes"),
			Hard: rapid.SampledFrom([]time.Duration{5 * second, 10 * second, 12 * second, 30 * second}).Draw(t, "hard"), Size: weigh,
			Negative: rapid.SampledFrom([]time.Duration{0, 3 * second}).Draw(t, "negative"), Now: clock.Now, Rand: func() float64 { return draw },
		}
		hits := 0
		o.Observe = func(hit bool) {
			if hit {
				hits++
			}
		}
		c, n := cache.New(o), &naive{o: o, draw: draw}
		keys := rapid.SampledFrom([]string{"a", "bb", "ccc", "dddd", "eeeee", "ffffff"})
		value := 0
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				most := rapid.SampledFrom([]time.Duration{second, 5 * second, 15 * second}).Draw(t, "most")
				clock.Jump(time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, "by")))
			},
			"clock_back": func(t *rapid.T) {
				clock.Jump(-time.Duration(rapid.Int64Range(1, int64(60*second)).Draw(t, "by")))
			},
			"jitter": func(t *rapid.T) {
				draw = rapid.Float64Range(0, 0.999).Draw(t, "draw")
				n.draw = draw
			},
			"put": func(t *rapid.T) {
				value++
				key := keys.Draw(t, "key")
				c.Put(key, value)
				n.put(key, value, clock.Now())
			},
			"invalidate": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				c.Invalidate(key)
				n.forget(key)
			},
			"get": func(t *rapid.T) {
				key, before := keys.Draw(t, "key"), hits
				got, ok := c.Get(key)
				want, known := n.get(key, clock.Now())
				require.Equal(t, known, ok)
				require.Equal(t, want, got)
				require.Equal(t, known, hits > before)
			},
			"get_or_load": func(t *rapid.T) {
				value++
				key, before := keys.Draw(t, "key"), hits
				fails := rapid.SampledFrom([]error{nil, nil, errDown, cache.ErrAbsent}).Draw(t, "source")
				asked = false
				got, err := c.GetOrLoad(context.Background(), key, func(context.Context, string) (int, error) {
					asked = true
					return value, fails
				})
				want, wantErr, ask := n.getOrLoad(key, clock.Now(), value, fails)
				require.Equal(t, wantErr, err)
				require.Equal(t, want, got)
				require.Equal(t, ask, asked)
				require.Equal(t, !ask, hits > before)
			},
			"": func(t *rapid.T) {
				require.LessOrEqual(t, c.Len(), o.Entries)
			},
		})
	})
}
