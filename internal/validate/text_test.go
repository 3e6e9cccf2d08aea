package validate_test

import (
	"strings"
	"testing"

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
