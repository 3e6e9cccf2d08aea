package deployment

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	stackURN    = "urn:pulumi:dev::expenzez::pulumi:pulumi:Stack::expenzez-dev"
	functionURN = "urn:pulumi:dev::expenzez::my:component$aws:lambda/function:Function::auth-api"
)

func exportOf(resources ...string) []byte {
	return []byte(`{"version":3,"deployment":{"manifest":{"time":"2026-01-01T00:00:00Z"},"resources":[` +
		strings.Join(resources, ",") + `]}}`)
}

const function = `{"urn":"` + functionURN + `","type":"aws:lambda/function:Function","id":"auth-api","custom":true,
 "parent":"` + stackURN + `","protect":true,"dependencies":["a","b"],
 "inputs":{"name":"auth-api","memorySize":256,"publish":true,
   "code":{"4dabf18193072939515e22adb298388d":"0def7320c3a5731c473e5ecbe6d01bc7","hash":"abc","path":"build/auth-api.zip"},
   "environment":{"variables":{"A":"1"}},"layers":["x","y"]},
 "outputs":{"arn":"arn:aws:lambda:eu-west-1:123456789012:function:auth-api","memorySize":512,"description":null,
   "hidden":{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","ciphertext":"v1:xyz"},
   "shown":{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","plaintext":"{\"k\":[\"v\"]}"}}}`

func TestParseReadsResources(t *testing.T) {
	t.Parallel()
	d, err := Parse(exportOf(
		`{"urn":"`+stackURN+`","type":"pulumi:pulumi:Stack"}`,
		function,
		`{"urn":"`+functionURN+`","type":"aws:lambda/function:Function","id":"old","custom":true,"delete":true}`,
	))
	require.NoError(t, err)
	require.Len(t, d.Resources, 3)

	functions := d.ByType("aws:lambda/function:Function")
	require.Len(t, functions, 1, "what waits for deletion is not live")
	f := functions[0]
	require.Equal(t, "auth-api", f.Name)
	require.Equal(t, "auth-api", f.ID)
	require.True(t, f.Custom && f.Protect)
	require.Equal(t, []string{"a", "b"}, f.Dependencies)

	same, ok := d.ByURN(functionURN)
	require.True(t, ok)
	require.Same(t, f, same)
	require.Equal(t, []*Resource{f}, d.Children(stackURN))
	_, ok = d.ByURN("urn:none")
	require.False(t, ok)
}

func TestValues(t *testing.T) {
	t.Parallel()
	d, err := Parse(exportOf(function))
	require.NoError(t, err)
	f := &d.Resources[0]

	memory, ok := f.Number("memorySize")
	require.True(t, ok)
	require.Equal(t, 512.0, memory, "outputs win over inputs")
	require.Equal(t, "1", f.Text("environment", "variables", "A"), "inputs are the fallback")
	require.Equal(t, "y", f.Text("layers", "1"))
	require.True(t, f.Flag("publish"))
	require.Equal(t, "v", f.Text("shown", "k", "0"))

	code, ok := f.Value("code")
	require.True(t, ok)
	require.Equal(t, Archive{Path: "build/auth-api.zip", Hash: "abc", Members: map[string]any{}}, code)

	hidden, ok := f.Value("hidden")
	require.True(t, ok)
	require.Equal(t, Secret{}, hidden)
	require.Equal(t, "[secret]", fmt.Sprint(hidden))
}

func TestValueIsAbsent(t *testing.T) {
	t.Parallel()
	d, err := Parse(exportOf(function))
	require.NoError(t, err)
	for name, path := range map[string][]string{
		"unknown key":              {"nothing"},
		"null":                     {"description"},
		"through a string":         {"name", "x"},
		"through a secret":         {"hidden", "ciphertext"},
		"index is no number":       {"layers", "first"},
		"index out of range":       {"layers", "2"},
		"negative index":           {"layers", "-1"},
		"deep under a missing key": {"a", "b", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			_, ok := d.Resources[0].Value(path...)
			require.False(t, ok)
			require.Empty(t, d.Resources[0].Text(path...))
			require.False(t, d.Resources[0].Flag(path...))
			_, ok = d.Resources[0].Number(path...)
			require.False(t, ok)
		})
	}
}

func TestParseSpecialObjects(t *testing.T) {
	t.Parallel()
	d, err := Parse(exportOf(`{"urn":"` + functionURN + `","type":"t","inputs":{
	  "asset":{"4dabf18193072939515e22adb298388d":"c44067f5952c0a294b673a41bacd8c17","text":"hello","hash":"h"},
	  "ref":{"4dabf18193072939515e22adb298388d":"5cf8f73096256a8f31e491e813e4eb8e","urn":"u","id":"i"},
	  "bundle":{"4dabf18193072939515e22adb298388d":"0def7320c3a5731c473e5ecbe6d01bc7","assets":{
	     "bootstrap":{"4dabf18193072939515e22adb298388d":"c44067f5952c0a294b673a41bacd8c17","path":"p"}}},
	  "nested":[{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","plaintext":"{\"4dabf18193072939515e22adb298388d\":\"1b47061264138c4ac30d75fd1eb44270\",\"plaintext\":\"7\"}"}]}}`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"asset":  Asset{Text: "hello", Hash: "h"},
		"ref":    Reference{URN: "u", ID: "i"},
		"bundle": Archive{Members: map[string]any{"bootstrap": Asset{Path: "p"}}},
		"nested": []any{7.0},
	}, d.Resources[0].Inputs)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	with := func(value string) []byte {
		return exportOf(`{"urn":"` + functionURN + `","type":"t","outputs":{"a":[` + value + `]}}`)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":               {nil, "not the JSON that `pulumi stack export` prints"},
		"not JSON":            {[]byte("{"), "not the JSON"},
		"another shape":       {[]byte(`[]`), "not the JSON"},
		"checkpoint":          {[]byte(`{"version":3,"checkpoint":{}}`), `no "deployment"`},
		"two values":          {[]byte(`{"version":3,"deployment":{}} {}`), "more than one JSON value"},
		"old version":         {[]byte(`{"version":2,"deployment":{}}`), "schema version 2"},
		"no version":          {[]byte(`{"deployment":{}}`), "schema version 0"},
		"no urn":              {exportOf(`{"type":"t"}`), "resources[0]: urn"},
		"urn without name":    {exportOf(`{"urn":"urn:pulumi:a::b::c::","type":"t"}`), "not urn:pulumi:stack"},
		"no type":             {exportOf(`{"urn":"` + functionURN + `"}`), "has no type"},
		"resource is a list":  {exportOf(`[]`), "not the JSON"},
		"unknown signature":   {with(`{"4dabf18193072939515e22adb298388d":"ff"}`), `outputs.a[0]: special object of unknown signature "ff"`},
		"plaintext no string": {with(`{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","plaintext":{}}`), "plaintext is map"},
		"assets no object":    {with(`{"4dabf18193072939515e22adb298388d":"0def7320c3a5731c473e5ecbe6d01bc7","assets":[1]}`), "assets are []interface {}"},
		"every problem at once": {
			exportOf(`{"urn":"x","type":"t"}`, `{"urn":"y","type":"t"}`), "resources[1]: urn \"y\"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(test.data)
			require.ErrorContains(t, err, test.want)
			require.Nil(t, d)
		})
	}
}

func TestParseNeverShowsPlaintext(t *testing.T) {
	t.Parallel()
	_, err := Parse(exportOf(`{"urn":"` + functionURN + `","type":"t","outputs":{"a":
	  {"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","plaintext":"hunter2 is not json"}}}`))
	require.ErrorContains(t, err, "plaintext is not JSON")
	require.NotContains(t, err.Error(), "hunter2")
}

func FuzzParse(f *testing.F) {
	f.Add(exportOf(function))
	f.Add([]byte(`{"version":4,"deployment":{"resources":null}}`))
	f.Add(exportOf(`{"urn":"` + functionURN + `","type":"t","inputs":{"a":{"4dabf18193072939515e22adb298388d":3}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if (d == nil) == (err == nil) {
			t.Fatal("exactly one of deployment and error")
		}
		if d == nil {
			return
		}
		for i := range d.Resources {
			if d.Resources[i].Name == "" || d.Resources[i].Inputs == nil || d.Resources[i].Outputs == nil {
				t.Fatalf("incomplete resource %+v", d.Resources[i])
			}
		}
		if !json.Valid(data) {
			t.Fatal("accepted what is not JSON")
		}
	})
}
