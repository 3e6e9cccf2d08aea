package aws

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default hash, which authenticator apps use
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
)

// totp is a user's time-based one-time password generator ("TOTP software token MFA": six digits, 30 seconds).
type totp struct {
	secret   []byte
	verified bool
	lastStep int64 // of the last code accepted; a code is good once
}

// associateToken replaces the secret that moto gives to everybody by one of the user's own.
func (f *Front) associateToken(q *request) (*answer, error) {
	a, err := f.forward(q)
	if err != nil || !a.ok() {
		return a, err
	}
	who, err := f.tokenUser(q)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 20)
	_, _ = rand.Read(secret) // never fails, crypto/rand documents
	if f.cognito.tokens == nil {
		f.cognito.tokens = map[user]totp{}
	}
	f.cognito.tokens[who] = totp{secret: secret}
	fields := a.fields()
	fields["SecretCode"] = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	return a.replace(fields)
}

// verifyToken accepts a generator by a code of it.
func (f *Front) verifyToken(q *request) (*answer, error) {
	who, err := f.tokenUser(q)
	if err != nil {
		return nil, err
	}
	t, associated := f.cognito.tokens[who]
	step, right := t.match(text(q.Body, "UserCode"), f.config.Now().Unix())
	if !associated || !right {
		return nil, refuse("EnableSoftwareTokenMFAException", "Code mismatch and fail enable Software Token MFA")
	}
	a, err := f.forward(q)
	if err != nil || !a.ok() {
		return a, err
	}
	t.verified, t.lastStep = true, step
	f.cognito.tokens[who] = t
	if s, waiting := f.cognito.sessions[text(q.Body, "Session")]; waiting {
		f.cognito.sessions[text(a.fields(), "Session")] = s
	}
	return a, nil
}

// tokenUser is the user of the call's access token or session.
func (f *Front) tokenUser(q *request) (user, error) {
	if id := text(q.Body, "Session"); id != "" {
		s, waiting := f.cognito.sessions[id]
		if !waiting || !f.config.Now().Before(s.expires) {
			return user{}, refuse("NotAuthorizedException", "Invalid session for the user.")
		}
		return s.user, nil
	}
	token := text(q.Body, "AccessToken")
	a, err := f.ask(q.ctx, "cognito-idp", cognitoTarget+"GetUser", map[string]any{"AccessToken": token})
	if err != nil {
		return user{}, err
	}
	if !a.ok() {
		return user{}, refuse("NotAuthorizedException", "Invalid Access Token")
	}
	return user{poolOf(token), text(a.fields(), "Username")}, nil
}

// checkTOTP checks a code at sign-in. Wrong ones count towards the lockout ("Things to know about MFA").
func (f *Front) checkTOTP(who user, given string) error {
	p := purpose{who, useTOTP}
	if f.locked(p) {
		return refuse("NotAuthorizedException", "Password attempts exceeded")
	}
	t := f.cognito.tokens[who]
	step, right := t.match(given, f.config.Now().Unix())
	switch {
	case !t.verified || !right:
		f.fail(p)
		return refuse("CodeMismatchException", "Invalid code received for user")
	case step <= t.lastStep:
		return refuse("ExpiredCodeException", "Your software token has already been used once.")
	}
	t.lastStep = step
	f.cognito.tokens[who] = t
	delete(f.cognito.failures, p)
	return nil
}

// match finds the code among those of the present step and its neighbors (RFC 6238 §5.2).
func (t totp) match(given string, unix int64) (step int64, right bool) {
	if len(t.secret) == 0 {
		return 0, false
	}
	for step = unix/30 - 1; step <= unix/30+1; step++ {
		if subtle.ConstantTimeCompare([]byte(hotp(t.secret, step)), []byte(given)) == 1 {
			return step, true
		}
	}
	return 0, false
}

// hotp is the six-digit code of a counter (RFC 4226 §5.3).
func hotp(secret []byte, counter int64) string {
	h := hmac.New(sha1.New, secret)
	_ = binary.Write(h, binary.BigEndian, counter) // a hash takes everything
	sum := h.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[offset:])&0x7fffffff)%1_000_000)
}
