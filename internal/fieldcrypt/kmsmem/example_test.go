package kmsmem_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/expenzez/aws-backend/internal/fieldcrypt/kmsmem"
)

// A data key comes back in the encryption context that it was made in, and while the key is enabled.
func Example() {
	ctx := context.Background()
	key := kmsmem.New("arn:aws:kms:eu-west-2:111122223333:key/1", map[string]string{"app": "expenzez"})
	place := map[string]string{"app": "expenzez", "env": "dev"}
	made, err := key.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: aws.String("arn:aws:kms:eu-west-2:111122223333:key/1"),
		KeySpec: types.DataKeySpecAes256, EncryptionContext: place})
	if err != nil {
		fmt.Println(err)
		return
	}
	decrypt := func() {
		back, err := key.Decrypt(ctx, &kms.DecryptInput{KeyId: made.KeyId, CiphertextBlob: made.CiphertextBlob, EncryptionContext: place})
		fmt.Println(err == nil && string(back.Plaintext) == string(made.Plaintext))
	}
	decrypt()
	key.Disable(true)
	decrypt()
	fmt.Println(key.Calls())
	// Output:
	// true
	// false
	// [GenerateDataKey Decrypt Decrypt]
}
