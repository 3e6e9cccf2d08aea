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
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/expenzez/aws-backend/internal/store"
)

// KMS lists the calls of KMS that envelope encryption makes. *kms.Client satisfies it.
type KMS interface {
	GenerateDataKey(context.Context, *kms.GenerateDataKeyInput, ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
	Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

var _ KMS = (*kms.Client)(nil)

// ring is the keysets of one epoch, ready to use.
type ring struct {
	aead tink.AEAD
	prf  *prf.Set
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
		return nil, errors.New("there are none")
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
	item, r, err := k.fresh(out.Plaintext)
	if err != nil {
		return nil, err
	}
	item[attrDataKey] = store.B(out.CiphertextBlob)
	_, err = k.table.PutItem(ctx, &dynamodb.PutItemInput{Item: item, ConditionExpression: aws.String("attribute_not_exists(pk)")})
	var refused *store.ConditionFailedError
	switch {
	case errors.As(err, &refused):
		return k.unwrap(ctx, refused.Old)
	case err != nil:
		return nil, err
	}
	return r, nil
}

// fresh makes new keysets and the item that holds them, still without the data key.
func (k keysets) fresh(dataKey []byte) (store.Item, *ring, error) {
	wrapper, err := subtle.NewAESGCM(dataKey)
	if err != nil {
		return nil, nil, fmt.Errorf("data key: %w", err)
	}
	sealing, sealErr := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	indexing, indexErr := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err := errors.Join(sealErr, indexErr); err != nil {
		return nil, nil, fmt.Errorf("make keysets: %w", err)
	}
	item := store.Item{"pk": store.S(k.pk)}
	for attribute, handle := range map[string]*keyset.Handle{attrAEAD: sealing, attrPRF: indexing} {
		var b bytes.Buffer
		if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&b), wrapper, k.place(attribute)); err != nil {
			return nil, nil, fmt.Errorf("wrap %s: %w", attribute, err)
		}
		item[attribute] = store.B(b.Bytes())
	}
	r, err := newRing(sealing, indexing)
	return item, r, err
}

// unwrap makes the keysets of an item usable.
func (k keysets) unwrap(ctx context.Context, item store.Item) (*ring, error) {
	r := store.Read(item)
	wrapped, sealing, indexing := r.B(attrDataKey), r.B(attrAEAD), r.B(attrPRF)
	if err := r.Err(); err != nil {
		return nil, err
	}
	out, err := k.kms.Decrypt(ctx, &kms.DecryptInput{KeyId: &k.key, CiphertextBlob: wrapped, EncryptionContext: k.context})
	if err != nil {
		return nil, fmt.Errorf("unwrap the data key: %w", err)
	}
	defer clear(out.Plaintext)
	wrapper, err := subtle.NewAESGCM(out.Plaintext)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	sealer, sealErr := k.handle(wrapper, attrAEAD, sealing)
	indexer, indexErr := k.handle(wrapper, attrPRF, indexing)
	if err := errors.Join(sealErr, indexErr); err != nil {
		return nil, err
	}
	return newRing(sealer, indexer)
}

func (k keysets) handle(wrapper tink.AEAD, attribute string, wrapped []byte) (*keyset.Handle, error) {
	h, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(wrapped)), wrapper, k.place(attribute))
	if err != nil {
		return nil, fmt.Errorf("unwrap %s: %w", attribute, err)
	}
	return h, nil
}

// place binds a wrapped keyset to its item and attribute.
func (k keysets) place(attribute string) []byte { return joined("keyset", k.pk, attribute) }

func newRing(sealing, indexing *keyset.Handle) (*ring, error) {
	sealer, sealErr := aead.New(sealing)
	indexer, indexErr := prf.NewPRFSet(indexing)
	if err := errors.Join(sealErr, indexErr); err != nil {
		return nil, fmt.Errorf("use keysets: %w", err)
	}
	return &ring{sealer, indexer}, nil
}
