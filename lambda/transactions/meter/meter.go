// Package meter counts the read and write units that calls to a store in memory would cost on DynamoDB, for tests that
// hold a document of costs to what the code does.
//
// It follows store.ReadUnits and store.WriteUnits. Each index whose entry a write makes, changes or deletes costs the
// write of that entry, one that is moved to another key two (DynamoDB guide, "Using Global Secondary Indexes in
// DynamoDB"). A condition check counts as a write of its item. A call that is refused costs what it would have, without
// the indexes. What it cannot know is what DynamoDB rounds or batches otherwise; numbers may differ by a unit on AWS.
package meter

import (
	"context"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
	"github.com/expenzez/aws-backend/internal/store/mem"
)

// DB is a store in memory whose calls are counted. It is for one caller at a time.
type DB struct {
	*mem.DB
	Read    float64
	Write   int
	schemas []mem.Schema
	without []string
}

var _ store.DB = (*DB)(nil)

// New makes empty tables, of which some are not counted.
func New(schemas []mem.Schema, without ...string) *DB {
	return &DB{DB: mem.New(schemas...), schemas: schemas, without: without}
}

// Reset forgets what was counted, and returns it.
func (d *DB) Reset() (read float64, write int) {
	read, write = d.Read, d.Write
	d.Read, d.Write = 0, 0
	return read, write
}

func (d *DB) read(table string, size int, consistent *bool) {
	if slices.Contains(d.without, table) {
		return
	}
	kind := store.Eventual
	if aws.ToBool(consistent) {
		kind = store.Strong
	}
	d.Read += store.ReadUnits(size, kind)
}

// find is the item of a key, of which there may be more than the key, as it is stored.
func (d *DB) find(table string, item store.Item) store.Item {
	schema, key := d.schema(table), store.Item{}
	for _, name := range []string{schema.Hash, schema.Range} {
		if name != "" {
			key[name] = item[name]
		}
	}
	out, err := d.DB.GetItem(context.Background(), &dynamodb.GetItemInput{TableName: &table, Key: key})
	if err != nil { // the call itself fails then, too
		return nil
	}
	return out.Item
}

func (d *DB) schema(table string) mem.Schema {
	return d.schemas[slices.IndexFunc(d.schemas, func(s mem.Schema) bool { return s.Name == table })]
}

// write is one write, whose item is as large as put if it is refused.
type write struct {
	table string
	key   store.Item
	put   store.Item
}

func (d *DB) writing(transactional bool, all []write, do func() error) error {
	before := make([]store.Item, len(all))
	for i, w := range all {
		before[i] = d.find(w.table, w.key)
	}
	err := do()
	for i, w := range all {
		if slices.Contains(d.without, w.table) {
			continue
		}
		after := w.put
		if err == nil {
			after = d.find(w.table, w.key)
			for _, index := range d.schema(w.table).Indexes {
				d.Write += entry(index, before[i], after)
			}
		}
		d.Write += store.WriteUnits(store.Size(before[i]), store.Size(after), transactional)
	}
	return err
}

// entry is what the entry of an item in an index costs.
func entry(index mem.Index, before, after store.Item) int {
	in := func(item store.Item) bool {
		return item[index.Hash] != nil && (index.Range == "" || item[index.Range] != nil)
	}
	switch {
	case !in(before) && !in(after) || reflect.DeepEqual(before, after):
		return 0
	case in(before) && in(after) && (!reflect.DeepEqual(before[index.Hash], after[index.Hash]) || !reflect.DeepEqual(before[index.Range], after[index.Range])):
		return store.WriteUnits(store.Size(before), 0, false) + store.WriteUnits(0, store.Size(after), false)
	case in(before) && in(after):
		return store.WriteUnits(store.Size(before), store.Size(after), false)
	case in(before):
		return store.WriteUnits(store.Size(before), 0, false)
	default:
		return store.WriteUnits(0, store.Size(after), false)
	}
}

// GetItem is dynamodb:GetItem.
func (d *DB) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	d.read(*in.TableName, store.Size(d.find(*in.TableName, in.Key)), in.ConsistentRead)
	return d.DB.GetItem(ctx, in, o...)
}

// Query is dynamodb:Query. It counts the items whole: a projection saves nothing.
func (d *DB) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	whole := *in
	whole.ProjectionExpression, whole.ExpressionAttributeNames = nil, nil
	out, err := d.DB.Query(ctx, &whole, o...)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, item := range out.Items {
		size += store.Size(item)
	}
	d.read(*in.TableName, size, in.ConsistentRead)
	return d.DB.Query(ctx, in, o...)
}

// PutItem is dynamodb:PutItem.
func (d *DB) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (out *dynamodb.PutItemOutput, err error) {
	return out, d.writing(false, []write{{*in.TableName, in.Item, in.Item}}, func() error {
		out, err = d.DB.PutItem(ctx, in, o...)
		return err
	})
}

// UpdateItem is dynamodb:UpdateItem.
func (d *DB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (out *dynamodb.UpdateItemOutput, err error) {
	return out, d.writing(false, []write{{*in.TableName, in.Key, nil}}, func() error {
		out, err = d.DB.UpdateItem(ctx, in, o...)
		return err
	})
}

// DeleteItem is dynamodb:DeleteItem.
func (d *DB) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (out *dynamodb.DeleteItemOutput, err error) {
	return out, d.writing(false, []write{{*in.TableName, in.Key, nil}}, func() error {
		out, err = d.DB.DeleteItem(ctx, in, o...)
		return err
	})
}

// TransactWriteItems is dynamodb:TransactWriteItems.
func (d *DB) TransactWriteItems(ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options)) (out *dynamodb.TransactWriteItemsOutput, err error) {
	var all []write
	for _, w := range in.TransactItems {
		all = append(all, target(w))
	}
	return out, d.writing(true, all, func() error {
		out, err = d.DB.TransactWriteItems(ctx, in, o...)
		return err
	})
}

func target(w types.TransactWriteItem) write {
	switch {
	case w.Put != nil:
		return write{*w.Put.TableName, w.Put.Item, w.Put.Item}
	case w.Update != nil:
		return write{*w.Update.TableName, w.Update.Key, nil}
	case w.Delete != nil:
		return write{*w.Delete.TableName, w.Delete.Key, nil}
	default:
		return write{*w.ConditionCheck.TableName, w.ConditionCheck.Key, nil}
	}
}
