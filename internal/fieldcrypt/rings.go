package fieldcrypt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/smithy-go"

	"github.com/expenzez/aws-backend/internal/telemetry"
)

// How long keysets in memory are used after KMS last unwrapped them.
const (
	soft        = time.Hour        // then KMS is asked again
	hard        = 12 * time.Hour   // then they are not used at all
	pause       = 30 * time.Second // between questions that get no answer, while the keysets are used
	checkBudget = time.Second      // of one question
)

// errNone is what a load that may not make keysets reports where there are none.
var errNone = errors.New("there are none")

// held is the keysets of an epoch in memory; the zero value holds none. Times are of the wall clock: another may stand
// still while a sandbox is frozen.
type held struct {
	ring  *ring
	asked time.Time // when KMS was last asked and unwrapped
	next  time.Time // KMS is left alone until then
}

// usable tells whether the keysets may be used at all.
func (h held) usable(now time.Time) bool { return h.ring != nil && now.Sub(h.asked) < hard }

// due tells whether KMS is to be asked first. It is when the clock was set back: nobody knows the age then.
func (h held) due(now time.Time) bool {
	age, wait := now.Sub(h.asked), h.next.Sub(now)
	return (age < 0 || age >= soft) && (wait <= 0 || wait > pause)
}

func (c *Cipher) now() time.Time { return c.c.Now().Round(0) }

// ring is the keysets of an epoch, from memory or loaded. With mayMake it may bring them into being.
func (c *Cipher) ring(ctx context.Context, epoch uint16, mayMake bool) (*ring, error) {
	now := c.now()
	h := c.loaded(epoch)
	hit := h.usable(now) && !h.due(now)
	telemetry.KeysetCache.Count(ctx, hit)
	if hit {
		return h.ring, nil
	}
	for {
		call := c.flight.DoChan(strconv.Itoa(int(epoch)), func() (any, error) {
			return c.load(context.WithoutCancel(ctx), epoch, mayMake)
		})
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("fieldcrypt: %w", ctx.Err())
		case got := <-call:
			if errors.Is(got.Err, errNone) && mayMake {
				continue // it was the load of a caller who may not make them
			}
			if got.Err != nil {
				return nil, fmt.Errorf("fieldcrypt: keysets of %s, epoch %d: %w", c.c.Purpose, epoch, got.Err)
			}
			return got.Val.(*ring), nil
		}
	}
}

func (c *Cipher) loaded(epoch uint16) held {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.rings[epoch]
}

func (c *Cipher) hold(epoch uint16, h held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rings[epoch] = h
}

// load gets the keysets of an epoch into memory, or lets KMS decide about those that are there. One runs at a time.
func (c *Cipher) load(ctx context.Context, epoch uint16, mayMake bool) (*ring, error) {
	now := c.now()
	switch h := c.loaded(epoch); {
	case h.usable(now) && !h.due(now): // by a load that ended just before this one began
		return h.ring, nil
	case h.usable(now):
		return c.check(ctx, epoch, h, now)
	}
	ctx, cancel := context.WithTimeout(ctx, c.c.Budget)
	defer cancel()
	r, err := c.keysets(epoch).read(ctx, mayMake)
	if err != nil {
		return nil, err
	}
	c.hold(epoch, held{ring: r, asked: now})
	return r, nil
}

// check asks KMS whether it still unwraps. A refusal drops the keysets; without an answer they are used on. A clock that
// was set back then counts on from the age at which KMS is asked, so that they do not live longer for it.
func (c *Cipher) check(ctx context.Context, epoch uint16, h held, now time.Time) (*ring, error) {
	ctx, cancel := context.WithTimeout(ctx, checkBudget)
	defer cancel()
	dataKey, err := c.keysets(epoch).dataKey(ctx, h.ring.wrapped)
	clear(dataKey)
	switch {
	case err == nil:
		h = held{ring: h.ring, asked: now}
	case refused(err):
		c.hold(epoch, held{})
		return nil, err
	default:
		h.next = now.Add(pause)
		if now.Before(h.asked) {
			h.asked = now.Add(-soft)
		}
	}
	c.hold(epoch, h)
	return h.ring, nil
}

// refused tells whether KMS answered that the key may not, or cannot, unwrap (AWS KMS API reference, Decrypt). Whatever
// else went wrong may be better in a moment.
func refused(err error) bool {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return false
	}
	switch e.ErrorCode() {
	case "AccessDeniedException", "DisabledException", "KMSInvalidStateException", "NotFoundException",
		"InvalidCiphertextException", "IncorrectKeyException", "InvalidKeyUsageException":
		return true
	}
	return false
}
