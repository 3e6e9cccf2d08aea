package mem

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// Schema is a table: its name, the attributes of its key and its global secondary indexes. Range is empty for a key of
// one attribute.
type Schema struct {
	Name    string
	Hash    string
	Range   string
	Indexes []Index
	Types   map[string]types.ScalarAttributeType // of key attributes, those of indexes too; absent means string
}

// Index is a global secondary index. An item without its key attributes is not in it. The zero Projection is ALL.
type Index struct {
	Name       string
	Hash       string
	Range      string
	Projection types.ProjectionType
	Attributes []string // projected beside the keys; for INCLUDE
}

// table is a schema with its items by key. Stored items are never changed in place.
type table struct {
	Schema
	items map[string]item
}

// Limits of "Service, account, and table quotas in Amazon DynamoDB".
const (
	maxHash        = 2048
	maxRange       = 1024
	maxExpression  = 4 << 10
	maxPage        = 1 << 20
	maxBatchBytes  = 16 << 20
	maxBatchKeys   = 100
	maxBatchWrites = 25
	maxWrites      = 100
	maxWriteBytes  = 4 << 20
)

// keyNames are the attributes of the table's key.
func (s Schema) keyNames() []string { return keyNames(s.Hash, s.Range) }

func keyNames(hash, sort string) []string {
	if sort == "" {
		return []string{hash}
	}
	return []string{hash, sort}
}

func (s Schema) typeOf(name string) string {
	if t, ok := s.Types[name]; ok {
		return string(t)
	}
	return "S"
}

func (s Schema) index(name string) (Index, error) {
	i := slices.IndexFunc(s.Indexes, func(index Index) bool { return index.Name == name })
	if i < 0 {
		return Index{}, invalid("The table does not have the specified index: %s", name)
	}
	return s.Indexes[i], nil
}

// id is the item's place in the table; its key has been checked.
func (s Schema) id(key item) string {
	parts := make([]string, 0, 2)
	for _, name := range s.keyNames() {
		parts = append(parts, fmt.Sprintf("%q", keyText(key[name])))
	}
	return strings.Join(parts, " ")
}

func (s Schema) keyOf(it item) item {
	key := item{}
	for _, name := range s.keyNames() {
		key[name] = it[name]
	}
	return key
}

// acceptedKey checks a key that a caller sent and returns a copy.
func (s Schema) acceptedKey(in item) (item, error) {
	key, err := acceptedItem(in, 1)
	if err != nil {
		return nil, err
	}
	if len(key) != len(s.keyNames()) {
		return nil, invalid("The provided key element does not match the schema")
	}
	for _, name := range s.keyNames() {
		if typeOf(key[name]) != s.typeOf(name) {
			return nil, invalid("The provided key element does not match the schema")
		}
	}
	return key, s.checkKeyValues(key)
}

// acceptedPut checks an item that a caller sent and returns a copy.
func (s Schema) acceptedPut(in item) (item, error) {
	it, err := acceptedItem(in, 1)
	if err != nil {
		return nil, err
	}
	for _, name := range s.keyNames() {
		switch got := typeOf(it[name]); {
		case got == "":
			return nil, invalid("One or more parameter values were invalid: Missing the key %s in the item", name)
		case got != s.typeOf(name):
			return nil, invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", name, s.typeOf(name), got)
		}
	}
	if err := s.checkKeyValues(it); err != nil {
		return nil, err
	}
	return it, s.checkStored(it, "Item size has exceeded the maximum allowed size")
}

func (s Schema) checkKeyValues(it item) error {
	for i, name := range s.keyNames() {
		text := keyText(it[name])
		if text == "" {
			return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s",
				map[string]string{"S": "string", "B": "binary"}[s.typeOf(name)], name)
		}
		if most := []int{maxHash, maxRange}[i]; len(text) > most {
			return invalid("One or more parameter values were invalid: Size of %s has exceeded the maximum size limit of %d bytes", []string{"hashkey", "rangekey"}[i], most)
		}
	}
	return nil
}

// checkStored checks what an item must satisfy to be stored: the types of its index keys and its size.
func (s Schema) checkStored(it item, tooLarge string) error {
	for _, index := range s.Indexes {
		for _, name := range keyNames(index.Hash, index.Range) {
			v, present := it[name]
			switch {
			case !present:
			case typeOf(v) != s.typeOf(name):
				return invalid("One or more parameter values were invalid: Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", name, s.typeOf(name), typeOf(v), index.Name)
			case keyText(v) == "":
				return invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: %s, IndexKey: %s", index.Name, name)
			}
		}
	}
	if store.Size(it) > store.MaxItem {
		return invalid("%s", tooLarge)
	}
	return nil
}

// projects tells whether an index holds an attribute.
func (s Schema) projects(index Index, name string) bool {
	switch index.Projection {
	case "", types.ProjectionTypeAll:
		return true
	}
	return slices.Contains(s.keyNames(), name) || name == index.Hash || name == index.Range ||
		index.Projection == types.ProjectionTypeInclude && slices.Contains(index.Attributes, name)
}
