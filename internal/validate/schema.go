package validate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/expenzez/aws-backend/internal/apperr"
	"github.com/expenzez/aws-backend/internal/service"
)

// MaxFaults is how many faults one answer names.
const MaxFaults = 20

// Codes of a fault, in apperr.Field.
const (
	CodeRequired = "required"  // the member is missing
	CodeUnknown  = "unknown"   // no such member is declared
	CodeType     = "type"      // another JSON type is declared; null is none of them
	CodeShort    = "too_short" // characters of a string, items of an array
	CodeLong     = "too_long"
	CodeSmall    = "too_small" // value of an integer
	CodeLarge    = "too_large"
	CodePattern  = "pattern"
	CodeEnum     = "enum"
	CodeRepeated = "repeated" // a query parameter is given more than once
)

// Schema is a model made ready to compare bodies with. It is safe for concurrent use.
type Schema struct{ fields []field }

type field struct {
	service.Field
	pattern func() *regexp.Regexp // nil without one; made when it is first needed, since starting must be quick
	model   *Schema
}

// Compile makes a model ready. Patterns are ECMA 262 in the declaration and Go's here: a declared one must mean the
// same in both, which holds for those without look-around, back-references and classes beyond ASCII.
func Compile(m service.Model) (*Schema, error) { return CompileFields(m.Fields) }

// CompileFields makes the parameters of a query ready.
func CompileFields(fields []service.Field) (*Schema, error) {
	s := &Schema{}
	for _, f := range fields {
		c := field{Field: f}
		var err error
		if f.Pattern != "" {
			if _, err = syntax.Parse(f.Pattern, syntax.Perl); err != nil {
				return nil, fmt.Errorf("validate: field %s: %w", f.Name, err)
			}
			c.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(f.Pattern) })
		}
		if f.Model != nil {
			if c.model, err = Compile(*f.Model); err != nil {
				return nil, fmt.Errorf("validate: field %s: %w", f.Name, err)
			}
		}
		s.fields = append(s.fields, c)
	}
	return s, nil
}

// Check compares a value that Parse made with the schema and returns its faults, at most MaxFaults, in the order of the
// declaration; undeclared members follow in order of name. No value is repeated in a fault.
func (s *Schema) Check(v any) []apperr.Field {
	c := &checker{}
	c.object(s, "", v)
	return c.faults
}

// Body reads a body whole: Parse, then Check. Its error is an *apperr.Error of kind Invalid.
func (s *Schema) Body(body []byte) (map[string]any, error) {
	v, err := Parse(body)
	if err != nil {
		return nil, err
	}
	if faults := s.Check(v); len(faults) > 0 {
		return nil, Refuse(faults...)
	}
	return v.(map[string]any), nil
}

// Refuse is the error of a request with these faults.
func Refuse(faults ...apperr.Field) *apperr.Error {
	return apperr.New(apperr.Invalid, "validation_failed", "Some of what was sent is not valid.").With(faults...)
}

type checker struct{ faults []apperr.Field }

func (c *checker) fault(at, code, detail string) {
	if len(c.faults) < MaxFaults {
		c.faults = append(c.faults, apperr.Field{Pointer: at, Code: code, Detail: detail})
	}
}

func (c *checker) object(s *Schema, at string, v any) {
	members, ok := v.(map[string]any)
	if !ok {
		c.fault(at, CodeType, "An object is expected.")
		return
	}
	known := 0
	for _, f := range s.fields {
		member, there := members[f.Name]
		switch {
		case there:
			known++
			c.value(f, at+"/"+escapePointer(f.Name), member)
		case f.Required:
			c.fault(at+"/"+escapePointer(f.Name), CodeRequired, "")
		}
	}
	if known < len(members) {
		c.unknown(s, at, members)
	}
}

func (c *checker) unknown(s *Schema, at string, members map[string]any) {
	var names []string
	for name := range members {
		if !slices.ContainsFunc(s.fields, func(f field) bool { return f.Name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.fault(at+"/"+escapePointer(clip(name)), CodeUnknown, "")
	}
}

func (c *checker) value(f field, at string, v any) {
	switch f.Type {
	case service.String:
		c.text(f, at, v)
	case service.Integer:
		c.integer(f, at, v)
	case service.Boolean:
		if _, ok := v.(bool); !ok {
			c.fault(at, CodeType, "true or false is expected.")
		}
	case service.Array:
		c.array(f, at, v)
	case service.Object:
		c.object(f.model, at, v)
	default:
		c.fault(at, CodeType, "")
	}
}

func (c *checker) text(f field, at string, v any) {
	s, ok := v.(string)
	if !ok {
		c.fault(at, CodeType, "A string is expected.")
		return
	}
	n := utf8.RuneCountInString(s)
	switch {
	case n < f.Min:
		c.fault(at, CodeShort, fmt.Sprintf("At least %d characters are needed.", f.Min))
	case f.Max != 0 && n > f.Max:
		c.fault(at, CodeLong, fmt.Sprintf("At most %d characters are allowed.", f.Max))
	case f.pattern != nil && !f.pattern().MatchString(s):
		c.fault(at, CodePattern, f.Does)
	case len(f.Enum) > 0 && !slices.Contains(f.Enum, s):
		c.fault(at, CodeEnum, "One of "+strings.Join(f.Enum, ", ")+" is expected.")
	}
}

// integer takes whole numbers in the plain notation only: 1.0 and 1e2 are refused, as encoding/json refuses them.
func (c *checker) integer(f field, at string, v any) {
	number, ok := v.(json.Number)
	if !ok {
		c.fault(at, CodeType, "A whole number is expected.")
		return
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	switch {
	case err != nil:
		c.fault(at, CodeType, "A whole number within 64 bits is expected.")
	case f.Min != 0 && n < int64(f.Min):
		c.fault(at, CodeSmall, fmt.Sprintf("It is at least %d.", f.Min))
	case f.Max != 0 && n > int64(f.Max):
		c.fault(at, CodeLarge, fmt.Sprintf("It is at most %d.", f.Max))
	}
}

func (c *checker) array(f field, at string, v any) {
	items, ok := v.([]any)
	switch {
	case !ok:
		c.fault(at, CodeType, "An array is expected.")
	case len(items) < f.Min:
		c.fault(at, CodeShort, fmt.Sprintf("At least %d items are needed.", f.Min))
	case f.Max != 0 && len(items) > f.Max:
		c.fault(at, CodeLong, fmt.Sprintf("At most %d items are allowed.", f.Max))
	default:
		for i, item := range items {
			c.object(f.model, at+"/"+strconv.Itoa(i), item)
		}
	}
}

// escapePointer escapes a name for a JSON Pointer (RFC 6901 §3).
func escapePointer(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// clip bounds a name that the caller chose.
func clip(name string) string {
	const most = 64
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most]) + "…"
}
