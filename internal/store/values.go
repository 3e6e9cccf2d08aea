package store

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// S is a string value.
func S(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// N is a whole number.
func N(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// B is a binary value; it keeps b, not a copy.
func B(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

// Bool is a truth value.
func Bool(b bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: b} }

// Reader reads the attributes of an item into Go values and remembers every attribute that is missing or of another
// type than asked, so that a mapping is a list of plain assignments followed by one look at Err.
// The methods that begin with Opt take an absent attribute, or NULL, as the zero value.
type Reader struct {
	item     Item
	problems []error
}

// Read starts reading an item. A nil item reads as one without attributes.
func Read(item Item) *Reader { return &Reader{item: item} }

// Err is nil when every attribute asked for was there and of the right type. It names attributes, never their values.
func (r *Reader) Err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return fmt.Errorf("store: item: %w", errors.Join(r.problems...))
}

// S reads a string.
func (r *Reader) S(name string) string {
	r.need(name)
	return r.OptS(name)
}

// N reads a whole number within int64.
func (r *Reader) N(name string) int64 {
	r.need(name)
	return r.OptN(name)
}

// B reads a binary value.
func (r *Reader) B(name string) []byte {
	r.need(name)
	return r.OptB(name)
}

// Bool reads a truth value.
func (r *Reader) Bool(name string) bool {
	r.need(name)
	return r.OptBool(name)
}

// OptS reads a string that may be absent.
func (r *Reader) OptS(name string) string {
	switch v := r.item[name].(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		r.mismatch(name, "a string")
		return ""
	}
}

// OptN reads a whole number that may be absent.
func (r *Reader) OptN(name string) int64 {
	if v, ok := r.item[name].(*types.AttributeValueMemberN); ok {
		if n, err := strconv.ParseInt(v.Value, 10, 64); err == nil {
			return n
		}
		r.problems = append(r.problems, fmt.Errorf("attribute %q is not a whole number within 64 bits", name))
		return 0
	}
	r.mismatch(name, "a number")
	return 0
}

// OptB reads a binary value that may be absent.
func (r *Reader) OptB(name string) []byte {
	if v, ok := r.item[name].(*types.AttributeValueMemberB); ok {
		return v.Value
	}
	r.mismatch(name, "binary")
	return nil
}

// OptBool reads a truth value that may be absent.
func (r *Reader) OptBool(name string) bool {
	if v, ok := r.item[name].(*types.AttributeValueMemberBOOL); ok {
		return v.Value
	}
	r.mismatch(name, "a boolean")
	return false
}

func (r *Reader) absent(name string) bool {
	switch r.item[name].(type) {
	case nil, *types.AttributeValueMemberNULL:
		return true
	}
	return false
}

func (r *Reader) need(name string) {
	if r.absent(name) {
		r.problems = append(r.problems, fmt.Errorf("attribute %q is missing", name))
	}
}

func (r *Reader) mismatch(name, want string) {
	if !r.absent(name) {
		r.problems = append(r.problems, fmt.Errorf("attribute %q is not %s", name, want))
	}
}
