package apple

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// KeysOptions tune a set; the zero value means the defaults.
type KeysOptions struct {
	URL    string            // "": KeysURL
	HTTP   http.RoundTripper // nil: http.DefaultTransport
	Shelf  Shelf             // nil: a sandbox that starts while Apple does not answer lets nobody in
	Now    func() time.Time  // nil: time.Now
	Soft   time.Duration     // age from which the set is fetched again, and used on if that fails; 0: 6 h
	Hard   time.Duration     // age from which it is not used at all; 0: 7 days
	Retry  time.Duration     // least time between two fetches while there is a set, whatever ids tokens name; 0: 1 min
	Budget time.Duration     // of one fetch; 0: 1.5 s
}

const (
	shelfBudget  = 500 * time.Millisecond // of one call of the shelf
	afterFailure = 2 * time.Second        // between two fetches while there is no set: nobody can sign in
)

// Keys is the set of Apple's public keys, fetched when it is first needed. It is safe for concurrent use. There is one
// fetch at a time, which does not end when the caller who began it gives up; who can use the set that is there does not
// wait for it. A call takes Budget, and twice half a second where there is a shelf, at most.
type Keys struct {
	o KeysOptions

	mu      sync.Mutex
	keys    map[string]*rsa.PublicKey
	fetched time.Time // of keys; zero: there are none
	tried   time.Time // the last fetch began
	failed  error     // of the last fetch
	flight  chan struct{}
}

// NewKeys makes a set that has fetched nothing yet.
func NewKeys(o KeysOptions) *Keys {
	if o.URL == "" {
		o.URL = KeysURL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&o.Soft, 6 * time.Hour}, {&o.Hard, 7 * 24 * time.Hour}, {&o.Retry, time.Minute}, {&o.Budget, 1500 * time.Millisecond}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return &Keys{o: o}
}

// Find is the key of an id. An id that is not in the set makes it be fetched again, at most once in o.Retry; one that is
// not there then is ErrInvalid. ErrUnavailable means that there is no usable set, or that the id is unknown and the set
// could not be renewed: the key may be newer than the set.
func (k *Keys) Find(ctx context.Context, id string) (*rsa.PublicKey, error) {
	for range 2 { // a flight that another began may not have looked for this id
		key, flight, mine := k.look(ctx, id)
		if key != nil && !mine {
			return key, nil
		}
		if flight == nil {
			break
		}
		select {
		case <-flight:
		case <-ctx.Done():
			if key != nil {
				return key, nil
			}
			return nil, unavailable("keys", ctx.Err())
		}
		if mine {
			break
		}
	}
	return k.settle(id)
}

// look is what there is at once: the key, if the set may be used, and a flight to wait for. mine says that it is this
// caller's turn to wait, though there may be a key.
func (k *Keys) look(ctx context.Context, id string) (key *rsa.PublicKey, flight chan struct{}, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	key = k.usable(now)[id]
	if key != nil && within(now, k.fetched, k.o.Soft) || k.flight != nil {
		return key, k.flight, false
	}
	pause := k.o.Retry
	if k.usable(now) == nil {
		pause = min(pause, afterFailure)
	}
	if within(now, k.tried, pause) {
		return key, nil, false
	}
	k.flight = make(chan struct{})
	go k.renew(context.WithoutCancel(ctx), id, k.flight)
	return key, k.flight, true
}

func (k *Keys) settle(id string) (*rsa.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := k.usable(k.now())
	switch key := set[id]; {
	case key != nil:
		return key, nil
	case k.failed != nil:
		return nil, unavailable("keys", k.failed)
	case set == nil:
		return nil, unavailable("keys", errors.New("the set is too old"))
	}
	return nil, fmt.Errorf("%w: its key is not one of Apple's", ErrInvalid)
}

// usable is the set while it may be used; nil after.
func (k *Keys) usable(now time.Time) map[string]*rsa.PublicKey {
	if k.fetched.IsZero() || now.Sub(k.fetched) >= k.o.Hard {
		return nil
	}
	return k.keys
}

// renew ends a flight with a set that is as new as can be had: the shelf's, where there is none in memory and that one is
// young and has the id, else Apple's.
func (k *Keys) renew(ctx context.Context, id string, flight chan struct{}) {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.flight = nil
		close(flight)
	}()
	if k.restore(ctx, id) {
		return
	}
	k.mu.Lock()
	k.tried = k.now()
	k.mu.Unlock()
	body, keys, err := k.fetch(ctx)
	k.mu.Lock()
	now := k.now()
	k.failed = err
	if err == nil {
		k.keys, k.fetched = keys, now
	}
	k.mu.Unlock()
	if err != nil {
		telemetry.From(ctx).WarnContext(ctx, "Apple's keys were not fetched", telemetry.FieldError, err)
		return
	}
	if k.o.Shelf == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shelfBudget)
	defer cancel()
	if err := k.o.Shelf.Save(ctx, Saved{Keys: body, Fetched: now}); err != nil {
		telemetry.From(ctx).WarnContext(ctx, "Apple's keys were not put on the shelf", telemetry.FieldError, err)
	}
}

// restore takes the shelf's set where there is none to use, and tells whether that is enough for now. What is on the
// shelf is checked like Apple's answer, and keeps the age it has.
func (k *Keys) restore(ctx context.Context, id string) (enough bool) {
	k.mu.Lock()
	usable := k.usable(k.now())
	k.mu.Unlock()
	if k.o.Shelf == nil || usable != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, shelfBudget)
	defer cancel()
	saved, err := k.o.Shelf.Load(ctx)
	if err != nil {
		telemetry.From(ctx).WarnContext(ctx, "Apple's keys were not taken from the shelf", telemetry.FieldError, err)
		return false
	}
	now := k.now()
	if saved.Fetched.IsZero() || saved.Fetched.After(now.Add(Leeway)) || len(saved.Keys) > maxBody {
		return false
	}
	keys, err := parseKeys(saved.Keys)
	if err != nil {
		telemetry.From(ctx).WarnContext(ctx, "Apple's keys on the shelf cannot be read", telemetry.FieldError, err)
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.fetched = keys, saved.Fetched
	if now.Before(k.fetched) {
		k.fetched = now
	}
	return k.usable(now)[id] != nil && within(now, k.fetched, k.o.Soft)
}

func (k *Keys) fetch(ctx context.Context) ([]byte, map[string]*rsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, k.o.Budget)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.o.URL, nil)
	if err != nil {
		return nil, nil, err
	}
	a, err := send(k.o.HTTP, request)
	switch {
	case err != nil:
		return nil, nil, err
	case a.status != http.StatusOK || !a.json:
		return nil, nil, fmt.Errorf("status %d, or not JSON", a.status)
	}
	keys, err := parseKeys(a.body)
	return a.body, keys, err
}

// now is the time without the reading of the monotonic clock, which stands still while a sandbox is frozen: a set must
// not look younger than it is.
func (k *Keys) now() time.Time { return k.o.Now().Round(0) }

// within tells whether less than d has passed since a time. After a clock that went back nothing is known: it has not.
func within(now, since time.Time, d time.Duration) bool {
	age := now.Sub(since)
	return !since.IsZero() && age >= 0 && age < d
}
