package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Symbols and lengths of "Adding user pool password requirements".
const (
	symbols      = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- "
	maxPassword  = 256
	motoPassword = 98 // moto takes no longer ones
)

// stored is the password as moto keeps it: a hash stands for one that is too long for it.
func stored(password string) string {
	if len(password) <= motoPassword {
		return password
	}
	sum := sha256.Sum256([]byte(password))
	return "Aa1!" + hex.EncodeToString(sum[:])
}

// checkPolicy enforces the pool's password policy; AWS names the first rule that is broken.
func checkPolicy(pool map[string]any, password string) error {
	policy := object(object(pool, "Policies"), "PasswordPolicy")
	minimum := 8
	if n := integer(policy, "MinimumLength"); n > 0 {
		minimum = n
	}
	has := func(ok func(rune) bool) bool { return strings.IndexFunc(password, ok) >= 0 }
	symbol := func(r rune) bool { return strings.ContainsRune(symbols, r) }
	inner := strings.TrimSpace(password)
	switch {
	case password != inner || utf8.RuneCountInString(password) > maxPassword:
		return refuse("InvalidParameterException", "1 validation error detected: Value at 'password' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$")
	case utf8.RuneCountInString(password) < minimum:
		return broken("Password not long enough")
	case required(policy, "RequireUppercase") && !has(unicode.IsUpper):
		return broken("Password must have uppercase characters")
	case required(policy, "RequireLowercase") && !has(unicode.IsLower):
		return broken("Password must have lowercase characters")
	case required(policy, "RequireNumbers") && !has(unicode.IsDigit):
		return broken("Password must have numeric characters")
	case required(policy, "RequireSymbols") && !has(symbol):
		return broken("Password must have symbol characters")
	}
	return nil
}

// required is so unless the policy says no; moto's default policy requires everything, as the console's does.
func required(policy map[string]any, rule string) bool {
	wanted, said := policy[rule].(bool)
	return wanted || !said
}

func broken(rule string) error {
	return refuse("InvalidPasswordException", "Password did not conform with policy: %s", rule)
}

func integer(m map[string]any, name string) int {
	n, ok := m[name].(json.Number)
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil {
		return 0
	}
	return int(i)
}

// changePassword hides the name that moto puts into its refusal, and takes long passwords.
func (f *Front) changePassword(q *request) (*answer, error) {
	pool, err := f.describePool(q.ctx, poolOf(text(q.Body, "AccessToken")))
	if err != nil {
		return nil, err
	}
	if pool == nil {
		return nil, refuse("NotAuthorizedException", "Invalid Access Token")
	}
	if err := checkPolicy(pool, text(q.Body, "ProposedPassword")); err != nil {
		return nil, err
	}
	for _, name := range []string{"PreviousPassword", "ProposedPassword"} {
		if q, err = q.set(name, stored(text(q.Body, name))); err != nil {
			return nil, err
		}
	}
	a, err := f.forward(q)
	if err == nil && a.code() == "NotAuthorizedException" {
		return nil, refuse("NotAuthorizedException", "Incorrect username or password.")
	}
	return a, err
}

// poolOf is the pool that issued an access token, by the claim iss. Moto knows whether the token is one of its own.
func poolOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(raw, &claims) != nil {
		return ""
	}
	return claims.Issuer[strings.LastIndex(claims.Issuer, "/")+1:]
}
