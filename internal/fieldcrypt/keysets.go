package fieldcrypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/expenzez/aws-backend/internal/store"
)

// KMS lists the calls of KMS that envelope encryption makes. *kms.Client satisfies it.
type KMS interface {
	GenerateDataKey(context.Context, *kms.GenerateDataKeyInput, ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
	Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

var _ KMS = (*kms.Client)(nil)

// ring is the keysets of one epoch, ready to use, and the data key that wraps them, as KMS encrypted it.
type ring struct {
	aead    tink.AEAD
	prf     *prf.Set
	wrapped []byte
}

// Attributes of the item that holds the keysets of an epoch.
const (
	attrDataKey = "dataKey" // as KMS encrypted it
	attrAEAD    = "aead"    // keyset, encrypted with the data key
	attrPRF     = "prf"
)

// keysets is where the keysets of one epoch lie and what unwraps them.
type keysets struct {
	kms     KMS
	table   Keysets
	key     string
	pk      string
	context map[string]string
}

func (c *Cipher) keysets(epoch uint16) keysets {
	e := strconv.Itoa(int(epoch))
	return keysets{kms: c.kms, table: c.table, key: c.c.Key, pk: "KEYSET#" + c.c.Purpose + "#" + e,
		context: map[string]string{"app": app, "env": c.c.Environment, "purpose": c.c.Purpose, "epoch": e}}
}

func (k keysets) read(ctx context.Context, mayMake bool) (*ring, error) {
	out, err := k.table.GetItem(ctx, &dynamodb.GetItemInput{Key: store.Item{"pk": store.S(k.pk)}, ConsistentRead: aws.Bool(true)})
	switch {
	case err != nil:
		return nil, err
	case out.Item != nil:
		return k.unwrap(ctx, out.Item)
	case !mayMake:
		return nil, errNone
	default:
		return k.make(ctx)
	}
}

// make brings the keysets into being. Of several that do so at once, one's item is stored, and the others unwrap it.
func (k keysets) make(ctx context.Context) (*ring, error) {
	out, err := k.kms.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: &k.key, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: k.context})
	if err != nil {
		return nil, fmt.Errorf("make a data key: %w", err)
	}
	defer clear(out.Plaintext)
	item, r, err := k.fresh(out.Plaintext, out.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	_, err = k.table.PutItem(ctx, &dynamodb.PutItemInput{Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)")})
	var stored *store.ConditionFailedError
	switch {
	case err == nil:
		return r, nil
	case !errors.As(err, &stored):
		return nil, err
	case bytes.Equal(store.Read(stored.Old).OptB(attrDataKey), r.wrapped):
		return r, nil // the client tried again, not having heard that it had stored them
	default:
		return k.unwrap(ctx, stored.Old)
	}
}

// fresh makes new keysets and the item that holds them.
func (k keysets) fresh(dataKey, wrappedDataKey []byte) (store.Item, *ring, error) {
	wrapper, err := subtle.NewAESGCM(dataKey)
	if err != nil {
		return nil, nil, fmt.Errorf("data key: %w", err)
	}
	sealing, sealErr := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	indexing, indexErr := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err := errors.Join(sealErr, indexErr); err != nil {
		return nil, nil, fmt.Errorf("make keysets: %w", err)
	}
	item := store.Item{"pk": store.S(k.pk), attrDataKey: store.B(wrappedDataKey)}
	for attribute, handle := range map[string]*keyset.Handle{attrAEAD: sealing, attrPRF: indexing} {
		wrapped, err := wrap(handle, wrapper, k.place(attribute))
		if err != nil {
			return nil, nil, fmt.Errorf("wrap %s: %w", attribute, err)
		}
		item[attribute] = store.B(wrapped)
	}
	r, err := newRing(sealing, indexing, wrappedDataKey)
	return item, r, err
}

// unwrap makes the keysets of an item usable.
func (k keysets) unwrap(ctx context.Context, item store.Item) (*ring, error) {
	r := store.Read(item)
	wrapped, sealing, indexing := r.B(attrDataKey), r.B(attrAEAD), r.B(attrPRF)
	if err := r.Err(); err != nil {
		return nil, err
	}
	dataKey, err := k.dataKey(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	wrapper, err := subtle.NewAESGCM(dataKey)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	sealer, sealErr := k.handle(wrapper, attrAEAD, sealing)
	indexer, indexErr := k.handle(wrapper, attrPRF, indexing)
	if err := errors.Join(sealErr, indexErr); err != nil {
		return nil, err
	}
	return newRing(sealer, indexer, wrapped)
}

// dataKey lets KMS unwrap the data key; the caller clears it.
func (k keysets) dataKey(ctx context.Context, wrapped []byte) ([]byte, error) {
	out, err := k.kms.Decrypt(ctx, &kms.DecryptInput{KeyId: &k.key, CiphertextBlob: wrapped, EncryptionContext: k.context})
	if err != nil {
		return nil, fmt.Errorf("unwrap the data key: %w", err)
	}
	return out.Plaintext, nil
}

func (k keysets) handle(wrapper tink.AEAD, attribute string, wrapped []byte) (*keyset.Handle, error) {
	h, err := unwrap(wrapped, wrapper, k.place(attribute))
	if err != nil {
		return nil, fmt.Errorf("unwrap %s: %w", attribute, err)
	}
	return h, nil
}

// place binds a wrapped keyset to its environment, item and attribute.
func (k keysets) place(attribute string) []byte {
	return joined("keyset", k.context["env"], k.pk, attribute)
}

func newRing(sealing, indexing *keyset.Handle, wrappedDataKey []byte) (*ring, error) {
	sealer, sealErr := aead.New(sealing)
	indexer, indexErr := prf.NewPRFSet(indexing)
	if err := errors.Join(sealErr, indexErr); err != nil {
		return nil, fmt.Errorf("use keysets: %w", err)
	}
	return &ring{sealer, indexer, wrappedDataKey}, nil
}

// wrap encrypts a keyset, bound to its place.
func wrap(handle *keyset.Handle, wrapper tink.AEAD, place []byte) ([]byte, error) {
	var w sealedKeyset
	err := handle.WriteWithAssociatedData(&w, wrapper, place)
	return w, err
}

func unwrap(b []byte, wrapper tink.AEAD, place []byte) (*keyset.Handle, error) {
	w := sealedKeyset(b)
	return keyset.ReadWithAssociatedData(&w, wrapper, place)
}

// sealedKeyset is a keyset as Tink encrypts it: only that. What Tink writes beside it (a KeysetInfo, in the clear) nothing
// authenticates and nobody reads; without it, a change of any byte shows.
type sealedKeyset []byte

var (
	_ keyset.Reader = (*sealedKeyset)(nil)
	_ keyset.Writer = (*sealedKeyset)(nil)
)

// errClear refuses keysets that are not encrypted.
var errClear = errors.New("fieldcrypt: keysets are never stored in the clear")

// WriteEncrypted keeps the encrypted keyset.
func (w *sealedKeyset) WriteEncrypted(k *tinkpb.EncryptedKeyset) error {
	*w = k.GetEncryptedKeyset()
	return nil
}

// ReadEncrypted gives the encrypted keyset.
func (w *sealedKeyset) ReadEncrypted() (*tinkpb.EncryptedKeyset, error) {
	return &tinkpb.EncryptedKeyset{EncryptedKeyset: *w}, nil
}

// Write refuses.
func (*sealedKeyset) Write(*tinkpb.Keyset) error { return errClear }

// Read refuses.
func (*sealedKeyset) Read() (*tinkpb.Keyset, error) { return nil, errClear }
