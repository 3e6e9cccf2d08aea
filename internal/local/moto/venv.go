package moto

import (
	"context"
	"crypto/sha256"
	_ "embed" // the pinned requirements
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

//go:embed probe.py
var probeScript string

//go:embed requirements.txt
var requirements string

// wanted is the line of moto releases that the front's mends were checked against.
const wanted = "5.2."

const install = "install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python3)"

// found is what an interpreter offers.
type found struct {
	Version    []int    `json:"version"`
	Executable string   `json:"executable"`
	Moto       string   `json:"moto"`    // empty when moto or its server part is absent
	Missing    []string `json:"missing"` // modules of Python that Debian packages apart
}

// interpreter is the path of a Python that can run the store.
func interpreter(ctx context.Context, o Options) (string, error) {
	path, err := exec.LookPath(o.Python)
	if err != nil {
		return "", fmt.Errorf("no %s on PATH, and the local cloud needs Python 3.10 or newer: %s", o.Python, install)
	}
	has, err := probe(ctx, path)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(has.Moto, wanted) {
		return has.Executable, nil
	}
	if err := has.canMakeEnvironment(path); err != nil {
		return "", err
	}
	return environment(ctx, has.Executable, o)
}

func probe(ctx context.Context, path string) (found, error) {
	var has found
	out, err := exec.CommandContext(ctx, path, "-c", probeScript).Output()
	if err == nil {
		err = json.Unmarshal(out, &has)
	}
	if err == nil && (len(has.Version) != 3 || has.Executable == "") {
		err = errors.New("it does not tell its version")
	}
	if err != nil {
		return found{}, fmt.Errorf("%s does not run as a Python interpreter: %w: %s", path, err, install)
	}
	return has, nil
}

// canMakeEnvironment reports every reason why the interpreter cannot make a virtual environment with moto.
func (has found) canMakeEnvironment(path string) error {
	var problems []string
	if v := has.Version; v[0] < 3 || v[0] == 3 && v[1] < 10 {
		problems = append(problems, fmt.Sprintf("it is Python %d.%d.%d and the local cloud needs 3.10 or newer", v[0], v[1], v[2]))
	}
	if len(has.Missing) > 0 {
		problems = append(problems, "it lacks the modules "+strings.Join(has.Missing, ", "))
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%s has no moto %sx, and cannot get it: %s: %s", path, wanted, strings.Join(problems, "; "), install)
}

// environment is the interpreter of the virtual environment in the folder, which is made first if it is not there.
// It is named after its requirements, built under another name and renamed, so one that has the name is whole.
func environment(ctx context.Context, python string, o Options) (string, error) {
	dir, err := environmentDir(o.Dir)
	if err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if usable(ctx, dir) {
		return filepath.Join(dir, "bin", "python"), nil
	}
	if err := build(ctx, python, dir, o.Progress); err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin", "python"), nil
}

func environmentDir(dir string) (string, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no folder for the virtual environment: %w", err)
		}
		dir = filepath.Join(cache, "expenzez")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("folder for the virtual environment: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("folder for the virtual environment: %w", err)
	}
	sum := sha256.Sum256([]byte(requirements))
	return filepath.Join(dir, "moto-"+hex.EncodeToString(sum[:6])), nil
}

// usable tells whether the environment still runs: its base interpreter may have been removed since.
func usable(ctx context.Context, dir string) bool {
	has, err := probe(ctx, filepath.Join(dir, "bin", "python"))
	return err == nil && strings.HasPrefix(has.Moto, wanted)
}

// halfMade begins the name of an environment in the making.
const halfMade = "making-"

// removeHalfMade removes what a killed start left; the caller holds the lock, so nothing there is in the making.
func removeHalfMade(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, halfMade+"*"))
	for _, l := range left {
		err = errors.Join(err, os.RemoveAll(l))
	}
	if err != nil {
		return fmt.Errorf("remains of an earlier start: %w", err)
	}
	return nil
}

func build(ctx context.Context, python, dir string, progress func(string)) error {
	if err := removeHalfMade(filepath.Dir(dir)); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), halfMade)
	if err != nil {
		return fmt.Errorf("folder for the virtual environment: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }() // gone already when the build succeeded
	list := filepath.Join(temp, "requirements.txt")
	if err := os.WriteFile(list, []byte(requirements), 0o600); err != nil {
		return fmt.Errorf("requirements: %w", err)
	}
	progress("making a virtual environment for the local store in " + dir)
	if err := run(ctx, python, "-m", "venv", temp); err != nil {
		return fmt.Errorf("cannot make a virtual environment: %w", err)
	}
	progress("installing moto, about 70 MB, once; half a minute")
	err = run(ctx, filepath.Join(temp, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input",
		"--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes", "-r", list)
	if err != nil {
		return fmt.Errorf("cannot install moto (is the package index reachable?): %w", err)
	}
	if !usable(ctx, temp) {
		return errors.New("the new virtual environment does not run moto; this is a fault of the pinned requirements")
	}
	if err := errors.Join(os.RemoveAll(dir), os.Rename(temp, dir)); err != nil {
		return fmt.Errorf("virtual environment: %w", err)
	}
	return nil
}

// run runs a command to its end; its error repeats the last of what it printed.
func run(ctx context.Context, name string, args ...string) error {
	last := &tail{next: io.Discard}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = last, last
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, errors.Join(ctx.Err(), err), last)
	}
	return nil
}

// lock keeps two starts from making the same environment. The kernel releases it with the process.
func lock(ctx context.Context, path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of the virtual environment: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock of the virtual environment: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("another start makes the virtual environment: %w", ctx.Err()), f.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
