package cursor

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/expenzez/aws-backend/internal/store"
)

// Position writes a query's LastEvaluatedKey as a position. The attributes that the query itself fixes, its partition, are
// named and left out: they are the request's own. Keys hold strings, numbers and bytes; another value is an error.
func Position(last store.Item, fixed ...string) (string, error) {
	var b []byte
	add := func(part string) { b = append(binary.AppendUvarint(b, uint64(len(part))), part...) }
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if slices.Contains(fixed, name) {
			continue
		}
		add(name)
		switch v := last[name].(type) {
		case *types.AttributeValueMemberS:
			b = append(b, 'S')
			add(v.Value)
		case *types.AttributeValueMemberN:
			b = append(b, 'N')
			add(v.Value)
		case *types.AttributeValueMemberB:
			b = append(b, 'B')
			add(string(v.Value))
		default:
			return "", errors.New("cursor: a value that no key has")
		}
	}
	return string(b), nil
}

// Start reads a position as the ExclusiveStartKey of the query that fixes these attributes, with their values. One that
// names any of them is an ErrCursor, as is whatever Position did not write.
func Start(position string, fixed store.Item) (store.Item, error) {
	start, rest, before := maps.Clone(fixed), []byte(position), ""
	if start == nil {
		start = store.Item{}
	}
	next := func() (string, bool) {
		length, n := binary.Uvarint(rest)
		if n <= 0 || n > 1 && rest[n-1] == 0 { // one text for one length
			return "", false
		}
		if rest = rest[n:]; length > uint64(len(rest)) {
			return "", false
		}
		part := rest[:length]
		rest = rest[length:]
		return string(part), true
	}
	for len(rest) > 0 {
		name, ok := next()
		if !ok || len(rest) == 0 || start[name] != nil || name <= before {
			return nil, ErrCursor
		}
		kind := rest[0]
		rest = rest[1:]
		value, ok := next()
		if !ok {
			return nil, ErrCursor
		}
		switch kind {
		case 'S':
			start[name] = store.S(value)
		case 'N':
			start[name] = &types.AttributeValueMemberN{Value: value}
		case 'B':
			start[name] = store.B([]byte(value))
		default:
			return nil, ErrCursor
		}
		before = name
	}
	return start, nil
}
