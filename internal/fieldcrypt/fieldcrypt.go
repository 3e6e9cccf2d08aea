// Package fieldcrypt encrypts single fields of items and makes blind indexes of them. Each epoch of a purpose has a
// keyset for sealing (AES-256-GCM) and one for indexing (HMAC-SHA-256 PRF), both Tink's. They lie in a table, wrapped by
// a data key that only KMS can unwrap, so that a sandbox calls KMS once for each epoch that it meets and then never.
//
// Packages that seal or open take the methods they need as an interface of their own, so that they do not link Tink.
package fieldcrypt

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/expenzez/aws-backend/internal/store"
)

const (
	app = "expenzez" // in the encryption context of every call to KMS

	// indexEpoch is the epoch whose keyset makes every index: an index that moved with the epoch would find nothing that
	// was stored before.
	indexEpoch = 1
	indexBytes = 16 // of an index: two values share one by chance after about 2^64 of them

	epochBytes = 2 // what a sealed value begins with, big endian

	budget = 3 * time.Second
)

// ErrSealed is what Open reports of a value that was not sealed for this place: it was changed, cut, or moved here from
// another table, key or attribute.
var ErrSealed = errors.New("fieldcrypt: the value was not sealed for this place")

// Keysets is the table that holds the wrapped keysets, by pk.
type Keysets interface {
	store.Getter
	store.Putter
}

// Config says which keysets are used. Key, Environment and Purpose are needed.
type Config struct {
	Key         string // ARN of the KMS key
	Environment string // as in the encryption context that the role's policy asks for
	Purpose     string // the declared key of the KMS key, as in the same context
	// Epoch seals what is sealed from now on; values of lower epochs still open. 0 means 1. A higher one begins new
	// keysets; every function that opens must have it before one seals with it.
	Epoch uint16
	// Budget of reading and unwrapping the keysets of an epoch. 0 means 3 s.
	Budget time.Duration
}

// Cipher seals, opens and indexes. It is safe for concurrent use and calls nothing before it is first used; callers that
// need the same keysets share one load, which does not end when the caller who began it gives up. What it has loaded it
// keeps. A failed load is tried again by the next caller. Everything fails closed: no value passes in the clear.
type Cipher struct {
	kms    KMS
	table  Keysets
	c      Config
	flight singleflight.Group
	mu     sync.RWMutex
	rings  map[uint16]*ring
}

// New makes a cipher. The first Seal or BlindIndex in an environment makes the keysets; whoever loses the race for that
// uses the winner's. Losing the item afterwards means losing everything that was sealed with it.
func New(kms KMS, table Keysets, c Config) *Cipher {
	c.Epoch = max(c.Epoch, 1)
	if c.Budget == 0 {
		c.Budget = budget
	}
	return &Cipher{kms: kms, table: table, c: c, rings: map[uint16]*ring{}}
}

// Seal encrypts a value of an attribute. It opens only with the same table, key and attribute, which are names of the
// caller's choice. Sealing the same twice gives different bytes, 35 more than plain has.
func (c *Cipher) Seal(ctx context.Context, table, key, attribute string, plain []byte) ([]byte, error) {
	r, err := c.ring(ctx, c.c.Epoch, true)
	if err != nil {
		return nil, err
	}
	sealed, err := r.aead.Encrypt(plain, c.place(c.c.Epoch, table, key, attribute))
	if err != nil {
		return nil, fmt.Errorf("fieldcrypt: seal %s of %s: %w", attribute, table, err)
	}
	return append(binary.BigEndian.AppendUint16(nil, c.c.Epoch), sealed...), nil
}

// Open decrypts what Seal made. A value that does not open is an ErrSealed; other errors mean that the keysets could not
// be had. It never makes keysets: a value without its keyset stays closed.
func (c *Cipher) Open(ctx context.Context, table, key, attribute string, sealed []byte) ([]byte, error) {
	if len(sealed) < epochBytes {
		return nil, ErrSealed
	}
	epoch := binary.BigEndian.Uint16(sealed)
	if epoch < 1 || epoch > c.c.Epoch {
		return nil, ErrSealed
	}
	r, err := c.ring(ctx, epoch, false)
	if err != nil {
		return nil, err
	}
	plain, err := r.aead.Decrypt(sealed[epochBytes:], c.place(epoch, table, key, attribute))
	if err != nil {
		return nil, ErrSealed // the cause says no more
	}
	return plain, nil
}

// BlindIndex is a name for a value under which it can be found: 22 characters of base64url, equal for equal field and
// value in every epoch, and without the key telling nothing else. The caller makes the value canonical first. Values of
// which there are few can be told apart by how often each occurs: do not index those.
func (c *Cipher) BlindIndex(ctx context.Context, field, value string) (string, error) {
	r, err := c.ring(ctx, indexEpoch, true)
	if err != nil {
		return "", err
	}
	index, err := r.prf.ComputePrimaryPRF(joined(field, value), indexBytes)
	if err != nil {
		return "", fmt.Errorf("fieldcrypt: index %s: %w", field, err)
	}
	return base64.RawURLEncoding.EncodeToString(index), nil
}

// place is the associated data that binds a sealed value to where it lies.
func (c *Cipher) place(epoch uint16, table, key, attribute string) []byte {
	return joined("field", c.c.Purpose, strconv.Itoa(int(epoch)), table, key, attribute)
}

// joined writes parts so that no other parts give the same bytes.
func joined(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

// ring is the keysets of an epoch, from memory or loaded. With make it may bring them into being.
func (c *Cipher) ring(ctx context.Context, epoch uint16, mayMake bool) (*ring, error) {
	if r := c.loaded(epoch); r != nil {
		return r, nil
	}
	call := c.flight.DoChan(fmt.Sprint(epoch, mayMake), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.c.Budget)
		defer cancel()
		return c.load(ctx, epoch, mayMake)
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("fieldcrypt: %w", ctx.Err())
	case got := <-call:
		if got.Err != nil {
			return nil, fmt.Errorf("fieldcrypt: keysets of %s, epoch %d: %w", c.c.Purpose, epoch, got.Err)
		}
		return got.Val.(*ring), nil
	}
}

func (c *Cipher) loaded(epoch uint16) *ring {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.rings[epoch]
}

func (c *Cipher) load(ctx context.Context, epoch uint16, mayMake bool) (*ring, error) {
	if r := c.loaded(epoch); r != nil { // by a load that ended just before this one began
		return r, nil
	}
	r, err := c.keysets(epoch).read(ctx, mayMake)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rings[epoch] = r
	return r, nil
}
