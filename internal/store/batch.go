package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/retry"
)

const batchKeys = 100 // keys in one BatchGetItem (API reference, BatchGetItem)

// LeftoverError says that a batch was done in part, and is all that the caller needs to go on: what is in it was asked for
// and is not known to be done, and everything else is done. A write may be in it and done all the same when the answer
// was lost; writing it again changes nothing, unless somebody else has written the item since.
type LeftoverError struct {
	Keys   []Item // of a read: keys without an answer
	Writes Batch  // of a write: a batch that can be written as it is
	// Err is why: what failed, or that the time was up. nil: DynamoDB kept answering in part, and may do so less a little
	// later.
	Err error
}

func (e *LeftoverError) Error() string {
	text := fmt.Sprintf("%d of the batch left", len(e.Keys)+e.Writes.len())
	if e.Err == nil {
		return fmt.Sprintf("%s after %d calls", text, batchRounds)
	}
	return text + ": " + e.Err.Error()
}

// Unwrap is what failed.
func (e *LeftoverError) Unwrap() error { return e.Err }

// BatchGetItem reads the items of in.Keys, of any number, in no particular order; keys without an item are absent from
// the result. Repeated keys are asked once: DynamoDB refuses a batch that has any. It asks for 100 keys a call, four calls
// at a time. What DynamoDB leaves out for lack of capacity is asked again, up to 5 calls for each 100 keys or until the
// context's deadline. When keys stay without an answer, the items so far come with a *LeftoverError.
func (t Table) BatchGetItem(ctx context.Context, in types.KeysAndAttributes) ([]Item, error) {
	chunks := slices.Collect(slices.Chunk(distinct(in.Keys), batchKeys))
	found := make([][]Item, len(chunks))
	left, err := settle(ctx, t.pause, chunks, func(i int, keys []Item) ([]Item, error) {
		asked := in
		asked.Keys = keys
		out, err := t.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{t.name: asked}}, t.opts...)
		if err != nil {
			return nil, err
		}
		found[i] = append(found[i], out.Responses[t.name]...)
		return out.UnprocessedKeys[t.name].Keys, nil
	})
	items := slices.Concat(found...)
	if len(left) > 0 {
		return items, t.explain("BatchGetItem", &LeftoverError{Keys: left, Err: err})
	}
	return items, nil
}

// pauseBetweenRounds waits a full jitter of 25 ms doubled each round; the context ends the wait. A wait that the deadline
// would end is not begun: the time left is the caller's.
func pauseBetweenRounds(ctx context.Context, round int) error {
	wait := Options{}.policy().Wait(round)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return context.DeadlineExceeded
	}
	return retry.Sleep(ctx, wait)
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

// identity is equal for equal keys, however their numbers are written.
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
			kind, value = "N", canonical(v.Value)
		case *types.AttributeValueMemberB:
			kind, value = "B", string(v.Value)
		}
		fmt.Fprintf(&b, "%q%s%q", name, kind, value)
	}
	return b.String()
}
