// Package fieldcrypt encrypts single fields of items and makes blind indexes of them, with Tink's keysets.
//
// Each epoch of a purpose has a keyset for sealing (AES-256-GCM) and one for indexing (HMAC-SHA-256 PRF). They lie in
// one item of a table, wrapped by a data key that only KMS can unwrap. Below an epoch's keyset every person has a keyset
// of their own (UserKey), wrapped in their own item. Nothing opens elsewhere than where it was sealed: a field is bound
// to environment, purpose, epoch or person, table, key and attribute, and a person's keyset to the person.
//
// KMS is asked once when a sandbox first meets an epoch, whatever the number of callers, and from then on at most once an
// hour, only to learn whether it still unwraps: at most one call for each sandbox, epoch and hour, and none for a person.
// When KMS refuses (access denied, key disabled, pending deletion or gone), the sandbox stops using the keysets at once,
// so that disabling the key stops a warm sandbox within an hour of its taking effect. While KMS does not answer, it is
// asked again every 30 s, and the keysets are used until 12 h after it last unwrapped. Then nothing works until it does:
// everything fails closed, and no value passes in the clear.
//
// Rotation: give every function Config.Epoch raised by one, then Reseal all values and ResealUserKey all wrapped keys,
// each written on the condition that it is still what was read. Raise it before an epoch has sealed 2^32 values, beyond
// which random nonces may repeat (NIST SP 800-38D §8.3), and when its keysets may have leaked. Resealing a person's
// keyset wraps the same keyset anew. Whoever has the leaked epoch's keysets and an old copy of the item has that keyset:
// after such a leak give each person a new one and seal their fields under it, in one transaction with it. The item of
// an epoch may be deleted when nothing of it is left and no index is made with it.
//
// Shredding: whoever deletes a person's wrapped keyset shreds all that was sealed under it, except for a caller that is
// holding the UserKey. The limit: point-in-time recovery (35 days at most), backups, exports and stream records hold the
// wrapped keyset until they age out. Until then the fields can be restored together with it; so delete the fields, too.
//
// Other limits: the item that holds an epoch's keysets is not to be lost, nor made anew while anything of it is left.
// Sealed values are as long as what they hold. Opened values and keysets lie in the memory of the sandbox.
//
// Packages that seal or open take the methods they need as an interface of their own, so that they do not link Tink.
package fieldcrypt

import (
	"context"
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
	app        = "expenzez" // in the encryption context of every call to KMS
	epochBytes = 2          // what a value that was sealed in an epoch begins with, big endian
)

// ErrSealed is what opening reports of a value that was not sealed for this place: it was changed, cut, or moved here
// from another person, table, key or attribute.
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
	// Epoch seals what is sealed from now on. Values of lower epochs open, and those of the next one, so that functions
	// may be given a new epoch one after the other. 0 means 1.
	Epoch uint16
	// IndexEpoch is the epoch whose keyset makes the indexes that are stored from now on. 0 means 1. It does not move
	// with Epoch: an index that moved would find nothing that was stored before (see BlindIndexes).
	IndexEpoch uint16
	// OtherIndexEpochs are searched beside it while a rotation of the indexes is under way, in this order.
	OtherIndexEpochs []uint16
	// Budget of reading and unwrapping the keysets of an epoch. 0 means 3 s.
	Budget time.Duration
	Now    func() time.Time // nil: time.Now
}

// Cipher seals, opens and indexes. It is safe for concurrent use and calls nothing before it is first used; callers that
// need the same keysets share one load, which does not end when the caller who began it gives up. A failed load is tried
// again by the next caller.
type Cipher struct {
	kms    KMS
	table  Keysets
	c      Config
	flight singleflight.Group
	mu     sync.RWMutex
	rings  map[uint16]held
}

// New makes a cipher. The first sealing or indexing in an epoch makes its keysets; whoever loses the race for that uses
// the winner's.
func New(kms KMS, table Keysets, c Config) *Cipher {
	c.Epoch = max(c.Epoch, 1)
	c.IndexEpoch = max(c.IndexEpoch, 1)
	if c.Budget == 0 {
		c.Budget = 3 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Cipher{kms: kms, table: table, c: c, rings: map[uint16]held{}}
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
	return inEpoch(c.c.Epoch, sealed), nil
}

// Open decrypts what Seal made. A value that does not open is an ErrSealed; other errors mean that the keysets could not
// be had. It never makes keysets: a value without its keyset stays closed.
func (c *Cipher) Open(ctx context.Context, table, key, attribute string, sealed []byte) ([]byte, error) {
	plain, _, err := c.open(ctx, table, key, attribute, sealed)
	return plain, err
}

func (c *Cipher) open(ctx context.Context, table, key, attribute string, sealed []byte) (plain []byte, epoch uint16, err error) {
	r, epoch, rest, err := c.opener(ctx, sealed)
	if err != nil {
		return nil, 0, err
	}
	plain, err = r.aead.Decrypt(rest, c.place(epoch, table, key, attribute))
	if err != nil {
		return nil, 0, ErrSealed // the cause says no more
	}
	return plain, epoch, nil
}

// Reseal brings a value to the present epoch. It opens it in any case, so that a value that does not open shows. One that
// is of this epoch already, or of the next, comes back unchanged: doing it twice, or again after a crash, is safe. The
// caller writes a changed value on the condition that the attribute still holds what was read.
func (c *Cipher) Reseal(ctx context.Context, table, key, attribute string, sealed []byte) (resealed []byte, changed bool, err error) {
	plain, epoch, err := c.open(ctx, table, key, attribute, sealed)
	if err != nil {
		return nil, false, err
	}
	if epoch >= c.c.Epoch {
		return sealed, false, nil
	}
	resealed, err = c.Seal(ctx, table, key, attribute, plain)
	return resealed, err == nil, err
}

// inEpoch begins a value with the epoch that sealed it.
func inEpoch(epoch uint16, sealed []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, epochBytes+len(sealed)), epoch), sealed...)
}

// opener finds the keysets of the epoch that a value begins with, and what follows. Keysets are made before anything is
// sealed with them: a value of the next epoch while that has none was never sealed.
func (c *Cipher) opener(ctx context.Context, value []byte) (r *ring, epoch uint16, rest []byte, err error) {
	if len(value) < epochBytes {
		return nil, 0, nil, ErrSealed
	}
	epoch = binary.BigEndian.Uint16(value)
	if epoch < 1 || int(epoch) > int(c.c.Epoch)+1 {
		return nil, 0, nil, ErrSealed
	}
	r, err = c.ring(ctx, epoch, false)
	if errors.Is(err, errNone) && epoch > c.c.Epoch {
		err = ErrSealed
	}
	return r, epoch, value[epochBytes:], err
}

// place is the associated data that binds a sealed value to where it lies.
func (c *Cipher) place(epoch uint16, table, key, attribute string) []byte {
	return joined("field", c.c.Environment, c.c.Purpose, strconv.Itoa(int(epoch)), table, key, attribute)
}

// joined writes parts so that no other parts give the same bytes.
func joined(parts ...string) []byte {
	size := 0
	for _, p := range parts {
		size += binary.MaxVarintLen16 + len(p)
	}
	b := make([]byte, 0, size)
	for _, p := range parts {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}
