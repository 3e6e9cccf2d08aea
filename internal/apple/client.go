package apple

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/expenzez/aws-backend/internal/secret"
)

// SecretLife is how long the client secrets live that prove to Apple who we are: each call makes its own. Apple allows
// 15,777,000 s ("Creating a client secret").
const SecretLife = 5 * time.Minute

// ClientConfig is what a client works with. ID, Credentials and Verifier are needed.
type ClientConfig struct {
	ID string // the client id: of an app, or of a service for other platforms
	// Credentials is {"teamId":…,"keyId":…,"privateKey":…} with the key as Apple hands it out: PKCS #8 in PEM.
	Credentials func(context.Context) (secret.Value, error)
	Verifier    *Verifier // checks who a code was for; ID must be one of its clients
	RedirectURI string    // as in the authorization request; "": it had none, as in apps

	HTTP      http.RoundTripper // nil: http.DefaultTransport
	TokenURL  string            // "": TokenURL
	RevokeURL string            // "": RevokeURL
	Budget    time.Duration     // of one call; 0: 5 s
	Now       func() time.Time  // nil: time.Now
}

// Client makes the calls of Apple's token endpoints for one client id. It is safe for concurrent use.
type Client struct {
	c ClientConfig

	mu     sync.Mutex
	parsed string // the credentials that key was read from
	key    signingKey
}

type signingKey struct {
	team, id string
	key      *ecdsa.PrivateKey
}

// NewClient makes a client that has called nothing yet.
func NewClient(c ClientConfig) (*Client, error) {
	if c.ID == "" || c.Credentials == nil || c.Verifier == nil {
		return nil, errors.New("apple: a client needs an id, credentials and a verifier")
	}
	if c.TokenURL == "" {
		c.TokenURL = TokenURL
	}
	if c.RevokeURL == "" {
		c.RevokeURL = RevokeURL
	}
	if c.Budget == 0 {
		c.Budget = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{c: c}, nil
}

// Exchange gives the code of a sign-in for the refresh token that Revoke needs. Apple takes a code once, within five
// minutes; an error leaves open whether it was taken, but for ErrGrant and ErrClient. subject is the person whose identity
// token came with the code: a code of anybody else is ErrGrant. The error is ErrGrant, ErrClient, ErrInvalid where Apple's
// own identity token does not pass, or ErrUnavailable.
func (c *Client) Exchange(ctx context.Context, code, subject string) (secret.Value, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}}
	if c.c.RedirectURI != "" {
		form.Set("redirect_uri", c.c.RedirectURI)
	}
	got, err := c.post(ctx, c.c.TokenURL, code, form)
	if err != nil {
		return secret.Value{}, err
	}
	// "TokenResponse" of the REST API; what is not used is not read.
	var out struct {
		Type     string `json:"token_type"`
		Refresh  string `json:"refresh_token"`
		Identity string `json:"id_token"`
	}
	if err := only(got.body, &out); err != nil || !got.json || !strings.EqualFold(out.Type, "bearer") || out.Refresh == "" || len(out.Refresh) > MaxLength {
		return secret.Value{}, unavailable("exchange a code", errors.New("the answer is not one"))
	}
	id, _, err := c.c.Verifier.check(ctx, out.Identity)
	switch {
	case err != nil:
		return secret.Value{}, err
	case id.Subject != subject || id.Client != c.c.ID:
		return secret.Value{}, fmt.Errorf("%w: it is another person's", ErrGrant)
	}
	return secret.NewValue(out.Refresh), nil
}

// Revoke takes back what a refresh token stands for: Apple forgets that the person signed in here. It may be repeated;
// Apple takes a token that is revoked already for revoked. The error is ErrGrant, ErrClient or ErrUnavailable.
func (c *Client) Revoke(ctx context.Context, refreshToken secret.Value) error {
	token := refreshToken.Reveal()
	_, err := c.post(ctx, c.c.RevokeURL, token, url.Values{"token": {token}, "token_type_hint": {"refresh_token"}})
	return err
}

// post makes a call about a code or token in the client's name and returns the answer of its success.
func (c *Client) post(ctx context.Context, address, about string, form url.Values) (answer, error) {
	if about == "" || len(about) > MaxLength {
		return answer{}, fmt.Errorf("%w: not the shape of one", ErrGrant)
	}
	ctx, cancel := context.WithTimeout(ctx, c.c.Budget)
	defer cancel()
	proof, err := c.proof(ctx)
	if err != nil {
		return answer{}, err
	}
	form.Set("client_id", c.c.ID)
	form.Set("client_secret", proof)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, unavailable("call Apple", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := send(c.c.HTTP, request)
	if err != nil {
		return answer{}, unavailable("call Apple", err)
	}
	if a.status == http.StatusOK {
		return a, nil
	}
	return answer{}, refusal(a)
}

// refusal is what Apple says ("ErrorResponse" of the REST API). Whatever is not documented says nothing.
func refusal(a answer) error {
	var out struct {
		Error string `json:"error"`
	}
	if a.status >= 400 && a.status < 500 && a.json && only(a.body, &out) == nil {
		switch out.Error {
		case "invalid_grant":
			return ErrGrant
		case "invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type":
			return fmt.Errorf("%w: %s", ErrClient, out.Error)
		}
	}
	return unavailable("call Apple", fmt.Errorf("status %d", a.status))
}

// proof is a client secret: a token of ours that Apple checks with the public key it has.
func (c *Client) proof(ctx context.Context) (string, error) {
	k, err := c.signingKey(ctx)
	if err != nil {
		return "", err
	}
	now := c.c.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": k.team, "sub": c.c.ID, "aud": Issuer,
		"iat": now.Unix(), "exp": now.Add(SecretLife).Unix()})
	t.Header["kid"] = k.id
	signed, err := t.SignedString(k.key)
	if err != nil {
		return "", unavailable("sign a client secret", err)
	}
	return signed, nil
}

// signingKey is the key of the credentials' present value, read anew only when that changed.
func (c *Client) signingKey(ctx context.Context) (signingKey, error) {
	v, err := c.c.Credentials(ctx)
	if err != nil {
		return signingKey{}, unavailable("credentials", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.key.key == nil || c.parsed != v.Reveal() {
		key, err := readCredentials(v)
		if err != nil {
			return signingKey{}, err
		}
		c.parsed, c.key = v.Reveal(), key
	}
	return c.key, nil
}

// errCredentials says nothing of the content: the cause of a JSON or ASN.1 error can quote it.
var errCredentials = fmt.Errorf(`%w: the credentials are not {"teamId":…,"keyId":…,"privateKey":…} with a P-256 key in PKCS #8 and PEM`, ErrClient)

func readCredentials(v secret.Value) (signingKey, error) {
	var in struct {
		TeamID     string `json:"teamId"`
		KeyID      string `json:"keyId"`
		PrivateKey string `json:"privateKey"`
	}
	if err := only([]byte(v.Reveal()), &in); err != nil || in.TeamID == "" || in.KeyID == "" {
		return signingKey{}, errCredentials
	}
	block, _ := pem.Decode([]byte(in.PrivateKey))
	if block == nil {
		return signingKey{}, errCredentials
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signingKey{}, errCredentials
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return signingKey{}, errCredentials
	}
	return signingKey{in.TeamID, in.KeyID, key}, nil
}
