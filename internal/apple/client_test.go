package apple_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apple"
	"github.com/expenzez/aws-backend/internal/apple/applemem"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/secret"
)

// granted is a world where a person signed in and the code was exchanged.
func granted(t *testing.T) (*world, secret.Value) {
	t.Helper()
	w := inMemory(t)
	_, code, _ := w.signIn(t, ada)
	refresh, err := w.client.Exchange(t.Context(), code, ada.Subject)
	require.NoError(t, err)
	return w, refresh
}

func TestACodeIsExchangedAndTakenBack(t *testing.T) {
	t.Parallel()
	w, refresh := granted(t)
	require.Equal(t, 1, w.apple.Authorized(ada.Subject))
	for range 2 { // it may be repeated
		require.NoError(t, w.client.Revoke(t.Context(), refresh))
		require.Zero(t, w.apple.Authorized(ada.Subject))
	}
}

func TestGrantsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code    func(t *testing.T, w *world) (code, subject string)
		unasked bool // Apple is not even called
	}{
		"empty":     {func(*testing.T, *world) (string, string) { return "", ada.Subject }, true},
		"giant":     {func(*testing.T, *world) (string, string) { return strings.Repeat("a", apple.MaxLength+1), ada.Subject }, true},
		"not_apple": {func(*testing.T, *world) (string, string) { return "made-up", ada.Subject }, false},
		"used": {func(t *testing.T, w *world) (string, string) {
			t.Helper()
			_, code, _ := w.signIn(t, ada)
			_, err := w.client.Exchange(t.Context(), code, ada.Subject)
			require.NoError(t, err)
			return code, ada.Subject
		}, false},
		"expired": {func(t *testing.T, w *world) (string, string) {
			t.Helper()
			_, code, _ := w.signIn(t, ada)
			w.clock.Jump(5 * time.Minute)
			return code, ada.Subject
		}, false},
		"another_person": {func(t *testing.T, w *world) (string, string) {
			t.Helper()
			_, code, _ := w.signIn(t, applemem.Person{Subject: "001234.eve"})
			return code, ada.Subject
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			code, subject := c.code(t, w)
			w.transport.Follow(nil)
			got, err := w.client.Exchange(t.Context(), code, subject)
			refused(t, err, apple.ErrGrant, code, subject)
			require.Empty(t, got.Reveal())
			require.Equal(t, c.unasked, len(w.transport.Calls()) == 0)
		})
	}
	w := inMemory(t)
	for _, token := range []string{"", strings.Repeat("a", apple.MaxLength+1)} {
		refused(t, w.client.Revoke(t.Context(), secret.NewValue(token)), apple.ErrGrant, token)
	}
	require.Empty(t, w.transport.Calls())
}

// The client secret is read by hand: Apple's rules ("Creating a client secret"), and five minutes.
func TestTheClientSecret(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	var form url.Values
	w.apple.Script("/auth/revoke", func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		form, err = url.ParseQuery(string(body))
		require.NoError(t, err)
		require.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
		require.Empty(t, r.URL.RawQuery, "nothing lands in a log of addresses")
		rw.WriteHeader(http.StatusOK)
	})
	require.NoError(t, w.client.Revoke(t.Context(), secret.NewValue("refresh&token=")))
	require.Equal(t, url.Values{"client_id": {clientID}, "token": {"refresh&token="}, "token_type_hint": {"refresh_token"},
		"client_secret": form["client_secret"]}, form)

	parts := strings.Split(form.Get("client_secret"), ".")
	require.Len(t, parts, 3)
	decoded := func(part string) (o map[string]any) {
		text, err := base64.RawURLEncoding.DecodeString(part)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &o))
		return o
	}
	header := decoded(parts[0])
	require.Equal(t, "ES256", header["alg"])
	require.Equal(t, keyID, header["kid"])
	require.Equal(t, map[string]any{"iss": teamID, "sub": clientID, "aud": "https://appleid.apple.com",
		"iat": float64(start.Unix()), "exp": float64(start.Add(5 * time.Minute).Unix())}, decoded(parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	require.Len(t, signature, 64)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	require.True(t, ecdsa.Verify(&ecKey().PublicKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])))
}

func TestExchangeSendsWhatAppleAsksFor(t *testing.T) {
	t.Parallel()
	for name, redirect := range map[string]string{"app": "", "web": "https://app.example.com/back"} {
		w := inMemory(t)
		var form url.Values
		w.apple.Script("/auth/token", func(rw http.ResponseWriter, r *http.Request) {
			require.NoError(t, r.ParseForm())
			form = r.PostForm
			says(http.StatusBadRequest, `{"error":"invalid_grant"}`)(rw, r)
		})
		client, err := apple.NewClient(apple.ClientConfig{ID: clientID, Verifier: w.verifier, HTTP: w.transport, Now: w.now, RedirectURI: redirect,
			Credentials: func(context.Context) (secret.Value, error) { return w.credentials, nil }})
		require.NoError(t, err)
		_, err = client.Exchange(t.Context(), "c.0de-1", ada.Subject)
		refused(t, err, apple.ErrGrant)
		form.Del("client_secret")
		want := url.Values{"grant_type": {"authorization_code"}, "code": {"c.0de-1"}, "client_id": {clientID}}
		if redirect != "" {
			want.Set("redirect_uri", redirect)
		}
		require.Equal(t, want, form, name)
	}
}

// Credentials that are not ours, or not readable, are our fault; the error holds nothing of them.
func TestCredentialsThatAreRefused(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	good := credentialsOf(t, ecKey()).Reveal()
	for name, text := range map[string]string{
		"of_another_key": credentialsOf(t, other).Reveal(), "another_team": strings.Replace(good, teamID, "TEAM999999", 1),
		"another_key_id": strings.Replace(good, keyID, "KEY9999999", 1), "p384": credentialsOf(t, wide).Reveal(), "rsa": credentialsOf(t, rsaKeys[0]()).Reveal(),
		"empty": "", "no_json": "sesame", "no_team": strings.Replace(good, teamID, "", 1), "no_key_id": strings.Replace(good, keyID, "", 1),
		"no_pem": strings.Replace(good, "-----BEGIN", "-----", 1), "no_key": `{"teamId":"a","keyId":"b"}`, "cut": good[:len(good)/2], "twice": good + good,
		"pem_of_nothing": `{"teamId":"a","keyId":"b","privateKey":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, refresh := granted(t)
			w.credentials = secret.NewValue(text)
			_, code, _ := w.signIn(t, ada)
			_, err := w.client.Exchange(t.Context(), code, ada.Subject)
			refused(t, err, apple.ErrClient, code, text)
			refused(t, w.client.Revoke(t.Context(), refresh), apple.ErrClient, refresh.Reveal(), text)
			require.Equal(t, 1, w.apple.Authorized(ada.Subject))
			w.credentials = secret.NewValue(good) // a new value is read at once
			require.NoError(t, w.client.Revoke(t.Context(), refresh))
		})
	}
}

func TestCredentialsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	boom := errors.New("boom")
	client, err := apple.NewClient(apple.ClientConfig{ID: clientID, Verifier: w.verifier, HTTP: w.transport,
		Credentials: func(context.Context) (secret.Value, error) { return secret.Value{}, boom }})
	require.NoError(t, err)
	err = client.Revoke(t.Context(), secret.NewValue("token"))
	refused(t, err, apple.ErrUnavailable)
	require.ErrorIs(t, err, boom)
	require.Empty(t, w.transport.Calls())
}

func TestClientsNeedTheirParts(t *testing.T) {
	t.Parallel()
	source := func(context.Context) (secret.Value, error) { return secret.Value{}, nil }
	for name, c := range map[string]apple.ClientConfig{
		"nothing": {}, "no_id": {Credentials: source, Verifier: &apple.Verifier{}}, "no_credentials": {ID: clientID, Verifier: &apple.Verifier{}},
		"no_verifier": {ID: clientID, Credentials: source},
	} {
		_, err := apple.NewClient(c)
		require.Error(t, err, name)
	}
}

// Whatever happens on the way, the outcome is not known, and nothing of the call is in the error.
func TestTheWayToAppleFails(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w, refresh := granted(t)
			_, code, _ := w.signIn(t, ada)
			w.transport.Follow(fault.From(0, fault.Fault{Kind: kind}))
			_, err := w.client.Exchange(t.Context(), code, ada.Subject)
			refused(t, err, apple.ErrUnavailable, code, w.credentials.Reveal())
			require.Len(t, w.transport.Calls(), 1, "a code is good once: nothing is repeated")
			refused(t, w.client.Revoke(t.Context(), refresh), apple.ErrUnavailable, refresh.Reveal())
			w.transport.Follow(nil)
			require.NoError(t, w.client.Revoke(t.Context(), refresh))
			_, err = w.client.Exchange(t.Context(), code, ada.Subject)
			if kind == fault.Lost || kind == fault.Truncated {
				refused(t, err, apple.ErrGrant) // it was taken
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestTheBudgetEndsACall(t *testing.T) {
	t.Parallel()
	ecKey()
	inBubble(t, func(t *testing.T, w *world) {
		call := map[string]func(context.Context) error{
			"/auth/token": func(ctx context.Context) error {
				_, err := w.client.Exchange(ctx, "c.0de-1", ada.Subject)
				return err
			},
			"/auth/revoke": func(ctx context.Context) error { return w.client.Revoke(ctx, secret.NewValue("the token")) },
		}
		for path, do := range call {
			w.apple.Script(path, hang, hang)
			before := time.Now()
			refused(t, do(t.Context()), apple.ErrUnavailable, "c.0de-1", "the token")
			require.Equal(t, 5*time.Second, time.Since(before))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			refused(t, do(ctx), apple.ErrUnavailable)
			cancel()
			require.Equal(t, 6*time.Second, time.Since(before), "the caller's deadline, where it is sooner")
		}
		synctest.Wait()
	})
}

// A redirect is followed nowhere, neither to another host nor to another path, on a real connection.
func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 100)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, to := range map[string]string{"another_host": elsewhere.URL + "/stolen", "another_path": "/stolen"} {
			mux := http.NewServeMux()
			mux.HandleFunc("/stolen", func(http.ResponseWriter, *http.Request) { reached <- "/stolen" })
			mux.HandleFunc("/auth/", func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, to, status) })
			server := httptest.NewServer(mux)
			w := inMemory(t)
			client, err := apple.NewClient(apple.ClientConfig{ID: clientID, Verifier: w.verifier, TokenURL: server.URL + "/auth/token", RevokeURL: server.URL + "/auth/revoke",
				Credentials: func(context.Context) (secret.Value, error) { return w.credentials, nil }})
			require.NoError(t, err)
			_, err = client.Exchange(t.Context(), "c.0de-1", ada.Subject)
			refused(t, err, apple.ErrUnavailable, "c.0de-1", to)
			refused(t, client.Revoke(t.Context(), secret.NewValue("the token")), apple.ErrUnavailable, "the token", to)
			_, err = apple.NewKeys(apple.KeysOptions{URL: server.URL + "/auth/keys"}).Find(t.Context(), kid(0))
			refused(t, err, apple.ErrUnavailable, to)
			server.Close()
			require.Empty(t, reached, "%d %s", status, name)
		}
	}
}

// Over a real connection the client gets what it gets in process.
func TestOverARealConnection(t *testing.T) {
	t.Parallel()
	w := inMemory(t)
	server := httptest.NewServer(w.apple)
	t.Cleanup(server.Close)
	keys := apple.NewKeys(apple.KeysOptions{URL: server.URL + "/auth/keys", Now: w.now})
	verifier, err := apple.NewVerifier(keys, w.nonces, w.now, clientID)
	require.NoError(t, err)
	client, err := apple.NewClient(apple.ClientConfig{ID: clientID, Verifier: verifier, TokenURL: server.URL + "/auth/token", RevokeURL: server.URL + "/auth/revoke",
		Now: w.now, Credentials: func(context.Context) (secret.Value, error) { return w.credentials, nil }})
	require.NoError(t, err)
	token, code, nonce := w.signIn(t, ada)
	id, err := verifier.Verify(t.Context(), token, nonce)
	require.NoError(t, err)
	refresh, err := client.Exchange(t.Context(), code, id.Subject)
	require.NoError(t, err)
	require.NoError(t, client.Revoke(t.Context(), refresh))
	require.Zero(t, w.apple.Authorized(ada.Subject))
}

// What Apple documents is told apart; whatever else it says says nothing.
func TestAnswersOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	good := func(w *world, change func(object)) string {
		header, claims := w.goodParts("")
		o := object{"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r", "id_token": signed(t, header, claims, rsaKeys[0]())}
		if change != nil {
			change(o)
		}
		text, err := json.Marshal(o)
		require.NoError(t, err)
		return string(text)
	}
	set := func(name string, value any) func(w *world) (int, string) {
		return func(w *world) (int, string) { return 200, good(w, func(o object) { o[name] = value }) }
	}
	fixed := func(status int, body string) func(*world) (int, string) {
		return func(*world) (int, string) { return status, body }
	}
	claim := func(name string, value any) func(w *world) (int, string) {
		return func(w *world) (int, string) {
			header, claims := w.goodParts("")
			return 200, good(w, func(o object) { o["id_token"] = signed(t, header, claims.with(name, value), rsaKeys[0]()) })
		}
	}
	for name, c := range map[string]struct {
		answer func(*world) (int, string)
		want   error
	}{
		"good":                 {func(w *world) (int, string) { return 200, good(w, nil) }, nil},
		"type_in_lower_case":   {set("token_type", "bearer"), nil},
		"invalid_grant":        {fixed(400, `{"error":"invalid_grant","error_description":"The code has expired or has been revoked."}`), apple.ErrGrant},
		"invalid_client":       {fixed(400, `{"error":"invalid_client"}`), apple.ErrClient},
		"invalid_client_401":   {fixed(401, `{"error":"invalid_client"}`), apple.ErrClient},
		"invalid_request":      {fixed(400, `{"error":"invalid_request"}`), apple.ErrClient},
		"unauthorized_client":  {fixed(400, `{"error":"unauthorized_client"}`), apple.ErrClient},
		"unsupported_grant":    {fixed(400, `{"error":"unsupported_grant_type"}`), apple.ErrClient},
		"invalid_scope":        {fixed(400, `{"error":"invalid_scope"}`), apple.ErrClient},
		"unknown_error":        {fixed(400, `{"error":"c.0de-1"}`), apple.ErrUnavailable},
		"error_of_wrong_type":  {fixed(400, `{"error":7}`), apple.ErrUnavailable},
		"error_without_body":   {fixed(400, ``), apple.ErrUnavailable},
		"too_many_requests":    {fixed(429, `{}`), apple.ErrUnavailable},
		"grant_with_500":       {fixed(500, `{"error":"invalid_grant"}`), apple.ErrUnavailable},
		"grant_with_302":       {fixed(302, `{"error":"invalid_grant"}`), apple.ErrUnavailable},
		"created":              {func(w *world) (int, string) { return 201, good(w, nil) }, apple.ErrUnavailable},
		"empty":                {fixed(200, ``), apple.ErrUnavailable},
		"no_json":              {fixed(200, `c.0de-1`), apple.ErrUnavailable},
		"a_list":               {fixed(200, `[]`), apple.ErrUnavailable},
		"more_after":           {func(w *world) (int, string) { return 200, good(w, nil) + "{}" }, apple.ErrUnavailable},
		"too_long":             {func(w *world) (int, string) { return 200, good(w, nil) + strings.Repeat(" ", 64<<10) }, apple.ErrUnavailable},
		"no_refresh_token":     {set("refresh_token", ""), apple.ErrUnavailable},
		"long_refresh_token":   {set("refresh_token", strings.Repeat("r", apple.MaxLength+1)), apple.ErrUnavailable},
		"refresh_token_number": {set("refresh_token", 7), apple.ErrUnavailable},
		"other_type":           {set("token_type", "mac"), apple.ErrUnavailable},
		"no_identity":          {set("id_token", ""), apple.ErrInvalid},
		"identity_forged":      {set("id_token", "a.b.c"), apple.ErrInvalid},
		"identity_expired":     {claim("exp", start.Add(-time.Hour).Unix()), apple.ErrInvalid},
		"identity_of_another":  {claim("sub", "001234.eve"), apple.ErrGrant},
		"our_other_client":     {claim("aud", "com.example.other"), apple.ErrGrant},
		"another_client":       {claim("aud", "com.example.evil"), apple.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inMemory(t)
			w.apple.Script("/auth/token", says(c.answer(w)))
			refresh, err := w.client.Exchange(t.Context(), "c.0de-1", ada.Subject)
			if c.want == nil {
				require.NoError(t, err)
				require.Equal(t, "r", refresh.Reveal())
				return
			}
			refused(t, err, c.want, "c.0de-1", w.credentials.Reveal())
			require.Empty(t, refresh.Reveal())
		})
	}
	t.Run("html", func(t *testing.T) {
		t.Parallel()
		w := inMemory(t)
		w.apple.Script("/auth/token", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = rw.Write([]byte(good(w, nil)))
		}, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = rw.Write([]byte(`{"error":"invalid_grant"}`))
		})
		for range 2 {
			_, err := w.client.Exchange(t.Context(), "c.0de-1", ada.Subject)
			refused(t, err, apple.ErrUnavailable)
		}
	})
}
