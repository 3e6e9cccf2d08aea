package lambda

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// sandbox is one process with a Runtime API of its own.
type sandbox struct {
	f         *function
	cmd       *exec.Cmd
	server    *http.Server
	tmp       string
	idleSince time.Time // guarded by Runtime.mu

	handover  chan *invocation
	polled    chan struct{} // the runtime asked for work
	initError chan Result   // buffered
	exited    chan struct{}
	exitErr   error // set before exited is closed

	mu       sync.Mutex
	current  *invocation // handed over and not followed by a poll yet
	answered bool
}

var errEntrypoint = errors.New("bootstrap could not be started (is it executable, and built for this machine?)")

// startFailure tells whether a second try can help.
type startFailure struct {
	Result
	retry bool
}

// start runs a process and waits until it asks for work. The caller has taken a place for it, which is freed when the
// process is gone. On failure no process is left.
func (r *Runtime) start(f *function, inv *invocation, limit time.Duration) (*sandbox, startFailure) {
	s, err := r.spawn(f)
	if err != nil {
		r.freePlace()
		r.logPlatform(f, "%s Error: %v", inv.id, err)
		errorType := "Sandbox.Failure"
		if errors.Is(err, errEntrypoint) {
			errorType = "Runtime.InvalidEntrypoint"
		}
		return nil, startFailure{Result: failure(errorType, "RequestId: %s Error: %v", inv.id, err)}
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var failed Result
	select {
	case <-s.polled:
		return s, startFailure{}
	case failed = <-s.initError:
	case <-s.exited:
		failed = exitFailure(inv, s)
	case <-timer.C:
		failed = failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", inv.id, limit.Seconds())
	}
	s.kill()
	<-s.exited
	select {
	case failed = <-s.initError: // it said why before it ended
	default:
	}
	r.logPlatform(f, "INIT_REPORT Status: error %s", failed.Payload)
	return nil, startFailure{Result: failed, retry: true}
}

// spawn starts the process and its Runtime API, and registers it until it is gone.
func (r *Runtime) spawn(f *function) (*sandbox, error) {
	s := &sandbox{
		f: f, handover: make(chan *invocation), polled: make(chan struct{}),
		initError: make(chan Result, 1), exited: make(chan struct{}),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("runtime API: %w", err)
	}
	s.server = &http.Server{Handler: s.api(), ReadHeaderTimeout: initLimit}
	if err := r.exec(s, listener.Addr().String()); err != nil {
		return nil, errors.Join(err, listener.Close(), os.RemoveAll(s.tmp))
	}
	r.running.Add(2)
	go func() {
		defer r.running.Done()
		_ = s.server.Serve(listener) // ends with http.ErrServerClosed when the process is gone
	}()
	go func() {
		defer r.running.Done()
		r.watch(s)
	}()
	return s, nil
}

// exec starts the bootstrap in a process group of its own.
func (r *Runtime) exec(s *sandbox, api string) error {
	tmp, err := os.MkdirTemp(r.dir, "tmp-")
	if err != nil {
		return fmt.Errorf("a private temporary directory: %w", err)
	}
	s.tmp = tmp
	env, err := r.environment(context.Background(), s.f, api, tmp)
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.f.root, "bootstrap"))
	cmd.Dir, cmd.Env = s.f.root, env
	cmd.SysProcAttr = processAttributes()
	logs := &lineWriter{emit: func(line string) { r.cfg.Logs(s.f.Name(), line) }}
	cmd.Stdout, cmd.Stderr = logs, logs
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	s.cmd = cmd

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if err := r.starter.start(cmd); err != nil {
		return fmt.Errorf("%w: %w", errEntrypoint, err)
	}
	r.live[s] = struct{}{}
	return nil
}

// watch waits for the process to end and gives everything back.
func (r *Runtime) watch(s *sandbox) {
	s.exitErr = s.cmd.Wait()
	killGroup(s.cmd) // what it started
	s.cmd.Stdout.(*lineWriter).flush()
	_ = s.server.Close() // cuts the connections of a dead process
	_ = os.RemoveAll(s.tmp)

	r.mu.Lock()
	defer r.mu.Unlock()
	close(s.exited)
	delete(r.live, s)
	s.f.removeIdle(s)
	r.processes--
	r.signal()
}

// kill ends the process if it has not ended.
func (s *sandbox) kill() {
	if !s.gone() {
		killGroup(s.cmd)
	}
}

func (s *sandbox) gone() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// accepts hands the invocation to the waiting runtime; false means that the process is gone.
func (s *sandbox) accepts(inv *invocation) bool {
	select {
	case s.handover <- inv:
		return true
	case <-s.exited:
		return false
	}
}

// exitReason is Lambda's wording for how the process ended; call it when exited is closed.
func (s *sandbox) exitReason() string {
	if s.exitErr == nil {
		return "without providing a reason"
	}
	return "with error: " + s.exitErr.Error()
}
