package rest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 64)
	cases := map[string]struct {
		value, key string
		ok         bool
	}{
		"bare":                      {"12345678", "12345678", true},
		"quoted":                    {`"12345678"`, "12345678", true},
		"uuid":                      {`"8e03978e-40d5-43dd-bc93-6894a57f9324"`, "8e03978e-40d5-43dd-bc93-6894a57f9324", true},
		"spaces_around":             {"  12345678 ", "12345678", true},
		"spaces_around_quotes":      {` "12345678"  `, "12345678", true},
		"every_visible_character":   {"!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", true},
		"longest":                   {long, long, true},
		"longest_quoted":            {`"` + long + `"`, long, true},
		"escaped_quote":             {`"1234567\""`, `1234567"`, true},
		"escaped_backslash":         {`"1234567\\"`, `1234567\`, true},
		"longest_by_what_it_says":   {`"` + long[1:] + `\\"`, long[1:] + `\`, true},
		"short":                     {"1234567", "", false},
		"short_quoted":              {`"1234567"`, "", false},
		"short_by_what_it_says":     {`"123456\""`, "", false},
		"long":                      {long + "k", "", false},
		"long_quoted":               {`"` + long + `k"`, "", false},
		"empty_string":              {`""`, "", false},
		"a_quote":                   {`"`, "", false},
		"no_end":                    {`"12345678`, "", false},
		"no_beginning":              {`12345678"`, "", false},
		"quote_within":              {`1234"5678`, "", false},
		"more_after_the_string":     {`"12345678"9`, "", false},
		"two_strings":               {`"12345678", "12345678"`, "", false},
		"parameters":                {`"12345678";v=1`, "", false},
		"escape_of_something":       {`"1234567\n"`, "", false},
		"escape_of_nothing":         {`"12345678\`, "", false},
		"escape_without_quotes":     {`1234567\\`, "", false},
		"space_within":              {"1234 5678", "", false},
		"space_within_quotes":       {`"1234 5678"`, "", false},
		"tab":                       {"1234\t5678", "", false},
		"line_feed":                 {"12345678\n", "", false},
		"control_character_escaped": {"\"1234567\\\x7f\"", "", false},
		"not_ascii":                 {"1234567é", "", false},
		"not_ascii_quoted":          {`"1234567é"`, "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, ok := parseKey(c.value)
			require.Equal(t, c.ok, ok)
			if ok {
				require.Equal(t, c.key, key)
			}
		})
	}
}

// What is accepted is what a pattern says that was written apart from the parser, and both notations of a key are the key.
func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"12345678", `"12345678"`, `"123456\"\\"`, ` "12345678" `, `"12345678";a`, `12"345678`, `"\`, "é2345678"} {
		f.Add(seed)
	}
	accepted := regexp.MustCompile(`^ *(?:([!#-\[\]-~]{8,64})|"((?:[!#-\[\]-~]|\\["\\]){8,64})") *$`)
	unescape := strings.NewReplacer(`\"`, `"`, `\\`, `\`)
	escape := strings.NewReplacer(`"`, `\"`, `\`, `\\`)
	f.Fuzz(func(t *testing.T, value string) {
		key, ok := parseKey(value)
		parts := accepted.FindStringSubmatch(value)
		require.Equal(t, parts != nil, ok)
		if !ok {
			return
		}
		require.Equal(t, parts[1]+unescape.Replace(parts[2]), key)
		again, ok := parseKey(`"` + escape.Replace(key) + `"`)
		require.True(t, ok)
		require.Equal(t, key, again)
	})
}
