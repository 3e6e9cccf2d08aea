package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/token"
)

const issuer = "https://api.dev.example.com"

var start = time.Unix(1_800_000_000, 0)

// world is one environment: a provisioned key, a table that holds it and a clock that the test moves.
type world struct {
	now      time.Time
	table    *table
	value    secret.Value
	public   token.PublicKey
	signer   *token.Signer
	keys     *token.Keys
	verifier *token.Verifier
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{now: start, table: &table{}}
	var err error
	w.value, w.public, err = token.NewKey(w.now)
	require.NoError(t, err)
	w.publish(t, w.public)
	clock := func() time.Time { return w.now }
	w.signer = token.NewSigner(issuer, func(context.Context) (secret.Value, error) { return w.value, nil }, clock)
	w.keys = token.NewKeys(w.table, token.KeysOptions{Now: clock})
	w.verifier = token.NewVerifier(issuer, w.keys, clock)
	return w
}

func (w *world) publish(t testing.TB, k token.PublicKey) {
	t.Helper()
	item, err := k.Item()
	require.NoError(t, err)
	w.table.items = append(w.table.items, item)
}

func (w *world) sign(t testing.TB) (string, token.Claims) {
	t.Helper()
	raw, claims, err := w.signer.Sign(t.Context(), "user-1", "session-1")
	require.NoError(t, err)
	return raw, claims
}

func TestATokenThatWasSignedIsValidUntilItExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw, claims := w.sign(t)
	require.Equal(t, claims.IssuedAt.Add(15*time.Minute), claims.Expires)
	for _, at := range []time.Duration{0, -token.Leeway, token.Lifetime, token.Lifetime + token.Leeway - 1} {
		w.now = start.Add(at)
		got, err := w.verifier.Verify(t.Context(), raw)
		require.NoError(t, err, at)
		require.Equal(t, "user-1", got.Subject)
		require.Equal(t, claims, got)
	}
	for _, at := range []time.Duration{-token.Leeway - 1, token.Lifetime + token.Leeway} {
		w.now = start.Add(at)
		_, err := w.verifier.Verify(t.Context(), raw)
		require.ErrorIs(t, err, token.ErrInvalid, at)
	}
	require.Less(t, len(raw), 600)
}

func TestEveryTokenHasItsOwnID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, a := w.sign(t)
	_, b := w.sign(t)
	require.NotEqual(t, a.ID, b.ID)
	require.Len(t, a.ID, 22)
}

// forge signs claims and header as given with a key that verifiers accept, so that only what the case spoils is wrong.
func (w *world) forge(t *testing.T, spoil func(header, claims map[string]any)) string {
	t.Helper()
	claims := map[string]any{"iss": issuer, "aud": []string{token.Audience}, "sub": "user-1", "sid": "session-1", "jti": "id",
		"iat": start.Unix(), "exp": start.Add(token.Lifetime).Unix()}
	tok := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(claims))
	tok.Header["typ"], tok.Header["kid"] = token.Type, w.public.ID
	spoil(tok.Header, claims)
	raw, err := tok.SignedString(w.privateKey(t))
	require.NoError(t, err)
	return raw
}

func (w *world) privateKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	var p struct{ PrivateKey string }
	require.NoError(t, json.Unmarshal([]byte(w.value.Reveal()), &p))
	der, err := base64.RawURLEncoding.DecodeString(p.PrivateKey)
	require.NoError(t, err)
	return parsePKCS8(t, der)
}

func TestVerifyRefusesClaimsAndHeaders(t *testing.T) {
	t.Parallel()
	set := func(in int, name string, v any) func(h, c map[string]any) {
		return func(h, c map[string]any) { []map[string]any{h, c}[in][name] = v }
	}
	drop := func(in int, name string) func(h, c map[string]any) {
		return func(h, c map[string]any) { delete([]map[string]any{h, c}[in], name) }
	}
	const header, claim = 0, 1
	cases := map[string]func(h, c map[string]any){
		"no_type":           drop(header, "typ"),
		"id_token_type":     set(header, "typ", "JWT"),
		"no_key_id":         drop(header, "kid"),
		"empty_key_id":      set(header, "kid", ""),
		"key_id_is_number":  set(header, "kid", 7),
		"unknown_key_id":    set(header, "kid", "other"),
		"alg_none":          set(header, "alg", "none"),
		"alg_hs256":         set(header, "alg", "HS256"),
		"alg_es384":         set(header, "alg", "ES384"),
		"no_issuer":         drop(claim, "iss"),
		"other_issuer":      set(claim, "iss", "https://api.prod.example.com"),
		"no_audience":       drop(claim, "aud"),
		"other_audience":    set(claim, "aud", "cognito"),
		"no_subject":        drop(claim, "sub"),
		"empty_subject":     set(claim, "sub", ""),
		"subject_is_number": set(claim, "sub", 1),
		"no_session":        drop(claim, "sid"),
		"session_is_list":   set(claim, "sid", []string{"a"}),
		"no_id":             drop(claim, "jti"),
		"no_expiry":         drop(claim, "exp"),
		"zero_expiry":       set(claim, "exp", 0),
		"text_expiry":       set(claim, "exp", "soon"),
		"expired":           set(claim, "exp", start.Add(-token.Leeway).Unix()),
		"no_issue_time":     drop(claim, "iat"),
		"issued_later":      set(claim, "iat", start.Add(time.Minute).Unix()),
		"lives_too_long":    set(claim, "exp", start.Add(token.Lifetime+time.Second).Unix()),
		"not_yet":           set(claim, "nbf", start.Add(time.Hour).Unix()),
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, err := w.verifier.Verify(t.Context(), w.forge(t, func(_, _ map[string]any) {}))
			require.NoError(t, err, "unspoilt it is valid")
			raw := w.forge(t, spoil)
			_, err = w.verifier.Verify(t.Context(), raw)
			require.ErrorIs(t, err, token.ErrInvalid)
			require.NotContains(t, err.Error(), raw)
		})
	}
}

func TestVerifyRefusesShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, _ := w.sign(t)
	parts := strings.Split(good, ".")
	flipped := []byte(parts[2])
	flipped[10] ^= 1
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"` + w.public.ID + `"}`))
	cases := map[string]string{
		"nothing":           "",
		"one_part":          "abc",
		"two_parts":         parts[0] + "." + parts[1],
		"four_parts":        good + ".x",
		"periods":           strings.Repeat(".", 1<<20),
		"long":              parts[0] + "." + strings.Repeat("a", token.MaxLength) + "." + parts[2],
		"bearer_left":       "Bearer " + good,
		"no_signature":      parts[0] + "." + parts[1] + ".",
		"signature_changed": parts[0] + "." + parts[1] + "." + string(flipped),
		"payload_changed":   parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2],
		"unsigned":          none + "." + parts[1] + ".",
		"not_base64":        parts[0] + ".%%%." + parts[2],
		"padded":            parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"not_json":          "YWJj." + parts[1] + "." + parts[2],
	}
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.verifier.Verify(t.Context(), raw)
			require.ErrorIs(t, err, token.ErrInvalid)
		})
	}
}

// The public key as an HMAC secret, and an RSA signature under our key id.
func TestVerifyRefusesOtherAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	j, err := w.public.JWK()
	require.NoError(t, err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for _, c := range []struct {
		method jwt.SigningMethod
		key    any
	}{{jwt.SigningMethodHS256, []byte(j.X + j.Y)}, {jwt.SigningMethodRS256, rsaKey}, {jwt.SigningMethodES256, other}} {
		tok := jwt.NewWithClaims(c.method, jwt.MapClaims{"iss": issuer, "aud": token.Audience, "sub": "u", "sid": "s", "jti": "i",
			"iat": start.Unix(), "exp": start.Add(time.Minute).Unix()})
		tok.Header["typ"], tok.Header["kid"] = token.Type, w.public.ID
		raw, err := tok.SignedString(c.key)
		require.NoError(t, err)
		_, err = w.verifier.Verify(t.Context(), raw)
		require.ErrorIs(t, err, token.ErrInvalid, c.method.Alg())
	}
}

func TestSignFailsWithoutAUsableSecret(t *testing.T) {
	t.Parallel()
	other, _, err := token.NewKey(start)
	require.NoError(t, err)
	var o struct{ Kid, PrivateKey string }
	require.NoError(t, json.Unmarshal([]byte(other.Reveal()), &o))
	cases := map[string]string{
		"empty":         "",
		"no_json":       "hunter2",
		"no_key":        `{"kid":"hunter2"}`,
		"not_base64":    `{"kid":"hunter2","privateKey":"hunter2!"}`,
		"not_pkcs8":     `{"kid":"hunter2","privateKey":"aHVudGVyMg"}`,
		"rsa":           `{"kid":"hunter2","privateKey":"` + base64.RawURLEncoding.EncodeToString(pkcs8(t, must(rsa.GenerateKey(rand.Reader, 2048)))) + `"}`,
		"p384":          `{"kid":"hunter2","privateKey":"` + base64.RawURLEncoding.EncodeToString(pkcs8(t, must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))) + `"}`,
		"id_of_another": `{"kid":"hunter2","privateKey":"` + o.PrivateKey + `"}`,
	}
	require.NoError(t, newWorld(t).signer.Ready(t.Context()))
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := token.NewSigner(issuer, func(context.Context) (secret.Value, error) { return secret.NewValue(text), nil }, time.Now)
			require.ErrorContains(t, s.Ready(t.Context()), "the secret is not")
			_, _, err := s.Sign(t.Context(), "u", "s")
			require.ErrorContains(t, err, "the secret is not")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
	boom := errors.New("boom")
	s := token.NewSigner(issuer, func(context.Context) (secret.Value, error) { return secret.Value{}, boom }, time.Now)
	_, _, err = s.Sign(t.Context(), "u", "s")
	require.ErrorIs(t, err, boom)
}

func TestSignerFollowsTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, _ := w.sign(t)
	value, public, err := token.NewKey(w.now)
	require.NoError(t, err)
	w.publish(t, public)
	w.value = value
	second, _ := w.sign(t)
	for _, raw := range []string{first, second} {
		_, err := w.verifier.Verify(t.Context(), raw)
		require.NoError(t, err, "both keys are published")
	}
	require.NotEqual(t, strings.Split(first, ".")[0], strings.Split(second, ".")[0])
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	good, _ := w.sign(f)
	parts := strings.Split(good, ".")
	j, err := w.public.JWK()
	require.NoError(f, err)
	hs := jwt.New(jwt.SigningMethodHS256)
	hs.Header["typ"], hs.Header["kid"] = token.Type, w.public.ID
	mac, err := hs.SignedString([]byte(j.X + j.Y))
	require.NoError(f, err)
	encoded := func(header string) string { return base64.RawURLEncoding.EncodeToString([]byte(header)) }
	for _, seed := range []string{
		good, good[:len(good)-9], "", "a.b.c", mac, strings.Repeat("a", 2*token.MaxLength), strings.Repeat(".", 100), good + "." + parts[2],
		encoded(`{"alg":"none","typ":"at+jwt","kid":"`+w.public.ID+`"}`) + "." + parts[1] + ".",
		encoded(`{"alg":"none","alg":"ES256","kid":"x","kid":"`+w.public.ID+`","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2],
		encoded(`{"alg":"ES256","ALG":"HS256","kid":"`+w.public.ID+`","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2],
		encoded(`{"alg":{},"kid":[],"typ":null}`) + "." + encoded(`[]`) + "." + parts[2],
		encoded(strings.Repeat("[", 2000)) + "." + parts[1] + "." + parts[2],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := w.verifier.Verify(t.Context(), raw); raw != good && !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := w.signer.Sign(b.Context(), "user-1", "session-1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	raw, _ := w.sign(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.verifier.Verify(b.Context(), raw); err != nil {
			b.Fatal(err)
		}
	}
}
