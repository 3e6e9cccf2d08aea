package apple_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apple"
	"github.com/expenzez/aws-backend/internal/apple/applemem"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/telemetry"
)

func TestIdentities(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		person applemem.Person
		want   apple.Identity
	}{
		"truth_as_truth": {ada, apple.Identity{Email: ada.Email, EmailVerified: true}},
		"truth_as_text":  {applemem.Person{Subject: ada.Subject, Email: ada.Email, AsText: true}, apple.Identity{Email: ada.Email, EmailVerified: true}},
		"relay": {applemem.Person{Subject: ada.Subject, Email: "x@privaterelay.appleid.com", Private: true},
			apple.Identity{Email: "x@privaterelay.appleid.com", EmailVerified: true, PrivateEmail: true}},
		"relay_as_text": {applemem.Person{Subject: ada.Subject, Email: "x@privaterelay.appleid.com", Private: true, AsText: true},
			apple.Identity{Email: "x@privaterelay.appleid.com", EmailVerified: true, PrivateEmail: true}},
		"no_address": {applemem.Person{Subject: ada.Subject}, apple.Identity{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			token, _, nonce := w.signIn(t, c.person)
			got, err := w.verifier.Verify(t.Context(), token, nonce)
			require.NoError(t, err)
			c.want.Subject, c.want.Client, c.want.IssuedAt, c.want.Expires = ada.Subject, clientID, start, start.Add(day)
			require.Equal(t, c.want, got)
		})
	}
}

// Tokens made by hand pass: that the library which makes applemem's agrees with itself is not enough.
func TestTokensMadeByHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(header, claims object) (object, object)
		verified bool
	}{
		"as_apple_makes_them": {func(h, c object) (object, object) { return h, c }, true},
		"with_a_type":         {func(h, c object) (object, object) { return h.with("typ", "JWT"), c }, true},
		"audience_in_a_list":  {func(h, c object) (object, object) { return h, c.with("aud", []string{clientID}) }, true},
		"verified_false":      {func(h, c object) (object, object) { return h, c.with("email_verified", false) }, false},
		"verified_false_text": {func(h, c object) (object, object) { return h, c.with("email_verified", "false") }, false},
		"verified_missing":    {func(h, c object) (object, object) { return h, c.with("email_verified", nil) }, false},
		"no_address":          {func(h, c object) (object, object) { return h, c.with("email", nil) }, false},
		"unknown_claim":       {func(h, c object) (object, object) { return h, c.with("real_user_status", 2) }, true},
		"expired_within_leeway": {func(h, c object) (object, object) {
			return h, c.with("exp", start.Add(-apple.Leeway+time.Second).Unix())
		}, true},
		"issued_ahead_within_leeway": {func(h, c object) (object, object) { return h, c.with("iat", start.Add(apple.Leeway).Unix()) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			nonce := w.nonce(t)
			header, claims := c.change(w.goodParts(nonce))
			id, err := w.verifier.Verify(t.Context(), signed(t, header, claims, rsaKeys[0]()), nonce)
			require.NoError(t, err)
			require.Equal(t, ada.Subject, id.Subject)
			require.Equal(t, c.verified, id.EmailVerified)
		})
	}
}

// Whatever is wrong with a token refuses it, and leaves the nonce for the right one.
func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	type parts func(t *testing.T, header, claims object) string
	claim := func(name string, value any) parts {
		return func(t *testing.T, h, c object) string {
			t.Helper()
			return signed(t, h, c.with(name, value), rsaKeys[0]())
		}
	}
	head := func(name string, value any) parts {
		return func(t *testing.T, h, c object) string {
			t.Helper()
			return signed(t, h.with(name, value), c, rsaKeys[0]())
		}
	}
	for name, forge := range map[string]parts{
		"issuer_other":           claim("iss", "https://appleid.apple.com.example.com"),
		"issuer_with_slash":      claim("iss", "https://appleid.apple.com/"),
		"issuer_missing":         claim("iss", nil),
		"audience_other":         claim("aud", "com.example.evil"),
		"audience_empty":         claim("aud", ""),
		"audience_missing":       claim("aud", nil),
		"audience_two":           claim("aud", []string{clientID, "com.example.other"}),
		"audience_number":        claim("aud", 7),
		"audience_case":          claim("aud", strings.ToUpper(clientID)),
		"expired":                claim("exp", start.Add(-apple.Leeway).Unix()),
		"expiry_missing":         claim("exp", nil),
		"expiry_zero":            claim("exp", 0),
		"issued_ahead":           claim("iat", start.Add(apple.Leeway+time.Second).Unix()),
		"issue_missing":          claim("iat", nil),
		"not_valid_yet":          claim("nbf", start.Add(time.Minute).Unix()),
		"subject_missing":        claim("sub", nil),
		"subject_empty":          claim("sub", ""),
		"subject_number":         claim("sub", 7),
		"verified_number":        claim("email_verified", 1),
		"verified_other_text":    claim("email_verified", "yes"),
		"private_other_text":     claim("is_private_email", "TRUE"),
		"nonce_number":           claim("nonce", 7),
		"key_unknown":            head("kid", "ZZZZZZZZZZ"),
		"key_missing":            head("kid", nil),
		"key_number":             head("kid", 7),
		"extension_critical":     head("crit", []string{"exp"}),
		"algorithm_missing":      head("alg", nil),
		"algorithm_none":         head("alg", "none"),
		"algorithm_case":         head("alg", "rs256"),
		"algorithm_said_ps256":   head("alg", "PS256"),
		"algorithm_said_rs512":   head("alg", "RS512"),
		"algorithm_said_nothing": head("alg", ""),
		"signed_by_another": func(t *testing.T, h, c object) string {
			t.Helper()
			return signed(t, h, c, rsaKeys[1]())
		},
		"unsigned": func(t *testing.T, h, c object) string {
			t.Helper()
			return encode(t, h.with("alg", "none")) + "." + encode(t, c) + "."
		},
		"signature_missing": func(t *testing.T, h, c object) string { t.Helper(); return encode(t, h) + "." + encode(t, c) + "." },
		"signed_with_the_public_key": func(t *testing.T, h, c object) string {
			t.Helper()
			der, err := x509.MarshalPKIXPublicKey(&rsaKeys[0]().PublicKey)
			require.NoError(t, err)
			text := encode(t, h.with("alg", "HS256")) + "." + encode(t, c)
			mac := hmac.New(sha256.New, der)
			mac.Write([]byte(text))
			return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		},
		"really_rs512": func(t *testing.T, h, c object) string {
			t.Helper()
			text := encode(t, h.with("alg", "RS512")) + "." + encode(t, c)
			sum := sha512.Sum512([]byte(text))
			s, err := rsa.SignPKCS1v15(rand.Reader, rsaKeys[0](), crypto.SHA512, sum[:])
			require.NoError(t, err)
			return text + "." + base64.RawURLEncoding.EncodeToString(s)
		},
		"really_ps256": func(t *testing.T, h, c object) string {
			t.Helper()
			text := encode(t, h.with("alg", "PS256")) + "." + encode(t, c)
			sum := sha256.Sum256([]byte(text))
			s, err := rsa.SignPSS(rand.Reader, rsaKeys[0](), crypto.SHA256, sum[:], nil)
			require.NoError(t, err)
			return text + "." + base64.RawURLEncoding.EncodeToString(s)
		},
		"really_es256": func(t *testing.T, h, c object) string {
			t.Helper()
			text := encode(t, h.with("alg", "ES256")) + "." + encode(t, c)
			sum := sha256.Sum256([]byte(text))
			r, s, err := ecdsa.Sign(rand.Reader, ecKey(), sum[:])
			require.NoError(t, err)
			return text + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
		},
		"claims_changed": func(t *testing.T, h, c object) string {
			t.Helper()
			p := strings.Split(signed(t, h, c, rsaKeys[0]()), ".")
			return p[0] + "." + encode(t, c.with("sub", "001234.eve")) + "." + p[2]
		},
		"header_changed": func(t *testing.T, h, c object) string {
			t.Helper()
			p := strings.Split(signed(t, h, c, rsaKeys[0]()), ".")
			return encode(t, h.with("typ", "JWT")) + "." + p[1] + "." + p[2]
		},
		"signature_cut": func(t *testing.T, h, c object) string {
			t.Helper()
			s := signed(t, h, c, rsaKeys[0]())
			return s[:len(s)-4]
		},
		"signature_padded": func(t *testing.T, h, c object) string { t.Helper(); return signed(t, h, c, rsaKeys[0]()) + "==" },
		"signature_spelled_otherwise": func(t *testing.T, h, c object) string { // the same bytes: the last letter has four bits to spare
			t.Helper()
			s := signed(t, h, c, rsaKeys[0]())
			const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			return s[:len(s)-1] + string(letters[strings.IndexByte(letters, s[len(s)-1])+1])
		},
		"claims_no_object": func(t *testing.T, h, _ object) string {
			t.Helper()
			return signedText(t, encode(t, h)+"."+base64.RawURLEncoding.EncodeToString([]byte(`[]`)), rsaKeys[0]())
		},
		"claims_twice": func(t *testing.T, h, c object) string {
			t.Helper()
			text, err := json.Marshal(c)
			require.NoError(t, err)
			return signedText(t, encode(t, h)+"."+base64.RawURLEncoding.EncodeToString(append(text, text...)), rsaKeys[0]())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			nonce := w.nonce(t)
			header, claims := w.goodParts(nonce)
			token := forge(t, header, claims)
			_, err := w.verifier.Verify(t.Context(), token, nonce)
			refused(t, err, apple.ErrInvalid, token, nonce, apple.Sent(nonce), ada.Email, ada.Subject)
			_, err = w.verifier.Verify(t.Context(), signed(t, header, claims, rsaKeys[0]()), nonce)
			require.NoError(t, err, "the nonce is as it was")
		})
	}
}

// What has not the shape of a token is not parsed and asks for no key.
func TestShapesAreRefusedFirst(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	nonce := w.nonce(t)
	header, claims := w.goodParts(nonce)
	whole := signed(t, header, claims, rsaKeys[0]())
	rest := len(base64.RawURLEncoding.EncodeToString(make([]byte, 256))) + len(encode(t, header)) + 2
	padded := func(length int) string { // a token of a length, all good
		for pad := range length {
			if c := claims.with("pad", strings.Repeat("a", pad)); rest+len(encode(t, c)) == length {
				return signed(t, header, c, rsaKeys[0]())
			}
		}
		return ""
	}
	for name, token := range map[string]string{
		"empty": "", "no_dot": strings.ReplaceAll(whole, ".", ""), "one_dot": strings.Replace(whole, ".", "", 1), "three_dots": whole + ".",
		"dots": strings.Repeat(".", apple.MaxLength), "too_long": padded(apple.MaxLength + 1), "giant": strings.Repeat("a", 1<<20),
	} {
		_, err := w.verifier.Verify(t.Context(), token, nonce)
		refused(t, err, apple.ErrInvalid, token)
		require.Empty(t, w.transport.Calls(), name)
	}
	longest := padded(apple.MaxLength)
	require.Len(t, longest, apple.MaxLength)
	_, err := w.verifier.Verify(t.Context(), longest, nonce)
	require.NoError(t, err)
}

func TestNoncesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(t *testing.T, w *world) (inToken any, presented string){
		"not_in_the_token": func(t *testing.T, w *world) (any, string) { t.Helper(); return nil, w.nonce(t) },
		"empty_in_the_token": func(t *testing.T, w *world) (any, string) {
			t.Helper()
			return "", w.nonce(t)
		},
		"none_at_all":     func(*testing.T, *world) (any, string) { return "", "" },
		"hash_of_nothing": func(*testing.T, *world) (any, string) { return apple.Sent(""), "" },
		"not_hashed":      func(t *testing.T, w *world) (any, string) { t.Helper(); n := w.nonce(t); return n, n },
		"hash_is_presented": func(t *testing.T, w *world) (any, string) {
			t.Helper()
			n := w.nonce(t)
			return apple.Sent(n), apple.Sent(n)
		},
		"hash_in_other_case": func(t *testing.T, w *world) (any, string) {
			t.Helper()
			n := w.nonce(t)
			return strings.ToUpper(apple.Sent(n)), n
		},
		"of_another_sign_in": func(t *testing.T, w *world) (any, string) { t.Helper(); return apple.Sent(w.nonce(t)), w.nonce(t) },
		"never_issued":       func(*testing.T, *world) (any, string) { n := strings.Repeat("A", 43); return apple.Sent(n), n },
		"longer_than_ours":   func(t *testing.T, w *world) (any, string) { t.Helper(); n := w.nonce(t) + "A"; return apple.Sent(n), n },
		"expired": func(t *testing.T, w *world) (any, string) {
			t.Helper()
			n := w.nonce(t)
			w.clock.Jump(apple.NonceLife)
			return apple.Sent(n), n
		},
		"used": func(t *testing.T, w *world) (any, string) {
			t.Helper()
			n := w.nonce(t)
			header, claims := w.goodParts(n)
			_, err := w.verifier.Verify(t.Context(), signed(t, header, claims, rsaKeys[0]()), n)
			require.NoError(t, err)
			return apple.Sent(n), n
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			inToken, presented := c(t, w)
			header, claims := w.goodParts("")
			token := signed(t, header, claims.with("nonce", inToken), rsaKeys[0]())
			_, err := w.verifier.Verify(t.Context(), token, presented)
			refused(t, err, apple.ErrNonce, token, presented)
		})
	}
}

// What goes wrong with the keys is logged, and nothing of who signs in.
func TestLogsHoldNoToken(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{"broken": says(500, ""), "no_set": says(200, `{"keys":"sesame"}`)} {
		w := inMemory(t)
		token, _, nonce := w.signIn(t, ada)
		w.apple.Script("/auth/keys", answer)
		var log bytes.Buffer
		_, err := w.verifier.Verify(telemetry.Into(t.Context(), telemetry.New(&log, telemetry.Options{})), token, nonce)
		refused(t, err, apple.ErrUnavailable)
		require.Contains(t, log.String(), "Apple's keys were not fetched", name)
		for _, hidden := range append(strings.Split(token, "."), nonce, apple.Sent(nonce), ada.Email, "sesame") {
			require.NotContains(t, log.String(), hidden, name)
		}
	}
}

// What is not the length of a nonce is not looked for.
func TestWhatCouldNotBeANonceCallsNothing(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	db := w.db.(*fault.DB)
	for _, presented := range []string{"", "A", strings.Repeat("A", 42), strings.Repeat("A", 44), strings.Repeat("A", 1<<16)} {
		header, claims := w.goodParts(presented)
		_, err := w.verifier.Verify(t.Context(), signed(t, header, claims, rsaKeys[0]()), presented)
		refused(t, err, apple.ErrNonce, presented)
	}
	require.Empty(t, db.Calls())
}

// A token was made by OpenSSL and frozen, with its key as a set: what passed once passes with every version of this
// package, and no code of ours or of the library made it.
func TestVector(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/vector.json")
	require.NoError(t, err)
	var v struct {
		Keys                                      json.RawMessage
		Header, Payload, Signature, Nonce, Client string
		Subject, Email                            string
		Now                                       int64
	}
	require.NoError(t, json.Unmarshal(text, &v))
	encoded := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	verify := func(payload string) (apple.Identity, error) {
		w := inMemory(t)
		w.clock = fault.NewClock(time.Unix(v.Now, 0))
		keys := apple.NewKeys(apple.KeysOptions{HTTP: inProcess{says(http.StatusOK, string(v.Keys))}, Now: w.clock.Now})
		verifier, err := apple.NewVerifier(keys, w.nonces, w.clock.Now, v.Client)
		require.NoError(t, err)
		w.issued(t, v.Nonce, v.Now)
		return verifier.Verify(t.Context(), encoded(v.Header)+"."+encoded(payload)+"."+v.Signature, v.Nonce)
	}
	got, err := verify(v.Payload)
	require.NoError(t, err)
	require.Equal(t, apple.Identity{Subject: v.Subject, Client: v.Client, Email: v.Email, EmailVerified: true, PrivateEmail: true,
		IssuedAt: time.Unix(v.Now, 0), Expires: time.Unix(v.Now+600, 0)}, got)
	_, err = verify(strings.Replace(v.Payload, v.Subject, "001234.eve", 1))
	refused(t, err, apple.ErrInvalid)
}

func TestVerifiersNeedClients(t *testing.T) {
	t.Parallel()
	for name, clients := range map[string][]string{"none": nil, "an_empty_one": {clientID, ""}} {
		_, err := apple.NewVerifier(nil, apple.Nonces{}, time.Now, clients...)
		require.Error(t, err, name)
	}
}

// Without keys nobody is let in, and no nonce is used up.
func TestNoKeysNobodyIn(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		w := inMemory(t)
		token, _, nonce := w.signIn(t, ada)
		w.transport.Follow(fault.From(0, fault.Fault{Kind: kind}))
		_, err := w.verifier.Verify(t.Context(), token, nonce)
		refused(t, err, apple.ErrUnavailable, token, nonce)
		w.transport.Follow(nil)
		w.clock.Jump(2 * time.Second)
		_, err = w.verifier.Verify(t.Context(), token, nonce)
		require.NoError(t, err, kind)
	}
}
