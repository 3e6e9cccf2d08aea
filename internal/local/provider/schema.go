package provider

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// kind is the shape of a property.
type kind string

const (
	kindText    kind = "string"
	kindNumber  kind = "number"
	kindBool    kind = "boolean"
	kindList    kind = "list"
	kindSet     kind = "set"
	kindMap     kind = "map"
	kindObject  kind = "object"
	kindArchive kind = "archive"
	kindJSON    kind = "JSON document"
)

// property says what AWS and the real provider accept for one input. The zero value of each limit means "no limit".
// Facts come from the bridged provider's schema (pulumi-aws 6.83.2) and, where named, the AWS API reference.
type property struct {
	kind      kind
	required  bool
	replaces  bool     // a change makes a new resource
	given     bool     // AWS chooses a value when the program does not: leaving it out is no change
	fallback  value    // what the provider fills in
	choices   []string // the allowed texts
	pattern   *regexp.Regexp
	shape     string // the pattern in words
	low, high float64
	bounded   bool // low and high limit the number, the text's length or the list's length
	element   *property
	fields    map[string]property
	apart     []string // properties that must not be set together with this one; one of the two says it
	together  []string // properties that must be set when this one is
}

func aText() property   { return property{kind: kindText} }
func aNumber() property { return property{kind: kindNumber} }
func aFlag() property   { return property{kind: kindBool} }

// aPolicy is a JSON document: the program may also hand over an object, which becomes its JSON text.
func aPolicy() property { return property{kind: kindJSON} }

// anARN is a text that names an AWS resource.
func anARN() property {
	return aText().like(`^arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}|aws)?:.+`, "an ARN")
}

func listOf(p property) property { return property{kind: kindList, element: &p} }
func setOf(p property) property  { return property{kind: kindSet, element: &p} }
func mapOf(p property) property  { return property{kind: kindMap, element: &p} }

func anObject(fields map[string]property) property {
	return property{kind: kindObject, fields: fields}
}

func (p property) must() property  { p.required = true; return p }
func (p property) fixed() property { p.replaces = true; return p }
func (p property) byAWS() property { p.given = true; return p }

func (p property) or(v value) property              { p.fallback = v; return p }
func (p property) oneOf(choices ...string) property { p.choices = choices; return p }
func (p property) not(others ...string) property    { p.apart = others; return p }
func (p property) with(others ...string) property   { p.together = others; return p }

func (p property) like(pattern, shape string) property {
	p.pattern, p.shape = regexp.MustCompile(pattern), shape
	return p
}

func (p property) from(low, high float64) property {
	p.low, p.high, p.bounded = low, high, true
	return p
}

// problem is one reason why AWS would refuse the inputs. It never holds a value that could be secret: only names, sizes
// and texts from closed sets.
type problem struct{ path, reason string }

func problemf(path, format string, args ...any) problem {
	return problem{path, fmt.Sprintf(format, args...)}
}

// checkBag checks every property of b against the table, in the order of their names.
func checkBag(path string, table map[string]property, b bag) []problem {
	var out []problem
	for _, k := range sortedKeys(b) {
		if _, ok := table[string(k)]; !ok && !strings.HasPrefix(string(k), "__") {
			out = append(out, problemf(join(path, string(k)), "is not an argument of this resource: remove it, or check its spelling"))
		}
	}
	for _, name := range sortedKeys(table) {
		out = append(out, checkEntry(path, name, table[name], b)...)
	}
	return out
}

func checkEntry(path, name string, p property, b bag) []problem {
	at := join(path, name)
	if !has(b, name) {
		if p.required {
			return []problem{problemf(at, "is required: set it")}
		}
		return nil
	}
	out := checkValue(at, p, b[resource.PropertyKey(name)])
	for _, other := range p.apart {
		if has(b, other) {
			out = append(out, problemf(at, "conflicts with %s: set only one of them", join(path, other)))
		}
	}
	for _, other := range p.together {
		if !has(b, other) {
			out = append(out, problemf(at, "needs %s: set both or neither", join(path, other)))
		}
	}
	return out
}

func join(path, name string) string {
	switch "" {
	case path:
		return name
	case name:
		return path
	}
	return path + "." + name
}

func checkValue(path string, p property, v value) []problem {
	if isUnknown(v) {
		return nil
	}
	switch p.kind {
	case kindText:
		return checkText(path, p, v)
	case kindNumber:
		return checkNumber(path, p, v)
	case kindJSON:
		return checkJSON(path, p, v)
	case kindList, kindSet:
		return checkList(path, p, v)
	case kindMap:
		return checkMap(path, p, v)
	case kindObject:
		if !v.IsObject() {
			return wrongKind(path, p, v)
		}
		return checkBag(path, p.fields, v.ObjectValue())
	case kindBool:
		if !v.IsBool() {
			return wrongKind(path, p, v)
		}
	case kindArchive:
		if !v.IsArchive() {
			return wrongKind(path, p, v)
		}
	}
	return nil
}

func wrongKind(path string, p property, v value) []problem {
	return []problem{problemf(path, "must be a %s, got a %s", p.kind, v.TypeString())}
}

func checkText(path string, p property, v value) []problem {
	if !v.IsString() {
		return wrongKind(path, p, v)
	}
	s := v.StringValue()
	var out []problem
	if n := utf8.RuneCountInString(s); p.bounded && (float64(n) < p.low || float64(n) > p.high) {
		out = append(out, problemf(path, "has %d characters: AWS allows %g to %g", n, p.low, p.high))
	}
	if len(p.choices) > 0 && !slices.Contains(p.choices, s) {
		out = append(out, problemf(path, "%q is not one of %s", s, strings.Join(p.choices, ", ")))
	}
	if p.pattern != nil && !p.pattern.MatchString(s) {
		out = append(out, problemf(path, "%q is not %s", s, p.shape))
	}
	return out
}

func checkNumber(path string, p property, v value) []problem {
	if !v.IsNumber() {
		return wrongKind(path, p, v)
	}
	n := v.NumberValue()
	if p.bounded && (n < p.low || n > p.high) {
		return []problem{problemf(path, "is %g: AWS allows %g to %g", n, p.low, p.high)}
	}
	if len(p.choices) > 0 && !slices.Contains(p.choices, fmt.Sprintf("%g", n)) {
		return []problem{problemf(path, "is %g: AWS allows %s", n, strings.Join(p.choices, ", "))}
	}
	return nil
}

func checkJSON(path string, p property, v value) []problem {
	if !v.IsString() && !v.IsObject() {
		return wrongKind(path, p, v)
	}
	if v.IsString() && !json.Valid([]byte(v.StringValue())) {
		return []problem{problemf(path, "is not well-formed JSON")}
	}
	return nil
}

func checkList(path string, p property, v value) []problem {
	if !v.IsArray() {
		return wrongKind(path, p, v)
	}
	var out []problem
	if n := float64(len(v.ArrayValue())); p.bounded && (n < p.low || n > p.high) {
		out = append(out, problemf(path, "has %g entries: AWS allows %g to %g", n, p.low, p.high))
	}
	for i, e := range v.ArrayValue() {
		out = append(out, checkValue(fmt.Sprintf("%s[%d]", path, i), *p.element, e)...)
	}
	return out
}

func checkMap(path string, p property, v value) []problem {
	if !v.IsObject() {
		return wrongKind(path, p, v)
	}
	var out []problem
	if n := float64(len(v.ObjectValue())); p.bounded && (n < p.low || n > p.high) {
		out = append(out, problemf(path, "has %g entries: AWS allows %g to %g", n, p.low, p.high))
	}
	for _, k := range sortedKeys(v.ObjectValue()) {
		out = append(out, checkValue(join(path, string(k)), *p.element, v.ObjectValue()[k])...)
	}
	return out
}

// fill is b with null entries dropped, policies as text, and what the provider fills in for missing properties.
func fill(table map[string]property, b bag) bag {
	out := bag{}
	for k, v := range b {
		if v.IsNull() || strings.HasPrefix(string(k), "__") {
			continue
		}
		out[k] = fillValue(table[string(k)], v)
	}
	for name, p := range table {
		if !has(out, name) && p.fallback.V != nil {
			out[resource.PropertyKey(name)] = p.fallback
		}
	}
	return out
}

func fillValue(p property, v value) value {
	switch {
	case p.kind == kindJSON && v.IsObject() && !v.ContainsUnknowns():
		if encoded, err := json.Marshal(v.Mappable()); err == nil {
			return text(string(encoded))
		}
	case p.kind == kindObject && v.IsObject():
		return object(fill(p.fields, v.ObjectValue()))
	case (p.kind == kindList || p.kind == kindSet) && v.IsArray():
		filled := make([]value, len(v.ArrayValue()))
		for i, e := range v.ArrayValue() {
			filled[i] = fillValue(*p.element, e)
		}
		return list(filled...)
	}
	return v
}
