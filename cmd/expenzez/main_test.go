package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be the command itself, for tests of processes and signals.
func TestMain(m *testing.M) {
	if os.Getenv("EXPENZEZ_TEST_COMMAND") != "" {
		os.Exit(start(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestCommandLineIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown_command":   {[]string{"fly"}, `there is no command "fly"`},
		"unknown_flag":      {[]string{"local", "--fast"}, "flag provided but not defined: -fast"},
		"argument":          {[]string{"preview", "dev"}, `takes no argument "dev"`},
		"no_environment":    {[]string{"preview"}, "say which environment"},
		"export_without":    {[]string{"export"}, "say which environment"},
		"provision_without": {[]string{"provision"}, "say which environment"},
		"port_low":          {[]string{"local", "--port", "0"}, "port 0: must be 1 to 65534"},
		"port_high":         {[]string{"local", "--port", "65535"}, "port 65535: must be 1 to 65534"},
		"port_no_number":    {[]string{"local", "--port", "http"}, "invalid value"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.ErrorContains(t, run(t.Context(), c.args, &out), c.want)
			require.Empty(t, out.String(), "nothing was begun")
		})
	}
}

func TestHelpListsEveryCommand(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"help"}, &out))
	for _, command := range []string{"local", "smoke", "preview", "export", "package", "provision", "access"} {
		require.Contains(t, out.String(), "expenzez "+command)
	}
}

// process is a running command with its output.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	log   strings.Builder
}

// command starts the command in a process group of its own, as a terminal does.
func command(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	p := &process{t: t, cmd: exec.Command(self, args...), lines: make(chan string, 10_000)}
	p.cmd.Dir, p.cmd.Env = root, append(os.Environ(), "EXPENZEZ_TEST_COMMAND=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// await reads the output until a line contains text.
func (p *process) await(text string) {
	p.t.Helper()
	limit := time.After(5 * time.Minute)
	for {
		select {
		case line := <-p.lines:
			p.log.WriteString(line + "\n")
			if strings.Contains(line, text) {
				return
			}
		case <-limit:
			require.FailNow(p.t, "the command never said "+text, p.log.String())
		}
	}
}

// interrupt is Ctrl-C: the whole group gets the signal. It returns the exit status and what was running below.
func (p *process) interrupt() (status int, below []int) {
	p.t.Helper()
	below = descendants(p.t, p.cmd.Process.Pid)
	require.NoError(p.t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT))
	_ = p.cmd.Wait() // the status says it
	return p.cmd.ProcessState.ExitCode(), below
}

// descendants are the processes that a process has started, directly or not.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, file := range stats {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid …; the name may hold anything but ends with the last parenthesis.
		fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
		parent, err := strconv.Atoi(fields[1])
		require.NoError(t, err)
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		require.NoError(t, err)
		children[parent] = append(children[parent], id)
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all
}

func requireGone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !running(pid) }, 10*time.Second, 50*time.Millisecond, "process %d is left", pid)
	}
}

// running is false for a process that has ended, also where nobody has asked for its status.
func running(pid int) bool {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))[0]
	return state != "Z" && state != "X"
}

// freePorts finds two ports in a row that are free now.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+1))
		require.NoError(t, l.Close())
		if err == nil {
			require.NoError(t, next.Close())
			return port
		}
	}
	require.FailNow(t, "no two free ports in a row")
	return 0
}

// Ctrl-C in the middle of the deployment leaves no process, and the next start on the same ports is clean.
func TestInterruptLeavesNothingAndTheNextStartIsClean(t *testing.T) {
	port := strconv.Itoa(freePorts(t))
	first := command(t, "local", "--env", "staging", "--port", port)
	first.await("dynamodb:Table") // the engine is at work
	status, below := first.interrupt()
	require.Equal(t, 130, status)
	require.NotEmpty(t, below, "the emulator and the engine were running")
	requireGone(t, below)

	second := command(t, "local", "--env", "staging", "--port", port)
	second.await("Try it:")
	for range 2 {
		second.await("curl -s http://127.0.0.1:" + port)
	}
	second.await("curl -s \"http://127.0.0.1:" + port)
	pasted(t, second.log.String())
	status, below = second.interrupt()
	require.Equal(t, 0, status, "stopping is how it ends")
	require.NotEmpty(t, below)
	requireGone(t, below)
}

// pasted runs the three commands that the welcome shows, in one shell, as a newcomer would.
func pasted(t *testing.T, welcome string) {
	t.Helper()
	_, commands, ok := strings.Cut(welcome, "Try it:")
	require.True(t, ok)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "bash", "-euc", commands).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), `"amount":"-4.20"`)
	require.Contains(t, string(out), `"items":[{`)
}
