package apple

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// NonceLife is how long a person has to sign in at Apple.
const NonceLife = 10 * time.Minute

const nonceBytes = 32

// NonceTable is a table with the key pk and the time to live ttl.
type NonceTable interface {
	store.Putter
	store.Deleter
}

// Nonces are what binds an identity token to one sign-in. Of each, only the hash is stored.
type Nonces struct {
	table NonceTable
	tx    store.Transactor
}

// NewNonces keeps nonces in a table, which may hold other things under keys that do not begin with NONCE#. tx is for the
// same table.
func NewNonces(table NonceTable, tx store.Transactor) Nonces { return Nonces{table, tx} }

// Issue makes a nonce: 256 bits in base64url, good for one sign-in within NonceLife. The error is ErrUnavailable.
func (n Nonces) Issue(ctx context.Context, now time.Time) (string, error) {
	b := make([]byte, nonceBytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	nonce := base64.RawURLEncoding.EncodeToString(b)
	item, expires := nonceKey(nonce), store.N(now.Add(NonceLife).Unix())
	item["expires"], item["ttl"] = expires, expires
	if _, err := n.table.PutItem(ctx, &dynamodb.PutItemInput{Item: item}); err != nil {
		return "", unavailable("issue a nonce", err)
	}
	return nonce, nil
}

// use uses a nonce up. The delete is a transaction of its own for its client token: when the client repeats it because the
// answer was lost, DynamoDB knows that it was done by this call, where a plain delete would find nothing and refuse
// (DynamoDB guide, "TransactWriteItems API: idempotency"). Whether a nonce still lives is told by its time: DynamoDB
// deletes late.
func (n Nonces) use(ctx context.Context, nonce string, now time.Time) error {
	err := store.Transact(ctx, n.tx, "", n.table.DeleteWrite(types.Delete{Key: nonceKey(nonce), ConditionExpression: aws.String("expires > :now"),
		ExpressionAttributeValues: store.Item{":now": store.N(now.Unix())}}))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrConditionFailed):
		return fmt.Errorf("%w: it is unknown, used or expired", ErrNonce)
	default:
		return unavailable("use a nonce", err)
	}
}

func nonceKey(nonce string) store.Item {
	sum := sha256.Sum256([]byte(nonce))
	return store.Item{"pk": store.S("NONCE#" + base64.RawURLEncoding.EncodeToString(sum[:]))}
}

// Sent is what a client sends to Apple for a nonce of ours: its SHA-256 in lower-case hex. Apple puts what it is sent into
// the token unchanged ("ASAuthorizationOpenIDRequest.nonce"; "Authenticate Using Apple" of Firebase, whose SDKs hash in
// this way too), so that who sees a token, which holds the hash, does not know the nonce to present with it.
func Sent(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return hex.EncodeToString(sum[:])
}

// matches tells whether the nonce of a token is what a client sends for the one presented.
func matches(inToken, presented string) bool {
	return len(presented) == base64.RawURLEncoding.EncodedLen(nonceBytes) && subtle.ConstantTimeCompare([]byte(inToken), []byte(Sent(presented))) == 1
}
