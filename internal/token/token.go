// Package token makes and checks our access tokens: JSON Web Tokens signed with ES256 that live for 15 minutes.
// Private keys are in one secret that only the auth function reads; public keys are items of a table, published before
// the private key signs anything, which verifiers keep in memory. A Rotation replaces the key without a token being refused.
//
// A verifier with its keys in memory makes no call, and one that cannot read them blames no token. It does not know that a
// session has ended: that is for who answers the request to ask.
package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/expenzez/aws-backend/internal/secret"
)

// What every token of ours has in common.
const (
	Lifetime  = 15 * time.Minute
	Leeway    = 30 * time.Second // between the clocks of signer and verifier
	Audience  = "expenzez-api"
	Type      = "at+jwt" // RFC 9068 §2.1: no other kind of token passes for an access token
	MaxLength = 4 << 10  // characters
)

// ErrInvalid is every reason to refuse a token that lies in the token itself. Any other error of Verify means that the
// keys could not be had, and says nothing about the token.
var ErrInvalid = errors.New("access token is not valid")

// Claims is what a valid token says.
type Claims struct {
	Subject  string // of the user pool
	Session  string
	ID       string
	IssuedAt time.Time
	Expires  time.Time
}

// wire is the token's payload (RFC 7519, RFC 9068).
type wire struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
}

// Verifier checks tokens. With its keys in memory it makes no call.
type Verifier struct {
	parser *jwt.Parser
	keys   *Keys
}

// NewVerifier checks tokens of an issuer with the keys of a set.
func NewVerifier(issuer string, keys *Keys, now func() time.Time) *Verifier {
	return &Verifier{keys: keys, parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodES256.Alg()}), jwt.WithIssuer(issuer),
		jwt.WithAudience(Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway), jwt.WithTimeFunc(now),
		jwt.WithStrictDecoding())}
}

// Verify checks everything about a token: its size and shape before it is parsed, algorithm, type, key, signature,
// issuer, audience, times with Leeway, and that no claim of ours is missing. Its error satisfies
// errors.Is(err, ErrInvalid) exactly when the token is to blame, and never holds the token.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	if len(raw) > MaxLength || strings.Count(raw, ".") != 2 {
		return Claims{}, fmt.Errorf("%w: not the shape of one", ErrInvalid)
	}
	var keyErr error
	var w wire
	_, err := v.parser.ParseWithClaims(raw, &w, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if t.Header["typ"] != Type || kid == "" {
			return nil, errors.New("header")
		}
		key, err := v.keys.Find(ctx, kid)
		if !errors.Is(err, ErrInvalid) {
			keyErr = err
		}
		return key, err
	})
	switch {
	case keyErr != nil:
		return Claims{}, keyErr
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %s", ErrInvalid, reason(err))
	}
	return w.claims()
}

func (w wire) claims() (Claims, error) {
	if w.Subject == "" || w.Session == "" || w.ID == "" || w.IssuedAt == nil {
		return Claims{}, fmt.Errorf("%w: a claim is missing", ErrInvalid)
	}
	if w.ExpiresAt.Sub(w.IssuedAt.Time) > Lifetime {
		return Claims{}, fmt.Errorf("%w: it lives longer than ours do", ErrInvalid)
	}
	return Claims{Subject: w.Subject, Session: w.Session, ID: w.ID, IssuedAt: w.IssuedAt.Time, Expires: w.ExpiresAt.Time}, nil
}

// reason names why the library refused, without what it refused.
func reason(err error) string {
	for _, known := range []error{jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenNotValidYet, jwt.ErrTokenUnverifiable} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "refused"
}

// Signer makes tokens with the key of a secret, which it asks for on each token: rotation takes effect when the
// secret's reader renews it.
type Signer struct {
	issuer string
	source func(context.Context) (secret.Value, error)
	now    func() time.Time

	mu     sync.Mutex
	parsed string // the secret that key was read from
	kid    string
	key    *ecdsa.PrivateKey
}

// NewSigner makes a signer that has asked for nothing yet.
func NewSigner(issuer string, source func(context.Context) (secret.Value, error), now func() time.Time) *Signer {
	return &Signer{issuer: issuer, source: source, now: now}
}

// Sign makes the access token of a user's session.
func (s *Signer) Sign(ctx context.Context, subject, session string) (string, Claims, error) {
	kid, key, err := s.current(ctx)
	if err != nil {
		return "", Claims{}, err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails (crypto/rand)
	now := s.now().Truncate(time.Second)
	c := Claims{Subject: subject, Session: session, ID: base64.RawURLEncoding.EncodeToString(id), IssuedAt: now, Expires: now.Add(Lifetime)}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, wire{Session: session, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: s.issuer, Audience: jwt.ClaimStrings{Audience}, Subject: subject, ID: c.ID,
		IssuedAt: jwt.NewNumericDate(c.IssuedAt), ExpiresAt: jwt.NewNumericDate(c.Expires),
	}})
	t.Header["typ"], t.Header["kid"] = Type, kid
	signed, err := t.SignedString(key)
	if err != nil {
		return "", Claims{}, fmt.Errorf("token: sign: %w", err)
	}
	return signed, c, nil
}

// Ready tells whether a token could be signed now: for callers that must not begin what they cannot finish.
func (s *Signer) Ready(ctx context.Context) error {
	_, _, err := s.current(ctx)
	return err
}

// current is the key of the secret's present value, read anew only when that changed.
func (s *Signer) current(ctx context.Context) (string, *ecdsa.PrivateKey, error) {
	v, err := s.source(ctx)
	if err != nil {
		return "", nil, fmt.Errorf("token: signing key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil || s.parsed != v.Reveal() {
		kid, key, err := readSecret(v)
		if err != nil {
			return "", nil, err
		}
		s.parsed, s.kid, s.key = v.Reveal(), kid, key
	}
	return s.kid, s.key, nil
}
