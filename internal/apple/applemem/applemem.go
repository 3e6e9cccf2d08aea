// Package applemem is Apple in memory: an HTTP handler with the keys, token and revoke endpoints of Sign in with Apple, and
// the sign-in itself as a call; and a shelf for its keys. It is for tests and for the local cloud.
//
// It checks what Apple checks of a client, answers as Apple documents, and fails as it is told. Its limits: it shows no page
// and asks nobody for consent, does not look at redirect URIs, takes no refresh token but for revocation, and forgets all
// when it ends.
package applemem

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/expenzez/aws-backend/internal/apple"
)

// Apple's times.
const (
	tokenLife  = 24 * time.Hour
	codeLife   = 5 * time.Minute
	secretLife = 15_777_000 * time.Second
)

// Client is a client as it is registered with Apple.
type Client struct {
	ID     string
	TeamID string
	KeyID  string
	Key    *ecdsa.PublicKey // checks the client's secrets
}

// Person is somebody with an Apple account.
type Person struct {
	Subject string
	Email   string // "": the account shares none
	Private bool   // Email is a relay
	AsText  bool   // truth values come as text, which Apple does too
}

// Server is Apple. It is safe for concurrent use.
type Server struct {
	mux *http.ServeMux
	now func() time.Time

	mu      sync.Mutex
	keys    []*rsa.PrivateKey // the last one signs
	clients map[string]Client
	codes   map[string]grant
	refresh map[string]grant
	scripts map[string][]http.HandlerFunc // by path
}

type grant struct {
	person Person
	client string
	nonce  string
	until  time.Time // of a code
}

// New makes an Apple that signs with a key, which has at least 2048 bits; now is its clock.
func New(key *rsa.PrivateKey, now func() time.Time, clients ...Client) *Server {
	s := &Server{mux: http.NewServeMux(), now: now, keys: []*rsa.PrivateKey{key}, clients: map[string]Client{}, codes: map[string]grant{},
		refresh: map[string]grant{}, scripts: map[string][]http.HandlerFunc{}}
	for _, c := range clients {
		s.clients[c.ID] = c
	}
	s.mux.HandleFunc("GET /auth/keys", s.serveKeys)
	s.mux.HandleFunc("POST /auth/token", s.serveToken)
	s.mux.HandleFunc("POST /auth/revoke", s.serveRevoke)
	return s
}

// ServeHTTP serves the endpoints under their paths at Apple.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if scripted := s.scripted(r.URL.Path); scripted != nil {
		scripted(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Script lets the next calls of a path be answered otherwise: each by one of the answers, in order; nil is the endpoint's
// own. After them the endpoint answers again. What was scripted before for the path and not used is dropped.
func (s *Server) Script(path string, answers ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[path] = answers
}

func (s *Server) scripted(path string) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := s.scripts[path]
	if len(answers) == 0 {
		return nil
	}
	s.scripts[path] = answers[1:]
	return answers[0]
}

// Rotate lets another key sign from now on. The one before stays published, older ones do not.
func (s *Server) Rotate(key *rsa.PrivateKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys[len(s.keys)-1:], key)
}

// SignIn is what a client gets when a person signs in: an identity token, with the nonce as it was sent, and a code.
func (s *Server) SignIn(p Person, client, nonce string) (identityToken, code string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.clients[client]; !ok {
		return "", "", errors.New("applemem: no such client")
	}
	g := grant{person: p, client: client, nonce: nonce, until: s.now().Add(codeLife)}
	if identityToken, err = s.sign(g); err != nil {
		return "", "", err
	}
	code = random()
	s.codes[code] = g
	return identityToken, code, nil
}

// Authorized is how many refresh tokens of a person are live.
func (s *Server) Authorized(subject string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, g := range s.refresh {
		if g.person.Subject == subject {
			n++
		}
	}
	return n
}

func (s *Server) sign(g grant) (string, error) {
	now := s.now()
	claims := jwt.MapClaims{"iss": apple.Issuer, "aud": g.client, "sub": g.person.Subject, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
		"auth_time": now.Unix(), "nonce_supported": true}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	if g.person.Email != "" {
		claims["email"], claims["email_verified"] = g.person.Email, truth(true, g.person.AsText)
		if g.person.Private {
			claims["is_private_email"] = truth(true, g.person.AsText)
		}
	}
	key := s.keys[len(s.keys)-1]
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = KeyID(&key.PublicKey)
	delete(t.Header, "typ") // Apple's have none
	return t.SignedString(key)
}

func truth(v, asText bool) any {
	if asText {
		return fmt.Sprint(v)
	}
	return v
}

// KeyID is the id under which a key is published.
func KeyID(key *rsa.PublicKey) string {
	sum := sha256.Sum256(key.N.Bytes())
	return base64.RawURLEncoding.EncodeToString(sum[:])[:10]
}

func (s *Server) serveKeys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []map[string]string{}
	for _, key := range s.keys {
		all = append(all, map[string]string{"kty": "RSA", "kid": KeyID(&key.PublicKey), "use": "sig", "alg": "RS256",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())})
	}
	answer(w, http.StatusOK, map[string]any{"keys": all})
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, ok := s.authenticated(w, r)
	if !ok {
		return
	}
	if r.PostForm.Get("grant_type") != "authorization_code" {
		refuse(w, "unsupported_grant_type")
		return
	}
	code := r.PostForm.Get("code")
	g, ok := s.codes[code]
	if !ok || g.client != client || !s.now().Before(g.until) {
		refuse(w, "invalid_grant")
		return
	}
	delete(s.codes, code)
	identity, err := s.sign(g)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	refresh := random()
	s.refresh[refresh] = g
	answer(w, http.StatusOK, map[string]any{"access_token": random(), "token_type": "Bearer", "expires_in": 3600, "refresh_token": refresh, "id_token": identity})
}

func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, ok := s.authenticated(w, r)
	if !ok {
		return
	}
	token := r.PostForm.Get("token")
	if token == "" {
		refuse(w, "invalid_request")
		return
	}
	if g, ok := s.refresh[token]; ok && g.client == client {
		delete(s.refresh, token)
	}
	w.WriteHeader(http.StatusOK) // also for tokens that are not live
}

// authenticated is the client that a form is from, by its secret ("Creating a client secret").
func (s *Server) authenticated(w http.ResponseWriter, r *http.Request) (string, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		refuse(w, "invalid_request")
		return "", false
	}
	client, ok := s.clients[r.PostForm.Get("client_id")]
	if !ok || !s.proven(client, r.PostForm.Get("client_secret")) {
		refuse(w, "invalid_client")
		return "", false
	}
	return client.ID, true
}

func (s *Server) proven(c Client, raw string) bool {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(raw, &claims, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != c.KeyID {
			return nil, errors.New("another key")
		}
		return c.Key, nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(c.TeamID), jwt.WithSubject(c.ID), jwt.WithAudience(apple.Issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(s.now))
	return err == nil && claims.IssuedAt != nil && claims.ExpiresAt.Sub(claims.IssuedAt.Time) <= secretLife
}

func refuse(w http.ResponseWriter, code string) {
	answer(w, http.StatusBadRequest, map[string]any{"error": code})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who hung up hears nothing
}

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
