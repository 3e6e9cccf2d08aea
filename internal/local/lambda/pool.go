package lambda

import (
	"context"
	"fmt"
)

// acquire reserves a place for one invocation: the most recently used idle sandbox, or nil when the caller is to start
// one. It counts the invocation in r.running. Throttling is at once; lack of places on this machine waits.
func (r *Runtime) acquire(ctx context.Context, f *function) (*sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.closed {
			return nil, ErrClosed
		}
		if err := r.throttled(f); err != nil {
			return nil, err
		}
		if s := f.popIdle(); s != nil {
			r.begin(f)
			return s, nil
		}
		if r.processes < r.cfg.MaxProcesses {
			r.processes++
			r.begin(f)
			return nil, nil
		}
		if victim := r.longestIdle(); victim != nil {
			victim.kill() // its place is freed when it is gone
		}
		if err := r.waitChange(ctx); err != nil {
			return nil, fmt.Errorf("invoke %s: %w", f.Name(), err)
		}
	}
}

func (r *Runtime) begin(f *function) {
	f.busy++
	r.running.Add(1)
}

// throttled applies page "Understanding Lambda function scaling": a reserved limit is the function's own, and what is
// reserved is taken from what the others share.
func (r *Runtime) throttled(f *function) error {
	if f.ReservedConcurrency != nil {
		if f.busy >= *f.ReservedConcurrency {
			return fmt.Errorf("%w: %s has %d reserved (ReservedFunctionConcurrentInvocationLimitExceeded)",
				ErrThrottled, f.Name(), *f.ReservedConcurrency)
		}
		return nil
	}
	shared, busy := r.cfg.Concurrency, 0
	for _, other := range r.functions {
		if other.ReservedConcurrency != nil {
			shared -= *other.ReservedConcurrency
		} else {
			busy += other.busy
		}
	}
	if busy >= shared {
		return fmt.Errorf("%w: the account's %d unreserved are in use (ConcurrentInvocationLimitExceeded)", ErrThrottled, shared)
	}
	return nil
}

func (f *function) popIdle() *sandbox {
	if len(f.idle) == 0 {
		return nil
	}
	s := f.idle[len(f.idle)-1]
	f.idle = f.idle[:len(f.idle)-1]
	return s
}

func (f *function) removeIdle(s *sandbox) {
	for i, other := range f.idle {
		if other == s {
			f.idle = append(f.idle[:i], f.idle[i+1:]...)
			return
		}
	}
}

// longestIdle takes the sandbox of any function that was idle longest out of its pool.
func (r *Runtime) longestIdle() *sandbox {
	var oldest *sandbox
	for _, f := range r.functions {
		if len(f.idle) > 0 && (oldest == nil || f.idle[0].idleSince.Before(oldest.idleSince)) {
			oldest = f.idle[0]
		}
	}
	if oldest != nil {
		oldest.f.removeIdle(oldest)
	}
	return oldest
}

// waitChange waits, with the lock let go, until signal is called or ctx is done.
func (r *Runtime) waitChange(ctx context.Context) error {
	changed := r.changed
	r.mu.Unlock()
	defer r.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Runtime) signal() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// finish ends an invocation; a sandbox that can serve again goes back to its pool.
func (r *Runtime) finish(f *function, reusable *sandbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.busy--
	if reusable != nil && !reusable.gone() {
		reusable.idleSince = r.cfg.Now()
		f.idle = append(f.idle, reusable)
	}
	r.signal()
}

// freePlace gives back the place of a sandbox that is gone or was never started.
func (r *Runtime) freePlace() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes--
	r.signal()
}

// Reap kills the sandboxes that have been idle longer than the configured time. It runs by itself now and then.
func (r *Runtime) Reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.functions {
		for len(f.idle) > 0 && r.cfg.Now().Sub(f.idle[0].idleSince) > r.cfg.IdleTimeout {
			f.idle[0].kill()
			f.idle = f.idle[1:]
		}
	}
}

func (r *Runtime) reapRegularly() {
	for {
		select {
		case <-r.reaper.C:
			r.Reap()
		case <-r.done:
			return
		}
	}
}

// Processes is the number of sandboxes alive, being started or dying.
func (r *Runtime) Processes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.processes
}
