package apple_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apple"
)

// Whatever Apple's answer is, a key that comes out of it is one that may be used, and there is no other error.
func FuzzKeys(f *testing.F) {
	good := set(f, jwk("a", &rsaKeys[0]().PublicKey))
	for _, body := range []string{
		good, good + good, good[:len(good)/2], "", "{}", "null", `{"keys":null}`, `{"keys":[null]}`, `{"keys":[{}]}`, strings.Replace(good, "RSA", "EC", 1),
		strings.Replace(good, `"kid":"a"`, `"kid":"a","kid":"b"`, 1), strings.Replace(good, `"e":"AQAB"`, `"e":"AQ"`, 1), strings.Replace(good, `"e":"AQAB"`, `"E":"AAAAAAAAAAM"`, 1),
		set(f, jwk("a", &weakRSA().PublicKey)), strings.Repeat(`{"keys":[`, 1000), `{"keys":[` + strings.Repeat("{},", 40) + `{}]}`,
	} {
		f.Add(body, "a")
	}
	f.Add(good, "")
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, body, id string) {
		keys := apple.NewKeys(apple.KeysOptions{HTTP: inProcess{says(200, body)}, Now: func() time.Time { return now }})
		key, err := keys.Find(t.Context(), id)
		switch {
		case err == nil:
			if key.N.BitLen() < 2048 || key.N.Bit(0) == 0 || key.E < 3 || key.E%2 == 0 || id == "" || len(body) > 64<<10 {
				t.Fatalf("%q: not a key to use: %v", body, key)
			}
		case errors.Is(err, apple.ErrInvalid) == errors.Is(err, apple.ErrUnavailable):
			t.Fatalf("%q: %v", body, err)
		}
	})
}

// Of all tokens only those that Apple signed pass.
func FuzzVerify(f *testing.F) {
	w := inMemory(f)
	nonce := w.nonce(f)
	header, claims := w.goodParts(nonce)
	good := signed(f, header, claims, rsaKeys[0]())
	parts := strings.Split(good, ".")
	encoded := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, token := range []string{
		good, good[:len(good)-9], "", "a.b.c", "..", good + "." + parts[2], parts[0] + "." + parts[1] + ".", strings.Repeat("a", 2*apple.MaxLength),
		encoded(`{"alg":"none","kid":"`+kid(0)+`"}`) + "." + parts[1] + ".",
		encoded(`{"alg":"RS256","ALG":"HS256","kid":"`+kid(0)+`"}`) + "." + parts[1] + "." + parts[2],
		encoded(`{"alg":{},"kid":[]}`) + "." + encoded(`[]`) + "." + parts[2],
		encoded(strings.Repeat("[", 2000)) + "." + parts[1] + "." + parts[2],
		parts[0] + "." + encoded(`{"aud":[[]],"exp":1e400,"email_verified":{}}`) + "." + parts[2],
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := w.verifier.Verify(t.Context(), token, nonce); token != good && !errors.Is(err, apple.ErrInvalid) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

// With a token that is good, only the nonce that was issued for it passes.
func FuzzNonce(f *testing.F) {
	w := inMemory(f)
	nonce := w.nonce(f)
	header, claims := w.goodParts(nonce)
	token := signed(f, header, claims, rsaKeys[0]())
	for _, n := range []string{"", nonce[:42], nonce + "A", apple.Sent(nonce), strings.ToLower(nonce), strings.Repeat("A", 43), "\x00", strings.Repeat("a", 1<<16)} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, presented string) {
		if _, err := w.verifier.Verify(t.Context(), token, presented); presented != nonce && !errors.Is(err, apple.ErrNonce) {
			t.Fatalf("%q: %v", presented, err)
		}
	})
}

// Whatever the token endpoint says, there is a refresh token of our person, or exactly one of the errors.
func FuzzAnswer(f *testing.F) {
	w := inMemory(f)
	header, claims := w.goodParts("")
	good := `{"token_type":"Bearer","refresh_token":"r","id_token":"` + signed(f, header, claims, rsaKeys[0]()) + `"}`
	for _, body := range []string{good, good + good, good[:len(good)/2], "", "{}", "null", `{"error":"invalid_grant"}`, `{"error":"invalid_client"}`, `{"error":{}}`} {
		f.Add(200, body)
		f.Add(400, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		w.apple.Script("/auth/token", says(status, body))
		refresh, err := w.client.Exchange(t.Context(), "c.0de-1", ada.Subject)
		w.apple.Script("/auth/token")
		if err == nil {
			if status != 200 || refresh.Reveal() == "" || !strings.Contains(body, "id_token") {
				t.Fatalf("%d %q passes", status, body)
			}
			return
		}
		kinds := 0
		for _, kind := range []error{apple.ErrInvalid, apple.ErrGrant, apple.ErrClient, apple.ErrUnavailable} {
			if errors.Is(err, kind) {
				kinds++
			}
		}
		require.Equal(t, 1, kinds, "%v", err)
	})
}
