package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	batchKeys   = 100 // keys in one BatchGetItem (API reference, BatchGetItem)
	batchRounds = 5   // calls for one batch before giving up on the keys that DynamoDB keeps leaving out
)

// LeftoverError says that DynamoDB kept answering a batch in part. Keys are those without an answer.
type LeftoverError struct{ Keys []Item }

func (e *LeftoverError) Error() string {
	return fmt.Sprintf("%d keys of the batch without an answer after %d calls", len(e.Keys), batchRounds)
}

// BatchGetItem reads the items of in.Keys, of any number, in no particular order; keys without an item are absent from
// the result. Repeated keys are asked once: DynamoDB refuses a batch that has any. What DynamoDB leaves out for lack of
// capacity is asked again, up to 5 calls for each 100 keys; then the items so far come with a *LeftoverError.
func (t Table) BatchGetItem(ctx context.Context, in types.KeysAndAttributes) ([]Item, error) {
	var items []Item
	for chunk := range slices.Chunk(distinct(in.Keys), batchKeys) {
		in.Keys = chunk
		got, err := t.batch(ctx, in)
		items = append(items, got...)
		if err != nil {
			return items, t.explain("BatchGetItem", err)
		}
	}
	return items, nil
}

func (t Table) batch(ctx context.Context, in types.KeysAndAttributes) ([]Item, error) {
	var items []Item
	for round := range batchRounds {
		if round > 0 {
			if err := t.pause(ctx, round); err != nil {
				return items, err
			}
		}
		call := &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{t.name: in}}
		out, err := t.db.BatchGetItem(ctx, call, t.opts...)
		if err != nil {
			return items, err
		}
		items = append(items, out.Responses[t.name]...)
		if in.Keys = out.UnprocessedKeys[t.name].Keys; len(in.Keys) == 0 {
			return items, nil
		}
	}
	return items, &LeftoverError{Keys: in.Keys}
}

// pauseBetweenRounds waits a full jitter of 25 ms doubled each round; the context ends the wait.
func pauseBetweenRounds(ctx context.Context, round int) error {
	timer := time.NewTimer(Options{}.policy().Wait(round))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// distinct drops repeated keys and keeps the order of the first.
func distinct(keys []Item) []Item {
	seen := make(map[string]bool, len(keys))
	var out []Item
	for _, key := range keys {
		if id := identity(key); !seen[id] {
			seen[id] = true
			out = append(out, key)
		}
	}
	return out
}

// identity is equal for equal keys. Numbers compare as written: a repeat in another notation is left to DynamoDB.
func identity(key Item) string {
	names := make([]string, 0, len(key))
	for name := range key {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		kind, value := "", ""
		switch v := key[name].(type) {
		case *types.AttributeValueMemberS:
			kind, value = "S", v.Value
		case *types.AttributeValueMemberN:
			kind, value = "N", v.Value
		case *types.AttributeValueMemberB:
			kind, value = "B", string(v.Value)
		}
		fmt.Fprintf(&b, "%q%s%q", name, kind, value)
	}
	return b.String()
}
