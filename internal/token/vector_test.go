package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/token"
)

// vector is a token and the key that it was signed with, frozen. The private key was thrown away; OpenSSL agreed with the
// signature. The parts are in the clear, so that they can be read.
type vector struct {
	Issuer, Header, Payload, Signature string
	Now                                int64
	Key                                token.JWK
	Subject, Session, ID               string
}

func (v vector) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(v.Header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(v.Payload)) + "." + v.Signature
}

func readVector(t *testing.T) vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vector.json")
	require.NoError(t, err)
	var v vector
	require.NoError(t, json.Unmarshal(text, &v))
	return v
}

func (v vector) verify(ctx context.Context, raw string) (token.Claims, error) {
	now := func() time.Time { return time.Unix(v.Now, 0) }
	x := &table{items: []store.Item{{"pk": store.S("jwks"), "sk": store.S(v.Key.ID), "kid": store.S(v.Key.ID), "x": store.S(v.Key.X), "y": store.S(v.Key.Y),
		"notBefore": store.N(v.Now - 60)}}}
	return token.NewVerifier(v.Issuer, token.NewKeys(x, token.KeysOptions{Now: now}), now).Verify(ctx, raw)
}

// What was signed once is valid with every version of this package.
func TestVector(t *testing.T) {
	t.Parallel()
	v := readVector(t)
	got, err := v.verify(t.Context(), v.token())
	require.NoError(t, err)
	require.Equal(t, token.Claims{Subject: v.Subject, Session: v.Session, ID: v.ID,
		IssuedAt: time.Unix(v.Now, 0), Expires: time.Unix(v.Now+900, 0)}, got)
	for name, spoil := range map[string]func(*vector){
		"subject":   func(v *vector) { v.Payload = strings.Replace(v.Payload, v.Subject, "user-2", 1) },
		"header":    func(v *vector) { v.Header = strings.Replace(v.Header, `"alg":"ES256",`, `"alg":"ES256", `, 1) },
		"signature": func(v *vector) { v.Signature = "A" + v.Signature[1:] },
		"swapped": func(v *vector) { // r and s are not the same
			s, err := base64.RawURLEncoding.DecodeString(v.Signature)
			require.NoError(t, err)
			v.Signature = base64.RawURLEncoding.EncodeToString(append(s[32:], s[:32]...))
		},
	} {
		spoilt := v
		spoil(&spoilt)
		require.NotEqual(t, v.token(), spoilt.token(), name)
		_, err := v.verify(t.Context(), spoilt.token())
		require.ErrorIs(t, err, token.ErrInvalid, name)
	}
}
