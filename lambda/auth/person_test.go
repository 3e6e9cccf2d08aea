package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/store"
)

// person is what is stored of one.
type person struct {
	sub        string
	dek, email []byte
}

// person signs in and reads what that left behind.
func (w *world) person(t testing.TB, who string) person {
	t.Helper()
	var p pair
	w.Do(t, "login", loggingIn(who, password)).Decode(t, &p)
	return w.stored(t, w.user(t, p.AccessToken).Subject)
}

func (w *world) stored(t testing.TB, sub string) person {
	t.Helper()
	r := store.Read(w.item(t, "users", "USER#"+sub))
	p := person{sub, r.B("dek"), r.B("email")}
	require.NoError(t, r.Err())
	return p
}

// address opens a sealed address with a wrapped key, both as a user's.
func (w *world) address(t testing.TB, sub string, dek, sealed []byte) (string, error) {
	t.Helper()
	key, err := w.cipher.OpenUserKey(t.Context(), sub, dek)
	if err != nil {
		return "", err
	}
	plain, err := key.Open("users", sub, "email", sealed)
	return string(plain), err
}

func TestAnAddressOpensWithItsPersonsKeyAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signUp(t, email)
	w.signUp(t, "bob@example.com")
	ada, bob := w.person(t, email), w.person(t, "bob@example.com")
	for address, p := range map[string]person{email: ada, "bob@example.com": bob} {
		got, err := w.address(t, p.sub, p.dek, p.email)
		require.NoError(t, err)
		require.Equal(t, address, got)
	}
	for name, x := range map[string]struct {
		sub         string
		dek, sealed []byte
	}{
		"key_of_another":        {ada.sub, bob.dek, ada.email},
		"address_of_another":    {ada.sub, ada.dek, bob.email},
		"both_moved":            {bob.sub, ada.dek, ada.email},
		"without_the_key":       {ada.sub, nil, ada.email},
		"address_as_of_another": {bob.sub, bob.dek, ada.email},
	} {
		_, err := w.address(t, x.sub, x.dek, x.sealed)
		require.ErrorIs(t, err, fieldcrypt.ErrSealed, name)
	}
	_, err := w.cipher.Open(t.Context(), "users", ada.sub, "email", ada.email)
	require.ErrorIs(t, err, fieldcrypt.ErrSealed, "it is not sealed for all")
}

func TestTheKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signUp(t, email)
	require.Len(t, w.items("users"), 1, "nothing is stored of who has not signed in; one item is the keysets'")
	first := w.person(t, email)
	w.now = w.now.Add(time.Hour)
	w.restart(t)
	second := w.person(t, email)
	require.Equal(t, first.dek, second.dek)
	require.NotEqual(t, first.email, second.email)
	for _, sealed := range [][]byte{first.email, second.email} {
		got, err := w.address(t, first.sub, first.dek, sealed)
		require.NoError(t, err)
		require.Equal(t, email, got)
	}
}

// First logins at the same time agree on one key; the address is sealed under that one.
func TestFirstLoginsAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, options{generous: true})
	w.signUp(t, email)
	status := make([]int, 8)
	var wg sync.WaitGroup
	for i := range status {
		wg.Go(func() { status[i] = w.Do(t, "login", loggingIn(email, password)).Status })
	}
	wg.Wait()
	require.Equal(t, slices.Repeat([]int{200}, len(status)), status)
	require.Len(t, w.items("sessions"), len(status))
	p := w.stored(t, w.sub)
	got, err := w.address(t, p.sub, p.dek, p.email)
	require.NoError(t, err)
	require.Equal(t, email, got)
}

func TestAShreddedAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signUp(t, email)
	w.signUp(t, "bob@example.com")
	ada, bob := w.person(t, email), w.person(t, "bob@example.com")
	item := w.item(t, "users", "USER#"+ada.sub)
	delete(item, "dek")
	w.put(t, "users", item)
	_, err := w.address(t, ada.sub, store.Read(item).OptB("dek"), ada.email)
	require.ErrorIs(t, err, fieldcrypt.ErrSealed)
	_, err = w.address(t, bob.sub, bob.dek, bob.email)
	require.NoError(t, err)

	again := w.person(t, email) // who signs in again begins with a new key
	require.NotEqual(t, ada.dek, again.dek)
	_, err = w.address(t, ada.sub, again.dek, ada.email)
	require.ErrorIs(t, err, fieldcrypt.ErrSealed)
	_, err = w.address(t, ada.sub, again.dek, again.email)
	require.NoError(t, err)
}

// interfered is a store in which the user's item is not what the function takes it for.
type interfered struct {
	store.DB
	stale       bool           // reads do not show the user's item yet
	before      func(call int) // each transaction
	mu          sync.Mutex
	transaction int
}

func (i *interfered) GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if i.stale && strings.HasPrefix(store.Read(in.Key).S("pk"), "USER#") {
		return &dynamodb.GetItemOutput{}, nil
	}
	return i.DB.GetItem(ctx, in, opts...)
}

func (i *interfered) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, opts ...func(*dynamodb.Options)) (*dynamodb.TransactWriteItemsOutput, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.before != nil {
		i.before(i.transaction)
	}
	i.transaction++
	return i.DB.TransactWriteItems(ctx, in, opts...)
}

func TestALoginThatTheItemWasChangedUnder(t *testing.T) {
	t.Parallel()
	remade := func(t *testing.T, w *world) []byte {
		_, dek, err := w.cipher.NewUserKey(t.Context(), w.sub)
		require.NoError(t, err)
		return dek
	}
	cases := map[string]struct {
		stale  bool
		change func(t *testing.T, w *world, call int, item store.Item)
		status int
		calls  int
	}{
		"read_too_old": {true, nil, 200, 2},
		"shredded_meanwhile": {false, func(_ *testing.T, _ *world, call int, item store.Item) {
			if call == 0 {
				delete(item, "dek")
			}
		}, 200, 2},
		"another_key_once": {false, func(t *testing.T, w *world, call int, item store.Item) {
			if call == 0 {
				item["dek"] = store.B(remade(t, w))
			}
		}, 200, 2},
		"another_key_always": {false, func(t *testing.T, w *world, _ int, item store.Item) { item["dek"] = store.B(remade(t, w)) }, 503, 3},
		"suspended_meanwhile": {false, func(_ *testing.T, _ *world, _ int, item store.Item) { item["status"] = store.S("suspended") },
			403, 1},
		"erased_meanwhile": {false, func(_ *testing.T, _ *world, _ int, item store.Item) {
			delete(item, "dek")
			item["status"] = store.S("erased")
		}, 403, 1},
		"spoilt_meanwhile": {false, func(_ *testing.T, _ *world, _ int, item store.Item) { item["dek"] = store.B([]byte("x")) }, 500, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := signedIn(t)
			before := len(w.items("sessions"))
			i := &interfered{DB: w.db.DB, stale: c.stale}
			if c.change != nil {
				i.before = func(call int) {
					item := w.item(t, "users", "USER#"+w.sub)
					c.change(t, w, call, item)
					w.put(t, "users", item)
				}
			}
			w.db.DB = i
			require.Equal(t, c.status, w.Do(t, "login", loggingIn(email, password)).Status)
			require.Equal(t, c.calls, i.transaction)
			if c.status != 200 {
				require.Len(t, w.items("sessions"), before)
				return
			}
			p := w.stored(t, w.sub)
			got, err := w.address(t, p.sub, p.dek, p.email)
			require.NoError(t, err)
			require.Equal(t, email, got)
		})
	}
}

func TestAUsersKeyThatCannotBeHad(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil  func(t *testing.T, w *world)
		status int
		code   string
	}{
		"table_down": {func(_ *testing.T, w *world) { w.fail("GetItem", "users", errors.New("down")) }, 503, "unavailable"},
		"changed": {func(t *testing.T, w *world) {
			item := w.item(t, "users", "USER#"+w.sub)
			store.Read(item).B("dek")[30] ^= 1
			w.put(t, "users", item)
		}, 500, "internal"},
		"not_binary": {func(t *testing.T, w *world) {
			item := w.item(t, "users", "USER#"+w.sub)
			item["dek"] = store.S("x")
			w.put(t, "users", item)
		}, 500, "internal"},
		"of_another": {func(t *testing.T, w *world) {
			_, dek, err := w.cipher.NewUserKey(t.Context(), "another")
			require.NoError(t, err)
			item := w.item(t, "users", "USER#"+w.sub)
			item["dek"] = store.B(dek)
			w.put(t, "users", item)
		}, 500, "internal"},
		"key_disabled": {func(t *testing.T, w *world) { w.kms.Disable(true); w.restart(t) }, 503, "unavailable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := signedIn(t)
			c.spoil(t, w)
			before := w.item(t, "users", "USER#"+w.sub)
			sessions := len(w.items("sessions"))
			w.Do(t, "login", loggingIn(email, password)).Refused(t, c.status, c.code)
			require.Len(t, w.items("sessions"), sessions, "no session begins")
			require.Equal(t, before, w.item(t, "users", "USER#"+w.sub), "nothing is replaced")
			require.NotContains(t, w.log.String(), email)
		})
	}
}
