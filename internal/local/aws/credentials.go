package aws

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"regexp"
	"sync"
	"time"
)

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

// sessionTime is how long a role's credentials live: the longest session of AssumeRole (STS API reference, DurationSeconds).
const sessionTime = 12 * time.Hour

const (
	hexDigits = "0123456789abcdef"
	keyDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // of access key ids
	decimals  = "0123456789"
)

// key is one access key. Only the expiry and the principal may be shown.
type key struct {
	id, secret, token string
	principal         string
	expires           time.Time // zero means never
}

// keyring holds the access keys that the front handed out.
type keyring struct {
	mu          sync.Mutex
	byID        map[string]key
	roles       *regexp.Regexp
	operator    string
	operatorKey key
}

func (k *keyring) init(account string) error {
	roles, err := regexp.Compile(`^arn:aws:iam::` + account + `:role/[\w+=,.@/-]{1,576}$`)
	if err != nil {
		return fmt.Errorf("role pattern: %w", err)
	}
	k.roles, k.operator = roles, "arn:aws:iam::"+account+":user/operator"
	k.operatorKey = key{id: "AKIA" + randomText(keyDigits, 16), secret: randomSecret(30), principal: k.operator}
	k.byID = map[string]key{k.operatorKey.id: k.operatorKey}
	return nil
}

// Credentials mints temporary credentials for a deployed role of the account. They expire after twelve hours of Config.Now; a
// process that lives longer needs new ones.
func (f *Front) Credentials(_ context.Context, roleARN string) (accessKeyID, secret, sessionToken string, err error) {
	if !f.keys.roles.MatchString(roleARN) {
		return "", "", "", fmt.Errorf("aws: %q is not the ARN of a role in account %s", roleARN, f.config.Account)
	}
	now := f.config.Now()
	k := key{
		id: "ASIA" + randomText(keyDigits, 16), secret: randomSecret(30), token: randomSecret(180),
		principal: roleARN, expires: now.Add(sessionTime),
	}
	f.keys.mu.Lock()
	defer f.keys.mu.Unlock()
	for id, old := range f.keys.byID {
		if !old.expires.IsZero() && now.After(old.expires.Add(sessionTime)) {
			delete(f.keys.byID, id) // long enough expired to be forgotten
		}
	}
	f.keys.byID[k.id] = k
	return k.id, k.secret, k.token, nil
}

// AdminCredentials are the operator's own. They do not expire, have no session token, and Config.Authorize is not asked about them.
func (f *Front) AdminCredentials() (accessKeyID, secret string) {
	return f.keys.operatorKey.id, f.keys.operatorKey.secret
}

func (k *keyring) find(id string) (key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.byID[id]
	return found, ok
}

// randomText is n random characters of an alphabet of at most 256, without bias.
func randomText(alphabet string, n int) string {
	limit := 256 - 256%len(alphabet)
	out := make([]byte, 0, n)
	for len(out) < n {
		b := make([]byte, n)
		_, _ = rand.Read(b) // never fails, crypto/rand documents
		for _, c := range b {
			if int(c) < limit && len(out) < n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out)
}

func randomSecret(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, crypto/rand documents
	return base64.StdEncoding.EncodeToString(b)
}
