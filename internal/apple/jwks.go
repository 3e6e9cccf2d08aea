package apple

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
)

// Sizes: of a key that is used, where Apple's have 2048 bits, and of a set, where Apple's have had two to four keys.
const (
	leastBits = 2048
	mostBits  = 8192
	mostKeys  = 32
)

var errKeys = errors.New("the answer is not a set of keys")

// parseKeys reads a JWK set (RFC 7517): the RSA keys for RS256 signatures, by id. Other keys are left out, as are those
// that cannot be right, which then refuse their own tokens only. A set without a key, with two for one id or with more than
// mostKeys of any kind is refused.
func parseKeys(body []byte) (map[string]*rsa.PublicKey, error) {
	var set struct {
		Keys []struct {
			KeyType   string `json:"kty"`
			ID        string `json:"kid"`
			Use       string `json:"use"`
			Algorithm string `json:"alg"`
			N         string `json:"n"`
			E         string `json:"e"`
		} `json:"keys"`
	}
	if err := only(body, &set); err != nil || len(set.Keys) > mostKeys {
		return nil, errKeys // the cause can quote what it refuses
	}
	keys := map[string]*rsa.PublicKey{}
	for _, k := range set.Keys {
		if k.KeyType != "RSA" || k.Use != "sig" || k.Algorithm != "RS256" || k.ID == "" {
			continue
		}
		key, ok := publicKey(k.N, k.E)
		if !ok {
			continue
		}
		if keys[k.ID] != nil {
			return nil, errors.New("the set has two keys of one id")
		}
		keys[k.ID] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("the set has no key for RS256")
	}
	return keys, nil
}

// publicKey is the key of a modulus and an exponent in base64url (RFC 7518 §6.3.1). Both are odd, and the exponent has
// 31 bits at most, which is what crypto/rsa takes.
func publicKey(n, e string) (*rsa.PublicKey, bool) {
	modulus, errN := base64.RawURLEncoding.Strict().DecodeString(n)
	exponent, errE := base64.RawURLEncoding.Strict().DecodeString(e)
	if errN != nil || errE != nil || len(modulus) > mostBits/8 || len(exponent) > 4 {
		return nil, false
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
	odd := key.N.Bit(0) == 1 && key.E%2 == 1
	return key, odd && key.N.BitLen() >= leastBits && key.E >= 3 && key.E < 1<<31
}
