package fieldcrypt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/fault"
	"github.com/expenzez/aws-backend/internal/fieldcrypt"
	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

func get(t *testing.T, table store.Table, pk string) store.Item {
	t.Helper()
	out, err := table.GetItem(t.Context(), &dynamodb.GetItemInput{Key: store.Item{"pk": store.S(pk)}})
	require.NoError(t, err)
	require.NotNil(t, out.Item, pk)
	return out.Item
}

func TestReseal(t *testing.T) {
	t.Parallel()
	w := newWorld()
	old, c := w.sandbox(1), w.sandbox(2)
	sealed := seal(t, old, "x")
	resealed, changed, err := c.Reseal(t.Context(), "users", "u1", "email", sealed)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, []byte{0, 2}, resealed[:2])
	require.Equal(t, "x", open(t, c, resealed))
	require.Equal(t, "x", open(t, old, resealed))
	for name, by := range map[string]*fieldcrypt.Cipher{"again": c, "by_a_function_that_lags": old} {
		same, changed, err := by.Reseal(t.Context(), "users", "u1", "email", resealed)
		require.NoError(t, err, name)
		require.False(t, changed, name)
		require.Equal(t, resealed, same, name)
	}
	moved, changed, err := c.Reseal(t.Context(), "users", "u2", "email", sealed)
	require.ErrorIs(t, err, fieldcrypt.ErrSealed, "what does not belong here is not made to")
	require.False(t, changed)
	require.Nil(t, moved)
	resealed[20] ^= 1
	_, _, err = c.Reseal(t.Context(), "users", "u1", "email", resealed)
	require.ErrorIs(t, err, fieldcrypt.ErrSealed, "nor is one of this epoch passed over")
}

// A key that is wrapped anew is the same key: what was sealed before opens after, and the other way round.
func TestResealUserKey(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.sandbox(2)
	key, wrapped := newUserKey(t, w.sandbox(1), "u1")
	resealed, changed, err := c.ResealUserKey(t.Context(), "u1", wrapped)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, []byte{0, 2}, resealed[:2])
	anew := openUserKey(t, w.sandbox(1), "u1", resealed)
	for _, pair := range [][2]*fieldcrypt.UserKey{{key, anew}, {anew, key}} {
		sealed, err := pair[0].Seal("users", "u1", "email", []byte("x"))
		require.NoError(t, err)
		plain, err := pair[1].Open("users", "u1", "email", sealed)
		require.NoError(t, err)
		require.Equal(t, "x", string(plain))
	}
	for _, by := range []*fieldcrypt.Cipher{c, w.sandbox(1)} {
		same, changed, err := by.ResealUserKey(t.Context(), "u1", resealed)
		require.NoError(t, err)
		require.False(t, changed)
		require.Equal(t, resealed, same)
	}
}

// sweep reseals a table as a job does: item after item, from the beginning each time, each write on the condition that
// the item is what was read. It ends at the first failure, as if it had crashed there.
func sweep(ctx context.Context, c *fieldcrypt.Cipher, table store.Table, items []store.Item) (written int, err error) {
	for _, item := range items {
		r := store.Read(item)
		user, wrapped, note := r.S("user"), r.B("dek"), r.B("note")
		newKey, keyChanged, keyErr := c.ResealUserKey(ctx, user, wrapped)
		newNote, noteChanged, noteErr := c.Reseal(ctx, "people", user, "note", note)
		if err := errors.Join(r.Err(), keyErr, noteErr); err != nil {
			return written, err
		}
		if !keyChanged && !noteChanged {
			continue
		}
		_, err := table.UpdateItem(ctx, &dynamodb.UpdateItemInput{Key: store.Item{"pk": item["pk"]},
			UpdateExpression: aws.String("SET dek = :newKey, note = :newNote"), ConditionExpression: aws.String("dek = :key AND note = :note"),
			ExpressionAttributeValues: store.Item{":newKey": store.B(newKey), ":newNote": store.B(newNote), ":key": store.B(wrapped), ":note": store.B(note)}})
		if err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

// A table of 1,000 people moves to a new epoch. The job crashes again and again, with its last write done and not done.
// All is readable all the time, by functions of either epoch, and at the end nothing needs the old epoch.
func TestRotationOfATable(t *testing.T) {
	t.Parallel()
	const people = 1000
	w := newWorld()
	db := mem.New(mem.Schema{Name: "people", Hash: "pk"})
	plain := store.NewTable(db, "people")
	old := w.sandbox(1)
	for i := range people {
		user := fmt.Sprint("u", i)
		key, wrapped := newUserKey(t, old, user)
		email, err := key.Seal("people", user, "email", []byte(user+"@example.com"))
		require.NoError(t, err)
		note, err := old.Seal(t.Context(), "people", user, "note", []byte("note of "+user))
		require.NoError(t, err)
		_, err = plain.PutItem(t.Context(), &dynamodb.PutItemInput{Item: store.Item{"pk": store.S("USER#" + user), "user": store.S(user),
			"dek": store.B(wrapped), "email": store.B(email), "note": store.B(note)}})
		require.NoError(t, err)
	}
	readable := func(c *fieldcrypt.Cipher) {
		t.Helper()
		for _, item := range db.Items("people") {
			r := store.Read(item)
			user := r.S("user")
			email, err := openUserKey(t, c, user, r.B("dek")).Open("people", user, "email", r.B("email"))
			require.NoError(t, err)
			require.Equal(t, user+"@example.com", string(email))
			note, err := c.Open(t.Context(), "people", user, "note", r.B("note"))
			require.NoError(t, err)
			require.Equal(t, "note of "+user, string(note))
		}
	}
	oldest := func() (n int) {
		for _, item := range db.Items("people") {
			for _, name := range []string{"dek", "note"} {
				if b := store.Read(item).B(name); b[1] == 1 {
					n++
				}
			}
		}
		return n
	}

	faulty := fault.NewDB(db, fault.Sometimes(1, 0.01, fault.Fault{Kind: fault.Lost}, fault.Fault{Kind: fault.Unsent}, fault.Fault{Kind: fault.Broken}))
	crashes, written := 0, 0
	for {
		n, err := sweep(t.Context(), w.sandbox(2), store.NewTable(faulty, "people"), db.Items("people"))
		written += n
		if err == nil {
			break
		}
		crashes++
		require.Less(t, crashes, 100)
		if crashes%4 == 1 {
			readable(w.sandbox(2))
			readable(old)
		}
	}
	require.Greater(t, crashes, 3)
	require.LessOrEqual(t, written, people, "nothing is done twice")
	require.Zero(t, oldest())
	again, err := sweep(t.Context(), w.sandbox(2), plain, db.Items("people"))
	require.NoError(t, err)
	require.Zero(t, again)

	_, err = store.NewTable(w.db, "users").DeleteItem(t.Context(), &dynamodb.DeleteItemInput{Key: store.Item{"pk": store.S("KEYSET#pii#1")}})
	require.NoError(t, err)
	readable(w.sandbox(2))
	require.Len(t, w.db.Items("users"), 1)
}

// A job that reads, and writes when the person has been shredded or changed meanwhile, changes nothing.
func TestASweepDoesNotUndoWhatHappenedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld()
	old := w.sandbox(1)
	_, wrapped := newUserKey(t, old, "u1")
	note, err := old.Seal(t.Context(), "people", "u1", "note", []byte("x"))
	require.NoError(t, err)
	item := store.Item{"pk": store.S("USER#u1"), "user": store.S("u1"), "dek": store.B(wrapped), "note": store.B(note)}
	shredded := store.Item{"pk": store.S("USER#u1"), "user": store.S("u1"), "note": store.B(note)}
	w.put(t, shredded)
	_, err = sweep(t.Context(), w.sandbox(2), store.NewTable(w.db, "users"), []store.Item{item})
	require.ErrorIs(t, err, store.ErrConditionFailed)
	require.Equal(t, shredded, get(t, store.NewTable(w.db, "users"), "USER#u1"))
}

func TestBlindIndexes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	config := w.config(1)
	indexes := func(epoch uint16, others ...uint16) (string, []string) {
		config.IndexEpoch, config.OtherIndexEpochs = epoch, others
		current, all, err := fieldcrypt.New(w.key, w.table(), config).BlindIndexes(t.Context(), "email", "ada@example.com")
		require.NoError(t, err)
		return current, all
	}
	first, none := indexes(0)
	require.Empty(t, none)
	require.Equal(t, first, index(t, w.sandbox(5), "email", "ada@example.com"), "it does not move with the epoch")
	current, others := indexes(1, 2)
	require.Equal(t, first, current)
	require.Len(t, others, 1)
	second := others[0]
	require.NotEqual(t, first, second)
	current, others = indexes(2, 1)
	require.Equal(t, second, current)
	require.Equal(t, []string{first}, others)
	current, others = indexes(2)
	require.Equal(t, second, current)
	require.Empty(t, others)

	w.key.Disable(true)
	config.OtherIndexEpochs = []uint16{1}
	got, all, err := fieldcrypt.New(w.key, w.table(), config).BlindIndexes(t.Context(), "email", "ada@example.com")
	require.ErrorContains(t, err, "DisabledException")
	require.Empty(t, got)
	require.Nil(t, all)
}

// claim is how a caller makes a value unique: an item for each index that is in use, in one transaction with the owner.
func claim(ctx context.Context, c *fieldcrypt.Cipher, tx store.Transactor, table store.Table, value, owner string) error {
	current, others, err := c.BlindIndexes(ctx, "email", value)
	if err != nil {
		return err
	}
	writes := []store.Write{table.PutWrite(types.Put{Item: store.Item{"pk": store.S("USER#" + owner)}})}
	for _, index := range append(others, current) {
		writes = append(writes, table.PutWrite(types.Put{Item: store.Item{"pk": store.S("IDX#email#" + index), "owner": store.S(owner)},
			ConditionExpression: aws.String("attribute_not_exists(pk) OR #owner = :owner"), ExpressionAttributeNames: map[string]string{"#owner": "owner"},
			ExpressionAttributeValues: store.Item{":owner": store.S(owner)}}))
	}
	return store.Transact(ctx, tx, "", writes...)
}

// Functions of neighboring deployments of an index rotation run side by side: a value has one owner all the time, and is
// found all the time.
func TestAValueIsUniqueThroughoutARotationOfTheIndexes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	db := mem.New(mem.Schema{Name: "people", Hash: "pk"})
	people := store.NewTable(db, "people")
	deployments := [][]uint16{{1}, {1, 2}, {2, 1}, {2}}
	sandbox := func(d int) *fieldcrypt.Cipher {
		config := w.config(1)
		config.IndexEpoch, config.OtherIndexEpochs = deployments[d][0], deployments[d][1:]
		return fieldcrypt.New(w.key, w.table(), config)
	}
	owner := func(c *fieldcrypt.Cipher, value string) string {
		current, others, err := c.BlindIndexes(t.Context(), "email", value)
		require.NoError(t, err)
		for _, index := range append([]string{current}, others...) {
			out, err := people.GetItem(t.Context(), &dynamodb.GetItemInput{Key: store.Item{"pk": store.S("IDX#email#" + index)}})
			require.NoError(t, err)
			if out.Item != nil {
				return store.Read(out.Item).S("owner")
			}
		}
		return ""
	}
	require.NoError(t, claim(t.Context(), sandbox(0), db, people, "old@example.com", "old"))
	values := []string{"old@example.com"}
	owners := map[string]string{"old@example.com": "old"}
	for d := range len(deployments) - 1 {
		before, after := sandbox(d), sandbox(d+1)
		if d == len(deployments)-2 { // before the last deployment all that was there is stored under the new index
			for _, value := range values {
				require.NoError(t, claim(t.Context(), sandbox(2), db, people, value, owners[value]))
			}
		}
		value := fmt.Sprintf("new%d@example.com", d)
		won := make([]error, 16)
		var wg sync.WaitGroup
		for i := range won {
			wg.Go(func() {
				won[i] = claim(t.Context(), []*fieldcrypt.Cipher{before, after}[i%2], db, people, value, fmt.Sprint(d, "-", i))
			})
		}
		wg.Wait()
		winner := slices.Index(won, nil)
		require.GreaterOrEqual(t, winner, 0)
		for i, err := range won {
			if i != winner {
				require.Error(t, err, "two own %s", value)
			}
		}
		values, owners[value] = append(values, value), fmt.Sprint(d, "-", winner)
		for _, value := range values {
			for _, c := range []*fieldcrypt.Cipher{before, after} {
				require.Equal(t, owners[value], owner(c, value))
				require.ErrorIs(t, claim(t.Context(), c, db, people, value, "thief"), store.ErrConditionFailed)
			}
		}
	}
}
