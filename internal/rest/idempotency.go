package rest

import "github.com/expenzez/aws-backend/internal/apperr"

// idempotencyKey reads the Idempotency-Key header, quoted (a structured field string, draft-ietf-httpapi-idempotency-
// key-header-07) or bare: 8 to 64 visible ASCII characters.
func (c *call) idempotencyKey() (string, error) {
	value, err := c.event.header("idempotency-key")
	if err != nil {
		return "", err
	}
	if value == "" {
		return "", apperr.New(apperr.Invalid, "idempotency_key_required", "This operation needs the header Idempotency-Key.")
	}
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	if !idempotencyKey(value) {
		return "", apperr.New(apperr.Invalid, "idempotency_key_invalid", "Idempotency-Key has 8 to 64 visible ASCII characters.")
	}
	return value, nil
}

func idempotencyKey(key string) bool {
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return len(key) >= 8 && len(key) <= 64
}
