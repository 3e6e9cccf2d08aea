package secret

import (
	"context"
	"maps"
	"time"
)

// flight is one call under way. singleflight cannot tell who waits for a call, nor wait for all: Join needs both.
type flight struct {
	from      *entry        // the slot's when it began
	done      chan struct{} // closed when the slot has its answer
	cancel    context.CancelFunc
	waiters   int  // callers that need its answer; under Reader.mu
	abandoned bool // Join ended it; not written once done is closed
}

// ended tells whether the slot has its answer; under Reader.mu that does not change.
func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// begin begins a call, or takes part in the one in flight. It is nil when the entry that the caller saw is not the present
// one. A caller that waits calls leave.
func (r *Reader) begin(ctx context.Context, k key, seen *entry, waits bool) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slot(k)
	if s == nil {
		s = &slot{}
		s.entry.Store(none)
		all := maps.Clone(*r.slots[k.stage].Load())
		all[k.id] = s
		r.slots[k.stage].Store(&all)
	}
	if s.entry.Load() != seen {
		return nil
	}
	if s.flight == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.Budget)
		s.flight = &flight{from: seen, done: make(chan struct{}), cancel: cancel}
		go r.fly(ctx, k, s)
	}
	if waits {
		s.flight.waiters++
	}
	return s.flight
}

func (r *Reader) leave(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.waiters--
}

// fly makes the call of a slot's flight and brings the answer into the slot.
func (r *Reader) fly(ctx context.Context, k key, s *slot) {
	began := r.o.Now()
	v, err := r.call(ctx, k)
	if err != nil && k.stage == previous && IsMissing(err) {
		v, err = Version{}, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := s.flight
	f.cancel()
	switch {
	case err == nil:
		r.succeed(k, s, v, began)
	case !f.abandoned:
		r.fail(s, err)
	}
	s.flight = nil
	close(f.done)
}

// succeed is under r.mu. Each stage may show that the other is not what it was: the version before is the one that was
// current, and never the one that is.
func (r *Reader) succeed(k key, s *slot, v Version, began time.Time) {
	was := s.entry.Load()
	s.entry.Store(&entry{version: v, fetched: began, forced: was.forced, soft: time.Duration((1 - jitter + 2*jitter*r.o.Random()) * float64(r.o.Soft)),
		outdated: was != s.flight.from && was.version.ID == v.ID}) // outdated while the call was under way, and this is the same answer
	other := r.slot(key{k.id, 1 - k.stage})
	if other == nil {
		return
	}
	o := other.entry.Load()
	replaced := v.ID != "" && o.version.ID == v.ID
	if k.stage == current {
		replaced = v.ID != was.version.ID && o.version.ID != was.version.ID
	}
	if replaced {
		other.entry.Store(o.outdate(time.Time{}))
	}
}

// fail is under r.mu. What was outdated is given from now on as something old is: whoever asks does not wait each time.
func (r *Reader) fail(s *slot, err error) {
	was := s.entry.Load()
	e := *was
	e.failed, e.tried, e.failures = err, r.o.Now(), e.failures+1
	if e.pause = negative; !permanent(err) {
		e.pause = r.backoff.Wait(e.failures)
	}
	if e.outdated && was == s.flight.from {
		e.outdated, e.soft = false, 0
	}
	s.entry.Store(&e)
}

// Join is for the end of an invocation: it waits until no call is in flight, at most 250 ms and not up to the deadline of
// ctx, then ends the calls for which nobody waits. They have not failed then; the next Get begins anew.
func (r *Reader) Join(ctx context.Context) {
	flights := r.flights()
	if len(flights) == 0 {
		return
	}
	patience := join - unwind
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)-delivery)
	}
	if settled(ctx, flights, patience) {
		return
	}
	r.abandon(flights)
	settled(context.WithoutCancel(ctx), flights, unwind)
}

func (r *Reader) flights() (all []*flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.slots {
		for _, s := range *r.slots[i].Load() {
			if s.flight != nil {
				all = append(all, s.flight)
			}
		}
	}
	return all
}

func (r *Reader) abandon(flights []*flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range flights {
		if f.waiters == 0 && !f.ended() {
			f.abandoned = true
			f.cancel()
		}
	}
}

// settled waits for flights to end and tells whether they did.
func settled(ctx context.Context, flights []*flight, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, f := range flights {
		select {
		case <-f.done:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Handler is a function of Lambda. It is lambda.Handler of aws-lambda-go.
type Handler interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// Joined is a handler whose invocations end together with the calls that renew the secrets they found old: nothing is in
// flight when the sandbox is frozen.
func (r *Reader) Joined(h Handler) Handler { return joined{h, r} }

type joined struct {
	Handler
	secrets *Reader
}

// Invoke is the handler's.
func (j joined) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	defer j.secrets.Join(ctx)
	return j.Handler.Invoke(ctx, payload)
}
