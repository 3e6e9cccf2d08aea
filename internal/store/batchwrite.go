package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Limits of one BatchWriteItem (API reference, BatchWriteItem).
const (
	batchWrites = 25
	batchBytes  = 16 << 20 // as sent
)

// Batch is a number of writes without conditions: items to put in place of those with their keys, and items to delete by
// key, whether or not they are there. The zero value writes nothing.
type Batch struct {
	Key     []string // the names of the attributes of the table's key
	Puts    []Item
	Deletes []Item // keys
}

func (b Batch) len() int { return len(b.Puts) + len(b.Deletes) }

// BatchWriteItem does the writes of a batch, of any number and in no particular order. It is no transaction: others see
// it half done. These are refused before anything is written: a batch with two writes of one item, since either could come
// last; a put without its key or over MaxItem; a delete by less or more than the key. It sends 25 writes a call, and no more than 16 MB, four calls at a time. What DynamoDB leaves out
// for lack of capacity is sent again, up to 5 calls for each 25 writes or until the context's deadline. When writes are
// left, the error is a *LeftoverError with exactly those.
func (t Table) BatchWriteItem(ctx context.Context, b Batch) error {
	if err := b.check(); err != nil {
		return t.explain("BatchWriteItem", err)
	}
	left, err := settle(ctx, t.pause, b.chunks(len(t.name)), func(_ int, part []types.WriteRequest) ([]types.WriteRequest, error) {
		out, err := t.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{t.name: part}}, t.opts...)
		if err != nil {
			return nil, err
		}
		return out.UnprocessedItems[t.name], nil
	})
	if len(left) == 0 {
		return nil
	}
	rest := Batch{Key: b.Key}
	for _, w := range left {
		switch {
		case w.PutRequest != nil:
			rest.Puts = append(rest.Puts, w.PutRequest.Item)
		case w.DeleteRequest != nil:
			rest.Deletes = append(rest.Deletes, w.DeleteRequest.Key)
		}
	}
	return t.explain("BatchWriteItem", &LeftoverError{Writes: rest, Err: err})
}

// check reports everything that is wrong in a batch. It tells places, never values.
func (b Batch) check() error {
	var problems []error
	seen := make(map[string]string, b.len())
	one := func(what string, it Item, size int) {
		key := make(Item, len(b.Key))
		for _, name := range b.Key {
			if it[name] == nil {
				problems = append(problems, fmt.Errorf("%s is without %q, which is part of the key", what, name))
				return
			}
			key[name] = it[name]
		}
		id := identity(key)
		if before, twice := seen[id]; twice {
			problems = append(problems, fmt.Errorf("%s is of the same item as %s", what, before))
		}
		seen[id] = what
		if size > MaxItem {
			problems = append(problems, fmt.Errorf("%s has %d bytes, more than %d", what, size, MaxItem))
		}
	}
	if len(b.Key) == 0 && b.len() > 0 {
		return errors.New("the batch does not say what the key is")
	}
	for i, it := range b.Puts {
		one(fmt.Sprintf("put %d", i), it, Size(it))
	}
	for i, key := range b.Deletes {
		what := fmt.Sprintf("delete %d", i)
		if len(key) > len(b.Key) {
			problems = append(problems, fmt.Errorf("%s has more than the key", what))
		}
		one(what, key, 0)
	}
	return errors.Join(problems...)
}

// chunks are the calls of a batch, each within DynamoDB's limits.
func (b Batch) chunks(name int) [][]types.WriteRequest {
	const envelope = 128 // of a call and, generously, of a write within it: braces, member names, commas
	var all [][]types.WriteRequest
	size := batchBytes
	add := func(w types.WriteRequest, it Item) {
		bytes := envelope + sent(it)
		last := len(all) - 1
		if last < 0 || len(all[last]) == batchWrites || size+bytes > batchBytes {
			all, last, size = append(all, nil), last+1, envelope+name
		}
		all[last], size = append(all[last], w), size+bytes
	}
	for _, it := range b.Puts {
		add(types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}, it)
	}
	for _, key := range b.Deletes {
		add(types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}}, key)
	}
	return slices.Clip(all)
}

// sent is how many bytes an item has as JSON, at most: an item that is small where it is stored can be large on its way
// (DynamoDB guide, "Service, account, and table quotas").
func sent(it Item) int {
	size := 2
	for name, v := range it {
		size += 2 + quoted(name) + sentValue(v)
	}
	return size
}

func sentValue(v types.AttributeValue) int {
	const wrapped = 16 // {"BOOL":false} and the like, with a comma behind it
	size := wrapped
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		size += quoted(v.Value)
	case *types.AttributeValueMemberN:
		size += quoted(v.Value)
	case *types.AttributeValueMemberB:
		size += encoded(v.Value)
	case *types.AttributeValueMemberL:
		for _, element := range v.Value {
			size += sentValue(element)
		}
	case *types.AttributeValueMemberM:
		size += sent(v.Value)
	case *types.AttributeValueMemberSS:
		for _, element := range v.Value {
			size += 1 + quoted(element)
		}
	case *types.AttributeValueMemberNS:
		for _, element := range v.Value {
			size += 1 + quoted(element)
		}
	case *types.AttributeValueMemberBS:
		for _, element := range v.Value {
			size += 1 + encoded(element)
		}
	}
	return size
}

// quoted is how long a text is as JSON, at most: some characters are written as six (smithy-go, encoding/json).
func quoted(s string) int {
	size := 2
	for _, r := range s {
		switch {
		case r < ' ' || r == 0x7f || r == utf8.RuneError || r == '\u2028' || r == '\u2029':
			size += 6
		case r == '"' || r == '\\':
			size += 2
		default:
			size += utf8.RuneLen(r)
		}
	}
	return size
}

// encoded is how long bytes are as base64 in quotes.
func encoded(b []byte) int { return 2 + (len(b)+2)/3*4 }
