package telemetry_test

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/cache"
	"github.com/expenzez/aws-backend/internal/golden"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

func nan() float64 { return math.NaN() }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// requestLine is the line that ends a request which counted something.
func requestLine(t testing.TB, o telemetry.Options, count func(func(telemetry.Metric, float64))) []byte {
	t.Helper()
	var b bytes.Buffer
	o.Now = func() time.Time { return noon }
	ctx := telemetry.Begin(t.Context(), telemetry.New(&b, o), slog.String(telemetry.FieldRequestID, "r1"), slog.String(telemetry.FieldRoute, "/x"))
	count(func(m telemetry.Metric, v float64) { telemetry.Count(ctx, m, v) })
	telemetry.End(ctx, slog.LevelInfo, "request", slog.Int(telemetry.FieldStatus, 200))
	return b.Bytes()
}

// emfSchema is compiled once: a fuzzer needs it thousands of times.
var emfSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("testdata/emf.schema.json")
})

// validEMF holds a line to the specification: its schema, and the rules that the schema cannot say.
func validEMF(t testing.TB, line []byte) {
	t.Helper()
	schema, err := emfSchema()
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(doc))
	require.LessOrEqual(t, len(line), 256_000)
	root := object(t, line)
	for _, d := range root["_aws"].(map[string]any)["CloudWatchMetrics"].([]any) {
		directive := d.(map[string]any)
		require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9._/#:-]+$`), directive["Namespace"])
		for _, set := range directive["Dimensions"].([]any) {
			for _, name := range set.([]any) {
				value, ok := root[name.(string)].(string)
				require.True(t, ok, "dimension %s has no text at the root", name)
				require.NotEmpty(t, value)
				require.LessOrEqual(t, utf8.RuneCountInString(value), 1024)
			}
		}
		seen := map[string]bool{}
		for _, m := range directive["Metrics"].([]any) {
			name := m.(map[string]any)["Name"].(string)
			require.IsType(t, 0.0, root[name], "metric %s has no number at the root", name)
			require.False(t, seen[name], "metric %s is defined twice", name)
			require.Equal(t, 1, strings.Count(string(line), strconv.Quote(name)+":"), "metric %s has one value", name)
			seen[name] = true
		}
	}
}

func TestMetricsOfARequest(t *testing.T) {
	t.Parallel()
	line := requestLine(t, telemetry.Options{Environment: "dev", Service: "auth", Function: "auth-api", Version: "7"}, func(count func(telemetry.Metric, float64)) {
		count(telemetry.Requests, 1)
		count(telemetry.Duration, 12.5)
		count(telemetry.SecretCache.Hit(), 1)
		count(telemetry.SecretCache.Hit(), 2)
	})
	validEMF(t, line)
	golden.Compare(t, "testdata/request.golden.json", line)
}

func TestEveryMetricAtOnceIsValid(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]telemetry.Options{
		"all": {Service: "auth", Function: "auth-api"}, "none": {}, "service": {Service: "auth"}, "function": {Function: "auth-api"}} {
		line := requestLine(t, o, func(count func(telemetry.Metric, float64)) {
			for i, m := range telemetry.Metrics() {
				count(m.Name, float64(i))
			}
		})
		validEMF(t, line)
		got := object(t, line)
		for i, m := range telemetry.Metrics() {
			require.EqualValues(t, i, got[string(m.Name)], name)
		}
	}
}

func TestWhatIsNotCounted(t *testing.T) {
	t.Parallel()
	line := requestLine(t, telemetry.Options{}, func(count func(telemetry.Metric, float64)) {
		count("Unknown", 1)
		count("", 1)
		count(telemetry.Requests, math.NaN())
		count(telemetry.Requests, math.Inf(1))
		telemetry.Count(t.Context(), telemetry.Requests, 1) // no request
	})
	require.NotContains(t, string(line), "_aws")
	require.NotContains(t, string(line), "Unknown")
	sum := requestLine(t, telemetry.Options{}, func(count func(telemetry.Metric, float64)) {
		count(telemetry.Duration, math.MaxFloat64)
		count(telemetry.Duration, math.MaxFloat64)
	})
	validEMF(t, sum)
}

func TestMetricsAreWrittenOnceAndAtAnyLevel(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	ctx := telemetry.Begin(t.Context(), telemetry.New(&b, telemetry.Options{Level: slog.LevelError}))
	telemetry.Count(ctx, telemetry.Requests, 1)
	telemetry.End(ctx, slog.LevelInfo, "request")
	validEMF(t, b.Bytes())
	b.Reset()
	telemetry.Count(ctx, telemetry.Requests, 1)
	telemetry.End(ctx, slog.LevelInfo, "request")
	require.NotContains(t, b.String(), "_aws", "a request ends once")
}

// What hooks without a context count is in the metrics of the next request that ends, once.
func TestCountersOfTheSandbox(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.New(&b, telemetry.Options{Function: "f"})
	entries := cache.New(cache.Options[string, int]{Observe: telemetry.SecretCache.Observer(log.With("x", 1))})
	load := func(context.Context, string) (int, error) { return 1, nil }
	for range 3 {
		_, err := entries.GetOrLoad(t.Context(), "key", load)
		require.NoError(t, err)
	}
	opened := telemetry.Counter(log, telemetry.OpenAIBreaker.Opened())
	opened(1)
	opened(math.NaN())
	telemetry.Counter(log, "Unknown")(1)
	telemetry.Counter(slog.New(slog.DiscardHandler), telemetry.Requests)(1)
	ctx, other := telemetry.Begin(t.Context(), log), telemetry.Begin(t.Context(), log.WithGroup("g"))
	telemetry.Count(ctx, telemetry.SecretCache.Hit(), 5)
	telemetry.End(ctx, slog.LevelInfo, "request")
	validEMF(t, b.Bytes())
	got := object(t, b.Bytes())
	require.EqualValues(t, 7, got["SecretCacheHit"])
	require.EqualValues(t, 1, got["SecretCacheMiss"])
	require.EqualValues(t, 1, got["OpenAIBreakerOpened"])
	require.NotContains(t, got, "Unknown")
	require.NotContains(t, got, "Requests")
	b.Reset()
	opened(1)
	telemetry.End(ctx, slog.LevelInfo, "request")
	require.NotContains(t, b.String(), "_aws", "a request ends once")
	b.Reset()
	telemetry.End(other, slog.LevelInfo, "request")
	require.EqualValues(t, 1, object(t, b.Bytes())["OpenAIBreakerOpened"])
	require.NotContains(t, b.String(), "SecretCache")
}

// Nothing is lost and nothing counted twice when requests end while others count.
func TestCountersAreUsedByManyAtOnce(t *testing.T) {
	t.Parallel()
	const many, times = 8, 200
	var lines writes
	log := telemetry.New(&lines, telemetry.Options{})
	count := telemetry.Counter(log, telemetry.AWSRetries)
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			for range times {
				count(1)
				telemetry.End(telemetry.Begin(context.Background(), log), slog.LevelInfo, "request")
			}
		})
	}
	all.Wait()
	telemetry.End(telemetry.Begin(t.Context(), log), slog.LevelInfo, "request")
	sum := 0.0
	for _, l := range lines.lines {
		if n, ok := object(t, []byte(l))["AWSRetries"].(float64); ok {
			sum += n
		}
	}
	require.EqualValues(t, many*times, sum)
}

// Attributes that several requests share are not written to.
func TestSharedAttributesOfRequests(t *testing.T) {
	t.Parallel()
	shared := append(make([]slog.Attr, 0, 2), slog.String("x", "y"))
	ctx := context.WithValue(t.Context(), "x-amzn-trace-id", "Root="+root) //nolint:staticcheck // the runtime's own key
	telemetry.Begin(ctx, slog.New(slog.DiscardHandler), shared...)
	require.Zero(t, shared[:2][1])
}

// The constants and the two tables say the same.
func TestNamesAreOneList(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("names.go")
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", source, 0)
	require.NoError(t, err)
	constants := map[string][]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		kind := "Field"
		if typ, ok := spec.Type.(*ast.Ident); ok {
			kind = typ.Name
		} else if !strings.HasPrefix(spec.Names[0].Name, "Field") {
			return true
		}
		text, err := strconv.Unquote(value.Value)
		require.NoError(t, err)
		constants[kind] = append(constants[kind], text)
		return true
	})
	var fields, metrics, caches, breakers []string
	for _, f := range telemetry.Fields() {
		require.NotEmpty(t, f.Meaning, f.Name)
		fields = append(fields, f.Name)
		got := line(t, func(l *slog.Logger) { l.WithGroup("g").Info("m", f.Name, "x") })
		if f.ID {
			require.Equal(t, "x", got[f.Name], "an id is at the root")
		} else {
			require.Equal(t, map[string]any{f.Name: "x"}, got["g"], "the name of a field is not private")
		}
	}
	for _, c := range telemetry.Caches() {
		caches = append(caches, string(c))
		constants["Metric"] = append(constants["Metric"], string(c.Hit()), string(c.Miss()))
	}
	for _, b := range telemetry.Breakers() {
		breakers = append(breakers, string(b))
		constants["Metric"] = append(constants["Metric"], string(b.Opened()), string(b.HalfOpened()), string(b.Closed()), string(b.Rejected()))
	}
	require.LessOrEqual(t, len(telemetry.Metrics()), 100, "a line may have no more")
	for _, m := range telemetry.Metrics() {
		require.NotEmpty(t, m.Meaning, m.Name)
		require.NotEmpty(t, m.Unit, m.Name)
		require.Regexp(t, `^[A-Z][A-Za-z0-9]*$`, string(m.Name))
		metrics = append(metrics, string(m.Name))
	}
	require.ElementsMatch(t, constants["Field"], fields)
	require.ElementsMatch(t, constants["Metric"], metrics)
	require.ElementsMatch(t, constants["Cache"], caches)
	require.ElementsMatch(t, constants["Breaker"], breakers)
	require.NotContains(t, fields, "", "names are not empty")
}
