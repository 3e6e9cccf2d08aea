package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// invocation is one request on its way through a sandbox.
type invocation struct {
	id, functionARN, trace string
	payload                []byte
	deadline               time.Time
	answered               chan Result // the runtime's response or error; buffered
	delivered              chan Result // what Invoke waits for; buffered
}

func newInvocation(ctx context.Context, functionARN string, payload []byte) *invocation {
	trace, ok := ctx.Value(traceKey{}).(string)
	if !ok {
		trace = fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", time.Now().Unix(), randomHex(12), randomHex(8))
	}
	return &invocation{
		id: uuid(), functionARN: functionARN, trace: trace, payload: payload,
		answered: make(chan Result, 1), delivered: make(chan Result, 1),
	}
}

// failure is the error object that a caller of a failed function sees.
func failure(errorType, format string, args ...any) Result {
	payload, _ := json.Marshal(struct { // two strings always marshal
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, fmt.Sprintf(format, args...)})
	return Result{Payload: payload, FunctionError: functionErrorUnhandled}
}

// run carries one invocation through s, or through a new sandbox when s is nil or died while it was idle.
func (r *Runtime) run(f *function, s *sandbox, inv *invocation) {
	inv.deadline = time.Now().Add(f.Timeout)
	if s != nil && s.accepts(inv) {
		r.finish(f, r.serve(f, s, inv, false))
		return
	}
	if s != nil { // it died; its place is or will be freed, so take one anew
		r.mu.Lock()
		r.processes++
		r.mu.Unlock()
	}
	s, failed := r.coldStart(f, inv)
	if s == nil {
		failed.Cold = true
		inv.delivered <- failed
		r.finish(f, nil)
		return
	}
	r.finish(f, r.serve(f, s, inv, true))
}

// coldStart starts a sandbox and hands it the invocation. A failed init is tried once more under the function's own
// timeout, and that second failure is what the caller sees (page "Understanding the Lambda execution environment
// lifecycle", failures during the Init phase).
func (r *Runtime) coldStart(f *function, inv *invocation) (*sandbox, Result) {
	s, failed := r.start(f, inv, r.cfg.initLimit)
	if s == nil && failed.retry && r.takePlace() {
		s, failed = r.start(f, inv, f.Timeout)
	}
	if s == nil {
		return nil, failed.Result
	}
	inv.deadline = time.Now().Add(f.Timeout)
	if !s.accepts(inv) {
		return nil, exitFailure(inv, s)
	}
	return s, Result{}
}

func (r *Runtime) takePlace() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.processes++
	return true
}

// serve waits for the answer of an accepted invocation, then for the runtime to ask for the next one, which ends the
// invocation. It returns the sandbox when it can be used again.
func (r *Runtime) serve(f *function, s *sandbox, inv *invocation, cold bool) *sandbox {
	started := time.Now()
	deadline := time.NewTimer(time.Until(inv.deadline))
	defer deadline.Stop()
	var result Result
	select {
	case result = <-inv.answered:
	case <-s.exited:
		result = lastAnswer(inv, exitFailure(inv, s))
	case <-deadline.C:
		r.logPlatform(f, "%s Task timed out after %.2f seconds", inv.id, f.Timeout.Seconds())
		result = failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", inv.id, f.Timeout.Seconds())
		s.kill()
	}
	result.Cold, result.Duration = cold, time.Since(started)
	return s.settle(inv, result, deadline)
}

// lastAnswer prefers an answer that was given just before the process ended.
func lastAnswer(inv *invocation, otherwise Result) Result {
	select {
	case result := <-inv.answered:
		return result
	default:
		return otherwise
	}
}

// settle delivers the result once the runtime asks for more work, so that the caller's next request finds it warm, but
// at most settleTime later: a function may work on after its answer, until its deadline.
func (s *sandbox) settle(inv *invocation, result Result, deadline *time.Timer) *sandbox {
	brief := time.NewTimer(settleTime)
	defer brief.Stop()
	for {
		select {
		case <-s.polled:
			inv.deliver(result)
			return s
		case <-s.exited:
			inv.deliver(result)
			return nil
		case <-brief.C:
			inv.deliver(result)
		case <-deadline.C:
			s.kill()
		}
	}
}

func (inv *invocation) deliver(result Result) {
	select {
	case inv.delivered <- result:
	default: // already delivered
	}
}

func exitFailure(inv *invocation, s *sandbox) Result {
	return failure("Runtime.ExitError", "RequestId: %s Error: Runtime exited %s", inv.id, s.exitReason())
}

func (r *Runtime) logPlatform(f *function, format string, args ...any) {
	line := r.cfg.Now().UTC().Format("2006-01-02T15:04:05.000Z") + " " + fmt.Sprintf(format, args...)
	r.cfg.Logs(f.Name(), line)
}
