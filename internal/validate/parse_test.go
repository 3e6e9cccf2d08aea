package validate_test

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/catalog"
	"github.com/expenzez/aws-backend/internal/validate"
)

// What is too long to write down, beside the corpus.
func TestParseHoldsItsBounds(t *testing.T) {
	t.Parallel()
	nested := func(open, inside, end string, n int) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(end, n)
	}
	cases := map[string]struct{ most, beyond, code string }{
		"depth_of_arrays":       {nested("[", "", "]", validate.MaxDepth), nested("[", "", "]", validate.MaxDepth+1), "too_deep"},
		"depth_of_values":       {nested("[", "1", "]", validate.MaxDepth), nested("[", "1", "]", validate.MaxDepth+1), "too_deep"},
		"depth_of_objects":      {nested(`{"a":`, "{}", "}", validate.MaxDepth-1), nested(`{"a":`, "{}", "}", validate.MaxDepth), "too_deep"},
		"depth_of_both":         {nested(`[{"a":`, "0", "}]", validate.MaxDepth/2), nested(`[{"a":`, "[]", "}]", validate.MaxDepth/2), "too_deep"},
		"depth_without_end":     {"[]", strings.Repeat("[", 100_000), "too_deep"},
		"members":               {members(validate.MaxNames), members(validate.MaxNames + 1), "too_many_members"},
		"members_of_many":       {items(`{"a":0,"b":0,"c":0}`, validate.MaxNames/3), "[" + items(`{"a":0,"b":0,"c":0}`, validate.MaxNames/3-2) + `,{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0}]`, "too_many_members"},
		"items":                 {items("0", validate.MaxItems), items("0", validate.MaxItems+1), "too_many_items"},
		"items_of_many":         {"[" + items("0", validate.MaxItems-1) + "]", "[" + items("0", validate.MaxItems) + "]", "too_many_items"},
		"characters_of_numbers": {strings.Repeat("1", validate.MaxNumber), strings.Repeat("1", validate.MaxNumber+1), "number_too_long"},
		"digits_without_end":    {"1", strings.Repeat("1", 100_000), "number_too_long"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := validate.Parse([]byte(c.most))
			require.NoError(t, err)
			require.Equal(t, standard(t, c.most), got)
			_, err = validate.Parse([]byte(c.beyond))
			require.Equal(t, c.code, apperr.From(err).Problem("").Code)
		})
	}
}

func items(item string, n int) string {
	return "[" + strings.Repeat(item+",", n-1) + item + "]"
}

func members(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.Repeat("x", i+1) + `":0`)
	}
	return b.String() + "}"
}

func standard(t *testing.T, body string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	return v
}

func TestParseNeverRepeatsTheBody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"secret-name":hunter2}`, `{"hunter2":1,"hunter2":2}`, `{"a":"hunter2`, `hunter2`} {
		_, err := validate.Parse([]byte(body))
		var e *apperr.Error
		require.ErrorAs(t, err, &e)
		require.NotContains(t, string(e.Render("")), "hunter2")
		require.NotContains(t, e.Error(), "hunter2")
	}
}

// Memory is bounded before anything is made of a body: by its size, and by the members and items that may be in it.
// It is not parallel, since it measures what the process allocates.
func TestParseAllocatesInProportion(t *testing.T) {
	const size = 256 << 10 // far above what rest lets through
	fill := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	cases := map[string]struct {
		body  string
		times int // how often the body's size may be allocated
		most  int // bytes beside that
	}{
		"a_string":            {`"` + fill("a") + `"`, 1, 1 << 10},
		"a_string_of_escapes": {`"` + fill(`\n`) + `"`, 3, 1 << 10},
		"a_string_open":       {`"` + fill(`\n`), 3, 1 << 10},
		"a_name":              {`{"` + fill("a") + `":1}`, 1, 2 << 10},
		"a_number":            {fill("1"), 0, 1 << 10},
		"arrays_within":       {fill("["), 0, 4 << 10},
		"objects_within":      {fill(`{"a":`), 0, 8 << 10},
		"empty_arrays":        {"[" + fill("[],"), 0, 256 << 10},
		"empty_objects":       {"[" + fill("{},"), 0, 256 << 10},
		"numbers":             {"[" + fill("0,"), 0, 256 << 10},
		"members":             {members(2 * validate.MaxNames)[:size], 1, 256 << 10},
		"names_repeated":      {"{" + fill(`"a":0,`), 0, 4 << 10},
		"space":               {fill(" "), 0, 1 << 10},
		"not_utf8":            {fill("\xff"), 0, 1 << 10},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			body := []byte(c.body)
			require.InDelta(t, size, len(body), 64)
			got := allocated(func() { _, _ = validate.Parse(body) })
			require.LessOrEqual(t, got, uint64(c.times*len(body)+c.most))
			t.Logf("%d bytes for a body of %d", got, len(body))
		})
	}
}

// allocated is how many bytes a call allocates on the heap, the least of some runs.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// The body of a new transaction, and what is done with its texts.
func BenchmarkBody(b *testing.B) {
	body := []byte(`{"amount":"-12.34","currency":"EUR","category":"groceries","date":"2026-01-31","description":"Bread & butter"}`)
	var s *validate.Schema
	for _, r := range catalog.Backend().Routes() {
		if r.ID == "createTransaction" {
			s = compile(b, *r.Request)
		}
	}
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := validate.Parse(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Parse+Schema", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Body(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, code := validate.Text("Bread & butter", validate.Size{Runes: 200}); code != "" {
				b.Fatal(code)
			}
		}
	})
}
