// Package secret reads secrets from Secrets Manager, once for many requests, and keeps their values out of logs and
// errors.
//
// A secret is one GetSecretValue call, whose answer is used for 5 minutes (± 20 %, so that sandboxes that start together
// do not ask together) without another. From then until it is an hour old it is still given at once, and one call begins
// that renews it. Join, at the end of an invocation, waits up to 250 ms for such calls and ends what is left of them: a
// sandbox that is frozen has no call in flight, and there is no timer. A value that is an hour old is never given: Get
// waits for a call, 800 ms at most, and fails closed with an apperr.Unavailable that says when to try again.
//
// Guarantees, for any number of callers: at most one call for a secret and stage is in flight. It does not end when the
// caller who began it gives up, and each caller gives up on its own context. After a failure nothing is called for a
// while, and nobody sleeps meanwhile: Get gives the value that it still has, or repeats the error. The while is 30 s
// where the answer would be the same again (access denied, no such secret), else a random time up to 50 ms, doubled with
// each failure up to 5 s (AWS Architecture Blog, "Exponential Backoff and Jitter"). The API may try again by itself
// within one call's 800 ms, as the SDK does.
//
// A value's age counts from before the call that got it, by the wall clock or the monotonic one, whichever says more:
// the first goes on while a sandbox is frozen, the second when the clock is set back. Of a value that seems to come from
// the future nobody knows the age; it is not used.
//
// Limits: a clock that is set back while the sandbox is frozen makes values live longer by what it was set back, at
// most. A change of the secret is noticed when its value is renewed, up to 6 minutes later in a busy sandbox; after an
// idle hour at once, and between these by the second request; Invalidate does it sooner. Losing the permission to read
// does not take away what was read before its hour is over: to revoke a value, rotate it. All is per sandbox, and secrets
// are never forgotten: ids come from the configuration, not from requests. Only text secrets are read.
package secret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/retry"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

// The staging labels that are read (AWS Secrets Manager User Guide, "What's in a Secrets Manager secret?").
const (
	current stage = iota
	previous
)

type stage uint8

func (s stage) label() string { return [...]string{"AWSCURRENT", "AWSPREVIOUS"}[s] }

const (
	negative    = 30 * time.Second       // pause after an answer that would be the same again
	forcePause  = 30 * time.Second       // between two calls that Invalidate forces, of one secret
	backoffBase = 50 * time.Millisecond  // longest pause after a first failure
	backoffCap  = 5 * time.Second        // longest pause after any
	jitter      = 0.2                    // of Soft, up and down
	join        = 250 * time.Millisecond // that Join may take
	unwind      = 25 * time.Millisecond  // of it, for calls that it ended to come back
	delivery    = 100 * time.Millisecond // of an invocation, that Join leaves for its answer
)

// API is the call of Secrets Manager that reading needs. It ends soon after its context.
type API interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Version is one version of a secret. The zero value is none.
type Version struct {
	Value  Value
	ID     string
	Stages []string // its staging labels when it was read; not to be changed
}

// Options tune a Reader; the zero value means the defaults.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Random func() float64   // in [0, 1), for concurrent use; nil: math/rand/v2
	Soft   time.Duration    // age from which a value is renewed, before jitter; 0: 5 min
	Hard   time.Duration    // age from which it is not given; 0: 60 min
	Budget time.Duration    // of one call; 0: 800 ms
}

// Reader reads and remembers. It is safe for concurrent use.
type Reader struct {
	api     API
	o       Options
	backoff retry.Policy
	slots   [2]atomic.Pointer[map[string]*slot] // by stage and id; the maps are replaced, never changed
	mu      sync.Mutex                          // whoever replaces a map, an entry or a flight
}

// key is what one call asks for.
type key struct {
	id    string
	stage stage
}

func (r *Reader) slot(k key) *slot { return (*r.slots[k.stage].Load())[k.id] }

// slot is what is known of a key. Its entry is replaced, never changed.
type slot struct {
	entry  atomic.Pointer[entry]
	flight *flight // nil: no call is in flight
}

// NewReader makes a reader that has called nothing yet.
func NewReader(api API, o Options) *Reader {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	o.Soft, o.Hard = cmp.Or(o.Soft, 5*time.Minute), cmp.Or(o.Hard, time.Hour)
	o.Budget = cmp.Or(o.Budget, 800*time.Millisecond)
	r := &Reader{api: api, o: o, backoff: retry.Policy{Base: backoffBase, Cap: backoffCap, Random: o.Random}}
	for i := range r.slots {
		r.slots[i].Store(&map[string]*slot{})
	}
	return r
}

// Get is the current value of a secret. An error is an apperr.Unavailable, or that of the context; there is no usable
// value then, and the caller fails closed.
func (r *Reader) Get(ctx context.Context, id string) (Value, error) {
	e, err := r.get(ctx, key{id, current})
	if err != nil {
		return Value{}, err
	}
	return e.version.Value, nil
}

// Current is Get with the version that the value is of.
func (r *Reader) Current(ctx context.Context, id string) (Version, error) {
	e, err := r.get(ctx, key{id, current})
	if err != nil {
		return Version{}, err
	}
	return e.version, nil
}

// Both is the current version of a secret and the one before, for those who verify what was made with either while a
// rotation is under way. A secret that was never rotated has no version before: then prev is the zero Version. Each is
// remembered by itself. Where one shows that the other was replaced, that is read anew; while this fails, both may be the
// same version.
func (r *Reader) Both(ctx context.Context, id string) (cur, prev Version, err error) {
	for again := false; ; again = true {
		c, err := r.get(ctx, key{id, current})
		if err != nil {
			return Version{}, Version{}, err
		}
		p, err := r.get(ctx, key{id, previous})
		if err != nil {
			return Version{}, Version{}, err
		}
		if again || p.version.ID == "" || p.version.ID != c.version.ID {
			return c.version, p.version, nil
		}
	}
}

// Invalidate says that someone refused the value of this version. If it is the current version still, as far as is known,
// the next Get waits for a call; should that fail, it gives the value that it has. At most one call for a secret is
// forced in 30 s. Only when forced is true is it worth trying again with what Get gives then.
func (r *Reader) Invalidate(id, versionID string) (forced bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slot(key{id, current})
	if s == nil || versionID == "" || s.entry.Load().version.ID != versionID {
		return false
	}
	e, now := s.entry.Load(), r.o.Now()
	if d, known := age(now, e.forced); known && d < forcePause {
		return false
	}
	s.entry.Store(e.outdate(now))
	return true
}

// get is what is known of a key, or becomes known by a call.
func (r *Reader) get(ctx context.Context, k key) (*entry, error) {
	e, hit, err := r.find(ctx, k)
	telemetry.SecretCache.Count(ctx, hit)
	return e, err
}

// find is get, and tells whether memory alone decided.
func (r *Reader) find(ctx context.Context, k key) (_ *entry, hit bool, err error) {
	for {
		e := r.load(k)
		now := r.o.Now() // after the entry was loaded: it cannot come from the future
		old, known := age(now, e.fetched)
		usable := known && old < r.o.Hard
		if usable && old < e.soft && !e.outdated {
			return e, true, nil
		}
		due := e.due(now)
		switch {
		case usable && !due:
			return e, true, nil
		case usable && !e.outdated:
			r.begin(ctx, k, e, false)
			return e, true, nil
		case !due:
			return nil, true, e.refusal(now)
		case ctx.Err() != nil:
			return nil, false, fmt.Errorf("secret: %w", ctx.Err())
		}
		f := r.begin(ctx, k, e, true)
		if f == nil {
			continue // a call has ended since e was loaded
		}
		select {
		case <-ctx.Done():
			r.leave(f)
			return nil, false, fmt.Errorf("secret: %w", ctx.Err())
		case <-f.done:
		}
		if r.leave(f); f.abandoned || f.from != e {
			continue // its answer does not count, or may be of a time before e was outdated
		}
		e = r.load(k)
		now = r.o.Now()
		if old, known = age(now, e.fetched); known && old < r.o.Hard {
			return e, false, nil
		}
		return nil, false, e.refusal(now)
	}
}

// none is the entry of a key that nothing is known of.
var none = &entry{}

func (r *Reader) load(k key) *entry {
	if s := r.slot(k); s != nil {
		return s.entry.Load()
	}
	return none
}

// IsMissing tells whether err says that the secret, or its value, does not exist: an environment that was deployed and
// not yet provisioned.
func IsMissing(err error) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing)
}

// permanent tells whether another call would get the same answer: it is about the caller or the secret, not about the
// service (AWS Secrets Manager API reference, GetSecretValue and common errors).
func permanent(err error) bool {
	var e smithy.APIError
	if errors.Is(err, errNoText) {
		return true
	}
	if !errors.As(err, &e) {
		return false
	}
	switch e.ErrorCode() {
	case "AccessDeniedException", "ResourceNotFoundException", "InvalidParameterException", "InvalidRequestException", "DecryptionFailure":
		return true
	}
	return false
}

var (
	errNoText   = errors.New("it has no text value")
	errPanic    = errors.New("the call panicked")
	errUnread   = errors.New("the answer could not be read")
	errOutlived = errors.New("secret: the answer came when it was too old")
)

// call makes one call. Its error names the secret and holds nothing of its value, which an error of decoding would.
func (r *Reader) call(ctx context.Context, k key) (v Version, err error) {
	defer func() {
		if recover() != nil { // in a goroutine of its own it would end the process
			err = errPanic
		}
		if err != nil {
			v, err = Version{}, fmt.Errorf("secret: read %s of %s: %w", k.stage.label(), k.id, err)
		}
	}()
	out, err := r.api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &k.id, VersionStage: aws.String(k.stage.label())})
	var undecoded *smithy.DeserializationError
	switch {
	case errors.As(err, &undecoded):
		return Version{}, errUnread
	case err != nil:
		return Version{}, err
	case out.SecretString == nil:
		return Version{}, errNoText
	}
	return Version{Value: NewValue(*out.SecretString), ID: aws.ToString(out.VersionId), Stages: out.VersionStages}, nil
}

// age is how long ago a reading of the clock was, by the clock that says more. It is not known of a reading that lies in
// the future. The zero time is as long ago as can be.
func age(now, then time.Time) (d time.Duration, known bool) {
	if then.IsZero() {
		return math.MaxInt64, true
	}
	wall := time.Duration(now.UnixNano() - then.UnixNano())
	return max(wall, now.Sub(then)), wall >= 0 // Sub goes by the monotonic clock, where there is one
}

// entry is the last answer and what came of the calls since.
type entry struct {
	version Version       // zero beside a fetched that is not: there is none, which is an answer, too
	fetched time.Time     // before the call that got it; zero: never
	soft    time.Duration // age from which it is renewed

	failed   error // of the last call; nil: it succeeded
	failures int   // in a row
	tried    time.Time
	pause    time.Duration // after tried

	outdated bool      // another answer is known to be due, or asked for: Get waits for it
	forced   time.Time // when Invalidate asked last
}

// due tells whether a call may be made.
func (e *entry) due(now time.Time) bool {
	d, known := age(now, e.tried)
	return !known || d >= e.pause
}

// refusal is the error of an entry that is not usable.
func (e *entry) refusal(now time.Time) error {
	wait := time.Second
	if d, known := age(now, e.tried); known {
		wait = max(wait, e.pause-d)
	}
	return apperr.New(apperr.Unavailable, "", "").After(wait).Because(cmp.Or(e.failed, errOutlived))
}

// outdate is the entry with its answer outdated; a forced that is zero is not from Invalidate.
func (e *entry) outdate(forced time.Time) *entry {
	o := *e
	o.outdated = true
	if !forced.IsZero() {
		o.forced = forced
	}
	return &o
}
