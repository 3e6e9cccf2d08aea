// Package apple is Sign in with Apple: it checks the identity tokens that Apple gives to our clients, and talks to Apple's
// token endpoints so that an account that is deleted here lets go of the person there.
//
// What a caller may rely on:
//   - An identity token passes only with Apple's signature (RS256 and nothing else), for one of our client ids, in its time,
//     and with a nonce of ours that was not used before: of any number of uses at the same time one passes.
//   - Whatever does not answer, or not as documented, lets nobody in. Every error is exactly one of the errors below.
//   - Apple's keys are kept for hours, and for days while Apple does not answer; a sandbox that starts meanwhile takes them
//     from a Shelf. There are no timers. A call of Apple takes no longer than its budget, no call longer than its context.
//   - Errors and logs hold no token, code, nonce or address.
//
// Its limits: a nonce whose consumption was done and not heard of is lost, and the person signs in again; there are no
// retries here, since a code is good for one use; who can write the shelf's item can make identities; applemem, with which
// all of this was tried, is Apple as it is documented, and nothing was tried with Apple itself.
package apple

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Where Apple is (Sign in with Apple REST API).
const (
	Issuer    = "https://appleid.apple.com"
	KeysURL   = Issuer + "/auth/keys"
	TokenURL  = Issuer + "/auth/token"
	RevokeURL = Issuer + "/auth/revoke"
)

// Limits of an identity token.
const (
	Leeway    = 30 * time.Second // between Apple's clock and ours
	MaxLength = 4 << 10          // characters of an identity token; Apple's have about 800
)

// What can go wrong; there are no other errors. Their texts are for logs.
var (
	// ErrInvalid is every reason to refuse an identity token that lies in the token itself.
	ErrInvalid = errors.New("apple: the identity token is not valid")
	// ErrNonce is a nonce that was not issued here, was used, has expired, or is not the token's.
	ErrNonce = errors.New("apple: the nonce is not good for this sign-in")
	// ErrGrant is a code or a refresh token that Apple does not accept, or that is another person's.
	ErrGrant = errors.New("apple: the code or refresh token is not accepted")
	// ErrClient is a fault of ours: Apple does not accept our client id, our key or our request.
	ErrClient = errors.New("apple: our client is not accepted")
	// ErrUnavailable says nothing about the person: Apple, our store or our secret did not answer, or not as documented.
	ErrUnavailable = errors.New("apple: something that is needed did not answer")
)

// unavailable is ErrUnavailable with its cause.
func unavailable(what string, cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, cause)
}

// Identity is who a valid identity token is about.
type Identity struct {
	Subject       string // Apple's id of the person, the same for all clients of our team
	Client        string // the client id that the token was made for
	Email         string // may be empty: not every account shares one
	EmailVerified bool
	PrivateEmail  bool // Email is a relay of Apple's
	IssuedAt      time.Time
	Expires       time.Time
}

// Verifier checks identity tokens. It is safe for concurrent use.
type Verifier struct {
	clients []string
	keys    *Keys
	nonces  Nonces
	now     func() time.Time
	parser  *jwt.Parser
}

// NewVerifier checks tokens for client ids, of which there must be one at least.
func NewVerifier(keys *Keys, nonces Nonces, now func() time.Time, clients ...string) (*Verifier, error) {
	if len(clients) == 0 || slices.Contains(clients, "") {
		return nil, errors.New("apple: a verifier needs client ids, none of them empty")
	}
	return &Verifier{clients: clients, keys: keys, nonces: nonces, now: now,
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), jwt.WithIssuer(Issuer), jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(), jwt.WithLeeway(Leeway), jwt.WithTimeFunc(now), jwt.WithStrictDecoding())}, nil
}

// Verify checks an identity token and uses up the nonce that was issued for this sign-in and is presented with it: the
// token must hold what Sent makes of it. A token without a nonce is refused, also from platforms that cannot carry one.
// The token is checked first: one that is refused leaves the nonce as it is. The error is ErrInvalid, ErrNonce or
// ErrUnavailable.
func (v *Verifier) Verify(ctx context.Context, identityToken, nonce string) (Identity, error) {
	id, inToken, err := v.check(ctx, identityToken)
	if err != nil {
		return Identity{}, err
	}
	if !matches(inToken, nonce) {
		return Identity{}, fmt.Errorf("%w: it is not the token's", ErrNonce)
	}
	if err := v.nonces.use(ctx, nonce, v.now()); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// wire is the payload of an identity token ("Authenticating users with Sign in with Apple").
type wire struct {
	jwt.RegisteredClaims
	Nonce         string `json:"nonce"`
	Email         string `json:"email"`
	EmailVerified flag   `json:"email_verified"`
	PrivateEmail  flag   `json:"is_private_email"`
}

// flag is a truth value that Apple writes as true or as "true".
type flag bool

// UnmarshalJSON takes true, false, "true" and "false".
func (f *flag) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case `true`, `"true"`:
		*f = true
	case `false`, `"false"`, `null`:
		*f = false
	default:
		return errors.New("not a truth value")
	}
	return nil
}

var _ json.Unmarshaler = (*flag)(nil)

// check checks all of a token but its nonce, which it returns.
func (v *Verifier) check(ctx context.Context, raw string) (Identity, string, error) {
	if len(raw) > MaxLength || strings.Count(raw, ".") != 2 {
		return Identity{}, "", fmt.Errorf("%w: not the shape of one", ErrInvalid)
	}
	var w wire
	var keyErr error
	_, err := v.parser.ParseWithClaims(raw, &w, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("an extension that is not understood") // RFC 7515 §4.1.11
		}
		kid, _ := t.Header["kid"].(string)
		var key *rsa.PublicKey
		key, keyErr = v.keys.Find(ctx, kid)
		return key, keyErr
	})
	switch {
	case keyErr != nil:
		return Identity{}, "", keyErr
	case err != nil:
		return Identity{}, "", fmt.Errorf("%w: %s", ErrInvalid, reason(err))
	case w.Subject == "" || w.IssuedAt == nil:
		return Identity{}, "", fmt.Errorf("%w: a claim is missing", ErrInvalid)
	case len(w.Audience) != 1 || !slices.Contains(v.clients, w.Audience[0]):
		return Identity{}, "", fmt.Errorf("%w: it is for another client", ErrInvalid)
	}
	return Identity{Subject: w.Subject, Client: w.Audience[0], Email: w.Email, EmailVerified: bool(w.EmailVerified) && w.Email != "",
		PrivateEmail: bool(w.PrivateEmail), IssuedAt: w.IssuedAt.Time, Expires: w.ExpiresAt.Time}, w.Nonce, nil
}

// reason names why the library refused, without what it refused.
func reason(err error) string {
	for _, known := range []error{jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenNotValidYet, jwt.ErrTokenUnverifiable} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "refused"
}
