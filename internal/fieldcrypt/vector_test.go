package fieldcrypt_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"
	gcmpb "github.com/tink-crypto/tink-go/v2/proto/aes_gcm_go_proto"
	prfpb "github.com/tink-crypto/tink-go/v2/proto/hmac_prf_go_proto"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"google.golang.org/protobuf/proto"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/store"
)

var update = flag.Bool("vector", false, "make the test vector anew; what is stored under the old one could no longer be read")

// vector is keysets and what they sealed, as they were when the format was first stored.
type vector struct {
	Item       map[string]hexadecimal // of KEYSET#pii#1
	Plain      string
	Sealed     hexadecimal // of users, u1, email
	User       string
	UserKey    hexadecimal // wrapped
	UserSealed hexadecimal // of users, u1, email
	Index      string      // of email
}

type hexadecimal []byte

func (h hexadecimal) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexadecimal) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

const vectorFile = "testdata/vector.json"

// frozen is the vector, and a world whose keysets are the vector's.
func frozen(t *testing.T) (vector, *world) {
	t.Helper()
	text, err := os.ReadFile(vectorFile)
	require.NoError(t, err)
	var v vector
	require.NoError(t, json.Unmarshal(text, &v))
	w := newWorld()
	item := store.Item{"pk": store.S("KEYSET#pii#1")}
	for name, value := range v.Item {
		item[name] = store.B(value)
	}
	w.put(t, item)
	return v, w
}

// What was stored once opens for ever, and what is stored now has the same form.
func TestTheStoredFormatIsFrozen(t *testing.T) {
	t.Parallel()
	if *update {
		writeVector(t)
	}
	v, w := frozen(t)
	c := w.sandbox(0)
	require.Equal(t, v.Plain, open(t, c, v.Sealed))
	require.Equal(t, v.Index, index(t, c, "email", v.Plain))
	key, err := c.OpenUserKey(t.Context(), v.User, v.UserKey)
	require.NoError(t, err)
	plain, err := key.Open("users", "u1", "email", v.UserSealed)
	require.NoError(t, err)
	require.Equal(t, v.Plain, string(plain))
	require.Equal(t, []string{"Decrypt"}, w.key.Calls())

	sameForm := func(want, got []byte, prefix int) {
		t.Helper()
		require.Len(t, got, len(want))
		require.Equal(t, want[:prefix], got[:prefix])
	}
	sameForm(v.Sealed, seal(t, c, v.Plain), 7) // epoch, version, key id
	sealed, err := key.Seal("users", "u1", "email", []byte(v.Plain))
	require.NoError(t, err)
	sameForm(v.UserSealed, sealed, 5) // version, key id
	_, wrapped, err := c.NewUserKey(t.Context(), v.User)
	require.NoError(t, err)
	require.InDelta(t, len(v.UserKey), len(wrapped), 4, "ids of Tink's keys are varints")
	require.Equal(t, []byte(v.UserKey[:7]), wrapped[:7])
	item := keysetsOf(t, newWorld())
	require.Len(t, item, len(v.Item)+1)
	for name := range v.Item {
		require.InDelta(t, len(v.Item[name]), len(store.Read(item).B(name)), 4, name)
	}
}

// The format, read without this package and without Tink's ciphers: AES-256-GCM with a nonce of 12 bytes before and a tag
// of 16 behind, and HMAC-SHA-256. Whoever has the KMS key can read what is stored for ever. What is made now has it, too.
func TestTheStoredFormatIsWhatIsSaid(t *testing.T) {
	t.Parallel()
	v, w := frozen(t)
	readByHand(t, w, v, 1)
	for epoch := uint16(1); epoch < 4; epoch++ {
		w = newWorld()
		readByHand(t, w, newVector(t, w, epoch), epoch)
	}
}

func readByHand(t *testing.T, w *world, v vector, epoch uint16) {
	t.Helper()
	e := strconv.Itoa(int(epoch))
	out, err := w.key.Decrypt(t.Context(), &kms.DecryptInput{KeyId: aws.String(keyARN), CiphertextBlob: v.Item["dataKey"],
		EncryptionContext: map[string]string{"app": "expenzez", "env": "dev", "purpose": "pii", "epoch": e}})
	require.NoError(t, err)

	sealing := keyOf(t, gcm(t, out.Plaintext, v.Item["aead"], "\x06keyset\x03dev\x0cKEYSET#pii#"+e+"\x04aead"))
	require.Equal(t, []byte{0, byte(epoch)}, []byte(v.Sealed[:2]))
	require.Equal(t, v.Plain, string(gcm(t, gcmKey(t, sealing, v.Sealed[2:7]), v.Sealed[7:], "\x05field\x03dev\x03pii\x01"+e+"\x05users\x02u1\x05email")))

	indexing := keyOf(t, gcm(t, out.Plaintext, v.Item["prf"], "\x06keyset\x03dev\x0cKEYSET#pii#"+e+"\x03prf"))
	var prf prfpb.HmacPrfKey
	require.NoError(t, proto.Unmarshal(indexing.KeyData.Value, &prf))
	mac := hmac.New(sha256.New, prf.KeyValue)
	mac.Write([]byte("\x05email\x0f" + v.Plain))
	require.Equal(t, v.Index, base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]))

	require.Equal(t, []byte{0, byte(epoch)}, []byte(v.UserKey[:2]))
	personal := keyOf(t, gcm(t, gcmKey(t, sealing, v.UserKey[2:7]), v.UserKey[7:], "\x08user key\x03dev\x03pii\x01"+e+"\x02u1"))
	require.Equal(t, v.Plain, string(gcm(t, gcmKey(t, personal, v.UserSealed[:5]), v.UserSealed[5:], "\x0auser field\x03dev\x03pii\x02u1\x05users\x02u1\x05email")))
}

func gcm(t *testing.T, key, sealed []byte, associated string) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	plain, err := aead.Open(nil, sealed[:12], sealed[12:], []byte(associated))
	require.NoError(t, err)
	return plain
}

// keyOf is the one key of a serialized Tink keyset.
func keyOf(t *testing.T, keyset []byte) *tinkpb.Keyset_Key {
	t.Helper()
	var k tinkpb.Keyset
	require.NoError(t, proto.Unmarshal(keyset, &k))
	require.Len(t, k.Key, 1)
	require.Equal(t, k.PrimaryKeyId, k.Key[0].KeyId)
	return k.Key[0]
}

// gcmKey is the 32 bytes of a Tink AES-GCM key, whose prefix (version 1, key id) a value begins with.
func gcmKey(t *testing.T, key *tinkpb.Keyset_Key, prefix []byte) []byte {
	t.Helper()
	id := key.KeyId
	require.Equal(t, []byte{1, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, prefix)
	var k gcmpb.AesGcmKey
	require.NoError(t, proto.Unmarshal(key.KeyData.Value, &k))
	require.Len(t, k.KeyValue, 32)
	return k.KeyValue
}

// newVector makes keysets in a world that has none, and seals with them.
func newVector(t *testing.T, w *world, epoch uint16) vector {
	t.Helper()
	config := w.config(epoch)
	config.IndexEpoch = epoch
	c := fieldcrypt.New(w.key, w.table(), config)
	v := vector{Item: map[string]hexadecimal{}, Plain: "ada@example.com", User: "u1"}
	v.Sealed, v.Index = seal(t, c, v.Plain), index(t, c, "email", v.Plain)
	key, wrapped := newUserKey(t, c, v.User)
	sealed, err := key.Seal("users", "u1", "email", []byte(v.Plain))
	require.NoError(t, err)
	v.UserKey, v.UserSealed = wrapped, sealed
	for name, value := range w.db.Items("users")[0] {
		if b, ok := value.(*types.AttributeValueMemberB); ok {
			v.Item[name] = b.Value
		}
	}
	return v
}

func writeVector(t *testing.T) {
	t.Helper()
	text, err := json.MarshalIndent(newVector(t, newWorld(), 1), "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(vectorFile, append(text, '\n'), 0o600))
}
