package rest

import (
	"errors"
	"maps"
	"strings"

	"github.com/expenzez/aws-backend/internal/apperr"
)

// Idempotency keys have so many characters.
const (
	minKey = 8
	maxKey = 64
)

// idempotencyKey reads the Idempotency-Key header.
func (c *call) idempotencyKey() (string, error) {
	value, err := c.event.header("idempotency-key")
	if err != nil {
		return "", err
	}
	if strings.Trim(value, " ") == "" {
		return "", apperr.New(apperr.Invalid, "idempotency_key_required", "This operation needs the header Idempotency-Key.")
	}
	key, ok := parseKey(value)
	if !ok {
		return "", apperr.New(apperr.Invalid, "idempotency_key_invalid", "Idempotency-Key has 8 to 64 visible ASCII characters.")
	}
	return key, nil
}

// parseKey takes a structured field string (draft-ietf-httpapi-idempotency-key-header-07 §2.1, RFC 9651 §4.2.5), and the
// same without quotes, as many clients send it: then there is no escape, and neither quote nor backslash. What a quoted
// key says is the key, so that both notations of one key are one key. Spaces around it do not count (RFC 9651 §4.2);
// parameters, of which the draft has none, are refused.
func parseKey(value string) (key string, ok bool) {
	key = strings.Trim(value, " ")
	if strings.HasPrefix(key, `"`) {
		key, ok = unquote(key)
	} else {
		ok = !strings.ContainsAny(key, `"\`)
	}
	for _, c := range []byte(key) {
		ok = ok && c > ' ' && c <= '~'
	}
	return key, ok && len(key) >= minKey && len(key) <= maxKey
}

// unquote is what a structured field string says.
func unquote(quoted string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(quoted); i++ {
		switch c := quoted[i]; c {
		case '"':
			return b.String(), i == len(quoted)-1
		case '\\':
			if i++; i == len(quoted) || quoted[i] != '"' && quoted[i] != '\\' {
				return "", false
			}
			b.WriteByte(quoted[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// headersOf adds the headers that an error asks for, as a refusal does that is from the record.
func (c *call) headersOf(err error) {
	var with interface{ Headers() map[string]string }
	if errors.As(err, &with) {
		maps.Copy(c.headers, with.Headers())
	}
}
