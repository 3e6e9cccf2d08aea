package fieldcrypt_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/fieldcrypt/kmsmem"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

const keyARN = "arn:aws:kms:eu-west-2:111122223333:key/00000000-0000-4000-8000-000000000001"

// must is the encryption context that the deployed policies ask for.
var must = map[string]string{"app": "expenzez", "env": "dev", "purpose": "pii"}

// world is the key, the table and the time that the sandboxes of an environment share.
type world struct {
	key   *kmsmem.Key
	db    *mem.DB
	as    *mem.View
	clock *fault.Clock
}

func newWorld() *world {
	db := mem.New(mem.Schema{Name: "users", Hash: "pk"})
	return &world{kmsmem.New(keyARN, must), db, db.As(mem.Grant{Table: "users", Actions: []string{"GetItem", "PutItem"}}),
		fault.NewClock(time.Unix(1_800_000_000, 0))}
}

func (w *world) table() store.Table { return store.NewTable(w.as, "users") }

// sandbox is a function that has just started.
func (w *world) sandbox(epoch uint16) *fieldcrypt.Cipher {
	return fieldcrypt.New(w.key, w.table(), w.config(epoch))
}

func (w *world) config(epoch uint16) fieldcrypt.Config {
	return fieldcrypt.Config{Key: keyARN, Environment: "dev", Purpose: "pii", Epoch: epoch, Now: w.clock.Now}
}

func (w *world) put(t *testing.T, item store.Item) {
	t.Helper()
	_, err := store.NewTable(w.db, "users").PutItem(t.Context(), &dynamodb.PutItemInput{Item: item})
	require.NoError(t, err)
}

func seal(t *testing.T, c *fieldcrypt.Cipher, plain string) []byte {
	t.Helper()
	sealed, err := c.Seal(t.Context(), "users", "u1", "email", []byte(plain))
	require.NoError(t, err)
	return sealed
}

func open(t *testing.T, c *fieldcrypt.Cipher, sealed []byte) string {
	t.Helper()
	plain, err := c.Open(t.Context(), "users", "u1", "email", sealed)
	require.NoError(t, err)
	return string(plain)
}

func index(t *testing.T, c *fieldcrypt.Cipher, field, value string) string {
	t.Helper()
	got, err := c.BlindIndex(t.Context(), field, value)
	require.NoError(t, err)
	return got
}

func TestWhatIsSealedOpensInEverySandbox(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for _, plain := range []string{"", "a", "ada@example.com", strings.Repeat("x", 100_000), "\x00\xff"} {
		sealed := seal(t, w.sandbox(0), plain)
		require.Equal(t, plain, open(t, w.sandbox(1), sealed))
		require.Len(t, sealed, len(plain)+35)
		require.NotEqual(t, sealed, seal(t, w.sandbox(0), plain), "it does not show that it is the same")
		if plain != "" && plain != "a" {
			require.NotContains(t, string(sealed), plain)
		}
	}
	require.Equal(t, []mem.Grant{{Table: "users", Actions: []string{"GetItem", "PutItem"}}}, w.as.Used())
	require.Len(t, w.db.Items("users"), 1)
}

func TestAnIndexIsEqualForEqualValues(t *testing.T) {
	t.Parallel()
	w, other := newWorld(), newWorld()
	c := w.sandbox(0)
	first := index(t, c, "email", "ada@example.com")
	require.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`), first)
	require.Equal(t, first, index(t, w.sandbox(0), "email", "ada@example.com"))
	for name, different := range map[string]string{
		"value":       index(t, c, "email", "bob@example.com"),
		"field":       index(t, c, "caller", "ada@example.com"),
		"case":        index(t, c, "email", "Ada@example.com"),
		"moved_split": index(t, c, "emaila", "da@example.com"),
		"empty":       index(t, c, "email", ""),
		"environment": index(t, other.sandbox(0), "email", "ada@example.com"),
	} {
		require.NotEqual(t, first, different, name)
	}
}

func TestWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.sandbox(1)
	sealed, err := c.Seal(t.Context(), "users", "u1", "email", []byte("ada@example.com"))
	require.NoError(t, err)
	higher := seal(t, w.sandbox(3), "x")
	foreign := seal(t, newWorld().sandbox(1), "x")
	changed := func(i int, b byte) []byte {
		s := append([]byte(nil), sealed...)
		s[i] ^= b
		return s
	}
	cases := map[string]struct {
		table, key, attribute string
		sealed                []byte
	}{
		"other_table":     {"sessions", "u1", "email", sealed},
		"other_key":       {"users", "u2", "email", sealed},
		"other_attribute": {"users", "u1", "name", sealed},
		"moved_split":     {"usersu", "1", "email", sealed},
		"joined":          {"users", "u1email", "", sealed},
		"nothing":         {"users", "u1", "email", nil},
		"one_byte":        {"users", "u1", "email", sealed[:1]},
		"epoch_only":      {"users", "u1", "email", sealed[:2]},
		"epoch_zero":      {"users", "u1", "email", changed(1, 1)},
		"epoch_too_high":  {"users", "u1", "email", higher},
		"epoch_unmade":    {"users", "u1", "email", changed(1, 3)},
		"epoch_huge":      {"users", "u1", "email", changed(0, 0xff)},
		"longer":          {"users", "u1", "email", append(append([]byte(nil), sealed...), 0)},
		"foreign_keys":    {"users", "u1", "email", foreign},
		"in_the_clear":    {"users", "u1", "email", []byte("ada@example.com")},
		"clear_in_epoch":  {"users", "u1", "email", []byte("\x00\x01ada@example.com")},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.Open(t.Context(), x.table, x.key, x.attribute, x.sealed)
			require.ErrorIs(t, err, fieldcrypt.ErrSealed)
			require.Nil(t, got)
		})
	}
	for i := range sealed {
		_, err := c.Open(t.Context(), "users", "u1", "email", changed(i, 0x80))
		require.ErrorIs(t, err, fieldcrypt.ErrSealed, "byte %d changed", i)
		_, err = c.Open(t.Context(), "users", "u1", "email", sealed[:i])
		require.ErrorIs(t, err, fieldcrypt.ErrSealed, "cut after %d", i)
	}
}

func TestOneCallToKMSForEachSandbox(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.sandbox(0)
	require.Empty(t, w.key.Calls(), "nothing is called before it is used")
	for range 50 {
		open(t, c, seal(t, c, "ada@example.com"))
		index(t, c, "email", "ada@example.com")
	}
	require.Equal(t, []string{"GenerateDataKey"}, w.key.Calls())
	second := w.sandbox(0)
	for range 50 {
		index(t, second, "email", "ada@example.com")
		open(t, second, seal(t, second, "ada@example.com"))
	}
	require.Equal(t, []string{"GenerateDataKey", "Decrypt"}, w.key.Calls())
}

func TestSandboxesThatBeginAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld()
	const sandboxes, callers = 8, 16
	sealed, indexes := make([][]byte, sandboxes*callers), make([]string, sandboxes*callers)
	failed := make([]error, sandboxes*callers)
	var wg sync.WaitGroup
	for s := range sandboxes {
		c := w.sandbox(0)
		for i := s * callers; i < (s+1)*callers; i++ {
			wg.Go(func() {
				var sealErr, indexErr error
				sealed[i], sealErr = c.Seal(t.Context(), "users", "u1", "email", []byte("ada@example.com"))
				indexes[i], indexErr = c.BlindIndex(t.Context(), "email", "ada@example.com")
				failed[i] = errors.Join(sealErr, indexErr)
			})
		}
	}
	wg.Wait()
	require.NoError(t, errors.Join(failed...))
	require.Len(t, w.db.Items("users"), 1)
	require.LessOrEqual(t, len(w.key.Calls()), 2*sandboxes)
	last := w.sandbox(0)
	for i := range sealed {
		require.Equal(t, "ada@example.com", open(t, last, sealed[i]))
		require.Equal(t, indexes[0], indexes[i])
	}
}

func TestEpochs(t *testing.T) {
	t.Parallel()
	w := newWorld()
	old := w.sandbox(1)
	first, email := seal(t, old, "first"), index(t, old, "email", "ada@example.com")

	later := w.sandbox(2)
	second := seal(t, later, "second")
	require.Equal(t, "first", open(t, later, first))
	require.Equal(t, "second", open(t, later, second))
	require.Equal(t, email, index(t, later, "email", "ada@example.com"), "what was stored is still found")
	require.Len(t, w.db.Items("users"), 2)
	require.Equal(t, "second", open(t, old, second), "a function that has the epoch before opens what others seal already")
	require.Equal(t, "second", open(t, w.sandbox(1), second))

	relabeled := append([]byte{0, 2}, first[2:]...)
	_, err := later.Open(t.Context(), "users", "u1", "email", relabeled)
	require.ErrorIs(t, err, fieldcrypt.ErrSealed)
}

// A value whose keyset is gone stays closed, and looking does not make a keyset under which it would never open.
func TestOpenMakesNoKeysets(t *testing.T) {
	t.Parallel()
	sealed := seal(t, newWorld().sandbox(0), "x")
	w := newWorld()
	_, err := w.sandbox(0).Open(t.Context(), "users", "u1", "email", sealed)
	require.ErrorContains(t, err, "keysets of pii, epoch 1: there are none")
	require.NotErrorIs(t, err, fieldcrypt.ErrSealed)
	require.Empty(t, w.db.Items("users"))
	require.Empty(t, w.key.Calls())
}

func TestItemsThatWereTamperedWith(t *testing.T) {
	t.Parallel()
	other := keysetsOf(t, newWorld())
	cases := map[string]func(item store.Item){
		"no_data_key":     func(item store.Item) { delete(item, "dataKey") },
		"no_aead":         func(item store.Item) { delete(item, "aead") },
		"no_prf":          func(item store.Item) { delete(item, "prf") },
		"text_for_bytes":  func(item store.Item) { item["aead"] = store.S("x") },
		"other_data_key":  func(item store.Item) { item["dataKey"] = other["dataKey"] },
		"other_aead":      func(item store.Item) { item["aead"] = other["aead"] },
		"swapped":         func(item store.Item) { item["aead"], item["prf"] = item["prf"], item["aead"] },
		"indexing_twice":  func(item store.Item) { item["aead"] = item["prf"] },
		"cut":             func(item store.Item) { item["prf"] = store.B(store.Read(item).B("prf")[:20]) },
		"empty":           func(item store.Item) { item["aead"] = store.B(nil) },
		"broken_data_key": func(item store.Item) { item["dataKey"] = store.B([]byte("x")) },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			sealed := seal(t, w.sandbox(0), "ada@example.com")
			item := w.db.Items("users")[0]
			spoil(item)
			w.put(t, item)
			fails(t, w.sandbox(0), sealed)
		})
	}
}

// Every bit of the keysets' item counts.
func TestAnItemWithOneBitChanged(t *testing.T) {
	t.Parallel()
	w := newWorld()
	sealed := seal(t, w.sandbox(0), "x")
	for _, attribute := range []string{"dataKey", "aead", "prf"} {
		item := w.db.Items("users")[0]
		whole := store.Read(item).B(attribute)
		for i := range whole {
			spoilt := slices.Clone(whole)
			spoilt[i] ^= 1 << (i % 8)
			item[attribute] = store.B(spoilt)
			w.put(t, item)
			_, err := w.sandbox(0).Open(t.Context(), "users", "u1", "email", sealed)
			require.Error(t, err, "byte %d of %s changed", i, attribute)
		}
		item[attribute] = store.B(whole)
		w.put(t, item)
	}
	require.Equal(t, "x", open(t, w.sandbox(0), sealed))
}

// Each environment and purpose has keysets of its own, under one KMS key, too.
func TestWhatIsSealedElsewhereDoesNotOpen(t *testing.T) {
	t.Parallel()
	key := kmsmem.New(keyARN, map[string]string{"app": "expenzez"})
	sealed := map[string][]byte{}
	ciphers := map[string]*fieldcrypt.Cipher{}
	for _, place := range []string{"dev/pii", "prod/pii", "dev/logs"} {
		environment, purpose, _ := strings.Cut(place, "/")
		ciphers[place] = fieldcrypt.New(key, store.NewTable(mem.New(mem.Schema{Name: "users", Hash: "pk"}), "users"),
			fieldcrypt.Config{Key: keyARN, Environment: environment, Purpose: purpose})
		sealed[place] = seal(t, ciphers[place], "x")
	}
	for from, value := range sealed {
		for to, c := range ciphers {
			_, err := c.Open(t.Context(), "users", "u1", "email", value)
			if from == to {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, fieldcrypt.ErrSealed, "%s to %s", from, to)
		}
	}
}

// keysetsOf makes the keysets of an environment and gives their item.
func keysetsOf(t *testing.T, w *world) store.Item {
	t.Helper()
	seal(t, w.sandbox(0), "x")
	return w.db.Items("users")[0]
}

// fails requires that nothing works and nothing is told.
func fails(t *testing.T, c *fieldcrypt.Cipher, sealed []byte) {
	t.Helper()
	for range 2 {
		got, err := c.Seal(t.Context(), "users", "u1", "email", []byte("ada@example.com"))
		require.Error(t, err)
		require.Nil(t, got)
		require.NotContains(t, err.Error(), "ada@")
		found, err := c.BlindIndex(t.Context(), "email", "ada@example.com")
		require.Error(t, err)
		require.Empty(t, found)
		require.NotContains(t, err.Error(), "ada@")
		plain, err := c.Open(t.Context(), "users", "u1", "email", sealed)
		require.Error(t, err)
		require.NotErrorIs(t, err, fieldcrypt.ErrSealed, "the value may be in order")
		require.Nil(t, plain)
	}
}

func TestAnItemOfAnotherPlaceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld()
	first := seal(t, w.sandbox(1), "x")
	item := w.db.Items("users")[0]
	item["pk"] = store.S("KEYSET#pii#2")
	w.put(t, item)
	_, err := w.sandbox(2).Seal(t.Context(), "users", "u1", "email", []byte("x"))
	require.ErrorContains(t, err, "InvalidCiphertextException", "the data key is of epoch 1")
	require.Equal(t, "x", open(t, w.sandbox(2), first))
}

func TestFailuresOfTheKey(t *testing.T) {
	t.Parallel()
	down := errors.New("connection reset")
	cases := map[string]struct {
		spoil func(w *world)
		mend  func(w *world)
	}{
		"down": {func(w *world) { w.key.Fail("GenerateDataKey", down); w.key.Fail("Decrypt", down) },
			func(w *world) { w.key.Fail("GenerateDataKey", nil); w.key.Fail("Decrypt", nil) }},
		"disabled": {func(w *world) { w.key.Disable(true) }, func(w *world) { w.key.Disable(false) }},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			x.spoil(w)
			c := w.sandbox(0)
			_, err := c.Seal(t.Context(), "users", "u1", "email", []byte("x"))
			require.Error(t, err)
			require.Empty(t, w.db.Items("users"))
			x.mend(w)
			sealed := seal(t, c, "x")

			x.spoil(w)
			require.Equal(t, "x", open(t, c, sealed), "what it has it keeps")
			c = w.sandbox(0)
			fails(t, c, sealed)
			x.mend(w)
			require.Equal(t, "x", open(t, c, sealed), "it recovers")
		})
	}
}

func TestOnlyTheDeployedKeyAndContextWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]fieldcrypt.Config{
		"other_environment": {Key: keyARN, Environment: "prod", Purpose: "pii"},
		"other_purpose":     {Key: keyARN, Environment: "dev", Purpose: "logs"},
		"other_key":         {Key: keyARN + "2", Environment: "dev", Purpose: "pii"},
		"no_key":            {Environment: "dev", Purpose: "pii"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			_, err := fieldcrypt.New(w.key, w.table(), c).Seal(t.Context(), "users", "u1", "email", []byte("x"))
			require.Error(t, err)
			require.Empty(t, w.db.Items("users"))
		})
	}
}

// flaky is a table whose calls a test can break.
type flaky struct {
	store.Table
	get, put error
	lost     bool // answers of puts are lost, and the client tries again
}

func (f *flaky) GetItem(ctx context.Context, in *dynamodb.GetItemInput) (*dynamodb.GetItemOutput, error) {
	if f.get != nil {
		return nil, f.get
	}
	return f.Table.GetItem(ctx, in)
}

func (f *flaky) PutItem(ctx context.Context, in *dynamodb.PutItemInput) (*dynamodb.PutItemOutput, error) {
	if f.put != nil {
		return nil, f.put
	}
	if f.lost {
		_, _ = f.Table.PutItem(ctx, in)
	}
	return f.Table.PutItem(ctx, in)
}

func TestFailuresOfTheTable(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	w := newWorld()
	table := &flaky{Table: w.table(), put: down}
	c := fieldcrypt.New(w.key, table, fieldcrypt.Config{Key: keyARN, Environment: "dev", Purpose: "pii"})
	_, err := c.Seal(t.Context(), "users", "u1", "email", []byte("x"))
	require.ErrorIs(t, err, down, "keysets that were not stored seal nothing")

	table.put = nil
	sealed := seal(t, c, "x")
	table.get = down
	require.Equal(t, "x", open(t, c, sealed), "what it has it keeps")
	fails(t, fieldcrypt.New(w.key, table, fieldcrypt.Config{Key: keyARN, Environment: "dev", Purpose: "pii"}), sealed)
}

func TestTheAnswerThatItMadeTheKeysetsIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := fieldcrypt.New(w.key, &flaky{Table: w.table(), lost: true}, fieldcrypt.Config{Key: keyARN, Environment: "dev", Purpose: "pii"})
	require.Equal(t, "x", open(t, w.sandbox(0), seal(t, c, "x")))
	require.Equal(t, []string{"GenerateDataKey", "Decrypt"}, w.key.Calls(), "it knows its own")
}

// slow is a key that answers when it is let.
type slow struct {
	*kmsmem.Key
	asked, answer chan struct{}
}

func (s slow) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, opts ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	close(s.asked)
	select {
	case <-s.answer:
		return s.Key.GenerateDataKey(ctx, in, opts...)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// The caller who began a load and gave up does not spoil it for the others.
func TestACallerThatGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := slow{w.key, make(chan struct{}), make(chan struct{})}
	c := fieldcrypt.New(s, w.table(), fieldcrypt.Config{Key: keyARN, Environment: "dev", Purpose: "pii"})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := c.BlindIndex(ctx, "email", "x"); first <- err }()
	<-s.asked
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	close(s.answer)
	index(t, c, "email", "x")
	require.Equal(t, []string{"GenerateDataKey"}, w.key.Calls())
}

func TestALoadThatTakesTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := slow{w.key, make(chan struct{}), make(chan struct{})}
	c := fieldcrypt.New(s, w.table(), fieldcrypt.Config{Key: keyARN, Environment: "dev", Purpose: "pii", Budget: 1})
	_, err := c.BlindIndex(t.Context(), "email", "x")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func FuzzOpen(f *testing.F) {
	w := newWorld()
	c := w.sandbox(0)
	sealed, err := c.Seal(f.Context(), "users", "u1", "email", []byte("ada@example.com"))
	require.NoError(f, err)
	f.Add(sealed)
	f.Add([]byte{})
	f.Add([]byte{0, 1, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := c.Open(t.Context(), "users", "u1", "email", b)
		if string(b) == string(sealed) {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, fieldcrypt.ErrSealed)
		require.Nil(t, plain)
	})
}
