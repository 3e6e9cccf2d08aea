package provider

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"unicode"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// bag is a set of resource properties as the engine sends them. Secrets never reach it wrapped: the provider does not
// accept them, so the engine unwraps them on the way in and marks them again on the way out.
type bag = resource.PropertyMap

// value is one property value.
type value = resource.PropertyValue

func text(s string) value    { return resource.NewProperty(s) }
func number(n float64) value { return resource.NewProperty(n) }
func boolean(b bool) value   { return resource.NewProperty(b) }
func object(m bag) value     { return resource.NewProperty(m) }
func list(vs ...value) value { return resource.NewProperty(vs) }
func unknown() value         { return resource.MakeComputed(text("")) }

func texts(ss ...string) value {
	vs := make([]value, len(ss))
	for i, s := range ss {
		vs[i] = text(s)
	}
	return list(vs...)
}

func dictionary(m map[string]string) value {
	b := make(bag, len(m))
	for k, v := range m {
		b[resource.PropertyKey(k)] = text(v)
	}
	return object(b)
}

func isUnknown(v value) bool { return v.IsComputed() || v.IsOutput() }

// has says whether the property is present: not missing and not null. An unknown one is present.
func has(b bag, key string) bool {
	v, ok := b[resource.PropertyKey(key)]
	return ok && !v.IsNull()
}

// known says whether every named property is either absent or fully known.
func known(b bag, keys ...string) bool {
	for _, k := range keys {
		if v, ok := b[resource.PropertyKey(k)]; ok && v.ContainsUnknowns() {
			return false
		}
	}
	return true
}

// getText is the string under key; "" when it is missing, unknown or of another type.
func getText(b bag, key string) string {
	if v := b[resource.PropertyKey(key)]; v.IsString() {
		return v.StringValue()
	}
	return ""
}

// getNumber is the number under key; 0 when it is missing, unknown or of another type.
func getNumber(b bag, key string) float64 {
	if v := b[resource.PropertyKey(key)]; v.IsNumber() {
		return v.NumberValue()
	}
	return 0
}

// getBool is the flag under key; false when it is missing, unknown or of another type.
func getBool(b bag, key string) bool {
	v := b[resource.PropertyKey(key)]
	return v.IsBool() && v.BoolValue()
}

// getBag is the object under key; nil when it is missing, unknown or of another type.
func getBag(b bag, key string) bag {
	if v := b[resource.PropertyKey(key)]; v.IsObject() {
		return v.ObjectValue()
	}
	return nil
}

func getList(b bag, key string) []value {
	if v := b[resource.PropertyKey(key)]; v.IsArray() {
		return v.ArrayValue()
	}
	return nil
}

// getBags is the objects of the list under key.
func getBags(b bag, key string) []bag {
	var out []bag
	for _, v := range getList(b, key) {
		if v.IsObject() {
			out = append(out, v.ObjectValue())
		}
	}
	return out
}

// getTexts is the strings of the list under key.
func getTexts(b bag, key string) []string {
	var out []string
	for _, v := range getList(b, key) {
		if v.IsString() {
			out = append(out, v.StringValue())
		}
	}
	return out
}

// getDictionary is the string entries of the object under key.
func getDictionary(b bag, key string) map[string]string {
	out := map[string]string{}
	for k, v := range getBag(b, key) {
		if v.IsString() {
			out[string(k)] = v.StringValue()
		}
	}
	return out
}

// absent says whether v says nothing: missing, null, or the zero value of its type. Terraform's plugin protocol, which
// the real provider speaks, does not tell these apart for optional properties.
func absent(v value) bool {
	switch {
	case v.V == nil, v.IsNull():
		return true
	case v.IsString():
		return v.StringValue() == ""
	case v.IsNumber():
		return v.NumberValue() == 0
	case v.IsBool():
		return !v.BoolValue()
	case v.IsArray():
		return len(v.ArrayValue()) == 0
	case v.IsObject():
		for _, e := range v.ObjectValue() {
			if !absent(e) {
				return false
			}
		}
		return true
	}
	return false
}

func sortedKeys[K ~string, V any](ms ...map[K]V) []K {
	seen := map[K]bool{}
	for _, m := range ms {
		for k := range m {
			seen[k] = true
		}
	}
	keys := make([]K, 0, len(seen))
	for k := range seen {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// compactSize counts the characters of a policy as IAM does: white space is free ("IAM and AWS STS quotas").
func compactSize(policy string) int {
	n := 0
	for _, r := range policy {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// canonicalJSON writes a JSON text in one form per meaning: key order and white space do not count, nor do the order of a
// list of strings and the difference between one thing and a list of that thing, as in policies.
func canonicalJSON(s string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return "", err
	}
	out, err := json.Marshal(canonical(v))
	return string(out), err
}

func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = canonical(e)
		}
		return out
	case []any:
		return canonicalList(v)
	}
	return v
}

func canonicalList(vs []any) any {
	out := make([]any, len(vs))
	allText := true
	for i, e := range vs {
		out[i] = canonical(e)
		_, isText := out[i].(string)
		allText = allText && isText
	}
	if len(out) == 1 {
		return out[0]
	}
	if !allText {
		return out
	}
	sort.Slice(out, func(i, j int) bool { return strings.Compare(out[i].(string), out[j].(string)) < 0 })
	return out
}
