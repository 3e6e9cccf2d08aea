package store_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

func keys(from, to int) []store.Item {
	var out []store.Item
	for i := from; i < to; i++ {
		out = append(out, store.Item{"pk": store.S(strconv.Itoa(i))})
	}
	return out
}

// answer gives the items in, and leaves out the keys left.
func answer(in, left []store.Item) *dynamodb.BatchGetItemOutput {
	out := &dynamodb.BatchGetItemOutput{Responses: map[string][]map[string]types.AttributeValue{"orders": in}}
	if left != nil {
		out.UnprocessedKeys = map[string]types.KeysAndAttributes{"orders": {Keys: left}}
	}
	return out
}

func unpaused(db store.DB, rounds *[]int) store.Table {
	return store.NewTable(db, "orders").WithPause(func(_ context.Context, round int) error {
		*rounds = append(*rounds, round)
		return nil
	})
}

func TestABatchIsSplitAndRepeatedKeysAreAskedOnce(t *testing.T) {
	t.Parallel()
	db := &script{answers: []*dynamodb.BatchGetItemOutput{answer(keys(0, 100), nil), answer(keys(100, 130), nil)}}
	var rounds []int
	items, err := unpaused(db, &rounds).BatchGetItem(t.Context(), types.KeysAndAttributes{Keys: append(keys(0, 130), keys(0, 50)...)})
	require.NoError(t, err)
	assert.Len(t, items, 130)
	require.Len(t, db.batches, 2)
	assert.Len(t, db.batches[0].RequestItems["orders"].Keys, 100)
	assert.Len(t, db.batches[1].RequestItems["orders"].Keys, 30)
	assert.Empty(t, rounds)
}

func TestKeysOfAnotherTypeAreOtherKeys(t *testing.T) {
	t.Parallel()
	db := &script{answers: []*dynamodb.BatchGetItemOutput{answer(nil, nil)}}
	var rounds []int
	_, err := unpaused(db, &rounds).BatchGetItem(t.Context(), types.KeysAndAttributes{Keys: []store.Item{
		{"pk": store.S("1")}, {"pk": store.N(1)}, {"pk": store.B([]byte("1"))}, {"pk": store.S("1"), "sk": store.S("1")}, {"pk": store.S(`1"skS"1`)}}})
	require.NoError(t, err)
	assert.Len(t, db.batches[0].RequestItems["orders"].Keys, 5)
}

func TestWhatABatchLeavesOutIsAskedAgain(t *testing.T) {
	t.Parallel()
	db := &script{answers: []*dynamodb.BatchGetItemOutput{answer(keys(0, 3), keys(3, 5)), answer(keys(3, 4), keys(4, 5)), answer(keys(4, 5), nil)}}
	var rounds []int
	items, err := unpaused(db, &rounds).BatchGetItem(t.Context(), types.KeysAndAttributes{Keys: keys(0, 5)})
	require.NoError(t, err)
	assert.Len(t, items, 5)
	assert.Equal(t, []int{1, 2}, rounds)
	assert.Equal(t, keys(4, 5), db.batches[2].RequestItems["orders"].Keys)
}

func TestABatchGivesUpWithItsLeftovers(t *testing.T) {
	t.Parallel()
	db := &script{}
	for range 5 {
		db.answers = append(db.answers, answer(nil, keys(1, 2)))
	}
	db.answers[0] = answer(keys(0, 1), keys(1, 2))
	var rounds []int
	items, err := unpaused(db, &rounds).BatchGetItem(t.Context(), types.KeysAndAttributes{Keys: keys(0, 2)})
	var left *store.LeftoverError
	require.ErrorAs(t, err, &left)
	assert.Equal(t, keys(1, 2), left.Keys)
	assert.Equal(t, keys(0, 1), items, "what was read is not thrown away")
	assert.Len(t, db.batches, 5)
}

func TestTheWaitBetweenRoundsEndsWithTheContext(t *testing.T) {
	t.Parallel()
	db := &script{answers: []*dynamodb.BatchGetItemOutput{answer(nil, keys(0, 1))}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.NewTable(db, "orders").BatchGetItem(ctx, types.KeysAndAttributes{Keys: keys(0, 1)})
	require.ErrorIs(t, err, context.Canceled)
	assert.Len(t, db.batches, 1)

	stop := errors.New("enough")
	db.answers = []*dynamodb.BatchGetItemOutput{answer(nil, keys(0, 1))}
	_, err = store.NewTable(db, "orders").WithPause(func(context.Context, int) error { return stop }).
		BatchGetItem(t.Context(), types.KeysAndAttributes{Keys: keys(0, 1)})
	require.ErrorIs(t, err, stop)
}

func TestABatchOfNothingAsksNothing(t *testing.T) {
	t.Parallel()
	db := &script{}
	items, err := store.NewTable(db, "orders").BatchGetItem(t.Context(), types.KeysAndAttributes{})
	require.NoError(t, err)
	assert.Empty(t, items)
	assert.Empty(t, db.batches)
}
