package lambda

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

const maxUnpackedBytes = 250 << 20 // page "Lambda quotas", deployment package unzipped

// unpack returns the directory to run: code itself when it is one, else a directory under dir that holds the zip's
// files, made once per content. It must have a bootstrap.
func unpack(code, dir string) (string, error) {
	info, err := os.Stat(code)
	if err != nil {
		return "", fmt.Errorf("code: %w; build it first", err)
	}
	root := code
	if !info.IsDir() {
		if root, err = unzipOnce(code, dir); err != nil {
			return "", fmt.Errorf("code %s: %w", code, err)
		}
	}
	if root, err = filepath.Abs(root); err != nil {
		return "", fmt.Errorf("code %s: %w", code, err)
	}
	if _, err := os.Stat(filepath.Join(root, "bootstrap")); err != nil {
		return "", fmt.Errorf("code %s has no file named bootstrap at its top", code)
	}
	return root, nil
}

func unzipOnce(path, dir string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	root := filepath.Join(dir, hex.EncodeToString(sum[:16]))
	if _, err := os.Stat(root); err == nil { // #nosec G703 -- dir is ours and the rest is a hash
		return root, nil
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", err
	}
	var total uint64
	for _, file := range archive.File {
		if total += file.UncompressedSize64; total > maxUnpackedBytes {
			return "", errors.New("unpacks to more than Lambda's 250 MB")
		}
		if err := unzipFile(file, root); err != nil {
			return "", errors.Join(fmt.Errorf("%s: %w", file.Name, err), os.RemoveAll(root)) // #nosec G703 -- as above
		}
	}
	return root, nil
}

func unzipFile(file *zip.File, root string) error {
	if !filepath.IsLocal(file.Name) {
		return errors.New("leads out of the archive")
	}
	target := filepath.Join(root, file.Name) // #nosec G305 -- checked by IsLocal above
	if file.FileInfo().IsDir() {
		return os.MkdirAll(target, 0o700) // #nosec G703 -- checked by IsLocal above
	}
	if !file.Mode().IsRegular() {
		return errors.New("is not a regular file")
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil { // #nosec G703 -- as above
		return err
	}
	source, err := file.Open()
	if err != nil {
		return err
	}
	return errors.Join(writeFile(target, source, file), source.Close())
}

// writeFile holds the fork lock: a child forked meanwhile would inherit the open file and make running it fail with
// "text file busy".
func writeFile(target string, source io.Reader, file *zip.File) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	mode := file.Mode().Perm() | 0o400
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode) // #nosec G703 -- checked by the caller
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, source, int64(file.UncompressedSize64)) // #nosec G115 -- bounded by maxUnpackedBytes
	return errors.Join(err, out.Close())
}
