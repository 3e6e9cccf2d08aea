package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/fieldcrypt/kmsmem"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// A field of 64 bytes, bound to its place by 80.
var (
	plain = []byte(strings.Repeat("p", 64))
	place = []byte(strings.Repeat("a", 80))
)

// The envelope of Tink calls KMS for each value; its KMS here answers at once, so that only the work on this side counts.
func BenchmarkSealAndOpen(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		const arn = "arn:aws:kms:eu-west-2:111111111111:key/1"
		c := fieldcrypt.New(kmsmem.New(arn, nil), store.NewTable(mem.New(mem.Schema{Name: "users", Hash: "pk"}), "users"),
			fieldcrypt.Config{Key: arn, Environment: "dev", Purpose: "pii"})
		b.ReportAllocs()
		for b.Loop() {
			sealed, err := c.Seal(b.Context(), "users", "USER#0b6e2f6e-0000-4000-8000-00000000000a", "email", plain)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Open(b.Context(), "users", "USER#0b6e2f6e-0000-4000-8000-00000000000a", "email", sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("AES-GCM", func(b *testing.B) {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		block, err := aes.NewCipher(key)
		require.NoError(b, err)
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := gcm.Open(nil, nil, gcm.Seal(nil, nil, plain, place), place); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Tink_KMS_envelope", func(b *testing.B) {
		handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
		require.NoError(b, err)
		remote, err := aead.New(handle)
		require.NoError(b, err)
		calls := &counted{AEAD: remote}
		envelope := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), calls)
		b.ReportAllocs()
		for b.Loop() {
			sealed, err := envelope.Encrypt(plain, place)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := envelope.Decrypt(sealed, place); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(calls.n)/float64(b.N), "KMS-calls/op")
	})
}

// counted counts the calls that would reach KMS.
type counted struct {
	tink.AEAD
	n int
}

func (c *counted) Encrypt(plain, place []byte) ([]byte, error) {
	c.n++
	return c.AEAD.Encrypt(plain, place)
}

func (c *counted) Decrypt(sealed, place []byte) ([]byte, error) {
	c.n++
	return c.AEAD.Decrypt(sealed, place)
}
