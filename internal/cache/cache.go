// Package cache remembers what was expensive to learn, for as long as it may be believed, in the memory of one sandbox.
//
// What is promised: a value is used for less than Hard after the load that gave it began, by the wall clock, which
// unlike the monotonic one goes on while a sandbox is frozen; when that clock goes back, everything is forgotten.
// Callers that want the same key at the same time share one load, which ends when all of them have given up and at the
// latest with its budget; nothing is started that no caller waits for. A value that was invalidated or replaced while it was being
// loaded is not kept. Neither Entries nor Bytes is ever exceeded.
//
// What is not: other sandboxes know nothing of an Invalidate here, so that Hard is also how long they may be wrong;
// Bytes are what Size says, not what the heap needs; a load that ignores its context outlives its budget and its callers; an error is
// not remembered unless it says ErrAbsent. Values are shared: whoever gets one must not change it.
package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// ErrAbsent is what the error of a load wraps to say that there is nothing under the key, an answer that may be
// remembered.
var ErrAbsent = errors.New("cache: there is none")

// Options of a cache. The zero value means the defaults.
type Options[K comparable, V any] struct {
	// Soft is the age from which a value is renewed: the next caller waits for the renewal, the others are given the old
	// value meanwhile. Each value draws its own, up to 20 % shorter or longer, so that sandboxes that started together do
	// not renew together. 0: 1 min.
	Soft time.Duration
	// Hard is the age from which a value is not used at all, exactly; until then it stands in when renewing fails.
	// 0: 1.2 × Soft. Equal to Soft, nothing is used beyond that.
	Hard time.Duration
	// Negative is how long an absence is remembered, also up to 20 % shorter or longer. 0: it is not.
	Negative time.Duration
	// Retry is the time between attempts to renew while they fail. 0: 5 s.
	Retry time.Duration
	// Budget is how long one load may take. 0: 3 s.
	Budget time.Duration
	// Entries is how many there are at most; the one that was used longest ago leaves first. 0: 1024.
	Entries int
	// Size is what an entry counts towards Bytes, with the zero value for an absence. nil: nothing.
	Size func(K, V) int
	// Bytes is how much all entries count at most; what is larger by itself is not kept. 0: 4 MiB.
	Bytes int
	// Observe is told of each Get and GetOrLoad whether it was answered from memory. It must not call the cache back.
	Observe func(hit bool)
	Now     func() time.Time // nil: time.Now; it must not call the cache back
	Rand    func() float64   // within [0, 1); nil: math/rand/v2
}

// jitter is the share by which a time is made shorter or longer.
const jitter = 0.2

func (o Options[K, V]) withDefaults() Options[K, V] {
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&o.Soft, time.Minute}, {&o.Retry, 5 * time.Second}, {&o.Budget, 3 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	if o.Hard == 0 {
		o.Hard = o.Soft + o.Soft/5
	}
	if o.Entries <= 0 {
		o.Entries = 1024
	}
	if o.Bytes <= 0 {
		o.Bytes = 4 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	return o
}

// Cache remembers values by key. Make one with New. It is safe for concurrent use.
type Cache[K comparable, V any] struct {
	o       Options[K, V]
	mu      sync.Mutex
	entries map[K]*entry[K, V]
	recent  entry[K, V] // the ring of entries begins and ends here; next is the one used last
	bytes   int
	flights map[K]*flight[V]
	latest  int64 // the last that the clock said
}

// entry is a value, or an absence when err is set. Times are in nanoseconds since 1970.
type entry[K comparable, V any] struct {
	key        K
	value      V
	err        error
	size       int
	soft, hard int64
	prev, next *entry[K, V]
}

// flight is a load under way. Result and error are set when done is closed.
type flight[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int // guarded by the cache's mutex
	value   V
	err     error
}

// New makes an empty cache.
func New[K comparable, V any](o Options[K, V]) *Cache[K, V] {
	c := &Cache[K, V]{o: o.withDefaults(), entries: map[K]*entry[K, V]{}, flights: map[K]*flight[V]{}}
	c.recent.prev, c.recent.next = &c.recent, &c.recent
	return c
}

// Get is a value that is in memory and needs no renewal.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	now := c.now()
	e := c.usable(key, now)
	hit := e != nil && e.err == nil && now < e.soft
	var value V
	if hit {
		value = e.value
	}
	c.mu.Unlock()
	c.observe(hit)
	return value, hit
}

// GetOrLoad is the value of a key, from memory or from load. The error is that of the load, with ErrAbsent in it when
// the load or the memory said so; the context's when the caller gave up first; or a *PanicError. There is none while an
// old value can stand in. The load gets the values of the context of the caller who began it, not its end.
func (c *Cache[K, V]) GetOrLoad(ctx context.Context, key K, load func(context.Context, K) (V, error)) (V, error) {
	c.mu.Lock()
	now := c.now()
	e := c.usable(key, now)
	if e != nil && (now < e.soft || c.flights[key] != nil) {
		value, err := e.value, e.err
		c.mu.Unlock()
		c.observe(true)
		return value, err
	}
	f := c.flights[key]
	if f == nil {
		f = c.begin(ctx, key, now, load)
	}
	f.waiters++
	c.mu.Unlock()
	c.observe(false)
	return c.wait(ctx, key, f)
}

// wait is what becomes of a flight, or of a caller that cannot wait so long.
func (c *Cache[K, V]) wait(ctx context.Context, key K, f *flight[V]) (V, error) {
	var err error
	select {
	case <-f.done:
		if f.err == nil {
			return f.value, nil
		}
		err = f.err
	case <-ctx.Done():
		c.leave(key, f)
		err = fmt.Errorf("cache: %w", ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.usable(key, c.now()); e != nil {
		return e.value, e.err
	}
	var none V
	return none, err
}

// leave is for a caller that waits no longer. The last one ends the flight: whoever comes then begins another.
func (c *Cache[K, V]) leave(key K, f *flight[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		if c.flights[key] == f {
			delete(c.flights, key)
		}
	}
}

// begin starts a load.
func (c *Cache[K, V]) begin(ctx context.Context, key K, now int64, load func(context.Context, K) (V, error)) *flight[V] {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Budget)
	f := &flight[V]{done: make(chan struct{}), cancel: cancel}
	c.flights[key] = f
	go func() {
		size := 0
		defer close(f.done)
		defer cancel()
		defer func() { c.land(key, f, now, size) }()
		f.err = errEnded // unless load returns
		f.err = guarded(func() (err error) {
			if f.value, err = load(ctx, key); err != nil {
				var none V
				f.value = none
			}
			size = c.size(key, f.value)
			return err
		})
	}()
	return f
}

var errEnded = errors.New("cache: the load ended its goroutine")

// guarded makes a panic an error, which all who wait are given: in a goroutine of its own it would end the process.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return f()
}

// PanicError is the error of a load that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("cache: the load panicked: %v", e.Value) }

// land keeps what a flight brought, unless its key was changed meanwhile. Its age counts from when it began.
func (c *Cache[K, V]) land(key K, f *flight[V], began int64, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.flights[key] != f {
		return
	}
	delete(c.flights, key)
	switch {
	case f.err == nil:
		c.keep(key, f.value, size, began)
	case errors.Is(f.err, ErrAbsent):
		c.drop(key)
		if c.o.Negative > 0 {
			until := began + c.jittered(c.o.Negative)
			c.insert(&entry[K, V]{key: key, err: f.err, size: size, soft: until, hard: until})
		}
	default:
		if e := c.entries[key]; e != nil {
			e.soft = now + int64(c.o.Retry)
		}
	}
}

// Put remembers a value that the caller knows, such as one it has just written. A load under way will not replace it.
func (c *Cache[K, V]) Put(key K, value V) {
	size := c.size(key, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	delete(c.flights, key)
	c.keep(key, value, size, now)
}

// Invalidate forgets a key. What a load under way brings is given to those who wait for it, and not kept.
func (c *Cache[K, V]) Invalidate(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, key)
	c.drop(key)
}

// Len is how many values and absences are in memory, those included whose time is over and that nobody asked for since.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

func (c *Cache[K, V]) observe(hit bool) {
	if c.o.Observe != nil {
		c.o.Observe(hit)
	}
}

func (c *Cache[K, V]) size(key K, value V) int {
	if c.o.Size == nil {
		return 0
	}
	return max(0, c.o.Size(key, value))
}

// now reads the wall clock; UnixNano leaves the monotonic one out. When it went back, no age is known any more, and no
// load under way may be dated.
func (c *Cache[K, V]) now() int64 {
	now := c.o.Now().UnixNano()
	if now < c.latest {
		clear(c.entries)
		clear(c.flights)
		c.recent.prev, c.recent.next = &c.recent, &c.recent
		c.bytes = 0
	}
	c.latest = now
	return now
}

// usable is the entry of a key that may still be used, now the one used last.
func (c *Cache[K, V]) usable(key K, now int64) *entry[K, V] {
	e := c.entries[key]
	if e == nil {
		return nil
	}
	if now >= e.hard {
		c.drop(key)
		return nil
	}
	if c.recent.next != e {
		e.unlink()
		e.link(&c.recent)
	}
	return e
}

func (c *Cache[K, V]) keep(key K, value V, size int, began int64) {
	c.drop(key)
	c.insert(&entry[K, V]{key: key, value: value, size: size, soft: began + c.jittered(c.o.Soft), hard: began + int64(c.o.Hard)})
}

// jittered is a time, in nanoseconds, within 20 % of d.
func (c *Cache[K, V]) jittered(d time.Duration) int64 {
	return int64(float64(d) * (1 - jitter + 2*jitter*c.o.Rand()))
}

// insert takes an entry in that is not there, and lets others go to make room.
func (c *Cache[K, V]) insert(e *entry[K, V]) {
	if e.size > c.o.Bytes {
		return
	}
	c.entries[e.key] = e
	c.bytes += e.size
	e.link(&c.recent)
	for len(c.entries) > c.o.Entries || c.bytes > c.o.Bytes {
		c.drop(c.recent.prev.key)
	}
}

func (c *Cache[K, V]) drop(key K) {
	if e := c.entries[key]; e != nil {
		delete(c.entries, key)
		c.bytes -= e.size
		e.unlink()
	}
}

func (e *entry[K, V]) link(after *entry[K, V]) {
	e.prev, e.next = after, after.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry[K, V]) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}
