package rules_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/artifact"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/golden"
)

const module = "github.com/expenzez/aws-backend"

type pkg struct {
	ImportPath string
	Dir        string
	Standard   bool
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// list is what go list says of our packages, by import path.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Standard,GoFiles,Imports,Deps", module+"/...")
	out, err := cmd.Output()
	require.NoError(t, err)
	all := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = p
	}
}

// Each rule: no package below from may depend on what is forbidden, and why.
func TestImportRules(t *testing.T) {
	packages := list(t)
	pulumi := func(path string) bool { return strings.HasPrefix(path, "github.com/pulumi/") }
	ours := func(prefixes ...string) func(string) bool {
		return func(path string) bool {
			for _, p := range prefixes {
				if path == module+"/"+p || strings.HasPrefix(path, module+"/"+p+"/") {
					return true
				}
			}
			return false
		}
	}
	beyond := func(allowed ...string) func(string) bool {
		return func(path string) bool {
			first, _, _ := strings.Cut(path, "/")
			return strings.Contains(first, ".") && !ours(allowed...)(path)
		}
	}
	runtimeLibrary := []string{
		"internal/apperr", "internal/apple", "internal/awsconfig", "internal/bootstrap", "internal/breaker", "internal/cache", "internal/cursor", "internal/environ", "internal/fieldcrypt",
		"internal/idempotency", "internal/money", "internal/queue", "internal/ratelimit", "internal/rest", "internal/retry", "internal/revoke", "internal/secret", "internal/session",
		"internal/store", "internal/stream", "internal/telemetry", "internal/token",
		"internal/validate",
	}
	rules := []struct {
		from      []string
		forbidden func(string) bool
		reason    string
	}{
		{append([]string{"lambda"}, runtimeLibrary...), pulumi, "a function must not carry the deployment program: size, start and attack surface"},
		{append([]string{"lambda"}, runtimeLibrary...), ours("internal/local", "components", "stacks", "cmd"), "a function is the same on AWS and in the local cloud"},
		{append([]string{"lambda"}, runtimeLibrary...), ours("internal/fault"), "what makes calls fail is for tests"},
		{[]string{"components"}, ours("internal/catalog", "internal/service", "stacks", "lambda"), "components are a library for any program; they know nothing of Expenzez"},
		{[]string{"internal/service"}, beyond("internal/service"), "the vocabulary is read by the deployment and by every function: standard library only"},
		{[]string{"internal/catalog"}, beyond("internal/service", "internal/catalog"), "a declaration is a plain value: it needs only the vocabulary"},
		{[]string{"internal/deployment"}, beyond("internal/deployment"), "reads anybody's export without linking anybody's SDK"},
		{[]string{""}, ours("cmd"), "a command is where a program starts, not a library"},
	}
	for _, rule := range rules {
		checked := 0
		for name, p := range packages {
			if !slices.ContainsFunc(rule.from, func(f string) bool { return f == "" || name == f || strings.HasPrefix(name, f+"/") }) {
				continue
			}
			checked++
			for _, d := range p.Deps {
				require.False(t, rule.forbidden(d), "%s depends on %s: %s", name, d, rule.reason)
			}
		}
		require.NotZero(t, checked, "the rule for %v checks nothing", rule.from)
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	for name, p := range list(t) {
		var with []string
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.PackageClauseOnly|parser.ParseComments)
			require.NoError(t, err)
			if f.Doc != nil {
				with = append(with, file)
			}
		}
		if len(p.GoFiles) > 0 {
			require.Len(t, with, 1, "package %q has its comment in %v: it needs exactly one", name, with)
		}
	}
}

// A function's dependencies are committed beside it: a new one is a decision that shows in review.
func TestDependenciesOfFunctions(t *testing.T) {
	root := repository(t)
	for _, f := range catalog.Backend().Functions() {
		cmd := exec.Command("go", "list", "-deps", "-tags", "lambda.norpc", "-f", "{{with .Module}}{{.Path}}{{end}}", artifact.Package(f.Key))
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
		out, err := cmd.Output()
		require.NoError(t, err)
		modules := strings.Fields(string(out))
		slices.Sort(modules)
		modules = slices.Compact(modules)
		golden.Compare(t, filepath.Join(root, artifact.Package(f.Key), "dependencies.txt"), []byte(strings.Join(modules, "\n")+"\n"))
	}
}

// Zips stay within the budget, and the linker still drops what is not called: an edge to ReflectMethod means that a
// dependency looks methods up by name, and that every exported method of every linked type is kept.
func TestSizeAndDeadCodeOfFunctions(t *testing.T) {
	root, out := repository(t), t.TempDir()
	var keys []string
	for _, f := range catalog.Backend().Functions() {
		keys = append(keys, f.Key)
	}
	require.NoError(t, artifact.Build(t.Context(), artifact.Options{Root: root, Out: out, Architecture: artifact.ARM64, Functions: keys}))
	for _, key := range keys {
		info, err := os.Stat(filepath.Join(out, key+".zip"))
		require.NoError(t, err)
		linked := dumpdep(t, root, key)
		require.NotContains(t, linked, "<ReflectMethod>", "%s: dead-code elimination is off", key)
		budget := int64(4_800_000)
		if strings.Contains(linked, "github.com/tink-crypto/") {
			budget = 6_200_000
		}
		t.Logf("%s.zip has %d bytes of at most %d", key, info.Size(), budget)
		require.LessOrEqual(t, info.Size(), budget, key)
	}
}

func dumpdep(t *testing.T, root, key string) string {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-dumpdep", "-o", os.DevNull, artifact.Package(key))
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out[:min(len(out), 2000)]))
	require.Contains(t, string(out), "main.main", "the linker's list of dependencies is empty")
	return string(out)
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	return root
}
