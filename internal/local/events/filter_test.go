package events

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFilterRules(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pattern string
		yes, no []string
	}{
		"equals":             {`{"a":["x"]}`, []string{`{"a":"x"}`, `{"a":"x","b":1}`, `{"a":["y","x"]}`}, []string{`{"a":"X"}`, `{}`, `{"a":null}`, `{"a":{"x":1}}`, `{"a":[]}`, `{"a":["y"]}`}},
		"one of":             {`{"a":["x",1,true]}`, []string{`{"a":"x"}`, `{"a":1}`, `{"a":true}`}, []string{`{"a":"1"}`, `{"a":2}`, `{"a":false}`}},
		"null":               {`{"a":[null]}`, []string{`{"a":null}`}, []string{`{}`, `{"a":""}`, `{"a":0}`, `{"a":{}}`}},
		"empty":              {`{"a":[""]}`, []string{`{"a":""}`}, []string{`{}`, `{"a":null}`, `{"a":" "}`}},
		"and":                {`{"a":["x"],"b":["y"]}`, []string{`{"a":"x","b":"y"}`}, []string{`{"a":"x"}`, `{"a":"x","b":"x"}`}},
		"or of fields":       {`{"$or":[{"a":["x"]},{"b":["y"]}]}`, []string{`{"a":"x"}`, `{"b":"y"}`}, []string{`{"a":"y"}`, `{}`}},
		"or inside":          {`{"c":{"$or":[{"a":["x"]},{"b":["y"]}]}}`, []string{`{"c":{"b":"y"}}`}, []string{`{"b":"y"}`, `{"c":{}}`}},
		"nested":             {`{"a":{"b":{"c":[1]}}}`, []string{`{"a":{"b":{"c":1}}}`}, []string{`{"a":{"b":1}}`, `{"a":{"c":1}}`, `{"a":"b"}`, `{}`}},
		"ignore case":        {`{"a":[{"equals-ignore-case":"Yes"}]}`, []string{`{"a":"yES"}`}, []string{`{"a":"y"}`, `{"a":1}`, `{}`}},
		"prefix":             {`{"a":[{"prefix":"us-"}]}`, []string{`{"a":"us-east"}`}, []string{`{"a":"eu"}`, `{"a":1}`, `{}`}},
		"suffix":             {`{"a":[{"suffix":".png"}]}`, []string{`{"a":"x.png"}`}, []string{`{"a":"png"}`, `{}`}},
		"anything but one":   {`{"a":[{"anything-but":"x"}]}`, []string{`{"a":"y"}`, `{"a":1}`}, []string{`{"a":"x"}`, `{}`}},
		"anything but many":  {`{"a":[{"anything-but":["x",1]}]}`, []string{`{"a":"y"}`, `{"a":2}`}, []string{`{"a":"x"}`, `{"a":1}`}},
		"exists":             {`{"a":[{"exists":true}]}`, []string{`{"a":1}`, `{"a":null}`, `{"a":""}`}, []string{`{}`, `{"a":{"b":1}}`}},
		"exists not":         {`{"a":[{"exists":false}]}`, []string{`{}`, `{"b":1}`}, []string{`{"a":1}`, `{"a":null}`, `{"a":{"b":1}}`}},
		"exists not, nested": {`{"a":{"b":[{"exists":false}]}}`, []string{`{}`, `{"a":{}}`, `{"a":1}`}, []string{`{"a":{"b":1}}`}},
		"number":             {`{"a":[{"numeric":["=",3]}]}`, []string{`{"a":3}`, `{"a":3.0}`}, []string{`{"a":"3"}`, `{"a":4}`, `{}`}},
		"range":              {`{"a":[{"numeric":[">",0,"<=",5]}]}`, []string{`{"a":5}`, `{"a":0.1}`}, []string{`{"a":0}`, `{"a":5.1}`}},
		"below":              {`{"a":[{"numeric":["<",0]}]}`, []string{`{"a":-1}`}, []string{`{"a":0}`}},
		"at least":           {`{"a":[{"numeric":[">=",0]}]}`, []string{`{"a":0}`}, []string{`{"a":-1}`}},
		"nothing asked":      {`{}`, []string{`{}`, `{"a":1}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pattern, err := parsePattern(tc.pattern)
			require.NoError(t, err)
			for want, list := range map[bool][]string{true: tc.yes, false: tc.no} {
				for _, text := range list {
					var event m
					require.NoError(t, json.Unmarshal([]byte(text), &event))
					require.Equal(t, want, filter{pattern}.matches(event), text)
				}
			}
		})
	}
}

func TestOnePatternIsEnoughAndNoneLetsAllPass(t *testing.T) {
	t.Parallel()
	f := filter{m{"a": []any{"x"}}, m{"b": []any{"y"}}}
	require.True(t, f.matches(m{"b": "y"}))
	require.False(t, f.matches(m{"b": "x"}))
	require.True(t, filter(nil).matches(m{}))
}

// The table of page "Using event filtering with an Amazon SQS event source": what a body is and what the pattern asks.
func TestFiltersOfBodies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pattern, body string
		want          bool
	}{
		"text and text":       {`{"body":["plain"]}`, "plain", true},
		"text and other text": {`{"body":["plain"]}`, "other", false},
		"text and JSON":       {`{"body":{"a":["x"]}}`, "plain", false},
		"JSON and JSON":       {`{"body":{"a":["x"]}}`, `{"a":"x"}`, true},
		"JSON and text":       {`{"body":["plain"]}`, `{"a":"x"}`, false},
		"no rule":             {`{}`, "plain", true},
	} {
		pattern, err := parsePattern(tc.pattern)
		require.NoError(t, err, name)
		require.Equal(t, tc.want, filter{pattern}.matches(m{"body": filterBody(tc.body)}), name)
	}
}

func TestPatternsRefuse(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		`{`: "not a JSON object", `[]`: "not a JSON object", `null`: "not a JSON object", ``: "not a JSON object",
		`{"a":"x"}`: `"a" is neither an object nor a list`, `{"a":[["x"]]}`: "a rule is no list", `{"a":[{}]}`: "one operator", `{"a":[{"prefix":"x","suffix":"y"}]}`: "one operator",
		`{"a":[{"wildcard":"*"}]}`: `"wildcard" is not known here`, `{"a":[{"cidr":"10.0.0.0/8"}]}`: `"cidr" is not known here`,
		`{"a":[{"anything-but":{"prefix":"x"}}]}`: "takes texts and numbers", `{"a":[{"anything-but":[true]}]}`: "takes texts and numbers",
		`{"a":[{"prefix":1}]}`: "prefix takes a text", `{"a":[{"exists":"yes"}]}`: "true or false",
		`{"a":[{"numeric":["=" ]}]}`: "two of each", `{"a":[{"numeric":["~",1]}]}`: "does not know ~", `{"a":[{"numeric":["=","1"]}]}`: "with a number", `{"a":[{"numeric":5}]}`: "two of each",
		`{"$or":["x"]}`: "alternatives are objects", `{"$or":[{"a":["x"]},{"b":[{"no":1}]}]}`: `"no" is not known here`,
		`{"a":{"b":[{"no":1}]},"c":7}`: `a filter of "c"`,
	} {
		_, err := parsePattern(pattern)
		require.ErrorContains(t, err, want, pattern)
	}
	_, err := parsePattern(`{"a":[{"no":1}],"b":[{"neither":1}]}`)
	require.ErrorContains(t, err, `"no"`)
	require.ErrorContains(t, err, `"neither"`, "every fault at once")
}

func FuzzFilter(f *testing.F) {
	f.Add(`{"a":[{"numeric":[">",0,"<=",5]}]}`, `{"a":3}`)
	f.Add(`{"$or":[{"a":["x"]},{"b":[{"anything-but":["y"]}]}]}`, `{"b":[1,{"c":2}]}`)
	f.Add(`{"a":{"b":[null,{"exists":false}]}}`, `{"a":[]}`)
	f.Fuzz(func(t *testing.T, pattern, event string) {
		p, err := parsePattern(pattern)
		var e m
		if err != nil || json.Unmarshal([]byte(event), &e) != nil {
			return
		}
		once := filter{p}.matches(e)
		if once != (filter{p}).matches(e) || !(filter{}).matches(e) {
			t.Fatalf("%s on %s is not the same twice", pattern, event)
		}
	})
}

func FuzzItemFailures(f *testing.F) {
	for _, seed := range []string{"", "null", `{"batchItemFailures":[{"itemIdentifier":"a"}]}`, `{"batchItemFailures":[null]}`, `{"batchItemFailures":[{}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		failed, ok := itemFailures(payload, []record{{id: "a"}, {id: "b"}})
		for id := range failed {
			if !ok || (id != "a" && id != "b") {
				t.Fatalf("%q failed %q", payload, id)
			}
		}
	})
}
