package fieldcrypt

import (
	"context"
	"encoding/base64"
	"fmt"
)

const indexBytes = 16 // of an index: two values share one by chance after about 2^64 of them

// BlindIndex is a name for a value under which it can be found: 22 characters of base64url, equal for equal field and
// value in every epoch, and without the key telling nothing else. The caller makes the value canonical first. Values of
// which there are few can be told apart by how often each occurs: do not index those.
func (c *Cipher) BlindIndex(ctx context.Context, field, value string) (string, error) {
	return c.index(ctx, c.c.IndexEpoch, field, value)
}

// BlindIndexes are the index to store a value under, and the others under which it may still be found: look for the
// current one first, then for the others in order. There are others only while the indexes are rotated, from epoch m to
// n, which takes four deployments: search both (IndexEpoch m, other n); store the new one (IndexEpoch n, other m); store
// it for all that was there before; end (IndexEpoch n alone).
//
// A value that only one may have is claimed by an item IDX#field#index, in the transaction that writes its owner, put on
// the condition that there is none or that it names the same owner. While there are others, an item for each of them is
// put in the same way: no two functions then disagree about who was first, whichever of the deployments they are of.
func (c *Cipher) BlindIndexes(ctx context.Context, field, value string) (current string, others []string, err error) {
	if current, err = c.BlindIndex(ctx, field, value); err != nil {
		return "", nil, err
	}
	for _, epoch := range c.c.OtherIndexEpochs {
		other, err := c.index(ctx, epoch, field, value)
		if err != nil {
			return "", nil, err
		}
		others = append(others, other)
	}
	return current, others, nil
}

func (c *Cipher) index(ctx context.Context, epoch uint16, field, value string) (string, error) {
	r, err := c.ring(ctx, epoch, true)
	if err != nil {
		return "", err
	}
	index, err := r.prf.ComputePrimaryPRF(joined(field, value), indexBytes)
	if err != nil {
		return "", fmt.Errorf("fieldcrypt: index %s: %w", field, err)
	}
	return base64.RawURLEncoding.EncodeToString(index), nil
}
