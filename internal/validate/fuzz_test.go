package validate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/service"
	"github.com/expenzez/aws-backend/internal/validate"
)

// FuzzParse holds Parse against encoding/json and our restrictions, written down a second time: it accepts exactly the
// valid JSON that none of them forbids, and then means what encoding/json means.
func FuzzParse(f *testing.F) {
	for _, c := range corpus(f, "testdata/json.txt") {
		f.Add([]byte(c[1]))
	}
	f.Add([]byte(strings.Repeat("[", validate.MaxDepth) + strings.Repeat("]", validate.MaxDepth)))
	f.Add([]byte(members(validate.MaxNames + 1)))
	f.Add([]byte(items("0", validate.MaxItems+1)))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := validate.Parse(body)
		want, forbidden := reference(body)
		switch {
		case forbidden == "" && err != nil:
			t.Fatalf("refused %q: %v", body, apperr.From(err).Detail)
		case forbidden != "" && err == nil:
			t.Fatalf("accepted %q: %s", body, forbidden)
		case err == nil && !reflect.DeepEqual(want, got):
			t.Fatalf("%q: %#v, encoding/json says %#v", body, got, want)
		}
	})
}

// reference is what encoding/json makes of a body, or why we do not take it.
func reference(body []byte) (v any, forbidden string) {
	switch {
	case !json.Valid(body):
		return nil, "it is no JSON"
	case !utf8.Valid(body):
		return nil, "it is no UTF-8"
	case loneSurrogate(body):
		return nil, "it has half of a surrogate pair"
	}
	if forbidden = bounds(body); forbidden != "" {
		return nil, forbidden
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err.Error()
	}
	return v, ""
}

var (
	otherEscape = regexp.MustCompile(`\\[^u]`)
	pair        = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)
	half        = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
)

// loneSurrogate looks for escapes of half a pair in valid JSON, where a backslash is always within a string.
func loneSurrogate(body []byte) bool {
	text := otherEscape.ReplaceAll(body, []byte("_"))
	return half.Match(pair.ReplaceAll(text, []byte("_")))
}

// bounds reads the tokens of valid JSON and counts.
func bounds(body []byte) string {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	type level struct {
		seen  map[string]bool // of an object
		value bool            // a value of the object is next, not a name
	}
	var open []level
	names, items := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open); n > 0 && open[n-1].seen == nil {
			items++
		} else if n > 0 && !open[n-1].value {
			name := token.(string)
			if open[n-1].seen[name] {
				return "a name is repeated"
			}
			open[n-1].seen[name], open[n-1].value = true, true
			if names++; names > validate.MaxNames {
				return "there are too many names"
			}
			continue
		} else if n > 0 {
			open[n-1].value = false
		}
		switch token := token.(type) {
		case json.Delim:
			l := level{}
			if token == '{' {
				l.seen = map[string]bool{}
			}
			open = append(open, l)
		case json.Number:
			if len(token) > validate.MaxNumber {
				return "a number is too long"
			}
		}
		if len(open) > validate.MaxDepth || items > validate.MaxItems {
			return "it is too deep or has too many items"
		}
	}
}

type petType struct {
	Kind *string `json:"kind,omitempty"`
}

// personType is how a handler would declare person.
type personType struct {
	Name  *string   `json:"name,omitempty"`
	Age   *int64    `json:"age,omitempty"`
	Admin *bool     `json:"admin,omitempty"`
	Color *string   `json:"color,omitempty"`
	Pets  []petType `json:"pets,omitempty"`
	Home  *petType  `json:"home,omitempty"`
	Odd   *bool     `json:"a/b~c,omitempty"`
}

// FuzzBody holds what passes a schema against what a handler then decodes: encoding/json, which ignores the case of
// names, must find the same members with the same values, and nothing that it does not know.
func FuzzBody(f *testing.F) {
	for _, body := range []string{
		`{"name":"Ada","age":36,"admin":true,"color":"red","pets":[{"kind":"cat"}],"home":{"kind":"flat"},"a/b~c":false}`,
		`{"name":"Ada","Name":"Eve"}`, `{"NAME":"Ada"}`, `{"name":"Ada","age":1.0}`, `{"name":"Ada","age":-0}`, `{"name":"Ada","age":1e2}`,
		`{"name":"Ada","color":null}`, `{"name":"Ada","home":{"\u212aind":"x"}}`, `{"name":"Ada","home":{"kind":"","KIND":"x"}}`,
		`{"name":"Ada","pets":[{"kind":"a"},{"kind":"b"},{"kind":"c"}]}`, `{"name":"Ada","a\/b~c":true}`, `[]`, `{"name":1`,
	} {
		f.Add([]byte(body))
	}
	schema := compile(f, person)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := schema.Body(body)
		if err != nil {
			e := apperr.From(err)
			if e.Kind != apperr.Invalid || len(e.Fields) > validate.MaxFaults || !json.Valid(e.Render("")) {
				t.Fatalf("%q: %+v", body, e)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		var into personType
		if err := d.Decode(&into); err != nil {
			t.Fatalf("accepted %q, which does not decode: %v", body, err)
		}
		want, err := json.Marshal(into)
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := got["age"]; ok && n == json.Number("-0") {
			got["age"] = json.Number("0")
		}
		if again, forbidden := reference(want); forbidden != "" || !reflect.DeepEqual(again, any(got)) {
			t.Fatalf("%q: the schema saw %v, encoding/json %s", body, got, want)
		}
	})
}

var whole = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// FuzzQuery holds a schema against the parameters of a query: what passes is declared, given once and in range.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{"month=2026", "month=2026&limit=10&deep=true", "limit=1", "month=2026&month=2027", "month=2026&limit=%2B5",
		"month=2026&limit=007", "month=2026&limit=1e1", "Month=2026", "month=2026&deep=TRUE", "month=2026%0A", "month=2026&limit=-0", "month=%00", ""} {
		f.Add(query)
	}
	schema, err := validate.CompileFields([]service.Field{
		{Name: "month", Type: service.String, Pattern: `^\d{4}$`, Required: true},
		{Name: "limit", Type: service.Integer, Min: 1, Max: 100},
		{Name: "deep", Type: service.Boolean},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		got, err := schema.Query(values)
		if err != nil {
			e := apperr.From(err)
			if e.Kind != apperr.Invalid || len(e.Fields) == 0 || len(e.Fields) > validate.MaxFaults || !json.Valid(e.Render("")) {
				t.Fatalf("%q: %+v", query, e)
			}
			return
		}
		for name, text := range got {
			if len(values[name]) != 1 || values[name][0] != text {
				t.Fatalf("%q: %s is %q", query, name, text)
			}
		}
		limit, given := got["limit"]
		n, _ := strconv.Atoi(limit)
		deep, said := got["deep"]
		if len(got) != len(values) || len(got["month"]) != 4 || given && (!whole.MatchString(limit) || n < 1 || n > 100) || said && deep != "true" && deep != "false" {
			t.Fatalf("accepted %q as %v", query, got)
		}
	})
}

var (
	address = regexp.MustCompile(`^[a-z0-9!#$%&'*+/=?^_{|}~.` + "`" + `-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	e164    = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// FuzzEmail holds the canonical form against a pattern, and the input against equality but for case.
func FuzzEmail(f *testing.F) {
	for _, c := range corpus(f, "testdata/injection.txt") {
		f.Add(c[1])
	}
	f.Add("Ada.L+tag@EXAMPLE.Com")
	f.Add("a@1.2.3.4")
	f.Add("a@b.c0-")
	f.Fuzz(func(t *testing.T, s string) {
		canonical, code := validate.Email(s)
		if code != "" {
			if code != validate.CodeEmail || canonical != "" {
				t.Fatalf("%q: %q %s", s, canonical, code)
			}
			return
		}
		again, code := validate.Email(canonical)
		if !address.MatchString(canonical) || len(canonical) > 254 || !strings.EqualFold(canonical, s) || again != canonical || code != "" {
			t.Fatalf("accepted %q as %q, and that as %q", s, canonical, again)
		}
	})
}

// FuzzPhone holds the canonical form against a pattern, and the digits of the input against its own.
func FuzzPhone(f *testing.F) {
	for _, s := range []string{"+14155550100", "+44 20 7946-0018", "+44 (0)20 7946 0018", "0044207946", "+0123456789", "+1.415.555.0100", "+-1234567", "+1234567-", "+１２３４５６７", "+", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		canonical, code := validate.Phone(s)
		if code != "" {
			if code != validate.CodePhone || canonical != "" {
				t.Fatalf("%q: %q %s", s, canonical, code)
			}
			return
		}
		digits := regexp.MustCompile(`[^0-9]`).ReplaceAllString(s, "")
		again, code := validate.Phone(canonical)
		if !e164.MatchString(canonical) || canonical != "+"+digits || again != canonical || code != "" {
			t.Fatalf("accepted %q as %q, and that as %q", s, canonical, again)
		}
	})
}

var (
	instant = regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)
	fullDay = regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`)
)

// FuzzTime holds Time against the grammar of the RFC and against time.Time's own strict reading.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456789+05:30", "2026-02-29T00:00:00Z", "2026-01-31T1:00:00Z",
		"2026-01-31T12:00:00,5Z", "2026-01-31T12:00:00-00:00", "2026-01-31T23:59:60Z", "2026-01-31t12:00:00z", "0000-01-01T00:00:00+23:59", "2026-01-31T12:00:00+24:00", "2026-01-31T12:00:00.Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, code := validate.Time(s)
		var strict time.Time
		refused := strict.UnmarshalText([]byte(s)) != nil || !instant.MatchString(s) || strict.UTC().Year() < 0 || strict.UTC().Year() > 9999
		if (code != "") != refused {
			t.Fatalf("%q: %v %s", s, got, code)
		}
		if code == "" && (!got.Equal(strict) || got.Location() != time.UTC) {
			t.Fatalf("%q is %v, not %v", s, got, strict)
		}
	})
}

// FuzzDate holds Date against the grammar of the RFC: a day has one spelling.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"2026-01-31", "2026-02-29", "2024-02-29", "2026-1-31", "2026-01-32", "0000-02-29", "+2026-01-01", "2026-01-31T", "2026-13-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, code := validate.Date(s)
		if code == "" && (!fullDay.MatchString(s) || got.Format("2006-01-02") != s) {
			t.Fatalf("accepted %q as %v", s, got)
		}
		if _, err := time.Parse(time.RFC3339, s+"T00:00:00Z"); fullDay.MatchString(s) && (err == nil) != (code == "") {
			t.Fatalf("%q: %s, %v", s, code, err)
		}
	})
}

// FuzzText holds both kinds of text against what must never be in one, and against cleaning again.
func FuzzText(f *testing.F) {
	for _, c := range corpus(f, "testdata/injection.txt") {
		f.Add(c[1])
	}
	f.Add(" Cafe\u0301  x ")
	f.Add("\u0344\u1d160\u0300" + strings.Repeat("\u0301", 40))
	f.Fuzz(func(t *testing.T, s string) {
		most := validate.Size{Runes: 50, Bytes: 100}
		if line, code := validate.Text(s, most); code == "" {
			again, code := validate.Text(line, most)
			if again != line || code != "" || !norm.NFC.IsNormalString(line) || strings.Contains(line, "  ") || unfit(line, "") {
				t.Fatalf("cleaning %q gives %q, cleaning that gives %q %q", s, line, again, code)
			}
		}
		if prose, code := validate.Prose(s, most); code == "" {
			again, code := validate.Prose(prose, most)
			if again != prose || code != "" || unfit(prose, "\n\t") {
				t.Fatalf("cleaning %q gives %q, cleaning that gives %q %q", s, prose, again, code)
			}
		}
	})
}

// forbidden are the characters of no text, as Unicode names its properties.
var forbidden = regexp.MustCompile(`[\x{0}-\x{1f}\x{7f}-\x{9f}\x{ad}\x{180e}\x{200b}\x{2028}-\x{202e}\x{2060}-\x{2064}\x{2066}-\x{206f}\x{feff}\x{fdd0}-\x{fdef}\x{fff9}-\x{fffb}\x{fffe}\x{ffff}\x{e0000}-\x{e007f}]`)

func unfit(s, but string) bool {
	rest := strings.Map(func(r rune) rune {
		if strings.ContainsRune(but, r) {
			return -1
		}
		return r
	}, s)
	return !utf8.ValidString(s) || utf8.RuneCountInString(s) > 50 || len(s) > 100 || forbidden.MatchString(rest)
}
