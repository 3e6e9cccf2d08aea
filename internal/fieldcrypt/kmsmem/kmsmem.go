// Package kmsmem is one symmetric KMS key in memory, for tests. It refuses as KMS does and, as the deployed policies do,
// every call without the encryption context that it was made with.
package kmsmem

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// Key is a symmetric key. It is safe for concurrent use. The same ARN is the same key: what one Key encrypted, another
// decrypts.
type Key struct {
	arn  string
	must map[string]string
	aead cipher.AEAD

	mu       sync.Mutex
	calls    []string
	disabled bool
	fails    map[string]error
}

// New makes the key of an ARN. must is the encryption context that every call has to bring, beside whatever else.
func New(arn string, must map[string]string) *Key {
	material := sha256.Sum256([]byte("kmsmem " + arn))
	block, err := aes.NewCipher(material[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size of GCM
	}
	return &Key{arn: arn, must: must, aead: aead, fails: map[string]error{}}
}

// GenerateDataKey gives 32 random bytes, in the clear and encrypted.
func (k *Key) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, _ ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	if err := k.admit(ctx, "GenerateDataKey", in.KeyId, in.EncryptionContext); err != nil {
		return nil, err
	}
	if in.KeySpec != types.DataKeySpecAes256 {
		return nil, &smithy.GenericAPIError{Code: "ValidationException", Message: "this key makes AES_256 data keys"}
	}
	plain := make([]byte, 32)
	_, _ = rand.Read(plain) // never fails (crypto/rand)
	return &kms.GenerateDataKeyOutput{KeyId: &k.arn, Plaintext: plain,
		CiphertextBlob: k.aead.Seal(nil, nil, plain, associated(in.EncryptionContext))}, nil //nolint:gosec // this AEAD makes its own random nonce
}

// Decrypt opens what GenerateDataKey encrypted, with the same encryption context.
func (k *Key) Decrypt(ctx context.Context, in *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	if err := k.admit(ctx, "Decrypt", in.KeyId, in.EncryptionContext); err != nil {
		return nil, err
	}
	plain, err := k.aead.Open(nil, nil, in.CiphertextBlob, associated(in.EncryptionContext))
	if err != nil {
		return nil, &types.InvalidCiphertextException{}
	}
	return &kms.DecryptOutput{KeyId: &k.arn, Plaintext: plain}, nil
}

// Calls are the actions called so far, in order, refused ones included.
func (k *Key) Calls() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.calls)
}

// Disable disables the key, or enables it again.
func (k *Key) Disable(disabled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.disabled = disabled
}

// Fail makes an action fail with err, or work again with nil.
func (k *Key) Fail(action string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails[action] = err
}

// admit decides as KMS would: first the policy, then the state of the key.
func (k *Key) admit(ctx context.Context, action string, id *string, given map[string]string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, action)
	for name, value := range k.must {
		if given[name] != value {
			return &smithy.GenericAPIError{Code: "AccessDeniedException",
				Message: fmt.Sprintf("not authorized to perform kms:%s: the encryption context has no %s %q", action, name, value)}
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case k.fails[action] != nil:
		return k.fails[action]
	case aws.ToString(id) != k.arn:
		return &types.NotFoundException{Message: aws.String("the key does not exist")}
	case k.disabled:
		return &types.DisabledException{Message: aws.String(k.arn + " is disabled.")}
	default:
		return nil
	}
}

// associated writes an encryption context in the order of its names.
func associated(context map[string]string) []byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(context)) {
		fmt.Fprintf(&b, "%q=%q,", name, context[name])
	}
	return []byte(b.String())
}
