package moto_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/local/moto"
)

const account = "111122223333"

// TestMain doubles as the parent that dies: with an argument it starts a store, prints its address and waits to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "parent" {
		s, err := moto.Start(context.Background(), moto.Options{Account: account})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.URL)
		<-s.Done()
	}
	os.Exit(m.Run())
}

func gone(url string) func() bool {
	return func() bool {
		resp, err := http.Get(url + "/moto-api/data.json")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err != nil
	}
}

func TestStoreServesItsAccountUntilClosed(t *testing.T) {
	t.Parallel()
	s, err := moto.Start(t.Context(), moto.Options{Account: account})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader("Action=GetCallerIdentity&Version=2011-06-15"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20250101/eu-west-2/sts/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, body.String(), account)

	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "closing twice is allowed")
	assert.True(t, gone(s.URL)(), "the store answers after Close")
}

func TestStoreDiesWithItsParent(t *testing.T) {
	t.Parallel()
	parent := exec.CommandContext(t.Context(), os.Args[0], "parent")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line := make([]byte, 200)
	n, err := out.Read(line)
	require.NoError(t, err)
	url := strings.TrimSpace(string(line[:n]))
	require.True(t, strings.HasPrefix(url, "http://127.0.0.1:"), url)
	require.False(t, gone(url)())

	require.NoError(t, parent.Process.Signal(syscall.SIGKILL))
	_ = parent.Wait()
	require.Eventually(t, gone(url), 10*time.Second, 20*time.Millisecond)
}

// fake is a stand-in interpreter. It answers the probe with the JSON in the file probe beside it, copies itself into
// the environments it makes (which then have moto, unless broken says otherwise), and records each call.
const fake = `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
echo "$*" | tr '\n' ' ' | cut -c1-200 >> RECORD
case "$1 $2" in
-c*find_spec*) sed "s#EXECUTABLE#$0#" "$here/probe" ;;
-c*serve_forever*) SERVE ;;
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$here/inside" "$3/bin/probe" ;;
"-m pip") PIP ;;
esac
`

const (
	answerMoto   = `{"version":[3,12,1],"executable":"EXECUTABLE","moto":"5.2.1","missing":[]}`
	answerNoMoto = `{"version":[3,12,1],"executable":"EXECUTABLE","moto":"","missing":[]}`
)

type python struct{ path, record string }

func fakePython(t *testing.T, probe, inside, serve, pip string) python {
	t.Helper()
	dir := t.TempDir()
	p := python{filepath.Join(dir, "python3"), filepath.Join(dir, "record")}
	script := strings.NewReplacer("RECORD", p.record, "SERVE", serve, "PIP", pip).Replace(fake)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "probe"), []byte(probe), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "inside"), []byte(inside), 0o600))
	require.NoError(t, os.WriteFile(p.path, []byte(script), 0o700))
	return p
}

func (p python) calls(t *testing.T, word string) int {
	t.Helper()
	b, err := os.ReadFile(p.record)
	require.NoError(t, err)
	return strings.Count(string(b), word)
}

const serveForever = "echo 4321; exec cat"

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	old := `{"version":[3,8,18],"executable":"EXECUTABLE","moto":"","missing":[]}`
	oldMoto := `{"version":[2,7,18],"executable":"EXECUTABLE","moto":"4.0.0","missing":["venv","ensurepip"]}`
	bare := `{"version":[3,11,2],"executable":"EXECUTABLE","moto":"","missing":["ensurepip"]}`
	for name, c := range map[string]struct {
		account, probe, inside, serve, pip string
		want                               []string
	}{
		"account too short":      {account: "123", want: []string{`account "123"`, "twelve digits"}},
		"account not digits":     {account: "11112222333x", want: []string{"twelve digits"}},
		"account missing":        {account: "-", want: []string{"twelve digits"}},
		"old python":             {probe: old, want: []string{"Python 3.8.18", "3.10 or newer", "brew install python3"}},
		"everything wrong":       {probe: oldMoto, want: []string{"Python 2.7.18", "venv, ensurepip"}},
		"debian without venv":    {probe: bare, want: []string{"lacks the modules ensurepip", "apt-get install python3 python3-venv"}},
		"not a python":           {probe: "hello", want: []string{"does not run as a Python interpreter"}},
		"a python without words": {probe: "{}", want: []string{"does not tell its version"}},
		"pip fails":              {probe: answerNoMoto, inside: answerMoto, pip: "echo no such host >&2; exit 1", want: []string{"cannot install moto", "no such host"}},
		"environment is hollow":  {probe: answerNoMoto, inside: answerNoMoto, pip: "true", want: []string{"does not run moto"}},
		"store ends":             {probe: answerMoto, serve: "echo Traceback: port >&2; exit 3", want: []string{"ended before it was ready", "Traceback: port"}},
		"store speaks nonsense":  {probe: answerMoto, serve: "echo hello; exec cat", want: []string{"ended before it was ready"}},
		"store says nothing":     {probe: answerMoto, serve: "echo still importing >&2; exec cat", want: []string{"not ready within 1s", "still importing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := fakePython(t, c.probe, c.inside, c.serve, c.pip)
			o := moto.Options{Account: account, Python: p.path, Dir: t.TempDir(), Timeout: time.Second}
			if c.account != "" {
				o.Account = strings.Trim(c.account, "-")
			}
			s, err := moto.Start(t.Context(), o)
			require.Error(t, err)
			assert.Nil(t, s)
			for _, w := range c.want {
				assert.ErrorContains(t, err, w)
			}
			left, err := filepath.Glob(filepath.Join(o.Dir, "making-*"))
			require.NoError(t, err)
			assert.Empty(t, left, "a half-made environment is left")
		})
	}
}

func TestStartRefusesWithoutPython(t *testing.T) {
	t.Parallel()
	_, err := moto.Start(t.Context(), moto.Options{Account: account, Python: "python3-that-is-not-there"})
	require.ErrorContains(t, err, "no python3-that-is-not-there on PATH")
	require.ErrorContains(t, err, "brew install python3")
}

func TestStartRefusesFolderThatIsAFile(t *testing.T) {
	t.Parallel()
	p := fakePython(t, answerNoMoto, answerMoto, serveForever, "true")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := moto.Start(t.Context(), moto.Options{Account: account, Python: p.path, Dir: file})
	require.ErrorContains(t, err, "folder for the virtual environment")
}

func TestStartStopsWhenCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := fakePython(t, answerNoMoto, answerMoto, serveForever, "exec sleep 600")
	progress := func(msg string) {
		if strings.Contains(msg, "installing") {
			cancel()
		}
	}
	_, err := moto.Start(ctx, moto.Options{Account: account, Python: p.path, Dir: t.TempDir(), Progress: progress})
	require.ErrorIs(t, err, context.Canceled)
}

func TestEnvironmentIsMadeOnceAndMended(t *testing.T) {
	t.Parallel()
	p := fakePython(t, answerNoMoto, answerMoto, serveForever, "true")
	dir := t.TempDir()
	stale := filepath.Join(dir, "making-1", "bin")
	require.NoError(t, os.MkdirAll(stale, 0o700))
	start := func() {
		s, err := moto.Start(t.Context(), moto.Options{Account: account, Python: p.path, Dir: dir})
		require.NoError(t, err)
		assert.Equal(t, "http://127.0.0.1:4321", s.URL)
		require.NoError(t, s.Close())
	}
	start()
	assert.NoDirExists(t, stale, "what a killed start left")
	start()
	assert.Equal(t, 1, p.calls(t, "-m venv"))
	assert.Equal(t, 1, p.calls(t, "--only-binary :all: --require-hashes"))

	made, err := filepath.Glob(filepath.Join(dir, "moto-*", "bin", "probe"))
	require.NoError(t, err)
	require.Len(t, made, 1)
	require.NoError(t, os.WriteFile(made[0], []byte(answerNoMoto), 0o600))
	start()
	assert.Equal(t, 2, p.calls(t, "-m venv"), "an environment that lost moto is made again")
}

func TestConcurrentStartsMakeOneEnvironment(t *testing.T) {
	t.Parallel()
	p := fakePython(t, answerNoMoto, answerMoto, serveForever, "true")
	dir := t.TempDir()
	errs := make(chan error)
	for range 4 {
		go func() {
			s, err := moto.Start(t.Context(), moto.Options{Account: account, Python: p.path, Dir: dir})
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range 4 {
		require.NoError(t, <-errs)
	}
	assert.Equal(t, 1, p.calls(t, "-m pip"))
}

func TestLogGoesToTheFolder(t *testing.T) {
	t.Parallel()
	p := fakePython(t, answerMoto, "", "echo 4321; echo hello from the store; exec cat", "")
	dir := t.TempDir()
	s, err := moto.Start(t.Context(), moto.Options{Account: account, Python: p.path, Dir: dir})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "moto.log"))
		return err == nil && strings.Contains(string(b), "hello from the store")
	}, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, s.Close())
}

func TestRequirementsArePinnedAndHashed(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("requirements.txt")
	require.NoError(t, err)
	names := 0
	for entry := range strings.SplitSeq(strings.ReplaceAll(string(b), "\\\n", " "), "\n") {
		if entry == "" || strings.HasPrefix(entry, "#") {
			continue
		}
		names++
		fields := strings.Fields(entry)
		assert.Contains(t, fields[0], "==", entry)
		assert.Contains(t, entry, "--hash=sha256:")
		assert.NotContains(t, entry, "://")
	}
	assert.Greater(t, names, 40)
	in, err := os.ReadFile("requirements.in")
	require.NoError(t, err)
	_, version, _ := strings.Cut(strings.TrimSpace(string(in)), "==")
	assert.Contains(t, string(b), "\nmoto=="+version+" ")
}
