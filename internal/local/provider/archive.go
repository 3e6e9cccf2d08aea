package provider

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
)

// Sizes of a function's code in bytes (Lambda Developer Guide, "Lambda quotas").
const (
	maxZip      = 50 << 20
	maxUnzipped = 250 << 20
)

// inspectArchive says why Lambda could not run the code: it must be a zip file, a folder or a map of assets, fit the
// quotas, and for the provided runtimes have an executable named bootstrap at its root.
func inspectArchive(a *resource.Archive, needsBootstrap bool) error {
	if path, ok := a.GetPath(); ok {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return fmt.Errorf("cannot be read: %w: build the function first", err)
		case info.IsDir() && needsBootstrap:
			return inspectFolder(path)
		case info.IsDir():
			return nil
		}
		return inspectZip(path, info.Size(), needsBootstrap)
	}
	if assets, ok := a.GetAssets(); ok {
		if _, found := assets["bootstrap"]; needsBootstrap && !found {
			return errNoBootstrap
		}
		return nil
	}
	return errors.New("must be a zip file, a folder or a map of assets: the local cloud fetches nothing")
}

var errNoBootstrap = errors.New("has no file bootstrap at its root, which the provided runtimes start")

func inspectFolder(path string) error {
	info, err := os.Stat(filepath.Join(path, "bootstrap"))
	if err != nil || info.IsDir() {
		return errNoBootstrap
	}
	return nil
}

func inspectZip(path string, size int64, needsBootstrap bool) (err error) {
	if size > maxZip {
		return fmt.Errorf("has %d bytes: AWS allows %d for a zip that is uploaded directly", size, maxZip)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("is not a zip file: %w", err)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	var unzipped uint64
	found := false
	for _, f := range z.File {
		unzipped += f.UncompressedSize64
		if strings.TrimPrefix(f.Name, "./") != "bootstrap" {
			continue
		}
		found = true
		if needsBootstrap && f.Mode()&0o111 == 0 {
			return errors.New("has a file bootstrap that is not executable: set its mode to 0755 in the zip")
		}
	}
	if unzipped > maxUnzipped {
		return fmt.Errorf("has %d bytes unzipped: AWS allows %d", unzipped, maxUnzipped)
	}
	if needsBootstrap && !found {
		return errNoBootstrap
	}
	return nil
}

// archiveSum is the base64 SHA-256 and the size of the zip that Lambda would get.
func archiveSum(a *resource.Archive) (sum string, size int64, err error) {
	h := sha256.New()
	counted := &counter{to: h}
	if path, ok := a.GetPath(); ok && strings.HasSuffix(path, ".zip") {
		f, err := os.Open(path)
		if err != nil {
			return "", 0, err
		}
		_, err = io.Copy(counted, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", 0, err
		}
	} else if err := a.Archive(archive.ZIPArchive, counted); err != nil {
		return "", 0, err
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), counted.n, nil
}

// counter counts what passes through to a writer.
type counter struct {
	to io.Writer
	n  int64
}

// Write passes p on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
