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

// MaxFaults is how many faults one answer names. When there are more, the last it names is CodeMore.
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
	CodeMore     = "more"     // there are more faults than are named; it is at no place
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
	c.object(s, v)
	return capped(c.faults)
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

// Refuse is the error of a request with these faults, of which it names MaxFaults.
func Refuse(faults ...apperr.Field) *apperr.Error {
	return apperr.New(apperr.Invalid, "validation_failed", "Some of what was sent is not valid.").With(capped(faults)...)
}

func capped(faults []apperr.Field) []apperr.Field {
	if len(faults) <= MaxFaults {
		return faults
	}
	more := apperr.Field{Code: CodeMore, Detail: "There are more faults than are named here."}
	return append(slices.Clone(faults[:MaxFaults-1]), more)
}

// checker goes through a value. It keeps one fault more than are named, to know that there are more.
type checker struct {
	path   []string // names and indexes on the way to where it is
	query  bool     // it is among the parameters of a query, where there is only one step
	faults []apperr.Field
}

func (c *checker) fault(code, detail string) {
	if len(c.faults) > MaxFaults {
		return
	}
	f := apperr.Field{Code: code, Detail: detail}
	if c.query {
		f.Parameter = c.path[0]
	} else {
		f.Pointer = pointer(c.path)
	}
	c.faults = append(c.faults, f)
}

// enter goes to a member or item, and leave comes back.
func (c *checker) enter(step string) { c.path = append(c.path, step) }

func (c *checker) leave() { c.path = c.path[:len(c.path)-1] }

func (c *checker) object(s *Schema, v any) {
	members, ok := v.(map[string]any)
	if !ok {
		c.fault(CodeType, "An object is expected.")
		return
	}
	known := 0
	for _, f := range s.fields {
		member, there := members[f.Name]
		c.enter(f.Name)
		switch {
		case there:
			known++
			c.value(f, member)
		case f.Required:
			c.fault(CodeRequired, "")
		}
		c.leave()
	}
	if known < len(members) {
		c.unknown(s, members)
	}
}

func (c *checker) unknown(s *Schema, members map[string]any) {
	var names []string
	for name := range members {
		if !slices.ContainsFunc(s.fields, func(f field) bool { return f.Name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.enter(clip(name))
		c.fault(CodeUnknown, "")
		c.leave()
	}
}

func (c *checker) value(f field, v any) {
	switch f.Type {
	case service.String:
		c.text(f, v)
	case service.Integer:
		c.integer(f, v)
	case service.Boolean:
		if _, ok := v.(bool); !ok {
			c.fault(CodeType, "true or false is expected.")
		}
	case service.Array:
		c.array(f, v)
	case service.Object:
		c.object(f.model, v)
	default:
		c.fault(CodeType, "")
	}
}

func (c *checker) text(f field, v any) {
	s, ok := v.(string)
	if !ok {
		c.fault(CodeType, "A string is expected.")
		return
	}
	n := utf8.RuneCountInString(s)
	switch {
	case n < f.Min:
		c.fault(CodeShort, fmt.Sprintf("At least %d characters are needed.", f.Min))
	case f.Max != 0 && n > f.Max:
		c.fault(CodeLong, fmt.Sprintf("At most %d characters are allowed.", f.Max))
	case f.pattern != nil && !f.pattern().MatchString(s):
		c.fault(CodePattern, f.Does)
	case len(f.Enum) > 0 && !slices.Contains(f.Enum, s):
		c.fault(CodeEnum, "One of "+strings.Join(f.Enum, ", ")+" is expected.")
	}
}

// integer takes whole numbers in the plain notation only: 1.0 and 1e2 are refused, as encoding/json refuses them.
func (c *checker) integer(f field, v any) {
	number, ok := v.(json.Number)
	if !ok {
		c.fault(CodeType, "A whole number is expected.")
		return
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	switch {
	case err != nil:
		c.fault(CodeType, "A whole number within 64 bits is expected.")
	case f.Min != 0 && n < int64(f.Min):
		c.fault(CodeSmall, fmt.Sprintf("It is at least %d.", f.Min))
	case f.Max != 0 && n > int64(f.Max):
		c.fault(CodeLarge, fmt.Sprintf("It is at most %d.", f.Max))
	}
}

func (c *checker) array(f field, v any) {
	items, ok := v.([]any)
	switch {
	case !ok:
		c.fault(CodeType, "An array is expected.")
	case len(items) < f.Min:
		c.fault(CodeShort, fmt.Sprintf("At least %d items are needed.", f.Min))
	case f.Max != 0 && len(items) > f.Max:
		c.fault(CodeLong, fmt.Sprintf("At most %d items are allowed.", f.Max))
	default:
		for i, item := range items {
			c.enter(strconv.Itoa(i))
			c.object(f.model, item)
			c.leave()
		}
	}
}

// pointer is the JSON Pointer to the end of a path (RFC 6901 §3).
func pointer(path []string) string {
	var b strings.Builder
	for _, step := range path {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(step, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// clip bounds a name that the caller chose.
func clip(name string) string {
	const most = 64
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most]) + "…"
}
