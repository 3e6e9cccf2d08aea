package telemetry_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

const root = "1-5759e988-bd862e3fe1be46a994272793"

func TestParseTrace(t *testing.T) {
	t.Parallel()
	full := telemetry.Trace{Root: root, Parent: "53995c3f42cd8ad8", Sampled: true}
	cases := map[string]struct {
		header string
		want   telemetry.Trace
		ok     bool
	}{
		"lambda":             {"Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1;Lineage=25:a87bd80c:1", full, true},
		"blanks":             {" Sampled=1 ; Parent=53995c3f42cd8ad8; Root=" + root, full, true},
		"unsampled":          {"Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=0", telemetry.Trace{Root: root, Parent: full.Parent}, true},
		"undecided":          {"Root=" + root + ";Sampled=?", telemetry.Trace{Root: root}, true},
		"root_only":          {"Root=" + root, telemetry.Trace{Root: root}, true},
		"self":               {"Self=1-67891234-12456789abcdef012345678;Root=" + root, telemetry.Trace{Root: root}, true},
		"sampled_otherwise":  {"Root=" + root + ";Sampled=true", telemetry.Trace{Root: root}, true},
		"empty":              {"", telemetry.Trace{}, false},
		"no_root":            {"Parent=53995c3f42cd8ad8;Sampled=1", telemetry.Trace{}, false},
		"upper_case_name":    {"ROOT=" + root, telemetry.Trace{}, false},
		"upper_case_digits":  {"Root=" + strings.ToUpper(root), telemetry.Trace{}, false},
		"other_version":      {"Root=2" + root[1:], telemetry.Trace{}, false},
		"short_root":         {"Root=" + root[:34], telemetry.Trace{}, false},
		"dash_moved":         {"Root=1-5759e98-8bd862e3fe1be46a994272793", telemetry.Trace{}, false},
		"not_hexadecimal":    {"Root=1-5759e988-bd862e3fe1be46a99427279g", telemetry.Trace{}, false},
		"short_parent":       {"Root=" + root + ";Parent=53995c3f42cd8ad", telemetry.Trace{}, false},
		"parent_not_hex":     {"Root=" + root + ";Parent=53995c3f42cd8adX", telemetry.Trace{}, false},
		"root_repeated":      {"Root=" + root + ";Root=" + root, telemetry.Trace{}, false},
		"sampled_repeated":   {"Root=" + root + ";Sampled=0;Sampled=1", telemetry.Trace{}, false},
		"commas":             {"Root=" + root + ",Sampled=1", telemetry.Trace{}, false},
		"longer_than_a_line": {"Root=" + root + ";" + strings.Repeat("x", 1024), telemetry.Trace{}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := telemetry.ParseTrace(c.header)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.want, got)
		})
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add("Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1")
	f.Add("Root=;Parent=;Sampled=")
	f.Add(";;;=")
	f.Fuzz(func(t *testing.T, header string) {
		got, ok := telemetry.ParseTrace(header)
		if !ok {
			require.Zero(t, got)
			return
		}
		require.Regexp(t, `^1-[0-9a-f]{8}-[0-9a-f]{24}$`, got.Root)
		require.Regexp(t, `^([0-9a-f]{16})?$`, got.Parent)
		require.Contains(t, header, "Root="+got.Root)
		again := "Root=" + got.Root
		if got.Parent != "" {
			again += ";Parent=" + got.Parent
		}
		if got.Sampled {
			again += ";Sampled=1"
		}
		back, ok := telemetry.ParseTrace(again)
		require.True(t, ok)
		require.Equal(t, got, back)
	})
}
