package bench

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/artifact"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/service"
)

// BenchmarkStart measures from the start of a process to its first call of the Lambda Runtime API, as p50-ms. A function
// must stay within 3.5 times bare and 1.6 times clients.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	bare := build(b, ".", "./start/bare", filepath.Join(dir, "bare"))
	clients := build(b, ".", "./start/clients", filepath.Join(dir, "clients"))
	for _, f := range catalog.Backend().Functions() {
		file := build(b, "..", artifact.Package(f.Key), filepath.Join(dir, f.Key))
		b.Run(f.Key, func(b *testing.B) {
			b.Run("ours", func(b *testing.B) { start(b, file, environment(f)) })
			b.Run("bare", func(b *testing.B) { start(b, bare, nil) })
			b.Run("clients", func(b *testing.B) { start(b, clients, nil) })
		})
	}
}

func build(b *testing.B, dir, pkg, out string) string {
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w -buildid=", "-o", out, pkg)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+runtime.GOARCH)
	text, err := cmd.CombinedOutput()
	require.NoError(b, err, string(text))
	return out
}

// environment is what a deployment tells a function, with values that have the right form.
func environment(f service.Function) []string {
	all := []string{"EXPENZEZ_ENVIRONMENT=dev", "TOKEN_ISSUER=https://api.example.com", "ALLOWED_ORIGINS=https://app.example.com"}
	for _, v := range service.Environment(f) {
		value := "x-" + strings.ToLower(v.Name)
		if v.Limit != service.LimitNone {
			value = "120/60"
		}
		all = append(all, v.Name+"="+value)
	}
	return all
}

func start(b *testing.B, file string, environment []string) {
	asked := make(chan time.Time, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/invocation/next") {
			asked <- time.Now()
		}
		<-r.Context().Done() // there is no work
	}))
	defer api.Close()
	var took []time.Duration
	for b.Loop() {
		cmd := exec.Command(file)
		cmd.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"), "GOMAXPROCS=1", "AWS_REGION=eu-west-2",
			"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret"}, environment...)
		cmd.Stderr = os.Stderr
		began := time.Now()
		require.NoError(b, cmd.Start())
		select {
		case at := <-asked:
			took = append(took, at.Sub(began))
		case <-time.After(10 * time.Second):
			require.FailNow(b, "the function never asked for work")
		}
		require.NoError(b, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		api.CloseClientConnections()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}
