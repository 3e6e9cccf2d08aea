package validate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/money"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/validate"
)

// corpus reads a file of cases: each line has a name, n fields, and Go strings wherever a field is quoted.
func corpus(t testing.TB, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := split(t, line)
		require.NotContains(t, all, fields[0], "two cases have one name")
		all[fields[0]] = fields[1:]
	}
	return all
}

// split takes a line apart at blanks and reads what is quoted.
func split(t testing.TB, line string) (fields []string) {
	t.Helper()
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			word, rest, _ := strings.Cut(line, " ")
			fields, line = append(fields, word), rest
			continue
		}
		text, err := strconv.Unquote(quoted)
		require.NoError(t, err)
		fields, line = append(fields, text), line[len(quoted):]
	}
	return fields
}

func TestJSONCorpus(t *testing.T) {
	t.Parallel()
	cases := corpus(t, "testdata/json.txt")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, body := c[0], []byte(c[1])
			got, err := validate.Parse(body)
			require.Equal(t, name[0] != 'n', json.Valid(body), "what encoding/json says decides the category")
			if name[0] == 'y' {
				require.Equal(t, "ok", code)
				require.NoError(t, err)
				require.Equal(t, standard(t, string(body)), got)
				return
			}
			e := apperr.From(err)
			require.NotNil(t, e, "it was accepted")
			require.Equal(t, apperr.Invalid, e.Kind)
			require.Equal(t, code, e.Code)
		})
	}
	count := map[byte]int{}
	for name := range cases {
		count[name[0]]++
	}
	require.Len(t, count, 3, "categories are y, n and i")
}

var hostile = service.Model{Name: "Hostile", Fields: []service.Field{
	{Name: "name", Type: service.String, Required: true, Min: 1, Max: 40},
	{Name: "slug", Type: service.String, Pattern: `^[a-z0-9]+(-[a-z0-9]+)*$`},
	{Name: "count", Type: service.Integer, Min: 1, Max: 100},
	{Name: "amount", Type: service.String, Pattern: `^-?[0-9]+(\.[0-9]+)?$`},
}}

// places are what input is sent through, by the name that the corpus uses.
func places(t testing.TB) map[string]func(string) (clean, code string) {
	schema := compile(t, hostile)
	return map[string]func(string) (string, string){
		"text":  func(s string) (string, string) { return validate.Text(s, validate.Size{Runes: 200}) },
		"prose": func(s string) (string, string) { return validate.Prose(s, validate.Size{Runes: 200}) },
		"email": validate.Email,
		"phone": validate.Phone,
		"time": func(s string) (string, string) {
			at, code := validate.Time(s)
			return at.Format("2006-01-02T15:04:05Z07:00"), code
		},
		"date": func(s string) (string, string) { day, code := validate.Date(s); return day.Format("2006-01-02"), code },
		"amount": func(s string) (string, string) {
			_, err := money.Parse(s, "USD")
			return s, moneyCode(err)
		},
		"currency": func(s string) (string, string) {
			_, err := money.Parse("1", s)
			return s, moneyCode(err)
		},
		"body": func(s string) (string, string) {
			_, err := schema.Body([]byte(s))
			switch e := apperr.From(err); {
			case err == nil:
				return s, ""
			case len(e.Fields) == 1:
				return "", e.Fields[0].Code
			default:
				return "", e.Code
			}
		},
	}
}

func moneyCode(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, money.ErrCurrency):
		return "currency"
	default:
		return "format"
	}
}

// Hostile input is accepted as it is, brought into a form, or refused, as the corpus says of each. What was accepted
// comes out of a response as one JSON string that means the same, and out of a log as one line.
func TestInjectionCorpus(t *testing.T) {
	t.Parallel()
	send := places(t)
	cases := corpus(t, "testdata/injection.txt")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place, input, expected := c[0], c[1], c[2]
			require.Contains(t, send, place)
			clean, code := send[place](input)
			switch expected {
			case "same":
				require.Empty(t, code)
				require.Equal(t, input, clean)
			case "to":
				require.Empty(t, code)
				require.Equal(t, c[3], clean)
				require.NotEqual(t, input, clean, `"same" is what it is`)
			case "refused":
				require.Equal(t, c[3], code)
				return
			default:
				require.FailNow(t, "unknown expectation", expected)
			}
			again, code := send[place](clean)
			require.Empty(t, code)
			require.Equal(t, clean, again, "cleaning what is clean changes nothing")
			requireHarmless(t, clean)
		})
	}
	kinds := map[string]bool{}
	for name := range cases {
		kind, _, _ := strings.Cut(name, "_")
		kinds[kind] = true
	}
	for _, kind := range []string{"xss", "sql", "nosql", "header", "path", "log", "prototype", "mass", "bidi", "homoglyph", "invisible", "overlong"} {
		require.True(t, kinds[kind], "there is no case of %s: %v", kind, slices.Sorted(maps.Keys(kinds)))
	}
}

// requireHarmless holds a stored text against where it goes: a response, with the encoder that rest uses, and a log.
func requireHarmless(t testing.TB, stored string) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(map[string]string{"text": stored}))
	response := strings.TrimSuffix(b.String(), "\n")
	require.False(t, strings.ContainsFunc(response, unicode.IsControl), "%q", response)
	var back map[string]string
	require.NoError(t, json.Unmarshal([]byte(response), &back))
	require.Equal(t, map[string]string{"text": stored}, back)

	b.Reset()
	slog.New(slog.NewJSONHandler(&b, nil)).Info("stored", "text", stored)
	require.Equal(t, 1, strings.Count(b.String(), "\n"))
	var line map[string]string
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	require.Equal(t, "INFO", line["level"])
	require.Equal(t, stored, line["text"])
}
