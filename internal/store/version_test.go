package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

func versioned(t *testing.T, items ...store.Item) (*mem.DB, store.Table) {
	t.Helper()
	db := mem.New(mem.Schema{Name: "orders", Hash: "pk", Range: "sk"})
	table := store.NewTable(db, "orders")
	for _, it := range items {
		_, err := table.PutItem(t.Context(), &dynamodb.PutItemInput{Item: it})
		require.NoError(t, err)
	}
	return db, table
}

func order(more store.Item) store.Item {
	it := store.Item{"pk": store.S("p"), "sk": store.S("s")}
	for name, v := range more {
		it[name] = v
	}
	return it
}

func TestAChangeMakesTheNextVersion(t *testing.T) {
	t.Parallel()
	db, table := versioned(t, order(store.Item{"version": store.N(7), "status": store.S("new"), "note": store.S("x"), "n": store.N(1)}))
	change := store.Change{Key: order(nil), From: 7, Set: store.Item{"status": store.S("paid"), "date": store.S("today")}, Remove: []string{"note", "gone"}, ID: "first"}
	require.NoError(t, store.ChangeVersion(t.Context(), table, change))
	want := order(store.Item{"version": store.N(8), "status": store.S("paid"), "date": store.S("today"), "n": store.N(1), "writeId": store.S("first")})
	require.Equal(t, []store.Item{want}, db.Items("orders"))

	require.NoError(t, store.ChangeVersion(t.Context(), table, store.Change{Key: order(nil), From: 8, ID: "second"}), "a change of nothing is one too")
	require.Equal(t, store.N(9), db.Items("orders")[0]["version"])
}

func TestChangesByVersionThatAreRefused(t *testing.T) {
	t.Parallel()
	there := order(store.Item{"version": store.N(7), "writeId": store.S("theirs"), "secret": store.S("s3cr3t")})
	cases := map[string]struct {
		item store.Item
		from int64
		want error // nil: an error of neither kind
	}{
		"an older version":           {there, 6, store.ErrVersion},
		"a newer version":            {there, 8, store.ErrVersion},
		"nothing there":              {order(store.Item{"sk": store.S("other"), "version": store.N(7)}), 7, store.ErrNotFound},
		"an item without a version":  {order(store.Item{"secret": store.S("s3cr3t")}), 7, nil},
		"a version that is no count": {order(store.Item{"version": store.S("7")}), 7, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, table := versioned(t, c.item)
			before := db.Items("orders")
			for what, err := range map[string]error{
				"change": store.ChangeVersion(t.Context(), table, store.Change{Key: order(nil), From: c.from, Set: store.Item{"v": store.N(1)}, ID: "ours"}),
				"delete": store.DeleteVersion(t.Context(), table, order(nil), c.from),
			} {
				require.Error(t, err, what)
				require.Equal(t, c.want == store.ErrVersion, errors.Is(err, store.ErrVersion), what)   //nolint:errorlint // of the table
				require.Equal(t, c.want == store.ErrNotFound, errors.Is(err, store.ErrNotFound), what) //nolint:errorlint // of the table
				require.Equal(t, c.want != nil, errors.Is(err, store.ErrConditionFailed), what)
				require.NotContains(t, err.Error(), "s3cr3t")
			}
			require.Equal(t, before, db.Items("orders"))
		})
	}
}

func TestDeletesByVersion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		item store.Item
		from int64
	}{
		"that version":               {order(store.Item{"version": store.N(7)}), 7},
		"any version":                {order(store.Item{"version": store.N(7)}), 0},
		"any, where there is none":   {order(nil), 0},
		"any, where it is no number": {order(store.Item{"version": store.S("x")}), 0},
	} {
		db, table := versioned(t, c.item)
		require.NoError(t, store.DeleteVersion(t.Context(), table, order(nil), c.from), name)
		require.Empty(t, db.Items("orders"), name)
		require.ErrorIs(t, store.DeleteVersion(t.Context(), table, order(nil), c.from), store.ErrNotFound, name)
	}
}

func TestAChangeNeedsAnID(t *testing.T) {
	t.Parallel()
	db := &script{}
	require.Error(t, store.ChangeVersion(t.Context(), store.NewTable(db, "orders"), store.Change{Key: order(nil), From: 1}))
	require.Nil(t, db.update)
}

// again is a table whose calls are sent twice, as the client does when the first answer was lost; between the two may be
// somebody else.
type again struct {
	store.Table
	between func()
}

func (a again) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput) (*dynamodb.UpdateItemOutput, error) {
	if _, err := a.Table.UpdateItem(ctx, in); err != nil {
		return nil, err
	}
	if a.between != nil {
		a.between()
	}
	return a.Table.UpdateItem(ctx, in)
}

func TestAChangeThatIsSentTwiceIsMadeOnce(t *testing.T) {
	t.Parallel()
	seed := order(store.Item{"version": store.N(1), "n": store.N(0)})
	other := func(from int64) store.Change {
		return store.Change{Key: order(nil), From: from, Set: store.Item{"n": store.N(5)}, ID: "theirs"}
	}
	change := store.Change{Key: order(nil), From: 1, Set: store.Item{"n": store.N(5)}, ID: "ours"}

	db, table := versioned(t, seed)
	require.NoError(t, store.ChangeVersion(t.Context(), again{Table: table}, change))
	require.Equal(t, store.N(2), db.Items("orders")[0]["version"])

	// Another's change from the same version is not ours, though it says the same.
	_, table = versioned(t, seed)
	require.NoError(t, store.ChangeVersion(t.Context(), table, other(1)))
	require.ErrorIs(t, store.ChangeVersion(t.Context(), table, change), store.ErrVersion)

	// What is documented: who comes between hides that ours was made.
	db, table = versioned(t, seed)
	err := store.ChangeVersion(t.Context(), again{table, func() { assert.NoError(t, store.ChangeVersion(t.Context(), table, other(2))) }}, change)
	require.ErrorIs(t, err, store.ErrVersion)
	require.Equal(t, store.N(3), db.Items("orders")[0]["version"])
	_, table = versioned(t, seed)
	err = store.ChangeVersion(t.Context(), again{table, func() { assert.NoError(t, store.DeleteVersion(t.Context(), table, order(nil), 0)) }}, change)
	require.ErrorIs(t, err, store.ErrNotFound)

	// An item that happens to have no write id, or one of another type, is nobody's.
	for _, id := range []types.AttributeValue{nil, store.N(1), store.S("")} {
		it := order(store.Item{"version": store.N(3)})
		if id != nil {
			it["writeId"] = id
		}
		_, table = versioned(t, it)
		require.ErrorIs(t, store.ChangeVersion(t.Context(), table, change), store.ErrVersion)
	}
}

func TestOfChangesFromOneVersionOneIsMade(t *testing.T) {
	t.Parallel()
	db, table := versioned(t, order(store.Item{"version": store.N(1)}))
	var made atomic.Int64
	done := make(chan error)
	for i := range 32 {
		go func() {
			err := store.ChangeVersion(t.Context(), table, store.Change{Key: order(nil), From: 1, ID: fmt.Sprint(i)})
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, store.ErrVersion) {
				done <- err
				return
			}
			done <- nil
		}()
	}
	for range 32 {
		require.NoError(t, <-done)
	}
	require.Equal(t, int64(1), made.Load())
	require.Equal(t, store.N(2), db.Items("orders")[0]["version"])
}

func TestOtherErrorsOfAChangeStayAsTheyAre(t *testing.T) {
	t.Parallel()
	cause := errors.New("down")
	table := store.NewTable(&script{err: cause}, "orders")
	err := store.ChangeVersion(t.Context(), table, store.Change{Key: order(nil), From: 1, ID: "x"})
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, store.ErrVersion)
	err = store.DeleteVersion(t.Context(), table, order(nil), 1)
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, store.ErrNotFound)
}
