package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Value is a secret text. Whatever prints, marshals or logs it gets a placeholder, or nothing: fmt with any verb, errors,
// log/slog, encoding/json, encoding/xml, encoding/gob. This holds where it lies in something else, too, also in a field
// that is not exported, whose methods fmt may not call and whose content it prints: there is none to find, the text
// lies in a closure. Reveal gives the text. Values do not compare with ==; use Equal. The zero value is the empty text.
//
// A value never changes and is not wiped when a newer one takes its place: whoever still holds it would sign or verify
// with zeros. Its memory is the garbage collector's, as are the copies that the SDK made of it.
type Value struct{ text func() string }

const redacted = "[redacted]"

// NewValue hides a text.
func NewValue(text string) Value { return Value{func() string { return text }} }

// Reveal is the text itself.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return v.text()
}

// Equal tells whether two values are the same text. How long it takes tells their lengths, and nothing else of them.
func (v Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(other.Reveal())) == 1
}

// String is a placeholder.
func (Value) String() string { return redacted }

// GoString is a placeholder, for %#v.
func (Value) GoString() string { return redacted }

// Format is a placeholder whatever the verb.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText is a placeholder, for encoding/json, encoding/xml and others.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode is a placeholder.
func (Value) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// LogValue is a placeholder.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }
