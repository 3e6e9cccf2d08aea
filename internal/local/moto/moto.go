// Package moto runs the store of the local cloud: a moto server as a child process on a free port of 127.0.0.1.
// It uses the interpreter that already has the right moto, else makes a virtual environment from pinned, hashed requirements.
package moto

import (
	"bufio"
	"context"
	_ "embed" // the scripts and requirements that the child needs
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed serve.py
var serveScript string

// startTime is how long a store may take to import itself; a cold disk needs 15 s.
const startTime = 2 * time.Minute

// Options say where and as whom the store runs. Only Account is required.
type Options struct {
	Account  string        // twelve digits: the account that owns everything in the store
	Region   string        // region of the store's own calls; empty means us-east-1
	Dir      string        // holds the virtual environment and moto.log; empty means the user's cache folder, without a log file
	Progress func(string)  // told of each step that takes long; nil tells nobody
	Log      io.Writer     // what the store prints, instead of moto.log
	Python   string        // interpreter to use; empty means python3 on PATH
	Timeout  time.Duration // time to become ready; zero means two minutes
}

// Server is a running store. It dies with this process, however this process ends.
type Server struct {
	URL string // http://127.0.0.1:PORT

	cmd   *exec.Cmd
	stdin io.Closer
	log   io.Closer
	done  chan struct{}
	once  sync.Once
}

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

// Start finds or makes an interpreter with moto, starts the store empty and returns once it answers.
// Nothing is left running when it returns an error. The context bounds starting only; end the store with Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	if !accountPattern.MatchString(o.Account) {
		return nil, fmt.Errorf("moto: account %q: an AWS account id has twelve digits", o.Account)
	}
	o = o.withDefaults()
	python, err := interpreter(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("moto: %w", err)
	}
	s, err := launch(ctx, python, o)
	if err != nil {
		return nil, fmt.Errorf("moto: %w", err)
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Timeout == 0 {
		o.Timeout = startTime
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Python == "" {
		o.Python = "python3"
	}
	return o
}

// Done is closed when the store has ended, asked or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Close kills the store with everything it started and waits until it is gone. It may be called more than once.
func (s *Server) Close() error {
	s.once.Do(func() {
		// The group may be gone already, which is what is wanted.
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		_ = s.stdin.Close()
	})
	<-s.done
	return nil
}

// launch starts the store and waits for the port that it prints.
func launch(ctx context.Context, python string, o Options) (*Server, error) {
	log, err := openLog(o)
	if err != nil {
		return nil, err
	}
	last := &tail{next: log}
	cmd := exec.Command(python, "-c", serveScript)
	cmd.Env = childEnv(os.Environ(), o)
	cmd.Stderr = last
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start %s: %w", python, err), log.Close())
	}
	s := &Server{cmd: cmd, stdin: stdin, log: log, done: make(chan struct{})}
	port := make(chan string, 1)
	go s.watch(stdout, last, port)
	return s.ready(ctx, port, last, o.Timeout)
}

// watch reads the port, keeps the rest of the output in the log, and reaps the child.
func (s *Server) watch(stdout io.Reader, log io.Writer, port chan<- string) {
	defer close(s.done)
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if err == nil {
		port <- strings.TrimSpace(line)
	}
	close(port)
	// A store that was killed ends its output and its wait with errors that mean no more than that.
	_, _ = io.Copy(log, lines)
	_ = s.cmd.Wait()
	_ = s.log.Close()
}

func (s *Server) ready(ctx context.Context, port <-chan string, last *tail, limit time.Duration) (*Server, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var problem error
	select {
	case p, told := <-port:
		n, err := strconv.ParseUint(p, 10, 16)
		if told && err == nil && n > 0 {
			s.URL = "http://127.0.0.1:" + p
			return s, nil
		}
		problem = errors.New("the store ended before it was ready")
	case <-timer.C:
		problem = fmt.Errorf("the store was not ready within %v", limit)
	case <-ctx.Done():
		problem = fmt.Errorf("the store was not ready: %w", ctx.Err())
	}
	if err := s.Close(); err != nil {
		problem = errors.Join(problem, err)
	}
	return nil, fmt.Errorf("%w; it printed last:\n%s", problem, last)
}

// childEnv gives the store its account and no way to reach a real one.
func childEnv(environ []string, o Options) []string {
	var env []string
	for _, e := range environ {
		if strings.HasPrefix(e, "AWS_") || strings.HasPrefix(e, "MOTO_") {
			continue
		}
		env = append(env, e)
	}
	return append(env,
		"MOTO_ACCOUNT_ID="+o.Account, "AWS_DEFAULT_REGION="+o.Region, "PYTHONUNBUFFERED=1",
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_EC2_METADATA_DISABLED=true")
}

func openLog(o Options) (io.WriteCloser, error) {
	switch {
	case o.Log != nil:
		return nopCloser{o.Log}, nil
	case o.Dir == "":
		return nopCloser{io.Discard}, nil
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("log folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(o.Dir, "moto.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return f, nil
}

type nopCloser struct{ io.Writer }

// Close leaves the writer open: it belongs to the caller.
func (nopCloser) Close() error { return nil }

// tailSize is how much of the last output an error repeats.
const tailSize = 2000

// tail passes output on and remembers the end of it.
type tail struct {
	mu   sync.Mutex
	next io.Writer
	last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailSize; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	n, err := t.next.Write(p)
	if err != nil {
		return n, fmt.Errorf("log: %w", err)
	}
	return n, nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.last))
}
