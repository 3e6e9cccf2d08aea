package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
)

const hidden = "hunter2-hunter2"

// hides requires that a text shows nothing of the hidden one, in any of the forms that verbs and encodings give it.
func hides(t *testing.T, where, text string) {
	t.Helper()
	lower := strings.ToLower(text)
	for _, form := range []string{"hunter", hex.EncodeToString([]byte("hunter")), "68 75 6e 74", "0x68, 0x75", "104 117 110 116", "104,117,110", "104, 117",
		strings.ToLower(base64.StdEncoding.EncodeToString([]byte(hidden))[:12])} {
		require.NotContains(t, lower, form, where)
	}
}

type exported struct {
	V secret.Value
	P *secret.Value
	M map[string]secret.Value
	S []secret.Value
	A any
}

type unexported struct {
	v secret.Value
	p *secret.Value
	m map[string]secret.Value
	s []secret.Value
	a any
	n *unexported
}

// holders are values in everything that may hold one.
func holders() map[string]any {
	v := secret.NewValue(hidden)
	in := unexported{v, &v, map[string]secret.Value{"k": v}, []secret.Value{v}, v, &unexported{v: v}}
	out := exported{v, &v, map[string]secret.Value{"k": v}, []secret.Value{v}, v}
	return map[string]any{
		"value": v, "pointer": &v, "slice": []secret.Value{v}, "pointers": []*secret.Value{&v}, "map": map[string]secret.Value{"k": v}, "array": [1]secret.Value{v},
		"exported": out, "exported_pointer": &out, "unexported": in, "unexported_pointer": &in, "any": []any{v, &v, in, &in},
		"version": secret.Version{Value: v, ID: "1"}, "entry": struct{ v *secret.Version }{&secret.Version{Value: v}},
	}
}

func TestNoVerbShowsAValue(t *testing.T) {
	t.Parallel()
	verbs := []string{"%v", "%+v", "%#v", "% v", "%T", "%p"}
	for _, flags := range []string{"", "+", "-", "#", " ", "0", "40", ".3", "# ", "+#"} {
		for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!" {
			verbs = append(verbs, "%"+flags+string(c))
		}
	}
	for name, x := range holders() {
		for _, verb := range verbs {
			hides(t, name+" "+verb, fmt.Sprintf(verb, x))
		}
		hides(t, name, fmt.Sprint(x)+fmt.Sprintln(x))
		hides(t, name, fmt.Errorf("x: %v %w", x, fmt.Errorf("%s", x)).Error())
		hides(t, name, errors.Join(fmt.Errorf("%q", x), io.EOF).Error())
	}
}

func TestNoEncodingShowsAValue(t *testing.T) {
	t.Parallel()
	for name, x := range holders() {
		text, err := json.Marshal(x)
		require.NoError(t, err, name)
		hides(t, name+" json", string(text))
		text, _ = xml.Marshal(x) // maps have no form in it
		hides(t, name+" xml", string(text))
		var b bytes.Buffer
		_ = gob.NewEncoder(&b).Encode(x) // what has no exported field has no form in it
		hides(t, name+" gob", b.String())
	}
	v := secret.NewValue(hidden)
	text, err := v.MarshalText()
	require.NoError(t, err)
	for _, got := range []string{string(text), v.String(), v.GoString(), v.LogValue().String(), fmt.Sprintf("%v", v), fmt.Sprintf("%#v", &v)} {
		require.Contains(t, got, "[redacted]")
	}
	text, err = json.Marshal(exported{V: v})
	require.NoError(t, err)
	require.Contains(t, string(text), `"V":"[redacted]"`)
}

func TestNoLogShowsAValue(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		log := slog.New(h)
		for name, x := range holders() {
			log.With("with", x).Info(name, "x", x, slog.Any("any", x), slog.Group("g", "x", x), "error", fmt.Errorf("%v", x))
		}
	}
	hides(t, "logs", b.String())
	require.Contains(t, b.String(), "[redacted]")
}

func TestEqual(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		a, b  secret.Value
		equal bool
	}{
		"same":         {secret.NewValue("a"), secret.NewValue("a"), true},
		"zero":         {secret.Value{}, secret.NewValue(""), true},
		"other":        {secret.NewValue("a"), secret.NewValue("b"), false},
		"shorter":      {secret.NewValue("ab"), secret.NewValue("a"), false},
		"zero_to_some": {secret.Value{}, secret.NewValue("a"), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.equal, c.a.Equal(c.b))
			require.Equal(t, c.equal, c.b.Equal(c.a))
		})
	}
	require.Equal(t, hidden, secret.NewValue(hidden).Reveal())
	require.Empty(t, secret.Value{}.Reveal())
}
