package mem

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type (
	value = types.AttributeValue
	item  = map[string]types.AttributeValue

	str     = types.AttributeValueMemberS
	num     = types.AttributeValueMemberN
	bin     = types.AttributeValueMemberB
	boolean = types.AttributeValueMemberBOOL
	null    = types.AttributeValueMemberNULL
	list    = types.AttributeValueMemberL
	mapping = types.AttributeValueMemberM
	strSet  = types.AttributeValueMemberSS
	numSet  = types.AttributeValueMemberNS
	binSet  = types.AttributeValueMemberBS
)

// typeOf is the letter code of a value's type, empty for no value.
func typeOf(v value) string {
	switch v.(type) {
	case *str:
		return "S"
	case *num:
		return "N"
	case *bin:
		return "B"
	case *boolean:
		return "BOOL"
	case *null:
		return "NULL"
	case *list:
		return "L"
	case *mapping:
		return "M"
	case *strSet:
		return "SS"
	case *numSet:
		return "NS"
	case *binSet:
		return "BS"
	}
	return ""
}

// longTypeOf is the type's name in messages about update expressions.
func longTypeOf(v value) string {
	names := map[string]string{"S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "NULL": "NULL", "L": "LIST",
		"M": "MAP", "SS": "STRING_SET", "NS": "NUMBER_SET", "BS": "BINARY_SET"}
	return names[typeOf(v)]
}

// accepted checks a value that a caller sent and returns a copy of it with its numbers in normal form.
func accepted(v value, depth int) (value, error) {
	if depth > 32 {
		return nil, invalid("Nesting Levels have exceeded supported limits: Attributes can be nested up to 32 levels")
	}
	switch v := v.(type) {
	case *str:
		return &str{Value: v.Value}, nil
	case *num:
		n, err := parseNumber(v.Value)
		if err != nil {
			return nil, err
		}
		return &num{Value: n.String()}, nil
	case *bin:
		return &bin{Value: bytes.Clone(v.Value)}, nil
	case *boolean:
		return &boolean{Value: v.Value}, nil
	case *null:
		if !v.Value {
			return nil, invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return &null{Value: true}, nil
	case *list:
		out := &list{Value: make([]value, len(v.Value))}
		for i, element := range v.Value {
			var err error
			if out.Value[i], err = accepted(element, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *mapping:
		m, err := acceptedItem(v.Value, depth+1)
		return &mapping{Value: m}, err
	case *strSet, *numSet, *binSet:
		return acceptedSet(v)
	}
	return nil, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func acceptedItem(in item, depth int) (item, error) {
	out := make(item, len(in))
	for name, v := range in {
		var err error
		if out[name], err = accepted(v, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func acceptedSet(v value) (value, error) {
	elements := elementsOf(v)
	if len(elements) == 0 {
		kind := map[string]string{"SS": "string", "NS": "number", "BS": "binary"}[typeOf(v)]
		return nil, invalid("One or more parameter values were invalid: An %s set  may not be empty", kind)
	}
	if v, ok := v.(*numSet); ok {
		for i, text := range v.Value {
			n, err := parseNumber(text)
			if err != nil {
				return nil, err
			}
			elements[i] = n.String()
		}
	}
	sorted := slices.Sorted(slices.Values(elements))
	if len(slices.Compact(sorted)) != len(elements) {
		return nil, invalid("One or more parameter values were invalid: Input collection [%s] contains duplicates.", strings.Join(elements, ", "))
	}
	return setOf(typeOf(v), elements), nil
}

// elementsOf is a copy of a set's elements as strings.
func elementsOf(v value) []string {
	switch v := v.(type) {
	case *strSet:
		return slices.Clone(v.Value)
	case *numSet:
		return slices.Clone(v.Value)
	case *binSet:
		out := make([]string, len(v.Value))
		for i, b := range v.Value {
			out[i] = string(b)
		}
		return out
	}
	return nil
}

func setOf(kind string, elements []string) value {
	switch kind {
	case "SS":
		return &strSet{Value: elements}
	case "NS":
		return &numSet{Value: elements}
	}
	out := &binSet{Value: make([][]byte, len(elements))}
	for i, e := range elements {
		out.Value[i] = []byte(e)
	}
	return out
}

// clone copies a stored value so that callers and the store never share memory.
func clone(v value) value {
	switch v := v.(type) {
	case *str:
		return &str{Value: v.Value}
	case *num:
		return &num{Value: v.Value}
	case *bin:
		return &bin{Value: bytes.Clone(v.Value)}
	case *boolean:
		return &boolean{Value: v.Value}
	case *null:
		return &null{Value: v.Value}
	case *list:
		out := &list{Value: make([]value, len(v.Value))}
		for i, element := range v.Value {
			out.Value[i] = clone(element)
		}
		return out
	case *mapping:
		return &mapping{Value: cloneItem(v.Value)}
	}
	return setOf(typeOf(v), elementsOf(v))
}

func cloneItem(in item) item {
	if in == nil {
		return nil
	}
	out := make(item, len(in))
	for name, v := range in {
		out[name] = clone(v)
	}
	return out
}

// numberOf is the number in a stored value or in a value that has been accepted.
func numberOf(v value) (number, bool) {
	n, ok := v.(*num)
	if !ok {
		return number{}, false
	}
	parsed, err := parseNumber(n.Value)
	return parsed, err == nil
}

// order compares two values of one scalar type; ok is false for any other pair. Strings compare by their UTF-8 bytes.
func order(a, b value) (c int, ok bool) {
	switch a := a.(type) {
	case *str:
		if b, same := b.(*str); same {
			return strings.Compare(a.Value, b.Value), true
		}
	case *num:
		x, isNumber := numberOf(a)
		if y, same := numberOf(b); isNumber && same {
			return x.compare(y), true
		}
	case *bin:
		if b, same := b.(*bin); same {
			return bytes.Compare(a.Value, b.Value), true
		}
	}
	return 0, false
}

// equal compares values deeply; sets compare without order. Absent values equal nothing.
func equal(a, b value) bool {
	if c, ok := order(a, b); ok {
		return c == 0
	}
	if a == nil || typeOf(a) != typeOf(b) {
		return false
	}
	switch a := a.(type) {
	case *boolean:
		return a.Value == b.(*boolean).Value
	case *null:
		return true
	case *list:
		return slices.EqualFunc(a.Value, b.(*list).Value, equal)
	case *mapping:
		return equalItems(a.Value, b.(*mapping).Value)
	case *strSet, *numSet, *binSet:
		return slices.Equal(slices.Sorted(slices.Values(elementsOf(a))), slices.Sorted(slices.Values(elementsOf(b))))
	}
	return false
}

func equalItems(a, b item) bool {
	if len(a) != len(b) {
		return false
	}
	for name, v := range a {
		if !equal(v, b[name]) {
			return false
		}
	}
	return true
}

// length is what the function size gives; ok is false for types that have none.
func length(v value) (n int, ok bool) {
	switch v := v.(type) {
	case *str:
		return utf8.RuneCountInString(v.Value), true
	case *bin:
		return len(v.Value), true
	case *list:
		return len(v.Value), true
	case *mapping:
		return len(v.Value), true
	case *strSet, *numSet, *binSet:
		return len(elementsOf(v)), true
	}
	return 0, false
}

// contains is the function of that name: substring, element of a set, element of a list.
func contains(container, v value) bool {
	switch c := container.(type) {
	case *str:
		s, ok := v.(*str)
		return ok && strings.Contains(c.Value, s.Value)
	case *bin:
		b, ok := v.(*bin)
		return ok && bytes.Contains(c.Value, b.Value)
	case *list:
		return slices.ContainsFunc(c.Value, func(element value) bool { return equal(element, v) })
	case *strSet, *numSet, *binSet:
		if typeOf(c) != typeOf(v)+"S" {
			return false
		}
		return slices.Contains(elementsOf(c), keyText(v))
	}
	return false
}

// keyText is a scalar's text; equal scalars of one type have equal texts.
func keyText(v value) string {
	switch v := v.(type) {
	case *str:
		return v.Value
	case *num:
		if n, ok := numberOf(v); ok {
			return n.String()
		}
	case *bin:
		return string(v.Value)
	}
	return ""
}

func beginsWith(v, prefix value) bool {
	switch v := v.(type) {
	case *str:
		p, ok := prefix.(*str)
		return ok && strings.HasPrefix(v.Value, p.Value)
	case *bin:
		p, ok := prefix.(*bin)
		return ok && bytes.HasPrefix(v.Value, p.Value)
	}
	return false
}
