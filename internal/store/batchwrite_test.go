package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/expenzez/aws-backend/internal/store"
)

var pk = []string{"pk"}

func puts(items ...store.Item) (all []types.WriteRequest) {
	for _, it := range items {
		all = append(all, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
	}
	return all
}

func deletes(keys ...store.Item) (all []types.WriteRequest) {
	for _, key := range keys {
		all = append(all, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}})
	}
	return all
}

// hooked is a DB whose batches are a function, for concurrent use.
type hooked struct {
	store.DB
	write func(ctx context.Context, requests []types.WriteRequest) ([]types.WriteRequest, error)
	get   func(ctx context.Context, keys []store.Item) ([]store.Item, error)
}

func (h hooked) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	left, err := h.write(ctx, in.RequestItems["orders"])
	return &dynamodb.BatchWriteItemOutput{UnprocessedItems: map[string][]types.WriteRequest{"orders": left}}, err
}

func (h hooked) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	left, err := h.get(ctx, in.RequestItems["orders"].Keys)
	return &dynamodb.BatchGetItemOutput{UnprocessedKeys: map[string]types.KeysAndAttributes{"orders": {Keys: left}}}, err
}

func TestABatchOfWritesIsSplit(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sizes []int
	written := map[string]int{}
	db := hooked{write: func(_ context.Context, requests []types.WriteRequest) ([]types.WriteRequest, error) {
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, len(requests))
		for _, r := range requests {
			if r.PutRequest != nil {
				written["put "+store.Read(r.PutRequest.Item).S("pk")]++
			} else {
				written["delete "+store.Read(r.DeleteRequest.Key).S("pk")]++
			}
		}
		return nil, nil
	}}
	require.NoError(t, store.NewTable(db, "orders").BatchWriteItem(t.Context(), store.Batch{Key: pk, Puts: keys(0, 40), Deletes: keys(40, 63)}))
	assert.ElementsMatch(t, []int{25, 25, 13}, sizes)
	require.Len(t, written, 63, "each once")
	assert.Equal(t, 1, written["put 39"])
	assert.Equal(t, 1, written["delete 62"])
}

func TestABatchOfNoWritesSendsNothing(t *testing.T) {
	t.Parallel()
	db := &script{}
	require.NoError(t, store.NewTable(db, "orders").BatchWriteItem(t.Context(), store.Batch{}))
	require.NoError(t, store.NewTable(db, "orders").BatchWriteItem(t.Context(), store.Batch{Key: pk}))
	assert.Empty(t, db.writes)
}

func TestBatchesOfWritesThatAreRefused(t *testing.T) {
	t.Parallel()
	num := func(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
	large := store.S(strings.Repeat("x", store.MaxItem-2))
	cases := map[string]struct {
		batch store.Batch
		want  string
	}{
		"two puts of one item":       {store.Batch{Key: pk, Puts: []store.Item{{"pk": store.S("s3cr3t"), "v": store.N(1)}, {"pk": store.S("b")}, {"pk": store.S("s3cr3t"), "v": store.N(2)}}}, "put 2 is of the same item as put 0"},
		"a put and a delete":         {store.Batch{Key: pk, Puts: keys(1, 2), Deletes: keys(1, 2)}, "delete 0 is of the same item as put 0"},
		"two deletes":                {store.Batch{Key: pk, Deletes: append(keys(0, 1), keys(0, 1)...)}, "delete 1 is of the same item as delete 0"},
		"one number in two forms":    {store.Batch{Key: pk, Puts: []store.Item{{"pk": num("10")}}, Deletes: []store.Item{{"pk": num("1e1")}}}, "delete 0 is of the same item as put 0"},
		"far apart":                  {store.Batch{Key: pk, Puts: append(keys(0, 100), keys(7, 8)...)}, "put 100 is of the same item as put 7"},
		"no key said":                {store.Batch{Puts: keys(0, 1)}, "the batch does not say what the key is"},
		"a put without its key":      {store.Batch{Key: pk, Puts: []store.Item{{"v": store.S("s3cr3t")}}}, `put 0 is without "pk", which is part of the key`},
		"a put without its sort key": {store.Batch{Key: []string{"pk", "sk"}, Puts: keys(0, 1)}, `put 0 is without "sk", which is part of the key`},
		"a delete by part of a key":  {store.Batch{Key: []string{"pk", "sk"}, Deletes: keys(0, 1)}, `delete 0 is without "sk", which is part of the key`},
		"a delete by more":           {store.Batch{Key: pk, Deletes: []store.Item{{"pk": store.S("a"), "v": store.S("s3cr3t")}}}, "delete 0 has more than the key"},
		"an item too large":          {store.Batch{Key: pk, Puts: []store.Item{{"pk": store.S(""), "v": store.S("")}, {"pk": store.S("a"), "v": large}}}, "put 1 has 409602 bytes, more than 409600"},
		"several": {store.Batch{Key: pk, Puts: []store.Item{{}}, Deletes: append(keys(0, 1), keys(0, 1)...)},
			"put 0 is without \"pk\", which is part of the key\ndelete 1 is of the same item as delete 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := &script{}
			err := store.NewTable(db, "orders").BatchWriteItem(t.Context(), c.batch)
			require.EqualError(t, err, "store: BatchWriteItem on orders: "+c.want)
			var left *store.LeftoverError
			require.NotErrorAs(t, err, &left)
			require.Empty(t, db.writes, "nothing was written")
		})
	}
}

func TestKeysThatDifferAreOtherItems(t *testing.T) {
	t.Parallel()
	num := func(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }
	var all []store.Item
	for _, v := range []types.AttributeValue{num("1"), num("-1"), num("10"), num("0.1"), num("0"), num("1.01"), num("101"), store.S("1"), store.S("1E0"), store.B([]byte("1"))} {
		all = append(all, store.Item{"pk": v})
	}
	db := &script{}
	require.NoError(t, store.NewTable(db, "orders").BatchWriteItem(t.Context(), store.Batch{Key: pk, Puts: all}))
	assert.Len(t, db.writes[0].RequestItems["orders"], len(all))
}

func TestAnItemAsLargeAsMayBeIsWritten(t *testing.T) {
	t.Parallel()
	db := &script{}
	it := store.Item{"pk": store.S("a"), "v": store.S(strings.Repeat("x", store.MaxItem-4))}
	require.Equal(t, store.MaxItem, store.Size(it))
	require.NoError(t, store.NewTable(db, "orders").BatchWriteItem(t.Context(), store.Batch{Key: pk, Puts: []store.Item{it}}))
}

// Items that are small where they are stored and large on their way go in more calls.
func TestNoCallIsOverSixteenMegabytesAsSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []int
	}{
		"as large as may be": {strings.Repeat("x", store.MaxItem-8), []int{25}},
		"written as six":     {strings.Repeat("\x01", store.MaxItem-8), []int{6, 6, 6, 6, 1}}, // 2.34 MB each
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var sizes []int
			db := hooked{write: func(_ context.Context, requests []types.WriteRequest) ([]types.WriteRequest, error) {
				mu.Lock()
				defer mu.Unlock()
				sizes = append(sizes, len(requests))
				return nil, nil
			}}
			batch := store.Batch{Key: pk}
			for i := range 25 {
				batch.Puts = append(batch.Puts, store.Item{"pk": store.S(strconv.Itoa(i)), "v": store.S(c.text)})
			}
			require.NoError(t, store.NewTable(db, "orders").BatchWriteItem(t.Context(), batch))
			require.ElementsMatch(t, c.want, sizes)
		})
	}
}

func TestWhatABatchOfWritesLeavesOutIsWrittenAgain(t *testing.T) {
	t.Parallel()
	db := &script{left: [][]types.WriteRequest{append(puts(keys(3, 5)...), deletes(keys(5, 6)...)...), puts(keys(4, 5)...)}}
	var rounds []int
	require.NoError(t, unpaused(db, &rounds).BatchWriteItem(t.Context(), store.Batch{Key: pk, Puts: keys(0, 5), Deletes: keys(5, 6)}))
	assert.Equal(t, []int{1, 2}, rounds)
	assert.Equal(t, db.writes[1].RequestItems["orders"], append(puts(keys(3, 5)...), deletes(keys(5, 6)...)...))
	assert.Equal(t, db.writes[2].RequestItems["orders"], puts(keys(4, 5)...))
	assert.Len(t, db.writes, 3)
}

// What is left can be written as it is, and then the batch is complete.
func TestABatchOfWritesGivesUpWithItsLeftovers(t *testing.T) {
	t.Parallel()
	db := &script{}
	left := append(puts(keys(1, 2)...), deletes(keys(2, 3)...)...)
	for range 5 {
		db.left = append(db.left, left)
	}
	var rounds []int
	table := unpaused(db, &rounds)
	err := table.BatchWriteItem(t.Context(), store.Batch{Key: pk, Puts: keys(0, 2), Deletes: keys(2, 3)})
	require.EqualError(t, err, "store: BatchWriteItem on orders: 2 of the batch left after 5 calls")
	var rest *store.LeftoverError
	require.ErrorAs(t, err, &rest)
	require.NoError(t, rest.Err)
	assert.Equal(t, store.Batch{Key: pk, Puts: keys(1, 2), Deletes: keys(2, 3)}, rest.Writes)
	assert.Equal(t, []int{1, 2, 3, 4}, rounds)

	require.NoError(t, table.BatchWriteItem(t.Context(), rest.Writes))
	assert.Equal(t, left, db.writes[5].RequestItems["orders"])
}

func TestAFailureLeavesWhatItConcerns(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route to host")
	fail := map[string]func() error{"fails": func() error { return cause }, "panics": func() error { panic(cause) }}
	for name, f := range fail {
		t.Run("write "+name, func(t *testing.T) {
			t.Parallel()
			var written sync.Map
			db := hooked{write: func(_ context.Context, requests []types.WriteRequest) ([]types.WriteRequest, error) {
				for _, r := range requests {
					if store.Read(r.PutRequest.Item).S("pk") == "30" {
						return nil, f()
					}
				}
				for _, r := range requests[1:] {
					written.Store(store.Read(r.PutRequest.Item).S("pk"), true)
				}
				if len(requests) > 1 {
					return requests[:1], nil
				}
				written.Store(store.Read(requests[0].PutRequest.Item).S("pk"), true)
				return nil, nil
			}}
			err := store.NewTable(db, "orders").WithPause(func(context.Context, int) error { return nil }).
				BatchWriteItem(t.Context(), store.Batch{Key: pk, Puts: keys(0, 200)})
			var rest *store.LeftoverError
			require.ErrorAs(t, err, &rest)
			require.ErrorContains(t, err, "no route to host")
			done := 0
			for _, it := range rest.Writes.Puts {
				_, twice := written.Load(store.Read(it).S("pk"))
				require.False(t, twice, "left and written")
			}
			written.Range(func(any, any) bool { done++; return true })
			require.Equal(t, 200, done+len(rest.Writes.Puts), "nothing is lost")
			require.GreaterOrEqual(t, len(rest.Writes.Puts), 25)
		})
		t.Run("read "+name, func(t *testing.T) {
			t.Parallel()
			db := hooked{get: func(_ context.Context, asked []store.Item) ([]store.Item, error) {
				if store.Read(asked[0]).S("pk") == "100" {
					return nil, f()
				}
				return nil, nil
			}}
			_, err := store.NewTable(db, "orders").BatchGetItem(t.Context(), types.KeysAndAttributes{Keys: keys(0, 200)})
			var rest *store.LeftoverError
			require.ErrorAs(t, err, &rest)
			require.ErrorContains(t, err, "no route to host")
			require.Contains(t, rest.Keys, keys(100, 101)[0])
		})
	}
}

// After a failure no further call is begun, and those that were are waited for.
func TestFourCallsAtATime(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var now, most, calls, ended atomic.Int64
				count := func() {
					calls.Add(1)
					if n := now.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(time.Second)
					now.Add(-1)
					ended.Add(1)
				}
				down := func() error {
					if fails {
						return errors.New("down")
					}
					return nil
				}
				table := store.NewTable(hooked{
					write: func(context.Context, []types.WriteRequest) ([]types.WriteRequest, error) { count(); return nil, down() },
					get:   func(context.Context, []store.Item) ([]store.Item, error) { count(); return nil, down() },
				}, "orders")
				begun := time.Now()
				err := table.BatchWriteItem(t.Context(), store.Batch{Key: pk, Puts: keys(0, 250)})
				require.Equal(t, fails, err != nil)
				_, err = table.BatchGetItem(t.Context(), types.KeysAndAttributes{Keys: keys(0, 1000)})
				require.Equal(t, fails, err != nil)
				require.Equal(t, int64(4), most.Load())
				require.Equal(t, calls.Load(), ended.Load(), "no call outlives its batch")
				if fails {
					require.Equal(t, int64(8), calls.Load())
					require.Equal(t, 2*time.Second, time.Since(begun))
				} else {
					require.Equal(t, int64(20), calls.Load())
					require.Equal(t, 6*time.Second, time.Since(begun))
				}
			})
		})
	}
}

// A wait that would outlast the deadline is not begun: the caller has the time that is left, and the leftovers.
func TestNoWaitOutlastsTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := hooked{write: func(_ context.Context, requests []types.WriteRequest) ([]types.WriteRequest, error) {
			return requests, nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		begun := time.Now()
		err := store.NewTable(db, "orders").BatchWriteItem(ctx, store.Batch{Key: pk, Puts: keys(0, 60)})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var rest *store.LeftoverError
		require.ErrorAs(t, err, &rest)
		require.ElementsMatch(t, keys(0, 60), rest.Writes.Puts)
		require.LessOrEqual(t, time.Since(begun), time.Nanosecond)
	})
}

func TestTheCallersBatchStaysAsItIs(t *testing.T) {
	t.Parallel()
	db := &script{left: [][]types.WriteRequest{puts(keys(0, 1)...)}}
	it := store.Item{"pk": store.S("0"), "v": store.N(1)}
	batch := store.Batch{Key: pk, Puts: []store.Item{maps.Clone(it)}, Deletes: keys(1, 2)}
	var rounds []int
	require.NoError(t, unpaused(db, &rounds).With(store.Once).BatchWriteItem(t.Context(), batch))
	assert.Equal(t, store.Batch{Key: pk, Puts: []store.Item{it}, Deletes: keys(1, 2)}, batch)
	assert.Equal(t, 1, db.opts, "the table's options reach its calls")
}
