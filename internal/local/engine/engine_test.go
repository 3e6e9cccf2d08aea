package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func checkout(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: example\nruntime: go\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), []byte(config), 0o600))
	return dir
}

func TestConfigIsReadAsTheEngineHandsItOn(t *testing.T) {
	t.Parallel()
	root := checkout(t, "secretsprovider: awskms://x\nencryptedkey: AAAA\nencryptionsalt: BBBB\nconfig:\n  a:text: one\n  a:list:\n    - x\n    - y\n  a:number: 3\n  a:none: null\n")
	config, err := ReadConfig(root, "dev")
	require.NoError(t, err)
	lookup := Lookup(config)
	for key, want := range map[string]string{"a:text": "one", "a:list": `["x","y"]`, "a:number": "3"} {
		got, ok := lookup(key)
		require.True(t, ok, key)
		require.Equal(t, want, got)
	}
	for _, key := range []string{"a:none", "a:absent"} {
		_, ok := lookup(key)
		require.False(t, ok, key)
	}
}

func TestConfigIsRefused(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ environment, config, want string }{
		"unknown":   {"prod", "", `environment "prod" is unknown: there is no Pulumi.prod.yaml; the environments are dev`},
		"not_yaml":  {"dev", "config: [", "Pulumi.dev.yaml"},
		"encrypted": {"dev", "config:\n  a:b:\n    secure: v1:AAAA", "a:b is an encrypted value"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadConfig(checkout(t, c.config), c.environment)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// The engine works on copies: what binds a stack to its own backend's secrets is left behind, and so untouched.
func TestPrepareCopiesOnlyTheConfiguration(t *testing.T) {
	t.Parallel()
	const original = "secretsprovider: awskms://x\nencryptedkey: AAAA\nencryptionsalt: BBBB\nconfig:\n  a:b: one\n  a:c: two\n"
	root, dir := checkout(t, original), filepath.Join(t.TempDir(), "engine")
	require.NoError(t, prepare(Options{Root: root, Dir: dir, Environment: "dev", Config: map[string]any{"a:b": "other"}}))

	copied, err := os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	require.JSONEq(t, `{"config":{"a:b":"other","a:c":"two"}}`, string(copied))
	kept, err := os.ReadFile(filepath.Join(root, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	require.Equal(t, original, string(kept))
	require.FileExists(t, filepath.Join(dir, "Pulumi.yaml"))
}

func TestEnvironmentHidesTheUsersOwnSettings(t *testing.T) {
	t.Parallel()
	host := []string{"PATH=/bin", "PULUMI_ACCESS_TOKEN=secret", "PULUMI_BACKEND_URL=https://theirs", "PULUMI_SKIP_CHECKPOINTS=true", "HOME=/home/ann"}
	got := environment(Options{Dir: "/dir", ProviderPort: 7, Checkpoints: true}, host)
	require.Equal(t, "", got["PULUMI_ACCESS_TOKEN"])
	require.Equal(t, "file:///dir/state", got["PULUMI_BACKEND_URL"])
	require.Equal(t, "aws:7", got["PULUMI_DEBUG_PROVIDERS"])
	require.Equal(t, "", got["PULUMI_SKIP_CHECKPOINTS"], "recovery needs checkpoints whatever the user's setting is")
	require.NotContains(t, got, "HOME")
	require.NotContains(t, got, "PATH")
	require.Equal(t, "true", environment(Options{}, nil)["PULUMI_SKIP_CHECKPOINTS"])
}

func TestChangesAny(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changes Changes
		want    bool
	}{
		"none": {nil, false}, "same": {Changes{"same": 3}, false}, "zero": {Changes{"create": 0}, false},
		"create": {Changes{"same": 3, "create": 1}, true}, "delete": {Changes{"delete": 1}, true},
	} {
		require.Equal(t, c.want, c.changes.Any(), name)
	}
}
