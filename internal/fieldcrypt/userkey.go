package fieldcrypt

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// UserKey seals and opens the fields of one person, with a keyset (AES-256-GCM) that is theirs alone. It calls nothing
// and is safe for concurrent use. It is not kept in memory by this package, and the caller keeps it for one request only:
// whoever holds it can open what was shredded meanwhile. Opening the wrapped keyset takes microseconds.
type UserKey struct {
	aead                       tink.AEAD
	environment, purpose, user string
}

// errNobody refuses a keyset that would be everybody's.
var errNobody = errors.New("fieldcrypt: a user key needs a user")

// NewUserKey makes the key of a person, and the wrapped form of it to be stored in the person's own item. Fields that were
// sealed are lost unless it is stored: write it with them, on the condition that there is none.
func (c *Cipher) NewUserKey(ctx context.Context, user string) (key *UserKey, wrapped []byte, err error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, nil, fmt.Errorf("fieldcrypt: make a user key: %w", err)
	}
	if wrapped, err = c.wrapUserKey(ctx, user, handle); err != nil {
		return nil, nil, err
	}
	if key, err = c.userKey(user, handle); err != nil {
		return nil, nil, err
	}
	return key, wrapped, nil
}

// OpenUserKey opens the wrapped key of a person. One that was changed or cut, that belongs to another person or is not
// there is an ErrSealed; other errors mean that the keysets of its epoch could not be had.
func (c *Cipher) OpenUserKey(ctx context.Context, user string, wrapped []byte) (*UserKey, error) {
	handle, _, err := c.unwrapUserKey(ctx, user, wrapped)
	if err != nil {
		return nil, err
	}
	return c.userKey(user, handle)
}

// ResealUserKey brings a wrapped key to the present epoch. The key stays the same, and what was sealed under it opens as
// before. One of this epoch, or of the next, comes back unchanged: doing it twice is safe. The caller writes a changed
// one on the condition that the item still holds the one that was read: a key that was deleted must stay deleted.
func (c *Cipher) ResealUserKey(ctx context.Context, user string, wrapped []byte) (resealed []byte, changed bool, err error) {
	handle, epoch, err := c.unwrapUserKey(ctx, user, wrapped)
	if err != nil {
		return nil, false, err
	}
	if epoch >= c.c.Epoch {
		return wrapped, false, nil
	}
	resealed, err = c.wrapUserKey(ctx, user, handle)
	return resealed, err == nil, err
}

// Seal encrypts a value of an attribute. It opens only with the same person's key, table, key and attribute. Sealing the
// same twice gives different bytes, 33 more than plain has; they are Tink's, and name no epoch.
func (k *UserKey) Seal(table, key, attribute string, plain []byte) ([]byte, error) {
	sealed, err := k.aead.Encrypt(plain, k.place(table, key, attribute))
	if err != nil {
		return nil, fmt.Errorf("fieldcrypt: seal %s of %s: %w", attribute, table, err)
	}
	return sealed, nil
}

// Open decrypts what Seal made. Its one error is ErrSealed.
func (k *UserKey) Open(table, key, attribute string, sealed []byte) ([]byte, error) {
	plain, err := k.aead.Decrypt(sealed, k.place(table, key, attribute))
	if err != nil {
		return nil, ErrSealed // the cause says no more
	}
	return plain, nil
}

func (k *UserKey) place(table, key, attribute string) []byte {
	return joined("user field", k.environment, k.purpose, k.user, table, key, attribute)
}

func (c *Cipher) userKey(user string, handle *keyset.Handle) (*UserKey, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("fieldcrypt: use a user key: %w", err)
	}
	return &UserKey{aead: primitive, environment: c.c.Environment, purpose: c.c.Purpose, user: user}, nil
}

func (c *Cipher) wrapUserKey(ctx context.Context, user string, handle *keyset.Handle) ([]byte, error) {
	if user == "" {
		return nil, errNobody
	}
	r, err := c.ring(ctx, c.c.Epoch, true)
	if err != nil {
		return nil, err
	}
	wrapped, err := wrap(handle, r.aead, c.userPlace(c.c.Epoch, user))
	if err != nil {
		return nil, fmt.Errorf("fieldcrypt: wrap a user key: %w", err)
	}
	return inEpoch(c.c.Epoch, wrapped), nil
}

func (c *Cipher) unwrapUserKey(ctx context.Context, user string, wrapped []byte) (*keyset.Handle, uint16, error) {
	if user == "" {
		return nil, 0, errNobody
	}
	r, epoch, rest, err := c.opener(ctx, wrapped)
	if err != nil {
		return nil, 0, err
	}
	handle, err := unwrap(rest, r.aead, c.userPlace(epoch, user))
	if err != nil {
		return nil, 0, ErrSealed // the cause says no more
	}
	return handle, epoch, nil
}

// userPlace binds a wrapped key to its person.
func (c *Cipher) userPlace(epoch uint16, user string) []byte {
	return joined("user key", c.c.Environment, c.c.Purpose, strconv.Itoa(int(epoch)), user)
}
