package apple_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/apple"
	"github.com/expenzez/aws-backend/internal/apple/applemem"
	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/local/localtest"
	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
	"github.com/expenzez/aws-backend/internal/store/storetest"
)

const (
	day = 24 * time.Hour

	clientID = "com.example.app"
	teamID   = "TEAM123456"
	keyID    = "KEY1234567"
)

var (
	start    = time.Unix(1_800_000_000, 0)
	ada      = applemem.Person{Subject: "001234.ada", Email: "ada@example.com"}
	emulator string // URL of the one moto of this package's tests

	// Keys take long to make: these are shared.
	rsaKeys = [...]func() *rsa.PrivateKey{newRSA(2048), newRSA(2048), newRSA(2048)}
	weakRSA = newRSA(1024)
	ecKey   = sync.OnceValue(func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	})
)

func newRSA(bits int) func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		return key
	})
}

func TestMain(m *testing.M) { localtest.Main(m, &emulator) }

// inProcess carries requests to a handler without a network. It ends with the request's context, like one.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// hang answers nothing until the caller gives up.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// says answers with a status and a body in JSON.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// credentialsOf is the secret of a client, as Apple's key file is put into it.
func credentialsOf(tb testing.TB, key any) secret.Value {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	text, err := json.Marshal(map[string]string{"teamId": teamID, "keyId": keyID,
		"privateKey": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	require.NoError(tb, err)
	return secret.NewValue(string(text))
}

// world is a verifier and a client with everything around them. A test moves its clock and breaks its calls.
type world struct {
	now         func() time.Time
	clock       *fault.Clock // nil where time is the bubble's
	apple       *applemem.Server
	transport   *fault.Transport
	db          store.DB
	follow      func(fault.Plan) // for the store
	table       store.Table
	shelf       apple.Shelf
	credentials secret.Value
	keys        *apple.Keys
	nonces      apple.Nonces
	verifier    *apple.Verifier
	client      *apple.Client
}

// inMemory is a world whose clock stands, and whose store does not try again.
func inMemory(tb testing.TB) *world {
	tb.Helper()
	clock := fault.NewClock(start)
	w := inMemoryAt(tb, clock.Now)
	w.clock = clock
	return w
}

func inMemoryAt(tb testing.TB, now func() time.Time) *world {
	tb.Helper()
	db := fault.NewDB(mem.New(mem.Schema{Name: "apple", Hash: "pk"}), nil)
	w := &world{now: now, db: db, follow: db.Follow, table: store.NewTable(db, "apple"), shelf: &applemem.Shelf{}}
	w.begin(tb)
	return w
}

// onTheEmulator is a world behind the SDK's real client, with its retries, on the local AWS API.
func onTheEmulator(t *testing.T) *world {
	t.Helper()
	cloud := localtest.Start(t, emulator)
	transport := fault.NewTransport(nil, nil)
	config := cloud.Operator()
	config.HTTPClient = transport
	client := store.Open(config, store.Options{Random: func() float64 { return 0 }})
	name := fmt.Sprintf("apple-%d", time.Now().UnixNano())
	_, err := client.CreateTable(t.Context(), storetest.CreateTable(mem.Schema{Name: name, Hash: "pk"}))
	require.NoError(t, err)
	clock := fault.NewClock(start)
	w := &world{now: clock.Now, clock: clock, db: client, follow: transport.Follow, table: store.NewTable(client, name)}
	w.shelf = apple.NewShelf(w.table)
	w.begin(t)
	return w
}

func (w *world) begin(tb testing.TB) {
	tb.Helper()
	w.apple = applemem.New(rsaKeys[0](), w.now, applemem.Client{ID: clientID, TeamID: teamID, KeyID: keyID, Key: &ecKey().PublicKey})
	w.transport = fault.NewTransport(inProcess{w.apple}, nil)
	w.credentials = credentialsOf(tb, ecKey())
	w.nonces = apple.NewNonces(w.table, w.db)
	w.restart(tb)
}

// restart is another sandbox: nothing is in memory.
func (w *world) restart(tb testing.TB) {
	tb.Helper()
	w.keys = apple.NewKeys(apple.KeysOptions{HTTP: w.transport, Shelf: w.shelf, Now: w.now})
	var err error
	w.verifier, err = apple.NewVerifier(w.keys, w.nonces, w.now, "com.example.other", clientID)
	require.NoError(tb, err)
	w.client, err = apple.NewClient(apple.ClientConfig{ID: clientID, Verifier: w.verifier, HTTP: w.transport, Now: w.now,
		Credentials: func(context.Context) (secret.Value, error) { return w.credentials, nil }})
	require.NoError(tb, err)
}

func (w *world) nonce(tb testing.TB) string {
	tb.Helper()
	nonce, err := w.nonces.Issue(tb.Context(), w.now())
	require.NoError(tb, err)
	return nonce
}

// signIn is what a client of ours has after a person signed in.
func (w *world) signIn(tb testing.TB, p applemem.Person) (identityToken, code, nonce string) {
	tb.Helper()
	nonce = w.nonce(tb)
	identityToken, code, err := w.apple.SignIn(p, clientID, apple.Sent(nonce))
	require.NoError(tb, err)
	return identityToken, code, nonce
}

// refused requires an error, exactly one of the package's, that holds none of the secrets.
func refused(tb testing.TB, err, want error, secrets ...string) {
	tb.Helper()
	require.Error(tb, err)
	require.ErrorIs(tb, err, want)
	kinds := 0
	for _, kind := range []error{apple.ErrInvalid, apple.ErrNonce, apple.ErrGrant, apple.ErrClient, apple.ErrUnavailable} {
		if errors.Is(err, kind) {
			kinds++
		}
	}
	require.Equal(tb, 1, kinds, "%v", err)
	for _, s := range secrets {
		if s != "" {
			require.NotContains(tb, err.Error(), s)
		}
	}
}

// object is a JSON object of a token made by hand.
type object map[string]any

func (o object) with(name string, value any) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	if out[name] = value; value == nil {
		delete(out, name)
	}
	return out
}

func encode(tb testing.TB, o object) string {
	tb.Helper()
	text, err := json.Marshal(o)
	require.NoError(tb, err)
	return base64.RawURLEncoding.EncodeToString(text)
}

// signed is a token signed with RS256 by hand (RFC 7515 appendix A.2): nothing of the library that checks is in it.
func signed(tb testing.TB, header, claims object, key *rsa.PrivateKey) string {
	tb.Helper()
	return signedText(tb, encode(tb, header)+"."+encode(tb, claims), key)
}

func signedText(tb testing.TB, text string, key *rsa.PrivateKey) string {
	tb.Helper()
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	require.NoError(tb, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// goodParts are header and claims of a token that passes with a nonce.
func (w *world) goodParts(nonce string) (header, claims object) {
	now := w.now().Unix()
	return object{"alg": "RS256", "kid": applemem.KeyID(&rsaKeys[0]().PublicKey)},
		object{"iss": "https://appleid.apple.com", "aud": clientID, "sub": ada.Subject, "iat": now, "exp": now + 600, "nonce": apple.Sent(nonce),
			"email": ada.Email, "email_verified": "true", "nonce_supported": true, "auth_time": now}
}

// nonceKey is where a nonce lies: what is stored does not change with a version.
func nonceKey(nonce string) store.Item {
	sum := sha256.Sum256([]byte(nonce))
	return store.Item{"pk": store.S("NONCE#" + base64.RawURLEncoding.EncodeToString(sum[:]))}
}
