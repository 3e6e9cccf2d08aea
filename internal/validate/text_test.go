package validate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/validate"
)

func TestEmail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	cases := map[string]struct{ in, want string }{
		"plain":             {"ada@example.com", "ada@example.com"},
		"case":              {"Ada.L+tag@EXAMPLE.Com", "ada.l+tag@example.com"},
		"punycode":          {"a@xn--bcher-kva.example", "a@xn--bcher-kva.example"},
		"longest_label":     {"a@" + long + ".com", "a@" + long + ".com"},
		"no_at":             {"ada.example.com", ""},
		"no_local":          {"@example.com", ""},
		"no_domain":         {"ada@", ""},
		"one_label":         {"ada@localhost", ""},
		"two_ats":           {"ada@b@example.com", ""},
		"space":             {"ada @example.com", ""},
		"outer_space":       {" ada@example.com", ""},
		"newline":           {"ada@example.com\n", ""},
		"header_injection":  {"ada@example.com\r\nBcc: x@y.com", ""},
		"control":           {"a\x00da@example.com", ""},
		"dot_first":         {".ada@example.com", ""},
		"dots":              {"a..da@example.com", ""},
		"quoted":            {`"ada l"@example.com`, ""},
		"angle":             {"<ada@example.com>", ""},
		"comma":             {"ada@example.com,b@example.com", ""},
		"non_ascii_local":   {"ädä@example.com", ""},
		"non_ascii_domain":  {"ada@bücher.example", ""},
		"kelvin_sign":       {"ada@example.\u212aom", ""},
		"dash_first":        {"ada@-example.com", ""},
		"dash_last":         {"ada@example-.com", ""},
		"empty_label":       {"ada@example..com", ""},
		"dot_last":          {"ada@example.com.", ""},
		"address_literal":   {"ada@[127.0.0.1]", ""},
		"long_local":        {strings.Repeat("a", 65) + "@example.com", ""},
		"long_label":        {"a@" + long + "a.com", ""},
		"long_domain":       {"a@" + strings.Repeat(long+".", 4) + "com", ""},
		"empty":             {"", ""},
		"ip_address":        {"ada@192.0.2.1", ""},
		"number_at_end":     {"ada@example.1", ""},
		"number_before_end": {"ada@1.example", "ada@1.example"},
		"longest":           {strings.Repeat("a", 64) + "@" + long + "." + long + "." + strings.Repeat("a", 61), strings.Repeat("a", 64) + "@" + long + "." + long + "." + strings.Repeat("a", 61)},
		"too_long":          {strings.Repeat("a", 64) + "@" + long + "." + long + "." + strings.Repeat("a", 62), ""},
		"underscore_domain": {"ada@ex_ample.com", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, code := validate.Email(c.in)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == "", code == validate.CodeEmail)
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		in, want string
		ok       bool
	}{
		"plain":          {"Lunch", "Lunch", true},
		"empty":          {"", "", true},
		"spaces":         {"  two \t\n words\u00a0\u3000here ", "two words here", true},
		"composed":       {"Cafe\u0301", "Café", true},
		"html_stays":     {"<b>&", "<b>&", true},
		"emoji":          {"👩‍👩‍👧 trip", "👩‍👩‍👧 trip", true},
		"hebrew_mark":    {"שלום\u200f!", "שלום\u200f!", true},
		"nul":            {"a\x00b", "", false},
		"escape":         {"a\x1b[31m", "", false},
		"delete":         {"a\x7f", "", false},
		"c1":             {"a\u0085b", "", false},
		"override":       {"invoice\u202egpj.exe", "", false},
		"isolate":        {"a\u2066b", "", false},
		"end_of_isolate": {"a\u2069", "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, code := validate.Text(c.in, validate.Size{})
			require.Equal(t, c.want, got)
			require.Equal(t, c.ok, code == "")
		})
	}
}

// Sizes count what is stored, in characters and in bytes.
func TestSizes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		in   string
		most validate.Size
		ok   bool
	}{
		"runes":                    {"abc", validate.Size{Runes: 3}, true},
		"runes_beyond":             {"abcd", validate.Size{Runes: 3}, false},
		"runes_are_not_bytes":      {"äöü", validate.Size{Runes: 3}, true},
		"four_bytes_each":          {"😀😀😀", validate.Size{Runes: 3}, true},
		"bytes":                    {"äöü", validate.Size{Bytes: 6}, true},
		"bytes_beyond":             {"äöüa", validate.Size{Bytes: 6}, false},
		"bytes_before_runes":       {"😀😀", validate.Size{Runes: 3, Bytes: 7}, false},
		"runes_before_bytes":       {"abcd", validate.Size{Runes: 3, Bytes: 7}, false},
		"outer_space_is_not_there": {"   abc   ", validate.Size{Runes: 3}, true},
		"marks_count":              {"a\u0316\u0317\u0318", validate.Size{Runes: 3}, false},
		"taken_apart":              {"\u0958", validate.Size{Runes: 1}, false}, // NFC makes two of it
		"no_bound":                 {strings.Repeat("a", 10_000), validate.Size{}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := validate.CodeLong
			if c.ok {
				want = ""
			}
			clean, code := validate.Text(c.in, c.most)
			require.Equal(t, want, code)
			require.Equal(t, c.ok, clean != "")
			if name == "outer_space_is_not_there" || name == "taken_apart" {
				return // prose keeps both as they are
			}
			clean, code = validate.Prose(c.in, c.most)
			require.Equal(t, want, code)
			require.Equal(t, c.ok, clean != "")
		})
	}
}

func TestPhone(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"plain":               {"+14155550100", "+14155550100"},
		"blanks":              {"+44 20 7946 0018", "+442079460018"},
		"hyphens_and_dots":    {"+1-415.555-0100", "+14155550100"},
		"no_break_space":      {"+44\u00a020\u00a079460018", "+442079460018"},
		"shortest":            {"+1234567", "+1234567"},
		"longest":             {"+123456789012345", "+123456789012345"},
		"too_short":           {"+123456", ""},
		"too_long":            {"+1234567890123456", ""},
		"too_long_with_space": {"+1234567" + strings.Repeat(" ", 60) + "8", ""},
		"no_plus":             {"14155550100", ""},
		"national":            {"0207 946 0018", ""},
		"two_zeros":           {"0044 20 7946 0018", ""},
		"zero_first":          {"+0442079460018", ""},
		"trunk_zero":          {"+44 (0)20 7946 0018", ""},
		"parentheses":         {"+1 (415) 555-0100", ""},
		"plus_twice":          {"++14155550100", ""},
		"plus_within":         {"+1415+5550100", ""},
		"letters":             {"+1415FLOWERS", ""},
		"extension":           {"+14155550100;ext=1", ""},
		"scheme":              {"tel:+14155550100", ""},
		"space_before":        {" +14155550100", ""},
		"space_after_plus":    {"+ 14155550100", ""},
		"space_at_end":        {"+14155550100 ", ""},
		"tab":                 {"+1415\t5550100", ""},
		"control":             {"+1415\x005550100", ""},
		"not_utf8":            {"+1415\xff5550100", ""},
		"other_digits":        {"+\u0661\u0662\u0663\u0664\u0665\u0666\u0667", ""},
		"only_plus":           {"+", ""},
		"empty":               {"", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, code := validate.Phone(c.in)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == "", code == validate.CodePhone)
		})
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"utc":                 {"2026-01-31T12:34:56Z", "2026-01-31T12:34:56Z"},
		"offset":              {"2026-01-31T23:34:56-05:30", "2026-02-01T05:04:56Z"},
		"unknown_offset":      {"2026-01-31T12:34:56-00:00", "2026-01-31T12:34:56Z"},
		"fraction":            {"2026-01-31T12:34:56.5Z", "2026-01-31T12:34:56.5Z"},
		"nanoseconds":         {"2026-01-31T12:34:56.123456789+00:00", "2026-01-31T12:34:56.123456789Z"},
		"leap_day":            {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
		"largest_offset":      {"2026-01-31T12:00:00+23:59", "2026-01-30T12:01:00Z"},
		"picoseconds":         {"2026-01-31T12:34:56.1234567890Z", ""},
		"fraction_empty":      {"2026-01-31T12:34:56.Z", ""},
		"fraction_comma":      {"2026-01-31T12:34:56,5Z", ""},
		"fraction_only":       {"2026-01-31T12:34:56.5", ""},
		"no_zone":             {"2026-01-31T12:34:56", ""},
		"zone_without_colon":  {"2026-01-31T12:34:56+0100", ""},
		"zone_of_hours":       {"2026-01-31T12:34:56+01", ""},
		"zone_name":           {"2026-01-31T12:34:56CET", ""},
		"zone_twice":          {"2026-01-31T12:34:56ZZ", ""},
		"zone_of_24_hours":    {"2026-01-31T12:34:56+24:00", ""},
		"zone_of_60_minutes":  {"2026-01-31T12:34:56+01:60", ""},
		"lower_case":          {"2026-01-31t12:34:56z", ""},
		"blank_for_t":         {"2026-01-31 12:34:56Z", ""},
		"no_seconds":          {"2026-01-31T12:34Z", ""},
		"hour_of_one_digit":   {"2026-01-31T1:34:56Z", ""},
		"hour_24":             {"2026-01-31T24:00:00Z", ""},
		"minute_60":           {"2026-01-31T12:60:00Z", ""},
		"leap_second":         {"2016-12-31T23:59:60Z", ""},
		"no_such_day":         {"2026-02-30T12:00:00Z", ""},
		"no_leap_year":        {"2100-02-29T12:00:00Z", ""},
		"day_only":            {"2026-01-31", ""},
		"year_of_five_digits": {"12026-01-31T12:34:56Z", ""},
		"before_the_year_0":   {"0000-01-01T00:00:00+00:01", ""},
		"after_the_year_9999": {"9999-12-31T23:59:59-00:01", ""},
		"epoch":               {"1769862896", ""},
		"space_at_end":        {"2026-01-31T12:34:56Z ", ""},
		"other_digits":        {"2026-01-31T12:34:5\uff16Z", ""},
		"empty":               {"", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, code := validate.Time(c.in)
			if c.want == "" {
				require.Equal(t, validate.CodeTime, code)
				require.True(t, got.IsZero())
				return
			}
			require.Empty(t, code)
			require.Equal(t, c.want, got.Format(time.RFC3339Nano))
		})
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{
		"2026-01-31": true, "2024-02-29": true, "0000-02-29": true, "9999-12-31": true,
		"2026-02-29": false, "1900-02-29": false, "2026-04-31": false, "2026-00-10": false, "2026-13-01": false, "2026-01-00": false, "2026-01-32": false,
		"2026-1-31": false, "2026-01-1": false, "26-01-31": false, "12026-01-31": false, "-026-01-31": false, "+026-01-31": false,
		"20260131": false, "2026/01/31": false, "31-01-2026": false, "2026-01-31T00:00:00Z": false, "2026-01-31 ": false, " 2026-01-31": false,
		"2026-01-31\n": false, "2026-W05-6": false, "2026-031": false, "２０２６-０１-３１": false, "": false,
	} {
		got, code := validate.Date(in)
		require.Equal(t, ok, code == "", in)
		if ok {
			require.Equal(t, in+"T00:00:00Z", got.Format(time.RFC3339))
		} else {
			require.Equal(t, validate.CodeDate, code)
			require.True(t, got.IsZero())
		}
	}
}
