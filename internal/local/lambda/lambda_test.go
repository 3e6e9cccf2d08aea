package lambda

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	runtimeclient "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be the function too: in a sandbox it serves its handler and never runs tests.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LAMBDA_TEST_PARENT"); dir != "" {
		parent(dir)
	}
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		os.Exit(m.Run())
	}
	switch os.Getenv("_HANDLER") {
	case "raw":
		rawFunction()
	case "no-init":
		fmt.Println("init begins")
		time.Sleep(time.Hour) // until the sandbox is killed
	case "init-exit":
		fmt.Println("init fails")
		os.Exit(3)
	case "init-error":
		report("/init/error", `{"errorType":"Function.Config","errorMessage":"missing TABLE"}`)
		os.Exit(1)
	default:
		runtimeclient.Start(handle)
	}
}

type order struct {
	Do   string `json:"do"`
	Path string `json:"path,omitempty"`
	Size int    `json:"size,omitempty"`
}

// handle does what the test orders.
func handle(ctx context.Context, o order) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	switch o.Do {
	case "context":
		return map[string]any{"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "pid": os.Getpid(),
			"left": time.Until(deadline).Milliseconds(), "trace": os.Getenv("_X_AMZN_TRACE_ID")}, nil
	case "env":
		return os.Environ(), nil
	case "error":
		return nil, errors.New("deliberate")
	case "panic":
		panic("deliberate")
	case "exit":
		os.Exit(o.Size)
	case "hang":
		signal(o.Path)
		select {}
	case "wait":
		signal(o.Path)
		for !exists(o.Path + ".go") {
			time.Sleep(time.Millisecond)
		}
	case "big":
		return strings.Repeat("x", o.Size), nil
	case "log":
		fmt.Print("first\nsecond\r\nno newline at the end")
	case "child":
		child := exec.Command("/bin/sleep", "600")
		if err := child.Start(); err != nil {
			return nil, err
		}
		return child.Process.Pid, nil
	}
	return o.Do, nil
}

// rawFunction speaks the Runtime API itself, to do what a well-behaved client never does.
func rawFunction() {
	for {
		id, body := poll("/invocation/next")
		var o order
		_ = json.Unmarshal(body, &o)
		switch o.Do {
		case "poll twice":
			status, _ := call(http.MethodGet, "/invocation/next", "")
			report("/invocation/"+id+"/response", fmt.Sprint(status))
		case "wrong id":
			status, _ := call(http.MethodPost, "/invocation/none/response", "1")
			report("/invocation/"+id+"/response", fmt.Sprint(status))
		case "answer twice":
			report("/invocation/"+id+"/response", `"first"`)
			status, _ := call(http.MethodPost, "/invocation/"+id+"/response", `"second"`)
			_ = os.WriteFile(o.Path, []byte(fmt.Sprint(status)), 0o600)
		case "linger":
			report("/invocation/"+id+"/response", `"done"`)
			select {}
		case "die after answer":
			report("/invocation/"+id+"/response", `"done"`)
			os.Exit(0)
		case "broken stream":
			brokenStream(id)
		}
	}
}

func base() string { return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime" }

func call(method, path, body string) (int, []byte) {
	req, _ := http.NewRequest(method, base()+path, strings.NewReader(body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		os.Exit(9)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, data
}

func poll(path string) (string, []byte) {
	resp, err := http.Get(base() + path)
	if err != nil {
		os.Exit(9)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.Header.Get("Lambda-Runtime-Aws-Request-Id"), data
}

func report(path, body string) { call(http.MethodPost, path, body) }

func brokenStream(id string) {
	req, _ := http.NewRequest(http.MethodPost, base()+"/invocation/"+id+"/response", io.MultiReader(strings.NewReader("partial")))
	req.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	req.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": {"Stream.Broken"},
		"Lambda-Runtime-Function-Error-Body": {"eyJlcnJvclR5cGUiOiJTdHJlYW0uQnJva2VuIn0="}}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

func signal(path string) { _ = os.WriteFile(path, nil, 0o600) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

const functionARN = "arn:aws:lambda:eu-west-1:123456789012:function:echo"

// ownCode is a directory whose bootstrap is this test binary.
func ownCode(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(self, filepath.Join(dir, "bootstrap")))
	return dir
}

type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) add(function, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, function+": "+line)
}

func (l *logbook) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

func credentials(_ context.Context, role string) (string, string, string, error) {
	return "ASIA" + role, "local-secret", "local-token", nil
}

// start gives a runtime with one function, changed by edit.
func start(t *testing.T, edit func(*Config, *Function)) (*Runtime, *logbook) {
	t.Helper()
	logs := &logbook{}
	f := Function{ARN: functionARN, Version: "7", Aliases: []string{"live"}, Code: ownCode(t), RoleARN: "role", Timeout: time.Minute}
	cfg := Config{Credentials: credentials, Dir: t.TempDir(), Logs: logs.add}
	if edit != nil {
		edit(&cfg, &f)
	}
	cfg.Functions = append(cfg.Functions, f)
	r, err := New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, r.Close())
		require.Zero(t, r.Processes(), "a process was left behind")
		left, err := os.ReadDir(cfg.Dir)
		require.NoError(t, err)
		require.Empty(t, left, "files were left behind")
	})
	return r, logs
}

func invoke(t *testing.T, r *Runtime, o order) Result {
	t.Helper()
	payload, err := json.Marshal(o)
	require.NoError(t, err)
	result, err := r.Invoke(t.Context(), functionARN+":live", payload)
	require.NoError(t, err)
	return result
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// processState tells a zombie, which is dead, from a living process.
func dead(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return !alive(pid) || err != nil || strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, time.Millisecond, what)
}

func TestInvokeReusesItsSandbox(t *testing.T) {
	t.Parallel()
	r, _ := start(t, nil)
	type answer struct {
		ID, ARN, Trace string
		PID            int
		Left           int64
	}
	ask := func(arn string) (a answer, result Result) {
		result, err := r.Invoke(WithTrace(t.Context(), "Root=1-a-b;Parent=c;Sampled=1"), arn, []byte(`{"do":"context"}`))
		require.NoError(t, err)
		require.Empty(t, result.FunctionError)
		require.NoError(t, json.Unmarshal(result.Payload, &a))
		return a, result
	}
	first, result := ask(functionARN + ":live")
	require.True(t, result.Cold)
	require.Equal(t, functionARN+":live", first.ARN, "the ARN as it was invoked")
	require.Equal(t, "Root=1-a-b;Parent=c;Sampled=1", first.Trace)
	require.Greater(t, first.Left, int64(0))
	require.LessOrEqual(t, first.Left, int64(60_000))
	require.Positive(t, result.Duration)

	for _, qualifier := range []string{"", ":7", ":$LATEST", ":live"} {
		again, result := ask(functionARN + qualifier)
		require.False(t, result.Cold, qualifier)
		require.Equal(t, first.PID, again.PID)
		require.NotEqual(t, first.ID, again.ID)
		require.Equal(t, functionARN+qualifier, again.ARN)
	}
	require.Equal(t, 1, r.Processes())
}

func TestEnvironmentIsLambdasAndNothingElse(t *testing.T) {
	t.Parallel()
	require.NotEmpty(t, os.Environ(), "there is an environment that could leak")
	r, _ := start(t, func(cfg *Config, f *Function) {
		cfg.Endpoint = "http://127.0.0.1:4566"
		cfg.Now = func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }
		f.Handler, f.MemoryMB = "bootstrap", 256
		f.Environment = map[string]string{"TABLE": "users", "TZ": "Europe/Paris"}
	})
	var lines []string
	require.NoError(t, json.Unmarshal(invoke(t, r, order{Do: "env"}).Payload, &lines))
	env := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	require.True(t, strings.HasPrefix(env["AWS_LAMBDA_RUNTIME_API"], "127.0.0.1:"), env["AWS_LAMBDA_RUNTIME_API"])
	require.Regexp(t, `^2026/03/04/\[7\][0-9a-f]{32}$`, env["AWS_LAMBDA_LOG_STREAM_NAME"])
	require.DirExists(t, env["TMPDIR"])
	require.Equal(t, env["LAMBDA_TASK_ROOT"], env["LAMBDA_RUNTIME_DIR"])
	for _, varying := range []string{"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "TMPDIR", "LAMBDA_TASK_ROOT",
		"LAMBDA_RUNTIME_DIR", "_X_AMZN_TRACE_ID"} {
		require.Contains(t, env, varying)
		delete(env, varying)
	}
	require.Equal(t, map[string]string{
		"TABLE": "users", "TZ": "Europe/Paris", "LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"_HANDLER": "bootstrap", "AWS_LAMBDA_FUNCTION_NAME": "echo", "AWS_LAMBDA_FUNCTION_VERSION": "7",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/echo", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
		"AWS_ACCESS_KEY_ID": "ASIArole", "AWS_SECRET_ACCESS_KEY": "local-secret", "AWS_SESSION_TOKEN": "local-token",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
	}, env)
}

func TestFunctionFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, wantType, wantMessage string
		order                       order
		nextIsCold                  bool
	}{
		{"handler error", "errorString", "deliberate", order{Do: "error"}, false},
		{"panic", "string", "deliberate", order{Do: "panic"}, true},
		{"exit with a code", "Runtime.ExitError", "Runtime exited with error: exit status 4", order{Do: "exit", Size: 4}, true},
		{"exit with zero", "Runtime.ExitError", "Runtime exited without providing a reason", order{Do: "exit"}, true},
		{"response too large", "Function.ResponseSizeTooLarge", "6291556 bytes", order{Do: "big", Size: 6_291_556}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, _ := start(t, nil)
			result := invoke(t, r, test.order)
			require.Equal(t, "Unhandled", result.FunctionError)
			var got struct{ ErrorType, ErrorMessage string }
			require.NoError(t, json.Unmarshal(result.Payload, &got))
			require.Equal(t, test.wantType, got.ErrorType)
			require.Contains(t, got.ErrorMessage, test.wantMessage)

			next := invoke(t, r, order{Do: "ok"})
			require.Equal(t, `"ok"`, string(next.Payload))
			if test.nextIsCold {
				require.True(t, next.Cold)
				return
			}
			eventually(t, "its sandbox serves again", func() bool { return !invoke(t, r, order{Do: "ok"}).Cold })
		})
	}
}

func TestTimeoutKillsTheSandbox(t *testing.T) {
	t.Parallel()
	r, logs := start(t, func(_ *Config, f *Function) { f.Timeout = 300 * time.Millisecond })
	for range 2 {
		result := invoke(t, r, order{Do: "hang", Path: filepath.Join(t.TempDir(), "s")})
		require.True(t, result.Cold, "after a timeout the next call is a cold start")
		require.Equal(t, "Unhandled", result.FunctionError)
		require.Contains(t, string(result.Payload), `"errorType":"Sandbox.Timedout"`)
		require.Contains(t, string(result.Payload), "Task timed out after 0.30 seconds")
		require.Greater(t, result.Duration, 250*time.Millisecond) // the duration begins a little after the deadline is set
		eventually(t, "its place is free", func() bool { return r.Processes() == 0 })
	}
	require.Equal(t, 2, strings.Count(strings.Join(logs.all(), "\n"), "Task timed out after 0.30 seconds"))
}

func TestLargestResponsePasses(t *testing.T) {
	t.Parallel()
	r, _ := start(t, nil)
	result := invoke(t, r, order{Do: "big", Size: 6_291_556 - len(`""`)})
	require.Empty(t, result.FunctionError)
	require.Len(t, result.Payload, 6_291_556)
}

func TestInitFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler, wantType, wantMessage, wantLog string
		tries                                   int
	}{
		"process exits":          {"init-exit", "Runtime.ExitError", "exit status 3", "init fails", 2},
		"runtime reports it":     {"init-error", "Function.Config", "missing TABLE", "INIT_REPORT Status: error", 2},
		"slower than the limits": {"no-init", "Sandbox.Timedout", "Task timed out after 0.30 seconds", "init begins", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, logs := start(t, func(cfg *Config, f *Function) {
				f.Handler, f.Timeout = test.handler, 300*time.Millisecond
				cfg.initLimit = 300 * time.Millisecond
			})
			result := invoke(t, r, order{})
			require.True(t, result.Cold)
			require.Equal(t, "Unhandled", result.FunctionError)
			require.Contains(t, string(result.Payload), test.wantType)
			require.Contains(t, string(result.Payload), test.wantMessage)
			require.Equal(t, test.tries, strings.Count(strings.Join(logs.all(), "\n"), test.wantLog), "init is tried again once: %q", logs.all())
			require.Zero(t, r.Processes())
		})
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	notExecutable, notBinary := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(notExecutable, "bootstrap"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(notBinary, "bootstrap"), []byte("not an executable format"), 0o700))
	for name, test := range map[string]struct {
		edit func(*Config, *Function)
		want string
	}{
		"not executable":          {func(_ *Config, f *Function) { f.Code = notExecutable }, "Runtime.InvalidEntrypoint"},
		"for another machine":     {func(_ *Config, f *Function) { f.Code = notBinary }, "built for this machine"},
		"no credentials for role": {func(cfg *Config, _ *Function) { cfg.Credentials = noCredentials }, "Sandbox.Failure"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := start(t, test.edit)
			result := invoke(t, r, order{})
			require.Equal(t, "Unhandled", result.FunctionError)
			require.Contains(t, string(result.Payload), test.want)
			require.Zero(t, r.Processes())
		})
	}
}

func noCredentials(context.Context, string) (string, string, string, error) {
	return "", "", "", errors.New("no such role")
}

func TestRuntimeAPIMisuse(t *testing.T) {
	t.Parallel()
	r, _ := start(t, func(_ *Config, f *Function) { f.Handler, f.Timeout = "raw", time.Second })
	path := filepath.Join(t.TempDir(), "status")
	for _, test := range []struct {
		name, do, want string
		functionError  bool
	}{
		{"asks for work before answering", "poll twice", "403", false},
		{"answers an unknown invocation", "wrong id", "400", false},
		{"answers twice", "answer twice", `"first"`, false},
		{"stream ends with an error", "broken stream", `{"errorType":"Stream.Broken"}`, true},
		{"works on after its answer", "linger", `"done"`, false},
		{"ends after its answer", "die after answer", `"done"`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			result := invoke(t, r, order{Do: test.do, Path: path})
			require.Equal(t, test.want, string(result.Payload))
			require.Equal(t, test.functionError, result.FunctionError != "")
		})
	}
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "400", string(second))
	eventually(t, "what lingers is killed at its deadline", func() bool { return r.Processes() == 0 })
}

func TestInvokeRefuses(t *testing.T) {
	t.Parallel()
	none, one := 0, 1
	r, _ := start(t, func(cfg *Config, f *Function) {
		for name, limit := range map[string]*int{"off": &none, "one": &one} {
			cfg.Functions = append(cfg.Functions, Function{ARN: functionARN[:len(functionARN)-4] + name, Code: f.Code, ReservedConcurrency: limit})
		}
		cfg.Concurrency = 1 // all of it reserved by "one"
	})
	for name, test := range map[string]struct {
		arn     string
		payload []byte
		want    error
		text    string
	}{
		"unknown function": {functionARN + "2", nil, ErrNotFound, "echo2"},
		"unknown alias":    {functionARN + ":blue", nil, ErrNotFound, `"blue"`},
		"unknown version":  {functionARN + ":8", nil, ErrNotFound, `"8"`},
		"not an ARN":       {"echo", nil, ErrNotFound, "echo"},
		"too large":        {functionARN, make([]byte, 6<<20+1), ErrTooLarge, "6291457 bytes"},
		"reserved nothing": {functionARN[:len(functionARN)-4] + "off", nil, ErrThrottled, "ReservedFunction"},
		"account used up":  {functionARN, nil, ErrThrottled, "account"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Invoke(t.Context(), test.arn, test.payload)
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.text)
		})
	}
	require.Zero(t, r.Processes())
}

// hold invokes a function that stays busy until release is called.
func hold(t *testing.T, r *Runtime, arn string) (release func() Result) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "busy")
	done := make(chan Result, 1)
	go func() {
		result, err := r.Invoke(context.Background(), arn, []byte(`{"do":"wait","path":"`+path+`"}`))
		if err != nil {
			result.FunctionError = err.Error()
		}
		done <- result
	}()
	eventually(t, "the function is busy", func() bool { return exists(path) })
	return func() Result {
		signal(path + ".go")
		return <-done
	}
}

func TestReservedConcurrencyThrottles(t *testing.T) {
	t.Parallel()
	two := 2
	r, _ := start(t, func(_ *Config, f *Function) { f.ReservedConcurrency = &two })
	first, second := hold(t, r, functionARN), hold(t, r, functionARN)
	require.Equal(t, 2, r.Processes(), "a busy sandbox takes no second request")
	_, err := r.Invoke(t.Context(), functionARN, []byte(`{}`))
	require.ErrorIs(t, err, ErrThrottled)

	require.Empty(t, first().FunctionError)
	require.False(t, invoke(t, r, order{}).Cold, "the freed sandbox serves again")
	require.Empty(t, second().FunctionError)
}

func TestProcessesAreBounded(t *testing.T) {
	t.Parallel()
	other := functionARN + "-other"
	r, _ := start(t, func(cfg *Config, f *Function) {
		cfg.MaxProcesses = 1
		cfg.Functions = []Function{{ARN: other, Code: f.Code}}
	})
	require.True(t, invoke(t, r, order{}).Cold)
	_, err := r.Invoke(t.Context(), other, []byte(`{}`))
	require.NoError(t, err, "an idle sandbox of another function gives way")
	require.Equal(t, 1, r.Processes())
	require.True(t, invoke(t, r, order{}).Cold)

	release := hold(t, r, functionARN)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = r.Invoke(ctx, other, []byte(`{}`))
	require.ErrorIs(t, err, context.DeadlineExceeded, "no place while the only one is busy")

	waiting := make(chan error, 1)
	go func() {
		_, err := r.Invoke(context.Background(), other, []byte(`{}`))
		waiting <- err
	}()
	require.Empty(t, release().FunctionError)
	require.NoError(t, <-waiting)
}

func TestReapEndsIdleSandboxes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Unix(1_700_000_000, 0)
	r, _ := start(t, func(cfg *Config, _ *Function) {
		cfg.IdleTimeout = time.Hour
		cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	invoke(t, r, order{})
	r.Reap()
	require.Equal(t, 1, r.Processes(), "not idle long enough")
	mu.Lock()
	now = now.Add(time.Hour + 1)
	mu.Unlock()
	r.Reap()
	eventually(t, "the idle sandbox is gone", func() bool { return r.Processes() == 0 })
	require.True(t, invoke(t, r, order{}).Cold)
}

func TestSandboxThatDiedIdleIsReplaced(t *testing.T) {
	t.Parallel()
	r, _ := start(t, nil)
	var first struct{ PID int }
	require.NoError(t, json.Unmarshal(invoke(t, r, order{Do: "context"}).Payload, &first))
	require.NoError(t, syscall.Kill(first.PID, syscall.SIGKILL))
	eventually(t, "its place is free", func() bool { return r.Processes() == 0 })
	result := invoke(t, r, order{Do: "ok"})
	require.Empty(t, result.FunctionError, "%s", result.Payload)
	require.True(t, result.Cold)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	r, logs := start(t, nil)
	invoke(t, r, order{Do: "log"})
	invoke(t, r, order{Do: "exit"})
	require.Equal(t, []string{"echo: first", "echo: second", "echo: no newline at the end"}, logs.all())
}

func TestCallerWhoGivesUpDoesNotStopTheFunction(t *testing.T) {
	t.Parallel()
	r, _ := start(t, nil)
	path := filepath.Join(t.TempDir(), "busy")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !exists(path) {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := r.Invoke(ctx, functionARN, []byte(`{"do":"wait","path":"`+path+`"}`))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, r.Processes())
	signal(path + ".go")
	eventually(t, "its sandbox serves again", func() bool {
		result := invoke(t, r, order{Do: "ok"})
		return !result.Cold
	})
}

func TestContextKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := New(ctx, Config{Credentials: credentials, Dir: t.TempDir(),
		Functions: []Function{{ARN: functionARN, Code: ownCode(t), Timeout: time.Minute}}})
	require.NoError(t, err)
	result, err := r.Invoke(t.Context(), functionARN, []byte(`{"do":"child"}`))
	require.NoError(t, err)
	var child int
	require.NoError(t, json.Unmarshal(result.Payload, &child))
	require.False(t, dead(child))

	busy := filepath.Join(t.TempDir(), "busy")
	hanging := make(chan Result, 1)
	go func() {
		result, _ := r.Invoke(context.Background(), functionARN, []byte(`{"do":"hang","path":"`+busy+`"}`))
		hanging <- result
	}()
	eventually(t, "busy", func() bool { return exists(busy) })
	cancel()
	require.Contains(t, string((<-hanging).Payload), "signal: killed")
	eventually(t, "the function's own child is gone too", func() bool { return dead(child) })
	_, err = r.Invoke(t.Context(), functionARN, nil)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close(), "closing again is fine")
	require.Zero(t, r.Processes())
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	dir, code := t.TempDir(), ownCode(t)
	_, err := New(t.Context(), Config{Dir: dir, Credentials: credentials, Functions: []Function{
		{ARN: "arn:aws:s3:::bucket", Code: code},
		{ARN: functionARN + "1", Code: filepath.Join(dir, "missing.zip")},
		{ARN: functionARN + "2", Code: code, Runtime: "nodejs22.x"},
		{ARN: functionARN + "3", Code: code, Environment: map[string]string{"AWS_REGION": "x", "AWS_LAMBDA_X": "y", "_HANDLER": "z", "FINE": ""}},
		{ARN: functionARN + "4", Code: t.TempDir()},
		{ARN: functionARN, Code: code},
		{ARN: functionARN, Code: code},
	}})
	for _, want := range []string{"not arn:aws:lambda:region", "missing.zip", "build it first", `runtime "nodejs22.x"`,
		"AWS_REGION is reserved", "AWS_LAMBDA_X is reserved", "_HANDLER is reserved", "no file named bootstrap", "declared twice"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "FINE")
	left, readErr := os.ReadDir(dir)
	require.NoError(t, readErr)
	require.Empty(t, left, "nothing half-done stays")

	_, err = New(t.Context(), Config{Dir: dir})
	require.ErrorContains(t, err, "Credentials is required")
}

// writeZip makes a zip of entries; mode 0 writes a symlink.
func writeZip(t *testing.T, entries map[string]os.FileMode, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "code.zip")
	file, err := os.Create(path)
	require.NoError(t, err)
	w := zip.NewWriter(file)
	for name, mode := range entries {
		header := &zip.FileHeader{Name: name, Method: zip.Store}
		header.SetMode(mode)
		entry, err := w.CreateHeader(header)
		require.NoError(t, err)
		_, err = entry.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, file.Close())
	return path
}

func TestZipIsUnpackedOncePerContent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	content, err := os.ReadFile(self)
	require.NoError(t, err)
	code := writeZip(t, map[string]os.FileMode{"bootstrap": 0o755}, content)
	r, _ := start(t, func(cfg *Config, f *Function) {
		f.Code = code
		cfg.Functions = []Function{{ARN: functionARN + "-twin", Code: code}}
	})
	require.Equal(t, `"ok"`, string(invoke(t, r, order{Do: "ok"}).Payload))
	require.Equal(t, r.functions[functionARN].root, r.functions[functionARN+"-twin"].root)
}

func TestZipRefused(t *testing.T) {
	t.Parallel()
	notZip := filepath.Join(t.TempDir(), "code.zip")
	require.NoError(t, os.WriteFile(notZip, []byte("plain"), 0o600))
	for name, test := range map[string]struct{ code, want string }{
		"not a zip":    {notZip, "not a valid zip"},
		"no bootstrap": {writeZip(t, map[string]os.FileMode{"main": 0o755}, nil), "no file named bootstrap"},
		"leads out":    {writeZip(t, map[string]os.FileMode{"../bootstrap": 0o755}, nil), "leads out of the archive"},
		"absolute":     {writeZip(t, map[string]os.FileMode{"/bootstrap": 0o755}, nil), "leads out of the archive"},
		"symlink":      {writeZip(t, map[string]os.FileMode{"bootstrap": os.ModeSymlink | 0o777}, []byte("/bin/sh")), "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := New(t.Context(), Config{Dir: dir, Credentials: credentials, Functions: []Function{{ARN: functionARN, Code: test.code}}})
			require.ErrorContains(t, err, test.want)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
			require.NoFileExists(t, filepath.Join(dir, "..", "bootstrap"))
		})
	}
}

func TestLineWriterCutsEndlessLines(t *testing.T) {
	t.Parallel()
	var lengths []int
	w := &lineWriter{emit: func(line string) { lengths = append(lengths, len(line)) }}
	for range 5 {
		n, err := w.Write(make([]byte, maxLineBytes/2))
		require.NoError(t, err)
		require.Equal(t, maxLineBytes/2, n)
	}
	w.flush()
	w.flush()
	require.Equal(t, []int{maxLineBytes, maxLineBytes, maxLineBytes / 2}, lengths)
}

// parent runs a sandbox, prints its process id and waits to be killed.
func parent(code string) {
	r, err := New(context.Background(), Config{Credentials: credentials, Dir: code, Functions: []Function{{ARN: functionARN, Code: code}}})
	if err != nil {
		panic(err)
	}
	result, err := r.Invoke(context.Background(), functionARN, []byte(`{"do":"context"}`))
	fmt.Println(string(result.Payload), err)
	select {}
}

func TestKilledParentLeavesNoSandbox(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // only Linux has a parent-death signal; elsewhere Close and the context are what ends sandboxes
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = []string{"LAMBDA_TEST_PARENT=" + ownCode(t)}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var sandbox struct{ PID int }
	require.NoError(t, json.NewDecoder(out).Decode(&sandbox))
	require.False(t, dead(sandbox.PID))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait(), "it was killed")
	eventually(t, "the sandbox died with its parent", func() bool { return dead(sandbox.PID) })
}
