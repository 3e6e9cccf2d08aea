package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The attributes of an item that is changed by version. Whoever puts such an item writes VersionAttribute with it.
const (
	VersionAttribute = "version" // a number that grows by one with each change
	WriteAttribute   = "writeId" // the ID of the change that made the item what it is; absent before the first
)

// The two ways in which a change by version does not find what it was made from.
var (
	ErrVersion  = errors.New("the item has another version")
	ErrNotFound = errors.New("there is no such item")
)

// Change is a change that is made from one version of an item and makes the next. It must not name the attributes of the
// key, VersionAttribute or WriteAttribute.
type Change struct {
	Key    Item
	From   int64    // the version that it is made from
	Set    Item     // attributes and their new values
	Remove []string // attributes that go; one that is not there is fine
	ID     string   // of this change alone, random or made of the request's own; not empty
}

// ChangeVersion makes a change. Of several changes from one version one is made; the others are an ErrVersion, as is a
// change from a version that the item does not have. Of an item that is not there the error is ErrNotFound. Both carry
// the *ConditionFailedError with the item as it is. An item without a version is an error of neither kind.
//
// The change is made once, however often the client sends it: where the answer of an attempt was lost, the next one finds
// the ID of the change in the item and that is success. What it cannot tell apart: when somebody else has changed or
// deleted the item between the two attempts, the change was made, and the error says ErrVersion or ErrNotFound.
func ChangeVersion(ctx context.Context, t Updater, c Change) error {
	in, err := c.input()
	if err != nil {
		return err
	}
	_, err = t.UpdateItem(ctx, in)
	var refused *ConditionFailedError
	if errors.As(err, &refused) {
		if id, ok := refused.Old[WriteAttribute].(*types.AttributeValueMemberS); ok && id.Value == c.ID {
			return nil
		}
	}
	return versionRefused(err)
}

// DeleteVersion deletes an item if it has that version; from 0 means any, one that is missing included. The errors are
// those of ChangeVersion. A deletion leaves nothing to know it by: when the answer of an attempt was lost, the next one
// finds no item, and the error is ErrNotFound. The item is gone then, whoever deleted it.
func DeleteVersion(ctx context.Context, t Deleter, key Item, from int64) error {
	in := &dynamodb.DeleteItemInput{Key: key}
	if from != 0 {
		in.ConditionExpression, in.ExpressionAttributeNames = aws.String("#n = :from"), map[string]string{"#n": VersionAttribute}
		in.ExpressionAttributeValues = Item{":from": N(from)}
	} else {
		for name := range key { // any: the item has all of its key
			in.ConditionExpression, in.ExpressionAttributeNames = aws.String("attribute_exists(#n)"), map[string]string{"#n": name}
		}
	}
	_, err := t.DeleteItem(ctx, in)
	return versionRefused(err)
}

// versionRefused tells by the old item why a condition refused.
func versionRefused(err error) error {
	var refused *ConditionFailedError
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.Old == nil:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	r := Read(refused.Old)
	r.N(VersionAttribute)
	if damaged := r.Err(); damaged != nil {
		return damaged
	}
	return fmt.Errorf("%w: %w", ErrVersion, err)
}

// input is the update that a change is.
func (c Change) input() (*dynamodb.UpdateItemInput, error) {
	if c.ID == "" {
		return nil, errors.New("store: a change needs an ID")
	}
	names := map[string]string{"#v": VersionAttribute, "#w": WriteAttribute}
	values := Item{":from": N(c.From), ":next": N(c.From + 1), ":w": S(c.ID)}
	set := []string{"#v = :next", "#w = :w"}
	for i, name := range slices.Sorted(maps.Keys(c.Set)) {
		place := fmt.Sprint("s", i)
		names["#"+place], values[":"+place] = name, c.Set[name]
		set = append(set, "#"+place+" = :"+place)
	}
	update := "SET " + strings.Join(set, ", ")
	var remove []string
	for i, name := range c.Remove {
		place := fmt.Sprint("#r", i)
		names[place] = name
		remove = append(remove, place)
	}
	if len(remove) > 0 {
		update += " REMOVE " + strings.Join(remove, ", ")
	}
	return &dynamodb.UpdateItemInput{Key: c.Key, UpdateExpression: &update, ConditionExpression: aws.String("#v = :from"),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values}, nil
}
