package fieldcrypt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/store"
)

func openUserKey(t *testing.T, c *fieldcrypt.Cipher, user string, wrapped []byte) *fieldcrypt.UserKey {
	t.Helper()
	key, err := c.OpenUserKey(t.Context(), user, wrapped)
	require.NoError(t, err)
	return key
}

func TestAUserKeyOpensInEverySandbox(t *testing.T) {
	t.Parallel()
	w := newWorld()
	key, wrapped := newUserKey(t, w.sandbox(0), "u1")
	again := openUserKey(t, w.sandbox(0), "u1", wrapped)
	for _, plain := range []string{"", "a", "ada@example.com", strings.Repeat("x", 100_000), "\x00\xff"} {
		sealed, err := key.Seal("users", "u1", "email", []byte(plain))
		require.NoError(t, err)
		got, err := again.Open("users", "u1", "email", sealed)
		require.NoError(t, err)
		require.Equal(t, plain, string(got))
		require.Len(t, sealed, len(plain)+33)
		twice, err := again.Seal("users", "u1", "email", []byte(plain))
		require.NoError(t, err)
		require.NotEqual(t, sealed, twice, "it does not show that it is the same")
	}
	_, other := newUserKey(t, w.sandbox(0), "u1")
	require.NotEqual(t, wrapped, other)
	require.Less(t, len(wrapped), 256, "it is small beside an item")
}

// A person's keys and fields cost no call to KMS and none to the table.
func TestAUserKeyCallsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	table := &flaky{Table: w.table()}
	c := fieldcrypt.New(w.key, table, w.config(0))
	seal(t, c, "x")
	table.get, table.put = errors.New("down"), errors.New("down")
	for range 100 {
		key, wrapped := newUserKey(t, c, "u1")
		sealed, err := key.Seal("users", "u1", "email", []byte("x"))
		require.NoError(t, err)
		_, err = openUserKey(t, c, "u1", wrapped).Open("users", "u1", "email", sealed)
		require.NoError(t, err)
	}
	require.Len(t, w.key.Calls(), 1)
}

// Every byte of a wrapped key counts, and it opens for its person alone.
func TestWrappedKeysThatDoNotOpen(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.sandbox(2)
	key, wrapped := newUserKey(t, w.sandbox(1), "u1")
	_, second := newUserKey(t, c, "u1")
	_, foreign := newUserKey(t, newWorld().sandbox(1), "u1")
	field, err := c.Seal(t.Context(), "users", "u1", "dek", []byte("x"))
	require.NoError(t, err)
	personal, err := key.Seal("users", "u1", "dek", []byte("x"))
	require.NoError(t, err)
	for _, item := range w.db.Items("users") { // the same data under a name of another purpose
		if store.Read(item).S("pk") == "KEYSET#pii#1" {
			item["pk"] = store.S("KEYSET#logs#1")
			w.put(t, item)
		}
	}
	cases := map[string]struct {
		user    string
		wrapped []byte
	}{
		"another_person":  {"u2", wrapped},
		"longer_name":     {"u11", wrapped},
		"nothing":         {"u1", nil},
		"empty":           {"u1", []byte{}},
		"epoch_only":      {"u1", wrapped[:2]},
		"epoch_relabeled": {"u1", append([]byte{0, 2}, wrapped[2:]...)},
		"epoch_back":      {"u1", append([]byte{0, 1}, second[2:]...)},
		"epoch_unmade":    {"u1", append([]byte{0, 3}, wrapped[2:]...)},
		"epoch_too_high":  {"u1", append([]byte{0, 9}, wrapped[2:]...)},
		"foreign_keys":    {"u1", foreign},
		"a_field":         {"u1", field},
		"a_users_field":   {"u1", append([]byte{0, 1}, personal...)},
		"longer":          {"u1", append(slices.Clone(wrapped), 0)},
		"twice":           {"u1", slices.Concat(wrapped, wrapped)},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.OpenUserKey(t.Context(), x.user, x.wrapped)
			require.ErrorIs(t, err, fieldcrypt.ErrSealed)
			require.Nil(t, got)
			resealed, changed, err := c.ResealUserKey(t.Context(), x.user, x.wrapped)
			require.ErrorIs(t, err, fieldcrypt.ErrSealed)
			require.False(t, changed)
			require.Nil(t, resealed)
		})
	}
	for i := range wrapped {
		for bit := range 8 {
			spoilt := slices.Clone(wrapped)
			spoilt[i] ^= 1 << bit
			_, err := c.OpenUserKey(t.Context(), "u1", spoilt)
			require.ErrorIs(t, err, fieldcrypt.ErrSealed, "bit %d of byte %d changed", bit, i)
		}
		_, err := c.OpenUserKey(t.Context(), "u1", wrapped[:i])
		require.ErrorIs(t, err, fieldcrypt.ErrSealed, "cut after %d", i)
	}
	for name, config := range map[string]func(*fieldcrypt.Config){
		"environment": func(c *fieldcrypt.Config) { c.Environment = "prod" },
		"purpose":     func(c *fieldcrypt.Config) { c.Purpose = "logs" },
	} {
		elsewhere := w.config(1)
		config(&elsewhere)
		_, err := fieldcrypt.New(w.key, w.table(), elsewhere).OpenUserKey(t.Context(), "u1", wrapped)
		require.Error(t, err, name)
	}
}

// Two people, all places of a field: what is sealed in one opens in no other.
func TestAUsersFieldOpensAtItsPlaceAlone(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.sandbox(0)
	ada, _ := newUserKey(t, c, "u1")
	bob, _ := newUserKey(t, c, "u2")
	adaAnew, _ := newUserKey(t, c, "u1")
	sealed, err := ada.Seal("users", "u1", "email", []byte("ada@example.com"))
	require.NoError(t, err)
	shared, err := c.Seal(t.Context(), "users", "u1", "email", []byte("ada@example.com"))
	require.NoError(t, err)
	cases := map[string]struct {
		by                    *fieldcrypt.UserKey
		table, key, attribute string
		sealed                []byte
	}{
		"another_person":    {bob, "users", "u1", "email", sealed},
		"another_key":       {adaAnew, "users", "u1", "email", sealed},
		"other_table":       {ada, "sessions", "u1", "email", sealed},
		"other_item":        {ada, "users", "u2", "email", sealed},
		"other_attribute":   {ada, "users", "u1", "name", sealed},
		"moved_split":       {ada, "usersu", "1", "email", sealed},
		"joined":            {ada, "users", "u1email", "", sealed},
		"nothing":           {ada, "users", "u1", "email", nil},
		"longer":            {ada, "users", "u1", "email", append(slices.Clone(sealed), 0)},
		"in_the_clear":      {ada, "users", "u1", "email", []byte("ada@example.com")},
		"sealed_for_all":    {ada, "users", "u1", "email", shared},
		"without_its_epoch": {ada, "users", "u1", "email", shared[2:]},
	}
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := x.by.Open(x.table, x.key, x.attribute, x.sealed)
			require.ErrorIs(t, err, fieldcrypt.ErrSealed)
			require.Nil(t, got)
		})
	}
	for i := range sealed {
		for bit := range 8 {
			spoilt := slices.Clone(sealed)
			spoilt[i] ^= 1 << bit
			_, err := ada.Open("users", "u1", "email", spoilt)
			require.ErrorIs(t, err, fieldcrypt.ErrSealed, "bit %d of byte %d changed", bit, i)
		}
		_, err := ada.Open("users", "u1", "email", sealed[:i])
		require.ErrorIs(t, err, fieldcrypt.ErrSealed, "cut after %d", i)
	}
	_, err = c.Open(t.Context(), "users", "u1", "email", append([]byte{0, 1}, sealed...))
	require.ErrorIs(t, err, fieldcrypt.ErrSealed)
}

func TestAUserKeyNeedsAUser(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_, wrapped := newUserKey(t, w.sandbox(0), "u1")
	key, made, err := w.sandbox(0).NewUserKey(t.Context(), "")
	require.ErrorContains(t, err, "needs a user")
	require.Nil(t, key)
	require.Nil(t, made)
	_, err = w.sandbox(0).OpenUserKey(t.Context(), "", wrapped)
	require.ErrorContains(t, err, "needs a user")
}

// Nothing is made that could not be stored.
func TestUserKeysFailClosed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_, wrapped := newUserKey(t, w.sandbox(0), "u1")
	w.key.Disable(true)
	key, made, err := w.sandbox(0).NewUserKey(t.Context(), "u1")
	require.ErrorContains(t, err, "DisabledException")
	require.Nil(t, key)
	require.Nil(t, made)
	_, err = w.sandbox(0).OpenUserKey(t.Context(), "u1", wrapped)
	require.ErrorContains(t, err, "DisabledException")
	require.NotErrorIs(t, err, fieldcrypt.ErrSealed, "the key may be in order")
	_, changed, err := w.sandbox(2).ResealUserKey(t.Context(), "u1", wrapped)
	require.Error(t, err)
	require.False(t, changed)
}

// Deleting the wrapped key shreds what was sealed under it, in every sandbox and at once, and nothing else.
func TestShredding(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.sandbox(0)
	people := store.NewTable(w.db, "users")
	fields := []string{"email", "name", "birthdate"}
	for _, user := range []string{"u1", "u2", "u3"} {
		key, wrapped := newUserKey(t, c, user)
		item := store.Item{"pk": store.S("USER#" + user), "dek": store.B(wrapped)}
		for _, field := range fields {
			sealed, err := key.Seal("users", user, field, []byte(field+" of "+user))
			require.NoError(t, err)
			item[field] = store.B(sealed)
		}
		w.put(t, item)
	}
	readable := func(c *fieldcrypt.Cipher, user string) (n int) {
		r := store.Read(get(t, people, "USER#"+user))
		key, err := c.OpenUserKey(t.Context(), user, r.OptB("dek"))
		if err != nil {
			require.ErrorIs(t, err, fieldcrypt.ErrSealed)
			return 0
		}
		for _, field := range fields {
			plain, err := key.Open("users", user, field, r.B(field))
			require.NoError(t, err)
			require.Equal(t, field+" of "+user, string(plain))
			n++
		}
		return n
	}
	require.Equal(t, 3, readable(c, "u1"))

	item := get(t, people, "USER#u1")
	stolen := store.Read(item).B("email")
	delete(item, "dek")
	w.put(t, item)
	for _, sandbox := range []*fieldcrypt.Cipher{c, w.sandbox(0), w.sandbox(2)} {
		require.Zero(t, readable(sandbox, "u1"))
		require.Equal(t, 3, readable(sandbox, "u2"))
		require.Equal(t, 3, readable(sandbox, "u3"))
	}
	// Neither a new key of the same person, nor another person's, nor the epoch's opens it.
	anew, _ := newUserKey(t, c, "u1")
	bobs := openUserKey(t, c, "u2", store.Read(get(t, people, "USER#u2")).B("dek"))
	for _, key := range []*fieldcrypt.UserKey{anew, bobs} {
		_, err := key.Open("users", "u1", "email", stolen)
		require.ErrorIs(t, err, fieldcrypt.ErrSealed)
	}
	_, err := c.Open(t.Context(), "users", "u1", "email", append([]byte{0, 1}, stolen...))
	require.ErrorIs(t, err, fieldcrypt.ErrSealed)
}

func FuzzOpenUserKey(f *testing.F) {
	c := newWorld().sandbox(0)
	_, wrapped, err := c.NewUserKey(f.Context(), "u1")
	require.NoError(f, err)
	f.Add(wrapped)
	f.Add(wrapped[:20])
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x01\x02\x03\x04\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := c.OpenUserKey(t.Context(), "u1", b)
		if string(b) == string(wrapped) {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, fieldcrypt.ErrSealed)
		require.Nil(t, key)
	})
}

func FuzzUserKeyOpen(f *testing.F) {
	key, _, err := newWorld().sandbox(0).NewUserKey(f.Context(), "u1")
	require.NoError(f, err)
	sealed, err := key.Seal("users", "u1", "email", []byte("ada@example.com"))
	require.NoError(f, err)
	f.Add(sealed, "users", "u1", "email")
	f.Add(sealed, "usersu", "1", "email")
	f.Add([]byte{}, "", "", "")
	f.Fuzz(func(t *testing.T, b []byte, table, at, attribute string) {
		plain, err := key.Open(table, at, attribute, b)
		if string(b) == string(sealed) && table == "users" && at == "u1" && attribute == "email" {
			require.NoError(t, err)
			return
		}
		require.ErrorIs(t, err, fieldcrypt.ErrSealed)
		require.Nil(t, plain)
	})
}
