package artifact_test

import (
	"archive/zip"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/artifact"
)

// checkout is a module with the given functions, whose bootstrap is source.
func checkout(t *testing.T, functions map[string]string) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example\n\ngo 1.26\n"), 0o600))
	for key, source := range functions {
		dir := filepath.Join(root, artifact.Package(key))
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	}
	return root
}

const hello = "package main\n\nfunc main() { println(\"hello\") }\n"

func TestBuildIsTheSameWhereverAndWheneverItRuns(t *testing.T) {
	t.Parallel()
	var zips [][]byte
	for range 2 {
		root, out := checkout(t, map[string]string{"hello-api": hello}), t.TempDir()
		require.NoError(t, artifact.Build(t.Context(), artifact.Options{Root: root, Out: out, Architecture: artifact.ARM64, Functions: []string{"hello-api"}}))
		content, err := os.ReadFile(filepath.Join(out, "hello-api.zip"))
		require.NoError(t, err)
		zips = append(zips, content)
	}
	require.True(t, bytes.Equal(zips[0], zips[1]), "two folders gave two zips")

	z, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	require.NoError(t, err)
	require.Len(t, z.File, 1)
	require.Equal(t, "bootstrap", z.File[0].Name)
	require.Equal(t, os.FileMode(0o755), z.File[0].Mode())
}

func TestBuildReportsEveryFunctionThatFails(t *testing.T) {
	t.Parallel()
	root, out := checkout(t, map[string]string{"one-api": "package main\n\nfunc main() { missing() }\n", "two-api": hello}), t.TempDir()
	err := artifact.Build(t.Context(), artifact.Options{
		Root: root, Out: out, Architecture: artifact.X86_64, Functions: []string{"one-api", "two-api", "three-api"},
	})
	require.ErrorContains(t, err, "function one-api")
	require.ErrorContains(t, err, "undefined: missing")
	require.ErrorContains(t, err, "function three-api")
	require.NoFileExists(t, filepath.Join(out, "one-api.zip"))
	require.FileExists(t, filepath.Join(out, "two-api.zip"))
	left, err := filepath.Glob(filepath.Join(out, ".*"))
	require.NoError(t, err)
	require.Empty(t, left, "a failed build leaves nothing half-made")
}

func TestBuildKeepsTheLastGoodZip(t *testing.T) {
	t.Parallel()
	root, out := checkout(t, map[string]string{"one-api": "package main\n\nbroken"}), t.TempDir()
	kept := filepath.Join(out, "one-api.zip")
	require.NoError(t, os.WriteFile(kept, []byte("good"), 0o600))
	require.Error(t, artifact.Build(t.Context(), artifact.Options{Root: root, Out: out, Architecture: artifact.ARM64, Functions: []string{"one-api"}}))
	content, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Equal(t, "good", string(content))
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	err := artifact.Build(t.Context(), artifact.Options{Root: t.TempDir(), Out: t.TempDir(), Architecture: "mips"})
	require.ErrorContains(t, err, `architecture "mips": must be arm64 or x86_64`)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	err = artifact.Build(t.Context(), artifact.Options{Root: t.TempDir(), Out: file, Architecture: artifact.ARM64})
	require.ErrorContains(t, err, "output directory")

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	root := checkout(t, map[string]string{"one-api": hello})
	err = artifact.Build(canceled, artifact.Options{Root: root, Out: t.TempDir(), Architecture: artifact.ARM64, Functions: []string{"one-api"}})
	require.ErrorIs(t, err, context.Canceled)
}

func TestPackageOfAFunction(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"transactions-api": "./lambda/transactions/bootstrap", "authorizer": "./lambda/authorizer/bootstrap", "key-rotation": "./lambda/keyrotation/bootstrap",
	} {
		require.Equal(t, want, artifact.Package(key))
	}
	require.Equal(t, artifact.ARM64, artifact.Host("arm64"))
	require.Equal(t, artifact.X86_64, artifact.Host("amd64"))
}
