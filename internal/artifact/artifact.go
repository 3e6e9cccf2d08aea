// Package artifact builds the deployment packages of Lambda functions: one static binary named bootstrap in a zip
// that is the same byte for byte wherever and whenever the same commit is built.
package artifact

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Architecture is a Lambda architecture.
type Architecture string

// Lambda's architectures, and what the Go toolchain calls them.
const (
	ARM64  Architecture = "arm64"
	X86_64 Architecture = "x86_64"
)

func (a Architecture) goarch() (string, error) {
	switch a {
	case ARM64:
		return "arm64", nil
	case X86_64:
		return "amd64", nil
	default:
		return "", fmt.Errorf("architecture %q: must be %s or %s", a, ARM64, X86_64)
	}
}

// Host is the Lambda architecture that runs on this machine; goarch is runtime.GOARCH.
func Host(goarch string) Architecture {
	if goarch == "arm64" {
		return ARM64
	}
	return X86_64
}

// Package is the import path, below the module, of a function's main package: transactions-api is built from
// lambda/transactions/bootstrap, key-rotation from lambda/keyrotation/bootstrap.
func Package(functionKey string) string {
	folder := strings.ReplaceAll(strings.TrimSuffix(functionKey, "-api"), "-", "")
	return "./lambda/" + folder + "/bootstrap"
}

// Options say what to build. Root is the module's directory; the zips are written to Out/<function>.zip.
type Options struct {
	Root         string
	Out          string
	Architecture Architecture
	Functions    []string
}

// Build builds all functions and reports every one that fails. A zip is replaced only when it is complete.
func Build(ctx context.Context, o Options) error {
	goarch, err := o.Architecture.goarch()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Out, 0o750); err != nil {
		return fmt.Errorf("output directory: %w", err)
	}
	failed := make([]error, len(o.Functions))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU()) // linking is what takes the time, and is done by one thread
	for i, f := range o.Functions {
		group.Go(func() error {
			if err := build(ctx, o, goarch, f); err != nil {
				failed[i] = fmt.Errorf("function %s: %w", f, err)
			}
			return nil
		})
	}
	return errors.Join(append(failed, group.Wait())...)
}

func build(ctx context.Context, o Options, goarch, function string) error {
	dir, err := os.MkdirTemp(o.Out, "."+function+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "bootstrap")

	// The flags of a small reproducible binary: no paths, no symbol table, no build id, no RPC mode of the old runtime.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags", "-s -w -buildid=", "-o", binary, Package(function))
	cmd.Dir = o.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch, "GOFLAGS=", "GOWORK=off")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(output.String()))
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	zipped := filepath.Join(dir, "zip")
	if err := writeZip(zipped, content); err != nil {
		return err
	}
	return os.Rename(zipped, filepath.Join(o.Out, function+".zip"))
}

func writeZip(path string, bootstrap []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := Zip(f, bootstrap); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// Zip writes an executable named bootstrap with a fixed time, so that equal binaries give equal zips.
func Zip(w io.Writer, bootstrap []byte) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(0o755)
	entry, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	if _, err := entry.Write(bootstrap); err != nil {
		return err
	}
	return z.Close()
}
