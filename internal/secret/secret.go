// Package secret reads secrets from Secrets Manager, once for many requests, and keeps their values out of logs and
// errors. Nothing runs in the background: a sandbox that is frozen has no call in flight that it started itself.
package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/singleflight"
)

// Value is a secret. Whatever prints, marshals or logs it gets a placeholder; Reveal gives the text.
type Value struct{ text string }

const redacted = "[redacted]"

// NewValue hides a text.
func NewValue(text string) Value { return Value{text} }

// Reveal is the text itself.
func (v Value) Reveal() string { return v.text }

// String is a placeholder.
func (Value) String() string { return redacted }

// GoString is a placeholder, for %#v.
func (Value) GoString() string { return redacted }

// Format is a placeholder whatever the verb.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText is a placeholder, for encoding/json and others.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is a placeholder.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// API is the call of Secrets Manager that reading needs.
type API interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Options tune a Reader; the zero value means the defaults.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Soft   time.Duration    // age from which a value is renewed, and used on if that fails; 0: 5 min
	Hard   time.Duration    // age from which it is not used at all; 0: 60 min
	Retry  time.Duration    // time between attempts while they fail; 0: 30 s
	Budget time.Duration    // of one call; 0: 800 ms
}

// Reader reads and remembers. It is safe for concurrent use; callers that want the same secret share one call, which
// does not end when the caller who began it gives up.
type Reader struct {
	api     API
	o       Options
	flight  singleflight.Group
	mu      sync.RWMutex
	entries map[string]entry
}

type entry struct {
	value   Value
	fetched time.Time // zero: never
	failed  error     // of the last attempt
	next    time.Time // no attempt before
}

// NewReader makes a reader that has called nothing yet.
func NewReader(api API, o Options) *Reader {
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&o.Soft, 5 * time.Minute}, {&o.Hard, time.Hour}, {&o.Retry, 30 * time.Second}, {&o.Budget, 800 * time.Millisecond}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return &Reader{api: api, o: o, entries: map[string]entry{}}
}

// Get is the current value of a secret. An error means that there is no usable value: the caller fails closed. After a
// failure Secrets Manager is left alone for a while, and Get repeats the error or gives the value it still has.
func (r *Reader) Get(ctx context.Context, id string) (Value, error) {
	now := r.o.Now()
	r.mu.RLock()
	e := r.entries[id]
	r.mu.RUnlock()
	if !e.fetched.IsZero() && now.Sub(e.fetched) < r.o.Soft {
		return e.value, nil
	}
	if now.Before(e.next) {
		return r.settle(e, now)
	}
	call := r.flight.DoChan(id, func() (any, error) { return r.fetch(context.WithoutCancel(ctx), id), nil })
	select {
	case <-ctx.Done():
		return Value{}, fmt.Errorf("secret: %w", ctx.Err())
	case got := <-call:
		return r.settle(got.Val.(entry), now)
	}
}

// settle decides what an entry is worth at a time.
func (r *Reader) settle(e entry, now time.Time) (Value, error) {
	if !e.fetched.IsZero() && now.Sub(e.fetched) < r.o.Hard {
		return e.value, nil
	}
	return Value{}, e.failed
}

// fetch renews an entry. Its error names the secret, never its value.
func (r *Reader) fetch(ctx context.Context, id string) entry {
	ctx, cancel := context.WithTimeout(ctx, r.o.Budget)
	defer cancel()
	out, err := r.api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err == nil && out.SecretString == nil {
		err = errors.New("it has no text value")
	}
	now := r.o.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[id]
	if err != nil {
		e.failed, e.next = fmt.Errorf("secret: read %s: %w", id, err), now.Add(r.o.Retry)
	} else {
		e = entry{value: Value{*out.SecretString}, fetched: now}
	}
	r.entries[id] = e
	return e
}

// IsMissing tells whether err says that the secret, or its value, does not exist: an environment that was deployed and
// not yet provisioned.
func IsMissing(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}
