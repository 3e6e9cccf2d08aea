package token

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/singleflight"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// The defaults of a set that decide how early a key must be published.
const (
	readRetry  = time.Minute
	readBudget = 1500 * time.Millisecond
)

// KeysOptions tune a set; the zero value means the defaults.
type KeysOptions struct {
	Now    func() time.Time // nil: time.Now
	Soft   time.Duration    // age from which the set is read again, and used on if that fails; 0: 6 h
	Hard   time.Duration    // age from which it is not used at all; 0: 7 days
	Retry  time.Duration    // least time between two reads, whatever ids callers name; 0: 1 min
	Budget time.Duration    // of one read; 0: 1.5 s
}

// Keys is the set of public keys, read from its table when it is first needed. It is safe for concurrent use; callers
// share one read, which does not end when the caller who began it gives up.
type Keys struct {
	table  store.Querier
	o      KeysOptions
	flight singleflight.Group

	mu  sync.RWMutex
	set keySet
}

type keySet struct {
	keys    map[string]PublicKey
	fetched time.Time // zero: never
	tried   time.Time
	failed  error // of the last read
}

// NewKeys makes a set that has read nothing yet.
func NewKeys(table store.Querier, o KeysOptions) *Keys {
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&o.Soft, 6 * time.Hour}, {&o.Hard, 7 * 24 * time.Hour}, {&o.Retry, readRetry}, {&o.Budget, readBudget}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return &Keys{table: table, o: o}
}

// Find is the key of an id. An id that is not in the set makes it be read again, at most once in o.Retry; one that is
// not there then, not yet valid or retired is ErrInvalid. Any other error means that there is no usable set, or that the
// id is unknown and the set could not be renewed: the key may be newer than the set.
func (k *Keys) Find(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	set, err := k.fresh(ctx, k.o.Soft)
	if err != nil {
		return nil, err
	}
	if _, known := set.keys[id]; !known {
		if set, err = k.fresh(ctx, k.o.Retry); err != nil {
			return nil, err
		}
	}
	key, known := set.keys[id]
	if !known && set.failed != nil {
		return nil, set.failed
	}
	now := k.now()
	if !known || now.Add(Leeway).Before(key.NotBefore) || !key.RetireAt.IsZero() && !now.Before(key.RetireAt) {
		return nil, fmt.Errorf("%w: its key is not one of ours", ErrInvalid)
	}
	return key.Key, nil
}

// All is the keys that are not retired, those to come included, in order of id.
func (k *Keys) All(ctx context.Context) ([]JWK, error) {
	set, err := k.fresh(ctx, k.o.Soft)
	if err != nil {
		return nil, err
	}
	all := []JWK{}
	for _, key := range set.keys {
		if !key.RetireAt.IsZero() && !k.now().Before(key.RetireAt) {
			continue
		}
		j, err := key.JWK()
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	slices.SortFunc(all, func(a, b JWK) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// afterFailure is the pause after a read that failed: without keys every request fails.
const afterFailure = 2 * time.Second

// fresh is a set not older than age, or an older one while it cannot be renewed.
func (k *Keys) fresh(ctx context.Context, age time.Duration) (keySet, error) {
	k.mu.RLock()
	set := k.set
	k.mu.RUnlock()
	now := k.now()
	pause := k.o.Retry
	if set.failed != nil {
		pause = min(pause, afterFailure)
	}
	held := within(now, set.fetched, age) || within(now, set.tried, pause)
	telemetry.PublicKeyCache.Count(ctx, held)
	if held {
		return k.settle(set, now)
	}
	call := k.flight.DoChan("", func() (any, error) { return k.read(context.WithoutCancel(ctx)), nil })
	select {
	case <-ctx.Done():
		return keySet{}, fmt.Errorf("token: public keys: %w", ctx.Err())
	case got := <-call:
		return k.settle(got.Val.(keySet), now)
	}
}

// now is the time without the reading of the monotonic clock, which stands still while a sandbox is frozen: a set must
// not look younger than it is.
func (k *Keys) now() time.Time { return k.o.Now().Round(0) }

// within tells whether less than d has passed since a time. After a clock that went back nothing is known: it has not.
func within(now, since time.Time, d time.Duration) bool {
	age := now.Sub(since)
	return !since.IsZero() && age >= 0 && age < d
}

func (k *Keys) settle(set keySet, now time.Time) (keySet, error) {
	if !set.fetched.IsZero() && now.Sub(set.fetched) < k.o.Hard {
		return set, nil
	}
	return keySet{}, set.failed
}

func (k *Keys) read(ctx context.Context) keySet {
	ctx, cancel := context.WithTimeout(ctx, k.o.Budget)
	defer cancel()
	keys, err := query(ctx, k.table)
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set.tried, k.set.failed = now, err
	if err == nil {
		k.set.keys, k.set.fetched = keys, now
	}
	return k.set
}

// query reads all pages. A key that cannot be read is logged and left out, so that it refuses its own tokens only.
// A table without keys fails: the environment was never provisioned. The read is consistent: a key that was published
// before it is there.
func query(ctx context.Context, table store.Querier) (map[string]PublicKey, error) {
	in := &dynamodb.QueryInput{
		ConsistentRead:            ptr(true),
		KeyConditionExpression:    ptr("pk = :pk"),
		ExpressionAttributeValues: store.Item{":pk": store.S(partition)},
	}
	keys := map[string]PublicKey{}
	for {
		out, err := table.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("token: public keys: %w", err)
		}
		for _, item := range out.Items {
			key, err := readItem(item)
			if err != nil {
				telemetry.From(ctx).Error("a public key cannot be read", telemetry.FieldError, err)
				continue
			}
			keys[key.ID] = key
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

var errNoKeys = errors.New("token: no public key is published; provision the environment first")

func ptr[T any](v T) *T { return &v }
