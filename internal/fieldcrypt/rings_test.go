package fieldcrypt_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/store"
)

// late is a KMS that takes its time.
type late struct {
	fieldcrypt.KMS
	wait time.Duration
}

func (l late) pass(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(l.wait):
		return nil
	}
}

func (l late) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, o ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	return l.KMS.GenerateDataKey(ctx, in, o...)
}

func (l late) Decrypt(ctx context.Context, in *kms.DecryptInput, o ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	if err := l.pass(ctx); err != nil {
		return nil, err
	}
	return l.KMS.Decrypt(ctx, in, o...)
}

// uses is everything that needs the keysets of an epoch, each once, by many callers at the same time.
func uses(t *testing.T, c *fieldcrypt.Cipher, sealed, wrapped []byte, callers int) error {
	t.Helper()
	failed := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			switch i % 5 {
			case 0:
				_, failed[i] = c.Seal(t.Context(), "users", "u1", "email", []byte("x"))
			case 1:
				_, failed[i] = c.Open(t.Context(), "users", "u1", "email", sealed)
			case 2:
				_, failed[i] = c.BlindIndex(t.Context(), "email", "x")
			case 3:
				_, _, failed[i] = c.NewUserKey(t.Context(), "u1")
			default:
				_, failed[i] = c.OpenUserKey(t.Context(), "u1", wrapped)
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

func newUserKey(t *testing.T, c *fieldcrypt.Cipher, user string) (*fieldcrypt.UserKey, []byte) {
	t.Helper()
	key, wrapped, err := c.NewUserKey(t.Context(), user)
	require.NoError(t, err)
	return key, wrapped
}

// However many begin at once, whatever they begin with, a sandbox calls KMS once for an epoch.
func TestOneCallForManyFirstUses(t *testing.T) {
	t.Parallel()
	const callers = 64
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		slowly := store.NewTable(fault.NewDB(w.as, of(fault.Fault{Delay: 100 * time.Millisecond}, "GetItem", "PutItem")), "users")
		c := fieldcrypt.New(late{w.key, 100 * time.Millisecond}, slowly, w.config(0))
		var wg sync.WaitGroup
		opened, sealed := make([]error, callers/2), make([]error, callers/2)
		for i := range opened { // half of them may not make the keysets, and begin first
			wg.Go(func() { _, opened[i] = c.Open(t.Context(), "users", "u1", "email", []byte("\x00\x01x")) })
		}
		synctest.Wait()
		for i := range sealed {
			wg.Go(func() { _, sealed[i] = c.Seal(t.Context(), "users", "u1", "email", nil) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(sealed...), "those who may make them do not get the answer of those who may not")
		require.NotContains(t, opened, nil)
		require.Equal(t, []string{"GenerateDataKey"}, w.key.Calls())

		value := seal(t, c, "x")
		_, wrapped := newUserKey(t, c, "u1")
		next := fieldcrypt.New(late{w.key, 100 * time.Millisecond}, slowly, w.config(0))
		require.NoError(t, uses(t, next, value, wrapped, callers))
		require.Equal(t, []string{"GenerateDataKey", "Decrypt"}, w.key.Calls())
		require.Len(t, w.db.Items("users"), 1)
	})
}

// A day of steady use: one call to make the keysets, then one an hour, and the table is not read again.
func TestOneCallAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld()
	table := &flaky{Table: w.table()}
	c := fieldcrypt.New(w.key, table, w.config(0))
	sealed := seal(t, c, "x")
	_, wrapped := newUserKey(t, c, "u1")
	table.get, table.put = errors.New("down"), errors.New("down")
	for minute := range 24 * 60 {
		require.NoError(t, uses(t, c, sealed, wrapped, 10))
		require.Len(t, w.key.Calls(), 1+minute/60)
		w.clock.Jump(time.Minute)
	}
}

// transient is what may be better in a moment.
func transient() map[string]error {
	return map[string]error{
		"network":   errors.New("connection reset"),
		"timeout":   context.DeadlineExceeded,
		"throttled": &smithy.GenericAPIError{Code: "ThrottlingException"},
		"broken":    &kmstypes.KMSInternalException{},
		"dependent": &kmstypes.DependencyTimeoutException{},
		"unready":   &kmstypes.KeyUnavailableException{},
	}
}

func TestKeysetsAreUsedOnWhileKMSDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, failure := range transient() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			c := w.sandbox(0)
			sealed := seal(t, c, "x")
			_, wrapped := newUserKey(t, c, "u1")
			w.key.Fail("Decrypt", failure)
			w.clock.Jump(time.Hour - 1)
			require.NoError(t, uses(t, c, sealed, wrapped, 5))
			require.Len(t, w.key.Calls(), 1)

			w.clock.Jump(1)
			for asked := range 3 { // it is asked again, but not by everybody
				require.NoError(t, uses(t, c, sealed, wrapped, 20))
				require.Len(t, w.key.Calls(), 2+asked)
				w.clock.Jump(30*time.Second - 1)
				require.NoError(t, uses(t, c, sealed, wrapped, 20))
				require.Len(t, w.key.Calls(), 2+asked)
				w.clock.Jump(1)
			}
			w.key.Fail("Decrypt", nil)
			require.NoError(t, uses(t, c, sealed, wrapped, 20))
			require.Len(t, w.key.Calls(), 5)
			w.clock.Jump(time.Hour - 1)
			require.NoError(t, uses(t, c, sealed, wrapped, 20))
			require.Len(t, w.key.Calls(), 5, "an answer is good for an hour")
		})
	}
}

func TestKeysetsAreNotUsedForLongerThanTwelveHours(t *testing.T) {
	t.Parallel()
	cases := map[string][]time.Duration{ // how the clock goes until 12 h are over
		"in_use":         {time.Hour, 5 * time.Hour, 6*time.Hour - 1, 1},
		"frozen":         {12 * time.Hour},
		"frozen_at_once": {300 * time.Hour},
	}
	for name, jumps := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			c := w.sandbox(0)
			sealed := seal(t, c, "x")
			_, wrapped := newUserKey(t, c, "u1")
			w.key.Fail("Decrypt", errors.New("down"))
			for i, jump := range jumps {
				w.clock.Jump(jump)
				if i < len(jumps)-1 {
					require.NoError(t, uses(t, c, sealed, wrapped, 5))
				}
			}
			fails(t, c, sealed)
			_, err := c.OpenUserKey(t.Context(), "u1", wrapped)
			require.Error(t, err)
			require.NotErrorIs(t, err, fieldcrypt.ErrSealed)

			w.key.Fail("Decrypt", nil)
			before := len(w.key.Calls())
			require.NoError(t, uses(t, c, sealed, wrapped, 20))
			require.Len(t, w.key.Calls(), before+1)
		})
	}
}

// Disabling the key, or the role's access to it, stops a sandbox that is warm within the hour.
func TestARefusalStopsAWarmSandbox(t *testing.T) {
	t.Parallel()
	code := func(code string) func(*world) {
		return func(w *world) { w.key.Fail("Decrypt", &smithy.GenericAPIError{Code: code}) }
	}
	cases := map[string]func(*world){
		"disabled":         func(w *world) { w.key.Disable(true) },
		"pending_deletion": func(w *world) { w.key.Fail("Decrypt", &kmstypes.KMSInvalidStateException{}) },
		"gone":             func(w *world) { w.key.Fail("Decrypt", &kmstypes.NotFoundException{}) },
		"forbidden":        code("AccessDeniedException"),
		"other_material":   func(w *world) { w.key.Fail("Decrypt", &kmstypes.InvalidCiphertextException{}) },
		"other_key":        func(w *world) { w.key.Fail("Decrypt", &kmstypes.IncorrectKeyException{}) },
		"other_usage":      func(w *world) { w.key.Fail("Decrypt", &kmstypes.InvalidKeyUsageException{}) },
	}
	for name, refuse := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			c := w.sandbox(0)
			sealed := seal(t, c, "x")
			_, wrapped := newUserKey(t, c, "u1")
			w.clock.Jump(10 * time.Minute)
			refuse(w)
			require.NoError(t, uses(t, c, sealed, wrapped, 20))

			w.clock.Jump(50 * time.Minute)
			fails(t, c, sealed)
			_, _, err := c.NewUserKey(t.Context(), "u1")
			require.Error(t, err)
			_, err = c.OpenUserKey(t.Context(), "u1", wrapped)
			require.Error(t, err)
			require.NotErrorIs(t, err, fieldcrypt.ErrSealed)
			w.key.Fail("Decrypt", errors.New("connection reset"))
			fails(t, c, sealed) // what was refused is not used on when there is no answer

			w.key.Fail("Decrypt", nil)
			w.key.Disable(false)
			require.NoError(t, uses(t, c, sealed, wrapped, 20), "it recovers")
		})
	}
}

func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.sandbox(0)
	sealed := seal(t, c, "x")
	_, wrapped := newUserKey(t, c, "u1")
	w.clock.Jump(-48 * time.Hour)
	require.NoError(t, uses(t, c, sealed, wrapped, 20))
	require.Len(t, w.key.Calls(), 2, "nobody knows how old the keysets are: KMS is asked")
	w.clock.Jump(time.Hour - 1)
	require.NoError(t, uses(t, c, sealed, wrapped, 20))
	require.Len(t, w.key.Calls(), 2)

	w.key.Fail("Decrypt", errors.New("down"))
	w.clock.Jump(-48 * time.Hour)
	require.NoError(t, uses(t, c, sealed, wrapped, 20))
	require.Len(t, w.key.Calls(), 3)
	w.clock.Jump(-48 * time.Hour) // again, while KMS was to be left alone until a time that is far now
	require.NoError(t, uses(t, c, sealed, wrapped, 20))
	require.Len(t, w.key.Calls(), 4)
	w.clock.Jump(11 * time.Hour)
	fails(t, c, sealed) // it had not been asked for an hour at most, and eleven more are twelve
}

// A KMS that hangs costs the callers who meet it a second, twice a minute, and the sandbox nothing.
func TestAQuestionThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		slow := &late{KMS: w.key}
		c := fieldcrypt.New(slow, w.table(), w.config(0))
		sealed := seal(t, c, "x")
		_, wrapped := newUserKey(t, c, "u1")
		slow.wait = time.Hour
		w.clock.Jump(time.Hour)
		began := time.Now()
		require.NoError(t, uses(t, c, sealed, wrapped, 20))
		require.Equal(t, time.Second, time.Since(began))
		require.NoError(t, uses(t, c, sealed, wrapped, 20))
		require.Equal(t, time.Second, time.Since(began))

		w.clock.Jump(12 * time.Hour)
		began = time.Now()
		require.ErrorIs(t, uses(t, c, sealed, wrapped, 20), context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}

// Epochs are asked about apart: what KMS says of one does not touch the other.
func TestEpochsAreCheckedApart(t *testing.T) {
	t.Parallel()
	w := newWorld()
	first := seal(t, w.sandbox(1), "first")
	c := w.sandbox(2)
	second := seal(t, c, "second")
	require.Equal(t, "first", open(t, c, first))
	for _, item := range w.db.Items("users") {
		if store.Read(item).S("pk") == "KEYSET#pii#1" {
			item["dataKey"] = store.B([]byte("x"))
			w.put(t, item)
		}
	}
	w.clock.Jump(time.Hour)
	require.Equal(t, "first", open(t, c, first), "what was loaded is asked about, not what lies in the table")
	require.Equal(t, "second", open(t, c, second))
	require.Equal(t, []string{"GenerateDataKey", "GenerateDataKey", "Decrypt", "Decrypt", "Decrypt"}, w.key.Calls())
}
