package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/expenzez/aws-backend/internal/secret"
	"github.com/expenzez/aws-backend/internal/store"
)

// partition is the hash key under which all public keys are; the range key is the key's id.
const partition = "jwks"

// JWK is a public key as clients get it (RFC 7517 §4, RFC 7518 §6.2).
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// PublicKey is a key that verifiers accept from NotBefore until RetireAt; a zero RetireAt is not decided yet.
type PublicKey struct {
	ID        string
	Key       *ecdsa.PublicKey
	NotBefore time.Time
	RetireAt  time.Time
}

// private is the text of the secret: key id, and the PKCS #8 form of the key in base64url.
type private struct {
	ID  string `json:"kid"`
	Key string `json:"privateKey"`
}

// NewKey makes a signing key: the value of the secret, and the public key to publish before. The id is the key's
// thumbprint (RFC 7638), so that one id never means two keys. Randomness is the system's: crypto/ecdsa takes no other.
func NewKey(now time.Time) (secret.Value, PublicKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return secret.Value{}, PublicKey{}, fmt.Errorf("token: new key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return secret.Value{}, PublicKey{}, fmt.Errorf("token: new key: %w", err)
	}
	id, err := thumbprint(&key.PublicKey)
	if err != nil {
		return secret.Value{}, PublicKey{}, err
	}
	text, err := json.Marshal(private{ID: id, Key: base64.RawURLEncoding.EncodeToString(der)})
	if err != nil {
		return secret.Value{}, PublicKey{}, fmt.Errorf("token: new key: %w", err)
	}
	return secret.NewValue(string(text)), PublicKey{ID: id, Key: &key.PublicKey, NotBefore: now.Truncate(time.Second)}, nil
}

// errSecret is the error of a secret that is no key of ours. It says nothing of the content: the cause of a JSON or
// ASN.1 error can quote it.
var errSecret = errors.New(`token: the secret is not {"kid":…,"privateKey":…} with a P-256 key in PKCS #8 and base64url, and its thumbprint as id`)

func readSecret(v secret.Value) (string, *ecdsa.PrivateKey, error) {
	var p private
	if err := json.Unmarshal([]byte(v.Reveal()), &p); err != nil {
		return "", nil, errSecret
	}
	der, err := base64.RawURLEncoding.DecodeString(p.Key)
	if err != nil {
		return "", nil, errSecret
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return "", nil, errSecret
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return "", nil, errSecret
	}
	if id, err := thumbprint(&key.PublicKey); err != nil || id != p.ID {
		return "", nil, errSecret
	}
	return p.ID, key, nil
}

// JWK is the key as clients get it.
func (k PublicKey) JWK() (JWK, error) {
	point, err := k.Key.Bytes()
	if err != nil {
		return JWK{}, fmt.Errorf("token: public key: %w", err)
	}
	const size = 32 // of a coordinate on P-256; the point is 4, x, y (SEC 1 §2.3.3)
	return JWK{KeyType: "EC", Curve: "P-256", Algorithm: "ES256", Use: "sig", ID: k.ID,
		X: base64.RawURLEncoding.EncodeToString(point[1 : 1+size]), Y: base64.RawURLEncoding.EncodeToString(point[1+size:])}, nil
}

// thumbprint is SHA-256 of the required members in order (RFC 7638 §3.2).
func thumbprint(key *ecdsa.PublicKey) (string, error) {
	j, err := PublicKey{Key: key}.JWK()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":%q,"kty":%q,"x":%q,"y":%q}`, j.Curve, j.KeyType, j.X, j.Y))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Item is the key as it is stored; times are epoch seconds.
func (k PublicKey) Item() (store.Item, error) {
	j, err := k.JWK()
	if err != nil {
		return nil, err
	}
	item := store.Item{
		"pk": store.S(partition), "sk": store.S(k.ID), "kty": store.S(j.KeyType), "crv": store.S(j.Curve), "alg": store.S(j.Algorithm),
		"use": store.S(j.Use), "kid": store.S(j.ID), "x": store.S(j.X), "y": store.S(j.Y), "notBefore": store.N(k.NotBefore.Unix()),
	}
	if !k.RetireAt.IsZero() {
		item["retireAt"] = store.N(k.RetireAt.Unix())
	}
	return item, nil
}

// readItem is the reverse of Item. It refuses what is no point of the curve and an id that is not the thumbprint.
func readItem(item store.Item) (PublicKey, error) {
	r := store.Read(item)
	id, x, y, notBefore, retireAt := r.S("kid"), r.S("x"), r.S("y"), r.N("notBefore"), r.OptN("retireAt")
	if err := r.Err(); err != nil {
		return PublicKey{}, fmt.Errorf("token: public key: %w", err)
	}
	xb, errX := base64.RawURLEncoding.DecodeString(x)
	yb, errY := base64.RawURLEncoding.DecodeString(y)
	if errX != nil || errY != nil {
		return PublicKey{}, fmt.Errorf("token: public key %s: a coordinate is not base64url", id)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes.Join([][]byte{{4}, xb, yb}, nil))
	if err != nil {
		return PublicKey{}, fmt.Errorf("token: public key %s: %w", id, err)
	}
	if want, err := thumbprint(key); err != nil || want != id {
		return PublicKey{}, fmt.Errorf("token: public key %s: the id is not its thumbprint", id)
	}
	k := PublicKey{ID: id, Key: key, NotBefore: time.Unix(notBefore, 0)}
	if retireAt != 0 {
		k.RetireAt = time.Unix(retireAt, 0)
	}
	return k, nil
}
