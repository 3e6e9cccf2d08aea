// Package lambda runs Lambda functions as real processes against a local Lambda Runtime API.
//
// What runs is the deployed zip's bootstrap, in the environment that Lambda would give it and with the credentials of its
// role; nothing of the host's environment leaks in. Cold starts, one request at a time per sandbox, concurrency limits,
// timeouts and the errors callers see follow the AWS Lambda Developer Guide; pages are named where a rule is used.
//
// Known differences: memory is not limited (a function sees its memory size, not a smaller machine), /tmp is the
// host's (TMPDIR is private and removed with the sandbox), layers, extensions, images and VPCs do not exist, and a
// version is the deployed one only.
package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Limits of page "Lambda quotas"; the response limit is the byte count in Lambda's own error message.
const (
	maxRequestBytes         = 6 << 20
	maxResponseBytes        = 6_291_556
	maxStreamedBytes        = 200 << 20
	defaultConcurrency      = 1000
	defaultMaxProcesses     = 32
	defaultIdleTimeout      = 10 * time.Minute
	initLimit               = 10 * time.Second // page "Understanding the Lambda execution environment lifecycle"
	settleTime              = 25 * time.Millisecond
	functionErrorUnhandled  = "Unhandled"
	defaultTimeout          = 3 * time.Second
	defaultMemoryMB         = 128
	runtimeAPIVersion       = "/2018-06-01/runtime"
	reservedConcurrencyNone = -1
)

// Errors of Invoke that the caller's AWS service would see as an API error, not as a failed function.
var (
	// ErrNotFound says that no function, version or alias has that ARN (ResourceNotFoundException).
	ErrNotFound = errors.New("function not found")
	// ErrThrottled says that the function's or the account's concurrency is used up (TooManyRequestsException).
	ErrThrottled = errors.New("rate exceeded")
	// ErrTooLarge says that the request is larger than 6 MB (RequestTooLargeException).
	ErrTooLarge = errors.New("request payload is larger than 6 MB")
	// ErrClosed says that the runtime is closed or its context is done.
	ErrClosed = errors.New("lambda runtime is closed")
)

// Function is one deployed function.
type Function struct {
	// ARN is unqualified: arn:aws:lambda:region:account:function:name.
	ARN string
	// Version is the published version that aliases point to; "" means $LATEST.
	Version string
	// Aliases may qualify the ARN besides the version and $LATEST.
	Aliases []string
	// Code is the path of a zip, or of a directory, with an executable "bootstrap" at its top.
	Code string
	// Runtime is provided.al2023 or provided.al2; "" means the former.
	Runtime string
	Handler string
	// Environment is the function's own variables; a reserved name is refused.
	Environment map[string]string
	// MemoryMB is what the function is told; 0 means 128.
	MemoryMB int
	// Timeout is for one invocation after init; 0 means 3 s.
	Timeout time.Duration
	RoleARN string
	// LogGroup is what the function is told; "" means /aws/lambda/<name>.
	LogGroup string
	// ReservedConcurrency limits (and reserves) this function's sandboxes; nil means the account's shared rest.
	ReservedConcurrency *int
}

// Name is the last part of the ARN.
func (f Function) Name() string {
	return f.ARN[strings.LastIndexByte(f.ARN, ':')+1:]
}

// Config is what a Runtime needs.
type Config struct {
	Functions []Function
	// Credentials gives temporary credentials of a role, asked once per sandbox. Required.
	Credentials func(ctx context.Context, roleARN string) (id, secret, token string, err error)
	// Endpoint becomes AWS_ENDPOINT_URL; "" leaves it out.
	Endpoint string
	// Dir is where code is unpacked, in a directory of its own that Close removes; "" means the system's.
	Dir string
	// Concurrency is the account's limit; 0 means 1000.
	Concurrency int
	// MaxProcesses bounds this machine's sandboxes; more requests wait for one, after idle ones gave way. 0 means 32.
	MaxProcesses int
	// IdleTimeout is how long an idle sandbox is kept; 0 means 10 minutes.
	IdleTimeout time.Duration
	// Logs receives each line a function writes to stdout or stderr, and the platform's own lines, one call at a
	// time per sandbox. nil drops them.
	Logs func(function, line string)
	// Now dates idle sandboxes and log streams; nil means time.Now.
	Now func() time.Time

	initLimit time.Duration // 10 s but in tests
}

// Result is what a function answered.
type Result struct {
	// Payload is the response, or the error object {errorType, errorMessage, …} when FunctionError is set.
	Payload []byte
	// FunctionError is "" or "Unhandled", as in Lambda's X-Amz-Function-Error header.
	FunctionError string
	// Cold says that a new sandbox was started for it.
	Cold bool
	// Duration is the time the handler took, init left out.
	Duration time.Duration
}

// Runtime runs functions. It is safe for concurrent use.
type Runtime struct {
	cfg       Config
	dir       string
	functions map[string]*function
	starter   *starter
	stopWatch func() bool

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when a sandbox frees a place
	live      map[*sandbox]struct{}
	processes int // places taken, running or being started
	closed    bool
	running   sync.WaitGroup // invocations and sandboxes
	reaper    *time.Ticker
	done      chan struct{}
}

type function struct {
	Function
	root string
	idle []*sandbox // longest idle first
	busy int
}

// New checks every function, reporting all problems at once, and unpacks each code once per content. When ctx is done
// all processes are killed and Invoke answers ErrClosed; Close is needed all the same.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	cfg = withDefaults(cfg)
	if cfg.Credentials == nil {
		return nil, errors.New("lambda: Config.Credentials is required")
	}
	dir, err := os.MkdirTemp(cfg.Dir, "lambda-")
	if err != nil {
		return nil, fmt.Errorf("lambda: a directory for code: %w", err)
	}
	functions, err := prepare(cfg.Functions, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r := &Runtime{
		cfg: cfg, dir: dir, functions: functions, starter: newStarter(),
		changed: make(chan struct{}), live: map[*sandbox]struct{}{},
		reaper: time.NewTicker(cfg.IdleTimeout / 2), done: make(chan struct{}),
	}
	r.stopWatch = context.AfterFunc(ctx, r.stop)
	go r.reapRegularly()
	return r, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.MaxProcesses == 0 {
		cfg.MaxProcesses = defaultMaxProcesses
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdleTimeout
	}
	if cfg.initLimit == 0 {
		cfg.initLimit = initLimit
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logs == nil {
		cfg.Logs = func(string, string) {}
	}
	return cfg
}

// prepare checks the functions and unpacks their code.
func prepare(list []Function, dir string) (map[string]*function, error) {
	functions := make(map[string]*function, len(list))
	var problems []error
	for _, f := range list {
		f = functionDefaults(f)
		err := check(f)
		if functions[f.ARN] != nil {
			err = errors.Join(err, errors.New("declared twice"))
		}
		root := ""
		if err == nil {
			root, err = unpack(f.Code, dir)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("lambda: function %q: %w", f.ARN, err))
			continue
		}
		functions[f.ARN] = &function{Function: f, root: root}
	}
	return functions, errors.Join(problems...)
}

func functionDefaults(f Function) Function {
	if f.Version == "" {
		f.Version = "$LATEST"
	}
	if f.MemoryMB == 0 {
		f.MemoryMB = defaultMemoryMB
	}
	if f.Timeout == 0 {
		f.Timeout = defaultTimeout
	}
	if f.LogGroup == "" {
		f.LogGroup = "/aws/lambda/" + f.Name()
	}
	return f
}

func check(f Function) error {
	var problems []error
	if parts := strings.Split(f.ARN, ":"); len(parts) != 7 || parts[2] != "lambda" || parts[5] != "function" || parts[6] == "" {
		problems = append(problems, errors.New("its ARN is not arn:aws:lambda:region:account:function:name"))
	}
	switch f.Runtime {
	case "", "provided.al2023", "provided.al2":
	default:
		problems = append(problems, fmt.Errorf("runtime %q is not run locally (provided.al2023 and provided.al2 are)", f.Runtime))
	}
	for _, name := range reservedNames(f.Environment) {
		problems = append(problems, fmt.Errorf("environment variable %s is reserved by Lambda; use another name", name))
	}
	return errors.Join(problems...)
}

type traceKey struct{}

// WithTrace gives the invocation the caller's X-Amzn-Trace-Id header instead of a fresh one.
func WithTrace(ctx context.Context, header string) context.Context {
	return context.WithValue(ctx, traceKey{}, header)
}

// Invoke runs the function of that ARN, qualified by version or alias or not, and returns its answer. An error of the
// function is in Result; the error value is one of this package's (with errors.Is) or ctx's. When ctx ends first the
// function runs on until it answers or times out, as behind an API gateway that gave up.
func (r *Runtime) Invoke(ctx context.Context, functionARN string, payload []byte) (Result, error) {
	f, err := r.find(functionARN)
	if err != nil {
		return Result{}, err
	}
	if len(payload) > maxRequestBytes {
		return Result{}, fmt.Errorf("%w: %d bytes for %s", ErrTooLarge, len(payload), f.Name())
	}
	s, err := r.acquire(ctx, f)
	if err != nil {
		return Result{}, err
	}
	inv := newInvocation(ctx, functionARN, payload)
	go func() {
		defer r.running.Done()
		r.run(f, s, inv)
	}()
	select {
	case result := <-inv.delivered:
		return result, nil
	case <-ctx.Done():
		return Result{}, fmt.Errorf("invoke %s: %w", f.Name(), ctx.Err())
	}
}

func (r *Runtime) find(functionARN string) (*function, error) {
	parts := strings.SplitN(functionARN, ":", 8)
	f := r.functions[strings.Join(parts[:min(len(parts), 7)], ":")]
	if f == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, functionARN)
	}
	if len(parts) < 8 || parts[7] == "$LATEST" || parts[7] == f.Version {
		return f, nil
	}
	for _, alias := range f.Aliases {
		if parts[7] == alias {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%w: %s has no version or alias %q", ErrNotFound, f.ARN, parts[7])
}

// Close kills every process, waits for all of them and removes the unpacked code. It may be called more than once.
func (r *Runtime) Close() error {
	r.stopWatch()
	r.stop()
	r.running.Wait()
	r.starter.close()
	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	return nil
}

// stop refuses new work and kills all processes.
func (r *Runtime) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.reaper.Stop()
		close(r.done)
		r.signal()
	}
	for s := range r.live {
		s.kill()
	}
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // crypto/rand.Read never fails since Go 1.24
	return hex.EncodeToString(b)
}

// uuid is a random UUID (RFC 9562 version 4), the form of request ids.
func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, as above
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
