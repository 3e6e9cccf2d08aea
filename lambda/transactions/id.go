package transactions

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// wellFormed tells whether a text can be an identifier that we made. Only those are looked for.
func wellFormed(id string) bool {
	if len(id) != 36 || id[14] != '7' && id[14] != '8' || id[19] != '8' && id[19] != '9' && id[19] != 'a' && id[19] != 'b' {
		return false
	}
	for i, c := range []byte(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		digit := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if dash != (c == '-') || !dash && !digit {
			return false
		}
	}
	return true
}

// newID makes a UUID of version 7 (RFC 9562 §5.7): the milliseconds of now, then 74 random bits.
func newID(now time.Time, random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		return "", fmt.Errorf("transactions: randomness: %w", err)
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return uuid(b[:]), nil
}

// namedID makes a UUID of version 8 (RFC 9562 §5.8) that is equal for equal parts and, as far as anybody can tell, for no
// others: 122 bits of a hash.
func namedID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(append(binary.AppendUvarint(nil, uint64(len(p))), p...)) // a hash does not fail
	}
	b := h.Sum(nil)[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return uuid(b)
}

func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
