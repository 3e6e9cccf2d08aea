package validate_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/validate"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ body, code string }{
		"nothing":               {"", "malformed_json"},
		"space_only":            {" \n", "malformed_json"},
		"bad_utf8":              {"{\"a\":\"\xff\"}", "not_utf8"},
		"bad_utf8_name":         {"{\"\xc3(\":1}", "not_utf8"},
		"bom":                   {"\ufeff{}", "malformed_json"},
		"nul":                   {"{}\x00", "trailing_data"},
		"word":                  {"hello", "malformed_json"},
		"wrong_case_literal":    {"True", "malformed_json"},
		"short_literal":         {"tru", "malformed_json"},
		"literal_runs_on":       {"nullx", "trailing_data"},
		"two_values":            {"{} {}", "trailing_data"},
		"trailing_brace":        {"{}}", "trailing_data"},
		"open_object":           {"{", "malformed_json"},
		"open_array":            {"[1", "malformed_json"},
		"open_string":           {`{"a":"b`, "malformed_json"},
		"open_escape":           {`"\`, "malformed_json"},
		"open_unicode":          {`"\u12`, "malformed_json"},
		"name_without_quotes":   {"{a:1}", "malformed_json"},
		"single_quotes":         {"{'a':1}", "malformed_json"},
		"no_colon":              {`{"a" 1}`, "malformed_json"},
		"no_value":              {`{"a":}`, "malformed_json"},
		"no_comma":              {`{"a":1 "b":2}`, "malformed_json"},
		"comma_at_end":          {`{"a":1,}`, "malformed_json"},
		"comma_at_end_of_array": {`[1,]`, "malformed_json"},
		"comma_twice":           {`[1,,2]`, "malformed_json"},
		"comment":               {`{} // x`, "trailing_data"},
		"duplicate":             {`{"a":1,"a":2}`, "duplicate_member"},
		"duplicate_escaped":     {`{"a":1,"\u0061":2}`, "duplicate_member"},
		"duplicate_nested":      {`{"x":[{"a":1,"a":1}]}`, "duplicate_member"},
		"control_in_string":     {"\"a\nb\"", "malformed_json"},
		"control_after_escape":  {"\"\\ta\nb\"", "malformed_json"},
		"unknown_escape":        {`"\x41"`, "malformed_json"},
		"bad_hex":               {`"\u00g0"`, "malformed_json"},
		"high_surrogate_alone":  {`"\ud800"`, "malformed_json"},
		"low_surrogate_alone":   {`"\udc00x"`, "malformed_json"},
		"two_high_surrogates":   {`"\ud800\ud800"`, "malformed_json"},
		"leading_zero":          {"01", "trailing_data"},
		"plus":                  {"+1", "malformed_json"},
		"minus_alone":           {"-", "malformed_json"},
		"point_first":           {".5", "malformed_json"},
		"point_last":            {"1.", "malformed_json"},
		"exponent_empty":        {"1e", "malformed_json"},
		"exponent_sign_only":    {"1e+", "malformed_json"},
		"infinity":              {"Infinity", "malformed_json"},
		"not_a_number":          {"NaN", "malformed_json"},
		"long_number":           {strings.Repeat("1", validate.MaxNumber+1), "number_too_long"},
		"deep_objects":          {strings.Repeat(`{"a":`, validate.MaxDepth+1) + "1" + strings.Repeat("}", validate.MaxDepth+1), "too_deep"},
		"deep_arrays":           {strings.Repeat("[", 100_000), "too_deep"},
		"many_members":          {members(validate.MaxNames + 1), "too_many_members"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := validate.Parse([]byte(c.body))
			var e *apperr.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, apperr.Invalid, e.Kind)
			require.Equal(t, c.code, e.Code)
		})
	}
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

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	deepest := strings.Repeat("[", validate.MaxDepth) + strings.Repeat("]", validate.MaxDepth)
	for _, body := range []string{
		`{}`, `[]`, `""`, ` { "a" : [ 1 , -0.5e+10 , true , false , null , "x" ] } `, deepest, members(validate.MaxNames),
		`"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"`, `"\ufffd"`, strings.Repeat("1", validate.MaxNumber), `-0`,
	} {
		got, err := validate.Parse([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, standard(t, body), got)
	}
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

// What Parse accepts is JSON and means what encoding/json says; what it refuses as malformed is no JSON, or has a
// lone surrogate.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e-3,"x\u00e9",{"b":null}]}`, `{"a":1,"a":2}`, `"\ud800"`, `[1,]`, "\"\xff\"", `-0.0E+0`, `{"":""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := validate.Parse(body)
		if err == nil {
			d := json.NewDecoder(bytes.NewReader(body))
			d.UseNumber()
			var want any
			if err := d.Decode(&want); err != nil || !json.Valid(body) {
				t.Fatalf("accepted what encoding/json refuses: %q: %v", body, err)
			}
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("%q: %#v, encoding/json says %#v", body, got, want)
			}
			return
		}
		if e := apperr.From(err); (e.Code == "malformed_json" || e.Code == "trailing_data") && json.Valid(body) && !bytes.Contains(body, []byte(`\u`)) {
			t.Fatalf("refused valid JSON: %q: %v", body, e.Detail)
		}
	})
}

func BenchmarkBody(b *testing.B) {
	s := compile(b, person)
	body := []byte(`{"name":"Ada","age":36,"admin":true,"color":"red","pets":[{"kind":"cat"},{"kind":"dog"}],"home":{"kind":"flat"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Body(body); err != nil {
			b.Fatal(err)
		}
	}
}
