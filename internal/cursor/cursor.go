// Package cursor makes the text with which a client asks for the next page of a list. The text is a position in the list,
// bound to the environment, the user, the operation and its filters: it opens where all of these are the same, and nowhere
// else.
//
// With a sealer the position is encrypted and cannot be forged. Without one the binding is a tag that finds mistakes and
// that everybody can compute: whoever forges a cursor, its expiry included, begins elsewhere in a list of their own. That is
// right where a position says no more than the page did, and where user and filters are taken from the request and never
// from the cursor, which has no place for them.
//
// Either way the holder of a cursor may use it again, any number of times, until it expires. A list that changes meanwhile
// goes on from the position, whether or not anything is there any more.
package cursor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// MaxText is how many characters a cursor has at most.
const MaxText = 512

const (
	tagged byte = 1 // the first byte of a cursor with a tag, and of one that is sealed; others are of versions to come
	sealed byte = 2

	tagBytes = 16
	place    = "cursor" // where cursors are sealed, in the words of a Sealer
)

// ErrCursor is what every text is that does not open here: it was changed, cut, made for another list, by another version,
// or has expired. It does not say which.
var ErrCursor = errors.New("cursor: not of this list")

// Sealer encrypts, and authenticates what it encrypts together with three names. fieldcrypt's cipher is one.
type Sealer interface {
	Seal(ctx context.Context, table, key, attribute string, plain []byte) ([]byte, error)
	Open(ctx context.Context, table, key, attribute string, sealed []byte) ([]byte, error)
}

// Config says how cursors are made.
type Config struct {
	Environment string // a cursor of another one does not open
	Sealer      Sealer // nil: a tag binds, and the position can be read
	// Refusal is the error of the Sealer for what does not open, fieldcrypt.ErrSealed for instance; needed with one. Its
	// other errors are outages, and come as they are.
	Refusal error
}

// Scope is the list that a cursor belongs to.
type Scope struct {
	User      string   // whose list it is; empty: everybody's
	Operation string   // the id of the route
	Filters   []string // every parameter that decides what is in the list and in which order, absent ones as empty
}

// Cursors make and open cursors. They are safe for concurrent use.
type Cursors struct{ c Config }

// New makes cursors.
func New(c Config) Cursors { return Cursors{c} }

// Seal makes a cursor of a position. The zero time is for cursors that do not expire; others open before that time, which
// counts in whole seconds. A position that makes it longer than MaxText is an error, and a mistake of the program.
func (c Cursors) Seal(ctx context.Context, s Scope, position string, expires time.Time) (string, error) {
	until := int64(0)
	if !expires.IsZero() {
		until = max(expires.Unix(), 1)
	}
	payload := append(binary.AppendVarint(nil, until), position...)
	var raw []byte
	if c.c.Sealer == nil {
		raw = append(append([]byte{tagged}, c.tag(s, payload)...), payload...)
	} else {
		secret, err := c.c.Sealer.Seal(ctx, place, string(c.bound(s)), s.Operation, payload)
		if err != nil {
			return "", fmt.Errorf("cursor: seal: %w", err)
		}
		raw = append([]byte{sealed}, secret...)
	}
	text := base64.RawURLEncoding.EncodeToString(raw)
	if len(text) > MaxText {
		return "", fmt.Errorf("cursor: a position of %d bytes does not fit", len(position))
	}
	return text, nil
}

// Open is the position of a cursor that was made for this list and has not expired, or an ErrCursor. Any other error is
// the sealer's. The position of a cursor without a sealer is what its holder says, no more: check it like a parameter.
func (c Cursors) Open(ctx context.Context, s Scope, text string, now time.Time) (string, error) {
	if len(text) > MaxText {
		return "", ErrCursor
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || base64.RawURLEncoding.EncodeToString(raw) != text { // one text for one cursor
		return "", ErrCursor
	}
	payload, err := c.payload(ctx, s, raw[0], raw[1:])
	if err != nil {
		return "", err
	}
	until, n := binary.Varint(payload)
	if n <= 0 || until != 0 && now.Unix() >= until {
		return "", ErrCursor
	}
	return string(payload[n:]), nil
}

// payload opens what follows the version. A cursor with a tag is nothing to those that seal, nor the reverse.
func (c Cursors) payload(ctx context.Context, s Scope, version byte, rest []byte) ([]byte, error) {
	switch {
	case version == tagged && c.c.Sealer == nil && len(rest) >= tagBytes:
		if tag, payload := rest[:tagBytes], rest[tagBytes:]; bytes.Equal(tag, c.tag(s, payload)) {
			return payload, nil
		}
	case version == sealed && c.c.Sealer != nil:
		payload, err := c.c.Sealer.Open(ctx, place, string(c.bound(s)), s.Operation, rest)
		if err != nil && !errors.Is(err, c.c.Refusal) {
			return nil, fmt.Errorf("cursor: open: %w", err)
		}
		if err == nil {
			return payload, nil
		}
	}
	return nil, ErrCursor
}

// tag binds a payload to its list. It is no secret.
func (c Cursors) tag(s Scope, payload []byte) []byte {
	sum := sha256.Sum256(append(c.bound(s), payload...))
	return sum[:tagBytes]
}

// bound writes what a cursor is bound to so that nothing else is written alike.
func (c Cursors) bound(s Scope) []byte {
	b := binary.AppendUvarint(make([]byte, 0, 256), uint64(len(s.Filters)))
	for _, part := range [...]string{c.c.Environment, s.User, s.Operation} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	for _, part := range s.Filters {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	return b
}
