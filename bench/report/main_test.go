package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const printed = `goos: linux
BenchmarkSeal/ours-2         	 1000	       300.0 ns/op	      64 B/op	       2 allocs/op
BenchmarkSeal/raw_AES-GCM-2  	 2000	       150.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkSeal/ours-2         	 1000	       500.0 ns/op	      64 B/op	       2 allocs/op
BenchmarkSeal/raw_AES-GCM-2  	 2000	       250.0 ns/op	       0 B/op	       0 allocs/op
BenchmarkRequest/ours-2      	 1000	     90000 ns/op
PASS
`

func TestTableHoldsMeansAndRatios(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(strings.NewReader(printed), &out))
	require.True(t, strings.HasPrefix(out.String(), printed), "what was printed is passed on")
	require.Regexp(t, `Seal +ns/op +400 +raw_AES-GCM +200 +2\.00`, out.String())
	require.Regexp(t, `Seal +allocs/op +2 +raw_AES-GCM +0 +∞`, out.String())
	require.Regexp(t, `Request +ns/op +9e\+04`, out.String())
}

func TestWhatFailedMakesNoTable(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{"nothing": "", "no_result": "PASS\n", "failed": printed + "FAIL\n", "panic": "panic: x\n" + printed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			require.Error(t, run(strings.NewReader(in), &out))
			require.NotContains(t, out.String(), "ours / its")
		})
	}
}
