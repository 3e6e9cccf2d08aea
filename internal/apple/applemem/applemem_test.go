package applemem_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apple/applemem"
	"github.com/expenzez/aws-backend/internal/fault"
)

const client = "com.example.app"

var (
	start = time.Unix(1_800_000_000, 0)
	keys  = [...]func() *rsa.PrivateKey{newRSA(), newRSA(), newRSA()}
)

func newRSA() func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
}

type world struct {
	clock *fault.Clock
	key   *ecdsa.PrivateKey
	apple *applemem.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	w := &world{clock: fault.NewClock(start), key: key}
	w.apple = applemem.New(keys[0](), w.clock.Now, applemem.Client{ID: client, TeamID: "TEAM", KeyID: "KEY", Key: &key.PublicKey},
		applemem.Client{ID: "com.example.other", TeamID: "TEAM", KeyID: "KEY", Key: &key.PublicKey})
	return w
}

// secret is a client secret that is good, but for what a test changes.
func (w *world) secret(t *testing.T, change func(*jwt.Token, jwt.MapClaims)) string {
	t.Helper()
	now := w.clock.Now()
	claims := jwt.MapClaims{"iss": "TEAM", "sub": client, "aud": "https://appleid.apple.com", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "KEY"
	if change != nil {
		change(token, claims)
	}
	text, err := token.SignedString(w.key)
	require.NoError(t, err)
	return text
}

func (w *world) post(path string, form url.Values) (status int, body map[string]any) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.apple.ServeHTTP(rec, r)
	_ = json.Unmarshal(rec.Body.Bytes(), &body)
	return rec.Code, body
}

func (w *world) kids(t *testing.T) []string {
	t.Helper()
	rec := httptest.NewRecorder()
	w.apple.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/auth/keys", nil))
	require.Equal(t, http.StatusOK, rec.Code)
	var set struct{ Keys []struct{ Kid string } }
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &set))
	all := []string{}
	for _, key := range set.Keys {
		all = append(all, key.Kid)
	}
	return all
}

func (w *world) code(t *testing.T) string {
	t.Helper()
	_, code, err := w.apple.SignIn(applemem.Person{Subject: "ada"}, client, "")
	require.NoError(t, err)
	return code
}

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := func(i int) string { return applemem.KeyID(&keys[i]().PublicKey) }
	require.Equal(t, []string{id(0)}, w.kids(t))
	w.apple.Rotate(keys[1]())
	require.Equal(t, []string{id(0), id(1)}, w.kids(t))
	raw, _, err := w.apple.SignIn(applemem.Person{Subject: "ada"}, client, "n")
	require.NoError(t, err)
	parsed, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return &keys[1]().PublicKey, nil }, jwt.WithTimeFunc(w.clock.Now))
	require.NoError(t, err)
	require.Equal(t, id(1), parsed.Header["kid"])
	require.Equal(t, "n", parsed.Claims.(jwt.MapClaims)["nonce"], "as it was sent")
	w.apple.Rotate(keys[2]())
	require.Equal(t, []string{id(1), id(2)}, w.kids(t))
}

func TestClientsThatAreRefused(t *testing.T) {
	t.Parallel()
	claim := func(name string, value any) func(*jwt.Token, jwt.MapClaims) {
		return func(_ *jwt.Token, c jwt.MapClaims) { c[name] = value }
	}
	for name, change := range map[string]func(*jwt.Token, jwt.MapClaims){
		"another_team":     claim("iss", "OTHER"),
		"another_client":   claim("sub", "com.example.other"),
		"another_audience": claim("aud", "https://example.com"),
		"expired":          claim("exp", start.Unix()),
		"from_the_future":  claim("iat", start.Add(time.Minute).Unix()),
		"no_expiry":        func(_ *jwt.Token, c jwt.MapClaims) { delete(c, "exp") },
		"no_issue":         func(_ *jwt.Token, c jwt.MapClaims) { delete(c, "iat") },
		"over_six_months":  claim("exp", start.Unix()+15_777_001),
		"another_key":      func(t *jwt.Token, _ jwt.MapClaims) { t.Header["kid"] = "OTHER" },
		"no_key":           func(t *jwt.Token, _ jwt.MapClaims) { delete(t.Header, "kid") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, path := range []string{"/auth/token", "/auth/revoke"} {
				status, body := w.post(path, url.Values{"client_id": {client}, "client_secret": {w.secret(t, change)}, "grant_type": {"authorization_code"},
					"code": {w.code(t)}, "token": {"x"}})
				require.Equal(t, http.StatusBadRequest, status)
				require.Equal(t, "invalid_client", body["error"])
			}
		})
	}
	w := newWorld(t)
	for name, form := range map[string]url.Values{
		"unknown": {"client_id": {"com.example.evil"}, "client_secret": {w.secret(t, nil)}}, "no_secret": {"client_id": {client}}, "nothing": {},
	} {
		_, body := w.post("/auth/revoke", form)
		require.Equal(t, "invalid_client", body["error"], name)
	}
	_, body := w.post("/auth/revoke", url.Values{"token": {strings.Repeat("x", 64<<10)}})
	require.Equal(t, "invalid_request", body["error"])
	longest := w.secret(t, func(_ *jwt.Token, c jwt.MapClaims) { c["exp"] = start.Unix() + 15_777_000 })
	status, _ := w.post("/auth/revoke", url.Values{"client_id": {client}, "client_secret": {longest}, "token": {"x"}})
	require.Equal(t, http.StatusOK, status)
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := func(more url.Values) url.Values {
		more.Set("client_id", client)
		more.Set("client_secret", w.secret(t, nil))
		return more
	}
	code := w.code(t)
	for name, c := range map[string]struct {
		path string
		form url.Values
		want string
	}{
		"no_grant_type":    {"/auth/token", url.Values{"code": {code}}, "unsupported_grant_type"},
		"other_grant_type": {"/auth/token", url.Values{"code": {code}, "grant_type": {"password"}}, "unsupported_grant_type"},
		"no_code":          {"/auth/token", url.Values{"grant_type": {"authorization_code"}}, "invalid_grant"},
		"no_token":         {"/auth/revoke", url.Values{}, "invalid_request"},
	} {
		status, body := w.post(c.path, form(c.form))
		require.Equal(t, http.StatusBadRequest, status, name)
		require.Equal(t, c.want, body["error"], name)
	}
	other := url.Values{"client_id": {"com.example.other"}, "grant_type": {"authorization_code"}, "code": {code},
		"client_secret": {w.secret(t, func(_ *jwt.Token, c jwt.MapClaims) { c["sub"] = "com.example.other" })}}
	_, body := w.post("/auth/token", other)
	require.Equal(t, "invalid_grant", body["error"], "the code is another client's")

	status, granted := w.post("/auth/token", form(url.Values{"grant_type": {"authorization_code"}, "code": {code}}))
	require.Equal(t, http.StatusOK, status)
	refresh := granted["refresh_token"].(string)
	other = url.Values{"client_id": {"com.example.other"}, "token": {refresh}, "client_secret": other["client_secret"]}
	status, _ = w.post("/auth/revoke", other)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 1, w.apple.Authorized("ada"), "another client takes nothing back")

	_, _, err := w.apple.SignIn(applemem.Person{Subject: "ada"}, "com.example.evil", "")
	require.Error(t, err)
	rec := httptest.NewRecorder()
	w.apple.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/auth/token", nil))
	require.Equal(t, http.StatusMethodNotAllowed, rec.Code)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	get := func(path string) int {
		rec := httptest.NewRecorder()
		w.apple.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec.Code
	}
	fails := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	w.apple.Script("/auth/keys", fails(500), nil, fails(429))
	require.Equal(t, http.StatusMethodNotAllowed, get("/auth/token"), "another path")
	for _, want := range []int{500, 200, 429, 200} {
		require.Equal(t, want, get("/auth/keys"))
	}
	w.apple.Script("/auth/keys", fails(500), fails(500))
	w.apple.Script("/auth/keys", fails(503))
	require.Equal(t, 503, get("/auth/keys"))
	require.Equal(t, 200, get("/auth/keys"))
}
